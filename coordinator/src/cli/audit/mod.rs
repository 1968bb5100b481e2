//! `wardround audit`: finished studies as an auditor reads them, from their suppressed reports alone.

mod compare;
mod difference;
mod drift;
mod history;
mod sites;
mod source;
mod subgroups;

use clap::Subcommand;

use super::output::{Answer, Failure, Format};

/// Finished studies: sites, subgroups, comparisons, what was studied before
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Every site's figures, beside those of models that never saw it (leads and auditors)
    Sites(sites::Sites),
    /// Every subgroup's figures, the gaps between them, and what wasn't judged (leads and auditors)
    Subgroups(subgroups::Subgroups),
    /// Two studies beside each other: what changed in file and figures (leads and auditors)
    Compare(compare::Compare),
    /// A finished model over time: every evaluation of it, beside its training (leads and auditors)
    ///
    /// Ends with exit code 1 where the latest evaluation that is done has an alarm, with 0 where it is
    /// within its limits, on watch, or sets none.
    Drift(drift::Drift),
    /// All studies of the same target and sites, also failed and aborted ones (leads and auditors)
    History(history::History),
}

impl Audit {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Audit::Sites(_) => "audit sites",
            Audit::Subgroups(_) => "audit subgroups",
            Audit::Compare(_) => "audit compare",
            Audit::Drift(_) => "audit drift",
            Audit::History(_) => "audit history",
        }
    }

    /// How its answer looks.
    pub fn format(&self) -> Format {
        match self {
            Audit::Sites(it) => it.output.format,
            Audit::Subgroups(it) => it.output.format,
            Audit::Compare(it) => it.output.format,
            Audit::Drift(it) => it.output.format,
            Audit::History(it) => it.output.format,
        }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        match self {
            Audit::Sites(it) => it.run().await,
            Audit::Subgroups(it) => it.run().await,
            Audit::Compare(it) => it.run().await,
            Audit::Drift(it) => it.run().await,
            Audit::History(it) => it.run().await,
        }
    }
}
