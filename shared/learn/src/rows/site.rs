//! The rows of one site, with what is computed once and used by many queries: the folds, and the
//! features seen through the current frame.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use wardround_core::class_set::ClassSet;
use wardround_core::ids::SiteId;
use wardround_core::query::{
    Ask, Column, Combat, FoldPlan, FoldSet, Frame, Labelling, Query, RowSet, Scaler,
};
use wardround_core::seed::Seed;
use wardround_core::study::Loss;

use super::builder::Copies;
use super::kernel::Matrix;
use super::trees::Gridded;
use super::{
    RowView, Wanted, bootstrap, counts, cross, draws, fourier, given, loss, own_forest, own_site,
    placements, resample, scores, softmax, stack, trees,
};
use crate::cohort::CohortError;
use crate::combat::{Own, adjust};
use crate::folds::{Candidate, deal, strata};

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
    /// Row by row; NaN where missing.
    features: Vec<f64>,
    /// Columns per row.
    d: usize,
    /// Row and column of each missing feature, row by row.
    missing: Vec<(usize, usize)>,
    source: Vec<usize>,
    copies: Copies,
    cache: Mutex<Cache>,
    pub(super) resampling: resample::Cache,
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

/// The features seen through a frame.
#[derive(Debug)]
pub(super) struct Framed {
    frame: Frame,
    /// `(z, 1)` of each row; missing entries are 0.
    pub(super) z: Matrix,
    /// `(z, 1)` of each row's altered copies, once they are asked for.
    copies: OnceLock<Matrix>,
    scales: Mutex<HashMap<(FoldPlan, u8, FoldSet), Arc<OwnScale>>>,
}

/// Rows that models are fitted to: the rows themselves, or their altered copies.
#[derive(Debug)]
pub(super) struct Views<'a> {
    /// `(z, 1)` of each; missing entries are 0.
    pub(super) z: &'a Matrix,
    /// Row of `z` and column of each missing feature, row by row.
    pub(super) missing: &'a [(usize, usize)],
    /// How many of them belong to a row of the site, one after the other.
    pub(super) each: usize,
}

/// What the site scales each column of the frame's `z` by: `(z - mean) * inverse`.
#[derive(Debug)]
pub(super) struct SiteScale {
    pub(super) mean: Vec<f64>,
    /// 0 for a column that is constant or has no value.
    pub(super) inverse: Vec<f64>,
}

/// The site's own mean and deviation of each column, and the moments that they were made of.
#[derive(Debug)]
struct OwnScale {
    scale: Arc<SiteScale>,
    moments: Vec<Own>,
}

/// One site's rows as one query sees them.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) rows: &'a SiteRows,
    pub(super) query: &'a Query,
    /// The site's index in the query.
    pub(super) site: u16,
    /// Per repeat, the fold of each row.
    folds: Arc<Vec<Vec<u8>>>,
}

impl SiteRows {
    /// Takes rows that were checked and arranged.
    pub(super) fn new(
        id: SiteId,
        patients: Vec<SitePatient>,
        classes: Vec<ClassSet>,
        levels: Vec<Vec<u8>>,
        features: Vec<f64>,
        source: Vec<usize>,
    ) -> Self {
        let d = features.len() / classes.len();
        let nan = features.iter().enumerate().filter(|(_, value)| value.is_nan());
        let missing = nan.map(|(at, _)| (at / d, at % d)).collect();
        let (copies, cache) = (Copies::default(), Mutex::default());
        let resampling = resample::Cache::default();
        Self {
            id,
            patients,
            classes,
            weights: RowWeights::default(),
            levels,
            features,
            d,
            missing,
            source,
            copies,
            cache,
            resampling,
        }
    }

    /// The same rows with altered copies, in the order of the rows.
    pub(super) fn with_copies(self, copies: Copies) -> Self {
        Self { copies, ..self }
    }

    /// The rows themselves.
    pub(super) fn plain<'a>(&'a self, framed: &'a Framed) -> Views<'a> {
        Views { z: &framed.z, missing: &self.missing, each: 1 }
    }

    /// All that models are fitted to: the rows, and their altered copies where there are any.
    pub(super) fn fitted<'a>(&'a self, framed: &'a Framed) -> Vec<Views<'a>> {
        let mut all = vec![self.plain(framed)];
        if self.copies.each > 0 {
            let z = framed.copies.get_or_init(|| self.frame_copies(&framed.frame));
            all.push(Views { z, missing: &[], each: self.copies.each });
        }
        all
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The same rows, counting as much as these say.
    pub(super) fn with_weights(self, weights: RowWeights) -> Self {
        Self { weights, ..self }
    }

    /// Number of missing features.
    pub(super) fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Row and column of each missing feature, row by row.
    pub(super) fn missing_entries(&self) -> &[(usize, usize)] {
        &self.missing
    }

    /// The features of a row; NaN where missing.
    pub(super) fn features(&self, row: usize) -> &[f64] {
        &self.features[row * self.d..][..self.d]
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
            features: self.features(row),
            source: self.source[row],
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
        let seen = self.seen(query, site);
        match &query.ask {
            Ask::Profile { split } => Ok(counts::profile(&seen, split)),
            Ask::Moments { frame, split, .. } => counts::moments(&seen, frame, split),
            Ask::Gram { frame, rows, scaler, .. } => cross::gram(&seen, frame, rows, scaler),
            Ask::Logistic { frame, terms, derivatives, .. } => {
                loss::answer(&seen, frame, terms, *derivatives, Loss::Logistic)
            }
            Ask::SquaredHinge { frame, terms, derivatives, .. } => {
                loss::answer(&seen, frame, terms, *derivatives, Loss::SquaredHinge)
            }
            Ask::ClassGram { frame, terms, .. } => cross::class_gram(&seen, frame, terms),
            Ask::Grid { frame, split, columns } => Ok(trees::grid(&seen, frame, split, *columns)),
            Ask::Trees { frame, cuts, terms, bits } => {
                trees::answer(&seen, frame, cuts, terms, *bits)
            }
            Ask::OwnForests { frame, cuts, terms, bits } => {
                own_forest::answer(&seen, frame, cuts, terms, *bits)
            }
            Ask::FeatureRows { rows, precision } => given::answer(&seen, *rows, *precision),
            Ask::Stack { frame, models, terms, .. } => stack::answer(&seen, frame, models, terms),
            Ask::FourierHinge { frame, maps, terms, .. } => {
                fourier::answer(&seen, frame, maps, terms)
            }
            Ask::Softmax { frame, terms, derivatives, .. } => {
                softmax::answer(&seen, frame, terms, *derivatives)
            }
            Ask::Scores { frame, models, lists, split, bins, .. } => {
                scores::answer(&seen, frame, models, lists, split, bins)
            }
            Ask::Bootstrap { frame, models, lists, bins, pairs, seed, .. } => {
                let scored = scores::Scored::new(&seen, frame, models, lists)?;
                Ok(bootstrap::answer(&seen, &scored, lists, bins, *pairs, *seed))
            }
            Ask::OwnSite { recipe, frame, models, lists, bins, .. } => {
                let beside = own_site::Beside { frame, models, lists };
                own_site::answer(&seen, recipe, &beside, bins, wanted)
            }
            // Rows have no owner who would refuse: whoever answers for one looks at the policy first.
            Ask::OwnModels => {
                let sites = 0..query.sites.len();
                Ok(vec![sites.map(|at| i64::from(at == usize::from(site))).collect()])
            }
            Ask::Placements { frame, models, lists, split, bins, tables, .. } => {
                let scored = scores::Scored::new(&seen, frame, models, lists)?;
                placements::answer(&seen, &scored, lists, split, bins, tables)
            }
        }
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
        Seen { rows: self, query, site, folds }
    }

    /// The features through a frame; the last one is kept.
    pub(super) fn framed(&self, frame: &Frame) -> Arc<Framed> {
        let mut cache = lock(&self.cache);
        if let Some(framed) = cache.framed.as_ref().filter(|framed| framed.frame == *frame) {
            return framed.clone();
        }
        // The old one goes first, so that no two are in memory.
        cache.framed = None;
        let mut z = Matrix::zero(self.len(), self.d + 1);
        for (row, features) in self.features.chunks_exact(self.d).enumerate() {
            let out = z.row_mut(row);
            out[self.d] = 1.0;
            let columns = features.iter().zip(&frame.center).zip(&frame.scale);
            for (out, ((x, center), scale)) in out.iter_mut().zip(columns) {
                *out = (x - center) / scale;
            }
        }
        for &(row, column) in &self.missing {
            z.row_mut(row)[column] = 0.0;
        }
        let (copies, scales) = (OnceLock::new(), Mutex::default());
        let framed = Framed { frame: frame.clone(), z, copies, scales };
        cache.framed.insert(Arc::new(framed)).clone()
    }

    /// The features on a frame's grid; the last one is kept.
    pub(super) fn gridded(&self, frame: &Frame) -> Arc<Gridded> {
        let mut cache = lock(&self.cache);
        if let Some(gridded) = cache.gridded.as_ref().filter(|gridded| gridded.frame == *frame) {
            return gridded.clone();
        }
        cache.gridded = None;
        let value = |row: usize, column: usize| self.features[row * self.d + column];
        let gridded = Gridded::new(frame, self.len(), self.d, value);
        cache.gridded.insert(Arc::new(gridded)).clone()
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

    fn frame_copies(&self, frame: &Frame) -> Matrix {
        let mut z = Matrix::zero(self.len() * self.copies.each, self.d + 1);
        for (row, features) in self.copies.features.chunks_exact(self.d).enumerate() {
            let out = z.row_mut(row);
            out[self.d] = 1.0;
            let columns = features.iter().zip(&frame.center).zip(&frame.scale);
            for (out, ((x, center), scale)) in out.iter_mut().zip(columns) {
                *out = (f64::from(*x) - center) / scale;
            }
        }
        z
    }

    fn is_missing(&self, row: usize, column: usize) -> bool {
        self.features[row * self.d + column].is_nan()
    }
}

impl Seen<'_> {
    /// Columns per row, without the constant.
    pub(super) fn features(&self) -> usize {
        self.rows.d
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

    /// The cell of each row in a split.
    pub(super) fn cells(&self, split: &[Column]) -> Vec<usize> {
        debug_assert!(
            self.query.schema.labelling == Labelling::Single || !split.contains(&Column::Class),
            "labels overlap: a row has no cell of its own"
        );
        let mut cells = vec![0; self.rows.len()];
        for column in split {
            let width = self.query.cells(std::slice::from_ref(column));
            let level = |row: usize| match column {
                Column::Site => usize::from(self.site),
                Column::Fold { repeat } => usize::from(self.folds(*repeat)[row]),
                Column::Subgroup(at) => usize::from(self.rows.levels[usize::from(*at)][row]),
                Column::Class => self.rows.classes[row].single().map_or(0, usize::from),
            };
            cells.iter_mut().enumerate().for_each(|(row, cell)| *cell = *cell * width + level(row));
        }
        cells
    }

    /// What this site's rows are scaled by; nothing where the model's weights act on the frame's `z`. `repeat` is
    /// the deal that its folds are of.
    pub(super) fn scale(
        &self,
        framed: &Framed,
        repeat: u8,
        scaler: &Scaler,
    ) -> Option<Arc<SiteScale>> {
        match scaler {
            Scaler::Folded => None,
            Scaler::OwnSite(folds) => Some(self.own_scale(framed, repeat, *folds)),
            Scaler::Combat(combat) => Some(self.adjusted(framed, repeat, combat)),
        }
    }

    /// Mean and deviation of this site's rows in some folds of a repeat.
    pub(super) fn own_scale(&self, framed: &Framed, repeat: u8, folds: FoldSet) -> Arc<SiteScale> {
        self.moments(framed, repeat, folds).scale.clone()
    }

    /// Mean and deviation of all sites, adjusted to this site's rows.
    pub(super) fn adjusted(&self, framed: &Framed, repeat: u8, combat: &Combat) -> Arc<SiteScale> {
        let own = self.moments(framed, repeat, combat.folds);
        let (mean, inverse) = adjust(&own.moments, &combat.mean, &combat.deviation);
        Arc::new(SiteScale { mean, inverse })
    }

    fn moments(&self, framed: &Framed, repeat: u8, folds: FoldSet) -> Arc<OwnScale> {
        let key = (self.query.folds, repeat, folds);
        let mut scales = lock(&framed.scales);
        scales
            .entry(key)
            .or_insert_with(|| Arc::new(self.compute_scale(framed, repeat, folds)))
            .clone()
    }

    fn compute_scale(&self, framed: &Framed, repeat: u8, folds: FoldSet) -> OwnScale {
        let d = self.features();
        let chosen: Vec<usize> =
            (0..self.rows.len()).filter(|&row| folds.contains(self.folds(repeat)[row])).collect();
        let (mut n, mut mean, mut variance) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        let (mut low, mut high) = (vec![f64::INFINITY; d], vec![f64::NEG_INFINITY; d]);
        for &row in &chosen {
            for (column, &z) in framed.z.row(row)[..d].iter().enumerate() {
                if !self.rows.is_missing(row, column) {
                    n[column] += 1.0;
                    mean[column] += z;
                    low[column] = z.min(low[column]);
                    high[column] = z.max(high[column]);
                }
            }
        }
        mean.iter_mut().zip(&n).filter(|(_, n)| **n > 0.0).for_each(|(mean, n)| *mean /= n);
        for &row in &chosen {
            for (column, &z) in framed.z.row(row)[..d].iter().enumerate() {
                if !self.rows.is_missing(row, column) {
                    variance[column] += (z - mean[column]) * (z - mean[column]);
                }
            }
        }
        // Constant is what has one value, not what rounding left a deviation of.
        let inverse = (0..d)
            .map(|k| if high[k] > low[k] { 1.0 / (variance[k] / n[k]).sqrt() } else { 0.0 })
            .collect();
        let moments = (0..d)
            .map(|k| {
                let spread = if high[k] > low[k] { variance[k] / n[k] } else { 0.0 };
                Own { n: n[k], mean: mean[k], variance: spread }
            })
            .collect();
        OwnScale { scale: Arc::new(SiteScale { mean, inverse }), moments }
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
