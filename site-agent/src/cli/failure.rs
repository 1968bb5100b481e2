//! How a command ends: an exit code, and for people or programs a sentence.

use std::io::ErrorKind;
use std::process::ExitCode;

use serde_json::json;
use wardround_net::client::ConnectError;
use wardround_net::pki::PkiError;
use wardround_privacy::ledger::LedgerError;
use wardround_proto::problem::{Problem, ProblemCode};

use super::output::FORMAT;
use crate::config::ConfigError;
use crate::data::ManifestError;
use crate::egress::SendError;
use crate::features::{ImagingError, ReadyError, SurveyError};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// As it should.
    Done,
    /// What it was asked to find or do failed.
    Failed,
    /// The connection, or somebody's identity.
    Connection,
    /// Nothing came in time.
    Timeout,
    /// What it was given can't be right.
    BadInput,
    /// A defect, or a broken disk.
    Internal,
}

impl Exit {
    /// The process's exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Connection => 2,
            Exit::Timeout => 3,
            Exit::BadInput => 4,
            Exit::Internal => 5,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::Connection => "connection-or-identity",
            Exit::Timeout => "timeout",
            Exit::BadInput => "bad-input",
            Exit::Internal => "internal",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// A command that ended before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whose turn it is.
    pub exit: Exit,
    /// What was expected and what came.
    pub sentence: String,
}

impl Failure {
    /// What was asked for failed.
    pub(super) fn failed(sentence: impl ToString) -> Self {
        Self { exit: Exit::Failed, sentence: sentence.to_string() }
    }

    /// The connection, or an identity.
    pub(super) fn connection(sentence: impl ToString) -> Self {
        Self { exit: Exit::Connection, sentence: sentence.to_string() }
    }

    /// What was given can't be right.
    pub(super) fn bad_input(sentence: impl ToString) -> Self {
        Self { exit: Exit::BadInput, sentence: sentence.to_string() }
    }

    /// A defect or a broken disk.
    pub(super) fn internal(sentence: impl ToString) -> Self {
        Self { exit: Exit::Internal, sentence: sentence.to_string() }
    }

    /// For programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        json!({"format": FORMAT, "error": {"code": self.exit.word(), "sentence": self.sentence}})
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
                "; `wardround-site join` writes one to fill in, and --home names another folder"
            }
            _ => "",
        };
        Self::bad_input(format!("{error}{hint}"))
    }
}

impl From<ManifestError> for Failure {
    fn from(error: ManifestError) -> Self {
        Self::bad_input(error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let exit = match error {
            ConnectError::Timeout { .. } => Exit::Timeout,
            _ => Exit::Connection,
        };
        Self { exit, sentence: error.to_string() }
    }
}

impl From<PkiError> for Failure {
    fn from(error: PkiError) -> Self {
        match error {
            PkiError::File { .. } => Self::internal(error),
            error => Self::connection(error),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::InUse => Self::failed(
                "the egress ledger is in use: a `wardround-site run` works in this home; stop it first",
            ),
            LedgerError::Io(_) => Self::internal(error),
            error => Self::failed(error),
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let status = match error {
            SendError::Status(status) => status,
            SendError::Ledger(error) => return error.into(),
            error => return Self::internal(error),
        };
        if let Some(why) = ConnectError::of_status(&status) {
            return why.into();
        }
        let problem = Problem::from(&status);
        let exit = match problem.code {
            ProblemCode::Identity | ProblemCode::Forbidden | ProblemCode::Unavailable => {
                Exit::Connection
            }
            ProblemCode::Timeout => Exit::Timeout,
            ProblemCode::Internal => Exit::Internal,
            _ => Exit::BadInput,
        };
        Self { exit, sentence: problem.sentence }
    }
}

impl From<ReadyError> for Failure {
    fn from(error: ReadyError) -> Self {
        match error {
            ReadyError::Weights(error) => Self::failed(error),
            error => Self::bad_input(error),
        }
    }
}

impl From<ImagingError> for Failure {
    fn from(error: ImagingError) -> Self {
        Self::failed(error)
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::Manifest(error) => error.into(),
            SurveyError::Imaging(error) => error.into(),
        }
    }
}
