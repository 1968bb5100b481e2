//! One dial: name, TCP, TLS, and the server's first word.
//!
//! In TLS 1.3 a client is done with the handshake before the server has looked at its certificate; a
//! refusal comes as the first thing read afterwards, where HTTP/2 would report it as a broken pipe.
//! An HTTP/2 server speaks first (RFC 9113, 3.4), so we wait for its first bytes here and can say what
//! was wrong.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::trust::{Shown, Verifier};
use super::{Address, ConnectError, Stage, Trust};
use crate::pki::Credentials;
use crate::provider::provider;

/// Makes connections to one address.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) address: Address,
    pub(super) trust: Trust,
    pub(super) credentials: Option<Credentials>,
    pub(super) timeout: Duration,
}

impl Dialer {
    pub(super) fn new(address: Address, trust: Trust) -> Self {
        Self { address, trust, credentials: None, timeout: Duration::from_secs(10) }
    }

    /// Connects, up to the first byte the server sends.
    pub(super) async fn dial(&self) -> Result<Greeted, ConnectError> {
        let deadline = Instant::now() + self.timeout;
        let tcp = self.tcp(deadline).await?;
        let shown = Arc::new(OnceLock::new());
        let connector = TlsConnector::from(Arc::new(self.config(shown.clone())?));
        let failed = |stage| {
            let shown = shown.clone();
            move |error| ConnectError::of_tls(&self.address, &self.trust, shown.get(), stage, error)
        };
        let mut tls = timeout_at(deadline, connector.connect(self.address.name.clone(), tcp))
            .await
            .map_err(|_| self.late(Stage::Tls))?
            .map_err(failed(Stage::Tls))?;
        if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            let found = "it has no HTTP/2".into();
            return Err(ConnectError::TlsVersion { address: self.address.clone(), found });
        }
        let mut first = BytesMut::with_capacity(1024);
        let count = timeout_at(deadline, tls.read_buf(&mut first))
            .await
            .map_err(|_| self.late(Stage::Greeting))?
            .map_err(failed(Stage::Greeting))?;
        if count == 0 {
            let address = self.address.clone();
            return Err(ConnectError::Closed { address, stage: Stage::Greeting });
        }
        Ok(Greeted { first, tls })
    }

    async fn tcp(&self, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let Address { host, port, .. } = &self.address;
        let unknown = |source| ConnectError::Dns { host: host.clone(), source: Arc::new(source) };
        let found: Vec<_> = timeout_at(deadline, lookup_host((host.as_str(), *port)))
            .await
            .map_err(|_| self.late(Stage::Dns))?
            .map_err(unknown)?
            .collect();
        let mut failure = unknown(io::Error::new(io::ErrorKind::NotFound, "no address for it"));
        for (n, socket) in found.iter().enumerate() {
            // An address that swallows packets must leave time for the next one.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(found.len() - n).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(socket)).await {
                Ok(Ok(tcp)) => {
                    // Small messages wait for nobody; a socket that refuses the option still works.
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(Err(source)) => {
                    let (address, source) = (self.address.clone(), Arc::new(source));
                    failure = ConnectError::Tcp { address, source };
                }
                Err(_) => failure = self.late(Stage::Tcp),
            }
        }
        Err(failure)
    }

    fn late(&self, stage: Stage) -> ConnectError {
        ConnectError::Timeout { address: self.address.clone(), stage, after: self.timeout }
    }

    fn config(&self, shown: Arc<OnceLock<Shown>>) -> Result<ClientConfig, ConnectError> {
        let unusable = |error: rustls::Error| ConnectError::Tls {
            address: self.address.clone(),
            source: Arc::new(io::Error::other(error)),
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier::new(self.trust.clone(), shown)));
        let mut config = match &self.credentials {
            Some(credentials) => builder.with_client_cert_resolver(Arc::new(credentials.clone())),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialer({})", self.address)
    }
}

/// A connection whose first bytes were read already and are given out first.
pub(super) struct Greeted {
    first: BytesMut,
    tls: TlsStream<TcpStream>,
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.tls).poll_read(context, buffer);
        }
        let count = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..count]);
        self.first.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
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
}
