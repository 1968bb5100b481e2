//! The coordinator's door: gRPC over TLS 1.3. A client certificate is optional in the handshake (a
//! joiner has none yet) and verified when given; who called is attached to every request as a
//! [`Caller`], and every request asks the [`PeerGate`], so a revocation works on open connections.
//!
//! Sessions are never resumed: a resumed session would skip the check of the client's certificate.

mod accept;
mod gate;

pub use gate::{Caller, PeerGate, Refusal};

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use wardround_core::clock::{Clock, SystemClock};

use crate::pki::Credentials;
use accept::Acceptor;
use gate::GateLayer;

/// HTTP/2 pings in both directions come this often: below the idle limit of the proxies and
/// firewalls that cut silent connections (commonly 60 s and up).
pub const PING_EVERY: Duration = Duration::from_secs(20);
/// A connection whose ping isn't answered within this time is closed.
pub const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How much the server takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Handshakes at a time; more are turned away at once.
    pub handshakes: usize,
    /// Time for a TLS handshake.
    pub handshake_timeout: Duration,
    /// Connections without a certificate at a time. They have their own places, so that strangers
    /// can't take those of the sites.
    pub anonymous: usize,
    /// How long a connection without a certificate may stay: joining takes seconds.
    pub anonymous_lifetime: Duration,
    /// Connections with a certificate at a time.
    pub identified: usize,
    /// Requests at a time on one connection.
    pub requests_per_connection: u32,
    /// How long running requests may go on after the shutdown began; then connections are cut.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            anonymous: 64,
            anonymous_lifetime: Duration::from_secs(120),
            identified: 4096,
            requests_per_connection: 64,
            shutdown_grace: Duration::from_secs(5),
        }
    }
}

/// Why the server can't run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The root certificate can't serve as a trust anchor.
    #[error("the consortium's root certificate is unusable: {0}")]
    Root(String),
    /// HTTP/2 serving failed.
    #[error("serving failed: {0}")]
    Serving(#[from] tonic::transport::Error),
}

/// A server, not yet listening.
pub struct Server {
    credentials: Credentials,
    verifier: Arc<dyn ClientCertVerifier>,
    gate: Arc<dyn PeerGate>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Server {
    /// A server with its own certificate, the root that clients' certificates must come from, and
    /// the gate that every request passes.
    ///
    /// # Errors
    /// [`ServerError::Root`] when the root can't be parsed.
    pub fn new(
        credentials: Credentials,
        root: &CertificateDer<'_>,
        gate: Arc<dyn PeerGate>,
    ) -> Result<Self, ServerError> {
        Ok(Self {
            credentials,
            verifier: accept::verifier(root)?,
            gate,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        })
    }

    /// Other limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Another clock, which judges clients' certificates (for tests).
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Serves until `shutdown` completes: then no connection is accepted, running requests may
    /// finish within the grace time, and what is left is cut.
    ///
    /// # Errors
    /// [`ServerError::Serving`].
    pub async fn serve(
        self,
        listener: TcpListener,
        routes: Routes,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let (connections, incoming) = mpsc::channel(16);
        let (cut, cut_seen) = watch::channel(false);
        let acceptor =
            Acceptor::new(self.credentials, self.verifier, self.limits, self.clock.clone());
        let accepting = tokio::spawn(acceptor.run(listener, connections, cut_seen));
        let (begin, begun) = oneshot::channel();
        let signal = async move {
            shutdown.await;
            // The receiver is gone only when serving ended by itself.
            let _ = begin.send(());
        };
        let serving = tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(PING_EVERY))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .max_concurrent_streams(Some(self.limits.requests_per_connection))
            .layer(GateLayer::new(self.gate, self.clock))
            .serve_with_incoming_shutdown(routes, ReceiverStream::new(incoming), signal);
        let mut serving = std::pin::pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served,
            _ = begun => match tokio::time::timeout(self.limits.shutdown_grace, &mut serving).await {
                Ok(served) => served,
                Err(_) => {
                    tracing::warn!("requests still run after the grace time: cutting their connections");
                    cut.send_replace(true);
                    serving.await
                }
            },
        };
        // It ends by itself once nobody takes connections; the port is free when this returns.
        let _ = accepting.await;
        Ok(served?)
    }
}
