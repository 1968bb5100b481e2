//! From findings and context to a report: every table passes [`super::disclose`] on its way.

use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_core::study::{
    AugmentationRule, ChooseBy, Classifier, Ensemble, EnsembleKind, GridPoint, Input, Learner,
    Mode, MultiClass, Precision, Study,
};
use wardround_learn::findings::{
    FinalFit, FinalFourier, FinalKernel, FinalLinear, Findings, FoldResult, LeftOut, Matrix,
    NestedChoice, OwnFourier, ProfileCell, TargetFindings, TrainedAt, TreeCounts,
};
use wardround_privacy::judge::Aggregation;
use wardround_privacy::suppress::{CellMask, CohortMask, Reason, Shown};

use super::comparison::{self, ComparisonSection};
use super::context::{Context, SiteContext};
use super::decision::decision_curve;
use super::disclose::{Minimums, cohort_mask};
use super::edition::Edition;
use super::fairness::FairnessSection;
use super::joining::{self, MatrixSection, OwnSitesSection};
use super::model::{
    CohortCell, CohortLevel, CohortSection, CohortSite, CohortSubgroup, Digests, FORMAT,
    FinalModel, Fitting, FoldRow, GridRow, LeftOutRow, LeftOutSection, LevelRow, Loosening,
    ModelSection, ModelSites, NestedFold, NumbersOfSite, PooledSection, Protection, Report,
    RoundsSection, SetAside, SiteCost, SiteRow, SitesSection, StudySection, SubgroupColumn,
    SubgroupsSection,
};
use super::slices::{TargetMask, calibration, figure_row};
use super::together::SitesTogether;
use super::uncertainty::UncertaintySection;
use super::values::{Count, Estimate, grouped, rounded};

/// Findings and context that don't belong together; always a fault of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A site of the findings isn't in the context.
    #[error("expected a context for every site of the findings, got none for '{0}'")]
    UnknownSite(SiteId),
    /// A table of the findings has the wrong size.
    #[error("expected {expected} {what} in the findings, got {got}")]
    Size {
        /// What was counted.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// An index of the findings points nowhere.
    #[error("expected {what} below {below} in the findings, got {got}")]
    Index {
        /// What was pointed at.
        what: &'static str,
        /// The number of entries.
        below: usize,
        /// The index.
        got: usize,
    },
    /// The optimiser's last gradient isn't a number.
    #[error("expected a finite gradient of the final model in the findings, got {0}")]
    Gradient(String),
    /// A number that is no probability.
    #[error("expected {what} from 0 to 1 in the findings, got {got}")]
    Probability {
        /// What it is.
        what: &'static str,
        /// The number.
        got: String,
    },
}

/// See [`Report::build`].
pub(super) fn report(findings: &Findings, context: &Context) -> Result<Report, BuildError> {
    check(findings, context)?;
    let sites: Vec<&SiteContext> = findings
        .sites
        .iter()
        .map(|site| {
            let found = context.sites.iter().find(|known| known.site == *site);
            found.ok_or_else(|| BuildError::UnknownSite(site.clone()))
        })
        .collect::<Result<_, _>>()?;
    let minimums = Minimums::strictest(sites.iter().map(|site| &site.policy));
    let labelling = context.study.target.classes.labelling();
    let mask = cohort_mask(&findings.profile, labelling, minimums);
    let mut report = Report {
        format: FORMAT,
        edition: Edition::Original,
        software: context.software.clone(),
        data: context.data,
        study: study(findings, context),
        protection: protection(findings, context, &sites, &mask),
        cohort: cohort(findings, &sites, minimums, &mask),
        models: Vec::new(),
        pooled: Vec::new(),
        sites: Vec::new(),
        subgroups: Vec::new(),
        fairness: Vec::new(),
        uncertainty: Vec::new(),
        leave_one_site_out: Vec::new(),
        comparison: ComparisonSection::Single,
        own_sites: OwnSitesSection::NotAsked,
        matrix: MatrixSection::NotAsked,
        rounds: rounds(findings, context, &sites, &mask),
        sites_of_every_model: model_sites(findings),
        attempts: context.attempts.clone(),
        digests: Digests {
            bundle: context.bundle.into(),
            weights: context.weights.clone(),
            journal_head: context.journal_head.into(),
            reports: context.reports.clone(),
        },
    };
    let mut masks = Vec::new();
    for target in &findings.targets {
        let released: Vec<_> = sites.iter().map(|site| site.policy.per_site_metrics).collect();
        let shown = TargetMask::new(target, &mask, &released, minimums);
        let name = findings.classes[usize::from(target.class)].clone();
        report.models.push(models(findings, target, &shown, &name)?);
        report.pooled.push(pooled(target, &shown, minimums, &name));
        report.sites.push(by_site(findings, target, &shown, minimums, &name));
        let subgroups = by_subgroup(findings, target, &shown, minimums, &name);
        report.fairness.push(FairnessSection::of(&subgroups, &target.nested.judged.fairness));
        report.subgroups.push(subgroups);
        report.uncertainty.push(UncertaintySection::of(findings, target, &shown, minimums));
        report.leave_one_site_out.push(left_out(findings, target, &shown, minimums, &name)?);
        masks.push(shown);
    }
    report.comparison = comparison::section(findings, &context.study, &context.rounds, &masks)?;
    report.own_sites = joining::own_sites(findings, &masks, minimums)?;
    report.matrix = joining::matrix(findings, &masks)?;
    Ok(report)
}

fn check(findings: &Findings, context: &Context) -> Result<(), BuildError> {
    let size = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(BuildError::Size { what, expected, got }) }
    };
    let (sites, profile) = (findings.sites.len(), &findings.profile);
    size("sites in the profile", sites, profile.by_site.len())?;
    size("sites by subgroup in the profile", sites, profile.by_site_and_subgroup.len())?;
    below("a combination", findings.combination, context.study.combinations().len())?;
    size("subgroup columns in the profile", findings.subgroups.len(), profile.by_subgroup.len())?;
    for by_column in &profile.by_site_and_subgroup {
        size("subgroup columns of a site", findings.subgroups.len(), by_column.len())?;
    }
    let mut cells: Vec<&ProfileCell> = vec![&profile.all];
    cells.extend(&profile.by_site);
    for (at, column) in findings.subgroups.iter().enumerate() {
        let every = profile.by_site_and_subgroup.iter().map(|site| &site[at]);
        for levels in every.chain([&profile.by_subgroup[at]]) {
            size("levels of a subgroup column", column.levels.len(), levels.len())?;
            cells.extend(levels);
        }
    }
    for cell in cells {
        size("classes of patients", findings.classes.len(), cell.patients_by_class.len())?;
        size("classes of rows", findings.classes.len(), cell.rows_by_class.len())?;
    }
    for target in &findings.targets {
        below("a class", usize::from(target.class), findings.classes.len())?;
        let judged = &target.nested.judged;
        size("judged sites", sites, judged.by_site.len())?;
        size("judged subgroup columns", findings.subgroups.len(), judged.by_subgroup.len())?;
        for (column, levels) in findings.subgroups.iter().zip(&judged.by_subgroup) {
            size("judged levels", column.levels.len(), levels.len())?;
        }
        if !judged.fairness.is_empty() {
            size("subgroup columns drawn again", findings.subgroups.len(), judged.fairness.len())?;
        }
        size("grid points", findings.grid.len(), target.used_for_choosing.len())?;
        if let TreeCounts::Stopped { points } = &target.trees {
            size("numbers of trees", findings.grid.len(), points.len())?;
        }
        size("nested folds", target.nested.choices.len(), target.nested.folds.len())?;
        probability("a threshold", target.model.threshold)?;
        gradients(&target.model.fitted)?;
        for choice in &target.nested.choices {
            probability("a threshold of a fold", choice.threshold)?;
        }
        for out in &target.left_out {
            probability("a threshold without a site", out.threshold)?;
            below("a left-out site", usize::from(out.site), sites)?;
            size("grid points of a left-out site", findings.grid.len(), out.auc_by_point.len())?;
        }
    }
    Ok(())
}

fn gradients(fitted: &FinalFit) -> Result<(), BuildError> {
    match fitted {
        FinalFit::Linear(FinalLinear { gradient, .. })
        | FinalFit::Fourier(FinalFourier { gradient, .. })
            if !gradient.is_finite() =>
        {
            Err(BuildError::Gradient(gradient.to_string()))
        }
        FinalFit::Kernel(FinalKernel { violation, .. }) if !violation.is_finite() => {
            Err(BuildError::Gradient(violation.to_string()))
        }
        FinalFit::Linear(_) | FinalFit::Fourier(_) | FinalFit::Trees(_) | FinalFit::Kernel(_) => {
            Ok(())
        }
        FinalFit::Ensemble(ensemble) => {
            ensemble.members.iter().try_for_each(|member| gradients(&member.fitted))
        }
    }
}

pub(super) fn below(what: &'static str, got: usize, below: usize) -> Result<(), BuildError> {
    if got < below { Ok(()) } else { Err(BuildError::Index { what, below, got }) }
}

fn probability(what: &'static str, got: f64) -> Result<(), BuildError> {
    if (0.0..=1.0).contains(&got) {
        Ok(())
    } else {
        Err(BuildError::Probability { what, got: got.to_string() })
    }
}

fn study(findings: &Findings, context: &Context) -> StudySection {
    let study = &context.study;
    let chosen = &study.combinations()[findings.combination];
    StudySection {
        id: context.study_id.clone(),
        name: study.name.clone(),
        digest: study.digest.into(),
        target: study.target.column.clone(),
        classes: findings.classes.clone(),
        unit: study.patient.unit.clone(),
        row: match study.input {
            Input::Images { .. } => "image".to_owned(),
            Input::Table(_) => "row".to_owned(),
        },
        input: match &study.input {
            Input::Images { backbones, augmentation, .. } => {
                let backbone = &backbones[usize::from(chosen.input)];
                let precision = match backbone.precision {
                    Precision::F32 => String::new(),
                    precision => format!(" in {precision}"),
                };
                let copies = match augmentation {
                    AugmentationRule::On { copies: copies @ 1.., .. } => {
                        format!(", fitted to {copies} altered copies of each as well")
                    }
                    _ => String::new(),
                };
                format!("images through {}{precision}{copies}", backbone.name)
            }
            Input::Table(table) => {
                let columns = table.numeric.len() + table.categorical.len();
                format!("a table of {columns} columns")
            }
        },
        classifier: match chosen.learner {
            Learner::Classifier(classifier) => in_words(classifier).to_owned(),
            Learner::Ensemble(ensemble) => ensemble_in_words(study, ensemble),
        },
        seed: study.seed,
        chosen_by: judged_by(study.validation.choose_by).to_owned(),
        threshold_for: study.validation.threshold.words(),
        parsed: serde_json::to_value(study).expect("a study has text keys and plain values only"),
    }
}

fn in_words(classifier: &Classifier) -> &'static str {
    match classifier {
        Classifier::Logistic { multi_class: MultiClass::Multinomial, .. } => {
            "multinomial logistic regression, L2-penalised, one model of all classes"
        }
        Classifier::Logistic { l1_ratio, .. } if l1_ratio == &[0.0] => {
            "logistic regression, L2-penalised"
        }
        Classifier::Logistic { .. } => "logistic regression with an elastic net penalty",
        Classifier::LinearSvm { .. } => {
            "linear support vector machine, squared hinge; its probabilities aren't calibrated"
        }
        Classifier::RbfSvm { .. } => {
            "support vector machine with a Gaussian kernel on random Fourier features, squared hinge; its \
             probabilities aren't calibrated"
        }
        Classifier::Ridge { .. } => "ridge regression, its scores turned into logits",
        Classifier::Lda { .. } => "linear discriminant analysis with a shrunk covariance",
        Classifier::NearestMean { .. } => "nearest class mean, its scores turned into logits",
        Classifier::Forest(_) => {
            "random forest, its trees grown from sums over all sites; its probabilities are mean \
             shares of leaves"
        }
        Classifier::BaggedForest(_) => {
            "bagged random forest, each tree grown by one site of its own patients alone; inexact: it isn't the \
             forest of all patients together"
        }
        Classifier::KernelSvm { .. } => {
            "support vector machine with a Gaussian kernel, made of rows: its support vectors are features of \
             patients; its probabilities aren't calibrated"
        }
        Classifier::Boosting(_) => {
            "gradient-boosted trees of the logistic loss, grown from sums over all sites"
        }
    }
}

fn ensemble_in_words(study: &Study, ensemble: &Ensemble) -> String {
    let how = match ensemble.kind {
        EnsembleKind::SoftVote => "the mean of the probabilities of",
        EnsembleKind::Stacking => "a logistic regression on the logits of",
    };
    let members = ensemble.members.iter().map(|&at| in_words(&study.classifiers[usize::from(at)]));
    format!("{how} {}", members.collect::<Vec<_>>().join("; "))
}

/// Which AUC chooses, as the study file says it.
pub(super) fn judged_by(by: ChooseBy) -> &'static str {
    match by {
        ChooseBy::WithinSites => "within-sites",
        ChooseBy::OneList => "one-list",
    }
}

fn protection(
    findings: &Findings,
    context: &Context,
    sites: &[&SiteContext],
    mask: &CohortMask,
) -> Protection {
    let loosenings = sites.iter().flat_map(|site| {
        site.policy.loosenings().into_iter().map(|loosening| Loosening {
            site: site.site.clone(),
            rule: loosening.rule.to_string(),
            default: loosening.default,
            now: loosening.now,
        })
    });
    Protection {
        aggregation: context.aggregation,
        sentence: {
            let said = sentence(context.aggregation, context.study.federation.mode);
            format!("{said}{}", of_held_rows(findings))
        },
        sites: sites
            .iter()
            .zip(&mask.sites)
            .map(|(site, shown)| NumbersOfSite {
                site: site.site.clone(),
                numbers_sent: site.numbers_sent,
                numbers_held: shown.patients.map(|()| site.numbers_held).into(),
            })
            .collect(),
        loosenings: loosenings.collect(),
    }
}

/// What the models hold of the hospitals' rows, in words; nothing where they hold none.
fn of_held_rows(findings: &Findings) -> String {
    let fitted = findings.targets.iter().map(|target| &target.model.fitted);
    match fitted.map(held_rows).sum::<u64>() {
        0 => String::new(),
        rows => {
            let rows = grouped(rows);
            let sites: Vec<&str> = findings.sites.iter().map(|site| site.as_str()).collect();
            let sites = sites.join(", ");
            format!(
                "; the model holds {rows} rows of features of patients of sites {sites}, so that it is as \
                 confidential as they are"
            )
        }
    }
}

fn held_rows(fitted: &FinalFit) -> u64 {
    match fitted {
        FinalFit::Kernel(kernel) => kernel.model.coefficients.len() as u64,
        FinalFit::Ensemble(ensemble) => {
            ensemble.members.iter().map(|member| held_rows(&member.fitted)).sum()
        }
        FinalFit::Linear(_) | FinalFit::Trees(_) | FinalFit::Fourier(_) => 0,
    }
}

/// What it means for a hospital; the report opens with it.
fn sentence(aggregation: Aggregation, mode: Mode) -> &'static str {
    match (mode, aggregation) {
        (Mode::FeatureRows, _) => {
            "Rows of features of single patients left the hospitals, as each owner allowed by name; the coordinator \
             holds them and computed on them in one place"
        }
        (Mode::Sums, Aggregation::Plain) => {
            "The coordinator saw each hospital's own sums; until secure aggregation is on they are \
             not protected against reconstruction"
        }
        (Mode::Sums, Aggregation::Secure) => {
            "The coordinator saw sums over all hospitals, never one hospital's own"
        }
    }
}

fn cohort(
    findings: &Findings,
    sites: &[&SiteContext],
    minimums: Minimums,
    mask: &CohortMask,
) -> CohortSection {
    let profile = &findings.profile;
    let cells = |cells: &[ProfileCell], shown: &[CellMask]| -> Vec<CohortCell> {
        cells.iter().zip(shown).map(|(cell, shown)| cohort_cell(cell, *shown)).collect()
    };
    let of_site = |(at, site): (usize, &&SiteContext)| CohortSite {
        site: site.site.clone(),
        cell: cohort_cell(&profile.by_site[at], mask.sites[at]),
        subgroups: profile.by_site_and_subgroup[at]
            .iter()
            .zip(&mask.cells[at])
            .map(|(levels, shown)| cells(levels, shown))
            .collect(),
        set_aside: site
            .set_aside
            .iter()
            .map(|aside| {
                let shown = aside.patients >= minimums.cell.get();
                let count = |number: u64| match shown {
                    true => Count::Shown(number),
                    false => Count::Withheld(Reason::SmallCell),
                };
                SetAside {
                    reason: aside.reason.clone(),
                    patients: count(aside.patients),
                    images: count(aside.images),
                }
            })
            .collect(),
        lock: site.lock.into(),
        device: site.device.clone(),
    };
    let of_column = |(at, column): (usize, &wardround_learn::findings::SubgroupNames)| {
        let levels = cells(&profile.by_subgroup[at], &mask.levels[at]);
        let named = column.levels.iter().zip(levels);
        CohortSubgroup {
            name: column.name.clone(),
            levels: named.map(|(level, cell)| CohortLevel { level: level.clone(), cell }).collect(),
        }
    };
    CohortSection {
        all: cohort_cell(&profile.all, mask.all),
        sites: sites.iter().enumerate().map(of_site).collect(),
        subgroups: findings.subgroups.iter().enumerate().map(of_column).collect(),
        rules: minimums.to_string(),
    }
}

fn cohort_cell(cell: &ProfileCell, shown: CellMask) -> CohortCell {
    let total = |number: u64| Count::from(shown.patients.map(|()| number));
    let count = |number: u64| Count::from(shown.classes.map(|()| number));
    CohortCell {
        patients: total(cell.patients),
        images: total(cell.rows()),
        patients_by_class: cell.patients_by_class.iter().copied().map(count).collect(),
        images_by_class: cell.rows_by_class.iter().copied().map(count).collect(),
    }
}

fn models(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    class: &str,
) -> Result<ModelSection, BuildError> {
    let model = &target.model;
    let chosen = point(findings, model.point)?;
    let folds = target.nested.folds.iter().map(|fold| usize::from(fold.fold) + 1).max();
    let fold = |result: &FoldResult| fold(result, shown, folds.unwrap_or(1));
    let used_for_choosing = target.used_for_choosing.iter().enumerate().map(|(at, result)| {
        Ok(GridRow {
            point: point(findings, at)?,
            chosen: at == model.point,
            auc_within_sites: shown.within(&result.auc_within_sites, 1),
            auc_one_list: shown.whole(&result.auc_one_list),
            folds: result.folds.iter().map(fold).collect(),
        })
    });
    let nested = target.nested.choices.iter().zip(&target.nested.folds);
    Ok(ModelSection {
        class: class.to_owned(),
        used_for_choosing: used_for_choosing.collect::<Result<_, _>>()?,
        nested: nested
            .map(|(choice, result)| nested_fold(findings, choice, fold(result)))
            .collect::<Result<_, _>>()?,
        trees: target.trees.clone(),
        races: super::race::races(findings, target, shown, folds.unwrap_or(1))?,
        chosen: FinalModel {
            point: chosen,
            features: findings.features,
            threshold: rounded(model.threshold),
            fitted: fitting(&model.fitted, chosen),
            digest: digest(&model.fitted),
        },
    })
}

/// Three digits; what can't be told from 0 is 0.
fn few_digits(value: f64) -> f64 {
    let written = format!("{value:.2e}").parse().unwrap_or(0.0);
    if f64::abs(written) < 1e-20 { 0.0 } else { written }
}

fn fitting(model: &FinalFit, point: GridPoint) -> Fitting {
    match model {
        FinalFit::Linear(FinalLinear { steps, gradient, weights, .. }) => {
            let makes_zeros = point.linear().is_some_and(|point| point.l1_ratio > 0.0);
            let not_zero = weights.iter().filter(|weight| **weight != 0.0).count() as u32;
            let (steps, gradient) = (*steps, few_digits(*gradient));
            Fitting::Linear { steps, gradient, weights_not_zero: makes_zeros.then_some(not_zero) }
        }
        FinalFit::Fourier(FinalFourier { steps, gradient, .. }) => {
            let (steps, gradient) = (*steps, few_digits(*gradient));
            Fitting::Linear { steps, gradient, weights_not_zero: None }
        }
        FinalFit::Kernel(FinalKernel { model, violation }) => Fitting::Kernel {
            rows_of_patients: model.coefficients.len() as u32,
            violation: few_digits(*violation),
        },
        FinalFit::Trees(model) => {
            // A binary tree of n nodes has (n + 1) / 2 leaves.
            let leaves: usize = model.trees.iter().map(|tree| tree.0.len().div_ceil(2)).sum();
            Fitting::Trees { trees: model.trees.len() as u32, leaves: leaves as u32 }
        }
        FinalFit::Ensemble(ensemble) => Fitting::Ensemble {
            members: (ensemble.members.iter())
                .map(|member| fitting(&member.fitted, member.point))
                .collect(),
        },
    }
}

fn digest(model: &FinalFit) -> Digest {
    match model {
        FinalFit::Linear(FinalLinear { weights, intercept, .. })
        | FinalFit::Fourier(FinalFourier {
            model: OwnFourier { weights, intercept, .. }, ..
        }) => {
            let numbers = weights.iter().chain([intercept]);
            Digest::of(&numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
        }
        FinalFit::Kernel(FinalKernel { model, .. }) => {
            let numbers = model.vectors.iter().chain(&model.coefficients).chain([&model.intercept]);
            Digest::of(&numbers.flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
        }
        FinalFit::Trees(model) => Digest::of(
            &serde_json::to_vec(model).expect("trees have text keys and finite numbers only"),
        ),
        FinalFit::Ensemble(model) => Digest::of(
            &serde_json::to_vec(model).expect("models have text keys and finite numbers only"),
        ),
    }
}

fn nested_fold(
    findings: &Findings,
    choice: &NestedChoice,
    figures: FoldRow,
) -> Result<NestedFold, BuildError> {
    Ok(NestedFold {
        point: point(findings, choice.point)?,
        threshold: rounded(choice.threshold),
        figures,
    })
}

fn point(findings: &Findings, at: usize) -> Result<GridPoint, BuildError> {
    below("a grid point", at, findings.grid.len())?;
    Ok(findings.grid[at])
}

fn fold(result: &FoldResult, shown: &TargetMask, folds: usize) -> FoldRow {
    FoldRow {
        repeat: u32::from(result.repeat) + 1,
        fold: u32::from(result.fold) + 1,
        auc_within_sites: shown.within(&result.auc_within_sites, folds),
        auc_one_list: shown.whole(&result.auc_one_list),
    }
}

fn pooled(
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
    class: &str,
) -> PooledSection {
    let judged = &target.nested.judged;
    let reliability = calibration(&judged.one_list, shown.all, minimums);
    PooledSection {
        class: class.to_owned(),
        auc_within_sites: shown.within(&judged.auc_within_sites, 1),
        auc_one_list: shown.whole(&judged.one_list.auc),
        auc_site_only: shown.site_only(target),
        figures: figure_row(&judged.one_list, shown.all, minimums),
        decision: decision_curve(reliability.bins()),
        reliability,
    }
}

fn by_site(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
    class: &str,
) -> SitesSection {
    let rows = target.nested.judged.by_site.iter().zip(&shown.sites);
    let sites = findings.sites.iter().zip(rows);
    let sites: Vec<SiteRow> = sites
        .map(|(site, (figures, slice))| SiteRow {
            site: site.clone(),
            figures: figure_row(figures, *slice, minimums),
        })
        .collect();
    SitesSection { class: class.to_owned(), together: SitesTogether::of(&sites), sites }
}

fn by_subgroup(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
    class: &str,
) -> SubgroupsSection {
    let judged = target.nested.judged.by_subgroup.iter().zip(&shown.levels);
    let columns = findings.subgroups.iter().zip(judged);
    SubgroupsSection {
        class: class.to_owned(),
        columns: columns
            .map(|(column, (figures, slices))| SubgroupColumn {
                name: column.name.clone(),
                levels: column
                    .levels
                    .iter()
                    .zip(figures.iter().zip(slices))
                    .map(|(level, (figures, slice))| LevelRow {
                        level: level.clone(),
                        figures: figure_row(figures, *slice, minimums),
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn left_out(
    findings: &Findings,
    target: &TargetFindings,
    shown: &TargetMask,
    minimums: Minimums,
    class: &str,
) -> Result<LeftOutSection, BuildError> {
    let row = |out: &LeftOut| {
        let slice = shown.left_out(out);
        Ok(LeftOutRow {
            site: findings.sites[usize::from(out.site)].clone(),
            point: point(findings, out.point)?,
            threshold: rounded(out.threshold),
            figures: figure_row(&out.figures, slice, minimums),
            auc_by_point: out
                .auc_by_point
                .iter()
                .map(|figure| match slice.figures {
                    Shown::Value(()) => Estimate::from(figure),
                    Shown::Suppressed(reason) => Estimate::Withheld { reason },
                })
                .collect(),
        })
    };
    Ok(LeftOutSection {
        class: class.to_owned(),
        sites: target.left_out.iter().map(row).collect::<Result<_, _>>()?,
    })
}

fn rounds(
    findings: &Findings,
    context: &Context,
    sites: &[&SiteContext],
    mask: &CohortMask,
) -> RoundsSection {
    let cost = &findings.cost;
    RoundsSection {
        queries: cost.queries,
        fitting_queries: cost.fitting_queries,
        models: cost.models,
        queries_of_slowest_fit: cost.queries_of_slowest_fit,
        sites: sites
            .iter()
            .zip(&mask.sites)
            .map(|(site, shown)| SiteCost {
                site: site.site.clone(),
                rounds: site.rounds,
                numbers_sent: site.numbers_sent,
                numbers_held: shown.patients.map(|()| site.numbers_held).into(),
                bytes_up: site.bytes_up,
                bytes_down: site.bytes_down,
            })
            .collect(),
        rounds: context.rounds.clone(),
    }
}

fn model_sites(findings: &Findings) -> Vec<ModelSites> {
    let mut list = Vec::new();
    for target in &findings.targets {
        let class = &findings.classes[usize::from(target.class)];
        let sites = findings.sites.clone();
        list.push(ModelSites { model: format!("{class}: final model"), sites: sites.clone() });
        list.push(ModelSites { model: format!("{class}: cross-validated models"), sites });
        if let Matrix::Asked { classes, .. } = &findings.matrix {
            let of_class = classes.iter().filter(|one| one.class == target.class);
            let trained = of_class.flat_map(|one| findings.sites.iter().zip(&one.trained_at));
            for (site, one) in trained {
                if matches!(one, TrainedAt::Judged { .. }) {
                    let model = format!("{class}: models of {site} alone");
                    list.push(ModelSites { model, sites: vec![site.clone()] });
                }
            }
        }
        for out in &target.left_out {
            let left = &findings.sites[usize::from(out.site)];
            list.push(ModelSites {
                model: format!("{class}: models without {left}"),
                sites: findings.sites.iter().filter(|site| *site != left).cloned().collect(),
            });
        }
    }
    list
}
