//! `wardround serve`: the coordinator itself.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;
use wardround_core::clock::SystemClock;
use wardround_core::ids::UserId;
use wardround_learn::recorded::Keep;
use wardround_net::pki::Hosts;
use wardround_net::telemetry;

use super::output::{Answer, Exit, Failure, Format, envelope, finish, out};
use crate::service::{Coordinator, OperatorInvite, Options, StartError, os};

/// Run the coordinator
#[derive(Debug, Args)]
pub struct Serve {
    /// The data folder; made at the first start
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// The consortium's name, for its root certificate; needed at the first start
    #[arg(long, value_name = "CONSORTIUM")]
    name: Option<String>,
    /// A name or address under which sites and people reach it, several times if there are several
    #[arg(long = "host", value_name = "NAME", required = true)]
    hosts: Vec<String>,
    /// Who becomes the first operator
    #[arg(long, value_name = "NAME", default_value = "operator")]
    first_operator: UserId,
    /// Make a one-time token for a further operator: every other one lost their key
    #[arg(long, value_name = "NAME")]
    invite_operator: Option<UserId>,
    /// What journals keep of trees: what was decided, or the sums that it was decided by, some hundred
    /// times as large, which a replay then decides by again
    #[arg(long, value_enum, value_name = "WHAT", default_value = "decisions")]
    keep: KeepOfTrees,
    /// How log lines on stderr look: text or json
    #[arg(long, value_name = "FORMAT", default_value_t)]
    log: telemetry::Format,
    /// How the greeting on stdout is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// [`Keep`], as a word of the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum KeepOfTrees {
    Decisions,
    Sums,
}

impl Serve {
    /// Serves until it is asked to stop.
    pub fn run(self) -> u8 {
        let format = self.format;
        finish("serve", format, self.serve())
    }

    fn serve(self) -> Result<Answer, Failure> {
        telemetry::init(self.log, "info").map_err(|e| Failure::bad_input(e.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Failure::internal(format!("no runtime: {e}")))?;
        runtime.block_on(self.serve_async())?;
        Ok(Answer::Said)
    }

    async fn serve_async(self) -> Result<(), Failure> {
        let shutdown =
            os::asked_to_stop().map_err(|e| Failure::internal(format!("signals: {e}")))?;
        let hosts = Hosts::parse(self.hosts.iter().map(String::as_str))
            .map_err(|error| Failure::bad_input(format!("--host: {error}")))?;
        let coordinator = Coordinator::open(Options {
            data: self.data.clone(),
            name: self.name.clone(),
            hosts,
            operator: match &self.invite_operator {
                Some(user) => OperatorInvite::Now(user.clone()),
                None => OperatorInvite::WhenEmpty(self.first_operator.clone()),
            },
            keep: match self.keep {
                KeepOfTrees::Decisions => Keep::Decisions,
                KeepOfTrees::Sums => Keep::Sums,
            },
            clock: Arc::new(SystemClock),
        })?;
        let listener = TcpListener::bind(self.listen).await.map_err(|error| {
            Failure::bad_input(format!("cannot listen on {}: {error}", self.listen))
        })?;
        let address =
            listener.local_addr().map_err(|e| Failure::internal(format!("the listener: {e}")))?;
        self.greet(&coordinator, address).map_err(|e| Failure::internal(format!("stdout: {e}")))?;
        coordinator.serve(listener, shutdown).await?;
        Ok(())
    }

    fn greet(&self, coordinator: &Coordinator, address: SocketAddr) -> std::io::Result<()> {
        let reach = format!("{}:{}", bracketed(&self.hosts[0]), address.port());
        let token = coordinator.operator_token();
        if self.format == Format::Json {
            let token = token.map(|token| {
                json!({
                    "user": token.user, "token_file": token.file,
                    "expires": token.expires.to_rfc3339(),
                })
            });
            let data = json!({
                "listening": address.to_string(), "coordinator": reach,
                "ca_fingerprint": coordinator.fingerprint().to_string(), "operator": token,
            });
            return envelope("serve", &data);
        }
        let mut text = format!(
            "Listening on {address}; sites and people reach this coordinator at {reach}.\n\
             The consortium's fingerprint, for comparing by phone:\n  {}\n",
            coordinator.fingerprint().grouped()
        );
        if let Some(token) = token {
            text.push_str(&format!(
                "A one-time token for the operator '{}' lies in {} until {}. Use it with:\n  \
                 wardround user join --coordinator {reach} --token-file {}\n",
                token.user,
                token.file.display(),
                token.expires.to_rfc3339(),
                token.file.display()
            ));
        }
        out(text.as_bytes())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let sentence = error.to_string();
        match error {
            StartError::NoName(_) | StartError::Locked(_) | StartError::File { .. } => {
                Self::bad_input(sentence)
            }
            StartError::Pki(_) => Self::new("identity", Exit::Connection, sentence),
            StartError::Store(_) | StartError::Work(_) | StartError::Server(_) => {
                Self::internal(sentence)
            }
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
