//! `wardround site`: hospitals.

use clap::Subcommand;
use wardround_core::ids::SiteId;
use wardround_proto::v1::{invite_request, revoke_request};

use super::connect::{Output, Remote};
use super::member::{InviteOptions, List, revoke};
use super::output::{Answer, Failure, Format};

/// Hospitals: invite, list, revoke
#[derive(Debug, Subcommand)]
pub enum Site {
    /// Make a one-time token with which a hospital joins (operators)
    Invite {
        /// The site's name: a-z, 0-9, '-', '_'
        name: SiteId,
        #[command(flatten)]
        options: InviteOptions,
    },
    /// List the sites (operators and leads)
    List(List),
    /// Turn a site away, at once (operators)
    Revoke {
        /// The site's name
        name: SiteId,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

impl Site {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Site::Invite { .. } => "site invite",
            Site::List(_) => "site list",
            Site::Revoke { .. } => "site revoke",
        }
    }

    /// How its answer looks.
    pub fn format(&self) -> Format {
        match self {
            Site::Invite { options, .. } => options.output.format,
            Site::List(list) => list.output.format,
            Site::Revoke { output, .. } => output.format,
        }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        match self {
            Site::Invite { name, options } => {
                let who = invite_request::Who::Site(name.to_string());
                options.invite(who, "", "wardround-site join ").await
            }
            Site::List(list) => list.list("site").await,
            Site::Revoke { name, remote, .. } => {
                let who = revoke_request::Who::Site(name.to_string());
                revoke(&remote, who, "site", name.as_str()).await
            }
        }
    }
}
