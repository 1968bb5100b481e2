//! The thread that does the heavy work, one job after the other. It ends when its handle is dropped.

use std::sync::mpsc;
use std::thread;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::{Mode, Study};
use wardround_learn::study::BINS;
use wardround_privacy::judge::{Aggregation, CohortFacts, StudyDemand, judge_study};
use wardround_privacy::policy::{Policy, Rule};
use wardround_proto::v1::{FailureCode, Stage};

use super::{AnswerStore, Desk, OpenStudy, Watch};
use crate::egress::{Failure, Outcome, PackedAnswer, Step, Verdict};

/// Names a job for whoever gave it: the task's id.
pub type JobId = String;

/// A job for the worker.
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// What is to be done.
    pub work: Work,
}

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Would the site take part?
    Consider {
        /// The study file's text.
        study_toml: String,
        /// Sites of the study.
        sites: u16,
    },
    /// Freeze the cohort and compute its features.
    Enlist {
        /// The study.
        study: StudyId,
        /// The study file's text.
        study_toml: String,
    },
    /// Answer a question.
    Answer {
        /// The study.
        study: StudyId,
        /// The encoded query.
        query: Vec<u8>,
        /// The cohort it is for.
        lock: Digest,
    },
    /// Drop what is held of a study.
    Close {
        /// The study.
        study: StudyId,
    },
}

/// What the worker says.
#[derive(Debug)]
pub enum Report {
    /// How far a job is.
    Moved(JobId, Step),
    /// What became of a job.
    Finished(JobId, Outcome),
}

/// A handle to the worker's thread.
pub struct Worker {
    jobs: mpsc::Sender<(Job, Watch)>,
    reports: UnboundedSender<Report>,
}

impl Worker {
    /// Starts the thread. Its reports come out of the receiver.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        me: SiteId,
        policy: Policy,
        store: AnswerStore,
        desk: impl Desk,
    ) -> std::io::Result<(Self, UnboundedReceiver<Report>)> {
        let (jobs, queue) = mpsc::channel::<(Job, Watch)>();
        let (reports, heard) = unbounded_channel();
        let bench = Bench { me, policy, store, desk, open: None };
        let sender = reports.clone();
        thread::Builder::new().name("worker".into()).spawn(move || bench.run(queue, &sender))?;
        Ok((Self { jobs, reports }, heard))
    }

    /// Hands over a job; the watch stops it.
    pub fn give(&self, job: Job) -> Watch {
        let (reports, id) = (self.reports.clone(), job.id.clone());
        let watch = Watch::new(move |step| {
            // Nobody listens any more when the agent is stopping.
            let _ = reports.send(Report::Moved(id.clone(), step));
        });
        let id = job.id.clone();
        if self.jobs.send((job, watch.clone())).is_err() {
            tracing::error!("the worker's thread is gone");
            let failed = Outcome::Failure(Failure::Code(FailureCode::Internal, 0, 0));
            let _ = self.reports.send(Report::Finished(id, failed));
        }
        watch
    }
}

/// What the thread works with.
struct Bench<D> {
    me: SiteId,
    policy: Policy,
    store: AnswerStore,
    desk: D,
    /// At most one study is in memory; the next question of another one replaces it.
    open: Option<OpenStudy>,
}

impl<D: Desk> Bench<D> {
    fn run(mut self, queue: mpsc::Receiver<(Job, Watch)>, reports: &UnboundedSender<Report>) {
        while let Ok((Job { id, work }, watch)) = queue.recv() {
            if !watch.is_wanted() {
                let dropped = Outcome::Failure(Failure::Code(FailureCode::Internal, 0, 0));
                let _ = reports.send(Report::Finished(id, dropped));
                continue;
            }
            // A defect in one job must not take the agent down: what it held is dropped.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.work(work, &watch).unwrap_or_else(Outcome::Failure)
            }));
            let outcome = done.unwrap_or_else(|_| {
                self.open = None;
                Outcome::Failure(Failure::Code(FailureCode::Internal, 0, 0))
            });
            if reports.send(Report::Finished(id, outcome)).is_err() {
                return;
            }
        }
    }

    fn work(&mut self, work: Work, watch: &Watch) -> Result<Outcome, Failure> {
        match work {
            Work::Consider { study_toml, sites } => {
                let study = parse(&study_toml)?;
                self.consider(&study, sites, watch).map(Outcome::Verdict)
            }
            Work::Enlist { study, study_toml } => {
                // The cohort may be frozen anew: what is in memory may be another one.
                self.open = None;
                let parsed = parse(&study_toml)?;
                self.desk.enlist(&study, &parsed, &study_toml, watch).map(Outcome::Enlisted)
            }
            Work::Answer { study, query, lock } => {
                watch.moved(Step { stage: Stage::Answering, done: 0, total: 1 });
                let open = match self.open.take().filter(|open| open.study() == &study) {
                    Some(open) => open,
                    None => {
                        let cohort = self.desk.open(&study, watch)?;
                        OpenStudy::new(study, self.me.clone(), cohort, self.policy.minimum_cell)
                    }
                };
                let open = self.open.insert(open);
                let sum = open.answer(&query, lock, &self.policy, &self.store, watch)?;
                if !open.is_remembered() {
                    self.desk.answering(open.study())?;
                    open.remembered();
                }
                Ok(Outcome::Answer(PackedAnswer::new(&sum)))
            }
            Work::Close { study } => {
                if self.open.as_ref().is_some_and(|open| open.study() == &study) {
                    self.open = None;
                }
                self.desk.close(&study);
                if let Err(error) = self.store.clear(&study) {
                    tracing::warn!(%study, %error, "answers of a closed study stay on disk");
                }
                Ok(Outcome::Closed)
            }
        }
    }

    fn consider(&mut self, study: &Study, sites: u16, watch: &Watch) -> Result<Verdict, Failure> {
        let considered = self.desk.consider(study, watch)?;
        let widest = considered.features.iter().map(|&wide| study.widest_numbers_per_model(wide));
        let demand = StudyDemand {
            numbers_per_model: widest.max().unwrap_or(0),
            bins: BINS.count,
            folds: study.validation.folds,
            sites,
            leave_one_site_out: study.validation.leave_one_site_out,
            // Every study is judged within each site as well.
            per_site_metrics: true,
            feature_rows: study.federation.mode == Mode::FeatureRows,
            // Where rows leave, the coordinator grows trees of a site itself.
            own_models: study.federation.mode == Mode::Sums && study.asks_for_own_models(),
        };
        let patients = considered.counts.patients;
        let (of_rarest_class, aggregation) = (considered.of_rarest_class, Aggregation::Plain);
        let largest = considered.largest;
        let facts = CohortFacts { patients, of_rarest_class, aggregation, largest };
        let refusals = judge_study(&self.policy, &demand, &facts);
        for refusal in &refusals {
            tracing::info!(study = study.name, %refusal, "the study would be refused");
            if refusal.rule == Rule::Dominance {
                tracing::info!(rows = largest.of, of = largest.all, "the largest patient's");
            }
        }
        let (counts, features) = (considered.counts, considered.features);
        Ok(Verdict { refusals, counts, rows_to_extract: considered.rows_to_extract, features })
    }
}

fn parse(study_toml: &str) -> Result<Study, Failure> {
    Study::parse(study_toml).map_err(|mistakes| {
        tracing::error!(%mistakes, "the coordinator sent a study file that isn't understood here");
        Failure::Code(FailureCode::NotUnderstood, 0, 0)
    })
}
