//! What a command prints: text for people, or JSON in a versioned envelope for programs.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::failure::Failure;

/// The version of the envelope.
pub(super) const FORMAT: u32 = 1;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Text,
    /// For programs: {"format": 1, "command": ..., "data": ...}
    Json,
}

/// The option that chooses.
#[derive(Debug, Clone, Args)]
pub(super) struct Output {
    /// How to print the result: text, or json in an envelope with a version
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub format: Format,
}

impl Output {
    /// Prints a result one way or the other.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(super) fn print(
        &self,
        command: &str,
        data: &impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Text => say(&text()),
            Format::Json => say(&envelope(command, data)?),
        }
    }
}

/// A result for programs.
///
/// # Errors
/// The data isn't JSON; a defect.
pub(super) fn envelope(command: &str, data: &impl Serialize) -> Result<String, Failure> {
    let data = serde_json::to_value(data).map_err(Failure::internal)?;
    Ok(json!({"format": FORMAT, "command": command, "data": data}).to_string())
}

/// Prints a text and a line break, unless it ends in one. Whoever reads may stop in the middle.
///
/// # Errors
/// Standard output can't be written.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match output.write_all(text.as_bytes()).and_then(|()| output.write_all(newline.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::internal(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Cells in aligned columns, a line per row.
pub(super) fn columns<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
