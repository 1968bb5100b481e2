//! An auditor's work on an archive alone, without a coordinator or a network: [`verify`] checks that
//! its parts are whole and belong together, [`replay`] recomputes the study from the journal's
//! totals and compares model and report byte for byte.
//!
//! What each can find: a changed, removed or reordered part fails [`verify`], and so does anything that the coordinator's
//! key didn't sign, if the reader holds the signature to the consortium's root; else whoever changes an archive signs it
//! anew under a root of their own. Who holds the coordinator's key, and rewrites a
//! total, the report, the journal's chain and the manifest to match, passes it, and is found by [`replay`], since other totals give another model or another report
//! (save for numbers that neither depends on, such as the Hessian at a point that needed no step);
//! unless all of it is made anew from other totals: then only the sites' own ledgers, which have the
//! digests of their answers, and a manifest digest that came another way tell.
//!
//! Trees are replayed by what was decided, unless the journal keeps their histograms ([`crate::store::Kept`]).
//! What that proves: the questions, each named by its digest, are those that these trees lead to, one by
//! one; every split is at a cut of its training rows' bins, gains something, and leaves the patients and
//! weights that the study asks for; values of leaves, scores, choices, figures and thresholds are computed
//! anew. What it doesn't: that no better split was to be had, that a leaf without a split had none, and that
//! the sums beside the splits are those of the histograms. The histograms' total is in the journal by its
//! digest alone, and the archive holds nothing that gives it. Who wants to know asks the sites: each can
//! answer the question again, the digest of its answer stands in its ledger and in `answers.jsonl`, and the
//! answers' sum has the total's digest. Bins are counted from a total that is kept, as all others are.

mod cohort;
mod run;
mod verify;

pub use run::{ReplayError, Replayed, ReportMatch, replay, replay_held_to};
pub use verify::{ModelDigest, Verified, verify, verify_held_to};
