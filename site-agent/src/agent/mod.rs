//! The agent: asks the coordinator for tasks, has them done by the worker, hands in what came of
//! them; through broken links and restarts, for as long as it runs.
//!
//! What it does next is decided by the pure [`machine`]; [`run`] performs the effects. Every effect
//! that waits for the network is a task of its own and comes back as an event, so that nothing
//! blocks the others.

pub mod machine;
pub mod task;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};
use wardround_core::clock::{Clock, Timestamp};
use wardround_net::client::ConnectError;
use wardround_net::pki::{Enrolled, Wallet};
use wardround_net::retry::{Policy as Patience, Retry, Transient};
use wardround_net::transfer::ChunkStore;
use wardround_proto::payload::{PayloadHead, unpack};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1::FailureCode;

use self::machine::{Effect, Event, Machine, Pause, TaskId, Trouble};
use self::task::Task;
use crate::answer::{Job, Report, Watch, Worker};
use crate::egress::{Egress, Errand, Failure, SendError};

/// How long the coordinator may hold a poll: well below the idle limit of common proxies.
const POLL_WAIT_MS: u32 = 25_000;

/// A poll that isn't answered this long after its wait is over is taken for lost.
const POLL_GRACE: Duration = Duration::from_secs(15);

/// How often time is looked at while a task is in hand.
const TICK_BUSY: Duration = Duration::from_millis(500);

/// How often time is looked at otherwise.
const TICK_IDLE: Duration = Duration::from_secs(60);

/// After a renewal failed it is tried again this much later.
const RENEW_AGAIN_MS: i64 = 15 * 60 * 1000;

/// Everything an agent needs.
pub struct Agent {
    /// The door.
    pub egress: Egress,
    /// The thread that does the work.
    pub worker: Worker,
    /// What it says.
    pub reports: UnboundedReceiver<Report>,
    /// Where large questions are put together.
    pub questions: ChunkStore,
    /// The site's key and certificate on disk.
    pub wallet: Wallet,
    /// The same in use.
    pub enrolled: Enrolled,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where this site computes: "cpu avx-512".
    pub device: String,
}

/// Why an agent ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Asked,
    /// The coordinator doesn't want it, or it can't keep its ledger: a sentence.
    Lasting(String),
}

/// Runs an agent until `stop` is ready or going on makes no sense. Whatever is under way then is
/// dropped: it is resumed at the next start.
pub async fn run(agent: Agent, stop: impl Future<Output = ()>) -> Ended {
    let Agent { egress, worker, mut reports, questions, wallet, enrolled, clock, device } = agent;
    let (events, mut happened) = unbounded_channel();
    let now = clock.now();
    let (mut machine, mut effects) = Machine::start(now, renew_at(now, &enrolled));
    let link =
        Link { egress: egress.clone(), questions, wallet, enrolled, clock: clock.clone(), events };
    let mut driver = Driver {
        link,
        worker,
        device,
        patience: Retry::new(Patience::PATIENT),
        under_way: HashMap::new(),
        calls: JoinSet::new(),
    };
    tokio::pin!(stop);
    let ended = 'running: loop {
        for effect in effects.drain(..) {
            if let Effect::Exit(why) = effect {
                break 'running Ended::Lasting(why);
            }
            driver.perform(effect);
        }
        // Finished calls are forgotten.
        while driver.calls.try_join_next().is_some() {}
        let tick = if machine.is_busy() { TICK_BUSY } else { TICK_IDLE };
        let event = tokio::select! {
            () = &mut stop => break Ended::Asked,
            Some(event) = happened.recv() => event,
            Some(report) = reports.recv() => match report {
                Report::Moved(id, step) => Event::Moved(id, step),
                Report::Finished(id, outcome) => Event::Finished(id, outcome),
            },
            () = tokio::time::sleep(tick) => Event::Tick,
        };
        if let Event::Polled(_) = event {
            driver.patience.reset();
        }
        if let Event::HandedIn(id) = &event {
            driver.under_way.remove(id);
        }
        effects = machine.step(event, clock.now());
    };
    driver.stop().await;
    egress.settled().await;
    ended
}

/// When two thirds of what is left of the certificate's life are over.
fn renew_at(now: Timestamp, enrolled: &Enrolled) -> Timestamp {
    now.plus_ms(enrolled.me.not_after.since_ms(now).max(0) / 3 * 2)
}

struct Driver {
    link: Link,
    worker: Worker,
    device: String,
    patience: Retry,
    /// What is under way for each task.
    under_way: HashMap<TaskId, UnderWay>,
    /// Every call that is under way.
    calls: JoinSet<()>,
}

/// What is under way for a task.
enum UnderWay {
    Network(AbortHandle),
    Job(Watch),
}

impl Driver {
    fn perform(&mut self, effect: Effect) {
        let link = self.link.clone();
        match effect {
            Effect::Poll { pause, working_on } => {
                let wait = match pause {
                    Pause::None => Duration::ZERO,
                    Pause::Moment => Duration::from_secs(1),
                    Pause::AfterFailure => self.patience.next_delay().unwrap_or(TICK_IDLE),
                };
                self.calls.spawn(link.poll(wait, self.device.clone(), working_on));
            }
            Effect::Fetch(errand, head) => {
                let id = errand.task.clone();
                let handle = self.calls.spawn(link.fetch(errand, head));
                self.under_way.insert(id, UnderWay::Network(handle));
            }
            Effect::Unpack(id, head, bytes) => {
                self.calls.spawn(link.unpack(id, head, bytes));
            }
            Effect::Work(id, work) => {
                let watch = self.worker.give(Job { id: id.clone(), work });
                self.under_way.insert(id, UnderWay::Job(watch));
            }
            Effect::Tell(errand, step) => {
                self.calls.spawn(async move {
                    let id = errand.task.clone();
                    match link.egress.progress(errand, step).await {
                        Ok(true) => {}
                        Ok(false) => link.say(Event::NotWanted(id)),
                        Err(error) => tracing::debug!(%error, "progress wasn't told"),
                    }
                });
            }
            Effect::HandIn(errand, outcome) => {
                let id = errand.task.clone();
                let handle = self.calls.spawn(async move {
                    match link.egress.hand_in(&errand, &outcome, Patience::PATIENT).await {
                        Ok(()) => {}
                        Err(error) => {
                            tracing::warn!(task = errand.task, %error, "an outcome wasn't taken");
                        }
                    }
                    link.say(Event::HandedIn(errand.task));
                });
                self.under_way.insert(id, UnderWay::Network(handle));
            }
            Effect::Stop(id) => {
                if let Some(under_way) = self.under_way.remove(&id) {
                    under_way.stop();
                }
            }
            Effect::Renew => {
                self.calls.spawn(link.renew());
            }
            // The loop ends before it comes here.
            Effect::Exit(_) => {}
        }
    }

    async fn stop(mut self) {
        self.under_way.drain().for_each(|(_, under_way)| under_way.stop());
        self.calls.shutdown().await;
    }
}

impl UnderWay {
    fn stop(self) {
        match self {
            UnderWay::Network(handle) => handle.abort(),
            UnderWay::Job(watch) => watch.stop(),
        }
    }
}

/// What the network effects share.
#[derive(Clone)]
struct Link {
    egress: Egress,
    questions: ChunkStore,
    wallet: Wallet,
    enrolled: Enrolled,
    clock: Arc<dyn Clock>,
    events: UnboundedSender<Event>,
}

impl Link {
    /// The loop that listens is gone only when the agent has ended.
    fn say(&self, event: Event) {
        let _ = self.events.send(event);
    }

    async fn poll(self, wait: Duration, device: String, working_on: Vec<TaskId>) {
        tokio::time::sleep(wait).await;
        let limit = Duration::from_millis(u64::from(POLL_WAIT_MS)) + POLL_GRACE;
        let polled =
            tokio::time::timeout(limit, self.egress.poll(POLL_WAIT_MS, device, working_on));
        let event = match polled.await {
            Ok(Ok(tasks)) => Event::Polled(tasks.into_iter().filter_map(read).collect()),
            Ok(Err(error)) => Event::PollFailed(trouble(&error)),
            Err(_) => Event::PollFailed(Trouble::Passing),
        };
        if let Event::PollFailed(Trouble::Passing) = event {
            tracing::info!("the coordinator isn't reached, trying again");
        }
        self.say(event);
    }

    async fn fetch(self, errand: Errand, head: PayloadHead) {
        let fetched = self.egress.fetch(&errand, &head, &self.questions, Patience::PATIENT).await;
        let id = errand.task;
        match fetched {
            Ok(()) => match self.questions.path(head.digest) {
                Ok(path) => {
                    let read = tokio::fs::read(path).await;
                    if let Err(error) = self.questions.remove(head.digest).await {
                        tracing::warn!(%error, "a question's pieces stay on disk");
                    }
                    match read {
                        Ok(bytes) => self.unpack(id, head, bytes).await,
                        Err(error) => self.not_had(id, &error),
                    }
                }
                Err(error) => self.not_had(id, &error),
            },
            Err(error) => self.not_had(id, &error),
        }
    }

    async fn unpack(self, id: TaskId, head: PayloadHead, bytes: Vec<u8>) {
        let unpacked = tokio::task::spawn_blocking(move || unpack(&head, &bytes)).await;
        match unpacked {
            Ok(Ok(query)) => self.say(Event::Fetched(id, Ok(query))),
            Ok(Err(error)) => self.not_had(id, &error),
            Err(error) => self.not_had(id, &error),
        }
    }

    fn not_had(&self, id: TaskId, error: &dyn std::fmt::Display) {
        tracing::error!(task = id, %error, "a question can't be had");
        self.say(Event::Fetched(id, Err(Failure::Code(FailureCode::Internal, 0, 0))));
    }

    async fn renew(self) {
        let next = match self.renewed().await {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(error, "the certificate isn't renewed yet");
                self.clock.now().plus_ms(RENEW_AGAIN_MS)
            }
        };
        self.say(Event::Renewed(next));
    }

    async fn renewed(&self) -> Result<Timestamp, String> {
        let request = self.wallet.request().map_err(|error| error.to_string())?;
        let reply = self.egress.renew(request).await.map_err(|error| error.to_string())?;
        let newer = self
            .wallet
            .accept(&reply.certificate_pem, &reply.ca_pem)
            .map_err(|error| error.to_string())?;
        self.enrolled.credentials.take_over(&newer.credentials);
        tracing::info!(until = newer.me.not_after.to_rfc3339(), "the certificate is renewed");
        Ok(renew_at(self.clock.now(), &newer))
    }
}

fn read(task: wardround_proto::v1::Task) -> Option<Task> {
    let read = Task::read(task);
    if read.is_none() {
        tracing::error!("the coordinator sent a task without a usable name or study");
    }
    read
}

/// Whether trying again can help after a failed poll.
fn trouble(error: &SendError) -> Trouble {
    let SendError::Status(status) = error else {
        return Trouble::Lasting(error.to_string());
    };
    if error.is_transient() {
        return Trouble::Passing;
    }
    if let Some(why) = ConnectError::of_status(status) {
        return Trouble::Lasting(why.to_string());
    }
    let problem = Problem::from(status);
    match problem.code {
        ProblemCode::Identity | ProblemCode::Forbidden => Trouble::Lasting(problem.sentence),
        // The coordinator's own defect may be mended while we wait.
        _ => {
            tracing::warn!(%error, "the coordinator answers with an error");
            Trouble::Passing
        }
    }
}
