//! Starts whole federations for tests: real processes over mutual TLS on loopback, in a folder that
//! goes when the test does, on small made-up tables (no weights are needed).
//!
//! Every wait has a deadline. A dropped [`Trial`] kills its processes and, when its test fails, says what
//! they said.

pub mod link;
pub mod made;
pub mod yardstick;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use wardround_core::ids::{Role, SiteId, StudyId};
use wardround_learn::bundle::ModelBundle;
use wardround_local::binaries::Binaries;
use wardround_local::federation::{Federation, LOOSE, OPERATOR, SiteSettings};
use wardround_local::process::Nursery;

use link::Link;
use made::{Line, csv};

/// Longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// The person who submits studies.
pub const LEAD: &str = "lead";

/// The programs, built once per test run.
///
/// # Panics
/// They can't be built.
pub fn binaries() -> Binaries {
    static BUILT: OnceLock<Binaries> = OnceLock::new();
    BUILT.get_or_init(|| Binaries::build_for_tests().expect("the programs can be built")).clone()
}

/// A site before it joins.
#[derive(Debug, Clone)]
pub struct Hospital {
    /// Its name.
    pub site: SiteId,
    /// Its rows.
    pub lines: Vec<Line>,
    /// Lines of its `[policy]` table.
    pub policy: &'static str,
}

impl Hospital {
    /// A site whose owner loosened what a demo's owner does.
    pub fn loose(site: &str, lines: Vec<Line>) -> Self {
        Self { site: site_id(site), lines, policy: LOOSE }
    }

    /// A site with untouched defaults.
    pub fn strict(site: &str, lines: Vec<Line>) -> Self {
        Self { site: site_id(site), lines, policy: "" }
    }
}

/// A federation under test.
#[derive(Debug)]
pub struct Trial {
    /// Its processes.
    pub federation: Federation,
    folder: TempDir,
}

impl Trial {
    /// Starts a coordinator with an operator and a lead.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nursery = Nursery::new().expect("a nursery");
        let federation = Federation::start(folder.path(), binaries(), nursery, "Test consortium")
            .expect("a coordinator starts");
        federation.enrol_person(LEAD, Role::Lead).expect("a lead joins");
        Self { federation, folder }
    }

    /// Starts a coordinator and sites, and waits until they are connected.
    pub fn with(hospitals: &[Hospital]) -> Self {
        let mut trial = Self::start();
        for hospital in hospitals {
            trial.enrol(hospital);
            trial.federation.start_site(&hospital.site).expect("a site starts");
        }
        trial.federation.wait_for_sites().expect("sites connect");
        trial
    }

    /// As [`Trial::with`], with a slow line to the first site, so that a round takes at least twice the
    /// delay.
    pub fn slow(hospitals: &[Hospital], delay: Duration) -> (Self, Link) {
        let mut trial = Self::start();
        let link = Link::start(trial.federation.address(), delay);
        for (at, hospital) in hospitals.iter().enumerate() {
            trial.enrol(hospital);
            if at == 0 {
                let settings = trial.settings(hospital).to_toml(&link.address());
                let file = trial.federation.home(&hospital.site).join("site.toml");
                std::fs::write(file, settings.expect("paths are UTF-8")).expect("a site's file");
            }
            trial.federation.start_site(&hospital.site).expect("a site starts");
        }
        trial.federation.wait_for_sites().expect("sites connect");
        (trial, link)
    }

    /// Waits until a study has asked so many rounds, and makes sure that it isn't over.
    pub fn wait_round(&self, study: &StudyId, rounds: usize) {
        self.wait_for("a round", || (self.rounds(study) >= rounds).then_some(()));
        let (state, reason) = self.state(study);
        let runs = matches!(state.as_str(), "enlisting" | "running");
        assert!(runs, "{study} is {state} already: {reason}");
    }

    /// Writes a site's table and settings and enrols it.
    pub fn enrol(&self, hospital: &Hospital) {
        let settings = self.settings(hospital);
        std::fs::create_dir_all(self.federation.home(&hospital.site)).expect("a home");
        std::fs::write(&settings.manifest, csv(&hospital.lines)).expect("a manifest");
        self.federation.enrol_site(&hospital.site, &settings).expect("a site joins");
    }

    /// What a site's owner writes.
    pub fn settings(&self, hospital: &Hospital) -> SiteSettings {
        let home = self.federation.home(&hospital.site);
        SiteSettings::of_table(&home, hospital.policy, self.path("weights"))
    }

    /// A path in the test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Submits a study's text as the lead.
    ///
    /// # Errors
    /// The sentence of a refusal.
    pub fn submit(&self, toml: &str) -> Result<StudyId, String> {
        let path = self.path("study.toml");
        std::fs::write(&path, toml).expect("a study file");
        self.federation.submit(LEAD, &path).map_err(|error| format!("{error:#}"))
    }

    /// A study's state and its reason.
    pub fn state(&self, study: &StudyId) -> (String, String) {
        let list = self.json(LEAD, &["study", "list"]);
        let found =
            list.as_array().and_then(|all| all.iter().find(|s| s["study"] == study.as_str()));
        let found = found.unwrap_or_else(|| panic!("{study} isn't among {list}"));
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        (text("state"), text("reason"))
    }

    /// A study's kept events so far: kind and what happened.
    pub fn events(&self, study: &StudyId) -> Vec<(String, Value)> {
        let logs = self.json(LEAD, &["study", "logs", study.as_str()]);
        let event =
            |e: &Value| (e["kind"].as_str().unwrap_or_default().to_owned(), e["event"].clone());
        logs.as_array().map(|all| all.iter().map(event).collect()).unwrap_or_default()
    }

    /// Rounds that a study has asked so far.
    pub fn rounds(&self, study: &StudyId) -> usize {
        self.events(study).iter().filter(|(kind, _)| kind == "round").count()
    }

    /// Waits until a study is done.
    pub fn wait_done(&self, study: &StudyId) {
        let (state, reason) = self.wait_over(study);
        assert_eq!(state, "done", "{reason}\n{}", self.logs());
    }

    /// Waits until a study is over, however it ends.
    pub fn wait_over(&self, study: &StudyId) -> (String, String) {
        self.wait_for(&format!("the end of {study}"), || {
            let state = self.state(study);
            matches!(state.0.as_str(), "done" | "failed" | "aborted").then_some(state)
        })
    }

    /// Waits until something is there.
    ///
    /// # Panics
    /// It isn't within [`DEADLINE`]; every log is shown.
    pub fn wait_for<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < until, "waited for {what} in vain\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The data of a command's JSON envelope, as a person.
    ///
    /// # Panics
    /// The command fails.
    pub fn json(&self, person: &str, arguments: &[&str]) -> Value {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let text =
            self.federation.ask(person, &all).unwrap_or_else(|e| panic!("{e:#}\n{}", self.logs()));
        let mut envelope: Value = serde_json::from_str(&text).expect("an envelope is JSON");
        envelope["data"].take()
    }

    /// A finished study's report.json.
    pub fn report(&self, study: &StudyId) -> Value {
        let text =
            self.federation.ask(LEAD, &["study", "report", study.as_str(), "--format", "json"]);
        serde_json::from_str(&text.expect("a report")).expect("report.json is JSON")
    }

    /// A finished study's model bundle, as bytes.
    pub fn bundle_bytes(&self, study: &StudyId) -> Vec<u8> {
        let path = self.path(&format!("{study}.safetensors"));
        let _ = std::fs::remove_file(&path);
        let mut command =
            self.federation.as_person(LEAD, &["study", "export", study.as_str(), "--bundle"]);
        command.arg("--out").arg(&path);
        self.federation.nursery().run("study export", command).expect("a bundle");
        std::fs::read(path).expect("the bundle was written")
    }

    /// A finished study's model bundle.
    pub fn bundle(&self, study: &StudyId) -> ModelBundle {
        ModelBundle::read(&self.bundle_bytes(study)).expect("a bundle can be read")
    }

    /// A site's egress ledger.
    pub fn ledger(&self, site: &SiteId) -> PathBuf {
        let folder = self.federation.home(site).join("ledger");
        let files = std::fs::read_dir(&folder).expect("a ledger's folder");
        let found = files
            .filter_map(|f| f.ok().map(|f| f.path()))
            .find(|f| f.extension().is_some_and(|e| e == "jsonl"));
        found.expect("a ledger")
    }

    /// The end of every log.
    pub fn logs(&self) -> String {
        let Ok(logs) = std::fs::read_dir(self.federation.folder().join("logs")) else {
            return String::new();
        };
        let end = |path: PathBuf| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!(
                "--- {}\n{}\n",
                path.display(),
                lines[lines.len().saturating_sub(30)..].join("\n")
            )
        };
        logs.filter_map(|log| log.ok().map(|log| end(log.path()))).collect()
    }
}

/// The operator's name.
pub fn operator() -> &'static str {
    OPERATOR
}

/// A site's id.
///
/// # Panics
/// The text isn't one.
pub fn site_id(text: &str) -> SiteId {
    SiteId::parse(text).expect("the name is a site's")
}
