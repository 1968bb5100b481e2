//! Exporting a finished study.

use wardround_core::ids::StudyId;
use wardround_proto::problem::{Problem, ProblemCode};

use super::Studies;
use crate::archive::{ExportError, Exported, SignedBy, export};

impl Studies {
    /// The archive of a study that is over. Blocking, and the whole archive is in memory.
    ///
    /// # Errors
    /// No such study, a study that isn't over, or a damaged store.
    pub fn export(&self, id: &StudyId, signed: SignedBy<'_>) -> Result<Exported, Problem> {
        export(&self.store, id, signed).map_err(|error| {
            let code = match error {
                ExportError::Unknown(_) => ProblemCode::NotFound,
                ExportError::NotOver { .. } => ProblemCode::Conflict,
                ExportError::Store(_)
                | ExportError::Outcome(_)
                | ExportError::Archive(_)
                | ExportError::Signing(_) => ProblemCode::Internal,
            };
            Problem::new(code, error.to_string())
        })
    }
}
