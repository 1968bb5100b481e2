//! `wardround user`: people, this one included.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use wardround_core::ids::{Role, UserId};
use wardround_net::MAX_MESSAGE_BYTES;
use wardround_net::client::{Endpoint, Trust};
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Fingerprint, certificate_from_pem};
use wardround_proto::v1::{
    self, enrolment_client::EnrolmentClient, invite_request, revoke_request,
};

use super::connect::{Output, Remote};
use super::member::{InviteOptions, List, revoke};
use super::output::{Answer, Exit, Failure, Format, moment, moment_value};

/// The environment variable with an invite token.
const TOKEN_VARIABLE: &str = "WARDROUND_TOKEN";

/// People: join, invite, list, revoke
#[derive(Debug, Subcommand)]
pub enum User {
    /// Enrol yourself on this machine with a one-time token
    ///
    /// The token comes from --token-file, from WARDROUND_TOKEN, or is asked for; it is never given on
    /// the command line, where others could read it. The key is made here and stays here.
    Join(Join),
    /// Who you are, as the coordinator sees it
    Whoami(List),
    /// Make a one-time token with which a person joins (operators)
    Invite {
        /// The person's name: a-z, 0-9, '-', '_'
        name: UserId,
        /// What they may do: lead, operator or auditor
        #[arg(long, value_name = "ROLE")]
        role: Role,
        #[command(flatten)]
        options: InviteOptions,
    },
    /// List the people (operators)
    List(List),
    /// Turn a person away, at once (operators)
    Revoke {
        /// The person's name
        name: UserId,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

/// Enrol yourself on this machine with a one-time token
#[derive(Debug, Args)]
pub struct Join {
    /// A file with the token; '-' reads stdin
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Take the place of the identity that the profile holds
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
}

impl User {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            User::Join(_) => "user join",
            User::Whoami(_) => "user whoami",
            User::Invite { .. } => "user invite",
            User::List(_) => "user list",
            User::Revoke { .. } => "user revoke",
        }
    }

    /// How its answer looks.
    pub fn format(&self) -> Format {
        match self {
            User::Join(join) => join.output.format,
            User::Invite { options, .. } => options.output.format,
            User::Whoami(list) | User::List(list) => list.output.format,
            User::Revoke { output, .. } => output.format,
        }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        match self {
            User::Join(join) => join.remote.within(join.join()).await,
            User::Whoami(list) => whoami(&list.remote).await,
            User::Invite { name, role, options } => {
                let who = invite_request::Who::User(name.to_string());
                options.invite(who, &role.to_string(), "wardround user join --coordinator ").await
            }
            User::List(list) => list.list("user").await,
            User::Revoke { name, remote, .. } => {
                let who = revoke_request::Who::User(name.to_string());
                revoke(&remote, who, "user", name.as_str()).await
            }
        }
    }
}

impl Join {
    async fn join(&self) -> Result<Answer, Failure> {
        let address = self.remote.address()?;
        let profile = self.remote.profile()?;
        if profile.is_enrolled() && !self.replace {
            let who = profile
                .wallet()?
                .load()
                .map_or("somebody".to_owned(), |enrolled| enrolled.me.identity.name().to_owned());
            return Err(Failure::bad_input(format!(
                "the profile in {} is {who}'s already: say --profile NAME for another one, or \
                 --replace",
                profile.folder().display()
            )));
        }
        let token = InviteToken::parse(&read_token(self.token_file.as_deref())?)
            .map_err(|error| Failure::bad_input(error.to_string()))?;
        let wallet = profile.wallet()?;
        let endpoint = Endpoint::new(address.clone(), Trust::Pinned(token.pin()));
        let mut client = EnrolmentClient::new(endpoint.connect_lazy())
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        let request = v1::JoinRequest {
            token: token.reveal(),
            csr_der: wallet.request()?,
            software: env!("CARGO_PKG_VERSION").to_owned(),
            kind: "user".into(),
        };
        let reply = client.join(request).await?.into_inner();
        let fingerprint = Fingerprint::of(&certificate_from_pem(&reply.ca_pem)?);
        if !token.pin().matches(&fingerprint) {
            let sentence = "the coordinator answered with another root than the token pins";
            return Err(Failure::new("identity", Exit::Connection, sentence));
        }
        if reply.kind != "user" {
            return Err(Failure::bad_input(format!(
                "this token was for the {} {}, not for a person; it is used up now: its operator \
                 has to make a fresh one, for `wardround-site join`",
                reply.kind, reply.id
            )));
        }
        wallet.accept(&reply.certificate_pem, &reply.ca_pem)?;
        profile.remember(&address)?;
        let text = format!(
            "You are {} ({}) at {address}; your certificate lasts until {} and renews itself.\n\
             The consortium's fingerprint, for comparing by phone:\n  {}",
            reply.id,
            reply.role,
            moment(reply.not_after_ms),
            fingerprint.grouped()
        );
        let data = json!({
            "user": reply.id, "role": reply.role, "coordinator": address.to_string(),
            "ca_fingerprint": fingerprint.to_string(), "until": moment_value(reply.not_after_ms),
            "profile": profile.folder(),
        });
        Ok(Answer::Data { data, text })
    }
}

async fn whoami(remote: &Remote) -> Result<Answer, Failure> {
    let reply = remote
        .within(async {
            Ok(remote.connect().await?.who_am_i(v1::WhoAmIRequest {}).await?.into_inner())
        })
        .await?;
    let text = format!(
        "{} ({}), certificate until {}; coordinator {}",
        reply.id,
        reply.role,
        moment(reply.not_after_ms),
        reply.software
    );
    let data = json!({
        "user": reply.id, "role": reply.role, "until": moment_value(reply.not_after_ms),
        "software": reply.software, "ca_fingerprint": reply.ca_fingerprint,
    });
    Ok(Answer::Data { data, text })
}

fn read_token(file: Option<&Path>) -> Result<String, Failure> {
    match (file, std::env::var(TOKEN_VARIABLE)) {
        (Some(path), _) if path == Path::new("-") => read_stdin(),
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|error| Failure::file(path, &error))
        }
        (None, Ok(token)) if !token.is_empty() => Ok(token),
        _ => {
            if std::io::stdin().is_terminal() {
                eprintln!("Paste the invite token and press Enter:");
            }
            read_line()
        }
    }
}

fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Failure::bad_input(e.to_string()))?;
    Ok(text)
}

fn read_line() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).map_err(|e| Failure::bad_input(e.to_string()))?;
    Ok(text)
}
