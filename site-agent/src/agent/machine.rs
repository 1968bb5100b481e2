//! The agent as a value: [`Machine::step`] takes an event and the time and returns effects. No IO, no
//! clock, no async.
//!
//! It always has one poll under way and, beside it, the tasks in hand:
//!
//! ```text
//! handed out ─▶ Fetching ─▶ Working ─▶ HandingIn ─▶ gone
//!      └── question inside ──▲   │
//!                                └─ no longer wanted, study closed ─▶ gone
//! ```
//!
//! A task that is handed out again while it is in hand only gets its new attempt number. Nothing of
//! this is kept on disk: after a crash the coordinator hands the task out again, and what was
//! finished before is found in the feature cache, the lock and the answer store.

use std::collections::BTreeMap;

use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_proto::payload::PayloadHead;
use wardround_proto::v1::FailureCode;

use super::task::{Duty, Question, Task};
use crate::answer::Work;
use crate::egress::{About, Errand, Failure, Outcome, Step};

/// At most one progress report per task within this time.
const TELL_EVERY_MS: i64 = 1000;

/// A coordinator that answers a poll with nothing sooner than this is asked more slowly.
const POLL_GAP_MS: i64 = 250;

/// Names a task.
pub type TaskId = String;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The coordinator answered a poll.
    Polled(Vec<Task>),
    /// A poll failed.
    PollFailed(Trouble),
    /// A question's packed pieces are here, unpacked; or they can't be had.
    Fetched(TaskId, Result<Vec<u8>, Failure>),
    /// A job got on.
    Moved(TaskId, Step),
    /// The coordinator says that a task is no longer wanted.
    NotWanted(TaskId),
    /// A job is finished.
    Finished(TaskId, Outcome),
    /// An outcome arrived, or was refused for good.
    HandedIn(TaskId),
    /// The certificate was renewed, or that failed; when to try next.
    Renewed(Timestamp),
    /// Time passed.
    Tick,
}

/// Why a poll failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The link or the coordinator's momentary state; it comes back.
    Passing,
    /// Trying again can't help: this site isn't known, isn't welcome, or can't keep its ledger.
    Lasting(String),
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask for work.
    Poll {
        /// After waiting so.
        pause: Pause,
        /// Tasks in hand.
        working_on: Vec<TaskId>,
    },
    /// Fetch a question's pieces.
    Fetch(Errand, PayloadHead),
    /// Unpack a question that came with its task; what comes of it is [`Event::Fetched`].
    Unpack(TaskId, PayloadHead, Vec<u8>),
    /// Hand a job to the worker.
    Work(TaskId, Work),
    /// Tell the coordinator how far a task is.
    Tell(Errand, Step),
    /// Hand in an outcome, as often as it takes.
    HandIn(Errand, Outcome),
    /// Stop whatever is under way for a task.
    Stop(TaskId),
    /// Renew the certificate.
    Renew,
    /// End the agent.
    Exit(String),
}

/// How long to wait before a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Not at all.
    None,
    /// For a moment.
    Moment,
    /// As the patience for broken links says.
    AfterFailure,
}

/// The agent.
#[derive(Debug)]
pub struct Machine {
    tasks: BTreeMap<TaskId, InHand>,
    polled: Timestamp,
    renewal: Renewal,
}

/// A task in hand.
#[derive(Debug)]
struct InHand {
    errand: Errand,
    lease_ms: i64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Fetching { lock: Digest },
    Working { progress: Told },
    HandingIn,
}

/// What the coordinator was told of a task.
#[derive(Debug)]
struct Told {
    latest: Option<Step>,
    at: Timestamp,
}

#[derive(Debug)]
enum Renewal {
    Due(Timestamp),
    UnderWay,
}

impl Machine {
    /// An agent that starts at `now`, whose certificate should be renewed at `renew_at`; and its
    /// first effects.
    pub fn start(now: Timestamp, renew_at: Timestamp) -> (Self, Vec<Effect>) {
        let renewal = Renewal::Due(renew_at);
        let mut machine = Self { tasks: BTreeMap::new(), polled: now, renewal };
        let mut effects = machine.renew_if_due(now);
        effects.push(machine.poll(Pause::None, now));
        (machine, effects)
    }

    /// Whether a task is in hand.
    pub fn is_busy(&self) -> bool {
        !self.tasks.is_empty()
    }

    /// Takes an event.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        match event {
            Event::Polled(tasks) => {
                let early = tasks.is_empty() && now.since_ms(self.polled) < POLL_GAP_MS;
                let pause = if early { Pause::Moment } else { Pause::None };
                let mut effects = self.renew_if_due(now);
                for task in tasks {
                    effects.extend(self.take(task, now));
                }
                effects.push(self.poll(pause, now));
                effects
            }
            Event::PollFailed(Trouble::Passing) => vec![self.poll(Pause::AfterFailure, now)],
            Event::PollFailed(Trouble::Lasting(why)) => vec![Effect::Exit(why)],
            Event::Fetched(id, fetched) => self.fetched(&id, fetched, now).into_iter().collect(),
            Event::Moved(id, step) => self.moved(&id, step, now).into_iter().collect(),
            Event::NotWanted(id) => match self.tasks.remove(&id) {
                Some(_) => vec![Effect::Stop(id)],
                None => Vec::new(),
            },
            Event::Finished(id, outcome) => match self.tasks.get_mut(&id) {
                Some(task) => vec![task.hand_in(outcome)],
                None => Vec::new(),
            },
            Event::HandedIn(id) => {
                self.tasks.remove(&id);
                Vec::new()
            }
            Event::Renewed(next) => {
                self.renewal = Renewal::Due(next);
                Vec::new()
            }
            Event::Tick => {
                let mut effects = self.renew_if_due(now);
                effects.extend(self.tasks.values_mut().filter_map(|task| task.remind(now)));
                effects
            }
        }
    }

    fn take(&mut self, task: Task, now: Timestamp) -> Vec<Effect> {
        let Task { errand, lease_ms, duty } = task;
        let id = errand.task.clone();
        if let Some(known) = self.tasks.get_mut(&id) {
            known.errand.attempt = errand.attempt;
            return Vec::new();
        }
        let study = errand.study.clone();
        let mut effects = Vec::new();
        let mut stage = Stage::Working { progress: Told { latest: None, at: now } };
        let first = match duty {
            Duty::Consider { study_toml, sites } => {
                Effect::Work(id.clone(), Work::Consider { study_toml, sites })
            }
            Duty::Enlist { study_toml } => {
                Effect::Work(id.clone(), Work::Enlist { study, study_toml })
            }
            Duty::Answer { head, question, lock } => {
                stage = Stage::Fetching { lock };
                match question {
                    Question::Inline(bytes) => Effect::Unpack(id.clone(), head, bytes),
                    Question::Remote => Effect::Fetch(errand.clone(), head),
                }
            }
            Duty::Close => {
                let of_study = self.tasks.iter().filter(|(_, task)| task.errand.study == study);
                effects.extend(of_study.map(|(id, _)| Effect::Stop(id.clone())));
                self.tasks.retain(|_, task| task.errand.study != study);
                Effect::Work(id.clone(), Work::Close { study })
            }
            Duty::NotUnderstood => {
                stage = Stage::HandingIn;
                let failure = Failure::Code(FailureCode::NotUnderstood, 0, 0);
                Effect::HandIn(errand.clone(), Outcome::Failure(failure))
            }
        };
        effects.push(first);
        self.tasks.insert(id, InHand { errand, lease_ms, stage });
        effects
    }

    fn fetched(
        &mut self,
        id: &str,
        fetched: Result<Vec<u8>, Failure>,
        now: Timestamp,
    ) -> Option<Effect> {
        let task = self.tasks.get_mut(id)?;
        let Stage::Fetching { lock } = task.stage else { return None };
        match fetched {
            Ok(query) => {
                task.errand.about = About::Query(Digest::of(&query));
                task.stage = Stage::Working { progress: Told { latest: None, at: now } };
                let study = task.errand.study.clone();
                Some(Effect::Work(id.to_owned(), Work::Answer { study, query, lock }))
            }
            Err(failure) => Some(task.hand_in(Outcome::Failure(failure))),
        }
    }

    fn moved(&mut self, id: &str, step: Step, now: Timestamp) -> Option<Effect> {
        let task = self.tasks.get_mut(id)?;
        let Stage::Working { progress } = &mut task.stage else { return None };
        let new_stage = progress.latest.is_none_or(|latest| latest.stage != step.stage);
        progress.latest = Some(step);
        if !new_stage && now.since_ms(progress.at) < TELL_EVERY_MS {
            return None;
        }
        progress.at = now;
        Some(Effect::Tell(task.errand.clone(), step))
    }

    fn poll(&mut self, pause: Pause, now: Timestamp) -> Effect {
        self.polled = now;
        Effect::Poll { pause, working_on: self.tasks.keys().cloned().collect() }
    }

    fn renew_if_due(&mut self, now: Timestamp) -> Vec<Effect> {
        match self.renewal {
            Renewal::Due(at) if now >= at => {
                self.renewal = Renewal::UnderWay;
                vec![Effect::Renew]
            }
            _ => Vec::new(),
        }
    }
}

impl InHand {
    fn hand_in(&mut self, outcome: Outcome) -> Effect {
        self.stage = Stage::HandingIn;
        Effect::HandIn(self.errand.clone(), outcome)
    }

    /// Repeats the latest step when the lease would run out otherwise.
    fn remind(&mut self, now: Timestamp) -> Option<Effect> {
        let Stage::Working { progress } = &mut self.stage else { return None };
        let step = progress.latest?;
        if now.since_ms(progress.at) < self.lease_ms / 3 {
            return None;
        }
        progress.at = now;
        Some(Effect::Tell(self.errand.clone(), step))
    }
}

#[cfg(test)]
mod tests {
    use wardround_core::ids::StudyId;
    use wardround_proto::payload::Packed;
    use wardround_proto::v1;

    use super::*;

    const LATER: Timestamp = Timestamp(i64::MAX);

    fn errand(id: &str, study: &str) -> Errand {
        let study = StudyId::parse(study).unwrap();
        Errand { task: id.into(), attempt: 1, study, about: About::Study }
    }

    fn task(id: &str, study: &str, duty: Duty) -> Task {
        Task { errand: errand(id, study), lease_ms: 9000, duty }
    }

    fn ask(id: &str, study: &str, question: Question) -> Task {
        let head = PayloadHead { digest: Digest::of(b"packed"), size: 6, raw_size: 5 };
        task(id, study, Duty::Answer { head, question, lock: Digest::of(b"lock") })
    }

    fn started() -> Machine {
        let (machine, effects) = Machine::start(Timestamp(0), LATER);
        assert_eq!(effects, [poll(Pause::None, &[])]);
        machine
    }

    fn poll(pause: Pause, working_on: &[&str]) -> Effect {
        Effect::Poll { pause, working_on: working_on.iter().map(ToString::to_string).collect() }
    }

    fn step_to(done: u64) -> Step {
        Step { stage: v1::Stage::Extracting, done, total: 100 }
    }

    #[test]
    fn a_question_goes_from_hand_out_to_hand_in() {
        let mut m = started();
        let effects = m.step(Event::Polled(vec![ask("t", "s", Question::Remote)]), Timestamp(500));
        assert!(matches!(&effects[0], Effect::Fetch(e, _) if e.task == "t"));
        assert_eq!(effects[1], poll(Pause::None, &["t"]));
        let effects = m.step(Event::Fetched("t".into(), Ok(b"query".to_vec())), Timestamp(600));
        let study = StudyId::parse("s").unwrap();
        let (query, lock) = (b"query".to_vec(), Digest::of(b"lock"));
        assert_eq!(effects, [Effect::Work("t".into(), Work::Answer { study, query, lock })]);
        let effects = m.step(Event::Finished("t".into(), Outcome::Closed), Timestamp(700));
        let about = About::Query(Digest::of(b"query"));
        let noted = Errand { about, ..errand("t", "s") };
        assert_eq!(effects, [Effect::HandIn(noted, Outcome::Closed)]);
        assert!(m.is_busy());
        assert_eq!(m.step(Event::HandedIn("t".into()), Timestamp(800)), []);
        assert!(!m.is_busy());
    }

    #[test]
    fn a_task_handed_out_again_is_not_done_twice() {
        let mut m = started();
        let packed = Packed::new(b"query");
        let inline = || ask("t", "s", Question::Inline(packed.bytes.to_vec()));
        assert_eq!(m.step(Event::Polled(vec![inline()]), Timestamp(500)).len(), 2);
        let mut again = inline();
        again.errand.attempt = 2;
        let effects = m.step(Event::Polled(vec![again]), Timestamp(1000));
        assert_eq!(effects, [poll(Pause::None, &["t"])]);
        m.step(Event::Fetched("t".into(), Ok(b"query".to_vec())), Timestamp(1000));
        let effects = m.step(Event::Finished("t".into(), Outcome::Closed), Timestamp(1100));
        assert!(matches!(&effects[..], [Effect::HandIn(e, _)] if e.attempt == 2));
    }

    #[test]
    fn a_question_that_cant_be_had_fails_with_its_code() {
        let mut m = started();
        m.step(Event::Polled(vec![ask("t", "s", Question::Remote)]), Timestamp(500));
        let failure = Failure::Code(FailureCode::Internal, 0, 0);
        let effects = m.step(Event::Fetched("t".into(), Err(failure.clone())), Timestamp(600));
        assert_eq!(effects, [Effect::HandIn(errand("t", "s"), Outcome::Failure(failure))]);
        // A second word on the same fetch changes nothing.
        assert_eq!(m.step(Event::Fetched("t".into(), Ok(vec![])), Timestamp(700)), []);
    }

    #[test]
    fn progress_is_told_once_a_second_and_before_the_lease_ends() {
        let mut m = started();
        let enlist = Duty::Enlist { study_toml: String::new() };
        m.step(Event::Polled(vec![task("t", "s", enlist)]), Timestamp(500));
        // Nothing to repeat before the first step.
        assert_eq!(m.step(Event::Tick, Timestamp(90_000)), []);
        let mut moved =
            |done, at| m.step(Event::Moved("t".into(), step_to(done)), Timestamp(at)).len();
        assert_eq!(moved(1, 100_000), 1);
        assert_eq!(moved(2, 100_500), 0);
        assert_eq!(moved(3, 101_000), 1);
        assert_eq!(moved(4, 101_100), 0);
        assert_eq!(m.step(Event::Tick, Timestamp(103_999)), []);
        let told = Effect::Tell(errand("t", "s"), step_to(4));
        assert_eq!(m.step(Event::Tick, Timestamp(104_000)), [told]);
        let other = Step { stage: v1::Stage::Answering, done: 0, total: 1 };
        let effects = m.step(Event::Moved("t".into(), other), Timestamp(104_001));
        assert_eq!(effects, [Effect::Tell(errand("t", "s"), other)]);
    }

    #[test]
    fn what_is_no_longer_wanted_is_stopped_and_its_result_ignored() {
        let mut m = started();
        let enlist = Duty::Enlist { study_toml: String::new() };
        m.step(Event::Polled(vec![task("t", "s", enlist)]), Timestamp(500));
        let effects = m.step(Event::NotWanted("t".into()), Timestamp(600));
        assert_eq!(effects, [Effect::Stop("t".into())]);
        assert_eq!(m.step(Event::Finished("t".into(), Outcome::Closed), Timestamp(700)), []);
        assert_eq!(m.step(Event::NotWanted("t".into()), Timestamp(800)), []);
    }

    #[test]
    fn closing_a_study_stops_its_tasks_only() {
        let mut m = started();
        let enlist = || Duty::Enlist { study_toml: String::new() };
        let tasks = vec![task("a", "s", enlist()), task("b", "other", enlist())];
        m.step(Event::Polled(tasks), Timestamp(500));
        let effects = m.step(Event::Polled(vec![task("c", "s", Duty::Close)]), Timestamp(1000));
        let study = StudyId::parse("s").unwrap();
        assert_eq!(
            effects,
            [
                Effect::Stop("a".into()),
                Effect::Work("c".into(), Work::Close { study }),
                poll(Pause::None, &["b", "c"]),
            ]
        );
    }

    #[test]
    fn a_broken_link_is_waited_for_and_a_refusal_ends_the_agent() {
        let mut m = started();
        let effects = m.step(Event::PollFailed(Trouble::Passing), Timestamp(1));
        assert_eq!(effects, [poll(Pause::AfterFailure, &[])]);
        let effects = m.step(Event::PollFailed(Trouble::Lasting("revoked".into())), Timestamp(2));
        assert_eq!(effects, [Effect::Exit("revoked".into())]);
    }

    #[test]
    fn a_coordinator_that_answers_with_nothing_at_once_isnt_asked_in_a_loop() {
        let mut m = started();
        let effects = m.step(Event::Polled(vec![]), Timestamp(10));
        assert_eq!(effects, [poll(Pause::Moment, &[])]);
        let effects = m.step(Event::Polled(vec![]), Timestamp(30_000));
        assert_eq!(effects, [poll(Pause::None, &[])]);
    }

    #[test]
    fn what_isnt_understood_is_said() {
        let mut m = started();
        let unknown = task("t", "s", Duty::NotUnderstood);
        let effects = m.step(Event::Polled(vec![unknown]), Timestamp(500));
        let failure = Failure::Code(FailureCode::NotUnderstood, 0, 0);
        assert_eq!(effects[0], Effect::HandIn(errand("t", "s"), Outcome::Failure(failure)));
    }

    #[test]
    fn the_certificate_is_renewed_once_when_due() {
        let (mut m, effects) = Machine::start(Timestamp(0), Timestamp(1000));
        assert_eq!(effects.len(), 1);
        assert_eq!(m.step(Event::Tick, Timestamp(1000)), [Effect::Renew]);
        assert_eq!(m.step(Event::Tick, Timestamp(2000)), []);
        m.step(Event::Renewed(Timestamp(5000)), Timestamp(2500));
        assert_eq!(m.step(Event::Tick, Timestamp(4999)), []);
        assert_eq!(m.step(Event::Tick, Timestamp(5000)), [Effect::Renew]);
    }
}
