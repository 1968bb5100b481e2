//! `site.toml`: where the coordinator and the data are, and what the owner allows.
//!
//! Unknown fields are refused and all mistakes are shown with line and column, as in a study file.
//! The rules of `[policy]` and their defaults are [`Policy`]'s; a file names only what differs.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use wardround_core::ids::SiteId;
use wardround_core::read::{self, Key, Mistakes, Table, Value};
use wardround_net::client::Address;
use wardround_privacy::policy::{Consent, FeatureRows, MinimumPatients, Policy, Share, WideSums};
use wardround_vision::device::DeviceChoice;

use super::Home;
use crate::egress::Origin;

/// A site's own settings, checked; paths are absolute or relative to the working folder.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteConfig {
    /// Whom the agent calls.
    pub coordinator: CoordinatorConfig,
    /// Where the data lies.
    pub data: DataConfig,
    /// Where networks compute.
    pub device: DeviceChoice,
    /// What the manifest calls a study's columns.
    pub columns: Columns,
    /// What the owner allows.
    pub policy: Policy,
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Folder of downloaded weights.
    pub weights: PathBuf,
}

/// Whom the agent calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Its host and port.
    pub address: Address,
}

/// Where the data lies.
#[derive(Debug, Clone, PartialEq)]
pub struct DataConfig {
    /// The table of rows, as CSV.
    pub manifest: PathBuf,
    /// The folder that image paths are relative to.
    pub images: PathBuf,
    /// Who issues the patient keys.
    pub issuer: Issuer,
    /// More rows with problems than this share, 0 to 1, stop the site.
    pub problem_share: f64,
    /// Threads that read images.
    pub image_threads: Threads,
    /// Where the rows come from.
    pub origin: Origin,
}

/// Who issues the patient keys: patient 1 of two issuers are two people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Issuer {
    /// This site.
    Site,
    /// A name, such as that of a registry which several sites share.
    Named(String),
}

impl Issuer {
    /// The name that travels with a key.
    pub fn name<'a>(&'a self, site: &'a SiteId) -> &'a str {
        match self {
            Issuer::Site => site.as_str(),
            Issuer::Named(name) => name,
        }
    }
}

/// How many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One per core of the machine.
    PerCore,
    /// So many.
    Exactly(NonZeroUsize),
}

impl Threads {
    /// The number.
    pub fn count(self) -> usize {
        match self {
            Threads::PerCore => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Threads::Exactly(count) => count.get(),
        }
    }
}

/// What the manifest calls a study's columns; a column that isn't named has the study's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns(BTreeMap<String, String>);

impl Columns {
    /// From pairs of a study's column and the manifest's.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    /// The manifest's name of a study's column.
    pub fn header<'a>(&'a self, column: &'a str) -> &'a str {
        self.0.get(column).map_or(column, String::as_str)
    }
}

const ROOT: &[Key] = &[
    Key::section("coordinator"),
    Key::section("data"),
    Key::section("compute"),
    Key::section("columns"),
    Key::section("policy"),
    Key::section("cache"),
    Key::section("weights"),
];
const COORDINATOR: &[Key] = &[Key::value("address", "\"coordinator.example:443\"")];
const DATA: &[Key] = &[
    Key::value("manifest", "\"manifest.csv\""),
    Key::value("images", "\"images\""),
    Key::value("issuer", "\"registry\""),
    Key::value("problem_share", "0.05"),
    Key::value("image_threads", "4"),
    Key::value("synthetic", "true"),
];
const COMPUTE: &[Key] = &[Key::value("device", "\"auto\"")];
const POLICY: &[Key] = &[
    Key::value("minimum_cohort", "10"),
    Key::value("minimum_cell", "5"),
    Key::value("minimum_per_class_for_slice", "10"),
    Key::value("wide_sums", "\"secure-aggregation-only\""),
    Key::value("wide_share", "0.33"),
    Key::value("leave_one_site_out", "\"refused\""),
    Key::value("feature_rows", "\"refused\""),
    Key::value("per_site_metrics", "\"allowed\""),
    Key::value("own_model", "\"refused\""),
    Key::value("successive", "\"refused\""),
    Key::value("dominance", "0.5"),
];
const CACHE: &[Key] = &[Key::value("folder", "\"cache\"")];
const WEIGHTS: &[Key] = &[Key::value("cache", "\"cache/weights\"")];

impl SiteConfig {
    /// Reads the text of `site.toml`; relative paths in it start at the home folder.
    ///
    /// # Errors
    /// [`Mistakes`] lists every mistake with line, column and what would be right.
    pub fn parse(text: &str, home: &Home) -> Result<Self, Mistakes> {
        read::file(text, ROOT, |root| {
            let coordinator = root.section("coordinator", COORDINATOR).and_then(|t| {
                let address = t.required("address")?.parsed(str::parse)?;
                Some(CoordinatorConfig { address })
            });
            let data = root.section("data", DATA).and_then(|t| data(&t, home));
            let device = root.or("compute", DeviceChoice::Auto, |v| {
                v.table(COMPUTE)?.or("device", DeviceChoice::Auto, |v| v.parsed(str::parse))
            });
            let columns = root.or("columns", Columns::default(), columns);
            let policy = root.or("policy", Policy::default(), |v| policy(&v.table(POLICY)?));
            let cache = root.or("cache", home.cache(), |v| {
                v.table(CACHE)?.or("folder", home.cache(), |v| path(v, home))
            });
            let weights = match cache.clone() {
                Some(cache) => cache.join("weights"),
                None => home.cache().join("weights"),
            };
            let weights = root.or("weights", weights.clone(), |v| {
                v.table(WEIGHTS)?.or("cache", weights, |v| path(v, home))
            });
            Some(Self {
                coordinator: coordinator?,
                data: data?,
                device: device?,
                columns: columns?,
                policy: policy?,
                cache: cache?,
                weights: weights?,
            })
        })
    }
}

fn data(table: &Table<'_>, home: &Home) -> Option<DataConfig> {
    let manifest = table.required("manifest").and_then(|v| path(&v, home));
    let beside = manifest.as_deref().and_then(Path::parent).unwrap_or(home.folder());
    let images = table.or("images", beside.to_owned(), |v| path(v, home));
    let issuer = table.or("issuer", Issuer::Site, |v| v.text(1..=200).map(Issuer::Named));
    let problem_share = table.or("problem_share", 0.05, |v| v.number(0.0..=1.0));
    let image_threads = table.or("image_threads", Threads::PerCore, |v| {
        let count = v.integer(1u32..=1024)?;
        NonZeroUsize::new(count as usize).map(Threads::Exactly)
    });
    let origin = table.or("synthetic", Origin::Patients, |v| {
        Some(if v.boolean()? { Origin::Generator } else { Origin::Patients })
    });
    Some(DataConfig {
        manifest: manifest?,
        images: images?,
        issuer: issuer?,
        problem_share: problem_share?,
        image_threads: image_threads?,
        origin: origin?,
    })
}

fn path(value: &Value<'_>, home: &Home) -> Option<PathBuf> {
    value.text(1..=4096).map(|text| home.folder().join(text))
}

fn columns(value: &Value<'_>) -> Option<Columns> {
    let read: Vec<Option<(String, String)>> = value
        .named()?
        .into_iter()
        .map(|(column, header)| Some((column, header.text(1..=200)?)))
        .collect();
    let pairs: Option<Vec<_>> = read.into_iter().collect();
    pairs.map(Columns::new)
}

fn policy(table: &Table<'_>) -> Option<Policy> {
    let usual = Policy::default();
    let patients = |v: &Value<'_>| v.integer(1u32..=1_000_000_000).map(MinimumPatients::new);
    let consent = |v: &Value<'_>| v.choice(&words(Consent::ALL, Consent::code));
    let minimum_cohort = table.or("minimum_cohort", usual.minimum_cohort, patients);
    let minimum_cell = table.or("minimum_cell", usual.minimum_cell, patients);
    let slice = usual.minimum_per_class_for_slice;
    let minimum_per_class_for_slice = table.or("minimum_per_class_for_slice", slice, patients);
    let wide_sums =
        table.or("wide_sums", usual.wide_sums, |v| v.choice(&words(WideSums::ALL, WideSums::code)));
    let share = |v: &Value<'_>| match Share::new(v.number(0.0..=1.0)?) {
        Ok(share) => Some(share),
        Err(error) => v.refuse(error.to_string(), "write a number above 0 and up to 1"),
    };
    let wide_share = table.or("wide_share", usual.wide_share, share);
    let leave_one_site_out = table.or("leave_one_site_out", usual.leave_one_site_out, consent);
    let feature_rows = table.or("feature_rows", usual.feature_rows, |v| {
        v.choice(&words(FeatureRows::ALL, FeatureRows::code))
    });
    let per_site_metrics = table.or("per_site_metrics", usual.per_site_metrics, consent);
    let own_model = table.or("own_model", usual.own_model, consent);
    let successive = table.or("successive", usual.successive, consent);
    let dominance = table.or("dominance", usual.dominance, share);
    Some(Policy {
        minimum_cohort: minimum_cohort?,
        minimum_cell: minimum_cell?,
        minimum_per_class_for_slice: minimum_per_class_for_slice?,
        wide_sums: wide_sums?,
        wide_share: wide_share?,
        leave_one_site_out: leave_one_site_out?,
        feature_rows: feature_rows?,
        per_site_metrics: per_site_metrics?,
        own_model: own_model?,
        successive: successive?,
        dominance: dominance?,
    })
}

fn words<T: Copy>(all: &[T], code: impl Fn(T) -> &'static str) -> Vec<(&'static str, T)> {
    all.iter().map(|&word| (code(word), word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"
[coordinator]
address = "coordinator.example:8443"

[data]
manifest = "data/manifest.csv"
images = "/mnt/pictures"
issuer = "registry"
problem_share = 0.1
image_threads = 3
synthetic = true

[compute]
device = "cuda:1"

[columns]
diagnosis = "Diagnose"
"patient_id" = "Fall-Nr."

[policy]
minimum_cohort = 20
minimum_cell = 8
minimum_per_class_for_slice = 12
wide_sums = "allowed"
wide_share = 0.5
leave_one_site_out = "allowed"
feature_rows = "rows of single patients leave this hospital"
per_site_metrics = "refused"
own_model = "allowed"
successive = "allowed"
dominance = 0.8

[cache]
folder = "/scratch/features"

[weights]
cache = "weights"
"#;

    fn home() -> Home {
        Home::new("/home/site")
    }

    #[test]
    fn a_file_with_every_field_is_read() {
        let config = SiteConfig::parse(FULL, &home()).unwrap();
        assert_eq!(config.coordinator.address, "coordinator.example:8443".parse().unwrap());
        let data = DataConfig {
            manifest: "/home/site/data/manifest.csv".into(),
            images: "/mnt/pictures".into(),
            issuer: Issuer::Named("registry".into()),
            problem_share: 0.1,
            image_threads: Threads::Exactly(NonZeroUsize::new(3).unwrap()),
            origin: Origin::Generator,
        };
        assert_eq!(config.data, data);
        assert_eq!(config.device, DeviceChoice::Cuda(1));
        assert_eq!(config.columns.header("diagnosis"), "Diagnose");
        assert_eq!(config.columns.header("patient_id"), "Fall-Nr.");
        assert_eq!(config.columns.header("sex"), "sex");
        let policy = Policy {
            minimum_cohort: MinimumPatients::new(20),
            minimum_cell: MinimumPatients::new(8),
            minimum_per_class_for_slice: MinimumPatients::new(12),
            wide_sums: WideSums::Allowed,
            wide_share: Share::new(0.5).unwrap(),
            leave_one_site_out: Consent::Allowed,
            feature_rows: FeatureRows::Allowed,
            per_site_metrics: Consent::Refused,
            own_model: Consent::Allowed,
            successive: Consent::Allowed,
            dominance: Share::new(0.8).unwrap(),
        };
        assert_eq!(config.policy, policy);
        assert_eq!(config.cache, Path::new("/scratch/features"));
        assert_eq!(config.weights, Path::new("/home/site/weights"));
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let text = "[coordinator]\naddress = \"c:1\"\n[data]\nmanifest = \"/data/m.csv\"\n";
        let config = SiteConfig::parse(text, &home()).unwrap();
        let data = DataConfig {
            manifest: "/data/m.csv".into(),
            images: "/data".into(),
            issuer: Issuer::Site,
            problem_share: 0.05,
            image_threads: Threads::PerCore,
            origin: Origin::Patients,
        };
        assert_eq!(config.data, data);
        assert_eq!(config.data.issuer.name(&SiteId::parse("a").unwrap()), "a");
        assert!(config.data.image_threads.count() >= 1);
        assert_eq!(config.policy, Policy::default());
        assert_eq!(config.device, DeviceChoice::Auto);
        assert_eq!(config.columns, Columns::default());
        assert_eq!(config.cache, home().cache());
        assert_eq!(config.weights, home().cache().join("weights"));
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = r#"[coordinator]
adress = "c:1"
[data]
manifest = ""
problem_share = 5
[columns]
sex = 3
[policy]
minimum_cell = 0
wide_sums = "alowed"
wide_share = 0
feature_rows = "allowed"
[cash]
[compute]
device = "cuda0"
"#;
        let expected = r#"2:1: unknown key 'adress' in [coordinator]; did you mean 'address'? known here: address
4:12: data.manifest is empty; it must have 1 to 4096 characters
5:17: data.problem_share is 5; it must be 0 to 1
7:7: columns.sex is an integer; write a text in quotes
9:16: policy.minimum_cell is 0; it must be 1 to 1000000000
10:13: policy.wide_sums is "alowed"; did you mean "allowed"? it must be one of: refused, secure-aggregation-only, allowed
11:14: expected a share above 0 and at most 1, got 0; write a number above 0 and up to 1
12:16: policy.feature_rows is "allowed"; it must be one of: refused, rows of single patients leave this hospital
13:2: unknown key 'cash'; did you mean 'cache'? known here: [coordinator], [data], [compute], [columns], [policy], [cache], [weights]
15:10: compute.device is "cuda0"; 'cuda0' is no device; write auto, cpu, cuda, cuda:1 (the second GPU, and so on) or metal"#;
        assert_eq!(SiteConfig::parse(text, &home()).unwrap_err().to_string(), expected);
    }

    #[test]
    fn loading_says_which_file() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let error = SiteConfig::load(&home).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("can't read {}", home.site_file().display())),
            "{error}"
        );
        std::fs::write(home.site_file(), "x = 1").unwrap();
        let error = SiteConfig::load(&home).unwrap_err().to_string();
        assert!(error.contains("site.toml has mistakes:\n1:1: unknown key 'x'"), "{error}");
        std::fs::write(home.site_file(), FULL).unwrap();
        assert!(SiteConfig::load(&home).is_ok());
    }
}
