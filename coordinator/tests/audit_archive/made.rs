//! Made-up studies, run in process over a store in a temporary folder.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;
use wardround::archive::{CaCertificate, export};
use wardround::outcome;
use wardround::store::{EnlistedSite, LostAttempt, NewStudy, Store, StudyJournal, StudyState};
use wardround_core::clock::{ManualClock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId, UserId};
use wardround_core::query::{Ask, Query};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_core::sum::{Sum, SumError};
use wardround_learn::cohort::{Cohort, CohortError};
use wardround_learn::recorded::Recorded;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};
use wardround_learn::study::{Silent, StudyError, run};
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
}

/// A store with a study that is done.
pub struct Made {
    pub _folder: tempfile::TempDir,
    pub store: Arc<Store>,
    pub study: StudyId,
}

impl Made {
    pub fn archive(&self) -> Vec<u8> {
        export(&self.store, &self.study, CaCertificate::LeftOut).unwrap()
    }
}

/// Enlists sites of a study that is submitted, and stops there.
pub fn submitted(toml: &str, sites: usize) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let names: Vec<SiteId> = (0..sites).map(site).collect();
    let new = NewStudy {
        name: Study::parse(toml).unwrap().name,
        toml: toml.into(),
        sites: names.clone(),
        by: UserId::parse("lea").unwrap(),
        token: String::new(),
        parent: String::new(),
    };
    let (study, _) = store.add_study(&new, Timestamp(1)).unwrap();
    for site in &names {
        store.set_enlisted(&study, site, &enlisted(toml, site)).unwrap();
    }
    Made { _folder: folder, store, study }
}

/// Runs the study on a table to its end.
pub fn done(sites: usize, fate: Fate) -> Made {
    done_with(HEART, sites, fate)
}

/// Runs a study to its end.
pub fn done_with(toml: &str, sites: usize, fate: Fate) -> Made {
    let made = submitted(toml, sites);
    let (store, id) = (&made.store, &made.study);
    let study = Study::parse(toml).unwrap();
    let journal =
        StudyJournal::new(store.clone(), Arc::new(ManualClock::at(Timestamp(2))), id.clone());
    let cohort = Recorded::new(Sites::new(store.clone(), sites, fate), journal);
    let schema = study.schema(FEATURES);
    let findings = loop {
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
            Err(error) => panic!("{error}"),
        }
    };
    outcome::finish(store, id, &study, &findings).unwrap();
    assert!(store.set_study_state(id, StudyState::Done, "", Timestamp(3)).unwrap());
    made
}

pub fn site(at: usize) -> SiteId {
    SiteId::parse(&format!("site-{at}")).unwrap()
}

fn enlisted(toml: &str, site: &SiteId) -> EnlistedSite {
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
        features: vec![FEATURES],
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

/// Sites whose answers are kept as the coordinator keeps them.
struct Sites {
    store: Arc<Store>,
    rows: Together,
    fate: Fate,
    asked: AtomicUsize,
}

impl Sites {
    fn new(store: Arc<Store>, sites: usize, fate: Fate) -> Self {
        Self { store, rows: Together(rows(sites)), fate, asked: AtomicUsize::new(0) }
    }
}

impl Cohort for Sites {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let last = site(self.rows.0.len() - 1);
        match self.fate {
            Fate::LosesASite { after } if asked >= after && query.sites.contains(&last) => {
                return Err(CohortError::SiteLost(last));
            }
            // The first look at the moments is as coarse as can be, so it is the second one.
            Fate::NeedsACoarserScale if matches!(query.ask, Ask::Moments { .. }) && asked == 2 => {
                let finest = query.layout().into_iter().max_by_key(|spec| spec.bits).unwrap();
                let (block, bits) = (finest.name, finest.bits);
                return Err(CohortError::Sum(SumError::OutOfRange { block, bits }));
            }
            _ => {}
        }
        for rows in &self.rows.0 {
            let site = rows.sites().remove(0);
            if query.sites.contains(&site) {
                let answer = rows.answer(query)?.encode();
                let (study, lock, time) = (&query.study, lock(&site), Timestamp(2));
                self.store
                    .put_answer(study, &site, &query.digest(), &lock, &answer, time)
                    .map_err(|error| CohortError::Journal(error.to_string()))?;
            }
        }
        self.rows.sum(query).await
    }
}
