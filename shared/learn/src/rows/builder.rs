//! From a list of rows to checked rows by site: after this, codes are in range, every patient has
//! a row, every feature is finite or missing. Features go where [`Storage`] says as they come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{JudgedUnit, Labelling, MOST_ROW_WEIGHT, Schema, Weighting};

use super::Rows;
use super::scratch::StorageError;
use super::site::{Features, RowWeights, SitePatient, SiteRows};
use super::store::{Storage, Store, Writer};
use super::units::Units;

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
    /// Which of its patient's exams it is of; empty where exams aren't judged.
    pub exam: String,
    /// What a second reader said; no class where that is nothing.
    pub second: ClassSet,
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
    /// No exam, where exams are judged.
    #[error("row {row} is of no exam, and exams are judged")]
    NoExam {
        /// The row.
        row: usize,
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
    /// The folder for features doesn't take them.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Collects rows one by one; a patient is known by site, issuer and key.
#[derive(Debug)]
pub struct RowsBuilder {
    schema: Schema,
    index: BTreeMap<Patient, u32>,
    patients: Vec<Patient>,
    rows: Vec<Row>,
    given: Given,
}

/// Features as they came.
#[derive(Debug)]
pub(super) struct Given {
    storage: Storage,
    /// Columns per row.
    d: usize,
    /// Altered copies of each row.
    each: usize,
    features: Writer,
    copies: Writer,
    any_missing: bool,
    /// Row and feature of the first that is infinite.
    infinite: Option<(usize, usize)>,
}

/// Altered copies of a site's rows, for fitting only.
#[derive(Debug)]
pub(super) struct Copies {
    /// How many of each row.
    pub(super) each: usize,
    /// Their features, copy by copy, row after row.
    pub(super) features: Store,
}

impl RowsBuilder {
    /// No rows yet.
    pub fn new(schema: Schema) -> Self {
        Self::with_copies(schema, 0)
    }

    /// No rows yet; each will have so many altered copies, which count in fits and nowhere else.
    pub fn with_copies(schema: Schema, each: usize) -> Self {
        let given = Given::new(Storage::default(), schema.features as usize, each);
        Self { schema, index: BTreeMap::new(), patients: Vec::new(), rows: Vec::new(), given }
    }

    /// The same, with features kept where `storage` says. For before the first row.
    #[must_use]
    pub fn kept(mut self, storage: Storage) -> Self {
        self.given.storage = storage;
        self
    }

    /// Adds a row; a missing feature is NaN. Rows that come in the order of [`Rows`] are put into no other.
    ///
    /// # Errors
    /// [`RowsError::Features`] for another number of features than the schema has, [`RowsError::Storage`].
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
        let (classes, levels) = (classes.into(), levels.to_vec());
        self.rows.push(Row {
            patient: at,
            classes,
            weight: 1.0,
            levels,
            exam: String::new(),
            second: ClassSet::default(),
        });
        Ok(self.given.push(features)?)
    }

    /// Says how much the last row counts in fits.
    pub fn weigh(&mut self, weight: f64) {
        if let Some(row) = self.rows.last_mut() {
            row.weight = weight;
        }
    }

    /// Says which of its patient's exams the last row is of.
    pub fn of_exam(&mut self, exam: &str) {
        if let Some(row) = self.rows.last_mut() {
            exam.clone_into(&mut row.exam);
        }
    }

    /// Says what a second reader gave the last row.
    pub fn read_again(&mut self, classes: ClassSet) {
        if let Some(row) = self.rows.last_mut() {
            row.second = classes;
        }
    }

    /// Adds the features of the last row's altered copies, copy by copy.
    ///
    /// # Errors
    /// [`RowsError::Copies`] for another number of them, [`RowsError::CopyNotFinite`].
    pub fn add_copies(&mut self, features: &[f32]) -> Result<(), RowsError> {
        let row = self.rows.len().saturating_sub(1);
        let (expected, got) = (self.schema.features as usize * self.given.each, features.len());
        if got != expected {
            return Err(RowsError::Copies { row, expected, got });
        }
        if !features.iter().all(|value| value.is_finite()) {
            return Err(RowsError::CopyNotFinite { row });
        }
        Ok(self.given.push_copies(features)?)
    }

    /// Checks and arranges what was added.
    ///
    /// # Errors
    /// As [`Rows::new`]; [`RowsError::Copies`] when not every row has its copies.
    pub fn build(self) -> Result<Rows, RowsError> {
        let Self { schema, index, patients, rows, given } = self;
        drop(index);
        let sites = arrange(&schema, &patients, rows, given)?;
        Ok(Rows { schema, sites })
    }
}

impl Given {
    pub(super) fn new(storage: Storage, d: usize, each: usize) -> Self {
        let (features, copies) = (Writer::doubles(d), Writer::singles(d * each));
        Self { storage, d, each, features, copies, any_missing: false, infinite: None }
    }

    /// Takes a row's features.
    ///
    /// # Errors
    /// The folder doesn't take them.
    pub(super) fn push(&mut self, row: &[f64]) -> Result<(), StorageError> {
        if self.infinite.is_none() {
            let at = self.features.len() / self.d.max(1);
            self.infinite = row.iter().position(|value| value.is_infinite()).map(|k| (at, k));
        }
        self.any_missing |= row.iter().any(|value| value.is_nan());
        self.features.push(row)?;
        self.settle()
    }

    fn push_copies(&mut self, of_row: &[f32]) -> Result<(), StorageError> {
        if self.each == 0 {
            return Ok(());
        }
        self.copies.push(&of_row.iter().copied().map(f64::from).collect::<Vec<_>>())?;
        self.settle()
    }

    /// Moves to files when it is too much for memory.
    fn settle(&mut self) -> Result<(), StorageError> {
        let bytes = (self.features.len() + self.copies.len()) * size_of::<f64>();
        if let Some(folder) = self.storage.folder_for(bytes as u64) {
            self.features.move_to(folder)?;
            if self.each > 0 {
                self.copies.move_to(folder)?;
            }
        }
        Ok(())
    }
}

/// Checks everything and arranges it by site and patient.
pub(super) fn arrange(
    schema: &Schema,
    patients: &[Patient],
    rows: Vec<Row>,
    given: Given,
) -> Result<Vec<SiteRows>, RowsError> {
    check(schema, patients, &rows, &given)?;
    let Given { storage, d, each, features, copies, any_missing, .. } = given;
    let mut of_patient: Vec<Vec<usize>> = vec![Vec::new(); patients.len()];
    for (at, row) in rows.iter().enumerate() {
        of_patient[row.patient as usize].push(at);
    }
    let mut order: Vec<usize> = (0..patients.len()).collect();
    order.sort_unstable_by_key(|&at| &patients[at]);
    let by_site: Vec<&[usize]> =
        order.chunk_by(|&a, &b| patients[a].site == patients[b].site).collect();
    let sources: Vec<Vec<usize>> = by_site
        .iter()
        .map(|of_site| of_site.iter().flat_map(|&at| of_patient[at].iter().copied()).collect())
        .collect();
    let (features, copies) = (features.finish(&sources)?, copies.finish(&sources)?);
    let mut sites = Vec::with_capacity(by_site.len());
    for (((of_site, source), features), copies) in
        by_site.into_iter().zip(sources).zip(features).zip(copies)
    {
        let mut first = 0;
        let site_patients = of_site.iter().map(|&at| {
            let rows = first..first + of_patient[at].len();
            first = rows.end;
            let Patient { issuer, key, .. } = patients[at].clone();
            SitePatient { issuer, key, rows }
        });
        let site_patients: Vec<SitePatient> = site_patients.collect();
        let classes: Vec<ClassSet> = source.iter().map(|&at| rows[at].classes).collect();
        let levels: Vec<Vec<u8>> = (0..schema.levels.len())
            .map(|column| source.iter().map(|&at| rows[at].levels[column]).collect())
            .collect();
        let id = patients[of_site[0]].site.clone();
        let weights = match schema.weighting {
            Weighting::Equal => RowWeights::Equal,
            Weighting::Given => {
                RowWeights::Given(Arc::new(source.iter().map(|&at| rows[at].weight).collect()))
            }
        };
        let kept = Features { d, any_missing, features, storage: storage.clone() };
        let copies = Copies { each, features: copies.cut(each.max(1)) };
        let second: Vec<ClassSet> = source.iter().map(|&at| rows[at].second).collect();
        let exams: Vec<&str> = source.iter().map(|&at| rows[at].exam.as_str()).collect();
        let units = Units::new(schema, &site_patients, &classes, &levels, &exams);
        let site =
            SiteRows::new(id, site_patients, classes, levels, kept, (copies, source), units)?;
        let nobody = second.iter().all(|set| set.count() == 0);
        let site = if nobody { site } else { site.read_again(second) };
        sites.push(site.with_weights(weights));
    }
    Ok(sites)
}

fn check(
    schema: &Schema,
    patients: &[Patient],
    rows: &[Row],
    given: &Given,
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
        if row.second.count() > 0 {
            check_classes(schema, at, row.second)?;
        }
        if row.exam.is_empty() && matches!(schema.judged, JudgedUnit::Exam(_)) {
            return Err(RowsError::NoExam { row: at });
        }
        let fits = row.levels.iter().zip(&schema.levels).all(|(level, levels)| level < levels);
        if !fits || row.levels.len() != schema.levels.len() {
            let (expected, got) = (schema.levels.clone(), row.levels.clone());
            return Err(RowsError::Levels { row: at, expected, got });
        }
    }
    if let Some(patient) = has_row.iter().position(|has| !has) {
        return Err(RowsError::NoRows { patient });
    }
    if given.features.len() != rows.len() * d {
        return Err(RowsError::Features { expected: rows.len() * d, got: given.features.len() });
    }
    if let Some((row, feature)) = given.infinite {
        return Err(RowsError::Infinite { row, feature });
    }
    let of_row = d * given.each;
    let (expected, got) = (rows.len() * of_row, given.copies.len());
    if got != expected {
        let row = got / of_row.max(1);
        return Err(RowsError::Copies { row, expected, got });
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
