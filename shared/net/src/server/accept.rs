//! From a TCP connection to a verified caller: the TLS handshake, its limits, and the log line that
//! says who was turned away and why.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;
use wardround_core::clock::Clock;

use super::{Caller, Limits, ServerError};
use crate::pki::{Credentials, PeerIdentity};
use crate::provider::provider;

/// Accepts connections.
#[derive(Clone)]
pub(super) struct Acceptor {
    credentials: Credentials,
    verifier: Arc<dyn ClientCertVerifier>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    handshakes: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
    identified: Arc<Semaphore>,
}

/// Verifies clients' certificates against the consortium's root, when they show one.
pub(super) fn verifier(
    root: &CertificateDer<'_>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerError> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone().into_owned()).map_err(|error| ServerError::Root(error.to_string()))?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .allow_unauthenticated()
        .build()
        .map_err(|error| ServerError::Root(error.to_string()))
}

impl Acceptor {
    pub(super) fn new(
        credentials: Credentials,
        verifier: Arc<dyn ClientCertVerifier>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            credentials,
            verifier,
            clock,
            limits,
            handshakes: places(limits.handshakes),
            anonymous: places(limits.anonymous),
            identified: places(limits.identified),
        }
    }

    /// Accepts until nobody takes connections any more.
    pub(super) async fn run(
        self,
        listener: TcpListener,
        ready: mpsc::Sender<io::Result<Connection>>,
        cut: watch::Receiver<bool>,
    ) {
        loop {
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (tcp, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, mostly: waiting lets some connections end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = self.handshakes.clone().try_acquire_owned() else {
                tracing::warn!(%remote, limit = self.limits.handshakes, "connection turned away: too many handshakes at a time");
                continue;
            };
            let (acceptor, ready, cut) = (self.clone(), ready.clone(), cut.clone());
            tokio::spawn(async move {
                let connection = acceptor.welcome(tcp, remote, cut).await;
                drop(place);
                if let Some(connection) = connection {
                    // Nobody takes it during shutdown: dropping closes it.
                    let _ = ready.send(Ok(connection)).await;
                }
            });
        }
    }

    async fn welcome(
        &self,
        tcp: TcpStream,
        remote: SocketAddr,
        cut: watch::Receiver<bool>,
    ) -> Option<Connection> {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%remote, %error, "the connection is gone already");
            return None;
        }
        let shown = Arc::new(OnceLock::new());
        let config = match self.config(shown.clone()) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%error, "this server's TLS configuration is unusable");
                return None;
            }
        };
        let handshake = TlsAcceptor::from(Arc::new(config)).accept(tcp);
        let who = || shown.get().map_or("nobody known", String::as_str);
        let tls = match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                tracing::debug!(%remote, "connection closed before the TLS handshake ended");
                return None;
            }
            Ok(Err(error)) => {
                let reason = reason(&error);
                tracing::warn!(%remote, claims = who(), %reason, "handshake refused");
                return None;
            }
            Err(_) => {
                let limit = self.limits.handshake_timeout;
                tracing::warn!(%remote, claims = who(), ?limit, "handshake took too long");
                return None;
            }
        };
        let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let caller = match certificate.map(|der| PeerIdentity::from_certificate(der)) {
            None => Caller::Anonymous { remote },
            Some(Ok(peer)) => Caller::Known { peer, remote },
            Some(Err(error)) => {
                tracing::warn!(%remote, reason = %error, "connection refused");
                return None;
            }
        };
        let (places, lifetime) = match &caller {
            Caller::Anonymous { .. } => (&self.anonymous, self.limits.anonymous_lifetime),
            Caller::Known { peer, .. } => {
                let left = peer.not_after.since_ms(self.clock.now());
                (&self.identified, Duration::from_millis(u64::try_from(left).unwrap_or(0)))
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!(%caller, "connection turned away: no place left");
            return None;
        };
        tracing::debug!(%caller, "connected");
        Some(Connection {
            tls,
            caller,
            end: End::Later(Box::pin(end(lifetime, cut))),
            _place: place,
        })
    }

    /// A configuration for one handshake, so that what the client shows is known if it fails.
    fn config(&self, shown: Arc<OnceLock<String>>) -> Result<ServerConfig, rustls::Error> {
        let verifier = Observed { verifier: self.verifier.clone(), shown };
        let time = Arc::new(ClockTime(self.clock.clone()));
        let mut config = ServerConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(self.credentials.clone()));
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }
}

/// Completes when a connection's time is over or the server cuts what is left.
async fn end(lifetime: Duration, mut cut: watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(lifetime) => {}
        _ = cut.wait_for(|cut| *cut) => {}
    }
}

/// Why a handshake failed, as a sentence for the operator.
fn reason(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(problem)) => match problem {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                format!("its certificate has expired ({problem})")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                format!("its certificate isn't valid yet: one of the two clocks is off ({problem})")
            }
            CertificateError::UnknownIssuer => {
                "its certificate was not issued by this consortium".into()
            }
            other => format!("its certificate is refused: {other}"),
        },
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the client refused this server: {alert:?}")
        }
        Some(rustls::Error::PeerIncompatible(problem)) => {
            format!("the client doesn't speak TLS 1.3 as this server does: {problem:?}")
        }
        Some(rustls::Error::InvalidMessage(_)) => "the client doesn't speak TLS".into(),
        _ => error.to_string(),
    }
}

/// The clock, as rustls asks for it.
struct ClockTime(Arc<dyn Clock>);

impl std::fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClockTime(..)")
    }
}

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(ms)))
    }
}

/// Verifies as the inner verifier does, and remembers whom a certificate claims to be.
#[derive(Debug)]
struct Observed {
    verifier: Arc<dyn ClientCertVerifier>,
    shown: Arc<OnceLock<String>>,
}

impl ClientCertVerifier for Observed {
    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let claim = PeerIdentity::from_certificate(leaf).map_or_else(
            |_| "a certificate without an identity".to_owned(),
            |peer| format!("{}, serial {}", peer.identity, peer.serial),
        );
        // One handshake verifies once; a second claim would not replace the first.
        let _ = self.shown.set(claim);
        self.verifier.verify_client_cert(leaf, intermediates, now).map_err(|error| match error {
            // Another consortium's root of the same name: its signature doesn't fit our key.
            rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
                CertificateError::UnknownIssuer.into()
            }
            other => other,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// A connection after the handshake. It holds its place until it is dropped.
pub(super) struct Connection {
    tls: TlsStream<TcpStream>,
    caller: Caller,
    end: End,
    _place: OwnedSemaphorePermit,
}

enum End {
    Later(Pin<Box<dyn Future<Output = ()> + Send>>),
    Reached,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let End::Later(end) = &mut self.end
            && end.as_mut().poll(context).is_ready()
        {
            self.end = End::Reached;
        }
        if let End::Reached = self.end {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}
