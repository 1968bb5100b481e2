//! The site agent: local data, answering queries, egress, command line.

pub mod agent;
pub mod answer;
pub mod cli;
pub mod config;
pub mod data;
pub mod duplicates;
pub mod egress;
pub mod explain;
pub mod features;
pub mod predict;
