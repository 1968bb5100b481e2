//! What a study will cost, before anything is asked. Rounds of fitting are estimates; everything
//! else follows from the design.

mod evaluation;
mod ground;
mod rounds;
mod shortcuts;
mod tally;

use serde::{Deserialize, Serialize};
use wardround_core::ids::SiteId;
use wardround_core::query::Schema;
use wardround_core::study::{
    Classifier, Combination, EarlyStopping, Ensemble, EnsembleKind, Family, GridPoint, Learner,
    LearningCurve, Matrix, Mode, Outliers, OwnSiteBaseline, Reduction, Shortcuts, Study,
};

use self::ground::{BySite, Gaps, Ground, model_size};
use self::rounds::NEWTON_ROUNDS;
use self::tally::{HALF_BYTES, Numbers, Tally};
use super::choose::For;
use super::design::{Design, LeavingOut, Racing};
use super::error::StudyError;
use super::frame::LOOKS;
use super::gather::{numbers_of_row, precision};
use super::race::most_models;
use super::reduce;
use super::scores::BINS;

/// Bytes down and up per site above which a reduction of features is proposed for trees.
const MUCH: f64 = 1e9;

/// Features that a proposal keeps: the most that stay below [`MUCH`], or the fewest.
const PROPOSED: [u32; 3] = [128, 64, 32];

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
    if study.evaluation().is_some() {
        return Ok(evaluation::plan(study, &schemas[0], sites.len()));
    }
    super::check(study, sites, schemas)?;
    if study.federation.mode == Mode::FeatureRows {
        return of_rows(study, schemas, sites);
    }
    let schema = &schemas[0];
    let n_sites = sites.len() as f64;
    let classes = f64::from(schema.classes);
    let mut shared = Tally::default();
    // Where units of several rows are judged they are counted too.
    let of_units = if schema.judged.is_row() { 0.0 } else { 5.0 + 2.0 * classes };
    let of_cell = 1.0 + 2.0 * classes + of_units;
    shared.ask(0.0, Numbers::counts(n_sites * of_cell));
    for &levels in &schema.levels {
        shared.ask(0.0, Numbers::counts(n_sites * f64::from(levels) * of_cell));
    }
    readers(study, schema, n_sites, &mut shared);
    let (mut frame, mut cells, mut grid) = (Asked::NotYet, Asked::NotYet, Asked::NotYet);
    let mut input = 0;
    let combinations = study.combinations();
    let compared = combinations.len() > 1;
    let by_class = reduce::by_class(study);
    let (mut planned, mut proposals) = (Vec::new(), Vec::new());
    let (mut models, mut models_of_matrix, mut models_at_each_site) = (0, 0, 0);
    let mut models_of_curve = 0;
    let models_of_shortcuts = shortcuts::models(study, &schemas[0], sites.len());
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
        let model_size = model_size(&design, d);
        let gaps = Gaps::of(study);
        let ground = Ground { model_size, design: &design, schema, d, n_sites, gaps };
        let trees =
            matches!(classifier.family(), Family::Forest | Family::Boosting | Family::BaggedForest);
        let selects = classifier.reductions().iter().any(|one| !one.is_none());
        let measures = study.validation.outliers == Outliers::On;
        if (!trees || selects || measures) && cells == Asked::NotYet {
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
                proposals.extend(propose(classifier, &ground, &own, &name)?);
            }
            Family::BaggedForest => ground.bagged(&mut own, classifier),
            // No study of sums has it.
            Family::KernelSvm => {}
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
        let mut after = ground.joining(study, classifier, sites.len());
        if study.validation.shortcuts == Shortcuts::On {
            if cells == Asked::NotYet {
                ground.cells(&mut after, by_class);
            }
            ground.shortcuts(&mut after, study, sites.len());
        }
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
        if study.validation.learning_curve == LearningCurve::On {
            models_of_curve = models_of_curve.max(ground.following().fits().len() as u64);
        }
        shared.add(&own);
        planned.push(own.planned(name, of_this, bound));
    }
    shared.add(&joining);
    let Numbers { counts, fractions } = shared.numbers;
    let any_early = planned.iter().any(|one: &PlannedCombination| !one.bound.is_expected());
    Ok(Plan {
        queries: shared.queries as u64,
        models: models + models_of_matrix + models_of_curve + models_of_shortcuts,
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
        queries: 1 + (schemas.len() * sites.len()) as u64 + queries_of_readers(study),
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

/// Cross tables of two readers by site, then what moves kappa, of all and of each site.
fn readers(study: &Study, schema: &Schema, n_sites: f64, tally: &mut Tally) {
    if queries_of_readers(study) == 0 {
        return;
    }
    let [tables, side] = schema.reader_tables().map(|count| count as f64);
    let counts = 2.0 * tables * side * side;
    tally.ask(0.0, Numbers::counts(n_sites * counts));
    for sites in [1.0, n_sites] {
        let (counts, fractions) = (sites * counts, sites * tables);
        tally.ask(sites * tables * side * side, Numbers { counts, fractions });
    }
}

fn queries_of_readers(study: &Study) -> u64 {
    if study.target.second_reader.is_none() { 0 } else { 3 }
}

/// A reduction for trees that cost much.
fn propose(
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
        let grid = ground.design.grid.iter().map(|point| point.with_reduce(reduce)).collect();
        let design = Design { grid, ..ground.design.clone() };
        let mut then = Tally::default();
        Ground { design: &design, ..*ground }.trees(&mut then, classifier);
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
    let gaps = Gaps::of(study);
    let ground = Ground { design: &design, schema, d, n_sites, model_size, gaps };
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
