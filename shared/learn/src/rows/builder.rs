//! From a list of rows to checked rows by site: after this, codes are in range, every patient has
//! a row, every feature is finite or missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{Labelling, MOST_ROW_WEIGHT, Schema, Weighting};

use super::Rows;
use super::site::{RowWeights, SitePatient, SiteRows};

/// A patient of a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Patient {
    /// The site.
    pub site: SiteId,
    /// Who issued the key; by default the site.
    pub issuer: String,
    /// The key, as text.
    pub key: String,
}

/// An image or a table's line, without its features.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index of its patient.
    pub patient: u32,
    /// Its classes, at least one; one where a row of the schema has one.
    pub classes: ClassSet,
    /// How much it counts in fits; 1 where the schema's rows count all the same.
    pub weight: f64,
    /// Its level of each subgroup column.
    pub levels: Vec<u8>,
}

/// Why rows don't fit together. Rows and patients are named by their index in the list given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RowsError {
    /// Nothing to answer with.
    #[error("expected at least one row and one feature, got {rows} rows of {features} features")]
    Empty {
        /// Rows that came.
        rows: usize,
        /// Features of the schema.
        features: usize,
    },
    /// A row's patient doesn't exist.
    #[error("row {row} belongs to patient {patient} of {patients}")]
    NoSuchPatient {
        /// The row.
        row: usize,
        /// The index it names.
        patient: u32,
        /// How many patients there are.
        patients: usize,
    },
    /// A patient is listed twice at one site.
    #[error("patient '{key}' of issuer '{issuer}' is listed twice at site {site}")]
    Twice {
        /// The site.
        site: SiteId,
        /// The issuer.
        issuer: String,
        /// The key.
        key: String,
    },
    /// A patient has no row.
    #[error("patient {patient} has no row")]
    NoRows {
        /// The patient.
        patient: usize,
    },
    /// A class beyond the schema.
    #[error("row {row} has class {class} of {classes}")]
    Class {
        /// The row.
        row: usize,
        /// Its class.
        class: u8,
        /// Classes of the schema.
        classes: u8,
    },
    /// No class, or several where the schema has one of each row.
    #[error("row {row} has {count} classes, expected {expected}")]
    Classes {
        /// The row.
        row: usize,
        /// How many it has.
        count: u32,
        /// How many it should have.
        expected: &'static str,
    },
    /// A weight out of range, or another than 1 where the schema's rows count all the same.
    #[error("row {row} has weight {weight}, expected {expected}")]
    Weight {
        /// The row.
        row: usize,
        /// Its weight.
        weight: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// Subgroup levels that don't fit the schema.
    #[error("row {row} has subgroup levels {got:?}, expected one below each of {expected:?}")]
    Levels {
        /// The row.
        row: usize,
        /// Levels per column of the schema.
        expected: Vec<u8>,
        /// The row's.
        got: Vec<u8>,
    },
    /// Another number of features than rows times features.
    #[error("expected {expected} features, got {got}")]
    Features {
        /// Numbers expected.
        expected: usize,
        /// Numbers that came.
        got: usize,
    },
    /// Altered copies of another number, or with another number of features.
    #[error("row {row} has {got} features of altered copies, expected {expected}")]
    Copies {
        /// The row.
        row: usize,
        /// Copies times features.
        expected: usize,
        /// Numbers that came.
        got: usize,
    },
    /// A feature of an altered copy that is missing or infinite.
    #[error("an altered copy of row {row} has a feature that isn't finite")]
    CopyNotFinite {
        /// The row.
        row: usize,
    },
    /// An infinite feature.
    #[error("feature {feature} of row {row} is infinite")]
    Infinite {
        /// The row.
        row: usize,
        /// The feature.
        feature: usize,
    },
}

/// Collects rows one by one; a patient is known by site, issuer and key.
#[derive(Debug)]
pub struct RowsBuilder {
    schema: Schema,
    index: BTreeMap<Patient, u32>,
    patients: Vec<Patient>,
    rows: Vec<Row>,
    features: Vec<f64>,
    copies: Copies,
}

/// Altered copies of rows, for fitting only.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// How many of each row.
    pub(super) each: usize,
    /// Their features, row by row, in a row copy by copy.
    pub(super) features: Vec<f32>,
}

impl RowsBuilder {
    /// No rows yet.
    pub fn new(schema: Schema) -> Self {
        Self::with_copies(schema, 0)
    }

    /// No rows yet; each will have so many altered copies, which count in fits and nowhere else.
    pub fn with_copies(schema: Schema, each: usize) -> Self {
        let copies = Copies { each, features: Vec::new() };
        let (patients, rows, features) = (Vec::new(), Vec::new(), Vec::new());
        Self { schema, index: BTreeMap::new(), patients, rows, features, copies }
    }

    /// Adds a row; a missing feature is NaN.
    ///
    /// # Errors
    /// [`RowsError::Features`] for another number of features than the schema has.
    pub fn add(
        &mut self,
        patient: Patient,
        classes: impl Into<ClassSet>,
        levels: &[u8],
        features: &[f64],
    ) -> Result<(), RowsError> {
        let expected = self.schema.features as usize;
        if features.len() != expected {
            return Err(RowsError::Features { expected, got: features.len() });
        }
        let next = self.patients.len() as u32;
        let at = *self.index.entry(patient).or_insert_with_key(|patient| {
            self.patients.push(patient.clone());
            next
        });
        self.rows.push(Row {
            patient: at,
            classes: classes.into(),
            weight: 1.0,
            levels: levels.to_vec(),
        });
        self.features.extend_from_slice(features);
        Ok(())
    }

    /// Says how much the last row counts in fits.
    pub fn weigh(&mut self, weight: f64) {
        if let Some(row) = self.rows.last_mut() {
            row.weight = weight;
        }
    }

    /// Adds the features of the last row's altered copies, copy by copy.
    ///
    /// # Errors
    /// [`RowsError::Copies`] for another number of them, [`RowsError::CopyNotFinite`].
    pub fn add_copies(&mut self, features: &[f32]) -> Result<(), RowsError> {
        let row = self.rows.len().saturating_sub(1);
        let (expected, got) = (self.schema.features as usize * self.copies.each, features.len());
        if got != expected {
            return Err(RowsError::Copies { row, expected, got });
        }
        if !features.iter().all(|value| value.is_finite()) {
            return Err(RowsError::CopyNotFinite { row });
        }
        self.copies.features.extend_from_slice(features);
        Ok(())
    }

    /// Checks and arranges what was added.
    ///
    /// # Errors
    /// As [`Rows::new`]; [`RowsError::Copies`] when not every row has its copies.
    pub fn build(self) -> Result<Rows, RowsError> {
        let Self { schema, patients, rows, features, copies, .. } = self;
        let sites = arrange(&schema, &patients, &rows, &features, &copies)?;
        Ok(Rows { schema, sites })
    }
}

/// Checks everything and arranges it by site and patient.
pub(super) fn arrange(
    schema: &Schema,
    patients: &[Patient],
    rows: &[Row],
    features: &[f64],
    copies: &Copies,
) -> Result<Vec<SiteRows>, RowsError> {
    let d = schema.features as usize;
    check(schema, patients, rows, features)?;
    let of_row = d * copies.each;
    let (expected, got) = (rows.len() * of_row, copies.features.len());
    if got != expected {
        let row = got / of_row.max(1);
        return Err(RowsError::Copies { row, expected, got });
    }
    let mut of_patient: Vec<Vec<usize>> = vec![Vec::new(); patients.len()];
    for (at, row) in rows.iter().enumerate() {
        of_patient[row.patient as usize].push(at);
    }
    let mut order: Vec<usize> = (0..patients.len()).collect();
    order.sort_unstable_by_key(|&at| &patients[at]);
    let by_site = order.chunk_by(|&a, &b| patients[a].site == patients[b].site);
    let site = |of_site: &[usize]| {
        let mut first = 0;
        let site_patients = of_site.iter().map(|&at| {
            let rows = first..first + of_patient[at].len();
            first = rows.end;
            let Patient { issuer, key, .. } = patients[at].clone();
            SitePatient { issuer, key, rows }
        });
        let site_patients = site_patients.collect();
        let source: Vec<usize> =
            of_site.iter().flat_map(|&at| of_patient[at].iter().copied()).collect();
        let classes = source.iter().map(|&at| rows[at].classes).collect();
        let levels = (0..schema.levels.len())
            .map(|column| source.iter().map(|&at| rows[at].levels[column]).collect())
            .collect();
        let own = source.iter().flat_map(|&at| &features[at * d..][..d]).copied().collect();
        let altered = source.iter().flat_map(|&at| &copies.features[at * of_row..][..of_row]);
        let altered = Copies { each: copies.each, features: altered.copied().collect() };
        let id = patients[of_site[0]].site.clone();
        let weights = match schema.weighting {
            Weighting::Equal => RowWeights::Equal,
            Weighting::Given => {
                RowWeights::Given(Arc::new(source.iter().map(|&at| rows[at].weight).collect()))
            }
        };
        SiteRows::new(id, site_patients, classes, levels, own, source)
            .with_copies(altered)
            .with_weights(weights)
    };
    Ok(by_site.map(site).collect())
}

fn check(
    schema: &Schema,
    patients: &[Patient],
    rows: &[Row],
    features: &[f64],
) -> Result<(), RowsError> {
    let d = schema.features as usize;
    if rows.is_empty() || d == 0 {
        return Err(RowsError::Empty { rows: rows.len(), features: d });
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = patients.iter().find(|&patient| !seen.insert(patient)) {
        let Patient { site, issuer, key } = twice.clone();
        return Err(RowsError::Twice { site, issuer, key });
    }
    let mut has_row = vec![false; patients.len()];
    for (at, row) in rows.iter().enumerate() {
        let Some(has_row) = has_row.get_mut(row.patient as usize) else {
            let (patient, patients) = (row.patient, patients.len());
            return Err(RowsError::NoSuchPatient { row: at, patient, patients });
        };
        *has_row = true;
        check_classes(schema, at, row.classes)?;
        check_weight(schema, at, row.weight)?;
        let fits = row.levels.iter().zip(&schema.levels).all(|(level, levels)| level < levels);
        if !fits || row.levels.len() != schema.levels.len() {
            let (expected, got) = (schema.levels.clone(), row.levels.clone());
            return Err(RowsError::Levels { row: at, expected, got });
        }
    }
    if let Some(patient) = has_row.iter().position(|has| !has) {
        return Err(RowsError::NoRows { patient });
    }
    if features.len() != rows.len() * d {
        return Err(RowsError::Features { expected: rows.len() * d, got: features.len() });
    }
    if let Some(at) = features.iter().position(|value| value.is_infinite()) {
        return Err(RowsError::Infinite { row: at / d, feature: at % d });
    }
    Ok(())
}

fn check_classes(schema: &Schema, row: usize, set: ClassSet) -> Result<(), RowsError> {
    if let Some(class) = set.iter().find(|class| *class >= schema.classes) {
        return Err(RowsError::Class { row, class, classes: schema.classes });
    }
    let (count, none) = (set.count(), schema.classes - 1);
    let expected = match schema.labelling {
        Labelling::Single if count != 1 => "one",
        Labelling::Multi if count == 0 => "at least one",
        Labelling::Multi if count > 1 && set.has(none) => "the last one, of no label, alone",
        Labelling::Single | Labelling::Multi => return Ok(()),
    };
    Err(RowsError::Classes { row, count, expected })
}

fn check_weight(schema: &Schema, row: usize, weight: f64) -> Result<(), RowsError> {
    let expected = match schema.weighting {
        Weighting::Equal if weight != 1.0 => "1, as rows count all the same",
        Weighting::Given if !(0.0..=MOST_ROW_WEIGHT).contains(&weight) => "0 to 100",
        Weighting::Equal | Weighting::Given => return Ok(()),
    };
    Err(RowsError::Weight { row, weight, expected })
}
