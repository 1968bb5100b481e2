//! What a study will cost, before anything is asked. Rounds of fitting are estimates; everything
//! else follows from the design.

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::query::{CALIBRATION_BINS, GRID_STEPS, Schema};
use wardround_core::study::{
    ChooseBy, Classifier, ColumnSample, Combination, EarlyStopping, Ensemble, EnsembleKind, Family,
    GridPoint, LeafLimit, Learner, LinearPoint, Loss, Matrix, Mode, OwnSiteBaseline, RbfPoint,
    Reduction, Standardise, Study,
};

use super::asker::SLICE_BYTES;
use super::bootstrap::{self, REPLICATES};
use super::choose::For;
use super::design::{Design, LeavingOut, Racing};
use super::early_stopping::STEP;
use super::error::StudyError;
use super::fits::{LARGE_SITE, MOST_FACTORS};
use super::frame::{ByClass, LOOKS};
use super::gather::{numbers_of_row, precision};
use super::race::most_models;
use super::reduce;
use super::scores::BINS;
use crate::logistic::{NEWTON_COEFFICIENTS, NEWTON_FEATURES};
use crate::trees::lockstep::GROWING_BYTES;

/// Bytes of a fraction in an answer: fixed point with 40 to 50 binary places as a variable-length
/// integer.
const FRACTION_BYTES: f64 = 7.0;

/// Bytes of a count, and of a zero in another site's cell.
const COUNT_BYTES: f64 = 1.0;

/// Bytes of 32 bits in an answer.
const HALF_BYTES: f64 = 5.0;

/// Bytes of a number in a question.
const QUESTION_BYTES: f64 = 8.0;

/// Bytes of a tree's node in a question.
const NODE_BYTES: f64 = 8.0;

/// Bytes down and up per site above which a reduction of features is proposed for trees.
const MUCH: f64 = 1e9;

/// Features that a proposal keeps: the most that stay below [`MUCH`], or the fewest.
const PROPOSED: [u32; 3] = [128, 64, 32];

/// Rounds of Newton's method.
const NEWTON_ROUNDS: f64 = 8.0;

/// What a study is expected to cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Questions, each one round with every site; estimated.
    pub queries: u64,
    /// Models fitted.
    pub models: u64,
    /// Bytes that each site receives; estimated, before compression.
    pub bytes_down_per_site: u64,
    /// Bytes that each site sends; estimated, before compression.
    pub bytes_up_per_site: u64,
    /// Numbers that each site sends; estimated, zeros of other sites' cells included.
    pub numbers_per_site: u64,
    /// The most numbers that a question asks for per model, which the rule on wide sums compares
    /// with a site's patients.
    pub widest_numbers_per_model: u64,
    /// Models that each site fits to its own rows alone, locally.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub models_at_each_site: u64,
    /// Whether that is what the study will cost, or the most that it can.
    #[serde(default, skip_serializing_if = "Bound::is_expected")]
    pub bound: Bound,
    /// Whether what it fits equals what is fitted to all rows together.
    #[serde(default, skip_serializing_if = "Exactness::is_exact")]
    pub exactness: Exactness,
    /// Each combination of input and classifier by itself, in the study's order, without what all share.
    pub combinations: Vec<PlannedCombination>,
    /// Reductions of features that would spare the sites' links; left out where none would.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<Proposal>,
}

/// Trees cost more than a slow link likes, and a reduction of features would make them cheaper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The combination's name.
    pub name: String,
    /// Bytes down and up per site, as it is.
    pub bytes_per_site: u64,
    /// What to write under its `[classifier]`.
    pub reduce: Reduction,
    /// Or how many columns to draw for each tree, of all: about as dear, and on HAM10000 better.
    pub columns: u32,
    /// Bytes down and up per site, then.
    pub bytes_per_site_then: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What one combination of a study is expected to cost; see [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedCombination {
    /// Its name.
    pub name: String,
    /// Questions.
    pub queries: u64,
    /// Models fitted.
    pub models: u64,
    /// Bytes that each site receives.
    pub bytes_down_per_site: u64,
    /// Bytes that each site sends.
    pub bytes_up_per_site: u64,
    /// Whether that is what it will cost, or the most that it can.
    #[serde(default, skip_serializing_if = "Bound::is_expected")]
    pub bound: Bound,
}

/// Whether a study's models equal those that are fitted to all rows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exactness {
    /// They do.
    #[default]
    Exact,
    /// Bagged forests don't: each tree is of one site.
    Inexact,
}

impl Exactness {
    /// Whether they do.
    pub fn is_exact(&self) -> bool {
        *self == Self::Exact
    }

    fn of(study: &Study) -> Self {
        if study.asks_for_own_models() { Self::Inexact } else { Self::Exact }
    }
}

/// What an estimate of costs means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// About that much.
    #[default]
    Expected,
    /// At most about that much: boosted trees may stop early, and one model may be of several races.
    AtMost,
}

impl Bound {
    fn of(design: &Design) -> Self {
        match (design.early_stopping, design.racing) {
            (EarlyStopping::Off, Racing::Off) => Self::Expected,
            _ => Self::AtMost,
        }
    }

    /// Whether costs are about that much.
    pub fn is_expected(&self) -> bool {
        *self == Self::Expected
    }
}

/// Estimates what a study over some sites will cost, given what its rows look like: one schema per input.
///
/// # Errors
/// [`StudyError::TooFewSites`], [`StudyError::TooFewFolds`]: the study can't run at all.
pub fn plan(study: &Study, schemas: &[Schema], sites: &[SiteId]) -> Result<Plan, StudyError> {
    super::check(study, sites, schemas)?;
    if study.federation.mode == Mode::FeatureRows {
        return of_rows(study, schemas, sites);
    }
    let schema = &schemas[0];
    let n_sites = sites.len() as f64;
    let classes = f64::from(schema.classes);
    let mut shared = Tally::default();
    shared.ask(0.0, Numbers::counts(n_sites * (1.0 + 2.0 * classes)));
    for &levels in &schema.levels {
        shared.ask(0.0, Numbers::counts(n_sites * f64::from(levels) * (1.0 + 2.0 * classes)));
    }
    let (mut frame, mut cells, mut grid) = (Asked::NotYet, Asked::NotYet, Asked::NotYet);
    let mut input = 0;
    let combinations = study.combinations();
    let compared = combinations.len() > 1;
    let by_class = reduce::by_class(study);
    let (mut planned, mut proposals) = (Vec::new(), Vec::new());
    let (mut models, mut models_of_matrix, mut models_at_each_site) = (0, 0, 0);
    // For the chosen combination alone: which that will be isn't known, so the most expensive one's.
    let mut joining = Tally::default();
    for Combination { input: of_input, learner, name } in combinations {
        let schema = &schemas[usize::from(of_input)];
        let d = f64::from(schema.features);
        if of_input != input {
            input = of_input;
            (frame, cells, grid) = (Asked::NotYet, Asked::NotYet, Asked::NotYet);
        }
        if frame == Asked::NotYet {
            for _ in 0..LOOKS - 1 {
                shared.ask(2.0 * d, Numbers { counts: d + 1.0, fractions: 2.0 * d });
            }
            frame = Asked::Already;
        }
        let classifier = match learner {
            Learner::Classifier(classifier) => classifier,
            Learner::Ensemble(ensemble) => {
                let own = of_ensemble(study, ensemble, schema, sites)?;
                shared.add(&own);
                planned.push(own.planned(name, 0, Bound::Expected));
                continue;
            }
        };
        let design = Design::new(study, classifier, sites)?;
        let ground =
            Ground { model_size: model_size(&design, d), design: &design, schema, d, n_sites };
        let trees =
            matches!(classifier.family(), Family::Forest | Family::Boosting | Family::BaggedForest);
        let selects = classifier.reductions().iter().any(|one| !one.is_none());
        if (!trees || selects) && cells == Asked::NotYet {
            ground.cells(&mut shared, by_class);
            cells = Asked::Already;
        }
        if trees && grid == Asked::NotYet {
            let apart =
                design.left_out == LeavingOut::EverySite || study.validation.matrix == Matrix::On;
            let by_site = if apart { BySite::Yes } else { BySite::No };
            ground.grid(&mut shared, classes, by_site);
            grid = Asked::Already;
        }
        let mut own = Tally::default();
        match classifier.family() {
            Family::Linear(loss) => ground.linear(&mut own, loss, sites.len()),
            Family::Multinomial => ground.multinomial(&mut own),
            Family::Rbf => ground.rbf(&mut own),
            Family::ClosedForm(_) => ground.closed_form(&mut own, classes),
            Family::Forest | Family::Boosting => {
                ground.trees(&mut own, classifier);
                proposals.extend(propose(study, classifier, &ground, &own, &name)?);
            }
            Family::BaggedForest => ground.bagged(&mut own, classifier),
        }
        let (of_this, all) = (models_of(&design), design.fits().len());
        if let Racing::Halving { eta } = design.racing {
            own.climb(of_this as f64 / all as f64, most_models(&design, eta).1);
        }
        ground.judging(&mut own, of_this as f64 / all as f64);
        if compared {
            ground.bootstrap(&mut own, study.validation.choose_by);
        }
        let bound = Bound::of(&design);
        let of_this = of_this as u64;
        models += of_this;
        let after = ground.joining(study, classifier, sites.len());
        if after.up() + after.down > joining.up() + joining.down {
            joining = after;
        }
        if study.validation.own_site_baseline == OwnSiteBaseline::On {
            let left_out = LeavingOut::None;
            let alone = Design { left_out, ..design.clone() }.fits().len() as u64;
            models_at_each_site = models_at_each_site.max(alone);
        }
        if study.validation.matrix == Matrix::On {
            models_of_matrix = models_of_matrix.max(ground.alone().fits().len() as u64);
        }
        shared.add(&own);
        planned.push(own.planned(name, of_this, bound));
    }
    shared.add(&joining);
    let Numbers { counts, fractions } = shared.numbers;
    let any_early = planned.iter().any(|one: &PlannedCombination| !one.bound.is_expected());
    Ok(Plan {
        queries: shared.queries as u64,
        models: models + models_of_matrix,
        bytes_down_per_site: shared.down as u64,
        bytes_up_per_site: shared.up() as u64,
        numbers_per_site: (counts + fractions) as u64,
        widest_numbers_per_model: schemas
            .iter()
            .map(|schema| study.widest_numbers_per_model(schema.features))
            .fold(2 * u64::from(BINS.count), u64::max),
        models_at_each_site,
        exactness: Exactness::of(study),
        bound: if any_early { Bound::AtMost } else { Bound::Expected },
        combinations: planned,
        proposals,
    })
}

/// Models of a design; with races the most.
fn models_of(design: &Design) -> usize {
    match design.racing {
        Racing::Off => design.fits().len(),
        Racing::Halving { eta } => most_models(design, eta).0,
    }
}

/// A study whose sites' rows go to the coordinator: their counts, then one question per input and site. How many bytes rows are
/// isn't known before sites say how many they have.
fn of_rows(study: &Study, schemas: &[Schema], sites: &[SiteId]) -> Result<Plan, StudyError> {
    let mut planned = Vec::new();
    for Combination { learner, name, .. } in study.combinations() {
        let (models, bound) = match learner {
            Learner::Classifier(classifier) => {
                let design = Design::new(study, classifier, sites)?;
                (models_of(&design), Bound::of(&design))
            }
            Learner::Ensemble(_) => (0, Bound::Expected),
        };
        planned.push(Tally::default().planned(name, models as u64, bound));
    }
    Ok(Plan {
        queries: 1 + (schemas.len() * sites.len()) as u64,
        models: planned.iter().map(|one| one.models).sum(),
        bytes_down_per_site: 0,
        bytes_up_per_site: 0,
        numbers_per_site: 0,
        widest_numbers_per_model: 0,
        // Rows are in one place.
        models_at_each_site: 0,
        // Rounds and bytes are those of gathering.
        bound: Bound::Expected,
        exactness: Exactness::of(study),
        combinations: planned,
        proposals: Vec::new(),
    })
}

impl Plan {
    /// The plan once it is known how many rows the largest site has: that counts where rows leave.
    pub fn with_rows(self, study: &Study, schemas: &[Schema], rows: u64) -> Self {
        if study.federation.mode == Mode::Sums {
            return self;
        }
        let numbers: u64 =
            schemas.iter().map(|schema| rows * numbers_of_row(schema, precision(study))).sum();
        let bytes_up_per_site = (numbers as f64 * HALF_BYTES) as u64;
        Self { numbers_per_site: numbers, bytes_up_per_site, ..self }
    }
}

/// A reduction for trees that cost much.
fn propose(
    study: &Study,
    classifier: &Classifier,
    ground: &Ground<'_>,
    cost: &Tally,
    name: &str,
) -> Result<Option<Proposal>, StudyError> {
    if cost.bytes() <= MUCH {
        return Ok(None);
    }
    let mut best: Option<Proposal> = None;
    for kept in PROPOSED {
        let reduce = Reduction::Univariate(kept);
        let reduced = classifier.clone().with_reductions(vec![reduce]);
        let design = Design { grid: study.grid(&reduced), ..ground.design.clone() };
        let mut then = Tally::default();
        Ground { design: &design, ..*ground }.trees(&mut then, &reduced);
        if then.bytes() < 0.9 * cost.bytes() {
            let (bytes_per_site, bytes_per_site_then) = (cost.bytes() as u64, then.bytes() as u64);
            let name = name.to_owned();
            let columns = kept;
            best = Some(Proposal { name, bytes_per_site, reduce, columns, bytes_per_site_then });
        }
        if then.bytes() <= MUCH {
            break;
        }
    }
    Ok(best)
}

/// Whether what several classifiers use was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Already,
}

/// Whether counts are asked for site by site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BySite {
    Yes,
    No,
}

/// What one classifier's fits and figures cost.
#[derive(Clone, Copy)]
struct Ground<'a> {
    design: &'a Design,
    schema: &'a Schema,
    /// Features.
    d: f64,
    n_sites: f64,
    /// Numbers of a model in a question about scores.
    model_size: f64,
}

impl Ground<'_> {
    /// Moments of every site and fold, and class where features are selected by it.
    fn cells(&self, tally: &mut Tally, by_class: ByClass) {
        let Self { design, d, n_sites, schema, .. } = *self;
        let classes = match by_class {
            ByClass::Yes => f64::from(schema.classes),
            ByClass::No => 1.0,
        };
        for _ in 0..design.repeats {
            let cells = f64::from(design.folds) * classes;
            let others = (n_sites - 1.0) * cells * 2.0 * d;
            let counts = n_sites * cells * (d + 1.0) + others;
            tally.ask(2.0 * d, Numbers { counts, fractions: cells * 2.0 * d });
        }
    }

    /// Cross products of every training set in one round, as closed forms and principal components
    /// need them.
    fn closed_form(&self, tally: &mut Tally, classes: f64) {
        let Self { design, d, .. } = *self;
        let scalers = Standardise::EACH.into_iter().filter(|standardise| {
            design.grid.iter().any(|point| point.standardise() == *standardise)
        });
        let terms = (design.training_sets().len() * scalers.count()) as f64;
        let numbers = terms * ((d + 1.0) * (d + 2.0) / 2.0 + classes * (d + 1.0));
        let slices = (numbers * 8.0 / SLICE_BYTES as f64).ceil().max(1.0);
        tally.queries += slices - 1.0;
        tally.ask(2.0 * d * slices, Numbers::fractions(numbers));
    }

    /// Gram matrices, and rounds of gradients.
    fn linear(&self, tally: &mut Tally, loss: Loss, sites: usize) {
        let Self { design, d, n_sites, .. } = *self;
        let (features, classes) = (self.schema.features, f64::from(self.schema.classes));
        let points: Vec<_> = design.grid.iter().filter_map(GridPoint::linear).collect();
        if points.iter().any(|point| !point.balance.is_none()) {
            let numbers = n_sites * f64::from(design.folds) * (1.0 + 2.0 * classes);
            (0..design.repeats).for_each(|_| tally.ask(0.0, Numbers::counts(numbers)));
        }
        let triangle = (d + 1.0) * (d + 2.0) / 2.0;
        let is_pca = |point: &LinearPoint| matches!(point.reduce, Reduction::Pca(_));
        if points.iter().any(|point| is_pca(point)) {
            self.closed_form(tally, classes);
        }
        let newton = features as usize <= NEWTON_FEATURES;
        if !newton {
            let large_sites = match design.left_out {
                LeavingOut::EverySite if sites <= LARGE_SITE as usize => sites,
                _ => 0,
            };
            let factors = (1 + large_sites) * design.classes.len() * design.grid.len();
            let grams = if factors > MOST_FACTORS { 1 } else { 1 + large_sites };
            for standardise in Standardise::EACH {
                let needs =
                    |point: &&LinearPoint| point.standardise == standardise && !is_pca(point);
                if points.iter().any(needs) {
                    (0..grams).for_each(|_| tally.ask(2.0 * d, Numbers::fractions(triangle)));
                }
            }
        }
        let per_point = (design.training_sets().len() * design.classes.len()) as f64;
        let rounds: Vec<f64> = points
            .iter()
            .map(|point| match newton {
                true => NEWTON_ROUNDS,
                false if point.l1_ratio > 0.0 => proximal_rounds(point.c, d),
                false => lbfgs_rounds(loss, point.c, f64::from(point.reduce.kept_of(features))),
            })
            .collect();
        let slowest = rounds.iter().copied().fold(0.0, f64::max);
        let evaluations: f64 = rounds.iter().map(|rounds| rounds * per_point).sum();
        // Each carries all sites' mean and deviation.
        let adjusted =
            points.iter().zip(&rounds).filter(|(p, _)| p.standardise == Standardise::Combat);
        let adjusted: f64 = adjusted.map(|(_, rounds)| rounds * per_point * 2.0 * d).sum();
        let answer = d + 2.0 + if newton { triangle } else { 0.0 };
        tally.queries += slowest.ceil();
        tally.down += QUESTION_BYTES * (slowest * 2.0 * d + evaluations * (d + 1.0) + adjusted);
        tally.numbers.fractions += evaluations * answer;
    }

    /// Gram matrices, counts, and rounds of gradients of all classes.
    fn multinomial(&self, tally: &mut Tally) {
        let Self { design, d, n_sites, .. } = *self;
        let classes = f64::from(self.schema.classes);
        let points: Vec<_> = design.grid.iter().filter_map(GridPoint::linear).collect();
        let counts = n_sites * f64::from(design.folds) * (1.0 + 2.0 * classes);
        (0..design.repeats).for_each(|_| tally.ask(0.0, Numbers::counts(counts)));
        let coefficients = classes * (d + 1.0);
        let newton = coefficients <= NEWTON_COEFFICIENTS as f64;
        if !newton {
            for standardise in [Standardise::All, Standardise::Site] {
                if points.iter().any(|point| point.standardise == standardise) {
                    let triangle = (d + 1.0) * (d + 2.0) / 2.0;
                    tally.ask(2.0 * d, Numbers::fractions(triangle));
                }
            }
        }
        let sets = design.training_sets().len() as f64;
        let rounds = points.iter().map(|point| match newton {
            true => NEWTON_ROUNDS,
            false => multinomial_rounds(point.c, d),
        });
        let rounds: Vec<f64> = rounds.collect();
        let slowest = rounds.iter().copied().fold(0.0, f64::max);
        let evaluations: f64 = rounds.iter().map(|rounds| rounds * sets).sum();
        let second = if newton { coefficients * (coefficients + 1.0) / 2.0 } else { 0.0 };
        let numbers = coefficients + 1.0 + second;
        let slices = (numbers * sets * points.len() as f64 * 8.0 / SLICE_BYTES as f64).ceil();
        tally.queries += slowest.ceil() * slices.max(1.0);
        tally.down += QUESTION_BYTES * (slowest * 2.0 * d + evaluations * coefficients);
        tally.numbers.fractions += evaluations * numbers;
    }

    /// Rounds of gradients by components.
    fn rbf(&self, tally: &mut Tally) {
        let Self { design, d, n_sites, .. } = *self;
        let classes = f64::from(self.schema.classes);
        let points: Vec<&RbfPoint> = design.grid.iter().filter_map(GridPoint::rbf).collect();
        if points.iter().any(|point| !point.balance.is_none()) {
            let numbers = n_sites * f64::from(design.folds) * (1.0 + 2.0 * classes);
            (0..design.repeats).for_each(|_| tally.ask(0.0, Numbers::counts(numbers)));
        }
        let sets = design.training_sets().len() as f64;
        let per_point = sets * design.classes.len() as f64;
        let mut maps: Vec<(f64, Standardise)> = Vec::new();
        let (mut slowest, mut down) = (0.0f64, 0.0);
        for point in points {
            let rounds = rbf_rounds(point, d);
            let numbers = f64::from(point.components) + 2.0;
            slowest = slowest.max(rounds);
            down += rounds * per_point * numbers;
            tally.numbers.fractions += rounds * per_point * numbers;
            // Each round carries the mean and deviation of its training sets' maps.
            let map = (point.gamma, point.standardise);
            if !maps.contains(&map) {
                maps.push(map);
                down += if point.standardise == Standardise::Site {
                    0.0
                } else {
                    rounds * sets * 2.0 * d
                };
            }
        }
        tally.queries += slowest.ceil();
        tally.down += QUESTION_BYTES * (slowest * 2.0 * d + down);
    }

    /// Counts on the grid.
    fn grid(&self, tally: &mut Tally, classes: f64, by_site: BySite) {
        let Self { design, d, n_sites, .. } = *self;
        let sites = if by_site == BySite::Yes { n_sites } else { 1.0 };
        let cells = sites * f64::from(design.folds);
        for _ in 0..design.repeats {
            let numbers = cells * (classes + d * GRID_STEPS as f64);
            let slices = (numbers * 8.0 / SLICE_BYTES as f64).ceil().max(1.0);
            tally.queries += slices - 1.0;
            tally.ask(2.0 * d, Numbers::counts(numbers));
        }
    }

    /// Histograms of growing trees.
    fn trees(&self, tally: &mut Tally, classifier: &Classifier) {
        let Self { design, .. } = *self;
        let Some(rules) = classifier.tree_rules() else { return };
        let sets = design.training_sets().len() as f64;
        let fits = sets * design.classes.len() as f64;
        let mut slowest = 0.0f64;
        // Fewer trees with the same other parameters are the beginning of more.
        let rest = |point: &GridPoint| point.with_trees(0);
        for (at, point) in design.grid.iter().enumerate() {
            let same = |other: &&GridPoint| rest(other) == rest(point);
            let kept = f64::from(point.reduce().kept_of(self.schema.features));
            let columns = match rules.columns {
                ColumnSample::All => kept,
                ColumnSample::AtMost(most) => kept.min(f64::from(most)),
            };
            let bins = columns * f64::from(rules.bins);
            let begun = design.grid[..at].iter().filter(same).map(GridPoint::trees).max();
            let trees = f64::from(point.trees());
            let more = (trees - f64::from(begun.unwrap_or(0))).max(0.0);
            let depth = f64::from(point.depth());
            let nodes = asked_nodes(depth, rules.leaves);
            let numbers = fits * more * nodes * bins;
            // A question carries the bins of its training sets, and per tree its columns and itself; of a
            // boosted model all trees before it.
            let tree_bytes = NODE_BYTES * 4.0 * nodes;
            let (rounds, sets_in_round, columns_in_round) = match point {
                GridPoint::Boosting(_) => {
                    let before = (trees * trees - (trees - more) * (trees - more)) / 2.0;
                    tally.down += fits * before * depth * tree_bytes;
                    (trees * depth, sets, columns)
                }
                _ => {
                    let growing = bins * 24.0 * libm::exp2(depth - 1.0);
                    let at_once = (GROWING_BYTES as f64 / growing).floor().max(1.0);
                    let batches = (fits * trees / at_once).ceil();
                    (batches * depth, sets.min(at_once / trees + 1.0), kept)
                }
            };
            slowest = slowest.max(rounds);
            let of_bins = sets_in_round * columns_in_round * f64::from(rules.bins) * 2.0;
            tally.down += rounds * of_bins * more / trees;
            tally.down += fits * more * depth * (columns * 2.0 + tree_bytes / 2.0);
            match point {
                // Gradients of a forest are small whole numbers.
                GridPoint::Forest(_) => tally.numbers.counts += 3.0 * numbers,
                _ => {
                    tally.numbers.counts += numbers;
                    tally.numbers.fractions += 2.0 * numbers;
                }
            }
        }
        tally.queries += slowest;
        if !design.early_stopping.is_off() {
            self.looks(tally, classifier);
        }
    }

    /// Every site's own forests in one round: complete trees, most of whose places are zeros.
    fn bagged(&self, tally: &mut Tally, classifier: &Classifier) {
        let Self { design, d, n_sites, .. } = *self;
        let Some(rules) = classifier.tree_rules() else { return };
        let sets = design.training_sets().len() as f64;
        let fits = sets * design.classes.len() as f64;
        let rest = |point: &GridPoint| point.with_trees(0);
        let mut numbers = Numbers::counts(fits * n_sites);
        let mut largest = 0.0f64;
        for (at, point) in design.grid.iter().enumerate() {
            let same = |other: &&GridPoint| rest(other) == rest(point);
            let begun = design.grid[..at].iter().filter(same).map(GridPoint::trees).max();
            let more = (f64::from(point.trees()) - f64::from(begun.unwrap_or(0))).max(0.0);
            let depth = f64::from(point.depth());
            let places = n_sites * (libm::exp2(depth + 1.0) - 1.0);
            largest = largest.max(places * f64::from(point.trees()));
            // Of the site's own trees; half of the splits is small, leaves are 64 bits.
            let nodes = 2.0 * asked_nodes(depth, rules.leaves);
            numbers.fractions += fits * more * nodes;
            numbers.counts += fits * more * (places - nodes).max(0.0);
        }
        let slices = (fits * largest * 8.0 / SLICE_BYTES as f64).ceil().max(1.0);
        tally.queries += slices - 1.0;
        // Steps of the grid take two bytes.
        let tables = sets * d * f64::from(rules.bins) * 2.0 / QUESTION_BYTES;
        tally.ask(2.0 * d * slices + tables, numbers);
    }

    /// Looks at the held-out loss of growing trees. A question carries all trees so far.
    fn looks(&self, tally: &mut Tally, classifier: &Classifier) {
        let Self { design, .. } = *self;
        let Some(rules) = classifier.tree_rules() else { return };
        let keys = design.fits();
        let lists = keys.iter().filter(|key| !design.stand_ins(key).is_empty()).count() as f64;
        let mut looks = 0.0f64;
        for point in &design.grid {
            let (trees, of_fits) = (f64::from(point.trees()), keys.len() / design.grid.len());
            let of_point = (trees / f64::from(STEP)).ceil();
            let tree = NODE_BYTES * 4.0 * asked_nodes(f64::from(point.depth()), rules.leaves);
            looks = looks.max(of_point);
            tally.down += of_fits as f64 * tree * trees * (of_point + 1.0) / 2.0;
            let of_point = of_point * lists / design.grid.len() as f64;
            // Bins of one, calibration, and the losses.
            tally.numbers.counts += of_point * (2.0 + 3.0 * CALIBRATION_BINS as f64);
            tally.numbers.fractions += of_point * 2.0;
        }
        tally.queries += looks;
    }
}

impl Ground<'_> {
    /// Scores to choose by, figures, and both by subgroup, where a share of the design's models is fitted.
    fn judging(&self, tally: &mut Tally, share: f64) {
        let Self { design, schema, n_sites, model_size, .. } = *self;
        let models = share * design.fits().len() as f64;
        let targets = design.classes.len() as f64;
        let points = share * design.grid.len() as f64;
        let outer = design.outer_folds().count() as f64;
        let repeats = f64::from(design.repeats);
        let left_out = design.left_out_sites().count() as f64;
        let bins = f64::from(BINS.count);
        let cell = 2.0 * bins + 3.0 * CALIBRATION_BINS as f64 + 2.0;
        let lists = targets * points * (2.0 * outer + left_out * (repeats + 1.0));
        tally.ask(models * model_size, Numbers::counts(lists * n_sites * cell));
        let full = targets * (repeats * (1.0 + points) + left_out * points);
        let numbers = targets * (points * outer + left_out * points) * model_size;
        tally.ask(numbers + full * 2.0 * bins, Numbers::fractions(full * 5.0));
        tally.ask(numbers + full * n_sites * 2.0 * bins, Numbers::counts(full * n_sites * 5.0));
        for &levels in &schema.levels {
            let (levels, chosen) = (f64::from(levels), targets * outer * model_size);
            tally.ask(chosen, Numbers::counts(targets * outer * levels * cell));
            let full = targets * repeats * levels;
            tally.ask(chosen + full * 2.0 * bins, Numbers::fractions(full * 5.0));
        }
    }

    /// The sites' own models beside the federated one, and models of single sites at every site.
    fn joining(&self, study: &Study, classifier: &Classifier, sites: usize) -> Tally {
        let Self { design, n_sites, .. } = *self;
        let mut tally = Tally::default();
        let targets = design.classes.len() as f64;
        let (repeats, bins) = (f64::from(design.repeats), f64::from(BINS.count));
        let cell = 2.0 * bins + 3.0 * CALIBRATION_BINS as f64 + 2.0;
        if study.validation.own_site_baseline == OwnSiteBaseline::On {
            let lists = targets * repeats;
            let models = lists * f64::from(design.folds);
            // What isn't a score: a site's model or why there is none, calls, patients and placement sums.
            let numbers = n_sites * (4.0 + lists * (cell + 4.0 + 2.0 + 6.0));
            tally.ask(models * self.model_size, Numbers::counts(numbers));
        }
        if study.validation.matrix == Matrix::On {
            tally.ask(0.0, Numbers::counts(n_sites));
            let alone = self.alone();
            let ground = Ground { design: &alone, ..*self };
            let classes = f64::from(self.schema.classes);
            match classifier.family() {
                Family::Linear(loss) => ground.linear(&mut tally, loss, sites),
                Family::Multinomial => ground.multinomial(&mut tally),
                Family::Rbf => ground.rbf(&mut tally),
                Family::ClosedForm(_) => ground.closed_form(&mut tally, classes),
                Family::Forest | Family::Boosting => ground.trees(&mut tally, classifier),
                Family::BaggedForest => ground.bagged(&mut tally, classifier),
            }
            let lists = targets * n_sites * repeats;
            let models = targets * n_sites * (repeats * f64::from(design.folds) + 1.0);
            let question = models * self.model_size;
            tally.ask(question, Numbers::counts(lists * n_sites * cell));
            let tables = lists * n_sites * 2.0 * bins;
            tally.ask(question + tables, Numbers::counts(lists * n_sites * 5.0));
        }
        tally
    }

    /// The fits of every site alone, at the grid point that takes the most rounds.
    fn alone(&self) -> Design {
        let design = self.design;
        let point = design.grid[design.slowest_point()];
        design.alone(&design.classes, point, (0..design.sites).collect())
    }

    /// The nested lists under the bootstrap.
    fn bootstrap(&self, tally: &mut Tally, by: ChooseBy) {
        let (design, model_size) = (self.design, self.model_size);
        let lists = design.classes.len() as f64 * f64::from(design.repeats);
        let each = 4.0 * f64::from(REPLICATES);
        let numbers = match by {
            // Pairs are counted; there are more of them than rows.
            ChooseBy::WithinSites => Numbers::fractions(lists * each),
            ChooseBy::OneList => Numbers::counts(lists * each * f64::from(bootstrap::BINS.count)),
        };
        tally.ask(lists * f64::from(design.folds) * model_size, numbers);
    }
}

/// Numbers of a model in a question about scores; one on a map carries the map.
fn model_size(design: &Design, d: f64) -> f64 {
    let components = design.grid.iter().filter_map(GridPoint::rbf).map(|point| point.components);
    components.max().map_or(d + 1.0, |components| 2.0 * d + f64::from(components) + 1.0)
}

/// An ensemble's rounds: its members' models are sent to be judged, and to be stacked.
fn of_ensemble(
    study: &Study,
    ensemble: &Ensemble,
    schema: &Schema,
    sites: &[SiteId],
) -> Result<Tally, StudyError> {
    let (d, n_sites) = (f64::from(schema.features), sites.len() as f64);
    let members = ensemble.members.iter().map(|&at| &study.classifiers[usize::from(at)]);
    let designs: Vec<Design> = members
        .map(|classifier| Design::new(study, classifier, sites))
        .collect::<Result<_, _>>()?;
    let model_size = designs.iter().map(|design| model_size(design, d)).sum();
    let grid = vec![GridPoint::Ensemble(ensemble.point())];
    let design = Design { grid, ..designs[0].clone() };
    let ground = Ground { design: &design, schema, d, n_sites, model_size };
    let mut own = Tally::default();
    if ensemble.kind == EnsembleKind::Stacking {
        let columns = ensemble.members.len() as f64 + 1.0;
        let targets = design.classes.len() as f64;
        let fits = targets * For::all(&design).count() as f64;
        let models = targets * (design.training_sets().len() - 1) as f64;
        let numbers = fits * (1.0 + columns + columns * (columns + 1.0) / 2.0);
        let counts = n_sites * f64::from(design.folds) * (1.0 + 2.0 * f64::from(schema.classes));
        (0..design.repeats).for_each(|_| own.ask(0.0, Numbers::counts(counts)));
        for _ in 0..NEWTON_ROUNDS as u32 {
            own.ask(2.0 * d + models * model_size, Numbers::fractions(numbers));
        }
    }
    ground.judging(&mut own, 1.0);
    ground.bootstrap(&mut own, study.validation.choose_by);
    Ok(own)
}

/// Leaves of a tree that are asked for: the root, and of every two siblings the smaller. Below five
/// levels about half of the leaves no longer split.
fn asked_nodes(depth: f64, leaves: LeafLimit) -> f64 {
    let full = libm::exp2(depth.min(5.0) - 1.0);
    let nodes = full + (depth - 5.0).max(0.0) * full / 2.0;
    match leaves {
        LeafLimit::Unlimited => nodes,
        LeafLimit::AtMost(most) => nodes.min(f64::from(most)),
    }
}

#[derive(Default)]
struct Tally {
    queries: f64,
    /// Bytes to a site.
    down: f64,
    /// Numbers from a site.
    numbers: Numbers,
}

#[derive(Default)]
struct Numbers {
    /// Small whole numbers and zeros.
    counts: f64,
    fractions: f64,
}

impl Numbers {
    fn counts(counts: f64) -> Self {
        Self { counts, fractions: 0.0 }
    }

    fn fractions(fractions: f64) -> Self {
        Self { counts: 0.0, fractions }
    }
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.down += other.down;
        self.numbers.counts += other.numbers.counts;
        self.numbers.fractions += other.numbers.fractions;
    }

    fn planned(&self, name: String, models: u64, bound: Bound) -> PlannedCombination {
        PlannedCombination {
            name,
            queries: self.queries as u64,
            models,
            bytes_down_per_site: self.down as u64,
            bytes_up_per_site: self.up() as u64,
            bound,
        }
    }

    /// Fits a share of the models, on rungs and for the finalists, with a question about scores on each rung.
    fn climb(&mut self, share: f64, rungs: usize) {
        let rungs = rungs as f64;
        self.queries *= rungs + 1.0;
        self.queries += rungs;
        self.down *= share;
        self.numbers.counts *= share;
        self.numbers.fractions *= share;
    }

    /// Bytes from a site.
    fn up(&self) -> f64 {
        self.numbers.counts * COUNT_BYTES + self.numbers.fractions * FRACTION_BYTES
    }

    /// Bytes both ways.
    fn bytes(&self) -> f64 {
        self.down + self.up()
    }

    fn ask(&mut self, question: f64, answer: Numbers) {
        self.queries += 1.0;
        self.down += question * QUESTION_BYTES;
        self.numbers.counts += answer.counts;
        self.numbers.fractions += answer.fractions;
    }
}

/// Rounds of preconditioned L-BFGS. The slowest model of a study on 1,280 features of 8,019 images
/// took 28 at C = 0.001 and 55 at C = 0.01; with the squared hinge 20 at C = 0.0001 and 43 at
/// C = 0.001. Fewer features take fewer rounds.
fn lbfgs_rounds(loss: Loss, c: f64, features: f64) -> f64 {
    let (at_milli, power) = match loss {
        Loss::Logistic => (28.0, 0.285),
        Loss::SquaredHinge => (43.0, 0.33),
    };
    let rounds = at_milli * libm::pow(c / 0.001, power) * (features / 1280.0).sqrt();
    rounds.clamp(8.0, 400.0)
}

/// The same of models of all classes: 20 at C = 0.0001, beside 15 of one model per class.
fn multinomial_rounds(c: f64, features: f64) -> f64 {
    1.35 * lbfgs_rounds(Loss::Logistic, c, features)
}

/// The same with an L1 penalty, which leaves fewer weights to be found: 34 at C = 0.03.
fn proximal_rounds(c: f64, features: f64) -> f64 {
    (0.45 * lbfgs_rounds(Loss::Logistic, c, features)).max(8.0)
}

/// The same on random Fourier features, without a Gram matrix. The slowest model of a study on 1,280
/// features of 8,019 images took 67 at C = 0.1 with gamma = 0.25. Rounds grow with rows times C; a plan
/// knows no rows, but tables of few features have fewer of them than folders of images.
fn rbf_rounds(point: &RbfPoint, features: f64) -> f64 {
    let at_tenth = 55.0 * libm::pow(point.gamma, -0.15) * libm::pow(features / 1280.0, 0.25);
    (at_tenth * libm::pow(point.c / 0.1, 0.45)).clamp(8.0, 600.0)
}
