//! What the classifiers of a study share: the frame, and sums that no model has a part in. Each is
//! asked for when the first classifier needs it, and once.

use std::sync::Arc;

use wardround_core::query::Frame;

use super::asker::Asker;
use super::error::StudyError;
use super::frame::{self, ByClass, Cells};
use crate::cohort::Cohort;
use crate::findings::Profile;
use crate::trees::cuts::{GridCounts, grid_counts};

/// What the classifiers of a study share.
pub(crate) struct Common {
    pub profile: Profile,
    /// Rows of all sites.
    pub rows: u64,
    /// A name per class code.
    pub classes: Vec<String>,
    /// What linear models act on.
    pub frame: Arc<Frame>,
    /// What trees act on.
    pub grid_frame: Arc<Frame>,
    /// Whether moments are asked for by class: where any classifier selects features by it.
    by_class: ByClass,
    /// Questions asked for the frame.
    frame_queries: u64,
    cells: Option<(Cells, u64)>,
    grid: Option<(GridCounts, u64)>,
    /// Classifiers and ensembles that are through.
    pub singles: usize,
}

impl Common {
    /// Asks for the frame.
    pub async fn new<C: Cohort>(
        asker: &mut Asker<'_, C>,
        profile: Profile,
        classes: Vec<String>,
        by_class: ByClass,
    ) -> Result<Self, StudyError> {
        let rows = profile.all.rows();
        let before = asker.queries;
        let frame = frame::frame(asker, rows).await?;
        let grid_frame = Arc::new(frame.grid());
        let frame_queries = asker.queries - before;
        let (cells, grid) = (None, None);
        let singles = 0;
        Ok(Self {
            profile,
            rows,
            classes,
            frame,
            grid_frame,
            by_class,
            frame_queries,
            cells,
            grid,
            singles,
        })
    }

    /// The moments of every site and fold, and the questions that a study of linear models alone asks
    /// before it fits any.
    pub async fn cells<C: Cohort>(
        &mut self,
        asker: &mut Asker<'_, C>,
    ) -> Result<(&Cells, u64), StudyError> {
        let known = match self.cells.take() {
            Some(known) => known,
            None => {
                let before = asker.queries;
                let cells = frame::cells(asker, &self.frame, self.rows, self.by_class).await?;
                (cells, asker.queries - before)
            }
        };
        let (cells, queries) = self.cells.insert(known);
        Ok((cells, self.frame_queries + *queries))
    }

    /// The moments of every site and fold, where they were asked for.
    pub fn known_cells(&self) -> Option<&Cells> {
        self.cells.as_ref().map(|(cells, _)| cells)
    }

    /// The counts on the grid, and the questions that a study of trees alone asks before it grows any.
    pub async fn grid<C: Cohort>(
        &mut self,
        asker: &mut Asker<'_, C>,
        by_site: bool,
    ) -> Result<(&GridCounts, u64), StudyError> {
        let known = match self.grid.take() {
            Some(known) => known,
            None => {
                let before = asker.queries;
                let counts = grid_counts(asker, &self.grid_frame, by_site).await?;
                (counts, asker.queries - before)
            }
        };
        let (counts, queries) = self.grid.insert(known);
        Ok((counts, self.frame_queries + *queries))
    }
}
