//! The audit unit: disclosure rules, suppression, egress ledger.

pub mod judge;
pub mod ledger;
pub mod policy;
pub mod release;
pub mod seal;
pub mod words;
