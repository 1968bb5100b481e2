//! A certificate chain with its key, as TLS presents it. Shared and replaceable: every new
//! connection uses the newest one, so a certificate rotates while the process runs.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::PkiError;
use crate::provider::provider;

/// A certificate chain and its private key; clones share it.
#[derive(Clone)]
pub struct Credentials(Arc<RwLock<Arc<CertifiedKey>>>);

impl Credentials {
    /// Takes a chain (leaf first) and the leaf's key.
    ///
    /// # Errors
    /// [`PkiError::Pair`] when the key isn't the leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, PkiError> {
        Ok(Self(Arc::new(RwLock::new(certified(chain, key)?))))
    }

    /// From now on, new connections present this chain. Open ones keep theirs until it ends.
    ///
    /// # Errors
    /// [`PkiError::Pair`] when the key isn't the leaf's; the old one stays.
    pub fn replace(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<(), PkiError> {
        let new = certified(chain, key)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// From now on, new connections present what `newer` holds: a rotation by
    /// [`Wallet`](super::Wallet).
    pub fn take_over(&self, newer: &Credentials) {
        let new = newer.current();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// The leaf certificate in DER.
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.current().cert[0].clone()
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, PkiError> {
    // It checks that there is a leaf and that the key is its.
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl ResolvesServerCert for Credentials {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Credentials {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
