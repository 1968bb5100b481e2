#![doc = include_str!("../README.md")]

pub mod dominance;
pub mod judge;
pub mod ledger;
pub mod policy;
pub mod release;
pub mod seal;
pub mod successive;
pub mod suppress;
pub mod words;
