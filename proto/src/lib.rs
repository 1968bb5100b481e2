//! The wire: messages and stubs generated from `proto/wardround/v1/wardround.proto`, conversions
//! between them and the core's types, and the mapping of errors to gRPC status codes.
//!
//! Queries and sums travel as [`payload`]s: the core's own encoding, compressed, so that one digest
//! names a query in journal, ledger and on the wire.

pub mod payload;
pub mod problem;

/// The generated messages and stubs.
#[allow(missing_docs, clippy::all, unused_qualifications)]
pub mod v1 {
    include!("gen/wardround.v1.rs");
}
