//! Why a connection failed: one sentence each, that says what was found and whose fault it is, so
//! that it can be sent on to the person who can mend it.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError};
use tonic::Status;
use wardround_core::clock::Timestamp;

use super::Address;
use super::trust::{Shown, Trust};
use crate::pki::{Fingerprint, FingerprintPrefix};
use crate::retry::Transient;
use crate::server::Refusal;

/// A step of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking the name up.
    Dns,
    /// Reaching the port.
    Tcp,
    /// The TLS handshake.
    Tls,
    /// Waiting for the first word after it.
    Greeting,
}

/// Why there is no connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// The name can't be looked up.
    #[error(
        "the name {host} can't be looked up here: check its spelling, or ask your network's administrators about DNS ({source})"
    )]
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// The port can't be reached.
    #[error(
        "{address} can't be reached: the coordinator is down, or a firewall on the way refuses ({source})"
    )]
    Tcp {
        /// Where to.
        address: Address,
        /// What the network said.
        source: Arc<io::Error>,
    },
    /// Nothing came within the time.
    #[error("no answer from {address} within {} s while {stage}: a firewall on the way may drop the packets", after.as_secs_f32())]
    Timeout {
        /// Where to.
        address: Address,
        /// What was waited for.
        stage: Stage,
        /// How long.
        after: Duration,
    },
    /// Something else than TLS answers at that port.
    #[error(
        "{address} answers, but not with TLS: the port is wrong, or a proxy on the way answers in its place"
    )]
    NotTls {
        /// Where to.
        address: Address,
    },
    /// The other side speaks TLS, but not version 1.3 with HTTP/2 as the coordinator does.
    #[error(
        "{address} doesn't speak TLS 1.3 as a coordinator does: an old program or an inspecting proxy answers in its place ({found})"
    )]
    TlsVersion {
        /// Where to.
        address: Address,
        /// What was found.
        found: String,
    },
    /// The server's certificate comes from another authority.
    #[error(
        "the certificate shown for {address} was issued by '{issuer}', not by this consortium: if that is your network's TLS inspection, have this name exempted from it"
    )]
    UnknownCa {
        /// Where to.
        address: Address,
        /// Who signed it, as it says itself.
        issuer: String,
    },
    /// The invite is for another root than the server shows.
    #[error(
        "{address} shows a root with fingerprint {shown}, the invite expects one that starts with {expected}: the invite is for another coordinator, or somebody answers in its place"
    )]
    WrongFingerprint {
        /// Where to.
        address: Address,
        /// What the invite pins.
        expected: FingerprintPrefix,
        /// What was shown.
        shown: Fingerprint,
    },
    /// The server's certificate is for other names.
    #[error(
        "the coordinator's certificate is for {names}, not for {host}: use one of these names, or have the coordinator started with this one among its hosts"
    )]
    WrongName {
        /// The name dialled.
        host: String,
        /// The names in the certificate.
        names: String,
    },
    /// The server's certificate isn't valid at the time this machine's clock shows.
    #[error("the coordinator's certificate is valid from {} to {}, this machine's clock says {}: set the clock, or tell the coordinator's operator", from.to_rfc3339(), until.to_rfc3339(), now.to_rfc3339())]
    ServerDates {
        /// Its start.
        from: Timestamp,
        /// Its end.
        until: Timestamp,
        /// This machine's clock.
        now: Timestamp,
    },
    /// The coordinator finds our certificate out of date.
    #[error(
        "the coordinator finds our certificate out of date: it has expired, or one of the two clocks is off; renew it with a fresh token"
    )]
    Expired,
    /// Our certificate comes from another consortium.
    #[error(
        "{address} doesn't accept our certificate: it was issued by another consortium; join this one with a token of its lead"
    )]
    Foreign {
        /// Where to.
        address: Address,
    },
    /// The coordinator refuses our certificate for another reason.
    #[error("the coordinator refuses our certificate ({alert}): join again with a fresh token")]
    Rejected {
        /// TLS's name of the reason.
        alert: String,
    },
    /// The coordinator knows us and turns us away.
    #[error("the coordinator refuses: {reason}; ask its operator")]
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// The connection was closed while it was made.
    #[error(
        "{address} closed the connection while {stage}: the coordinator is shutting down or full, or something on the way cuts TLS"
    )]
    Closed {
        /// Where to.
        address: Address,
        /// When.
        stage: Stage,
    },
    /// Any other TLS problem.
    #[error("TLS with {address} failed: {source}")]
    Tls {
        /// Where to.
        address: Address,
        /// What TLS said.
        source: Arc<io::Error>,
    },
}

impl ConnectError {
    /// The reason why a call found no connection or was turned away at the door, if that is why it
    /// failed.
    pub fn of_status(status: &Status) -> Option<ConnectError> {
        if let Some(reason) = Refusal::of_status(status) {
            return Some(ConnectError::Refused { reason });
        }
        Self::find(status)
    }

    /// Looks for the reason among an error and its sources.
    pub fn find(error: &(dyn Error + 'static)) -> Option<ConnectError> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<ConnectError>() {
                return Some(found.clone());
            }
            next = error.source();
        }
        None
    }

    /// Reads what a TLS failure means.
    pub(super) fn of_tls(
        address: &Address,
        trust: &Trust,
        shown: Option<&Shown>,
        stage: Stage,
        error: io::Error,
    ) -> ConnectError {
        let address = address.clone();
        let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>())
        else {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe => ConnectError::Closed { address, stage },
                _ => ConnectError::Tls { address, source: Arc::new(error) },
            };
        };
        match (tls, shown) {
            (rustls::Error::InvalidCertificate(problem), Some(shown)) => {
                of_certificate(address, trust, shown, problem, error.to_string())
            }
            (rustls::Error::AlertReceived(alert), _) => {
                of_alert(address, *alert, error.to_string())
            }
            (rustls::Error::InvalidMessage(_), _) => ConnectError::NotTls { address },
            (rustls::Error::PeerIncompatible(problem), _) => {
                ConnectError::TlsVersion { address, found: format!("{problem:?}") }
            }
            (rustls::Error::NoApplicationProtocol, _) => {
                ConnectError::TlsVersion { address, found: "it has no HTTP/2".into() }
            }
            _ => ConnectError::Tls { address, source: Arc::new(error) },
        }
    }
}

fn of_certificate(
    address: Address,
    trust: &Trust,
    shown: &Shown,
    problem: &CertificateError,
    text: String,
) -> ConnectError {
    match problem {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            use wardround_core::clock::{Clock, SystemClock};
            ConnectError::ServerDates {
                from: shown.from,
                until: shown.until,
                now: SystemClock.now(),
            }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            ConnectError::WrongName { host: address.host, names: shown.names.clone() }
        }
        CertificateError::UnknownIssuer => {
            ConnectError::UnknownCa { address, issuer: shown.issuer.clone() }
        }
        problem => match trust {
            // Our own verifier's word for a root that doesn't fit the pin.
            Trust::Pinned(pin) if *problem == CertificateError::ApplicationVerificationFailure => {
                ConnectError::WrongFingerprint { address, expected: *pin, shown: shown.last }
            }
            _ => ConnectError::Tls { address, source: Arc::new(io::Error::other(text)) },
        },
    }
}

fn of_alert(address: Address, alert: AlertDescription, text: String) -> ConnectError {
    match alert {
        AlertDescription::CertificateExpired => ConnectError::Expired,
        AlertDescription::UnknownCA => ConnectError::Foreign { address },
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRequired
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => ConnectError::Rejected { alert: format!("{alert:?}") },
        AlertDescription::ProtocolVersion | AlertDescription::NoApplicationProtocol => {
            ConnectError::TlsVersion { address, found: format!("{alert:?}") }
        }
        _ => ConnectError::Tls { address, source: Arc::new(io::Error::other(text)) },
    }
}

/// What the network or the coordinator's momentary state causes may pass; what certificates and
/// names cause stays until somebody mends it.
impl Transient for ConnectError {
    fn is_transient(&self) -> bool {
        matches!(
            self,
            ConnectError::Dns { .. }
                | ConnectError::Tcp { .. }
                | ConnectError::Timeout { .. }
                | ConnectError::Closed { .. }
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Dns => "looking its name up",
            Stage::Tcp => "opening the connection",
            Stage::Tls => "shaking hands",
            Stage::Greeting => "waiting for its greeting",
        })
    }
}
