//! A federation of real processes in one folder.
//!
//! ```text
//! coordinator/            the coordinator's data
//! people/<name>/          the profile of a person
//! sites/<site>/           a site's home with its site.toml
//! logs/<process>.log      what each process says
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wardround_core::ids::{Role, SiteId, StudyId};

use crate::binaries::Binaries;
use crate::process::{Ended, Nursery, Process};

/// The person who is there from the start.
pub const OPERATOR: &str = "operator";

/// How long a step of starting up may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running federation. Dropping it kills everything.
#[derive(Debug)]
pub struct Federation {
    folder: PathBuf,
    binaries: Binaries,
    nursery: Nursery,
    /// "127.0.0.1:port", the same after a restart.
    address: String,
    coordinator: Option<Process>,
    sites: BTreeMap<SiteId, Process>,
}

/// What a site's owner writes into `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteSettings {
    /// Where the rows are listed.
    pub manifest: PathBuf,
    /// The folder that image paths are relative to.
    pub images: PathBuf,
    /// Lines of the `[policy]` table.
    pub policy: String,
    /// Lines of the `[columns]` table.
    pub columns: String,
    /// Where fetched weights are kept.
    pub weights: PathBuf,
    /// Where features are kept.
    pub cache: PathBuf,
    /// Whether the rows are made up; said wherever results are shown.
    pub synthetic: bool,
}

/// The loosenings of a demo: the coordinator sees each site's own sums, and sites may be left out.
pub const LOOSE: &str = "wide_sums = \"allowed\"\nleave_one_site_out = \"allowed\"\n";

impl SiteSettings {
    /// Of a site whose owner has a made-up table, `manifest.csv` in `home`, and nothing else.
    pub fn of_table(home: &Path, policy: &str, weights: PathBuf) -> Self {
        Self {
            manifest: home.join("manifest.csv"),
            images: home.to_owned(),
            policy: policy.to_owned(),
            columns: String::new(),
            weights,
            cache: home.join("cache"),
            synthetic: true,
        }
    }

    /// As `site.toml`, for an agent that calls an address.
    pub fn to_toml(&self, address: &str) -> Result<String> {
        let quoted = |path: &Path| -> Result<String> {
            let text = path.to_str().with_context(|| format!("{} isn't UTF-8", path.display()))?;
            Ok(toml::Value::String(text.to_owned()).to_string())
        };
        Ok(format!(
            "[coordinator]\naddress = \"{address}\"\n\n\
             [data]\nmanifest = {}\nimages = {}\nsynthetic = {}\n\n\
             [columns]\n{}\n[policy]\n{}\n[cache]\nfolder = {}\n\n[weights]\ncache = {}\n",
            quoted(&self.manifest)?,
            quoted(&self.images)?,
            self.synthetic,
            self.columns,
            self.policy,
            quoted(&self.cache)?,
            quoted(&self.weights)?,
        ))
    }
}

impl Federation {
    /// Starts a coordinator on a free port of loopback, in a folder, and enrols its operator.
    ///
    /// # Errors
    /// It doesn't start; its log is in the message.
    pub fn start(folder: &Path, binaries: Binaries, nursery: Nursery, name: &str) -> Result<Self> {
        for part in ["coordinator", "people", "sites", "logs"] {
            let folder = folder.join(part);
            fs::create_dir_all(&folder)
                .with_context(|| format!("can't make {}", folder.display()))?;
        }
        let folder = fs::canonicalize(folder)?;
        let address = String::new();
        let (coordinator, sites) = (None, BTreeMap::new());
        let mut it = Self { folder, binaries, nursery, address, coordinator, sites };
        let greeting = it.serve("127.0.0.1:0", &["--name", name])?;
        let token = greeting["operator"]["token_file"].as_str();
        let token = PathBuf::from(token.context("the coordinator made no token for its operator")?);
        it.join_person(OPERATOR, &token)?;
        Ok(it)
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the coordinator listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A site's home.
    pub fn home(&self, site: &SiteId) -> PathBuf {
        self.folder.join("sites").join(site.as_str())
    }

    /// The coordinator's data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("coordinator")
    }

    /// The log of a process: "coordinator" or a site's name.
    pub fn log(&self, process: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{process}.log"))
    }

    /// The children.
    pub fn nursery(&self) -> &Nursery {
        &self.nursery
    }

    fn serve(&mut self, listen: &str, more: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.binaries.coordinator);
        command.args(["serve", "--listen", listen, "--host", "127.0.0.1", "--format", "json"]);
        command.args(["--first-operator", OPERATOR]).arg("--data").arg(self.data()).args(more);
        let mut process =
            self.nursery.start("the coordinator", command, &self.log("coordinator"))?;
        let line = process.line()?;
        let greeting: Value = serde_json::from_str(&line)
            .with_context(|| format!("the coordinator greets with {line}"))?;
        let address = greeting["data"]["coordinator"].as_str();
        self.address = address.with_context(|| format!("no address in {line}"))?.to_owned();
        self.coordinator = Some(process);
        Ok(greeting["data"].clone())
    }

    /// Kills the coordinator at once, as a power cut would.
    pub fn kill_coordinator(&mut self) {
        self.coordinator = None;
    }

    /// Starts the coordinator again, at the same address.
    ///
    /// # Errors
    /// It doesn't start.
    pub fn restart_coordinator(&mut self) -> Result<()> {
        let address = self.address.clone();
        self.serve(&address, &[]).map(|_| ())
    }

    /// Whether the coordinator's process runs.
    pub fn coordinator_runs(&mut self) -> bool {
        self.coordinator.as_mut().is_some_and(Process::is_running)
    }

    /// Invites and enrols a person; the operator invites.
    ///
    /// # Errors
    /// A command fails.
    pub fn enrol_person(&self, name: &str, role: Role) -> Result<()> {
        let token = self.token_file(name);
        let mut invite = self.as_person(OPERATOR, &["user", "invite", name, "--role"]);
        invite.arg(role.to_string()).arg("--out").arg(&token);
        self.nursery.run("the invitation", invite)?;
        self.join_person(name, &token)
    }

    fn join_person(&self, name: &str, token: &Path) -> Result<()> {
        let mut join = self.as_person(name, &["user", "join", "--token-file"]);
        join.arg(token);
        self.nursery.run("user join", join).map(|_| ())
    }

    /// A command of `wardround` as a person: arguments follow the command's own.
    pub fn as_person(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.coordinator);
        command.args(arguments);
        command.env("WARDROUND_COORDINATOR", &self.address);
        command.env("WARDROUND_PROFILE_DIR", self.profile(name));
        command
    }

    /// The folder of a person's key.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.folder.join("people").join(name)
    }

    /// Runs a command of `wardround` as a person to its end, however that is.
    ///
    /// # Errors
    /// It can't be started.
    pub fn say(&self, name: &str, arguments: &[&str]) -> Result<Ended> {
        self.nursery.output(arguments[0], self.as_person(name, arguments))
    }

    /// Runs a command of `wardround` as a person and returns its stdout.
    ///
    /// # Errors
    /// It fails.
    pub fn ask(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let what = format!("wardround {}", arguments[..arguments.len().min(2)].join(" "));
        self.nursery.run(&what, self.as_person(name, arguments))
    }

    /// A command of `wardround-site` at a site's home.
    pub fn at_site(&self, site: &SiteId, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binaries.site);
        command.arg("--home").arg(self.home(site)).args(arguments);
        command
    }

    /// Writes a site's `site.toml` and enrols it; doesn't start it.
    ///
    /// # Errors
    /// A command fails.
    pub fn enrol_site(&self, site: &SiteId, settings: &SiteSettings) -> Result<()> {
        let address = self.address.clone();
        self.enrol_site_through(site, settings, &address)
    }

    /// As [`Federation::enrol_site`], with an agent that calls another address (a proxy's).
    ///
    /// # Errors
    /// A command fails.
    pub fn enrol_site_through(
        &self,
        site: &SiteId,
        settings: &SiteSettings,
        address: &str,
    ) -> Result<()> {
        let home = self.home(site);
        fs::create_dir_all(&home)?;
        fs::write(home.join("site.toml"), settings.to_toml(address)?)?;
        let token = self.token_file(site.as_str());
        let mut invite = self.as_person(OPERATOR, &["site", "invite", site.as_str(), "--out"]);
        invite.arg(&token);
        self.nursery.run("the invitation", invite)?;
        let mut join = self.at_site(site, &["join", "--token-file"]);
        join.arg(&token);
        self.nursery.run(&format!("{site} joining"), join)?;
        Ok(())
    }

    /// Starts a site's agent.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start_site(&mut self, site: &SiteId) -> Result<()> {
        let command = self.at_site(site, &["run"]);
        let process = self.nursery.start(site.as_str(), command, &self.log(site.as_str()))?;
        self.sites.insert(site.clone(), process);
        Ok(())
    }

    /// Kills a site's agent at once, as a power cut would.
    pub fn kill_site(&mut self, site: &SiteId) {
        self.sites.remove(site);
    }

    /// Whether a site's agent runs.
    pub fn site_runs(&mut self, site: &SiteId) -> bool {
        self.sites.get_mut(site).is_some_and(Process::is_running)
    }

    /// The process of a site's agent.
    pub fn site_process(&self, site: &SiteId) -> Option<u32> {
        self.sites.get(site).map(Process::id)
    }

    /// Waits until every started site is connected.
    ///
    /// # Errors
    /// One ends, or isn't there after a minute.
    pub fn wait_for_sites(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = self.ask(OPERATOR, &["site", "list", "--format", "json"])?;
            let list: Value = serde_json::from_str(&text)?;
            let sites = list["data"].as_array().context("no list of sites")?;
            let connected = |site: &SiteId| {
                sites.iter().any(|s| s["site"] == site.as_str() && s["connected"] == true)
            };
            let missing: Vec<SiteId> =
                self.sites.keys().filter(|site| !connected(site)).cloned().collect();
            let Some(first) = missing.first() else { return Ok(()) };
            for site in &missing {
                if !self.site_runs(site) {
                    bail!("{site} ended:\n{}", self.log_end(site.as_str()));
                }
            }
            if Instant::now() > until {
                bail!("{first} doesn't connect:\n{}", self.log_end(first.as_str()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Submits a study as a person.
    ///
    /// # Errors
    /// It is refused; the sentence says why.
    pub fn submit(&self, name: &str, study: &Path) -> Result<StudyId> {
        let path = study.to_str().context("the study file's path isn't UTF-8")?;
        let id = self.ask(name, &["study", "submit", path])?;
        Ok(StudyId::parse(id.trim())?)
    }

    /// The end of a process's log.
    pub fn log_end(&self, process: &str) -> String {
        let log = fs::read_to_string(self.log(process)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    fn token_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.token"))
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        // Sites first, so that they don't complain about a coordinator that is gone.
        self.sites.clear();
        self.coordinator = None;
    }
}
