//! An auditor's work on an archive alone, without a coordinator or a network: [`verify`] checks that
//! its parts are whole and belong together, [`replay`] recomputes the study from the journal's
//! totals and compares model and report byte for byte.
//!
//! What each can find: a changed, removed or reordered part fails [`verify`]. Whoever rewrites a
//! total, the report, the journal's chain and the manifest to match passes it while archives are
//! unsigned, and is found by [`replay`], since other totals give another model or another report
//! (save for numbers that neither depends on, such as the Hessian at a point that needed no step);
//! unless all of it is made anew from other totals: then only the sites' own ledgers, which have the
//! digests of their answers, and a manifest digest that came another way tell.

mod cohort;
mod run;
mod verify;

pub use run::{ReplayError, Replayed, ReportMatch, replay};
pub use verify::{ModelDigest, Verified, verify};
