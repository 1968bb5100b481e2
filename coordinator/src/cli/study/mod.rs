//! `wardround study`: from a manifest's header to a report.

mod events;
mod file;
mod follow;
mod manifest;
mod offline;
mod plan;
mod progress;
mod report;
mod results;
mod running;
mod statements;

use clap::Subcommand;

use super::output::{Answer, Failure, Format};

/// Studies: write, check, submit, follow, read results
#[derive(Debug, Subcommand)]
pub enum Study {
    /// Write a commented study file from a manifest's columns
    New(file::New),
    /// Point at every mistake of a study file
    Check(file::Check),
    /// What a study would cost and which sites would refuse it; starts nothing (leads)
    Plan(plan::Plan),
    /// Start a study and print its id (leads)
    Submit(running::Submit),
    /// List the studies
    List(running::List),
    /// Follow a study until it ends (leads)
    Watch(running::Watch),
    /// Wait silently until a study ends; the exit code says how (leads)
    Wait(running::Wait),
    /// What happened in a study so far (leads)
    Logs(running::Logs),
    /// Stop a study (leads)
    Abort(running::Abort),
    /// Print a study's file, to change it and submit it again (leads and auditors)
    Clone(results::Clone),
    /// A study's report (leads and auditors)
    Report(report::Report),
    /// Write or check the file for what only people can write; needs no coordinator
    Statements(statements::Statements),
    /// Write a study's archive: file, report, model, journal of totals (leads and auditors)
    Export(results::Export),
    /// Check an archive's signature, digests and chain; needs no coordinator
    Verify(offline::Verify),
    /// Recompute an archive's model from its journal; needs no coordinator
    Replay(offline::Replay),
}

impl Study {
    /// The command's name.
    pub fn name(&self) -> &'static str {
        match self {
            Study::New(_) => "study new",
            Study::Check(_) => "study check",
            Study::Plan(_) => "study plan",
            Study::Submit(_) => "study submit",
            Study::List(_) => "study list",
            Study::Watch(_) => "study watch",
            Study::Wait(_) => "study wait",
            Study::Logs(_) => "study logs",
            Study::Abort(_) => "study abort",
            Study::Clone(_) => "study clone",
            Study::Report(_) => "study report",
            Study::Statements(_) => "study statements",
            Study::Export(_) => "study export",
            Study::Verify(_) => "study verify",
            Study::Replay(_) => "study replay",
        }
    }

    /// How its answer looks.
    pub fn format(&self) -> Format {
        match self {
            Study::New(it) => it.output.format,
            Study::Check(it) => it.output.format,
            Study::Plan(it) => it.output.format,
            Study::Submit(it) => it.output.format,
            Study::List(it) => it.output.format,
            Study::Watch(it) => it.output.format,
            Study::Wait(it) => it.output.format,
            Study::Logs(it) => it.output.format,
            Study::Abort(it) => it.output.format,
            Study::Clone(it) => it.output.format,
            Study::Report(it) => it.output_format(),
            Study::Statements(it) => it.output.format,
            Study::Export(it) => it.output.format,
            Study::Verify(it) => it.output.format,
            Study::Replay(it) => it.output.format,
        }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        match self {
            Study::New(it) => it.run(),
            Study::Check(it) => it.run(),
            Study::Plan(it) => it.run().await,
            Study::Submit(it) => it.run().await,
            Study::List(it) => it.run().await,
            Study::Watch(it) => it.run().await,
            Study::Wait(it) => it.run().await,
            Study::Logs(it) => it.run().await,
            Study::Abort(it) => it.run().await,
            Study::Clone(it) => it.run().await,
            Study::Report(it) => it.run().await,
            Study::Statements(it) => it.run(),
            Study::Export(it) => it.run().await,
            Study::Verify(it) => it.run(),
            Study::Replay(it) => it.run(),
        }
    }
}
