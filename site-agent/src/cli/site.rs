//! What most commands begin with: the home folder, the site's file, its identity, its door.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tonic::transport::Channel;
use wardround_core::clock::{Clock, SystemClock};
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_net::pki::{Enrolled, Identity, Wallet};
use wardround_privacy::ledger::{Durability, Ledger, Tail};
use wardround_privacy::policy::Policy;

use super::failure::Failure;
use crate::config::{Home, SiteConfig};
use crate::egress::Egress;

/// A file of the ledger's folder.
const LEDGER: &str = "egress.jsonl";

/// Where everything of this site lies.
#[derive(Debug, Clone, Args)]
pub(super) struct HomeArgument {
    /// Folder with everything of this site [default: ~/.wardround-site]
    #[arg(
        long = "home",
        global = true,
        value_name = "DIR",
        env = "WARDROUND_SITE_HOME",
        hide_env_values = true
    )]
    folder: Option<PathBuf>,
}

impl HomeArgument {
    pub(super) fn home(&self) -> Result<Home, Failure> {
        let folder = match (&self.folder, std::env::home_dir()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(user)) => user.join(".wardround-site"),
            (None, None) => {
                return Err(Failure::bad_input(
                    "this user has no home folder: name one with --home or WARDROUND_SITE_HOME",
                ));
            }
        };
        std::path::absolute(&folder).map(Home::new).map_err(Failure::bad_input)
    }

    /// The program's name with this home, for commands that are printed to be typed.
    pub(super) fn command(&self, rest: &str) -> String {
        match &self.folder {
            Some(folder) if std::env::var_os("WARDROUND_SITE_HOME").is_none() => {
                format!("wardround-site --home {} {rest}", folder.display())
            }
            _ => format!("wardround-site {rest}"),
        }
    }
}

/// The path of a home's ledger.
pub(super) fn ledger_path(home: &Home) -> PathBuf {
    home.ledger().join(LEDGER)
}

/// The door of a home onto a channel. A line that was cut off is reported.
pub(super) fn door(home: &Home, policy: Policy, channel: Channel) -> Result<Egress, Failure> {
    let (ledger, tail) = Ledger::open(&ledger_path(home), Durability::Synced)?;
    if let Tail::CutOff(bytes) = tail {
        tracing::warn!(bytes, "the ledger's last line was cut off; its message was never sent");
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Egress::new(ledger, clock, policy, channel))
}

/// The identity of a home.
pub(super) fn identity(home: &Home) -> Result<(Wallet, Enrolled, SiteId), Failure> {
    let wallet = Wallet::open(home.identity())?;
    let enrolled = wallet.load()?;
    match &enrolled.me.identity {
        Identity::Site(me) => {
            let me = me.clone();
            Ok((wallet, enrolled, me))
        }
        Identity::User { name, .. } => Err(Failure::connection(format!(
            "the certificate in {} is that of the person {name}, not of a site",
            home.identity().display()
        ))),
    }
}

/// Who issues this site's patient keys; before it has joined, its name isn't known yet.
pub(super) fn issuer(home: &Home, config: &SiteConfig) -> Result<String, Failure> {
    let me = me_or_unnamed(home)?;
    Ok(config.data.issuer.name(&me).to_owned())
}

/// This site's name; a stand-in before it has joined.
pub(super) fn me_or_unnamed(home: &Home) -> Result<SiteId, Failure> {
    let me = match home.identity().is_dir() {
        true => identity(home).ok().map(|(_, _, me)| me),
        false => None,
    };
    let unnamed = || SiteId::parse("this-site").map_err(Failure::internal);
    me.map_or_else(unnamed, Ok)
}

/// Reads a study file.
pub(super) fn study(path: &Path) -> Result<Study, Failure> {
    let unreadable = |error| {
        Failure::bad_input(format!("can't read the study file {}: {error}", path.display()))
    };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    Study::parse(&text).map_err(|mistakes| {
        Failure::bad_input(format!("{} has mistakes:\n{mistakes}", path.display()))
    })
}

/// The studies that this site takes part in, by id.
pub(super) fn studies(home: &Home) -> Result<Vec<Study>, Failure> {
    let mut ids = study_ids(home);
    ids.sort();
    let file = |id: &StudyId| home.study(id).join("study.toml");
    ids.iter().map(file).filter(|file| file.is_file()).map(|file| study(&file)).collect()
}

/// Those of them that aren't over, each with its id.
pub(super) fn running_studies(home: &Home) -> Result<Vec<(StudyId, Study)>, Failure> {
    let mut ids = study_ids(home);
    ids.retain(|id| !home.closed(id).exists() && home.study(id).join("study.toml").is_file());
    ids.sort();
    let read = |id: StudyId| Ok((id.clone(), study(&home.study(&id).join("study.toml"))?));
    ids.into_iter().map(read).collect()
}

fn study_ids(home: &Home) -> Vec<StudyId> {
    let Ok(folders) = fs::read_dir(home.studies()) else { return Vec::new() };
    folders.filter_map(|folder| StudyId::parse(folder.ok()?.file_name().to_str()?).ok()).collect()
}
