//! Channels to the coordinator: the site or the laptop dials out; nothing listens there.
//!
//! A channel connects when it is first used and again whenever its connection is lost. Failures carry
//! a [`ConnectError`] that says whose fault it is; [`ConnectError::of_status`] finds it in a call's
//! status.

mod connect;
mod error;
mod trust;

pub use error::{ConnectError, Stage};
pub use trust::Trust;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tonic::transport::Channel;

use crate::pki::{Credentials, Enrolled};
use crate::server::{PING_EVERY, PING_TIMEOUT};
use connect::Dialer;

/// Host and port of a coordinator: `name:port`, `https://name:port`, an IPv6 address in brackets;
/// the port is 443 when it is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) name: ServerName<'static>,
}

/// Why a text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no coordinator address: expected name:port or https://name:port ({why})")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

/// Where to connect, whom to trust, and as whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    dialer: Dialer,
    user_agent: String,
}

impl Endpoint {
    /// An endpoint that shows no certificate: for joining.
    pub fn new(address: Address, trust: Trust) -> Self {
        Self {
            dialer: Dialer::new(address, trust),
            user_agent: concat!("wardround/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// An endpoint for an enrolled participant: trusts its consortium's root alone and shows its
    /// certificate.
    pub fn enrolled(address: Address, enrolled: &Enrolled) -> Self {
        Self::new(address, Trust::Root(enrolled.ca.clone()))
            .credentials(enrolled.credentials.clone())
    }

    /// Shows a certificate. New connections use what the credentials hold then, so a rotation needs
    /// no new channel.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.dialer.credentials = Some(credentials);
        self
    }

    /// Time for name, TCP and TLS together; 10 seconds unless set.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.dialer.timeout = limit;
        self
    }

    /// Program and version, for the coordinator's log; printable ASCII.
    pub fn user_agent(mut self, name: &str) -> Self {
        self.user_agent = name.to_owned();
        self
    }

    /// A channel that connects at the first call. Must be called within a tokio runtime.
    pub fn connect_lazy(&self) -> Channel {
        let Address { host, port, .. } = &self.dialer.address;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        // Plain http towards tonic: TLS is ours, below its connector.
        let url = format!("http://{host}:{port}");
        let origin = format!("https://{host}:{port}")
            .parse()
            .expect("an address was parsed from a valid host and port");
        let endpoint = tonic::transport::Endpoint::from_shared(url)
            .expect("an address was parsed from a valid host and port")
            .origin(origin)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        // A name that is no header value is not worth failing for.
        let endpoint = endpoint.clone().user_agent(self.user_agent.clone()).unwrap_or(endpoint);
        let dialer = self.dialer.clone();
        endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
            let dialer = dialer.clone();
            async move { dialer.dial().await.map(TokioIo::new) }
        }))
    }

    /// Connects once and hangs up, to learn what is wrong before anything is called.
    ///
    /// # Errors
    /// What is wrong, and whose fault it is.
    pub async fn probe(&self) -> Result<(), ConnectError> {
        self.dialer.dial().await.map(drop)
    }
}

impl Address {
    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = |why| AddressError { text: text.to_owned(), why };
        let rest = text.trim();
        let rest = match rest.split_once("://") {
            Some(("https", rest)) => rest,
            Some(_) => return Err(wrong("only https is spoken")),
            None => rest,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, after) = inner.split_once(']').ok_or(wrong("the bracket is not closed"))?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':').ok_or(wrong("no ':' after ']'"))?)),
            }
        } else {
            match rest.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => {
                    return Err(wrong("an IPv6 address goes in brackets"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        let port = match port {
            None => 443,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(wrong("the port is no number from 1 to 65535")),
            },
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong("the host is neither a DNS name nor an IP address"))?;
        Ok(Self { host: host.to_owned(), port, name })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_every_spelling() {
        for (text, shown) in [
            ("c.example:8443", "c.example:8443"),
            ("https://c.example:8443/", "c.example:8443"),
            ("c.example", "c.example:443"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("https://[::1]:9", "[::1]:9"),
            ("[fe80::1]", "[fe80::1]:443"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in ["", "http://c.example", "c.example:0", "c.example:x", "::1", "[::1", "a b:1"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
