//! What an observer hears while a study runs.

/// A step of a study's run, for progress lines.
#[derive(Debug, Clone, PartialEq)]
pub enum StudyEvent {
    /// One of several combinations of input and classifier begins.
    Combination {
        /// Its name in the study.
        name: String,
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// A phase begins.
    Phase {
        /// Its name, a few words.
        name: &'static str,
        /// Models that it is about; 0 when it isn't about models.
        models: usize,
    },
    /// A question is about to be asked.
    Asked {
        /// Its number, from 1.
        query: u64,
        /// [`wardround_core::query::Query::name`].
        name: &'static str,
    },
    /// A round of fitting is over.
    Round {
        /// Its number, from 1.
        round: u64,
        /// Models that go on.
        unfinished: usize,
        /// Largest entry of any model's gradient, divided by its number of rows.
        gradient: f64,
    },
    /// A round of growing trees is over.
    Trees {
        /// Its number, from 1.
        round: u64,
        /// Trees that go on or haven't begun.
        unfinished: usize,
        /// All trees of all models.
        trees: usize,
    },
    /// A question was out of range and is asked again at a coarser scale.
    Coarser {
        /// What was asked.
        name: &'static str,
        /// Binary places of the next try.
        bits: u8,
    },
}

/// Hears what happens.
pub trait Observer: Sync {
    /// Something happened. Must not block.
    fn event(&self, event: &StudyEvent);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: &StudyEvent) {}
}
