//! An auditor's work on an archive alone, without a coordinator or a network: [`verify`] checks that
//! its parts are whole and belong together, [`replay`] recomputes the study from the journal's
//! totals and compares the model's hash.
//!
//! What each can find: a changed, removed or reordered part fails [`verify`]. Whoever rewrites a
//! total, the journal's chain and the manifest to match passes it while archives are unsigned, and
//! is found by [`replay`], since another total gives another model; unless the model is rewritten
//! too: then only the sites' own ledgers, which have the digests of their answers, and a manifest
//! digest that came another way tell.

mod cohort;
mod run;
mod verify;

pub use run::{Replayed, ReplayError, replay};
pub use verify::{ModelDigest, Verified, verify};
