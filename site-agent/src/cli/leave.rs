//! `wardround-site leave`: out of the consortium.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use serde_json::json;
use wardround_net::client::Endpoint;

use super::failure::{Exit, Failure};
use super::output::Output;
use super::site::{HomeArgument, door, identity};
use super::with_runtime;
use crate::config::SiteConfig;

/// Leave the consortium: tell the coordinator and delete this site's key
///
/// The ledger stays. Stop the agent first.
#[derive(Debug, Args)]
pub(super) struct Leave {
    /// Also delete the cache, what is kept of studies, and site.toml
    #[arg(long)]
    purge: bool,
    /// Delete the key although the coordinator can't be told; it then doesn't know
    #[arg(long)]
    without_coordinator: bool,
    /// Don't ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub output: Output,
}

impl Leave {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let (wallet, enrolled, me) = identity(&home)?;
        self.confirm(me.as_str())?;
        let told = !self.without_coordinator;
        with_runtime(async {
            let endpoint = Endpoint::enrolled(config.coordinator.address.clone(), &enrolled);
            if told {
                endpoint.probe().await?;
            }
            // Opened in any case: an agent that runs would go on with its key in memory.
            let egress = door(&home, config.policy.clone(), endpoint.connect_lazy())?;
            match told {
                true => egress.leave().await.map_err(Failure::from),
                false => Ok(()),
            }
        })?;
        wallet.purge()?;
        if self.purge {
            for folder in [home.cache(), home.studies(), config.cache] {
                gone(&folder, fs::remove_dir_all(&folder))?;
            }
            gone(&home.site_file(), fs::remove_file(home.site_file()))?;
        }
        let data = json!({"site": me, "coordinator_told": told, "purged": self.purge});
        self.output.print("leave", &data, || {
            let coordinator =
                if told { "the coordinator was told" } else { "the coordinator wasn't told" };
            format!(
                "'{me}' has left: {coordinator}, the key is deleted\nthe ledger stays in {}\n",
                home.ledger().display()
            )
        })?;
        Ok(Exit::Done)
    }

    fn confirm(&self, me: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::bad_input("there is nobody to ask: confirm with --yes"));
        }
        eprint!("'{me}' leaves the consortium and its key is deleted. Type the site's name: ");
        io::stderr().flush().map_err(Failure::internal)?;
        let mut typed = String::new();
        io::stdin().read_line(&mut typed).map_err(Failure::bad_input)?;
        match typed.trim() == me {
            true => Ok(()),
            false => Err(Failure::failed("nothing was done")),
        }
    }
}

fn gone(path: &Path, removed: io::Result<()>) -> Result<(), Failure> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::internal(format!("{}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}
