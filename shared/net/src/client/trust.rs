//! Whom a client believes to be the coordinator: the consortium's root alone, or, before joining, a
//! root whose fingerprint starts as the invite says. Public certificate authorities are never asked.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use wardround_core::clock::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::pki::{Fingerprint, FingerprintPrefix};
use crate::provider::provider;

/// Which coordinator is the right one. Its certificate must also carry the name that was dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The one whose certificate this root signed.
    Root(CertificateDer<'static>),
    /// The one that presents a root with this fingerprint, and a certificate signed by it: for
    /// joining with an invite.
    Pinned(FingerprintPrefix),
}

/// What the other side showed, for the sentence when it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) issuer: String,
    pub(super) names: String,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// Fingerprint of the last certificate of the chain: a root, when one is sent.
    pub(super) last: Fingerprint,
}

/// Verifies a server's chain and remembers what was shown. Made for one handshake.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    shown: Arc<OnceLock<Shown>>,
}

impl Verifier {
    pub(super) fn new(trust: Trust, shown: Arc<OnceLock<Shown>>) -> Self {
        Self { trust, shown }
    }

    /// The root to check against: the known one, or the presented one that fits the pin.
    fn root<'a>(&'a self, chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
        match &self.trust {
            Trust::Root(root) => Some(root),
            Trust::Pinned(pin) => chain.iter().find(|der| pin.matches(&Fingerprint::of(der))),
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // One handshake verifies once.
        let _ = self.shown.set(Shown::of(leaf, chain.last().unwrap_or(leaf)));
        let Some(root) = self.root(chain) else {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(leaf, chain, name, ocsp, now)
            .map_err(|error| match error {
                // Another root of the same name: its signature doesn't fit our key.
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
        let known = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl Shown {
    fn of(leaf: &[u8], last: &[u8]) -> Self {
        let last = Fingerprint::of(last);
        let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
            let (issuer, names) = ("an unreadable issuer".into(), "unreadable names".into());
            return Self { issuer, names, from: Timestamp(0), until: Timestamp(0), last };
        };
        let names = match parsed.subject_alternative_name() {
            Ok(Some(names)) => {
                let names: Vec<String> =
                    names.value.general_names.iter().map(ToString::to_string).collect();
                names.join(", ")
            }
            _ => "no names".into(),
        };
        let ms = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
        Self {
            issuer: parsed.issuer().to_string(),
            names,
            from: ms(parsed.validity().not_before.timestamp()),
            until: ms(parsed.validity().not_after.timestamp()),
            last,
        }
    }
}
