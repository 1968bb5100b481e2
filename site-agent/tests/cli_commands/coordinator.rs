//! A coordinator over real TLS that lets a site join and hands out what a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use wardround_core::clock::{Clock, SystemClock};
use wardround_core::ids::SiteId;
use wardround_net::invite::InviteToken;
use wardround_net::pki::{Authority, Hosts, Identity, Peer, SITE_LIFETIME};
use wardround_net::server::{Caller, PeerGate, Refusal, Server};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;
use wardround_proto::v1::enrolment_server::{Enrolment, EnrolmentServer};
use wardround_proto::v1::site_link_server::{SiteLink, SiteLinkServer};
use wardround_proto::v1::submission::Outcome;

/// The site that an invitation is for.
pub const SITE: &str = "north";

pub struct Coordinator {
    pub address: String,
    pub token: String,
    pub fingerprint: String,
    state: Arc<State>,
}

struct State {
    ca: Authority,
    /// What the token is spent on: none yet, or a signing request.
    spent: Mutex<Option<Vec<u8>>>,
    token: String,
    tasks: Mutex<Vec<v1::Task>>,
    outcomes: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    work: Notify,
    progress: Mutex<Vec<v1::ProgressReport>>,
    left: Mutex<bool>,
}

impl Coordinator {
    pub async fn start() -> Self {
        wardround_net::install_crypto_provider();
        let ca = Authority::in_memory("Test", SystemClock.now()).unwrap();
        let hosts = Hosts::parse(["127.0.0.1"]).unwrap();
        let credentials = ca.server_in_memory(&hosts, SITE_LIFETIME, SystemClock.now()).unwrap();
        let server = Server::new(credentials, ca.certificate(), Arc::new(Everyone)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let token = InviteToken::generate(&ca.fingerprint()).reveal();
        let fingerprint = ca.fingerprint().grouped();
        let state = Arc::new(State {
            ca,
            spent: Mutex::default(),
            token: token.clone(),
            tasks: Mutex::default(),
            outcomes: Mutex::default(),
            work: Notify::new(),
            progress: Mutex::default(),
            left: Mutex::default(),
        });
        let routes = Routes::new(EnrolmentServer::new(Service(state.clone())))
            .add_service(SiteLinkServer::new(Service(state.clone())));
        tokio::spawn(server.serve(listener, routes, std::future::pending()));
        Self { address, token, fingerprint, state }
    }

    /// Hands out a task and waits for what becomes of it.
    pub async fn ask(&self, id: &str, work: v1::task::Work) -> Outcome {
        self.ask_about("s1", id, work).await
    }

    /// Hands out a task of a study and waits for what becomes of it.
    pub async fn ask_about(&self, study: &str, id: &str, work: v1::task::Work) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        self.state.outcomes.lock().unwrap().insert(id.to_owned(), sender);
        let (id, study) = (id.to_owned(), study.to_owned());
        let task = v1::Task { id, attempt: 1, study, lease_ms: 60_000, work: Some(work) };
        self.state.tasks.lock().unwrap().push(task);
        self.state.work.notify_one();
        tokio::time::timeout(Duration::from_secs(120), outcome).await.unwrap().unwrap()
    }

    /// How far tasks were said to be, by stage.
    pub fn stages(&self) -> Vec<v1::Stage> {
        self.state.progress.lock().unwrap().iter().map(v1::ProgressReport::stage).collect()
    }

    pub fn has_left(&self) -> bool {
        *self.state.left.lock().unwrap()
    }
}

struct Everyone;

impl PeerGate for Everyone {
    fn admit(&self, _: &Peer) -> Result<(), Refusal> {
        Ok(())
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl Enrolment for Service {
    async fn join(&self, r: Request<v1::JoinRequest>) -> Result<Response<v1::JoinReply>, Status> {
        let request = r.into_inner();
        let mut spent = self.0.spent.lock().unwrap();
        let known = request.token == self.0.token
            && spent.as_ref().is_none_or(|spent| *spent == request.csr_der);
        if !known {
            return Err(Problem::new(ProblemCode::Identity, "the token is spent").into());
        }
        let me = Identity::Site(SiteId::parse(SITE).unwrap());
        let now = SystemClock.now();
        let issued = self.0.ca.issue(&request.csr_der, &me, SITE_LIFETIME, now).unwrap();
        *spent = Some(request.csr_der);
        Ok(Response::new(v1::JoinReply {
            certificate_pem: issued.pem,
            ca_pem: self.0.ca.certificate_pem(),
            kind: "site".into(),
            id: SITE.into(),
            ..v1::JoinReply::default()
        }))
    }
}

fn caller<T>(request: &Request<T>) -> Result<(), Status> {
    let site = Caller::of(request)?.site()?.clone();
    assert_eq!(site.as_str(), SITE);
    Ok(())
}

#[tonic::async_trait]
impl SiteLink for Service {
    async fn poll(&self, r: Request<v1::PollRequest>) -> Result<Response<v1::PollReply>, Status> {
        caller(&r)?;
        if self.0.tasks.lock().unwrap().is_empty() {
            let wait = Duration::from_millis(u64::from(r.get_ref().wait_ms));
            let _ = tokio::time::timeout(wait, self.0.work.notified()).await;
        }
        let tasks = std::mem::take(&mut *self.0.tasks.lock().unwrap());
        Ok(Response::new(v1::PollReply { tasks }))
    }

    async fn progress(
        &self,
        r: Request<v1::ProgressReport>,
    ) -> Result<Response<v1::ProgressReply>, Status> {
        self.0.progress.lock().unwrap().push(r.into_inner());
        Ok(Response::new(v1::ProgressReply { go_on: true }))
    }

    async fn submit(
        &self,
        r: Request<v1::Submission>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        let submission = r.into_inner();
        let waiting = self.0.outcomes.lock().unwrap().remove(&submission.task);
        if let Some(waiting) = waiting {
            waiting.send(submission.outcome.unwrap()).unwrap();
        }
        Ok(Response::new(v1::SubmitReply {}))
    }

    async fn get_chunk(
        &self,
        _: Request<v1::GetChunkRequest>,
    ) -> Result<Response<v1::Chunk>, Status> {
        Err(Status::not_found("there are no pieces here"))
    }

    async fn missing_chunks(
        &self,
        _: Request<v1::MissingChunksRequest>,
    ) -> Result<Response<v1::MissingChunksReply>, Status> {
        Err(Status::not_found("there are no pieces here"))
    }

    async fn put_chunk(
        &self,
        _: Request<v1::Chunk>,
    ) -> Result<Response<v1::PutChunkReply>, Status> {
        Err(Status::not_found("there are no pieces here"))
    }

    async fn renew(&self, _: Request<v1::RenewRequest>) -> Result<Response<v1::JoinReply>, Status> {
        Err(Status::unavailable("not now"))
    }

    async fn leave(
        &self,
        r: Request<v1::LeaveRequest>,
    ) -> Result<Response<v1::LeaveReply>, Status> {
        caller(&r)?;
        *self.0.left.lock().unwrap() = true;
        Ok(Response::new(v1::LeaveReply {}))
    }
}
