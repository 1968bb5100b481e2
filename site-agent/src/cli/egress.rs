//! `wardround-site egress`: what has left this hospital.

use std::fmt::Write;

use clap::{Args, Subcommand};
use serde_json::Value;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_privacy::ledger::{self, Entry, Filter, Head, LedgerError, Why};

use super::failure::{Exit, Failure};
use super::output::{Format, Output, envelope, say};
use super::site::{HomeArgument, ledger_path};

/// Show what has left this hospital, and prove that the list is whole
///
/// Every message is a line of the ledger, written before it is sent; each line holds the hash of the
/// one before.
#[derive(Debug, Args)]
pub(super) struct Egress {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// List messages, the oldest first
    List {
        /// Only those of this study
        #[arg(long, value_name = "ID")]
        study: Option<StudyId>,
        /// Only those of this kind, such as answer, enlisted, poll
        #[arg(long, value_name = "KIND")]
        kind: Option<ledger::What>,
        #[command(flatten)]
        output: Output,
    },
    /// Show one message in full
    Show {
        /// Its number
        #[arg(value_name = "NUMBER")]
        sequence: u64,
        #[command(flatten)]
        output: Output,
    },
    /// Verify the whole chain; ends with 1 and names the line when it is broken
    Verify {
        /// Last line as an earlier verification named it, NUMBER:HASH; it must still be there
        #[arg(long, value_name = "HEAD", value_parser = head)]
        head: Option<Head>,
        #[command(flatten)]
        output: Output,
    },
}

impl Egress {
    pub(super) fn format(&self) -> Format {
        let (Action::List { output, .. }
        | Action::Show { output, .. }
        | Action::Verify { output, .. }) = &self.action;
        output.format
    }

    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let path = ledger_path(&at.home()?);
        if !path.is_file() {
            return Err(Failure::bad_input(format!(
                "there is no ledger at {}: nothing has left from this home",
                path.display()
            )));
        }
        match self.action {
            Action::List { study, kind, output } => {
                let study = study.map(Filter::Study);
                let filters = study.into_iter().chain(kind.map(Filter::What)).collect();
                list(ledger::entries(&path, filters)?, &output)?;
            }
            Action::Show { sequence, output } => {
                let mut found = ledger::entries(&path, vec![Filter::Sequence(sequence)])?;
                let Some(entry) = found.next().transpose()? else {
                    return Err(Failure::bad_input(format!("the ledger has no line {sequence}")));
                };
                output.print("egress show", &entry, || full(&entry))?;
            }
            Action::Verify { head, output } => {
                let summary = match &head {
                    Some(head) => ledger::verify_from(&path, head)?,
                    None => ledger::verify(&path)?,
                };
                output.print("egress verify", &summary, || {
                    let mut text = format!(
                        "the ledger is whole: {} messages, {} bytes\n",
                        summary.head.sequence, summary.bytes
                    );
                    for (kind, (count, bytes)) in &summary.by_kind {
                        let _ = writeln!(text, "{:>10} {:16}{bytes:>14} bytes", count, kind.code());
                    }
                    let _ = writeln!(
                        text,
                        "head {}:{}\nWrite the head down elsewhere: only against it does it show when \
                         lines are cut off at the end.",
                        summary.head.sequence, summary.head.hash
                    );
                    text
                })?;
            }
        }
        Ok(Exit::Done)
    }
}

fn list(
    entries: impl Iterator<Item = Result<Entry, LedgerError>>,
    output: &Output,
) -> Result<(), Failure> {
    match output.format {
        Format::Json => {
            let entries: Vec<Entry> = entries.collect::<Result<_, _>>()?;
            say(&envelope("egress list", &entries)?)
        }
        Format::Text => {
            for entry in entries {
                say(&line(&entry?))?;
            }
            Ok(())
        }
    }
}

fn line(entry: &Entry) -> String {
    let message = &entry.message;
    let (study, query) = match &message.why {
        Why::Membership => ("-", String::new()),
        Why::Task { study, .. } => (study.as_str(), String::new()),
        Why::Query { study, query, .. } => (study.as_str(), format!("  query {}", query.short())),
    };
    let loosened = if message.loosenings.is_empty() { "" } else { "  loosened" };
    format!(
        "{:>6}  {}  {:14}{:>10} bytes  {}  {study}{query}{loosened}",
        entry.sequence,
        entry.time.to_rfc3339(),
        message.what.code(),
        message.bytes,
        message.digest.short(),
    )
}

fn full(entry: &Entry) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(entry) else { return String::new() };
    let mut text = format!("{:18}{}\n", "written", entry.time.to_rfc3339());
    for (name, value) in fields {
        let shown = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if name != "time" {
            let _ = writeln!(text, "{name:18}{shown}");
        }
    }
    text
}

fn head(text: &str) -> Result<Head, String> {
    let wrong = || format!("expected NUMBER:HASH as `egress verify` prints it, got '{text}'");
    let (sequence, hash) = text.split_once(':').ok_or_else(wrong)?;
    let hash: Digest = hash.parse().map_err(|_| wrong())?;
    Ok(Head { sequence: sequence.parse().map_err(|_| wrong())?, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_reads_back() {
        let hash = Digest::of(b"line");
        assert_eq!(head(&format!("7:{hash}")), Ok(Head { sequence: 7, hash }));
        for text in ["", "7", "7:abc", &format!("x:{hash}")] {
            assert!(head(text).unwrap_err().contains("NUMBER:HASH"));
        }
    }
}
