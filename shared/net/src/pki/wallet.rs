//! What a participant keeps: its own key, its certificate, the consortium's root. The key is made
//! where it is used and never leaves.
//!
//! Files: `pending.key` from the first request until the certificate arrives (a join that was cut
//! asks again with the same key), then `identity.pem` (key and certificate in one file, so that a
//! crash can't tear them apart) and `ca.pem`. Keys are the owner's alone.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{Credentials, Fingerprint, Peer, PeerIdentity, PkiError, certificate_from_pem};
use crate::files::{Access, write_atomically};

/// A folder with a participant's key and certificates.
#[derive(Debug, Clone)]
pub struct Wallet {
    folder: PathBuf,
}

/// What an enrolled participant connects with.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// Its certificate and key.
    pub credentials: Credentials,
    /// The consortium's root, the only one trusted.
    pub ca: CertificateDer<'static>,
    /// What its certificate says.
    pub me: Peer,
}

impl Wallet {
    /// Opens a folder, making it if needed.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, PkiError> {
        let folder = folder.into();
        fs::create_dir_all(&folder)
            .map_err(|source| PkiError::File { path: folder.clone(), source })?;
        Ok(Self { folder })
    }

    /// A certificate signing request (DER) for a fresh key, which waits in `pending.key`. Asking
    /// again before [`Wallet::accept`] gives a request for the same key. The request names nobody:
    /// the coordinator decides who this is.
    ///
    /// # Errors
    /// The key can't be made, read or written.
    pub fn request(&self) -> Result<Vec<u8>, PkiError> {
        let path = self.pending();
        if !path.exists() {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            self.write(&path, &key.serialize_pem(), Access::Owner)?;
        }
        let key = KeyPair::from_pem(&self.read(&path)?).map_err(|e| unreadable(&path, "key", e))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Ok(params.serialize_request(&key)?.der().to_vec())
    }

    /// Takes the certificate (PEM) that answers [`Wallet::request`], and the consortium's root
    /// (PEM), which the caller has checked against its pin or already holds.
    ///
    /// # Errors
    /// [`PkiError::Pair`] when the certificate is for another key; nothing is changed then.
    pub fn accept(&self, certificate_pem: &str, ca_pem: &str) -> Result<Enrolled, PkiError> {
        let (pending, identity) = (self.pending(), self.identity());
        let key = self.read(&pending)?;
        let leaf = certificate_from_pem(certificate_pem)?;
        let ca = certificate_from_pem(ca_pem)?;
        let me = PeerIdentity::from_certificate(&leaf)?;
        let private = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|e| unreadable(&pending, "key", e))?;
        let credentials = Credentials::new(vec![leaf], private)?;
        self.write(&self.ca(), ca_pem, Access::Anyone)?;
        self.write(&identity, &format!("{key}{certificate_pem}"), Access::Owner)?;
        fs::remove_file(&pending).map_err(|source| PkiError::File { path: pending, source })?;
        Ok(Enrolled { credentials, ca, me })
    }

    /// Loads what [`Wallet::accept`] stored.
    ///
    /// # Errors
    /// [`PkiError::NotEnrolled`] before that.
    pub fn load(&self) -> Result<Enrolled, PkiError> {
        let identity = self.identity();
        if !identity.exists() {
            return Err(PkiError::NotEnrolled(self.folder.clone()));
        }
        let (chain, key) = read_pair(&identity)?;
        let ca_path = self.ca();
        let ca = CertificateDer::from_pem_file(&ca_path)
            .map_err(|e| unreadable(&ca_path, "root certificate", e))?;
        let me = PeerIdentity::from_certificate(&chain[0])?;
        Ok(Enrolled { credentials: Credentials::new(chain, key)?, ca, me })
    }

    /// The fingerprint of the root in use.
    ///
    /// # Errors
    /// As [`Wallet::load`].
    pub fn ca_fingerprint(&self) -> Result<Fingerprint, PkiError> {
        Ok(Fingerprint::of(&self.load()?.ca))
    }

    /// Deletes keys and certificates.
    ///
    /// # Errors
    /// A file is there and can't be deleted.
    pub fn purge(&self) -> Result<(), PkiError> {
        for path in [self.pending(), self.identity(), self.ca()] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(PkiError::File { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn pending(&self) -> PathBuf {
        self.folder.join("pending.key")
    }

    fn identity(&self) -> PathBuf {
        self.folder.join("identity.pem")
    }

    fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    fn read(&self, path: &Path) -> Result<String, PkiError> {
        fs::read_to_string(path).map_err(|source| PkiError::File { path: path.to_owned(), source })
    }

    fn write(&self, path: &Path, text: &str, access: Access) -> Result<(), PkiError> {
        write_atomically(path, text.as_bytes(), access)
            .map_err(|source| PkiError::File { path: path.to_owned(), source })
    }
}

/// Reads a key and its chain from one PEM file; the chain has at least a leaf.
pub(super) fn read_pair(
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), PkiError> {
    let key = PrivateKeyDer::from_pem_file(path).map_err(|e| unreadable(path, "key", e))?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|e| unreadable(path, "certificate", e))?;
    if chain.is_empty() {
        return Err(unreadable(path, "certificate", "there is none"));
    }
    Ok((chain, key))
}

fn unreadable(path: &Path, expected: &'static str, found: impl std::fmt::Display) -> PkiError {
    PkiError::Unreadable { path: path.to_owned(), expected, found: found.to_string() }
}
