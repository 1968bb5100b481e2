//! Answering the coordinator's tasks from local data.
//!
//! All of it happens on one thread of its own ([`Worker`]), never on an async worker: it reads
//! images, computes features and multiplies matrices. The async side hands it [`Job`]s and hears
//! [`Report`]s over channels. It reaches the site's data through a [`Desk`].
//!
//! Nothing is kept in memory unless a study is open, and nothing is computed twice but histograms of
//! trees and products of features: any other finished answer lies in the [`AnswerStore`] under its query's digest before it is
//! sent.

mod desk;
mod local;
mod open;
mod store;
mod worker;

pub use desk::{Considered, Desk, OpenCohort, Watch};
pub use local::LocalDesk;
pub use open::OpenStudy;
pub use store::AnswerStore;
pub use worker::{Job, JobId, Report, Work, Worker};
