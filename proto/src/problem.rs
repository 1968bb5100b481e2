//! One table from what went wrong to a gRPC status and to a command's exit code. The typed code
//! travels in the status' metadata, so that a caller gets it back whole.

use std::fmt;

use tonic::{Code, Status};

/// Metadata key under which the code travels.
const KEY: &str = "wardround-problem";

/// What went wrong, as coarse as a caller needs to react.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemCode {
    /// The request can't be right: a malformed study, an unknown id.
    BadInput,
    /// The caller has no valid identity: no certificate, revoked, a spent or expired token.
    Identity,
    /// The caller is known but may not do this.
    Forbidden,
    /// What is named doesn't exist.
    NotFound,
    /// It can't be done in the present state: a finished study, a name already taken.
    Conflict,
    /// One or more sites refuse the study.
    SitesRefuse,
    /// Over a limit in size or number.
    TooLarge,
    /// Nothing came back in time.
    Timeout,
    /// The coordinator can't be reached or is stopping.
    Unavailable,
    /// A defect or a broken disk at the coordinator.
    Internal,
}

const ALL: [(ProblemCode, &str, Code, u8); 10] = [
    (ProblemCode::BadInput, "bad-input", Code::InvalidArgument, 4),
    (ProblemCode::Identity, "identity", Code::Unauthenticated, 2),
    (ProblemCode::Forbidden, "forbidden", Code::PermissionDenied, 2),
    (ProblemCode::NotFound, "not-found", Code::NotFound, 4),
    (ProblemCode::Conflict, "conflict", Code::FailedPrecondition, 4),
    (ProblemCode::SitesRefuse, "sites-refuse", Code::FailedPrecondition, 4),
    (ProblemCode::TooLarge, "too-large", Code::ResourceExhausted, 4),
    (ProblemCode::Timeout, "timeout", Code::DeadlineExceeded, 3),
    (ProblemCode::Unavailable, "unavailable", Code::Unavailable, 2),
    (ProblemCode::Internal, "internal", Code::Internal, 5),
];

impl ProblemCode {
    /// The code as a word.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The exit code of a command that ends with it: 2 connection or identity, 3 timeout, 4 bad
    /// input, 5 internal.
    pub fn exit_code(self) -> u8 {
        self.row().3
    }

    fn row(self) -> &'static (ProblemCode, &'static str, Code, u8) {
        ALL.iter().find(|row| row.0 == self).expect("every code has a row in the table")
    }
}

/// A code and a sentence that says what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The code.
    pub code: ProblemCode,
    /// The sentence.
    pub sentence: String,
}

impl Problem {
    /// Makes a problem.
    pub fn new(code: ProblemCode, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Problem {}

impl From<Problem> for Status {
    fn from(problem: Problem) -> Status {
        let row = problem.code.row();
        let mut status = Status::new(row.2, problem.sentence);
        status.metadata_mut().insert(KEY, tonic::metadata::MetadataValue::from_static(row.1));
        status
    }
}

impl From<&Status> for Problem {
    /// Takes the typed code from the metadata, or the nearest one from the gRPC code when the
    /// status comes from a library.
    fn from(status: &Status) -> Problem {
        let word = status.metadata().get(KEY).and_then(|value| value.to_str().ok());
        let code = ALL.iter().find(|row| Some(row.1) == word).map(|row| row.0);
        let code = code.unwrap_or(match status.code() {
            Code::InvalidArgument | Code::OutOfRange => ProblemCode::BadInput,
            Code::Unauthenticated => ProblemCode::Identity,
            Code::PermissionDenied => ProblemCode::Forbidden,
            Code::NotFound => ProblemCode::NotFound,
            Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => ProblemCode::Conflict,
            Code::ResourceExhausted => ProblemCode::TooLarge,
            Code::DeadlineExceeded | Code::Cancelled => ProblemCode::Timeout,
            Code::Unavailable => ProblemCode::Unavailable,
            _ => ProblemCode::Internal,
        });
        Problem::new(code, status.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for (code, word, _, _) in ALL {
            let problem = Problem::new(code, "a sentence");
            assert_eq!(code.word(), word);
            assert_eq!(Problem::from(&Status::from(problem.clone())), problem);
        }
    }

    #[test]
    fn a_library_status_gets_the_nearest_code() {
        assert_eq!(Problem::from(&Status::unavailable("x")).code, ProblemCode::Unavailable);
        assert_eq!(Problem::from(&Status::unknown("x")).code, ProblemCode::Internal);
    }
}
