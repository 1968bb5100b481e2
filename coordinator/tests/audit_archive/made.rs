//! Made-up studies, run in process over a store in a temporary folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use wardround::archive::{SignedBy, export};
use wardround::outcome;
use wardround::store::{
    EnlistedSite, Invitee, LostAttempt, NewCertificate, NewStudy, Spent, Store, StoreError,
    StudyJournal, StudyState,
};
use wardround_core::clock::{ManualClock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{Role, SiteId, StudyId, UserId};
use wardround_core::query::{Ask, Query};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::recorded::{Keep, Recorded};
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};
use wardround_learn::study::{Silent, StudyError, run};
use wardround_net::pki::{Authority, Identity, SITE_LIFETIME, Wallet};
use wardround_privacy::policy::Policy;

/// The study file, heart-like.
pub const HEART: &str = r#"format = 1
name = "Heart, made up"
seed = 7

[target]
column = "target"
positive = [1]
negative = [0]

[patient]
key = "patient_id"

[table]
numeric = ["age", "chol", "thalach", "oldpeak"]
missing = "drop"

[classifier]
kind = "logistic"
c = [0.1, 1.0]

[validation]
folds = 3
leave_one_site_out = false
"#;

/// The same with another classifier.
pub fn with_classifier(classifier: &str) -> String {
    HEART.replace("kind = \"logistic\"\nc = [0.1, 1.0]", classifier)
}

/// Boosted trees of two depths, so that fits part company.
pub fn boosted() -> String {
    with_classifier("kind = \"boosting\"\ntrees = [4]\ndepth = [2, 3]\nmin_patients = [5]")
}

/// A random forest.
pub fn forest() -> String {
    with_classifier("kind = \"forest\"\ntrees = [5]\ndepth = [4]\nmin_patients = [5]\ncolumns = 3")
}

const FEATURES: u32 = 4;

/// The same on images; their features are made up too.
pub fn on_images() -> String {
    let (head, rest) = HEART.split_once("[table]").unwrap();
    let (_, tail) = rest.split_once("[classifier]").unwrap();
    format!("{head}[images]\nbackbone = \"resnet18\"\n\n[classifier]{tail}")
}

/// What befalls a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Smooth,
    /// The last site is lost after some questions.
    LosesASite {
        after: usize,
    },
    /// Moments at the finest scale are out of range, once.
    NeedsACoarserScale,
    /// The coordinator is killed again and again, each time after so many questions that it asked.
    KilledOften {
        after: usize,
    },
}

/// A store with a study that is done.
pub struct Made {
    pub _folder: tempfile::TempDir,
    pub store: Arc<Store>,
    pub study: StudyId,
}

impl Made {
    pub fn archive(&self) -> Vec<u8> {
        export(&self.store, &self.study, SignedBy::Nobody).unwrap().bytes
    }
}

/// Enlists sites of a study that is submitted, and stops there.
pub fn submitted(toml: &str, sites: usize) -> Made {
    submitted_after(&[], toml, sites)
}

/// The same after earlier versions of its file, each cloned from the one before; those failed.
fn submitted_after(versions: &[&str], toml: &str, sites: usize) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let names: Vec<SiteId> = (0..sites).map(site).collect();
    let add = |toml: &str, parent: String| {
        let new = NewStudy {
            name: Study::parse(toml).unwrap().name,
            toml: toml.into(),
            sites: names.clone(),
            by: UserId::parse("lea").unwrap(),
            token: String::new(),
            parent,
        };
        store.add_study(&new, Timestamp(1)).unwrap().0
    };
    let mut parent = String::new();
    for version in versions {
        let study = add(version, parent);
        store.set_study_state(&study, StudyState::Failed, "too few rows", Timestamp(1)).unwrap();
        parent = study.into();
    }
    let study = add(toml, parent);
    for site in &names {
        store.set_enlisted(&study, site, &enlisted(toml, site)).unwrap();
    }
    Made { _folder: folder, store, study }
}

/// A study with all that an archive can hold: earlier versions of its file, and certificates of its sites and of who
/// submitted it, one of them from after it ended.
pub fn with_everything(authority: &Authority) -> Made {
    let first = HEART.replace("c = [0.1, 1.0]", "c = [0.1]");
    let second = HEART.replace("folds = 3", "folds = 4");
    // Few draws: they are most of an archive's bytes.
    let last = HEART.replace("folds = 3", "folds = 3\nbootstrap = 100");
    let made = submitted_after(&[&first, &second], &last, 3);
    let lea = UserId::parse("lea").unwrap();
    enrol(&made.store, authority, Invitee::User(lea, Role::Lead), Timestamp(1));
    for at in 0..2 {
        enrol(&made.store, authority, Invitee::Site(site(at)), Timestamp(1));
    }
    let day = 24 * 3600 * 1000;
    enrol(&made.store, authority, Invitee::Site(site(1)), Timestamp(day));
    enrol(&made.store, authority, Invitee::Site(site(9)), Timestamp(1));
    finish(&made, rows(3), FEATURES, Fate::Smooth, Keep::Decisions);
    made
}

fn enrol(store: &Store, authority: &Authority, invitee: Invitee, at: Timestamp) {
    let folder = tempfile::tempdir().unwrap();
    let request = Wallet::open(folder.path()).unwrap().request().unwrap();
    let identity = match &invitee {
        Invitee::Site(site) => Identity::Site(site.clone()),
        Invitee::User(name, role) => Identity::User { name: name.clone(), role: *role },
    };
    let issued = authority.issue(&request, &identity, SITE_LIFETIME, at).unwrap();
    let serial = issued.peer.serial.to_string();
    let token = Digest::of(serial.as_bytes());
    let not_after = issued.peer.not_after;
    let certificate = NewCertificate { serial: &serial, not_after, pem: &issued.pem };
    store.add_invite(&token, &invitee, at).unwrap();
    let spent = store.enrol(&token, &token, certificate, "0.1.0", at).unwrap();
    assert_eq!(spent, Spent::Accepted(invitee));
}

/// Runs the study on a table to its end.
pub fn done(sites: usize, fate: Fate) -> Made {
    done_with(HEART, sites, fate)
}

/// Runs a study to its end.
pub fn done_with(toml: &str, sites: usize, fate: Fate) -> Made {
    done_keeping(toml, sites, fate, Keep::Decisions)
}

/// Runs a study to its end, with a choice of what its journal keeps of trees.
pub fn done_keeping(toml: &str, sites: usize, fate: Fate, keep: Keep) -> Made {
    let made = submitted(toml, sites);
    finish(&made, rows(sites), FEATURES, fate, keep);
    made
}

/// Runs a study that is submitted to its end, on these rows.
pub fn finish(made: &Made, rows: Vec<Rows>, features: u32, fate: Fate, keep: Keep) {
    let (store, id) = (&made.store, &made.study);
    let study = Study::parse(&store.study(id).unwrap().unwrap().toml).unwrap();
    let sites = Sites::new(store.clone(), rows, fate);
    let schema = study.schema(features);
    let findings = loop {
        let clock = Arc::new(ManualClock::at(Timestamp(2)));
        let journal = StudyJournal::new(store.clone(), clock, id.clone());
        let cohort = Recorded::new(&sites, journal, keep);
        let left = store.study_sites(id).unwrap();
        let names: Vec<SiteId> = left.into_iter().map(|(site, _)| site).collect();
        match block_on(run(&cohort, &study, id, &names, std::slice::from_ref(&schema), &Silent)) {
            Ok(findings) => break findings,
            Err(StudyError::Cohort(CohortError::SiteLost(lost))) => {
                let round = store.journal_head(id).unwrap().map_or(0, |(line, _)| line);
                let reason = "silent".to_owned();
                let lost = LostAttempt { attempt: 1, sites: names, lost, round, reason };
                store.lose_site(id, &lost).unwrap();
            }
            // Killed: all that is left is in the store.
            Err(StudyError::Cohort(CohortError::Aborted)) => {}
            Err(error) => panic!("{error}"),
        }
    };
    outcome::finish(store, id, &study, &findings).unwrap();
    assert!(store.set_study_state(id, StudyState::Done, "", Timestamp(3)).unwrap());
}

pub fn site(at: usize) -> SiteId {
    SiteId::parse(&format!("site-{at}")).unwrap()
}

fn enlisted(toml: &str, site: &SiteId) -> EnlistedSite {
    enlisted_with(toml, site, FEATURES)
}

/// What a site of so many features says when it froze its cohort.
pub fn enlisted_with(toml: &str, site: &SiteId, features: u32) -> EnlistedSite {
    let (weights, preprocess) = match toml.contains("[images]") {
        true => {
            let weights = Digest::of(b"weights").to_string();
            let preprocess = r#"{"std": [0.30000000000000004], "crop": {"b": 1, "a": 2}}"#;
            (vec![weights], vec![preprocess.to_owned()])
        }
        false => (vec![], vec![]),
    };
    EnlistedSite {
        lock: lock(site),
        features: vec![features],
        patients: 70,
        rows: 70,
        set_aside: 0,
        filtered_out: 0,
        rows_with_missing: 0,
        weights,
        preprocess,
        device: "none".into(),
        policy: Policy::default(),
        reasons: vec![],
        synthetic: true,
        dominated: vec![],
        software: "0.1.0".into(),
    }
}

fn lock(site: &SiteId) -> Digest {
    Digest::of(site.as_str().as_bytes())
}

/// About 70 patients per site, one row each; age, cholesterol, heart rate and ST depression.
fn rows(sites: usize) -> Vec<Rows> {
    let draw = |what: &str, n: usize| Seed(3).uniform(what, &[&n.to_le_bytes()]);
    let mut builder = RowsBuilder::new(Study::parse(HEART).unwrap().schema(FEATURES));
    for n in 0..70 * sites {
        let site = site(n % sites);
        let age = (30.0 + 45.0 * draw("age", n)).round();
        let chol = (160.0 + 180.0 * draw("chol", n) + 10.0 * (n % sites) as f64).round();
        let thalach = (200.0 - 0.9 * age - 50.0 * draw("thalach", n)).round();
        let oldpeak = (40.0 * draw("oldpeak", n) * draw("flat", n)).round() / 10.0;
        let risk = 0.05 * (age - 52.0) - 0.04 * (thalach - 130.0) + 0.7 * (oldpeak - 1.0);
        let class = u8::from(draw("target", n) < 1.0 / (1.0 + (-risk).exp()));
        let patient = Patient { issuer: site.to_string(), site, key: format!("p{n:03}") };
        builder.add(patient, class, &[], &[age, chol, thalach, oldpeak]).unwrap();
    }
    builder.build().unwrap().by_site()
}

/// Sites whose answers are kept, and found again, as the coordinator does.
struct Sites {
    store: Arc<Store>,
    rows: Together,
    fate: Fate,
    asked: AtomicUsize,
}

impl Sites {
    fn new(store: Arc<Store>, rows: Vec<Rows>, fate: Fate) -> Self {
        Self { store, rows: Together(rows), fate, asked: AtomicUsize::new(0) }
    }

    fn befalls(&self, query: &Query, asked: usize) -> Result<(), CohortError> {
        let last = site(self.rows.0.len() - 1);
        match self.fate {
            Fate::LosesASite { after } if asked >= after && query.sites.contains(&last) => {
                Err(CohortError::SiteLost(last))
            }
            // The first look at the moments is as coarse as can be, so it is the second one.
            Fate::NeedsACoarserScale if matches!(query.ask, Ask::Moments { .. }) && asked == 2 => {
                let finest = query.layout().into_iter().max_by_key(|spec| spec.bits).unwrap();
                let (block, bits) = (finest.name, finest.bits);
                Err(CohortError::Sum(SumError::OutOfRange { block, bits }))
            }
            Fate::KilledOften { after } if asked % after == after - 1 => Err(CohortError::Aborted),
            _ => Ok(()),
        }
    }
}

impl Cohort for Sites {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let failed = |error: StoreError| CohortError::Journal(error.to_string());
        let mut total = Sum::zero(query);
        let (study, digest) = (&query.study, query.digest());
        for site in &query.sites {
            if let Some(answer) = self.store.answer(study, site, &digest).map_err(failed)? {
                total.add(&answer, query)?;
            }
        }
        if total.sites == query.sites {
            return Ok(total);
        }
        self.befalls(query, self.asked.fetch_add(1, Ordering::SeqCst))?;
        for rows in &self.rows.0 {
            let site = rows.sites().remove(0);
            if query.sites.contains(&site) {
                let answer = rows.answer(query)?.encode();
                let (lock, time) = (lock(&site), Timestamp(2));
                self.store
                    .put_answer(study, &site, &digest, &lock, &answer, time)
                    .map_err(failed)?;
            }
        }
        self.rows.sum(query).await
    }
}
