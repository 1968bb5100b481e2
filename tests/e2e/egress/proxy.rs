//! A proxy on loopback that ends TLS, as the inspecting proxy of a hospital does: to the agent it
//! shows a certificate of the consortium's root, to the coordinator the site's own. Requests and
//! answers pass frame by frame; what leaves the site is kept in clear.

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use wardround_core::clock::{Clock, SystemClock};
use wardround_net::pki::{Authority, Hosts, PeerIdentity, Wallet};

use super::tap::{Frames, Tap};

type AnyError = Box<dyn Error + Send + Sync>;

/// Room for a message as large as any.
const WINDOW: u32 = 8 << 20;

/// A request as it left the site.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// Every header, and every trailer.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// A running proxy. Dropping it closes every connection.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    upstream: SocketAddr,
    root: RootCertStore,
    wallet: PathBuf,
    acceptor: TlsAcceptor,
    requests: Mutex<Vec<Request>>,
    frames: Arc<Mutex<Frames>>,
    open: AtomicUsize,
}

impl Proxy {
    /// Listens on a free port of loopback. `root` is the federation's own; `wallet` is the folder
    /// where the site keeps its identity, which needn't be there before the site has joined.
    pub fn start(upstream: SocketAddr, root: &Authority, wallet: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut roots = RootCertStore::empty();
        roots.add(root.certificate().clone()).expect("the federation's root");
        let shared = Arc::new(Shared {
            upstream,
            acceptor: acceptor(root, roots.clone()),
            root: roots,
            wallet,
            requests: Mutex::default(),
            frames: Arc::default(),
            open: AtomicUsize::new(0),
        });
        runtime.spawn(accept(listener, shared.clone()));
        Self { address, shared, _runtime: runtime }
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.shared.requests()
    }

    /// What was counted on the wire so far.
    pub fn frames(&self) -> Frames {
        self.shared.frames.lock().expect("no reader panicked").clone()
    }

    /// Waits until no connection is open: whatever the agent wrote before its end has arrived.
    pub fn settle(&self) {
        let until = Instant::now() + Duration::from_secs(60);
        while self.shared.open.load(Ordering::SeqCst) > 0 {
            assert!(Instant::now() < until, "the agent is gone, its connection isn't");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Shared {
    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().expect("no call panicked")
    }

    /// Changes a request that is under way.
    fn note(&self, at: usize, change: impl FnOnce(&mut Request)) {
        change(&mut self.requests()[at]);
    }

    async fn dial(&self, as_site: bool) -> Result<client::TlsStream<TcpStream>, AnyError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(self.root.clone());
        let mut config = if as_site {
            let enrolled = Wallet::open(&self.wallet)?.load()?;
            builder.with_client_cert_resolver(Arc::new(enrolled.credentials))
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        let tcp = TcpStream::connect(self.upstream).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.upstream.ip().into());
        Ok(TlsConnector::from(Arc::new(config)).connect(name, tcp).await?)
    }

    /// Whether the agent showed a certificate; it must be the one in the site's wallet.
    fn is_site(&self, tls: &server::TlsStream<TcpStream>) -> Result<bool, AnyError> {
        let Some([shown, ..]) = tls.get_ref().1.peer_certificates() else { return Ok(false) };
        let (shown, own) = (PeerIdentity::from_certificate(shown)?, Wallet::open(&self.wallet)?);
        assert_eq!(shown.identity, own.load()?.me.identity);
        Ok(true)
    }
}

fn acceptor(root: &Authority, roots: RootCertStore) -> TlsAcceptor {
    let hosts = Hosts::parse(["127.0.0.1"]).expect("an address");
    let day = Duration::from_secs(24 * 3600);
    let credentials =
        root.server_in_memory(&hosts, day, SystemClock.now()).expect("a certificate of the root");
    let provider = Arc::new(default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .expect("a usable root");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(credentials));
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((tcp, _)) = listener.accept().await {
        shared.open.fetch_add(1, Ordering::SeqCst);
        let shared = shared.clone();
        tokio::spawn(async move {
            if let Err(error) = serve(tcp, &shared).await {
                // Shown with a failing test only. A probe that hangs up at once is among these.
                eprintln!("proxy: {error}");
            }
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One connection of the agent, with one of its own to the coordinator.
async fn serve(tcp: TcpStream, shared: &Arc<Shared>) -> Result<(), AnyError> {
    tcp.set_nodelay(true)?;
    let tls = shared.acceptor.accept(tcp).await?;
    let as_site = shared.is_site(&tls)?;
    let mut agent = h2::server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .handshake::<_, Bytes>(Tap::new(tls, shared.frames.clone()))
        .await?;
    let (coordinator, mut link) = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .enable_push(false)
        .handshake::<_, Bytes>(shared.dial(as_site).await?)
        .await?;
    // Dropped with this function, which ends whatever is under way at both sides.
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            accepted = agent.accept() => match accepted {
                Some(call) => {
                    let (request, respond) = call?;
                    calls.spawn(forward(request, respond, coordinator.clone(), shared.clone()));
                }
                None => return Ok(()),
            },
            ended = &mut link => return Ok(ended?),
            Some(done) = calls.join_next() => if let Err(error) = done? {
                eprintln!("proxy: a call: {error}");
            },
        }
    }
}

/// One call, in both directions.
async fn forward(
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    coordinator: h2::client::SendRequest<Bytes>,
    shared: Arc<Shared>,
) -> Result<(), AnyError> {
    let (head, mut body) = request.into_parts();
    let at = {
        let mut requests = shared.requests();
        requests.push(Request {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            headers: readable(&head.headers),
            ..Request::default()
        });
        requests.len() - 1
    };
    let mut coordinator = coordinator.ready().await?;
    let (answer, mut out) = coordinator.send_request(http::Request::from_parts(head, ()), false)?;
    pass(&mut body, &mut out, |piece| match piece {
        Piece::Data(data) => shared.note(at, |request| request.body.extend(data)),
        Piece::Trailers(more) => shared.note(at, |request| request.headers.extend(readable(more))),
    })
    .await?;
    shared.note(at, |request| request.whole = true);
    let answer = tokio::select! {
        answer = answer => answer?,
        _ = poll_fn(|context| respond.poll_reset(context)) => {
            out.send_reset(Reason::CANCEL);
            return Ok(());
        }
    };
    let (head, mut body) = answer.into_parts();
    let ended = body.is_end_stream();
    let mut out = respond.send_response(http::Response::from_parts(head, ()), ended)?;
    if !ended {
        pass(&mut body, &mut out, |_| {}).await?;
    }
    Ok(())
}

enum Piece<'a> {
    Data(&'a [u8]),
    Trailers(&'a http::HeaderMap),
}

/// Passes a body on, frame by frame. Each piece is seen before it goes.
async fn pass(
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
    mut see: impl FnMut(Piece<'_>),
) -> Result<(), AnyError> {
    while let Some(data) = from.data().await {
        let data = data?;
        see(Piece::Data(&data));
        from.flow_control().release_capacity(data.len())?;
        // An empty frame that isn't the last is abuse to its receiver.
        let last = from.is_end_stream();
        to.send_data(data, last)?;
        if last {
            return Ok(());
        }
    }
    match from.trailers().await? {
        Some(trailers) => {
            see(Piece::Trailers(&trailers));
            to.send_trailers(trailers)?;
        }
        None => to.send_data(Bytes::new(), true)?,
    }
    Ok(())
}

fn readable(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let value = |v: &http::HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    headers.iter().map(|(name, v)| (name.to_string(), value(v))).collect()
}
