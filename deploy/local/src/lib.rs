//! A whole federation on one machine, from real processes.

pub mod phantom;
