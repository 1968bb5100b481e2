//! The audit unit: disclosure rules, suppression, egress ledger.

pub mod policy;
