//! Figures by two columns at once: levels at each site, and intersections of subgroup columns.

use serde::{Deserialize, Serialize};

use super::{ColumnSpread, Figures};

/// A table of cells, each with the rows of one site or level and of one level of another column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossed {
    /// What its rows are.
    pub rows: CrossedRows,
    /// The subgroup column whose levels its columns are.
    pub column: u8,
    /// Row by row; without curves and with the metrics of [`crate::metrics::registry::CROSSED`] alone.
    pub cells: Vec<Vec<Figures>>,
    /// How sure they are, cell by cell and row by row; no metrics where patients weren't drawn again.
    pub spread: ColumnSpread,
}

/// What the rows of such a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrossedRows {
    /// The sites.
    Sites,
    /// The levels of a subgroup column.
    Subgroup(u8),
}
