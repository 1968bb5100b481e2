//! Weights: where they come from ([`WeightsSource`]), where they are kept ([`WeightsStore`]), and what they hold ([`StateDict`]).
//!
//! A file is known by its SHA-256; a study pins it, so that every site computes the same features. Nothing in a weights file is
//! ever executed.

mod error;
pub mod generated;
mod hub;
mod pickle;
mod pip;
mod source;
mod state;
mod store;
mod torch;
mod torn;

pub use error::{FormatError, WeightsError};
pub use source::WeightsSource;
pub use state::{Parameter, StateDict};
pub(crate) use store::sha256;
pub use store::{Digest, LocalWeights, WeightsStore};
