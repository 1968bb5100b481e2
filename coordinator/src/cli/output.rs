//! What a command says: its answer on stdout, everything else on stderr, and an exit code.
//!
//! With `--format json` stdout holds one versioned envelope, errors included:
//! `{"format":1,"command":"site list","data":...}` or
//! `{"format":1,"command":"site list","error":{"code":"forbidden","sentence":"..."}}`.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use wardround_core::clock::Timestamp;
use wardround_core::study::Mistakes;
use wardround_net::client::ConnectError;
use wardround_net::pki::PkiError;
use wardround_proto::problem::{Problem, ProblemCode};

/// The version of the envelope.
const FORMAT: u32 = 1;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON envelope, for programs.
    Json,
}

/// A command's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// All was said already.
    Said,
    /// The same thing for programs and for people.
    Data {
        /// For programs.
        data: Value,
        /// For people.
        text: String,
    },
    /// A file as it is, whatever the format.
    File(Vec<u8>),
}

/// How a command ends, as an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// The study failed or was aborted.
    StudyFailed = 1,
    /// No connection, or no identity that is allowed to.
    Connection = 2,
    /// Not within the time.
    Timeout = 3,
    /// What was given can't be right.
    BadInput = 4,
    /// A defect or a broken disk.
    Internal = 5,
}

/// Why a command didn't do what was asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// A word for programs.
    pub code: &'static str,
    /// The exit code.
    pub exit: u8,
    /// A sentence for people, or several, one per line.
    pub sentence: String,
    /// More for programs; null when there is none.
    pub detail: Value,
}

impl Failure {
    /// A failure with a code of its own.
    pub fn new(code: &'static str, exit: Exit, sentence: impl Into<String>) -> Self {
        Self { code, exit: exit as u8, sentence: sentence.into(), detail: Value::Null }
    }

    /// What was given can't be right.
    pub fn bad_input(sentence: impl Into<String>) -> Self {
        Self::from(Problem::new(ProblemCode::BadInput, sentence))
    }

    /// Something that should work doesn't.
    pub fn internal(sentence: impl Into<String>) -> Self {
        Self::from(Problem::new(ProblemCode::Internal, sentence))
    }

    /// A file that was named can't be used.
    pub fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::bad_input(format!("{}: {error}", path.display()))
    }

    /// Mistakes in a study file, one a line, as compilers write them.
    pub fn mistakes(file: &str, mistakes: &Mistakes) -> Self {
        let lines: Vec<String> = mistakes
            .0
            .iter()
            .map(|m| format!("{file}:{}:{}: {}; {}", m.line, m.column, m.what, m.instead))
            .collect();
        let detail = mistakes.0.iter().map(
            |m| json!({ "line": m.line, "column": m.column, "what": m.what, "instead": m.instead }),
        );
        let detail = json!({ "file": file, "mistakes": detail.collect::<Vec<_>>() });
        Self { detail, ..Self::bad_input(lines.join("\n")) }
    }

    fn envelope(&self, command: &str) -> Value {
        let mut error = json!({ "code": self.code, "sentence": self.sentence });
        if let (Some(error), false) = (error.as_object_mut(), self.detail.is_null()) {
            error.insert("detail".into(), self.detail.clone());
        }
        json!({ "format": FORMAT, "command": command, "error": error })
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            code: problem.code.word(),
            exit: problem.code.exit_code(),
            sentence: problem.sentence,
            detail: Value::Null,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::new("connection", Exit::Connection, error.to_string())
    }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        Self::new("identity", Exit::Connection, error.to_string())
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        if let Some(error) = ConnectError::of_status(&status) {
            return error.into();
        }
        let problem = Problem::from(&status);
        // A library's own words for a cut connection help nobody.
        let cut = std::error::Error::source(&status).is_some();
        if cut && problem.code == ProblemCode::Internal {
            let sentence = "the connection to the coordinator was cut: try again";
            return Self::new("connection", Exit::Connection, sentence);
        }
        problem.into()
    }
}

/// Writes a command's end and says its exit code.
pub fn finish(command: &str, format: Format, ended: Result<Answer, Failure>) -> u8 {
    let written = match (&ended, format) {
        (Ok(Answer::Said), _) => Ok(()),
        (Ok(Answer::File(bytes)), _) => out(bytes),
        (Ok(Answer::Data { data, .. }), Format::Json) => envelope(command, data),
        (Ok(Answer::Data { text, .. }), Format::Text) if text.is_empty() => Ok(()),
        (Ok(Answer::Data { text, .. }), Format::Text) => out(format!("{text}\n").as_bytes()),
        (Err(failure), Format::Json) => out(format!("{}\n", failure.envelope(command)).as_bytes()),
        (Err(failure), Format::Text) => {
            for line in failure.sentence.lines() {
                eprintln!("{line}");
            }
            Ok(())
        }
    };
    match (written, ended) {
        // Whoever reads has enough, as `head` does.
        (Err(error), _) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok as u8,
        (Err(error), _) => {
            eprintln!("cannot write the answer: {error}");
            Exit::Internal as u8
        }
        (Ok(()), Err(failure)) => failure.exit,
        (Ok(()), Ok(_)) => Exit::Ok as u8,
    }
}

/// Writes an envelope with data as one line.
///
/// # Errors
/// Stdout can't be written.
pub fn envelope(command: &str, data: &Value) -> io::Result<()> {
    out(format!("{}\n", json!({ "format": FORMAT, "command": command, "data": data })).as_bytes())
}

/// Writes to stdout.
///
/// # Errors
/// Stdout can't be written.
pub fn out(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// A table of texts with aligned columns.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain([header[at].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// A moment for people; `-` when it never was.
pub fn moment(ms: i64) -> String {
    if ms == 0 { "-".to_owned() } else { Timestamp(ms).to_rfc3339() }
}

/// A moment for programs; null when it never was.
pub fn moment_value(ms: i64) -> Value {
    if ms == 0 { Value::Null } else { Timestamp(ms).to_rfc3339().into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_without_trailing_blanks() {
        let rows = vec![vec!["a".into(), "enrolled".into()], vec!["wien".into(), "x".into()]];
        let text = table(&["site", "state"], &rows);
        assert_eq!(text, "site  state\na     enrolled\nwien  x");
    }

    #[test]
    fn failures_carry_code_and_detail() {
        let failure = Failure::from(Problem::new(ProblemCode::Forbidden, "ada is auditor"));
        assert_eq!(failure.exit, 2);
        let envelope = failure.envelope("site invite");
        assert_eq!(
            envelope.to_string(),
            r#"{"format":1,"command":"site invite","error":{"code":"forbidden","sentence":"ada is auditor"}}"#
        );
    }

    #[test]
    fn mistakes_point_at_file_line_and_column() {
        let mistakes = wardround_core::study::Study::parse("format = 2\n").unwrap_err();
        let failure = Failure::mistakes("a.toml", &mistakes);
        assert!(failure.sentence.lines().all(|line| line.starts_with("a.toml:1:")));
        assert_eq!(failure.exit, 4);
        assert_eq!(failure.detail["mistakes"][0]["line"], 1);
    }
}
