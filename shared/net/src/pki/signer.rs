//! The key that signs archives, and how its signatures are judged years later: at the time of signing, by the
//! certificates beside them alone. ECDSA P-256 with SHA-256 (FIPS 186-5), DER; the certificate is for signing documents
//! (RFC 9336) and nothing else, so TLS refuses it as a server's or a client's.
//!
//! One file beside the root's key: `signing.pem`, key and certificate, owner only. It is made when it is first asked
//! for, and made anew, with a new key, in its last third: what was signed before has its own certificate with it.
//!
//! Departure from RFC 3161: nobody else confirms the time. It is the signer's clock, inside the signed bytes; whoever
//! holds the key can sign for any moment within the certificate's life.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rcgen::{
    DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, SigningKey as _,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use wardround_core::clock::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::authority::{DAY, parameters};
use super::{Authority, Fingerprint, PkiError, certificate_to_pem, moment};
use crate::files::{Access, write_atomically};

/// How long a signing certificate lasts; it is replaced in its last third.
pub const SIGNER_LIFETIME: Duration = DAY.saturating_mul(3 * 365);

/// id-kp-documentSigning.
const DOCUMENT_SIGNING: [u64; 9] = [1, 3, 6, 1, 5, 5, 7, 3, 36];

/// A key that signs archives, with its certificate and the root's.
#[derive(Debug)]
pub struct Signer {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    root: CertificateDer<'static>,
}

/// When a certificate is valid, both ends included; whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
}

/// Who signed, by certificates that were valid when it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// The signing certificate.
    pub signer: Fingerprint,
    /// When it is valid.
    pub validity: Validity,
    /// The root that issued it.
    pub root: Fingerprint,
    /// What the root calls itself. Anybody can make a root of that name: the fingerprint counts.
    pub root_name: String,
}

/// Which root a signature has to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldTo {
    /// Whichever is beside it: the reader compares its fingerprint.
    AnyRoot,
    /// This one.
    Root(Fingerprint),
}

/// Why a signature doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No X.509 certificate.
    #[error("the {what} certificate can't be read: {why}")]
    Unreadable {
        /// Which certificate.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The root is none.
    #[error("'{0}' is no root: a root is signed by itself and may issue certificates")]
    NotARoot(String),
    /// Another root, or another key, issued the certificate.
    #[error("'{root}' didn't issue the certificate of '{subject}'")]
    Chain {
        /// Whom the certificate names.
        subject: String,
        /// The root beside it.
        root: String,
    },
    /// A certificate for something else.
    #[error("the certificate of '{0}' isn't one for signing archives")]
    Usage(String),
    /// The signature fits neither the bytes nor the key.
    #[error("the signature is wrong: something else was signed, or by another key")]
    Wrong,
    /// Signed before or after the certificate's time.
    #[error(
        "signed on {}, outside the time of the {what} certificate: {} to {}",
        at.to_rfc3339(), validity.from.to_rfc3339(), validity.to.to_rfc3339()
    )]
    OutsideItsTime {
        /// Which certificate.
        what: &'static str,
        /// The moment of signing.
        at: Timestamp,
        /// When the certificate is valid.
        validity: Validity,
    },
}

impl Signer {
    /// The signing certificate as PEM.
    pub fn certificate_pem(&self) -> String {
        certificate_to_pem(&self.certificate)
    }

    /// The root that issued it, in DER.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The root as PEM.
    pub fn root_pem(&self) -> String {
        certificate_to_pem(&self.root)
    }

    /// Signs some bytes; twice the same bytes give two signatures.
    ///
    /// # Errors
    /// The provider has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        Ok(self.key.sign(message)?)
    }
}

impl Authority {
    /// The key that signs archives, from `signing.pem` in the folder. A new one is made when there is none, another root
    /// issued it, or its last third has begun.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub fn signer(&self, folder: &Path, now: Timestamp) -> Result<Signer, PkiError> {
        let path = folder.join("signing.pem");
        let file = |source| PkiError::File { path: path.clone(), source };
        if path.exists() {
            let text = fs::read_to_string(&path).map_err(file)?;
            if let Some(signer) = self.kept_signer(&text, now) {
                return Ok(signer);
            }
        }
        let signer = self.signer_in_memory(SIGNER_LIFETIME, now)?;
        let pem = format!("{}{}", signer.key.serialize_pem(), signer.certificate_pem());
        write_atomically(&path, pem.as_bytes(), Access::Owner).map_err(file)?;
        Ok(signer)
    }

    /// A signing key that is kept nowhere. Its certificate ends with the root's at the latest.
    ///
    /// # Errors
    /// Making it failed.
    pub fn signer_in_memory(&self, lifetime: Duration, now: Timestamp) -> Result<Signer, PkiError> {
        let root = self.certificate().clone();
        let mut params = parameters(now, lifetime)?;
        if let Ok((_, parsed)) = X509Certificate::from_der(&root) {
            params.not_after = params.not_after.min(moment(validity_of(&parsed).to)?);
        }
        params.distinguished_name.push(DnType::CommonName, "Wardround archive signing");
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::Other(DOCUMENT_SIGNING.to_vec())];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        Ok(Signer { key, certificate, root })
    }

    /// What is in `signing.pem`, if it can still be used.
    fn kept_signer(&self, text: &str, now: Timestamp) -> Option<Signer> {
        let key = KeyPair::from_pem(text).ok()?;
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let root = self.certificate().clone();
        let Validity { from, to } = issued_by(&certificate, &root).ok()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let is_its_key = parsed.public_key().subject_public_key.data.as_ref() == key.der_bytes();
        let renew_at = to.plus_ms(-(to.since_ms(from) / 3));
        let usable = is_its_key && is_for_signing(&parsed) && from <= now && now < renew_at;
        usable.then_some(Signer { key, certificate, root })
    }
}

/// Judges a signature by the certificates beside it (DER), at the time of signing: no clock is read. Whether the root is
/// the right one, the caller has to find out.
///
/// # Errors
/// [`SignatureError`].
pub fn judge_signature(
    message: &[u8],
    signature: &[u8],
    certificate: &[u8],
    root: &[u8],
    at: Timestamp,
) -> Result<Vouched, SignatureError> {
    let validity = issued_by(certificate, root)?;
    let (leaf, issuer) = (parse("signing", certificate)?, parse("root", root)?);
    if !is_for_signing(&leaf) {
        return Err(SignatureError::Usage(leaf.subject().to_string()));
    }
    let key = leaf.public_key().subject_public_key.data.as_ref();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(message, signature)
        .map_err(|_| SignatureError::Wrong)?;
    for (what, validity) in [("signing", validity), ("root", validity_of(&issuer))] {
        // Certificates count in seconds.
        let second = Timestamp(at.0.div_euclid(1000) * 1000);
        if second < validity.from || validity.to < second {
            return Err(SignatureError::OutsideItsTime { what, at, validity });
        }
    }
    Ok(Vouched {
        signer: Fingerprint::of(certificate),
        validity,
        root: Fingerprint::of(root),
        root_name: issuer.subject().to_string(),
    })
}

/// Checks that a root issued a certificate (both DER) and says when that is valid.
///
/// # Errors
/// [`SignatureError`]: unreadable, no root, or issued by another.
pub fn issued_by(certificate: &[u8], root: &[u8]) -> Result<Validity, SignatureError> {
    let (leaf, root) = (parse("signing", certificate)?, parse("root", root)?);
    if !root.is_ca() || root.verify_signature(Some(root.public_key())).is_err() {
        return Err(SignatureError::NotARoot(root.subject().to_string()));
    }
    if leaf.issuer() != root.subject() || leaf.verify_signature(Some(root.public_key())).is_err() {
        let (subject, root) = (leaf.subject().to_string(), root.subject().to_string());
        return Err(SignatureError::Chain { subject, root });
    }
    Ok(validity_of(&leaf))
}

fn parse<'a>(what: &'static str, der: &'a [u8]) -> Result<X509Certificate<'a>, SignatureError> {
    let unreadable = |why: String| SignatureError::Unreadable { what, why };
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(unreadable("bytes follow it".into())),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

fn validity_of(certificate: &X509Certificate<'_>) -> Validity {
    let validity = certificate.validity();
    let moment = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
    Validity {
        from: moment(validity.not_before.timestamp()),
        to: moment(validity.not_after.timestamp()),
    }
}

/// For signing documents and nothing else.
fn is_for_signing(certificate: &X509Certificate<'_>) -> bool {
    let signs = match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.digital_signature(),
        _ => false,
    };
    let Ok(Some(purposes)) = certificate.extended_key_usage() else { return false };
    let purposes = purposes.value;
    let connects = purposes.any || purposes.client_auth || purposes.server_auth;
    let documents =
        purposes.other.iter().any(|oid| oid.iter().is_some_and(|arcs| arcs.eq(DOCUMENT_SIGNING)));
    signs && documents && !connects && !certificate.is_ca()
}
