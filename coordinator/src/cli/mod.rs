//! The command line. One file per group of commands; an answer goes to stdout, everything else to
//! stderr.
//!
//! Exit codes: 0 ok, 1 study failed, 2 connection or identity, 3 timeout, 4 bad input, 5 internal.

mod audit;
mod connect;
mod history;
mod member;
mod model;
mod output;
mod profile;
mod serve;
mod site;
mod study;
mod user;

use std::ffi::OsString;
use std::io::Write as _;

use clap::{CommandFactory as _, Parser, Subcommand};

use output::{Answer, Exit, Failure, Format};

/// Exit codes, for the end of the help.
const EXIT_CODES: &str = "Exit codes: 0 ok, 1 study failed, 2 connection or identity, 3 timeout, \
                          4 bad input, 5 internal";

/// Federated medical-image classification: the coordinator and its command line
#[derive(Debug, Parser)]
#[command(name = "wardround", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the coordinator
    ///
    /// The first start makes the consortium's root, prints its fingerprint, and leaves a one-time
    /// token for the first operator in the data folder, with the command that uses it. Ctrl-C or
    /// SIGTERM stops it; studies go on with the next start.
    Serve(serve::Serve),
    /// Hospitals: invite, list, revoke
    #[command(subcommand)]
    Site(site::Site),
    /// People: join, invite, list, revoke
    #[command(subcommand)]
    User(user::User),
    /// Studies: write, check, submit, follow, read results
    #[command(subcommand)]
    Study(study::Study),
    /// Finished studies: sites, subgroups, comparisons, what was studied before
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Model bundles: read, write in another format
    #[command(subcommand)]
    Model(model::Model),
    /// Who did what and when
    History(history::History),
    /// Write a shell's completions to stdout
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The command tree, for completions and for tests of the help.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs a command line and says its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    wardround_net::install_crypto_provider();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are what was asked for; everything else is bad input.
            let exit = if error.use_stderr() { Exit::BadInput } else { Exit::Ok };
            // Nobody reads when this fails.
            let _ = error.print();
            return exit as u8;
        }
    };
    match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Site(site) => end(site.name(), site.format(), site.run()),
        Command::User(user) => end(user.name(), user.format(), user.run()),
        Command::Study(study) => end(study.name(), study.format(), study.run()),
        Command::Audit(audit) => end(audit.name(), audit.format(), audit.run()),
        Command::Model(model) => output::finish(model.name(), model.format(), model.run()),
        Command::History(history) => end("history", history.output.format, history.run()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "wardround", &mut script);
            output::finish("completions", Format::Text, Ok(Answer::File(script)))
        }
    }
}

/// Runs a command that talks to a coordinator.
fn end(name: &str, format: Format, run: impl Future<Output = Result<Answer, Failure>>) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run),
        Err(error) => Err(Failure::internal(format!("no runtime: {error}"))),
    };
    // What was said on the way comes before the end.
    let _ = std::io::stderr().flush();
    output::finish(name, format, ended)
}
