//! The command line of `wardround-site`: one file per command.
//!
//! Results go to standard output, as text or (with `--format json`) in a versioned envelope; progress
//! and the log go to standard error. Exit codes: 0 done, 1 failed, 2 connection or identity, 3 timeout,
//! 4 bad input, 5 internal.

mod backbones;
mod bundle;
mod cache;
mod check;
mod device;
mod duplicates;
mod egress;
mod explain;
mod failure;
mod features;
mod gallery;
mod join;
mod leave;
mod os;
mod output;
mod predict;
mod progress;
mod review;
mod run;
mod site;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use wardround_net::telemetry;

use self::failure::{Exit, Failure};
use self::output::{Format, say};
use self::site::HomeArgument;

/// A hospital's agent in a Wardround federation: images and rows of patients stay here
#[derive(Debug, Parser)]
#[command(name = "wardround-site", version, max_term_width = 100, propagate_version = false)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 connection or identity, 3 timeout, 4 bad input, 5 internal."
)]
struct Cli {
    #[command(flatten)]
    home: HomeArgument,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Join(join::Join),
    Check(check::Check),
    Run(run::Run),
    Features(features::Features),
    Cache(cache::Cache),
    Egress(egress::Egress),
    Predict(predict::Predict),
    Explain(explain::Explain),
    Review(review::Review),
    Duplicates(duplicates::Duplicates),
    Leave(leave::Leave),
    Backbones(backbones::Backbones),
    Device(device::DeviceCheck),
    /// Print completions for a shell
    Completions {
        /// Shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

impl Command {
    fn format(&self) -> Format {
        match self {
            Command::Join(command) => command.output.format,
            Command::Check(command) => command.output.format,
            Command::Features(command) => command.output.format,
            Command::Cache(command) => command.format(),
            Command::Egress(command) => command.format(),
            Command::Predict(command) => command.format(),
            Command::Explain(command) => command.output.format,
            Command::Review(command) => command.output.format,
            Command::Duplicates(command) => command.output.format,
            Command::Leave(command) => command.output.format,
            Command::Backbones(command) => command.output.format,
            Command::Device(command) => command.output.format,
            Command::Run(_) | Command::Completions { .. } => Format::Text,
        }
    }

    fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        // An agent's log has a form of its own.
        if !matches!(self, Command::Run(_)) {
            telemetry::init(telemetry::Format::Text, "warn").map_err(Failure::bad_input)?;
        }
        match self {
            Command::Join(command) => command.run(at),
            Command::Check(command) => command.run(at),
            Command::Run(command) => command.run(at),
            Command::Features(command) => command.run(at),
            Command::Cache(command) => command.run(at),
            Command::Egress(command) => command.run(at),
            Command::Predict(command) => command.run(at),
            Command::Explain(command) => command.run(at),
            Command::Review(command) => command.run(at),
            Command::Duplicates(command) => command.run(at),
            Command::Leave(command) => command.run(at),
            Command::Backbones(command) => command.run(),
            Command::Device(command) => command.run(at),
            Command::Completions { shell } => completions(shell),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way, too; nobody may be left to read it.
            let _ = error.print();
            let exit = if error.use_stderr() { Exit::BadInput } else { Exit::Done };
            return exit.into();
        }
    };
    let format = cli.command.format();
    let run = AssertUnwindSafe(|| cli.command.run(&cli.home));
    let ended = catch_unwind(run).unwrap_or_else(|_| {
        Err(Failure::internal("a defect in this program; what it said before is worth reporting"))
    });
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let said = match format {
                Format::Json => say(&failure.to_json().to_string()),
                Format::Text => {
                    eprintln!("error: {}", failure.sentence);
                    Ok(())
                }
            };
            said.map_or_else(|worse| worse.exit, |()| failure.exit).into()
        }
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wardround-site", &mut text);
    say(&String::from_utf8(text).map_err(Failure::internal)?)?;
    Ok(Exit::Done)
}

/// Waits for what a command does over the network.
fn with_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::internal)?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
