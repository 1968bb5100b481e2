//! The features of a cohort's rows, and the rows that answer queries.

use std::borrow::Cow;
use std::sync::Arc;

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::study::Study;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, RowsError, Storage};

use super::cohort::{Cohort, RowInput};
use crate::features::Caches;

/// One vector of features per row of a cohort, in its order; NaN where a value is missing.
#[derive(Debug, Clone)]
pub struct Features {
    per_row: usize,
    rows: usize,
    /// Altered copies of each row, for fitting only.
    each: usize,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    /// Row by row; without copies.
    Memory(Vec<f64>),
    /// By image, read whenever they are asked for.
    Cache { caches: Arc<Caches>, images: Vec<Digest> },
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
    /// An image's features aren't in the cache any more, or damaged.
    #[error("the features of row {row} are gone from the cache, or damaged")]
    Gone {
        /// The row, in the cohort's order.
        row: usize,
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
        let rows = values.len().checked_div(per_row).unwrap_or(0);
        Ok(Self { per_row, rows, each: 0, source: Source::Memory(values) })
    }

    /// `per_row` features of each image, and of its `each` altered copies, which stay in their cache until they
    /// are asked for.
    pub fn cached(caches: Caches, per_row: usize, each: usize, images: Vec<Digest>) -> Self {
        let rows = images.len();
        Self { per_row, rows, each, source: Source::Cache { caches: Arc::new(caches), images } }
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
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The features of a row, counted from 0.
    ///
    /// # Errors
    /// [`FeaturesError::Gone`], [`FeaturesError::Length`].
    pub fn row(&self, at: usize) -> Result<Cow<'_, [f64]>, FeaturesError> {
        match &self.source {
            Source::Memory(values) => {
                Ok(Cow::Borrowed(&values[at * self.per_row..][..self.per_row]))
            }
            Source::Cache { caches, images } => {
                let row = caches.plain(&images[at]).ok_or(FeaturesError::Gone { row: at })?;
                self.check(at, row.len(), self.per_row)?;
                Ok(Cow::Owned(row.into_iter().map(f64::from).collect()))
            }
        }
    }

    /// The features of a row's altered copies, one after the other.
    ///
    /// # Errors
    /// As [`Features::row`].
    pub fn copies(&self, at: usize) -> Result<Cow<'_, [f32]>, FeaturesError> {
        match &self.source {
            Source::Memory(_) => Ok(Cow::Borrowed(&[])),
            Source::Cache { caches, images } => {
                let copies = caches.copies(&images[at]).ok_or(FeaturesError::Gone { row: at })?;
                self.check(at, copies.len(), self.each * self.per_row)?;
                Ok(Cow::Owned(copies))
            }
        }
    }

    /// The digest of a row's features: their 64-bit patterns, every NaN the same one; then those of its
    /// altered copies, 32 bits each.
    ///
    /// # Errors
    /// As [`Features::row`].
    pub fn digest(&self, at: usize) -> Result<Digest, FeaturesError> {
        let canonical = |value: &f64| if value.is_nan() { f64::NAN } else { *value };
        let row = self.row(at)?;
        let mut bytes: Vec<u8> =
            row.iter().flat_map(|value| canonical(value).to_bits().to_le_bytes()).collect();
        bytes.extend(self.copies(at)?.iter().flat_map(|value| value.to_bits().to_le_bytes()));
        Ok(Digest::of(&bytes))
    }

    fn check(&self, row: usize, got: usize, expected: usize) -> Result<(), FeaturesError> {
        if got == expected { Ok(()) } else { Err(FeaturesError::Length { row, expected, got }) }
    }
}

/// The rows that answer a study's queries: those of `taken` (indices into the cohort, as
/// [`super::Lock`] names them) with their features, which are kept where `storage` says. In the lock's order they
/// are put there once.
///
/// # Errors
/// [`FeaturesError`] when the features aren't the cohort's, or a study's ranges aren't kept.
pub fn rows(
    study: &Study,
    site: &SiteId,
    cohort: &Cohort,
    taken: &[usize],
    features: &Features,
    storage: Storage,
) -> Result<Rows, FeaturesError> {
    if features.len() != cohort.rows.len() {
        return Err(FeaturesError::Rows { expected: cohort.rows.len(), got: features.len() });
    }
    let schema = study.schema(features.per_row() as u32);
    let mut builder = RowsBuilder::with_copies(schema, features.each).kept(storage);
    for &at in taken {
        let row = &cohort.rows[at];
        let patient =
            Patient { site: site.clone(), issuer: cohort.issuer.clone(), key: row.patient.clone() };
        builder.add(patient, row.classes, &row.levels, &features.row(at)?)?;
        builder.weigh(row.weight);
        builder.of_exam(&row.exam);
        builder.read_again(row.second);
        builder.add_copies(&features.copies(at)?)?;
    }
    Ok(builder.build()?)
}
