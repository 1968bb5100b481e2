//! The vocabulary every other crate speaks: ids, digests, the study file, queries and sums, named
//! tensors, clock and seeds, and markup for pages. No IO beyond parsing text, no async.
//!
//! Start at [`query`]: every analysis is a [`query::Query`] whose answer is a [`sum::Sum`].

pub mod class_set;
pub mod clock;
pub mod digest;
pub mod ids;
pub mod markup;
pub mod query;
pub mod read;
pub mod seed;
pub mod study;
pub mod sum;
