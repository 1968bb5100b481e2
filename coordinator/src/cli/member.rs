//! What sites and people have in common: inviting, listing, revoking.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wardround_proto::v1::{self, invite_request, revoke_request};

use super::connect::{Client, Output, Remote};
use super::output::{Answer, Failure, moment, moment_value, table};
use crate::service::os;

/// Options of a list.
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub(super) remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// How long an invitation lasts and where its token goes.
#[derive(Debug, Args)]
pub struct InviteOptions {
    /// How long the token can be used
    #[arg(long, value_name = "HOURS", default_value_t = 72,
          value_parser = clap::value_parser!(u32).range(1..=720))]
    valid_hours: u32,
    /// Write the token to a new file that only you can read, instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub(super) remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl InviteOptions {
    /// Invites somebody; `join` is the command that uses the token.
    pub async fn invite(
        &self,
        who: invite_request::Who,
        role: &str,
        join: &str,
    ) -> Result<Answer, Failure> {
        if let Some(path) = self.out.as_ref().filter(|path| path.exists()) {
            let what = "is there already: a token never replaces a file";
            return Err(Failure::bad_input(format!("{} {what}", path.display())));
        }
        let request = v1::InviteRequest {
            who: Some(who),
            role: role.into(),
            valid_s: self.valid_hours * 3600,
        };
        let reply = self
            .remote
            .within(async { Ok(self.remote.connect().await?.invite(request).await?.into_inner()) })
            .await?;
        let address = self.remote.address()?;
        let fingerprint = reply.ca_fingerprint.parse::<wardround_net::pki::Fingerprint>();
        let grouped = fingerprint.map_or(reply.ca_fingerprint.clone(), |f| f.grouped());
        eprintln!(
            "The token works once, until {}. The receiver runs:\n  {join}{address}\n\
             and compares this fingerprint with you, by phone:\n  {grouped}",
            moment(reply.expires_ms)
        );
        let mut data = json!({
            "coordinator": address.to_string(), "ca_fingerprint": reply.ca_fingerprint,
            "expires": moment_value(reply.expires_ms),
        });
        let text = match &self.out {
            Some(path) => {
                os::write_private(path, &format!("{}\n", reply.token))
                    .map_err(|error| Failure::file(path, &error))?;
                data["token_file"] = json!(path);
                String::new()
            }
            None => {
                data["token"] = json!(reply.token);
                reply.token
            }
        };
        Ok(Answer::Data { data, text })
    }
}

impl List {
    /// Lists the members of a kind.
    pub async fn list(&self, kind: &str) -> Result<Answer, Failure> {
        let request = v1::ListMembersRequest { kind: kind.to_owned() };
        let reply = self
            .remote
            .within(async {
                Ok(self.remote.connect().await?.list_members(request).await?.into_inner())
            })
            .await?;
        let data: Vec<Value> = reply.members.iter().map(|m| member_value(kind, m)).collect();
        let rows: Vec<Vec<String>> = reply.members.iter().map(|m| member_row(kind, m)).collect();
        let header: &[&str] = match kind {
            "site" => &[
                "site",
                "state",
                "connected",
                "last seen",
                "certificate until",
                "software",
                "device",
            ],
            _ => &["user", "role", "state", "last seen", "certificate until"],
        };
        Ok(Answer::Data { data: data.into(), text: table(header, &rows) })
    }
}

/// Revokes somebody.
pub async fn revoke(
    remote: &Remote,
    who: revoke_request::Who,
    kind: &str,
    name: &str,
) -> Result<Answer, Failure> {
    let request = v1::RevokeRequest { who: Some(who) };
    let revoked = async |mut client: Client| {
        client.revoke(request).await?;
        Ok(())
    };
    remote.within(async { revoked(remote.connect().await?).await }).await?;
    eprintln!("{kind} {name} is revoked, from now on");
    Ok(Answer::Data { data: json!({ "revoked": name }), text: String::new() })
}

fn member_value(kind: &str, member: &v1::Member) -> Value {
    let mut value = json!({
        kind: member.id, "state": member.state, "since": moment_value(member.since_ms),
        "last_seen": moment_value(member.last_seen_ms), "until": moment_value(member.not_after_ms),
        "software": member.software,
    });
    match kind {
        "site" => {
            value["connected"] = json!(member.connected);
            value["device"] = json!(member.device);
        }
        _ => value["role"] = json!(member.role),
    }
    value
}

fn member_row(kind: &str, member: &v1::Member) -> Vec<String> {
    let (seen, until) = (moment(member.last_seen_ms), moment(member.not_after_ms));
    let (id, state) = (member.id.clone(), member.state.clone());
    match kind {
        "site" => {
            let connected = if member.connected { "yes" } else { "no" };
            let (software, device) = (member.software.clone(), member.device.clone());
            vec![id, state, connected.into(), seen, until, software, device]
        }
        _ => vec![id, member.role.clone(), state, seen, until],
    }
}
