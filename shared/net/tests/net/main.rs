//! The crate's tests from outside, in one binary.

mod harness;
mod pki;
mod tls;
mod transfer;
