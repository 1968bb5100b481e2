//! A coordinator that hands out what a test says and remembers every body that arrives.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};
use wardround_core::digest::Digest;
use wardround_core::query::Query;
use wardround_core::sum::Sum;
use wardround_net::transfer::{CHUNK_BYTES, chunk_count};
use wardround_privacy::ledger::What;
use wardround_proto::payload::{Packed, PayloadHead, RAW_LIMIT, unpack};
use wardround_proto::v1;
use wardround_proto::v1::site_link_server::{SiteLink, SiteLinkServer};

/// How often a waiting poll looks for tasks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A body that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub what: What,
    pub bytes: u64,
    pub digest: Digest,
}

/// The pieces of a payload, as far as they are here.
type Pieces = Vec<Option<Vec<u8>>>;

/// The coordinator.
pub struct Coordinator {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    tasks: Mutex<Vec<v1::Task>>,
    outcomes: Mutex<HashMap<String, oneshot::Sender<v1::submission::Outcome>>>,
    work: Notify,
    next: AtomicU32,
    payloads: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    arriving: Mutex<HashMap<Vec<u8>, Pieces>>,
    seen: Mutex<Vec<Seen>>,
    failing: Mutex<Option<(Status, usize)>>,
    unwanted: AtomicBool,
}

impl State {
    /// Tasks that nobody is working on. They stay until their outcome is here: an agent that was stopped may have
    /// been given them.
    fn waiting(&self, working_on: &[String]) -> Vec<v1::Task> {
        let tasks = self.tasks.lock().unwrap();
        tasks.iter().filter(|task| !working_on.contains(&task.id)).cloned().collect()
    }

    fn over(&self, id: &str) {
        self.tasks.lock().unwrap().retain(|task| task.id != id);
    }
}

impl Coordinator {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let service = SiteLinkServer::new(Link(state.clone()));
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self { address, state }
    }

    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(self.address.clone()).unwrap().connect_lazy()
    }

    /// Hands out a task and waits for what becomes of it.
    pub async fn ask(&self, name: &str, work: v1::task::Work) -> v1::submission::Outcome {
        let outcome = self.hand_out(name, work);
        tokio::time::timeout(Duration::from_secs(60), outcome).await.unwrap().unwrap()
    }

    /// The same for another study than `s1`.
    pub async fn ask_of(
        &self,
        study: &str,
        name: &str,
        work: v1::task::Work,
    ) -> v1::submission::Outcome {
        let outcome = self.hand_out_of(study, name, work);
        tokio::time::timeout(Duration::from_secs(60), outcome).await.unwrap().unwrap()
    }

    /// Hands out a task.
    pub fn hand_out(
        &self,
        name: &str,
        work: v1::task::Work,
    ) -> oneshot::Receiver<v1::submission::Outcome> {
        self.hand_out_of("s1", name, work)
    }

    fn hand_out_of(
        &self,
        study: &str,
        name: &str,
        work: v1::task::Work,
    ) -> oneshot::Receiver<v1::submission::Outcome> {
        let id = format!(
            "{}-{}",
            name.replace(' ', "-"),
            self.state.next.fetch_add(1, Ordering::Relaxed)
        );
        let (sender, outcome) = oneshot::channel();
        self.state.outcomes.lock().unwrap().insert(id.clone(), sender);
        let study = study.into();
        let task = v1::Task { id, attempt: 1, study, lease_ms: 60_000, work: Some(work) };
        self.state.tasks.lock().unwrap().push(task);
        self.wake();
        outcome
    }

    /// Asks a question and unpacks its answer.
    pub async fn answer(&self, name: &str, query: &Query, lock: Digest) -> Sum {
        let outcome = self.ask_of(query.study.as_str(), name, self.question(query, lock)).await;
        let v1::submission::Outcome::Answer(answer) = outcome else { panic!("{outcome:?}") };
        let message = answer.sum.unwrap();
        let head = PayloadHead::read(&message, RAW_LIMIT).unwrap();
        let bytes = match message.inline.is_empty() {
            false => message.inline,
            true => self.state.payloads.lock().unwrap()[&message.digest].clone(),
        };
        Sum::decode(&unpack(&head, &bytes).unwrap()).unwrap()
    }

    /// A question; one that's too large to be inline waits to be fetched.
    pub fn question(&self, query: &Query, lock: Digest) -> v1::task::Work {
        let packed = Packed::new(&query.encode());
        let message = packed.message();
        self.state.payloads.lock().unwrap().insert(message.digest.clone(), packed.bytes.to_vec());
        let lock_digest = lock.as_bytes().to_vec();
        v1::task::Work::Ask(v1::Ask { query: Some(message), lock_digest })
    }

    /// The next polls fail.
    pub fn fail(&self, status: Status, times: usize) {
        *self.state.failing.lock().unwrap() = Some((status, times));
    }

    /// No task is wanted any more.
    pub fn lose_interest(&self) {
        self.state.unwanted.store(true, Ordering::Relaxed);
    }

    /// Ends a waiting poll.
    pub fn wake(&self) {
        self.state.work.notify_one();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }
}

struct Link(Arc<State>);

impl Link {
    fn note(&self, what: What, body: &impl Message) {
        let body = body.encode_to_vec();
        let seen = Seen { what, bytes: body.len() as u64, digest: Digest::of(&body) };
        self.0.seen.lock().unwrap().push(seen);
    }
}

#[tonic::async_trait]
impl SiteLink for Link {
    async fn poll(&self, r: Request<v1::PollRequest>) -> Result<Response<v1::PollReply>, Status> {
        let request = r.into_inner();
        self.note(What::Poll, &request);
        if let Some((status, times)) = &mut *self.0.failing.lock().unwrap()
            && *times > 0
        {
            *times -= 1;
            return Err(status.clone());
        }
        let deadline = Instant::now() + Duration::from_millis(u64::from(request.wait_ms));
        let tasks = loop {
            let tasks = self.0.waiting(&request.working_on);
            let failing =
                self.0.failing.lock().unwrap().as_ref().is_some_and(|(_, times)| *times > 0);
            if !tasks.is_empty() || failing || Instant::now() >= deadline {
                break tasks;
            }
            // The wake may go to the poll of an agent that was stopped.
            let _ = tokio::time::timeout(LOOK_AGAIN, self.0.work.notified()).await;
        };
        Ok(Response::new(v1::PollReply { tasks }))
    }

    async fn progress(
        &self,
        r: Request<v1::ProgressReport>,
    ) -> Result<Response<v1::ProgressReply>, Status> {
        self.note(What::Progress, r.get_ref());
        let go_on = !self.0.unwanted.load(Ordering::Relaxed);
        if !go_on {
            self.0.over(&r.get_ref().task);
        }
        Ok(Response::new(v1::ProgressReply { go_on }))
    }

    async fn submit(
        &self,
        r: Request<v1::Submission>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        use v1::submission::Outcome;
        let submission = r.into_inner();
        let outcome = submission.outcome.clone().unwrap();
        let what = match outcome {
            Outcome::Verdict(_) => What::Verdict,
            Outcome::Enlisted(_) => What::Enlisted,
            Outcome::Answer(_) => What::Answer,
            Outcome::Failure(_) => What::Failure,
            Outcome::Closed(_) => What::Closed,
        };
        self.note(what, &submission);
        self.0.over(&submission.task);
        let waiting = self.0.outcomes.lock().unwrap().remove(&submission.task);
        waiting.unwrap().send(outcome).unwrap();
        Ok(Response::new(v1::SubmitReply {}))
    }

    async fn get_chunk(
        &self,
        r: Request<v1::GetChunkRequest>,
    ) -> Result<Response<v1::Chunk>, Status> {
        let request = r.into_inner();
        self.note(What::GetChunk, &request);
        let payloads = self.0.payloads.lock().unwrap();
        let bytes = &payloads[&request.digest];
        let data = bytes.chunks(CHUNK_BYTES as usize).nth(request.index as usize).unwrap().to_vec();
        let (digest, size) = (request.digest.clone(), bytes.len() as u64);
        Ok(Response::new(v1::Chunk { digest, size, index: request.index, data }))
    }

    async fn missing_chunks(
        &self,
        r: Request<v1::MissingChunksRequest>,
    ) -> Result<Response<v1::MissingChunksReply>, Status> {
        let request = r.into_inner();
        self.note(What::MissingChunks, &request);
        if self.0.payloads.lock().unwrap().contains_key(&request.digest) {
            return Ok(Response::new(v1::MissingChunksReply { missing: vec![] }));
        }
        let count = chunk_count(request.size).unwrap();
        let mut arriving = self.0.arriving.lock().unwrap();
        let pieces = arriving.entry(request.digest).or_insert(vec![None; count as usize]);
        let missing = (0..count).filter(|&at| pieces[at as usize].is_none()).collect();
        Ok(Response::new(v1::MissingChunksReply { missing }))
    }

    async fn put_chunk(
        &self,
        r: Request<v1::Chunk>,
    ) -> Result<Response<v1::PutChunkReply>, Status> {
        let chunk = r.into_inner();
        self.note(What::Chunk, &chunk);
        let mut arriving = self.0.arriving.lock().unwrap();
        let pieces = arriving.get_mut(&chunk.digest).unwrap();
        pieces[chunk.index as usize] = Some(chunk.data);
        if let Some(whole) = pieces.iter().cloned().collect::<Option<Vec<_>>>() {
            self.0.payloads.lock().unwrap().insert(chunk.digest, whole.concat());
        }
        Ok(Response::new(v1::PutChunkReply {}))
    }

    async fn renew(&self, r: Request<v1::RenewRequest>) -> Result<Response<v1::JoinReply>, Status> {
        self.note(What::Renew, r.get_ref());
        Err(Status::unavailable("not now"))
    }

    async fn leave(
        &self,
        r: Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveReply>, Status> {
        self.note(What::Leave, r.get_ref());
        Ok(Response::new(v1::LeaveReply {}))
    }
}
