//! A whole federation on one machine, from real processes: one coordinator, some site agents, each
//! with its own folder, over mutual TLS on loopback. `cargo demo` shows one; tests break them.

pub mod binaries;
pub mod demo;
pub mod federation;
pub mod hospitals;
pub mod phantom;
pub mod process;
pub mod studies;
