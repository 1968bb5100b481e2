//! What [`super::Ask::Agreement`] asks and answers: cross tables of two readers' labels.

use super::check::check_finite;
use super::{Column, DecodeError, Labelling, Query, Schema};
use crate::sum::BlockSpec;

impl Schema {
    /// How many cross tables a cell has, and classes of a side of one.
    pub fn reader_tables(&self) -> [usize; 2] {
        let classes = usize::from(self.classes);
        match self.labelling {
            Labelling::Single => [1, classes],
            // Each label by itself; rows with none of them have no table.
            Labelling::Multi => [classes - 1, 2],
        }
    }
}

/// The blocks of an answer.
pub(super) fn layout(
    query: &Query,
    split: &[Column],
    influences: &[Vec<f64>],
    bits: u8,
) -> Vec<BlockSpec> {
    let [of_cell, side] = query.schema.reader_tables();
    let tables = query.cells(split) * of_cell;
    let mut blocks = vec![
        BlockSpec::count("read", &[tables, side, side]),
        BlockSpec::count("patients", &[tables, side, side]),
    ];
    if !influences.is_empty() {
        blocks.push(BlockSpec::fraction("squares", &[tables], bits));
    }
    blocks
}

impl Query {
    /// Whether influences fit the tables.
    pub(super) fn check_influences(
        &self,
        split: &[Column],
        influences: &[Vec<f64>],
    ) -> Result<(), DecodeError> {
        let [of_cell, side] = self.schema.reader_tables();
        let tables = self.cells(split) * of_cell;
        let fits = influences.is_empty() || influences.len() == tables;
        if !fits || influences.iter().any(|table| table.len() != side * side) {
            let got = influences.len();
            return Err(DecodeError::Inconsistent(format!(
                "influences of {got} of {tables} tables"
            )));
        }
        check_finite("an influence", influences.iter().flatten())
    }
}
