//! The audit unit: disclosure rules, suppression, egress ledger.

pub mod judge;
pub mod policy;
pub mod release;
