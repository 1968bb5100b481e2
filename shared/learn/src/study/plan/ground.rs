//! What the fits of one classifier and their figures ask of a site.

use wardround_core::query::{
    CALIBRATION_BINS, DISTANCE_BINS, GRID_STEPS, Labelling, MOST_DIRECTIONS, RESAMPLED_NUMBERS,
    Schema,
};
use wardround_core::study::{
    Bootstrap, ChooseBy, Classifier, ColumnSample, Confusion, Family, GridPoint, Input,
    LearningCurve, LinearPoint, Loss, Matrix, Missing, Outliers, OwnSiteBaseline, RbfPoint,
    Reduction, Standardise, Study,
};

use super::rounds::{
    NEWTON_ROUNDS, asked_nodes, lbfgs_rounds, multinomial_rounds, proximal_rounds, rbf_rounds,
};
use super::tally::{NODE_BYTES, Numbers, QUESTION_BYTES, Tally};
use crate::findings::CrossedRows;
use crate::logistic::{NEWTON_COEFFICIENTS, NEWTON_FEATURES};
use crate::study::asker::SLICE_BYTES;
use crate::study::bootstrap::{self, REPLICATES};
use crate::study::crossed;
use crate::study::design::{Design, LeavingOut};
use crate::study::early_stopping::STEP;
use crate::study::fits::needs_counts;
use crate::study::fits::{LARGE_SITE, MOST_FACTORS};
use crate::study::frame::ByClass;
use crate::study::resample::{DRAWS_OF_CELLS, MOST_CELLS_DRAWN};
use crate::study::scores::{BINS, SCORED_NUMBERS};
use crate::study::training_sums::asked_for;
use crate::trees::lockstep::GROWING_BYTES;

/// Whether counts are asked for site by site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BySite {
    Yes,
    No,
}

/// Whether rows may miss features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    None,
    Possible,
}

impl Gaps {
    /// What a study's sites let in.
    pub(super) fn of(study: &Study) -> Self {
        match &study.input {
            Input::Table(table) if table.missing == Missing::Impute => Self::Possible,
            Input::Table(_) | Input::Images { .. } => Self::None,
        }
    }
}

/// What one classifier's fits and figures cost.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) design: &'a Design,
    pub(super) schema: &'a Schema,
    /// Features.
    pub(super) d: f64,
    pub(super) n_sites: f64,
    /// Numbers of a model in a question about scores.
    pub(super) model_size: f64,
    pub(super) gaps: Gaps,
}

impl Ground<'_> {
    /// Moments of every site and fold, and class where features are selected by it.
    pub(super) fn cells(&self, tally: &mut Tally, by_class: ByClass) {
        let Self { design, d, n_sites, schema, .. } = *self;
        // Labels don't add up to all rows, whose moments are another question then.
        let splits: &[f64] = match (by_class, schema.labelling) {
            (ByClass::No, _) => &[1.0],
            (ByClass::Yes, Labelling::Single) => &[f64::from(schema.classes)],
            (ByClass::Yes, Labelling::Multi) => &[1.0, f64::from(schema.classes)],
        };
        for classes in (0..design.repeats).flat_map(|_| splits) {
            let cells = f64::from(design.folds) * classes;
            let others = (n_sites - 1.0) * cells * 2.0 * d;
            let counts = n_sites * cells * (d + 1.0) + others;
            tally.ask(2.0 * d, Numbers { counts, fractions: cells * 2.0 * d });
        }
    }

    /// Cross products of every training set in one round, as closed forms and principal components
    /// need them: of rows that may miss features at most so many.
    pub(super) fn closed_form(&self, tally: &mut Tally, classes: f64) {
        let Self { design, d, .. } = *self;
        let used = |one: &Standardise| design.grid.iter().any(|p| p.standardise() == *one);
        let sets = design.training_sets();
        let terms_of = |standardise| match (standardise, self.gaps) {
            (Standardise::All, Gaps::None) => asked_for(&sets).len(),
            _ => sets.len(),
        };
        let terms = Standardise::EACH.into_iter().filter(used).map(terms_of).sum::<usize>() as f64;
        let numbers = terms * ((d + 1.0) * (d + 2.0) / 2.0 + classes * (d + 1.0));
        let slices = (numbers * 8.0 / SLICE_BYTES as f64).ceil().max(1.0);
        tally.queries += slices - 1.0;
        tally.ask(2.0 * d * slices, Numbers::fractions(numbers));
    }

    /// Gram matrices, and rounds of gradients.
    pub(super) fn linear(&self, tally: &mut Tally, loss: Loss, sites: usize) {
        let Self { design, d, n_sites, .. } = *self;
        let (features, classes) = (self.schema.features, f64::from(self.schema.classes));
        let points: Vec<_> = design.grid.iter().filter_map(GridPoint::linear).collect();
        if needs_counts(self.schema, &design.grid) {
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
    pub(super) fn multinomial(&self, tally: &mut Tally) {
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
    pub(super) fn rbf(&self, tally: &mut Tally) {
        let Self { design, d, n_sites, .. } = *self;
        let classes = f64::from(self.schema.classes);
        let points: Vec<&RbfPoint> = design.grid.iter().filter_map(GridPoint::rbf).collect();
        if needs_counts(self.schema, &design.grid) {
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
    pub(super) fn grid(&self, tally: &mut Tally, classes: f64, by_site: BySite) {
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
    pub(super) fn trees(&self, tally: &mut Tally, classifier: &Classifier) {
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
    pub(super) fn bagged(&self, tally: &mut Tally, classifier: &Classifier) {
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
    pub(super) fn looks(&self, tally: &mut Tally, classifier: &Classifier) {
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
    pub(super) fn judging(&self, tally: &mut Tally, share: f64) {
        let Self { design, schema, n_sites, model_size, .. } = *self;
        let models = share * design.fits().len() as f64;
        let targets = design.classes.len() as f64;
        let points = share * design.grid.len() as f64;
        let outer = design.outer_folds().count() as f64;
        let repeats = f64::from(design.repeats);
        let left_out = design.left_out_sites().count() as f64;
        let bins = f64::from(BINS.count);
        let cell = SCORED_NUMBERS as f64;
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

    /// Intervals, the sites' own models beside the federated one, and models of single sites at every site.
    pub(super) fn joining(&self, study: &Study, classifier: &Classifier, sites: usize) -> Tally {
        let Self { design, n_sites, .. } = *self;
        let mut tally = Tally::default();
        self.intervals(&mut tally, study.validation.bootstrap);
        if study.validation.outliers == Outliers::On {
            self.outliers(&mut tally);
        }
        self.crossed(&mut tally, study);
        self.calls(&mut tally, study);
        let targets = design.classes.len() as f64;
        let (repeats, bins) = (f64::from(design.repeats), f64::from(BINS.count));
        let cell = SCORED_NUMBERS as f64;
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
            ground.fits(&mut tally, classifier, sites, classes);
            let lists = targets * n_sites * repeats;
            let models = targets * n_sites * (repeats * f64::from(design.folds) + 1.0);
            let question = models * self.model_size;
            tally.ask(question, Numbers::counts(lists * n_sites * cell));
            let tables = lists * n_sites * 2.0 * bins;
            tally.ask(question + tables, Numbers::counts(lists * n_sites * 5.0));
        }
        if study.validation.learning_curve == LearningCurve::On {
            self.learning_curve(&mut tally, study, classifier, sites);
        }
        tally
    }

    /// The chosen point fitted to parts of the training rows, judged by site and in one list, and drawn.
    fn learning_curve(
        &self,
        tally: &mut Tally,
        study: &Study,
        classifier: &Classifier,
        sites: usize,
    ) {
        let curve = self.following();
        let ground = Ground { design: &curve, ..*self };
        let classes = f64::from(self.schema.classes);
        ground.fits(tally, classifier, sites, classes);
        let (n_sites, bins) = (self.n_sites, f64::from(BINS.count));
        let lists = LearningCurve::sizes(curve.folds).len() as f64 * curve.classes.len() as f64;
        let question = lists * f64::from(curve.folds) * self.model_size;
        tally.ask(question, Numbers::counts(lists * n_sites * SCORED_NUMBERS as f64));
        for cells in [n_sites, 1.0] {
            let tables = lists * cells * 2.0 * bins;
            tally.ask(question + tables, Numbers::counts(lists * cells * 5.0));
        }
        if study.validation.bootstrap != Bootstrap::Off {
            tally.ask(question, Numbers::fractions(lists * 4.0 * f64::from(REPLICATES)));
        }
    }

    /// The rounds of a classifier's fits.
    fn fits(&self, tally: &mut Tally, classifier: &Classifier, sites: usize, classes: f64) {
        match classifier.family() {
            Family::Linear(loss) => self.linear(tally, loss, sites),
            Family::Multinomial => self.multinomial(tally),
            Family::Rbf => self.rbf(tally),
            Family::ClosedForm(_) => self.closed_form(tally, classes),
            Family::Forest | Family::Boosting => self.trees(tally, classifier),
            Family::BaggedForest => self.bagged(tally, classifier),
            // Its rows leave: no sums are asked for.
            Family::KernelSvm => {}
        }
    }

    /// The nested lists, and those of left-out sites, under draws of the patients and deals of levels.
    fn intervals(&self, tally: &mut Tally, bootstrap: Bootstrap) {
        let Self { design, schema, n_sites, model_size, .. } = *self;
        if bootstrap == Bootstrap::Off {
            return;
        }
        let (draws, deals) = (f64::from(bootstrap.draws() + 1), f64::from(bootstrap.deals() + 1));
        let targets = design.classes.len() as f64;
        let lists = targets * f64::from(design.repeats);
        let models = lists * f64::from(design.folds) * model_size;
        // All but Brier's, the log loss and sums of probabilities are counts.
        let of_cell = 2.0 + CALIBRATION_BINS as f64;
        let mut ask = |question: f64, cells: f64| {
            let all = cells * RESAMPLED_NUMBERS as f64;
            let fractions = cells * of_cell;
            tally.ask(question, Numbers { counts: all - fractions, fractions });
        };
        ask(models, lists * draws * n_sites);
        let left_out = design.left_out_sites().count() as f64;
        if left_out > 0.0 {
            ask(targets * left_out * model_size, targets * left_out * draws);
        }
        for &levels in &schema.levels {
            ask(models, lists * draws * f64::from(levels));
            ask(models, lists * deals * f64::from(levels));
        }
    }

    /// Rows by class and call, at each site and in each subgroup, with their draws.
    fn calls(&self, tally: &mut Tally, study: &Study) {
        let Self { design, schema, n_sites, model_size, .. } = *self;
        if study.validation.confusion == Confusion::Off {
            return;
        }
        let draws = match study.validation.bootstrap {
            Bootstrap::Off => 0.0,
            bootstrap @ Bootstrap::Of(_) => f64::from(bootstrap.draws()),
        };
        let (repeats, classes) = (f64::from(design.repeats), f64::from(schema.classes));
        let models = classes * repeats * f64::from(design.folds) * model_size;
        let columns = schema.levels.iter().map(|&levels| f64::from(levels));
        for cells in std::iter::once(n_sites).chain(columns) {
            let numbers = repeats * cells * classes * classes * (draws + 2.0);
            tally.ask(models, Numbers::counts(numbers));
        }
    }

    /// Cross products of every fold, and how far each fold's rows are from the others'.
    fn outliers(&self, tally: &mut Tally) {
        let Self { design, d, n_sites, .. } = *self;
        let folds = f64::from(design.folds);
        // Where rows miss features, every training set is asked for by itself.
        let terms = if self.gaps == Gaps::None { folds } else { folds + 1.0 };
        let classes = f64::from(self.schema.classes);
        let numbers = terms * ((d + 1.0) * (d + 2.0) / 2.0 + classes * (d + 1.0));
        let slices = (numbers * 8.0 / SLICE_BYTES as f64).ceil().max(1.0);
        tally.queries += slices - 1.0;
        tally.ask(2.0 * d * slices, Numbers::fractions(numbers));
        let measure = (MOST_DIRECTIONS as f64).min(d) + classes + 2.0;
        let counts = n_sites * f64::from(DISTANCE_BINS.count);
        tally.ask((2.0 + folds * measure) * d, Numbers::counts(counts));
    }

    /// Figures by two columns at once.
    fn crossed(&self, tally: &mut Tally, study: &Study) {
        let Self { design, schema, n_sites, model_size, .. } = *self;
        let levels = |at: u8| f64::from(schema.levels[usize::from(at)]);
        let lists = design.classes.len() as f64 * f64::from(design.repeats);
        let folds = lists * f64::from(design.folds);
        let bins = f64::from(BINS.count);
        for (rows, column) in crossed::tables(study) {
            let cells = levels(column)
                * match rows {
                    CrossedRows::Sites => n_sites,
                    CrossedRows::Subgroup(at) => levels(at),
                };
            let cell = SCORED_NUMBERS as f64;
            tally.ask(folds * model_size, Numbers::counts(folds * cells * cell));
            let question = folds * model_size + lists * cells * 2.0 * bins;
            tally.ask(question, Numbers::fractions(lists * cells * 5.0));
            let bootstrap = study.validation.bootstrap;
            if bootstrap == Bootstrap::Off || cells > MOST_CELLS_DRAWN as f64 {
                continue;
            }
            for replicates in [bootstrap.draws().min(DRAWS_OF_CELLS), bootstrap.deals()] {
                let cells = lists * cells * f64::from(replicates + 1);
                let fractions = cells * (2.0 + CALIBRATION_BINS as f64);
                let counts = cells * RESAMPLED_NUMBERS as f64 - fractions;
                tally.ask(folds * model_size, Numbers { counts, fractions });
            }
        }
    }

    /// The fits of every site alone, at the grid point that takes the most rounds.
    pub(super) fn alone(&self) -> Design {
        let design = self.design;
        let point = design.grid[design.slowest_point()];
        design.alone(&design.classes, point, (0..design.sites).collect())
    }

    /// The models of a learning curve, at the point that takes most rounds.
    pub(super) fn following(&self) -> Design {
        let design = self.design;
        let point = design.grid[design.slowest_point()];
        design.following(&design.classes, point, LearningCurve::sizes(design.folds))
    }

    /// The nested lists under the bootstrap.
    pub(super) fn bootstrap(&self, tally: &mut Tally, by: ChooseBy) {
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
pub(super) fn model_size(design: &Design, d: f64) -> f64 {
    let components = design.grid.iter().filter_map(GridPoint::rbf).map(|point| point.components);
    components.max().map_or(d + 1.0, |components| 2.0 * d + f64::from(components) + 1.0)
}
