//! The one TLS provider (aws-lc-rs), handed to every configuration by name, so that no other crate's
//! feature can decide which cryptography runs here.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Makes aws-lc-rs the process's default provider. First line of every `main`: libraries that build
/// a TLS configuration without naming a provider (weight downloads) then use the same one. Calling it
/// twice is harmless.
pub fn install_crypto_provider() {
    // An error means that a default is already set, which is what we want.
    let _ = aws_lc_rs::default_provider().install_default();
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
