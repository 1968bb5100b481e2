#![doc = include_str!("../README.md")]

pub mod client;
pub mod files;
pub mod invite;
pub mod pki;
mod provider;
pub mod retry;
pub mod server;
pub mod telemetry;
pub mod transfer;

pub use provider::install_crypto_provider;

/// Largest gRPC message either side takes, in bytes: a transfer chunk of
/// [`transfer::CHUNK_BYTES`] with ample room for its envelope. Set it on every generated client and
/// server (`max_decoding_message_size`, and `max_encoding_message_size`, which is unlimited otherwise);
/// what is larger travels as a transfer.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
