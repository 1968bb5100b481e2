//! The one door: everything that leaves a site is a variant of [`Outgoing`] and is sent here, by the
//! only file that names the client stubs.
//!
//! A message is noted in the hash-chained ledger (kind, reason, length, digest) *before* it is sent;
//! if the line can't be written, nothing is sent. The digest is of the message's protobuf bytes, which
//! the stub sends as they are: protobuf without maps has one encoding, and gRPC compression is off.
//! Each try is a line of its own.
//!
//! Outcomes (`egress/outcome.rs`) are codes and numbers. A sum gets out only as a [`Released`] one, which only the
//! disclosure rules can make.

mod outcome;

use std::sync::{Arc, Mutex, PoisonError};

use prost::Message as _;
use tonic::Status;
use tonic::transport::Channel;
use wardround_core::clock::Clock;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_core::sum::Sum;
use wardround_net::MAX_MESSAGE_BYTES;
use wardround_net::retry::{Policy as Patience, Transient};
use wardround_net::transfer::{
    Bytes, ChunkSink, ChunkSource, ChunkStore, Payload, Progress, TransferError, download, upload,
};
use wardround_privacy::ledger::{Ledger, LedgerError, Message, What, Why};
use wardround_privacy::policy::Policy;
use wardround_privacy::release::{Holds, Released};
use wardround_proto::payload::{Packed, PayloadHead};
use wardround_proto::v1;
use wardround_proto::v1::enrolment_client::EnrolmentClient;
use wardround_proto::v1::site_link_client::SiteLinkClient;

pub use outcome::{
    BackboneSource, Counts, Enlisted, Failure, FeatureSource, Origin, Outcome, SetAside,
    SetAsideReason, Verdict,
};

/// This software's version, as the coordinator sees it.
pub const SOFTWARE: &str = env!("CARGO_PKG_VERSION");

/// Everything that can leave a site.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// A one-time token and a signing request.
    Join {
        /// The token as it was handed over.
        token: String,
        /// The signing request; it names nobody.
        csr_der: Vec<u8>,
    },
    /// A question for work.
    Poll {
        /// How long the coordinator may hold the call.
        wait_ms: u32,
        /// Where this site computes: "cpu avx-512".
        device: String,
        /// Tasks in hand.
        working_on: Vec<String>,
    },
    /// How far a task is.
    Progress(Errand, Step),
    /// What became of a task.
    Outcome(Errand, Outcome),
    /// A request for a piece of a question.
    GetChunk(Errand, Digest, u32),
    /// A question which pieces of an answer are missing.
    MissingChunks(Errand, PackedAnswer),
    /// A piece of an answer.
    Chunk(Errand, PackedAnswer, u32),
    /// A signing request for a new certificate.
    Renew {
        /// The signing request; it names nobody.
        csr_der: Vec<u8>,
    },
    /// The site leaves.
    Leave,
}

/// A task that something is sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The task, as the coordinator names it.
    pub task: String,
    /// How often it was handed out.
    pub attempt: u32,
    /// Its study.
    pub study: StudyId,
    /// What it is about.
    pub about: About,
}

/// What a task is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The study as a whole.
    Study,
    /// One query of it.
    Query(Digest),
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub stage: v1::Stage,
    /// Of it, done.
    pub done: u64,
    /// Of it, in all.
    pub total: u64,
}

/// A released sum, packed for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedAnswer {
    packed: Arc<Packed>,
    holds: Holds,
}

impl PackedAnswer {
    /// Packs a sum; the same sum always gives the same bytes.
    pub fn new(sum: &Released<Sum>) -> Self {
        Self { packed: Arc::new(Packed::new(&sum.get().encode())), holds: sum.holds() }
    }

    /// Whether it travels inside its outcome.
    pub fn is_inline(&self) -> bool {
        self.packed.is_inline()
    }
}

/// What comes back.
#[derive(Debug)]
enum Incoming {
    Joined(v1::JoinReply),
    Tasks(Vec<v1::Task>),
    GoOn(bool),
    Taken,
    Chunk(Vec<u8>),
    Missing(Vec<u32>),
}

/// Why something wasn't sent, or wasn't answered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It couldn't be noted, so it wasn't sent.
    #[error("nothing was sent: {0}")]
    Ledger(#[from] LedgerError),
    /// The link or the coordinator.
    #[error("{}", .0.message())]
    Status(#[from] Status),
    /// A message that's larger than one may be.
    #[error("expected a message of at most {MAX_MESSAGE_BYTES} bytes, got {0}")]
    TooLarge(usize),
    /// The process is stopping.
    #[error("the ledger's thread stopped")]
    Stopped,
    /// A piece that isn't there.
    #[error("the answer has no piece {0}")]
    NoSuchChunk(u32),
    /// The reply doesn't belong to the call; a defect here.
    #[error("an unexpected reply")]
    Unexpected,
}

impl Transient for SendError {
    fn is_transient(&self) -> bool {
        matches!(self, SendError::Status(status) if status.is_transient())
    }
}

/// The door. Clones share the ledger and the connection.
#[derive(Clone)]
pub struct Egress {
    ledger: Arc<Mutex<Ledger>>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    link: SiteLinkClient<Channel>,
    enrolment: EnrolmentClient<Channel>,
}

impl Egress {
    /// A door onto a channel. The policy goes with every verdict and enlistment; what it loosens is
    /// noted beside every outcome.
    pub fn new(ledger: Ledger, clock: Arc<dyn Clock>, policy: Policy, channel: Channel) -> Self {
        let link = SiteLinkClient::new(channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let enrolment = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Self { ledger: Arc::new(Mutex::new(ledger)), clock, policy, link, enrolment }
    }

    /// Exchanges a one-time token for a certificate.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn join(&self, token: String, csr_der: Vec<u8>) -> Result<v1::JoinReply, SendError> {
        match self.send(Outgoing::Join { token, csr_der }).await? {
            Incoming::Joined(reply) => Ok(reply),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Waits for work.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn poll(
        &self,
        wait_ms: u32,
        device: String,
        working_on: Vec<String>,
    ) -> Result<Vec<v1::Task>, SendError> {
        match self.send(Outgoing::Poll { wait_ms, device, working_on }).await? {
            Incoming::Tasks(tasks) => Ok(tasks),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Says how far a task is; returns whether it is still wanted.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn progress(&self, errand: Errand, step: Step) -> Result<bool, SendError> {
        match self.send(Outgoing::Progress(errand, step)).await? {
            Incoming::GoOn(go_on) => Ok(go_on),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Hands in an outcome. An answer that doesn't fit inside goes ahead in pieces, and only those
    /// that the coordinator lacks.
    ///
    /// # Errors
    /// [`SendError`], when trying again can't help or `patience` is at its end.
    pub async fn hand_in(
        &self,
        errand: &Errand,
        outcome: &Outcome,
        patience: Patience,
    ) -> Result<(), SendError> {
        if let Outcome::Answer(answer) = outcome
            && !answer.is_inline()
        {
            let sink = AnswerSink { egress: self, errand, answer };
            let payload = Payload::known(answer.packed.digest, answer.packed.bytes.clone());
            upload(&sink, &payload, patience).await.map_err(transfer_error)?;
        }
        let send = || self.send(Outgoing::Outcome(errand.clone(), outcome.clone()));
        match wardround_net::retry::retrying(patience, send).await? {
            Incoming::Taken => Ok(()),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Fetches the pieces of a question that a store lacks.
    ///
    /// # Errors
    /// [`TransferError`]; calling it again goes on where it stopped.
    pub async fn fetch(
        &self,
        errand: &Errand,
        head: &PayloadHead,
        store: &ChunkStore,
        patience: Patience,
    ) -> Result<(), TransferError<SendError>> {
        let source = QuestionSource { egress: self, errand };
        download(&source, head.digest, head.size, store, patience).await.map(|_| ())
    }

    /// Exchanges the certificate for a new one.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn renew(&self, csr_der: Vec<u8>) -> Result<v1::JoinReply, SendError> {
        match self.send(Outgoing::Renew { csr_der }).await? {
            Incoming::Joined(reply) => Ok(reply),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Leaves the consortium.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn leave(&self) -> Result<(), SendError> {
        match self.send(Outgoing::Leave).await? {
            Incoming::Taken => Ok(()),
            _ => Err(SendError::Unexpected),
        }
    }

    /// Waits until no line is being written any more, so that the ledger may be opened again once
    /// this door is dropped; a second at most, should somebody else keep a clone of it.
    pub(crate) async fn settled(&self) {
        for _ in 0..1000 {
            if Arc::strong_count(&self.ledger) == 1 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Notes a message, then sends it.
    async fn send(&self, outgoing: Outgoing) -> Result<Incoming, SendError> {
        let wire = outgoing.wire(&self.policy)?;
        self.note(&outgoing, wire.body()).await?;
        let (mut link, mut enrolment) = (self.link.clone(), self.enrolment.clone());
        let incoming = match wire {
            Wire::Join(m) => Incoming::Joined(enrolment.join(m).await?.into_inner()),
            Wire::Poll(m) => Incoming::Tasks(link.poll(m).await?.into_inner().tasks),
            Wire::Progress(m) => Incoming::GoOn(link.progress(m).await?.into_inner().go_on),
            Wire::Submit(m) => link.submit(*m).await.map(|_| Incoming::Taken)?,
            Wire::GetChunk(m) => Incoming::Chunk(link.get_chunk(m).await?.into_inner().data),
            Wire::MissingChunks(m) => {
                Incoming::Missing(link.missing_chunks(m).await?.into_inner().missing)
            }
            Wire::PutChunk(m) => link.put_chunk(m).await.map(|_| Incoming::Taken)?,
            Wire::Renew(m) => Incoming::Joined(link.renew(m).await?.into_inner()),
            Wire::Leave(m) => link.leave(m).await.map(|_| Incoming::Taken)?,
        };
        Ok(incoming)
    }

    async fn note(&self, outgoing: &Outgoing, body: Vec<u8>) -> Result<(), SendError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(SendError::TooLarge(body.len()));
        }
        let mut message = Message::new(outgoing.what(), outgoing.why(), &body);
        if matches!(outgoing, Outgoing::Outcome(..)) {
            message.loosenings = self.policy.loosenings();
        }
        let (ledger, clock) = (self.ledger.clone(), self.clock.clone());
        let noted = tokio::task::spawn_blocking(move || {
            // A line is written whole or cut off again, so a panic elsewhere left no half state.
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.append(clock.now(), &message)
        });
        noted.await.map_err(|_| SendError::Stopped)??;
        Ok(())
    }
}

impl Errand {
    fn why(&self) -> Why {
        let (study, task) = (self.study.clone(), self.task.clone());
        match self.about {
            About::Study => Why::Task { study, task },
            About::Query(query) => Why::Query { study, task, query },
        }
    }
}

/// A message as the stubs take it.
enum Wire {
    Join(v1::JoinRequest),
    Poll(v1::PollRequest),
    Progress(v1::ProgressReport),
    Submit(Box<v1::Submission>),
    GetChunk(v1::GetChunkRequest),
    MissingChunks(v1::MissingChunksRequest),
    PutChunk(v1::Chunk),
    Renew(v1::RenewRequest),
    Leave(v1::LeaveRequest),
}

impl Wire {
    fn body(&self) -> Vec<u8> {
        match self {
            Wire::Join(m) => m.encode_to_vec(),
            Wire::Poll(m) => m.encode_to_vec(),
            Wire::Progress(m) => m.encode_to_vec(),
            Wire::Submit(m) => m.encode_to_vec(),
            Wire::GetChunk(m) => m.encode_to_vec(),
            Wire::MissingChunks(m) => m.encode_to_vec(),
            Wire::PutChunk(m) => m.encode_to_vec(),
            Wire::Renew(m) => m.encode_to_vec(),
            Wire::Leave(m) => m.encode_to_vec(),
        }
    }
}

impl Outgoing {
    fn what(&self) -> What {
        match self {
            Outgoing::Join { .. } => What::Join,
            Outgoing::Poll { .. } => What::Poll,
            Outgoing::Progress(..) => What::Progress,
            Outgoing::Outcome(_, Outcome::Verdict(_)) => What::Verdict,
            Outgoing::Outcome(_, Outcome::Enlisted(_)) => What::Enlisted,
            Outgoing::Outcome(_, Outcome::Answer(answer)) => match answer.holds {
                Holds::Sums => What::Answer,
                Holds::Rows => What::Rows,
            },
            Outgoing::Outcome(_, Outcome::Failure(_)) => What::Failure,
            Outgoing::Outcome(_, Outcome::Closed) => What::Closed,
            Outgoing::GetChunk(..) => What::GetChunk,
            Outgoing::MissingChunks(..) => What::MissingChunks,
            Outgoing::Chunk(_, answer, _) => match answer.holds {
                Holds::Sums => What::Chunk,
                Holds::Rows => What::Rows,
            },
            Outgoing::Renew { .. } => What::Renew,
            Outgoing::Leave => What::Leave,
        }
    }

    fn why(&self) -> Why {
        match self {
            Outgoing::Join { .. }
            | Outgoing::Poll { .. }
            | Outgoing::Renew { .. }
            | Outgoing::Leave => Why::Membership,
            Outgoing::Progress(errand, _)
            | Outgoing::Outcome(errand, _)
            | Outgoing::GetChunk(errand, ..)
            | Outgoing::MissingChunks(errand, _)
            | Outgoing::Chunk(errand, ..) => errand.why(),
        }
    }

    fn wire(&self, policy: &Policy) -> Result<Wire, SendError> {
        Ok(match self {
            Outgoing::Join { token, csr_der } => Wire::Join(v1::JoinRequest {
                token: token.clone(),
                csr_der: csr_der.clone(),
                software: SOFTWARE.into(),
                kind: "site".into(),
            }),
            Outgoing::Poll { wait_ms, device, working_on } => Wire::Poll(v1::PollRequest {
                wait_ms: *wait_ms,
                software: SOFTWARE.into(),
                device: device.clone(),
                working_on: working_on.clone(),
            }),
            Outgoing::Progress(errand, step) => Wire::Progress(v1::ProgressReport {
                task: errand.task.clone(),
                attempt: errand.attempt,
                stage: step.stage.into(),
                done: step.done,
                total: step.total,
            }),
            Outgoing::Outcome(errand, outcome) => Wire::Submit(Box::new(v1::Submission {
                task: errand.task.clone(),
                attempt: errand.attempt,
                outcome: Some(outcome.wire(policy)),
            })),
            Outgoing::GetChunk(_, digest, index) => Wire::GetChunk(v1::GetChunkRequest {
                digest: digest.as_bytes().to_vec(),
                index: *index,
            }),
            Outgoing::MissingChunks(_, answer) => Wire::MissingChunks(v1::MissingChunksRequest {
                digest: answer.packed.digest.as_bytes().to_vec(),
                size: answer.packed.bytes.len() as u64,
            }),
            Outgoing::Chunk(_, answer, index) => Wire::PutChunk(answer.chunk(*index)?),
            Outgoing::Renew { csr_der } => {
                Wire::Renew(v1::RenewRequest { csr_der: csr_der.clone() })
            }
            Outgoing::Leave => Wire::Leave(v1::LeaveRequest {}),
        })
    }
}

impl PackedAnswer {
    fn message(&self) -> v1::Payload {
        self.packed.message()
    }

    fn chunk(&self, index: u32) -> Result<v1::Chunk, SendError> {
        let start = u64::from(index) * wardround_net::transfer::CHUNK_BYTES;
        let size = self.packed.bytes.len() as u64;
        let length = wardround_net::transfer::chunk_length(size, index);
        if length == 0 {
            return Err(SendError::NoSuchChunk(index));
        }
        // Both ends lie within bytes in memory, so they fit usize.
        let data = self.packed.bytes[start as usize..(start + length) as usize].to_vec();
        Ok(v1::Chunk { digest: self.packed.digest.as_bytes().to_vec(), size, index, data })
    }
}

/// The coordinator as a taker of one answer's pieces. It builds each piece from the answer itself.
struct AnswerSink<'a> {
    egress: &'a Egress,
    errand: &'a Errand,
    answer: &'a PackedAnswer,
}

impl ChunkSink for AnswerSink<'_> {
    type Error = SendError;

    async fn missing(&self, _: Digest, _: u64) -> Result<Vec<u32>, SendError> {
        let ask = Outgoing::MissingChunks(self.errand.clone(), self.answer.clone());
        match self.egress.send(ask).await? {
            Incoming::Missing(missing) => Ok(missing),
            _ => Err(SendError::Unexpected),
        }
    }

    async fn put(&self, _: Digest, _: u64, index: u32, _: Bytes) -> Result<Progress, SendError> {
        let chunk = Outgoing::Chunk(self.errand.clone(), self.answer.clone(), index);
        match self.egress.send(chunk).await? {
            // Whether that was the last one, the next question for missing pieces says.
            Incoming::Taken => Ok(Progress::Missing(1)),
            _ => Err(SendError::Unexpected),
        }
    }
}

/// The coordinator as a giver of a question's pieces.
struct QuestionSource<'a> {
    egress: &'a Egress,
    errand: &'a Errand,
}

impl ChunkSource for QuestionSource<'_> {
    type Error = SendError;

    async fn chunk(&self, digest: Digest, index: u32) -> Result<Bytes, SendError> {
        match self.egress.send(Outgoing::GetChunk(self.errand.clone(), digest, index)).await? {
            Incoming::Chunk(data) => Ok(Bytes::from(data)),
            _ => Err(SendError::Unexpected),
        }
    }
}

/// An answer in memory has no failures of its own: what remains is the other side's.
fn transfer_error(error: TransferError<SendError>) -> SendError {
    match error {
        TransferError::Remote(error) => error,
        TransferError::NoSuchChunk { index, .. } => SendError::NoSuchChunk(index),
        other => SendError::Status(Status::data_loss(other.to_string())),
    }
}
