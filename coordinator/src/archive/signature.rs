//! The signature of an archive: over an attestation with the manifest's digest and the time, by the coordinator's signing key,
//! with the certificates that it is judged by in the archive ([`wardround_net::pki::Signer`]).
//!
//! What it proves: whoever held this consortium's signing key vouched for every byte. What it doesn't: that the bytes are
//! true (for that there is [`crate::replay`]), nor when it was made: the time is the coordinator's own clock, which no
//! time-stamping authority confirms. Any program that knows ECDSA can check it:
//!
//! ```text
//! openssl x509 -in signer.pem -pubkey -noout > key.pem
//! openssl dgst -sha256 -verify key.pem -signature attestation.sig attestation.json
//! openssl verify -CAfile ca.pem -attime SECONDS -purpose any signer.pem
//! sha256sum manifest.json      # stands in attestation.json
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_net::pki::{
    HeldTo, PkiError, Signer, Vouched, certificate_from_pem, judge_signature,
};

use super::manifest::{Manifest, Signature};
use super::{ArchiveError, names};

/// What an attestation of this kind begins with, so that nothing else that the key signs is taken for one.
const SIGNS: &str = "wardround archive";

/// Who signs an archive.
#[derive(Debug, Clone, Copy)]
pub enum SignedBy<'a> {
    /// Nobody.
    Nobody,
    /// The coordinator.
    Signer {
        /// Its key.
        signer: &'a Signer,
        /// What its clock says.
        at: Timestamp,
    },
}

/// What is signed: `attestation.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// Always `wardround archive`.
    pub signs: String,
    /// The study.
    pub study: StudyId,
    /// SHA-256 of `manifest.json`.
    pub manifest: Digest,
    /// When it was signed, by the signer's clock, in milliseconds since 1970-01-01 UTC.
    pub signed_ms: i64,
}

/// Who vouches for an archive, once judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum VouchedFor {
    /// Nobody.
    Unsigned,
    /// The holder of a signing key.
    Signed {
        /// When, by the signer's clock.
        signed_ms: i64,
        /// The same for people.
        signed: String,
        /// Fingerprint of the signing certificate.
        certificate: String,
        /// From when the certificate is valid.
        valid_from: String,
        /// To when.
        valid_to: String,
        /// Fingerprint of the root that issued it, to be compared with one that came another way.
        ca: String,
        /// What the root calls itself.
        ca_name: String,
        /// Whether `ca` is the one that the reader asked for.
        ca_compared: bool,
    },
}

/// Adds the attestation and its signature.
pub(super) fn sign(
    files: &mut BTreeMap<String, Vec<u8>>,
    study: &StudyId,
    manifest: Digest,
    signer: &Signer,
    at: Timestamp,
) -> Result<(), PkiError> {
    let signs = SIGNS.to_owned();
    let attestation = Attestation { signs, study: study.clone(), manifest, signed_ms: at.0 };
    let mut bytes = serde_json::to_vec_pretty(&attestation)
        .expect("an attestation has text keys, text and a whole number");
    bytes.push(b'\n');
    files.insert(names::SIGNATURE.to_owned(), signer.sign(&bytes)?);
    files.insert(names::ATTESTATION.to_owned(), bytes);
    Ok(())
}

/// Judges an archive's signature at its own time.
pub(super) fn judge(
    manifest: &Manifest,
    digest: Digest,
    files: &BTreeMap<String, &[u8]>,
) -> Result<VouchedFor, ArchiveError> {
    if manifest.signature == Signature::Absent {
        return Ok(VouchedFor::Unsigned);
    }
    let file =
        |name: &str| files.get(name).copied().ok_or_else(|| ArchiveError::Missing(name.to_owned()));
    let certificate = |name: &str| {
        let text = std::str::from_utf8(file(name)?);
        let text = text.map_err(|error| ArchiveError::malformed(name, error))?;
        certificate_from_pem(text).map_err(|error| ArchiveError::malformed(name, error))
    };
    let bytes = file(names::ATTESTATION)?;
    let attestation: Attestation = serde_json::from_slice(bytes)
        .map_err(|error| ArchiveError::malformed(names::ATTESTATION, error))?;
    let (signer, root) = (certificate(names::SIGNER)?, certificate(names::CA)?);
    let at = Timestamp(attestation.signed_ms);
    let Vouched { signer, validity, root, root_name } =
        judge_signature(bytes, file(names::SIGNATURE)?, &signer, &root, at)?;
    let differs =
        |what: &str| ArchiveError::contradiction(names::ATTESTATION, names::MANIFEST, what.into());
    if attestation.signs != SIGNS {
        return Err(differs("it isn't about an archive"));
    }
    if attestation.study != manifest.study.id {
        return Err(differs("it is about another study"));
    }
    if attestation.manifest != digest {
        return Err(differs("another manifest was signed"));
    }
    Ok(VouchedFor::Signed {
        signed_ms: at.0,
        signed: at.to_rfc3339(),
        certificate: signer.to_string(),
        valid_from: validity.from.to_rfc3339(),
        valid_to: validity.to.to_rfc3339(),
        ca: root.to_string(),
        ca_name: root_name,
        ca_compared: false,
    })
}

impl VouchedFor {
    /// Holds the signature to a root that the reader knows.
    pub(crate) fn hold_to(mut self, held_to: &HeldTo) -> Result<Self, ArchiveError> {
        let HeldTo::Root(expected) = held_to else { return Ok(self) };
        let expected = expected.to_string();
        match &mut self {
            Self::Unsigned => return Err(ArchiveError::Unsigned),
            Self::Signed { ca, ca_name, .. } if *ca != expected => {
                let (got, ca_name) = (ca.clone(), ca_name.clone());
                return Err(ArchiveError::OtherRoot { expected, got, ca_name });
            }
            Self::Signed { ca_compared, .. } => *ca_compared = true,
        }
        Ok(self)
    }
}
