//! Whether a query's dimensions fit together; whoever answers may index without fear afterwards.

use super::trees::{
    ColumnCuts, Cuts, GRID_STEPS, Gradients, MOST_CUTS, Node, Sampling, Tree, TreeTerm,
};
use super::{
    Ask, Bins, Column, DecodeError, Fill, FoldPlan, FoldSet, FourierModel, Frame, GramTerm,
    Labelling, LinearModel, MOST_CLASSES, MOST_REPLICATES, MOST_WEIGHT, Model, Query, RowSet,
    Scaler, Schema, ScoreList, SiteSet,
};

impl Query {
    /// Checks that all dimensions fit together.
    ///
    /// # Errors
    /// [`DecodeError::Inconsistent`] names the first thing that doesn't fit.
    pub fn check(&self) -> Result<(), DecodeError> {
        self.check_scored_by(self)
    }

    /// As [`Query::check`], of a question about scores of models that are another question's.
    pub(super) fn check_scored_by(&self, scorers: &Self) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if self.sites.is_empty() || !self.sites.is_sorted_by(|a, b| a < b) {
            return wrong("sites must be sorted, distinct and at least one".into());
        }
        let FoldPlan { folds, repeats, .. } = self.folds;
        if !(2..=64).contains(&folds) || repeats == 0 {
            return wrong(format!("{folds} folds and {repeats} repeats (2 to 64, at least 1)"));
        }
        let Schema { features, classes, levels, .. } = &self.schema;
        if *features == 0 || !(2..=MOST_CLASSES).contains(classes) || levels.contains(&0) {
            return wrong(format!("a schema has features, 2 to {MOST_CLASSES} classes and levels"));
        }
        match &self.ask {
            Ask::Profile { split } => self.check_split(split),
            Ask::Moments { frame, split, bits } => {
                self.check_split(split)?;
                self.check_frame(frame)?;
                check_bits(*bits)
            }
            Ask::Gram { frame, rows, scaler, bits } => {
                self.check_frame(frame)?;
                self.check_rows(rows)?;
                self.check_scaler(scaler)?;
                check_bits(*bits)
            }
            Ask::Logistic { frame, terms, bits, .. }
            | Ask::SquaredHinge { frame, terms, bits, .. } => {
                self.check_frame(frame)?;
                for term in terms {
                    self.check_rows(&term.rows)?;
                    term.weights.check()?;
                    self.check_model(&term.model)?;
                }
                check_bits(*bits)
            }
            Ask::ClassGram { frame, terms, bits } => {
                self.check_frame(frame)?;
                for GramTerm { rows, scaler, fill } in terms {
                    self.check_rows(rows)?;
                    self.check_scaler(scaler)?;
                    self.check_fill(fill)?;
                }
                check_bits(*bits)
            }
            Ask::Grid { frame, split, columns } => {
                self.check_split(split)?;
                self.check_frame(frame)?;
                let [first, end] = *columns;
                if first < end && end <= self.schema.features {
                    return Ok(());
                }
                wrong(format!("columns {first} to {end} of {} features", self.schema.features))
            }
            Ask::Trees { frame, cuts, terms, bits } => {
                self.check_frame(frame)?;
                cuts.iter().try_for_each(|cuts| self.check_cuts(cuts))?;
                terms.iter().try_for_each(|term| self.check_term(term, cuts))?;
                check_bits(*bits)
            }
            Ask::OwnForests { frame, cuts, terms, bits } => {
                self.check_frame(frame)?;
                cuts.iter().try_for_each(|cuts| self.check_cuts(cuts))?;
                terms.iter().try_for_each(|term| self.check_own_forest(term, cuts))?;
                check_bits(*bits)
            }
            Ask::FeatureRows { rows: [first, end], .. } => match self.sites.len() {
                1 if first < end => Ok(()),
                1 => wrong(format!("rows {first} to {end}")),
                sites => wrong(format!("rows of {sites} sites in one question")),
            },
            Ask::FourierHinge { frame, maps, terms, bits } => {
                self.check_frame(frame)?;
                maps.iter().try_for_each(|map| self.check_map(map))?;
                terms.iter().try_for_each(|term| self.check_fourier_term(term, maps))?;
                check_bits(*bits)
            }
            Ask::Stack { frame, models, terms, bits } => {
                self.check_frame(frame)?;
                models.iter().try_for_each(|model| self.check_scorer(model))?;
                terms.iter().try_for_each(|term| self.check_stack_term(term, models))?;
                check_bits(*bits)
            }
            Ask::Softmax { frame, terms, bits, .. } => {
                self.check_frame(frame)?;
                terms.iter().try_for_each(|term| self.check_softmax_term(term))?;
                check_bits(*bits)
            }
            Ask::Scores { frame, models, lists, split, bins, bits } => {
                self.check_frame(frame)?;
                self.check_lists_of(scorers, models, lists, split, bins)?;
                check_bits(*bits)
            }
            Ask::Bootstrap { frame, models, lists, bins, replicates, .. } => {
                self.check_frame(frame)?;
                self.check_lists(models, lists, &[], bins)?;
                match (1..=MOST_REPLICATES).contains(replicates) {
                    true => Ok(()),
                    false => wrong(format!("{replicates} replicates of a bootstrap")),
                }
            }
            Ask::OwnSite { recipe, frame, models, lists, bins, bits } => {
                self.check_frame(frame)?;
                self.check_own_site(recipe, models, lists, bins)?;
                check_bits(*bits)
            }
            Ask::OwnModels => Ok(()),
            Ask::Distances { frame, terms, split, bins } => {
                self.check_frame(frame)?;
                self.check_split(split)?;
                self.check_distances(terms, bins)
            }
            Ask::Marked(marked) => self.check_marked(marked),
            Ask::MarksAllowed { marks } => self.check_marks(marks),
            Ask::Agreement { split, influences, bits } => {
                self.check_split(split)?;
                self.check_influences(split, influences)?;
                check_bits(*bits)
            }
            Ask::Calls { frame, models, lists, split, replicates, .. } => {
                self.check_frame(frame)?;
                self.check_calls(models, lists, split, *replicates)
            }
            Ask::Resampled {
                frame,
                models,
                lists,
                cuts,
                split,
                bins,
                draws,
                replicates,
                bits,
                ..
            } => {
                self.check_frame(frame)?;
                self.check_lists(models, lists, split, bins)?;
                self.check_resampled((lists, cuts), split, bins, *draws, *replicates)?;
                check_bits(*bits)
            }
            Ask::Placements { frame, models, lists, split, bins, tables, bits } => {
                self.check_frame(frame)?;
                self.check_lists_of(scorers, models, lists, split, bins)?;
                let expected = lists.len() * self.cells(split);
                let count = bins.count as usize;
                if tables.len() != expected {
                    return wrong(format!(
                        "{} placement tables, expected {expected}",
                        tables.len()
                    ));
                }
                for table in tables {
                    let values = table.above.iter().chain(&table.below).chain([&table.auc]);
                    if table.above.len() != count || table.below.len() != count {
                        return wrong("a placement table needs one value per bin".into());
                    }
                    check_finite("a placement table", values)?;
                }
                check_bits(*bits)
            }
        }
    }

    pub(super) fn check_lists(
        &self,
        models: &[Model],
        lists: &[ScoreList],
        split: &[Column],
        bins: &Bins,
    ) -> Result<(), DecodeError> {
        self.check_lists_of(self, models, lists, split, bins)
    }

    fn check_lists_of(
        &self,
        scorers: &Self,
        models: &[Model],
        lists: &[ScoreList],
        split: &[Column],
        bins: &Bins,
    ) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        self.check_split(split)?;
        bins.check()?;
        models.iter().try_for_each(|model| scorers.check_scorer(model))?;
        for list in lists {
            self.check_class(list.class)?;
            for (rows, model) in &list.parts {
                self.check_rows(rows)?;
                if *model as usize >= models.len() {
                    return wrong(format!("model {model} of {}", models.len()));
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_scorer(&self, model: &Model) -> Result<(), DecodeError> {
        match model {
            Model::Linear(model) => self.check_model(model),
            Model::Fourier(FourierModel { class, map, weights, intercept }) => {
                self.check_map(map)?;
                self.check_on_map(map, *class, weights, *intercept)
            }
            Model::Trees(model) => {
                self.check_class(model.class)?;
                check_finite("a model of trees", [&model.start])?;
                model.trees.iter().try_for_each(|tree| self.check_tree(tree))
            }
            Model::Ensemble(model) => self.check_ensemble(model),
            Model::Softmax(model) => self.check_softmax(model),
            Model::Given(model) => self.check_given(model),
        }
    }

    fn check_cuts(&self, Cuts(cuts): &Cuts) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if !cuts.is_sorted_by(|a, b| a.column < b.column) {
            return wrong("cuts must be of ascending, distinct columns".into());
        }
        for ColumnCuts { column, steps, .. } in cuts {
            let in_range = steps.iter().all(|step| (1..GRID_STEPS as u16).contains(step));
            if *column >= self.schema.features
                || steps.len() > MOST_CUTS
                || !in_range
                || !steps.is_sorted_by(|a, b| a < b)
            {
                return wrong(format!("cuts of column {column}"));
            }
        }
        Ok(())
    }

    fn check_term(&self, term: &TreeTerm, cuts: &[Cuts]) -> Result<(), DecodeError> {
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        self.check_rows(&term.rows)?;
        self.check_class(term.class)?;
        self.check_tree(&term.tree)?;
        let Some(Cuts(cuts)) = cuts.get(term.cuts as usize) else {
            return wrong(format!("cuts {} of {}", term.cuts, cuts.len()));
        };
        let known = |column| cuts.binary_search_by_key(column, |cuts| cuts.column).is_ok();
        if !term.columns.is_sorted_by(|a, b| a < b) || !term.columns.iter().all(known) {
            return wrong("a tree's columns must be ascending and have cuts".into());
        }
        let is_leaf = |at: &u32| matches!(term.tree.0.get(*at as usize), Some(Node::Leaf { .. }));
        if !term.nodes.is_sorted_by(|a, b| a < b) || !term.nodes.iter().all(is_leaf) {
            return wrong("histograms are asked for leaves, ascending".into());
        }
        if let Gradients::Logistic { start, trees } = &term.gradients {
            check_finite("a model of trees", [start])?;
            trees.iter().try_for_each(|tree| self.check_tree(tree))?;
        }
        if let Sampling::Share { share, .. } = term.sampling
            && !(share > 0.0 && share <= 1.0)
        {
            return wrong(format!("a share of {share} of the patients"));
        }
        term.weights.check()
    }

    /// A tree that ends: children come after their parents, each has one.
    fn check_tree(&self, tree: &Tree) -> Result<(), DecodeError> {
        tree.check(self.schema.features).map_err(DecodeError::Inconsistent)
    }

    fn check_model(&self, model: &LinearModel) -> Result<(), DecodeError> {
        self.check_class(model.class)?;
        self.check_scaler(&model.scaler)?;
        let d = self.schema.features as usize;
        let wrong = |what: String| Err(DecodeError::Inconsistent(what));
        if model.weights.len() != d {
            return wrong(format!("{} weights for {d} features", model.weights.len()));
        }
        check_finite("a model", model.weights.iter().chain([&model.intercept]))?;
        self.check_fill(&model.fill)
    }

    pub(super) fn check_fill(&self, fill: &Fill) -> Result<(), DecodeError> {
        let d = self.schema.features as usize;
        let Fill::Values(values) = fill else { return Ok(()) };
        if values.len() != d {
            let got = values.len();
            return Err(DecodeError::Inconsistent(format!("{got} fill values for {d} features")));
        }
        check_finite("a fill", values.iter())
    }

    fn check_frame(&self, frame: &Frame) -> Result<(), DecodeError> {
        let d = self.schema.features as usize;
        if frame.center.len() != d || frame.scale.len() != d {
            let (c, s) = (frame.center.len(), frame.scale.len());
            return Err(DecodeError::Inconsistent(format!(
                "a frame of {c} and {s} for {d} features"
            )));
        }
        check_finite("a frame", frame.center.iter().chain(&frame.scale))?;
        if frame.scale.iter().any(|&s| s <= 0.0) {
            return Err(DecodeError::Inconsistent("a frame's scale must be positive".into()));
        }
        Ok(())
    }

    pub(super) fn check_class(&self, class: u8) -> Result<(), DecodeError> {
        if class < self.schema.classes {
            return Ok(());
        }
        let classes = self.schema.classes;
        Err(DecodeError::Inconsistent(format!("class {class} of {classes}")))
    }

    pub(super) fn check_scaler(&self, scaler: &Scaler) -> Result<(), DecodeError> {
        match scaler {
            Scaler::Folded => Ok(()),
            Scaler::OwnSite(folds) => self.check_folds(*folds),
            Scaler::Combat(combat) => self.check_combat(combat),
        }
    }

    pub(super) fn check_rows(&self, rows: &RowSet) -> Result<(), DecodeError> {
        self.check_folds(rows.folds)?;
        if rows.repeat >= self.folds.repeats {
            let repeats = self.folds.repeats;
            return Err(DecodeError::Inconsistent(format!("repeat {} of {repeats}", rows.repeat)));
        }
        match rows.sites {
            SiteSet::Only(site) | SiteSet::Without(site)
                if usize::from(site) >= self.sites.len() =>
            {
                Err(DecodeError::Inconsistent(format!("site {site} of {}", self.sites.len())))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn check_folds(&self, folds: FoldSet) -> Result<(), DecodeError> {
        if folds.0 & !FoldSet::all(self.folds.folds).0 == 0 {
            return Ok(());
        }
        Err(DecodeError::Inconsistent(format!("a fold beyond the {} dealt", self.folds.folds)))
    }

    pub(super) fn check_split(&self, split: &[Column]) -> Result<(), DecodeError> {
        for (at, column) in split.iter().enumerate() {
            match column {
                Column::Subgroup(at) if usize::from(*at) >= self.schema.levels.len() => {
                    return Err(DecodeError::Inconsistent(format!("subgroup column {at}")));
                }
                Column::Fold { repeat } if *repeat >= self.folds.repeats => {
                    return Err(DecodeError::Inconsistent(format!("repeat {repeat} in a split")));
                }
                Column::Class if !matches!(self.ask, Ask::Moments { .. }) => {
                    let what = "a split by class of something else than moments";
                    return Err(DecodeError::Inconsistent(what.into()));
                }
                Column::Class
                    if self.schema.labelling == Labelling::Multi && at + 1 < split.len() =>
                {
                    let what = "a split by labels that isn't the last one";
                    return Err(DecodeError::Inconsistent(what.into()));
                }
                _ => {}
            }
        }
        if split.len() > 4 || self.cells(split) > 1 << 20 {
            return Err(DecodeError::Inconsistent("a split into too many cells".into()));
        }
        Ok(())
    }
}

impl Bins {
    /// Whether there are any, and not too many.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        let Self { half_width, count } = self;
        if (1..=1 << 16).contains(count) && half_width.is_finite() && *half_width > 0.0 {
            return Ok(());
        }
        Err(DecodeError::Inconsistent(format!("{count} bins of half width {half_width}")))
    }
}

pub(super) fn check_weight(weight: f64) -> Result<(), DecodeError> {
    if (0.0..=MOST_WEIGHT).contains(&weight) {
        return Ok(());
    }
    Err(DecodeError::Inconsistent(format!("a class weight of {weight}")))
}

fn check_bits(bits: u8) -> Result<(), DecodeError> {
    if bits <= 62 {
        Ok(())
    } else {
        Err(DecodeError::Inconsistent(format!("{bits} binary places")))
    }
}

pub(super) fn check_finite<'a>(
    what: &str,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), DecodeError> {
    if values.into_iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(DecodeError::Inconsistent(format!("{what} holds a number that isn't finite")))
}
