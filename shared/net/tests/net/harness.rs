//! A consortium on loopback: a server with a tiny gRPC service over raw bytes, so that no protobuf is
//! needed, and clients of every kind.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use wardround_core::clock::{Clock, SystemClock, Timestamp};
use wardround_core::ids::SiteId;
use wardround_net::client::{Address, Endpoint, Trust};
use wardround_net::pki::{Authority, Credentials, Enrolled, Hosts, Identity, Peer, Wallet};
use wardround_net::server::{Caller, Limits, PeerGate, Refusal, Server, ServerError};

pub const DAY: Duration = Duration::from_secs(24 * 3600);

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub fn loopback() -> Hosts {
    Hosts::parse(["127.0.0.1", "localhost"]).expect("two hosts")
}

pub fn site(name: &str) -> Identity {
    Identity::Site(SiteId::parse(name).expect("a site id"))
}

/// Enrols somebody as the coordinator would: request, signature, acceptance.
pub fn enrol(ca: &Authority, who: &Identity, lifetime: Duration, at: Timestamp) -> Enrolled {
    let folder = tempfile::tempdir().expect("a folder");
    let wallet = Wallet::open(folder.path()).expect("a wallet");
    let issued =
        ca.issue(&wallet.request().expect("a request"), who, lifetime, at).expect("a certificate");
    wallet.accept(&issued.pem, &ca.certificate_pem()).expect("its own certificate")
}

/// A list of revoked peers.
#[derive(Default)]
pub struct Revoked(Mutex<HashSet<Identity>>);

impl Revoked {
    pub fn revoke(&self, who: &Identity) {
        self.0.lock().expect("nobody panicked").insert(who.clone());
    }
}

impl PeerGate for Revoked {
    fn admit(&self, peer: &Peer) -> Result<(), Refusal> {
        if self.0.lock().expect("nobody panicked").contains(&peer.identity) {
            return Err(Refusal::Revoked);
        }
        Ok(())
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub gate: Arc<Revoked>,
    pub echo: Echo,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServerError>>,
}

pub struct Setup {
    pub credentials: Credentials,
    pub limits: Limits,
    pub clock: Arc<dyn Clock>,
    pub bind: SocketAddr,
}

impl Setup {
    pub fn of(ca: &Authority) -> Self {
        Self {
            credentials: ca.server_in_memory(&loopback(), DAY, now()).expect("a certificate"),
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

pub async fn start(ca: &Authority, setup: Setup) -> Running {
    let gate = Arc::new(Revoked::default());
    let server = Server::new(setup.credentials, ca.certificate(), gate.clone())
        .expect("a usable root")
        .limits(setup.limits)
        .clock(setup.clock);
    let listener = TcpListener::bind(setup.bind).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let echo = Echo::default();
    let (stop, stopped) = oneshot::channel::<()>();
    let routes = Routes::new(echo.clone());
    let serving = tokio::spawn(server.serve(listener, routes, async {
        let _ = stopped.await;
    }));
    Running { address, gate, echo, stop, serving }
}

impl Running {
    pub fn at(&self) -> Address {
        self.address.to_string().parse().expect("an address")
    }

    pub fn as_peer(&self, enrolled: &Enrolled) -> Endpoint {
        Endpoint::enrolled(self.at(), enrolled)
    }

    pub fn as_nobody(&self, ca: &Authority) -> Endpoint {
        Endpoint::new(self.at(), Trust::Root(ca.certificate().clone()))
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.serving.await.expect("no panic").expect("serving");
    }
}

/// `Who` answers who called; `Wait` answers after `release` was notified; `Size` the length of what came.
#[derive(Clone, Default)]
pub struct Echo {
    pub entered: Arc<Notify>,
    pub release: Arc<Notify>,
}

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl tower::Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let waits = request.uri().path() == "/test.Echo/Wait";
            let answer = tower::service_fn(move |request: Request<Bytes>| {
                let echo = echo.clone();
                async move {
                    let who = Caller::of(&request)?.to_string();
                    if waits {
                        echo.entered.notify_one();
                        echo.release.notified().await;
                    }
                    Ok::<_, Status>(Response::new(Bytes::from(who)))
                }
            });
            Ok(tonic::server::Grpc::new(Raw).unary(answer, request).await)
        })
    }
}

/// Calls a method of [`Echo`] and gives its answer as text.
pub async fn call(channel: &Channel, method: &'static str) -> Result<String, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let path = http::uri::PathAndQuery::from_static(method);
    let answer = client.unary(Request::new(Bytes::from_static(b"?")), path, Raw).await?;
    Ok(String::from_utf8(answer.into_inner().to_vec()).expect("text"))
}

pub async fn who(endpoint: &Endpoint) -> Result<String, Status> {
    call(&endpoint.connect_lazy(), "/test.Echo/Who").await
}

/// A codec that takes the bytes as they are.
#[derive(Clone, Copy)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
