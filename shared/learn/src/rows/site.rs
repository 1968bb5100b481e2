//! The rows of one site, with what is computed once and used by many queries: the folds, and the
//! features seen through the current frame.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{
    Ask, Column, FoldPlan, Frame, Labelling, Marked, Query, RowSet, ScoreOf,
};
use wardround_core::seed::Seed;
use wardround_core::study::Loss;

use super::builder::Copies;
use super::framed::Framed;
use super::gridded::Gridded;
use super::scratch::StorageError;
use super::store::{Storage, Store};
use super::units::Units;
use super::{
    RowView, Wanted, agreement, bootstrap, calls, counts, cross, distances, draws, fourier, given,
    loss, own_forest, own_site, placements, resample, resampled, scores, softmax, stack, trees,
};
use crate::cohort::CohortError;
use crate::folds::{Candidate, deal, strata};

/// Rows whose missing features are looked for at once.
const ROWS_AT_ONCE: usize = 256;

/// The rows of one site. Rows of a patient stand together.
#[derive(Debug)]
pub(super) struct SiteRows {
    pub(super) id: SiteId,
    pub(super) patients: Vec<SitePatient>,
    /// The classes of each row, at least one.
    pub(super) classes: Vec<ClassSet>,
    /// How much each row counts in fits.
    pub(super) weights: RowWeights,
    /// Per subgroup column, the level of each row.
    levels: Vec<Vec<u8>>,
    kept: Features,
    /// Row and column of each missing feature, row by row.
    missing: Vec<(usize, usize)>,
    source: Vec<usize>,
    copies: Copies,
    cache: Mutex<Cache>,
    pub(super) resampling: resample::Cache,
    /// What is judged of them.
    units: Arc<Units>,
    /// What a second reader said of each row; empty where nobody did.
    second: Vec<ClassSet>,
}

/// How much each row counts in fits. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) enum RowWeights {
    /// All the same.
    #[default]
    Equal,
    /// By row.
    Given(Arc<Vec<f64>>),
}

impl RowWeights {
    pub(super) fn of(&self, row: usize) -> f64 {
        match self {
            Self::Equal => 1.0,
            Self::Given(weights) => weights[row],
        }
    }
}

/// A patient and the range of its rows.
#[derive(Debug)]
pub(super) struct SitePatient {
    pub(super) issuer: String,
    pub(super) key: String,
    pub(super) rows: Range<usize>,
}

/// What the last queries needed; a study uses one fold plan and few frames, one after the other.
#[derive(Debug, Default)]
struct Cache {
    folds: Option<(FoldPlan, Arc<Vec<Vec<u8>>>)>,
    framed: Option<Arc<Framed>>,
    gridded: Option<Arc<Gridded>>,
    patient_bits: Option<(Seed, Arc<Vec<u64>>)>,
}

/// The features of a site's rows; NaN where one is missing.
#[derive(Debug)]
pub(super) struct Features {
    /// Columns per row.
    pub(super) d: usize,
    /// Whether one may be missing.
    pub(super) any_missing: bool,
    pub(super) features: Store,
    /// Where what is made of them is kept.
    pub(super) storage: Storage,
}

/// One site's rows as one query sees them.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) rows: &'a SiteRows,
    pub(super) query: &'a Query,
    /// The site's index in the query.
    pub(super) site: u16,
    /// The classes of each row, at least one: those of the target, or marks.
    pub(super) classes: Cow<'a, [ClassSet]>,
    /// What models of a question about scores are of: of each list's own class, or all of one class of the target.
    pub(super) scores: ScoreOf,
    /// What is judged: of marks, each row by itself.
    pub(super) units: Arc<Units>,
    /// Per repeat, the fold of each row.
    folds: Arc<Vec<Vec<u8>>>,
}

impl SiteRows {
    /// Takes rows that were checked and arranged, with their altered copies.
    ///
    /// # Errors
    /// The file of features can't be read.
    pub(super) fn new(
        id: SiteId,
        patients: Vec<SitePatient>,
        classes: Vec<ClassSet>,
        levels: Vec<Vec<u8>>,
        kept: Features,
        (copies, source): (Copies, Vec<usize>),
        units: Units,
    ) -> Result<Self, StorageError> {
        let missing = kept.missing()?;
        let (cache, resampling) = (Mutex::default(), resample::Cache::default());
        Ok(Self {
            id,
            patients,
            classes,
            weights: RowWeights::default(),
            levels,
            kept,
            missing,
            source,
            copies,
            cache,
            resampling,
            units: Arc::new(units),
            second: Vec::new(),
        })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The same rows, counting as much as these say.
    pub(super) fn with_weights(self, weights: RowWeights) -> Self {
        Self { weights, ..self }
    }

    /// The same rows, labelled by a second reader too.
    pub(super) fn read_again(self, second: Vec<ClassSet>) -> Self {
        Self { second, ..self }
    }

    /// What a second reader said of a row; no class where that is nothing.
    pub(super) fn second_class(&self, row: usize) -> ClassSet {
        self.second.get(row).copied().unwrap_or_default()
    }

    /// Number of missing features.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Row and column of each missing feature, row by row.
    pub(super) fn missing_entries(&self) -> &[(usize, usize)] {
        &self.missing
    }

    /// Columns per row.
    pub(super) fn d(&self) -> usize {
        self.kept.d
    }

    /// The features row by row; NaN where missing.
    pub(super) fn features(&self) -> &Store {
        &self.kept.features
    }

    /// Altered copies of the rows, in their order.
    pub(super) fn copies(&self) -> &Copies {
        &self.copies
    }

    /// Where what is made of features is kept.
    pub(super) fn storage(&self) -> &Storage {
        &self.kept.storage
    }

    /// The features of a row; NaN where missing.
    ///
    /// # Errors
    /// The file of features can't be read.
    pub(super) fn row(&self, row: usize) -> Result<Cow<'_, [f64]>, StorageError> {
        self.kept.features.row(row)
    }

    /// Why the site doesn't answer when its files don't.
    pub(super) fn failed(&self, error: &StorageError) -> CohortError {
        CohortError::SiteFailed { site: self.id.clone(), reason: error.to_string() }
    }

    pub(super) fn view(&self, row: usize) -> RowView<'_> {
        let at = self.patients.partition_point(|patient| patient.rows.end <= row);
        let SitePatient { issuer, key, .. } = &self.patients[at];
        RowView {
            site: &self.id,
            issuer,
            key,
            classes: self.classes[row],
            weight: self.weights.of(row),
            levels: self.levels.iter().map(|column| column[row]).collect(),
            source: self.source[row],
            row,
            rows: self,
        }
    }

    /// The fold of each row.
    pub(super) fn deal(&self, plan: &FoldPlan, repeat: u8) -> Vec<u8> {
        let of_patient = |patient: &SitePatient| {
            self.classes[patient.rows.clone()].iter().flat_map(|set| set.iter()).collect()
        };
        let classes: Vec<Vec<u8>> = self.patients.iter().map(of_patient).collect();
        let strata = strata(&classes);
        let candidates: Vec<Candidate<'_>> = self
            .patients
            .iter()
            .zip(strata)
            .map(|(patient, stratum)| Candidate {
                issuer: &patient.issuer,
                key: &patient.key,
                stratum,
            })
            .collect();
        let dealt = deal(plan, repeat, &self.id, &candidates);
        let per_row =
            |(patient, fold): (&SitePatient, u8)| std::iter::repeat_n(fold, patient.rows.len());
        self.patients.iter().zip(dealt).flat_map(per_row).collect()
    }

    /// The blocks of this site's answer.
    pub(super) fn answer(
        &self,
        query: &Query,
        site: u16,
        wanted: &Wanted<'_>,
    ) -> Result<Vec<Vec<i64>>, CohortError> {
        match &query.ask {
            Ask::Marked(marked) => {
                let question = query.stands_for();
                self.marked(&question, marked, site).answer(wanted)
            }
            _ => self.seen(query, site).answer(wanted),
        }
    }

    /// These rows as a question sees them that a marked one stands for.
    pub(super) fn marked<'a>(&'a self, question: &'a Query, by: &Marked, site: u16) -> Seen<'a> {
        let of_row = |row: usize| by.of_row(site, |column| self.levels[usize::from(column)][row]);
        let classes = Cow::Owned((0..self.len()).map(of_row).collect());
        let seen = Seen { classes, scores: by.scores, ..self.seen(question, site) };
        let level = |column: usize, row: usize| seen.level(column, row) as u8;
        let column = |at: usize| (0..self.len()).map(|row| level(at, row)).collect();
        let levels: Vec<Vec<u8>> = (0..question.schema.levels.len()).map(column).collect();
        let units = Units::new(&question.schema, &self.patients, &seen.classes, &levels, &[]);
        Seen { units: Arc::new(units), ..seen }
    }

    /// These rows as a query sees them.
    pub(super) fn seen<'a>(&'a self, query: &'a Query, site: u16) -> Seen<'a> {
        let plan = query.folds;
        let mut cache = lock(&self.cache);
        let folds = match &cache.folds {
            Some((of_plan, folds)) if *of_plan == plan => folds.clone(),
            _ => {
                let folds = (0..plan.repeats).map(|repeat| self.deal(&plan, repeat)).collect();
                cache.folds.insert((plan, Arc::new(folds))).1.clone()
            }
        };
        let (classes, scores) = (Cow::Borrowed(self.classes.as_slice()), ScoreOf::Mark);
        let units = self.units.clone();
        Seen { rows: self, query, site, classes, scores, units, folds }
    }

    /// The features through a frame; the last one is kept.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: a file can't be read.
    pub(super) fn framed(&self, frame: &Frame) -> Result<Arc<Framed>, CohortError> {
        let mut cache = lock(&self.cache);
        if let Some(framed) = cache.framed.as_ref().filter(|framed| framed.frame == *frame) {
            return Ok(framed.clone());
        }
        // The old one goes first, so that no two are in memory.
        cache.framed = None;
        let framed = self.through(frame)?;
        Ok(cache.framed.insert(Arc::new(framed)).clone())
    }

    /// The features on a frame's grid; the last one is kept.
    ///
    /// # Errors
    /// [`CohortError::SiteFailed`]: a file can't be read or written.
    pub(super) fn gridded(&self, frame: &Frame) -> Result<Arc<Gridded>, CohortError> {
        let mut cache = lock(&self.cache);
        if let Some(gridded) = cache.gridded.as_ref().filter(|gridded| gridded.frame == *frame) {
            return Ok(gridded.clone());
        }
        cache.gridded = None;
        let read = |rows: Range<usize>, out: &mut [f64]| {
            self.kept.features.read(rows).map(|numbers| numbers.copy(0, out))
        };
        let gridded = Gridded::new(frame, self.len(), self.d(), self.storage(), read);
        let gridded = gridded.map_err(|error| self.failed(&error))?;
        Ok(cache.gridded.insert(Arc::new(gridded)).clone())
    }

    /// The bits by which a seed draws each patient for a tree; the last seed's are kept.
    pub(super) fn patient_bits(&self, seed: Seed) -> Arc<Vec<u64>> {
        let mut cache = lock(&self.cache);
        match &cache.patient_bits {
            Some((of_seed, bits)) if *of_seed == seed => bits.clone(),
            _ => {
                let bits = Arc::new(draws::bits_of_patients(seed, &self.patients));
                cache.patient_bits.insert((seed, bits)).1.clone()
            }
        }
    }
}

impl Features {
    /// Row and column of each missing feature, row by row.
    fn missing(&self) -> Result<Vec<(usize, usize)>, StorageError> {
        let mut missing = Vec::new();
        let n = self.features.rows();
        let firsts = (0..n).step_by(ROWS_AT_ONCE).take_while(|_| self.any_missing);
        let mut values = vec![0.0; ROWS_AT_ONCE * self.d];
        for first in firsts {
            let rows = first..n.min(first + ROWS_AT_ONCE);
            let values = &mut values[..rows.len() * self.d];
            self.features.read(rows)?.copy(0, values);
            let nan = values.iter().enumerate().filter(|(_, value)| value.is_nan());
            missing.extend(nan.map(|(at, _)| (first + at / self.d, at % self.d)));
        }
        Ok(missing)
    }
}

impl Seen<'_> {
    /// What is judged of the rows.
    pub(super) fn units(&self) -> &Units {
        &self.units
    }

    /// The blocks of the site's answer.
    fn answer(&self, wanted: &Wanted<'_>) -> Result<Vec<Vec<i64>>, CohortError> {
        let Self { query, site, .. } = *self;
        let seen = self;
        match &query.ask {
            Ask::Profile { split } => Ok(counts::profile(seen, split)),
            Ask::Moments { frame, split, .. } => counts::moments(seen, frame, split),
            Ask::Gram { frame, rows, scaler, .. } => cross::gram(seen, frame, rows, scaler),
            Ask::Logistic { frame, terms, derivatives, .. } => {
                loss::answer(seen, frame, terms, *derivatives, Loss::Logistic)
            }
            Ask::SquaredHinge { frame, terms, derivatives, .. } => {
                loss::answer(seen, frame, terms, *derivatives, Loss::SquaredHinge)
            }
            Ask::ClassGram { frame, terms, .. } => cross::class_gram(seen, frame, terms),
            Ask::Grid { frame, split, columns } => trees::grid(seen, frame, split, *columns),
            Ask::Trees { frame, cuts, terms, bits } => {
                trees::answer(seen, frame, cuts, terms, *bits)
            }
            Ask::OwnForests { frame, cuts, terms, bits } => {
                own_forest::answer(seen, frame, cuts, terms, *bits)
            }
            Ask::FeatureRows { rows, precision } => given::answer(seen, *rows, *precision),
            Ask::Stack { frame, models, terms, .. } => stack::answer(seen, frame, models, terms),
            Ask::FourierHinge { frame, maps, terms, .. } => {
                fourier::answer(seen, frame, maps, terms)
            }
            Ask::Softmax { frame, terms, derivatives, .. } => {
                softmax::answer(seen, frame, terms, *derivatives)
            }
            Ask::Scores { frame, models, lists, split, bins, .. } => {
                scores::answer(seen, frame, models, lists, split, bins)
            }
            Ask::Bootstrap { frame, models, lists, bins, pairs, seed, .. } => {
                bootstrap::answer(seen, frame, models, lists, bins, *pairs, *seed)
            }
            Ask::Resampled { .. } => resampled::answer(seen),
            Ask::Calls { .. } => calls::answer(seen),
            Ask::Agreement { split, influences, .. } => agreement::answer(seen, split, influences),
            Ask::Distances { frame, terms, split, bins } => {
                distances::answer(seen, frame, terms, split, bins)
            }
            Ask::OwnSite { recipe, frame, models, lists, bins, .. } => {
                let beside = own_site::Beside { frame, models, lists };
                own_site::answer(seen, recipe, &beside, bins, wanted)
            }
            // Rows have no owner who would refuse: whoever answers for one looks at the policy first.
            Ask::OwnModels => {
                let sites = 0..query.sites.len();
                Ok(vec![sites.map(|at| i64::from(at == usize::from(site))).collect()])
            }
            Ask::MarksAllowed { marks } => {
                let sites = 0..query.sites.len();
                let of = |at: usize| vec![i64::from(at == usize::from(site)); marks.len()];
                Ok(vec![sites.flat_map(of).collect()])
            }
            Ask::Marked(_) => {
                Err(CohortError::Unfit("a marked question that stands for another one".into()))
            }
            Ask::Placements { frame, models, lists, split, bins, tables, .. } => {
                placements::answer(seen, frame, models, lists, split, bins, tables)
            }
        }
    }

    /// Columns per row, without the constant.
    pub(super) fn features(&self) -> usize {
        self.rows.d()
    }

    /// Checks that no feature is missing.
    ///
    /// # Errors
    /// [`CohortError::Unfit`] with the first one that is.
    pub(super) fn complete(&self) -> Result<(), CohortError> {
        let missing = self.rows.missing_entries();
        let Some((_, column)) = missing.first() else { return Ok(()) };
        let (site, count) = (&self.rows.id, missing.len());
        Err(CohortError::Unfit(format!(
            "a model expects complete rows, site {site} misses {count} values, the first of feature \
             {column}"
        )))
    }

    /// The fold of each row in a repeat.
    pub(super) fn folds(&self, repeat: u8) -> &[u8] {
        &self.folds[usize::from(repeat)]
    }

    /// The rows of a set, ascending.
    pub(super) fn selected(&self, rows: &RowSet) -> Vec<usize> {
        if !rows.sites.contains(self.site) {
            return Vec::new();
        }
        let folds = self.folds(rows.repeat).iter().enumerate();
        folds.filter(|(_, fold)| rows.folds.contains(**fold)).map(|(row, _)| row).collect()
    }

    /// A row's level of a subgroup column; behind those of the study stands one for each class of the target.
    fn level(&self, column: usize, row: usize) -> usize {
        match self.rows.levels.get(column) {
            Some(levels) => usize::from(levels[row]),
            None => {
                let class = column - self.rows.levels.len();
                usize::from(self.rows.classes[row].has(class as u8))
            }
        }
    }

    /// The cell of each row in a split.
    pub(super) fn cells(&self, split: &[Column]) -> Vec<usize> {
        debug_assert!(
            self.query.schema.labelling == Labelling::Single || !split.contains(&Column::Class),
            "labels overlap: a row has no cell of its own"
        );
        self.split(split, self.rows.len(), |column, row| match column {
            Column::Site => usize::from(self.site),
            Column::Fold { repeat } => usize::from(self.folds(*repeat)[row]),
            Column::Subgroup(at) => self.level(usize::from(*at), row),
            Column::Class => self.classes[row].single().map_or(0, usize::from),
        })
    }

    /// The cell of each of what is judged in a split.
    pub(super) fn cells_of_units(&self, split: &[Column]) -> Vec<usize> {
        let units = self.units();
        self.split(split, units.len(), |column, unit| match column {
            Column::Site => usize::from(self.site),
            Column::Fold { repeat } => usize::from(self.folds(*repeat)[units.first_row[unit]]),
            Column::Subgroup(at) => usize::from(units.levels[usize::from(*at)][unit]),
            Column::Class => units.classes[unit].single().map_or(0, usize::from),
        })
    }

    fn split(
        &self,
        split: &[Column],
        count: usize,
        level: impl Fn(&Column, usize) -> usize,
    ) -> Vec<usize> {
        let mut cells = vec![0; count];
        for column in split {
            let width = self.query.cells(std::slice::from_ref(column));
            let wider = |(at, cell): (usize, &mut usize)| *cell = *cell * width + level(column, at);
            cells.iter_mut().enumerate().for_each(wider);
        }
        cells
    }
}

/// Of missing features, row by row, those of one row.
pub(super) fn gaps(missing: &[(usize, usize)], row: usize) -> &[(usize, usize)] {
    let first = missing.partition_point(|&(r, _)| r < row);
    &missing[first..][..missing[first..].partition_point(|&(r, _)| r == row)]
}

/// Entries are put in whole, so a panic elsewhere leaves nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
