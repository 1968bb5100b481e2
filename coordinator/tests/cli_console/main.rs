//! The console over real TLS on loopback: joining, roles, revocation, and the binary's exit codes.

mod audit;
mod binary;
mod harness;
mod join;
#[expect(dead_code, reason = "the tests of reports use the rest of it")]
#[path = "../report/made_up.rs"]
mod made_up;
#[path = "../ran/mod.rs"]
mod ran;
mod report;
mod revocation;
mod roles;
mod studies;
