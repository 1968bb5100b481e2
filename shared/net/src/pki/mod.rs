//! Who is who: the consortium's certificate authority, the identities in its certificates, and the
//! key each participant keeps for itself. (X.509: RFC 5280; requests: PKCS #10, RFC 2986.)
//!
//! One root per consortium, made at the coordinator's first start and never remade by itself: a new
//! root would lock every hospital out. What a certificate says is decided by the coordinator; of a
//! request only the public key is used, after its signature proved that the asker holds the key.

mod authority;
mod credentials;
mod fingerprint;
mod identity;
mod signer;
mod wallet;

pub use authority::{Authority, Hosts, Issued, SERVER_LIFETIME, SITE_LIFETIME, USER_LIFETIME};
pub use credentials::Credentials;
pub use fingerprint::{Fingerprint, FingerprintPrefix};
pub use identity::{Identity, Peer, PeerIdentity, Serial};
pub use signer::{
    HeldTo, SIGNER_LIFETIME, SignatureError, Signer, Validity, Vouched, issued_by, judge_signature,
};
pub use wallet::{Enrolled, Wallet};

use std::path::PathBuf;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use time::OffsetDateTime;
use wardround_core::clock::Timestamp;

/// What went wrong with a key or certificate.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The root certificate exists without its key.
    #[error(
        "{key} is missing but {certificate} exists: restore the key from a backup; a new root would lock out every enrolled site"
    )]
    KeyMissing {
        /// Where the key should be.
        key: PathBuf,
        /// The certificate that is there.
        certificate: PathBuf,
    },
    /// A file isn't what its name says.
    #[error("{path} holds no usable {expected}: {found}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
        /// What is wrong.
        found: String,
    },
    /// A certificate signing request is malformed, not signed by its own key, or of another key type.
    #[error("the certificate request is unusable: {0}")]
    Request(String),
    /// A certificate names no site and no user of a consortium.
    #[error("the certificate is no identity of this consortium: {0}")]
    NoIdentity(String),
    /// A host name or address that a certificate cannot hold.
    #[error("'{0}' is neither a DNS name nor an IP address")]
    Host(String),
    /// A fingerprint that can't be parsed.
    #[error("a fingerprint is 'sha256:' and {digits} hexadecimal digits, this is '{found}'")]
    Fingerprint {
        /// Digits expected.
        digits: usize,
        /// The text as it came.
        found: String,
    },
    /// Making a key or a certificate failed.
    #[error("making a certificate failed: {0}")]
    Making(#[from] rcgen::Error),
    /// TLS refuses a certificate and key together.
    #[error("the certificate and its key don't go together: {0}")]
    Pair(#[from] rustls::Error),
    /// Not enrolled yet.
    #[error("{0} holds no certificate yet: join a consortium first")]
    NotEnrolled(PathBuf),
    /// A moment outside the calendar.
    #[error("the clock is out of range: {0} ms since 1970")]
    Clock(i64),
}

/// The first certificate of a PEM text, in DER.
///
/// # Errors
/// The text holds no certificate.
pub fn certificate_from_pem(pem: &str) -> Result<CertificateDer<'static>, PkiError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| PkiError::NoIdentity(format!("no PEM certificate ({error})")))
}

/// Every certificate of a PEM text, in DER.
///
/// # Errors
/// The text isn't PEM, or has something else in it.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| PkiError::NoIdentity(format!("no PEM certificates ({error})")))
}

/// A certificate as PEM text.
pub fn certificate_to_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn moment(now: Timestamp) -> Result<OffsetDateTime, PkiError> {
    // Certificates count in seconds.
    OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1000)).map_err(|_| PkiError::Clock(now.0))
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.plus_ms(i64::try_from(by.as_millis()).unwrap_or(i64::MAX))
}
