use wardround_core::clock::SystemClock;
use wardround_core::query::{Ask, FoldPlan, JudgedUnit, Labelling, Query, Schema, Weighting};
use wardround_core::seed::Seed;
use wardround_core::sum::Sum;
use wardround_proto::payload::Packed;

use super::*;
use crate::round::Ending;
use crate::store::NewStudy;

struct Nobody;

impl Listener for Nobody {
    fn progress(&self, _site: &SiteId, _progress: SiteProgress) {}
    fn answered(&self, _site: &SiteId, _outcome: &Outcome) {}
}

struct Setting {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    hub: Arc<Hub>,
    study: StudyId,
}

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(folder.path()).unwrap());
    let hub = Hub::new(store.clone(), Arc::new(SystemClock)).unwrap();
    let new = NewStudy {
        name: "A study".into(),
        toml: String::new(),
        sites: vec![site("a"), site("b")],
        by: "lea".parse().unwrap(),
        token: String::new(),
        parent: String::new(),
    };
    let (study, _) = store.add_study(&new, Timestamp(1)).unwrap();
    Setting { _folder: folder, store, hub, study }
}

fn query(study: &StudyId) -> Query {
    Query {
        study: study.clone(),
        sites: vec![site("a"), site("b")],
        schema: Schema {
            features: 2,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![],
        },
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
        ask: Ask::Profile { split: vec![] },
    }
}

fn ask(setting: &Setting, patience: Patience) -> Asked {
    let query = query(&setting.study);
    let locks = query.sites.iter().map(|s| (s.clone(), Digest::of(b"lock"))).collect();
    let work = Work::Ask { query: Box::new(query.clone()), locks };
    let listener = Arc::new(Nobody);
    setting.hub.ask(&setting.study, work, &query.sites, patience, listener).unwrap()
}

async fn poll(setting: &Setting, name: &str) -> Vec<v1::Task> {
    let request = v1::PollRequest { wait_ms: 50, ..Default::default() };
    setting.hub.poll(&site(name), request).await.unwrap().tasks
}

fn answer(setting: &Setting, name: &str, task: &v1::Task, patients: i64) -> v1::Submission {
    let query = query(&setting.study);
    let mut sum = Sum::zero(&query);
    sum.sites = vec![site(name)];
    sum.blocks[0][0] = patients;
    let sum = Some(Packed::new(&sum.encode()).message());
    let outcome = Some(v1::submission::Outcome::Answer(v1::Answer { sum }));
    v1::Submission { task: task.id.clone(), attempt: task.attempt, outcome }
}

#[tokio::test]
async fn a_round_hands_out_takes_in_and_ends() {
    let setting = setting();
    assert!(poll(&setting, "a").await.is_empty());
    let asked = ask(&setting, Patience::Endless);
    for (name, patients) in [("b", 3), ("a", 4)] {
        let tasks = poll(&setting, name).await;
        assert_eq!(tasks.len(), 1);
        let submission = answer(&setting, name, &tasks[0], patients);
        setting.hub.submit(&site(name), submission.clone()).await.unwrap();
        setting.hub.submit(&site(name), submission).await.unwrap();
    }
    let RoundEnd::Complete(outcomes) = asked.end().await else { panic!("not complete") };
    let patients = |(_, outcome): &(SiteId, Outcome)| match outcome {
        Outcome::Answer(sum) => sum.blocks[0][0],
        _ => panic!("no answer"),
    };
    assert_eq!(outcomes.iter().map(patients).collect::<Vec<_>>(), [4, 3]);
    assert_eq!(setting.store.traffic(&setting.study, &site("a")).unwrap()[3], 1);
}

#[tokio::test]
async fn stored_answers_count_after_a_restart() {
    let setting = setting();
    let asked = ask(&setting, Patience::Endless);
    let tasks = poll(&setting, "a").await;
    setting.hub.submit(&site("a"), answer(&setting, "a", &tasks[0], 4)).await.unwrap();
    drop(asked);
    let hub = Hub::new(setting.store.clone(), Arc::new(SystemClock)).unwrap();
    let setting = Setting { hub, ..setting };
    let asked = ask(&setting, Patience::Endless);
    assert!(poll(&setting, "a").await.is_empty());
    let tasks = poll(&setting, "b").await;
    setting.hub.submit(&site("b"), answer(&setting, "b", &tasks[0], 3)).await.unwrap();
    assert!(matches!(asked.end().await, RoundEnd::Complete(outcomes) if outcomes.len() == 2));
}

#[tokio::test]
async fn an_answer_of_another_site_or_shape_is_refused() {
    let setting = setting();
    let _asked = ask(&setting, Patience::Endless);
    let tasks = poll(&setting, "a").await;
    let foreign = answer(&setting, "b", &tasks[0], 4);
    let refused = setting.hub.submit(&site("a"), foreign).await.unwrap_err();
    assert!(refused.sentence.contains("must name it"), "{refused}");
    let verdict = v1::submission::Outcome::Verdict(v1::Verdict::default());
    let other = v1::Submission { outcome: Some(verdict), ..answer(&setting, "a", &tasks[0], 4) };
    assert!(setting.hub.submit(&site("a"), other).await.is_err());
    // The right one is still welcome.
    setting.hub.submit(&site("a"), answer(&setting, "a", &tasks[0], 4)).await.unwrap();
}

#[tokio::test]
async fn an_abort_a_failure_and_silence_end_a_round() {
    let setting = setting();
    let asked = ask(&setting, Patience::Endless);
    setting.hub.abort(&setting.study);
    assert!(matches!(asked.end().await, RoundEnd::Broken { ending: Ending::Aborted, .. }));

    let asked = ask(&setting, Patience::Endless);
    let tasks = poll(&setting, "a").await;
    let failure =
        v1::Failure { code: v1::FailureCode::LockBroken.into(), first: 2, ..Default::default() };
    let failure = v1::submission::Outcome::Failure(failure);
    let submission =
        v1::Submission { outcome: Some(failure), ..answer(&setting, "a", &tasks[0], 0) };
    setting.hub.submit(&site("a"), submission).await.unwrap();
    let end = asked.end().await;
    let RoundEnd::Broken { ending, outcomes } = end else { panic!("{end:?}") };
    assert_eq!(ending, Ending::SiteFailed { site: site("a") });
    assert!(
        matches!(&outcomes[0].1, Outcome::Failed(f) if f.sentence(&site("a")).contains("2 rows vanished"))
    );

    let asked = ask(&setting, Patience::Limited { ms: 1 });
    let end = asked.end().await;
    assert!(matches!(end, RoundEnd::Broken { ending: Ending::SiteLost { .. }, .. }), "{end:?}");
}

#[tokio::test]
async fn a_waiting_poll_wakes_when_a_round_starts() {
    let setting = setting();
    let hub = setting.hub.clone();
    let polling = tokio::spawn(async move {
        let request = v1::PollRequest { wait_ms: 20_000, ..Default::default() };
        hub.poll(&site("a"), request).await.unwrap().tasks.len()
    });
    tokio::task::yield_now().await;
    let _asked = ask(&setting, Patience::Endless);
    let woken = tokio::time::timeout(Duration::from_secs(10), polling).await;
    assert_eq!(woken.unwrap().unwrap(), 1);
}
