//! The console over real TLS on loopback: joining, roles, revocation, and the binary's exit codes.

mod audit;
mod binary;
mod harness;
mod join;
#[path = "../ran/mod.rs"]
mod ran;
mod revocation;
mod roles;
mod studies;
