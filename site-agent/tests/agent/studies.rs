//! What arrives is what the ledger says; what was finished is never computed twice; whatever breaks is
//! taken up again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wardround_core::clock::{Clock, SystemClock};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, Derivatives, Fill, FoldSet, Frame, LinearModel, LinearTerm, Query, RowSet, Scaler, SiteSet,
};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_net::pki::{Authority, Identity, SITE_LIFETIME, Wallet};
use wardround_net::transfer::{ChunkStore, Limits};
use wardround_privacy::ledger::{self, Durability, Ledger, What};
use wardround_privacy::policy::Policy;
use wardround_proto::v1;
use wardround_site::agent::{Agent, Ended, run};
use wardround_site::answer::{AnswerStore, Considered, Desk, LocalDesk, OpenCohort, Watch, Worker};
use wardround_site::config::{Home, SiteConfig};
use wardround_site::egress::{Egress, Enlisted, Failure, Origin, Step};
use wardround_site::features::Settled;
use wardround_vision::device::DeviceChoice;

use crate::coordinator::{Coordinator, Seen};

pub const STUDY: &str = r#"
format = 1
name = "Small"
seed = 1
[target]
column = "ill"
positive = ["yes"]
negative = ["no"]
[patient]
key = "key"
[table]
numeric = ["a", "b", "c"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 5
"#;

pub const PATIENTS: usize = 60;

fn me() -> SiteId {
    SiteId::parse("north").unwrap()
}

fn study() -> StudyId {
    StudyId::parse("s1").unwrap()
}

/// A site's folder: 60 patients, one of them without a value, one with an unknown label.
pub fn site(folder: &Path, policy: &str) -> Home {
    let home = Home::new(folder.join("site"));
    home.create().unwrap();
    let mut manifest = String::from("key,ill,a,b,c\n");
    for at in 0..PATIENTS {
        let ill = if at % 3 == 0 { "yes" } else { "no" };
        let uniform = |column: u8| Seed(5).uniform("test", &[&at.to_le_bytes(), &[column]]);
        manifest += &format!("p{at},{ill},{},{},{}\n", uniform(0), uniform(1), uniform(2));
    }
    manifest += "p60,perhaps,1,1,1\np61,no,,1,1\n";
    std::fs::write(home.folder().join("manifest.csv"), manifest).unwrap();
    let file = format!(
        "[coordinator]\naddress = \"localhost:1\"\n[data]\nmanifest = \"manifest.csv\"\n{policy}"
    );
    std::fs::write(home.site_file(), file).unwrap();
    home
}

/// A row more, of somebody who is ill.
pub fn admit(home: &Home, patient: &str, a: f64) {
    let path = home.folder().join("manifest.csv");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{manifest}{patient},yes,{a},0.5,0.5\n")).unwrap();
}

/// A running agent.
pub struct Running {
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Ended>,
}

impl Running {
    pub async fn stop(self) -> Ended {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap()
    }
}

pub fn start(home: &Home, coordinator: &Coordinator) -> Running {
    let config = SiteConfig::load(home).unwrap();
    let device = Settled { choice: DeviceChoice::Cpu, engine: "test".to_owned() };
    let desk = LocalDesk::new(home.clone(), config, me(), device, Origin::Patients);
    start_with(home, coordinator, desk)
}

fn start_with(home: &Home, coordinator: &Coordinator, desk: impl Desk) -> Running {
    let config = SiteConfig::load(home).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let wallet = Wallet::open(home.identity()).unwrap();
    let enrolled = wallet.load().unwrap_or_else(|_| {
        let ca = Authority::in_memory("Test", clock.now()).unwrap();
        let request = wallet.request().unwrap();
        let issued = ca.issue(&request, &Identity::Site(me()), SITE_LIFETIME, clock.now()).unwrap();
        wallet.accept(&issued.pem, &ca.certificate_pem()).unwrap()
    });
    let path = home.ledger().join("egress.jsonl");
    let (ledger, _) = Ledger::open(&path, Durability::Buffered).unwrap();
    let policy: Policy = config.policy.clone();
    let egress = Egress::new(ledger, clock.clone(), policy.clone(), coordinator.channel());
    let device = "test".to_owned();
    let (worker, reports) =
        Worker::start(me(), policy, AnswerStore::new(home.clone()), desk).unwrap();
    let limits = Limits { payload: 1 << 30, total: 1 << 30 };
    let questions = ChunkStore::open(home.cache().join("questions"), limits).unwrap();
    let agent = Agent { egress, worker, reports, questions, wallet, enrolled, clock, device };
    let (stop, asked) = oneshot::channel();
    let ended = tokio::spawn(run(agent, async {
        let _ = asked.await;
    }));
    Running { stop, ended }
}

fn query(ask: Ask) -> Query {
    let read = Study::parse(STUDY).unwrap();
    let sites = vec![me(), SiteId::parse("south").unwrap()];
    let query = Query {
        study: study(),
        sites,
        schema: read.schema(3),
        input: 0,
        folds: read.fold_plan(),
        ask,
    };
    query.check().unwrap();
    query
}

pub fn profile() -> Query {
    query(Ask::Profile { split: vec![] })
}

/// A question whose bytes, and answer, are too large for one message; `models` of 3 features.
fn logistic(models: u64, sites: SiteSet) -> Query {
    let term = |at: u64| {
        let weight = |column: u8| Seed(9).uniform("weights", &[&at.to_le_bytes(), &[column]]);
        let model = LinearModel {
            class: 1,
            scaler: Scaler::Folded,
            weights: vec![weight(0), weight(1), weight(2)],
            intercept: weight(3),
            fill: Fill::Complete,
        };
        LinearTerm::new(RowSet { repeat: 0, folds: FoldSet::all(5), sites }, model)
    };
    query(Ask::Logistic {
        frame: Arc::new(Frame::identity(3)),
        terms: (0..models).map(term).collect(),
        derivatives: Derivatives::Gradient,
        bits: 32,
    })
}

pub fn consider() -> v1::task::Work {
    let sites = vec!["north".into(), "south".into()];
    v1::task::Work::Consider(v1::Consider { study_toml: STUDY.into(), sites })
}

pub fn enlist() -> v1::task::Work {
    let sites = vec!["north".into(), "south".into()];
    v1::task::Work::Enlist(v1::Enlist { study_toml: STUDY.into(), sites })
}

async fn enlisted(coordinator: &Coordinator) -> Digest {
    let outcome = coordinator.ask("enlist", enlist()).await;
    let v1::submission::Outcome::Enlisted(enlisted) = outcome else { panic!("{outcome:?}") };
    assert_eq!((enlisted.patients, enlisted.rows), (PATIENTS as u64, PATIENTS as u64));
    assert_eq!((enlisted.set_aside, enlisted.synthetic), (2, false));
    assert_eq!(enlisted.features, [3]);
    let reasons: Vec<_> = enlisted.reasons.iter().map(|r| (r.reason.as_str(), r.rows)).collect();
    assert_eq!(reasons, [("unknown-label", 1), ("missing-value", 1)]);
    Digest::try_from(enlisted.lock_digest.as_slice()).unwrap()
}

/// Every body that arrived is a line of the ledger. A line without a body is possible only where the
/// stop cut a message off that nobody waits for.
fn compare(home: &Home, seen: &[Seen]) {
    let path = home.ledger().join("egress.jsonl");
    let mut noted: Vec<Seen> = ledger::entries(&path, vec![])
        .unwrap()
        .map(|entry| entry.unwrap().message)
        .map(|m| Seen { what: m.what, bytes: m.bytes, digest: m.digest })
        .collect();
    for body in seen {
        let line = noted.iter().position(|line| line == body);
        noted.swap_remove(line.unwrap_or_else(|| panic!("{body:?} isn't in the ledger")));
    }
    assert!(noted.iter().all(|m| matches!(m.what, What::Poll | What::Progress)), "{noted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_from_verdict_to_close() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "[policy]\nwide_sums = \"allowed\"\n");
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);

    let outcome = coordinator.ask("consider", consider()).await;
    let v1::submission::Outcome::Verdict(verdict) = outcome else { panic!("{outcome:?}") };
    assert_eq!((verdict.refusals, verdict.patients), (vec![], PATIENTS as u64));
    assert_eq!(verdict.policy.unwrap().wide_sums, "allowed");

    let lock = enlisted(&coordinator).await;
    let query = profile();
    let sum = coordinator.answer("profile", &query, lock).await;
    assert_eq!(sum.sites, [me()]);
    assert_eq!(sum.counts(&query, "patients"), Some(&[PATIENTS as i64][..]));
    assert_eq!(sum.counts(&query, "rows_by_class"), Some(&[40, 20][..]));

    // In pieces, there and back.
    let query = logistic(40_000, SiteSet::All);
    let sum = coordinator.answer("logistic", &query, lock).await;
    sum.check(&query).unwrap();
    let seen = coordinator.seen();
    assert!(seen.iter().filter(|s| s.what == What::Chunk).count() >= 2, "the answer is one piece");
    assert!(seen.iter().filter(|s| s.what == What::GetChunk).count() >= 2);

    let outcome =
        coordinator.ask("close", v1::task::Work::Close(v1::Close { why: "done".into() })).await;
    assert!(matches!(outcome, v1::submission::Outcome::Closed(_)));
    assert!(!home.study(&study()).join("answers").exists());
    assert_eq!(agent.stop().await, Ended::Asked);
    compare(&home, &coordinator.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owners_rules_hold_before_and_during_a_study() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "");
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);
    let outcome = coordinator.ask("consider", consider()).await;
    let v1::submission::Outcome::Verdict(verdict) = outcome else { panic!("{outcome:?}") };
    let rules: Vec<_> = verdict.refusals.iter().map(|r| (r.rule.as_str(), r.allowed)).collect();
    // 4 numbers are fewer than 0.33 x 60, the score histograms aren't. 20 of the rarer class are 4 a fold.
    assert_eq!(rules, [("wide_sums", 19), ("minimum_fold", 5)]);
    // A coordinator that goes on all the same is refused question by question.
    let lock = enlisted(&coordinator).await;
    let left_out = logistic(1, SiteSet::Without(0));
    let outcome = coordinator.ask("left out", coordinator.question(&left_out, lock)).await;
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code(), v1::FailureCode::Refused);
    assert_eq!(failure.refusal.unwrap().rule, "minimum_sites");
    // Of another cohort, of another study, or nonsense.
    let outcome =
        coordinator.ask("other lock", coordinator.question(&profile(), Digest::of(b"other"))).await;
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code(), v1::FailureCode::NotEnlisted);
    let mut foreign = profile();
    foreign.study = StudyId::parse("s2").unwrap();
    let outcome = coordinator.ask("foreign", coordinator.question(&foreign, lock)).await;
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code(), v1::FailureCode::NotUnderstood);
    agent.stop().await;
    compare(&home, &coordinator.seen());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_answer_is_resent_after_a_restart_and_a_changed_cohort_is_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "");
    let coordinator = Coordinator::start().await;
    let agent = start(&home, &coordinator);
    let lock = enlisted(&coordinator).await;
    let first = coordinator.answer("first", &profile(), lock).await;
    agent.stop().await;

    // The stored bytes are what is sent: a mark in them comes through.
    let digest = profile().digest();
    let store = AnswerStore::new(home.clone());
    let mut marked = store.find(&study(), lock, digest).unwrap().unwrap();
    assert_eq!(marked, first);
    marked.blocks[0][0] = 12_345;
    store.keep(&study(), lock, &marked).unwrap();
    let agent = start(&home, &coordinator);
    assert_eq!(coordinator.answer("again", &profile(), lock).await, marked);
    agent.stop().await;

    // A frozen patient's value changes: the site stops answering and says how many.
    let path = home.folder().join("manifest.csv");
    let manifest = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, manifest.replacen("p0,yes,", "p0,yes,9", 1)).unwrap();
    let agent = start(&home, &coordinator);
    let outcome = coordinator.ask("broken", coordinator.question(&profile(), lock)).await;
    let v1::submission::Outcome::Failure(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (failure.code(), failure.first, failure.second),
        (v1::FailureCode::LockBroken, 0, 1)
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_link_is_waited_for_and_a_lasting_refusal_ends_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "");
    let coordinator = Coordinator::start().await;
    coordinator.fail(tonic::Status::unavailable("restarting"), 3);
    let agent = start(&home, &coordinator);
    enlisted(&coordinator).await;
    coordinator.fail(
        wardround_proto::problem::Problem::new(
            wardround_proto::problem::ProblemCode::Identity,
            "this site is revoked",
        )
        .into(),
        usize::MAX,
    );
    coordinator.wake();
    let ended = tokio::time::timeout(Duration::from_secs(60), agent.ended).await.unwrap().unwrap();
    assert_eq!(ended, Ended::Lasting("this site is revoked".into()));
}

/// A desk that enlists until it is told to stop.
struct Endless(Option<oneshot::Sender<()>>);

impl Desk for Endless {
    fn consider(&mut self, _: &Study, _: &Watch) -> Result<Considered, Failure> {
        Err(Failure::Code(v1::FailureCode::Internal, 0, 0))
    }

    fn enlist(
        &mut self,
        _: &StudyId,
        _: &Study,
        _: &str,
        watch: &Watch,
    ) -> Result<Enlisted, Failure> {
        while watch.is_wanted() {
            watch.moved(Step { stage: v1::Stage::Extracting, done: 1, total: 2 });
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.take().unwrap().send(()).unwrap();
        Err(Failure::Code(v1::FailureCode::Internal, 0, 0))
    }

    fn open(&mut self, _: &StudyId, _: &Watch) -> Result<OpenCohort, Failure> {
        Err(Failure::Code(v1::FailureCode::NotEnlisted, 0, 0))
    }

    fn answering(&mut self, _: &StudyId) -> Result<(), Failure> {
        Ok(())
    }

    fn close(&mut self, _: &StudyId) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_isnt_wanted_any_more_stops() {
    let folder = tempfile::tempdir().unwrap();
    let home = site(folder.path(), "");
    let coordinator = Coordinator::start().await;
    let (sender, stopped) = oneshot::channel();
    let agent = start_with(&home, &coordinator, Endless(Some(sender)));
    let mut outcome = coordinator.hand_out("endless", enlist());
    while !coordinator.seen().iter().any(|seen| seen.what == What::Progress) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    coordinator.lose_interest();
    tokio::time::timeout(Duration::from_secs(60), stopped).await.unwrap().unwrap();
    // What came of it isn't handed in.
    let next = coordinator.ask("next", consider()).await;
    assert!(matches!(next, v1::submission::Outcome::Failure(_)));
    assert!(outcome.try_recv().is_err());
    agent.stop().await;
}
