//! Features of one or more sites, in memory or on disk ([`Storage`]), answering every [`wardround_core::query::Ask`]: what a site answers with, what
//! tests simulate with, and the yardstick that a federation is measured against.
//!
//! Each site in it is answered by itself and the integers are added, so one `Rows` of four sites
//! and four `Rows` of one site give the same bits. Products of the whole feature matrix run on
//! rayon's threads; call it from a thread of its own, not from an async worker.

mod agreement;
mod bootstrap;
mod builder;
mod calls;
mod counts;
mod cross;
mod derivatives;
mod distances;
mod draws;
mod fourier;
mod framed;
mod given;
mod gridded;
mod held;
pub(crate) mod kernel;
mod linear;
mod loss;
mod neighbours;
mod own_forest;
mod own_site;
mod placements;
mod resample;
mod resampled;
mod scale;
mod scores;
mod scratch;
mod site;
mod softmax;
mod stack;
mod store;
mod tally;
mod together;
mod trees;
mod units;

use std::borrow::Cow;

use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{FoldPlan, Query, Schema};
use wardround_core::sum::Sum;

pub use self::builder::{Patient, Row, RowsBuilder, RowsError};
pub use self::held::HeldRows;
pub use self::scores::RowScore;
pub use self::scratch::StorageError;
use self::site::SiteRows;
pub use self::store::{MEMORY_LIMIT, Storage};
pub use self::together::{Inputs, Together};
use crate::cohort::{Cohort, CohortError, Held};

/// The rows of one or more sites.
///
/// It keeps its own order, which depends on nothing but the patients: sites by name, in a site
/// patients by issuer and key, in a patient its rows as they were given.
///
/// A row may have altered copies ([`RowsBuilder::with_copies`]). They count in what models are fitted to
/// ([`wardround_core::query::Ask::Logistic`], [`wardround_core::query::Ask::Softmax`]) and nowhere else: the row and each of its copies have an
/// equal share of the row's weight, which is 1 unless the schema says that rows have their own. Counts, moments, scales and scores are those of the rows alone.
///
/// As a [`Cohort`] it answers for those of the query's sites that it has, and names them in the
/// [`Sum`]; an algorithm needs one that has all of them.
#[derive(Debug)]
pub struct Rows {
    schema: Schema,
    sites: Vec<SiteRows>,
}

/// Whether an answer is still wanted.
pub type Wanted<'a> = dyn Fn() -> bool + Sync + 'a;

/// A row as [`Rows::rows`] shows it to its own site.
#[derive(Debug, Clone)]
pub struct RowView<'a> {
    /// The site.
    pub site: &'a SiteId,
    /// Who issued the patient's key.
    pub issuer: &'a str,
    /// The patient's key.
    pub key: &'a str,
    /// The classes, at least one; one where a row of the schema has one.
    pub classes: ClassSet,
    /// How much it counts in fits; 1 where all count the same.
    pub weight: f64,
    /// The level of each subgroup column.
    pub levels: Vec<u8>,
    /// Its place in the list the rows were made from.
    pub source: usize,
    /// Its place in its site.
    row: usize,
    rows: &'a SiteRows,
}

impl<'a> RowView<'a> {
    /// The features; a missing one is NaN.
    ///
    /// # Errors
    /// The file that they are in can't be read.
    pub fn features(&self) -> Result<Cow<'a, [f64]>, StorageError> {
        self.rows.row(self.row)
    }
}

impl Rows {
    /// Checks and arranges rows. `features` holds one vector of `schema.features` numbers per row,
    /// row by row, NaN where one is missing.
    ///
    /// # Errors
    /// [`RowsError`] names the first row or patient that doesn't fit.
    pub fn new(
        schema: Schema,
        patients: Vec<Patient>,
        rows: Vec<Row>,
        features: &[f64],
    ) -> Result<Self, RowsError> {
        let d = schema.features as usize;
        let (expected, got) = (rows.len() * d, features.len());
        if got != expected {
            return Err(RowsError::Features { expected, got });
        }
        let mut given = builder::Given::new(Storage::default(), d, 0);
        features.chunks_exact(d.max(1)).try_for_each(|row| given.push(row))?;
        let sites = builder::arrange(&schema, &patients, rows, given)?;
        Ok(Self { schema, sites })
    }

    /// What its rows look like.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Its sites, sorted.
    pub fn sites(&self) -> Vec<SiteId> {
        self.sites.iter().map(|site| site.id.clone()).collect()
    }

    /// Its patients in its order.
    pub fn patients(&self) -> impl Iterator<Item = Patient> {
        self.sites.iter().flat_map(|site| {
            site.patients.iter().map(|patient| Patient {
                site: site.id.clone(),
                issuer: patient.issuer.clone(),
                key: patient.key.clone(),
            })
        })
    }

    /// Its rows in its order.
    pub fn rows(&self) -> impl Iterator<Item = RowView<'_>> {
        self.sites.iter().flat_map(|site| (0..site.len()).map(|row| site.view(row)))
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.sites.iter().map(SiteRows::len).sum()
    }

    /// Never: [`Rows::new`] refuses an empty list.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The share of all features that is missing, 0 to 1.
    pub fn missing_share(&self) -> f64 {
        let missing: usize = self.sites.iter().map(SiteRows::missing).sum();
        missing as f64 / (self.len() * self.schema.features as usize) as f64
    }

    /// The fold of each row, in its order.
    pub fn fold_column(&self, plan: &FoldPlan, repeat: u8) -> Vec<u8> {
        self.sites.iter().flat_map(|site| site.deal(plan, repeat)).collect()
    }

    /// One `Rows` per site.
    pub fn by_site(self) -> Vec<Rows> {
        let Self { schema, sites } = self;
        let one = |site| Rows { schema: schema.clone(), sites: vec![site] };
        sites.into_iter().map(one).collect()
    }

    /// Answers a query for those of its sites that the query names.
    ///
    /// # Errors
    /// [`CohortError::Unfit`] for a query that doesn't fit these rows, or names none of the sites;
    /// [`CohortError::Sum`] when a number leaves the fixed point's range.
    pub fn answer(&self, query: &Query) -> Result<Sum, CohortError> {
        self.answer_while(query, &|| true)
    }

    /// As [`Rows::answer`], of a question that may take long: one that has steps asks before each whether it
    /// is still wanted.
    ///
    /// # Errors
    /// As [`Rows::answer`], and [`CohortError::Aborted`] when it isn't wanted any more.
    pub fn answer_while(&self, query: &Query, wanted: &Wanted<'_>) -> Result<Sum, CohortError> {
        self.check(query)?;
        let digest = query.digest();
        let mut total: Option<Sum> = None;
        for (index, site) in self.named(query) {
            let blocks = site.answer(query, index, wanted)?;
            let sum = Sum { query: digest, sites: vec![site.id.clone()], blocks };
            match &mut total {
                None => total = Some(sum),
                Some(total) => total.add(&sum, query)?,
            }
        }
        total.ok_or_else(|| {
            let own = self.sites.iter().map(|site| site.id.as_str()).collect::<Vec<_>>().join(", ");
            CohortError::Unfit(format!("it names none of the sites here: {own}"))
        })
    }

    /// The logits of what is judged of each list of a scores or placements query, unbinned; for the site
    /// itself and for tests, never to be sent. Empty for other queries.
    ///
    /// # Errors
    /// As [`Rows::answer`].
    pub fn scores(&self, query: &Query) -> Result<Vec<Vec<RowScore>>, CohortError> {
        self.check(query)?;
        scores::row_scores(self, query)
    }

    /// Its sites that the query names, each with its index there.
    fn named<'a>(&'a self, query: &'a Query) -> impl Iterator<Item = (u16, &'a SiteRows)> {
        self.sites.iter().filter_map(|site| {
            let index = query.sites.binary_search(&site.id).ok()?;
            Some((u16::try_from(index).ok()?, site))
        })
    }

    fn check(&self, query: &Query) -> Result<(), CohortError> {
        query.check().map_err(|error| CohortError::Unfit(error.to_string()))?;
        if query.schema != self.schema {
            let (expected, got) = (&self.schema, &query.schema);
            return Err(CohortError::Unfit(format!("expected schema {expected:?}, got {got:?}")));
        }
        Ok(())
    }
}

impl Cohort for Rows {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        self.answer(query)
    }

    fn held(&self, _: u8) -> Held<'_> {
        Held::Here(HeldRows::new(self.sites.iter().collect()))
    }
}
