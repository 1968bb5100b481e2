//! Exporting a finished study.

use wardround_core::ids::StudyId;
use wardround_proto::problem::{Problem, ProblemCode};

use super::Studies;
use crate::archive::{CaCertificate, ExportError, export};

impl Studies {
    /// The archive of a study that is over, without the federation's root certificate. Blocking, and
    /// the whole archive is in memory.
    ///
    /// # Errors
    /// As [`Studies::export_with`].
    pub fn export(&self, id: &StudyId) -> Result<Vec<u8>, Problem> {
        self.export_with(id, CaCertificate::LeftOut)
    }

    /// As [`Studies::export`], with the federation's root certificate.
    ///
    /// # Errors
    /// No such study, a study that isn't over, or a damaged store.
    pub fn export_with(&self, id: &StudyId, ca: CaCertificate<'_>) -> Result<Vec<u8>, Problem> {
        export(&self.store, id, ca).map_err(|error| {
            let code = match error {
                ExportError::Unknown(_) => ProblemCode::NotFound,
                ExportError::NotOver { .. } => ProblemCode::Conflict,
                ExportError::Store(_) | ExportError::Outcome(_) | ExportError::Archive(_) => {
                    ProblemCode::Internal
                }
            };
            Problem::new(code, error.to_string())
        })
    }
}
