//! The features of a cohort's rows, and the rows that answer queries.

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::study::Study;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, RowsError};

use super::cohort::{Cohort, RowInput};

/// One vector of features per row of a cohort, in its order; NaN where a value is missing.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    per_row: usize,
    values: Vec<f64>,
    copies: Copies,
}

/// The features of altered copies of rows, for fitting only.
#[derive(Debug, Clone, PartialEq, Default)]
struct Copies {
    /// How many of each row.
    each: usize,
    /// Row by row, in a row copy by copy.
    values: Vec<f32>,
}

/// Features that don't fit their cohort.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FeaturesError {
    /// No features at all, or not the same number for every row.
    #[error("row {row} has {got} features, expected {expected}")]
    Length {
        /// The row, in the cohort's order.
        row: usize,
        /// Features of the first row; at least 1.
        expected: usize,
        /// Its own.
        got: usize,
    },
    /// Images have no features of their own: they come from a backbone.
    #[error("the row of line {line} is an image, not a table's row")]
    NotATable {
        /// Its line in the manifest.
        line: u64,
    },
    /// Another number of vectors than rows.
    #[error("{got} rows of features for {expected} rows")]
    Rows {
        /// Rows of the cohort.
        expected: usize,
        /// Vectors that came.
        got: usize,
    },
    /// The rows don't fit together.
    #[error(transparent)]
    Unfit(#[from] RowsError),
}

impl Features {
    /// From one vector per row, such as a backbone's.
    ///
    /// # Errors
    /// [`FeaturesError::Length`].
    pub fn new<V: Copy + Into<f64>, R: AsRef<[V]>>(
        rows: impl IntoIterator<Item = R>,
    ) -> Result<Self, FeaturesError> {
        let rows = rows.into_iter();
        let count = rows.size_hint().0;
        let (mut per_row, mut values) = (0, Vec::new());
        for (at, row) in rows.enumerate() {
            let row = row.as_ref();
            if at == 0 {
                per_row = row.len();
                values.reserve_exact(count.saturating_mul(per_row));
            }
            if row.len() != per_row || row.is_empty() {
                let expected = per_row.max(1);
                return Err(FeaturesError::Length { row: at, expected, got: row.len() });
            }
            values.extend(row.iter().map(|&value| value.into()));
        }
        Ok(Self { per_row, values, copies: Copies::default() })
    }

    /// The same with `each` altered copies of every row; `rows` gives those of a row one after the other.
    ///
    /// # Errors
    /// [`FeaturesError::Length`].
    pub fn with_copies(
        self,
        each: usize,
        rows: impl IntoIterator<Item = Vec<f32>>,
    ) -> Result<Self, FeaturesError> {
        let expected = each * self.per_row;
        let mut values = Vec::with_capacity(expected * self.len());
        for (row, of_row) in rows.into_iter().enumerate() {
            if of_row.len() != expected {
                return Err(FeaturesError::Length { row, expected, got: of_row.len() });
            }
            values.extend(of_row);
        }
        if values.len() != expected * self.len() {
            let got = values.len().checked_div(expected).unwrap_or(0);
            return Err(FeaturesError::Rows { expected: self.len(), got });
        }
        Ok(Self { copies: Copies { each, values }, ..self })
    }

    /// The features that a table's rows carry themselves.
    ///
    /// # Errors
    /// [`FeaturesError`]: a row is an image.
    pub fn of_table(cohort: &Cohort) -> Result<Self, FeaturesError> {
        let rows: Result<Vec<&[f64]>, FeaturesError> = cohort
            .rows
            .iter()
            .map(|row| match &row.input {
                RowInput::Table(features) => Ok(features.as_slice()),
                RowInput::Image { .. } => Err(FeaturesError::NotATable { line: row.line }),
            })
            .collect();
        Self::new(rows?)
    }

    /// Features per row.
    pub fn per_row(&self) -> usize {
        self.per_row
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.per_row).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The features of a row, counted from 0.
    pub fn row(&self, at: usize) -> &[f64] {
        &self.values[at * self.per_row..][..self.per_row]
    }

    /// The features of a row's altered copies, one after the other.
    pub fn copies(&self, at: usize) -> &[f32] {
        let of_row = self.copies.each * self.per_row;
        &self.copies.values[at * of_row..][..of_row]
    }

    /// The digest of a row's features: their 64-bit patterns, every NaN the same one; then those of its
    /// altered copies, 32 bits each.
    pub fn digest(&self, at: usize) -> Digest {
        let canonical = |value: &f64| if value.is_nan() { f64::NAN } else { *value };
        let mut bytes: Vec<u8> = self
            .row(at)
            .iter()
            .flat_map(|value| canonical(value).to_bits().to_le_bytes())
            .collect();
        bytes.extend(self.copies(at).iter().flat_map(|value| value.to_bits().to_le_bytes()));
        Digest::of(&bytes)
    }
}

/// The rows that answer a study's queries: those of `taken` (indices into the cohort, as
/// [`super::Lock`] names them) with their features.
///
/// # Errors
/// [`FeaturesError`] when the features aren't the cohort's, or a study's ranges aren't kept.
pub fn rows(
    study: &Study,
    site: &SiteId,
    cohort: &Cohort,
    taken: &[usize],
    features: &Features,
) -> Result<Rows, FeaturesError> {
    if features.len() != cohort.rows.len() {
        return Err(FeaturesError::Rows { expected: cohort.rows.len(), got: features.len() });
    }
    let schema = study.schema(features.per_row() as u32);
    let mut builder = RowsBuilder::with_copies(schema, features.copies.each);
    for &at in taken {
        let row = &cohort.rows[at];
        let patient =
            Patient { site: site.clone(), issuer: cohort.issuer.clone(), key: row.patient.clone() };
        builder.add(patient, row.classes, &row.levels, features.row(at))?;
        builder.weigh(row.weight);
        builder.add_copies(features.copies(at))?;
    }
    Ok(builder.build()?)
}
