//! The coordinator: asks all sites questions, adds up their answers, trains and judges models with
//! them, and keeps a journal that a restart and an auditor go by. It can't decode an image: it
//! doesn't link a decoder.
//!
//! Start at [`round`].

pub mod archive;
pub mod cli;
pub mod export;
pub mod hub;
pub mod outcome;
pub mod replay;
pub mod report;
pub mod round;
pub mod runner;
pub mod service;
pub mod store;
