//! From findings and context to a report: every table passes [`super::disclose`] on its way.

use wardround_core::digest::Digest;
use wardround_core::query::Labelling;
use wardround_core::study::{
    AugmentationRule, ChooseBy, Classifier, Ensemble, EnsembleKind, GridPoint, Input, JudgedUnit,
    Learner, Mode, MultiClass, Precision, SecondReader, Study, UnitScore,
};
use wardround_learn::findings::{
    FinalFit, FinalFourier, FinalKernel, FinalLinear, Findings, FoldResult, JudgedCell, LeftOut,
    Matrix, NestedChoice, OwnFourier, ProfileCell, Readers, TargetFindings, TrainedAt,
};
use wardround_privacy::judge::Aggregation;
use wardround_privacy::suppress::{CellMask, CohortMask, Reason, Shown};

use super::check::{BuildError, below, check};
use super::classes::{self, ClassesSection};
use super::comparison::{self, ComparisonSection};
use super::context::{Context, SiteContext};
use super::curve::{self, LearningCurveSection};
use super::decision::decision_curve;
use super::disclose::{Minimums, cohort_mask};
use super::dominance::dominated;
use super::edition::Edition;
use super::evaluation::EvaluationSection;
use super::fairness::FairnessSection;
use super::importance;
use super::joining::{self, MatrixSection, OwnSitesSection};
use super::model::{
    CohortCell, CohortLevel, CohortSection, CohortSite, CohortSubgroup, Digests, FORMAT,
    FinalModel, Fitting, FoldRow, GridRow, JudgedSection, LeftOutRow, LeftOutSection, LevelRow,
    Loosening, MixedUnits, ModelSection, ModelSites, NestedFold, NumbersOfSite, PooledSection,
    Protection, Report, RoundsSection, SetAside, SiteCost, SiteRow, SitesSection, StudySection,
    SubgroupColumn, SubgroupsSection,
};
use super::outliers::{self, OutlierSection};
use super::readers::{self, ReadersSection};
use super::shortcuts;
use super::slices::{TargetMask, calibration, figure_row};
use super::statements::Statements;
use super::together::SitesTogether;
use super::uncertainty::UncertaintySection;
use super::values::{Count, Estimate, grouped, rounded};

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
        statements: Statements::default(),
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
        classes: ClassesSection::One,
        comparison: ComparisonSection::Single,
        own_sites: OwnSitesSection::NotAsked,
        matrix: MatrixSection::NotAsked,
        learning_curve: LearningCurveSection::NotAsked,
        shortcuts: shortcuts::shortcuts(findings, &sites, &mask, minimums)?,
        shift: shortcuts::shift(findings, &sites, &mask)?,
        outliers: OutlierSection::NotAsked,
        importance: Vec::new(),
        readers: readers(findings, context, &sites, &mask, minimums)?,
        evaluation: EvaluationSection::Fitted,
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
        let dominated = dominated(&findings.profile, &sites, labelling, target.class);
        let shown = TargetMask::new(target, &mask, &released, &dominated, minimums);
        let name = findings.classes[usize::from(target.class)].clone();
        report.models.push(models(findings, target, &shown, &name)?);
        report.pooled.push(pooled(target, &shown, minimums, &name));
        report.sites.push(by_site(findings, target, &shown, minimums, &name));
        let subgroups = by_subgroup(findings, target, &shown, minimums, &name);
        report.fairness.push(FairnessSection::of(&subgroups, &target.nested.judged.fairness));
        report.subgroups.push(subgroups);
        report.uncertainty.push(UncertaintySection::of(findings, target, &shown, minimums));
        report.leave_one_site_out.push(left_out(findings, target, &shown, minimums, &name)?);
        report.importance.push(importance::section(findings, &context.study, target, &name)?);
        masks.push(shown);
    }
    let crossed = super::crossed::tables(findings, &mask, &masks, minimums);
    for (section, tables) in report.fairness.iter_mut().zip(crossed) {
        section.crossed = tables;
    }
    report.classes = classes::section(findings, &report, &masks, minimums);
    report.comparison = comparison::section(findings, &context.study, &context.rounds, &masks)?;
    report.own_sites = joining::own_sites(findings, &masks, minimums)?;
    report.matrix = joining::matrix(findings, &masks)?;
    report.learning_curve = curve::section(findings, &masks)?;
    report.outliers = outliers::section(findings, &masks, minimums);
    report.evaluation = EvaluationSection::of(findings, &context.study, &report.pooled);
    Ok(report)
}

fn readers(
    findings: &Findings,
    context: &Context,
    sites: &[&SiteContext],
    mask: &CohortMask,
    minimums: Minimums,
) -> Result<ReadersSection, BuildError> {
    let tables = match &findings.readers {
        Readers::NotAsked => &[][..],
        Readers::Asked { tables } => tables,
    };
    for table in tables {
        let (side, expected) = (table.classes.len(), findings.sites.len());
        let got = table.by_site.len();
        if got != expected {
            return Err(BuildError::Size { what: "sites' cross tables", expected, got });
        }
        for one in table.by_site.iter().chain([&table.all]) {
            for got in [one.rows.len(), one.patients.len()] {
                if got != side * side {
                    let (what, expected) = ("cells of a cross table", side * side);
                    return Err(BuildError::Size { what, expected, got });
                }
            }
        }
    }
    let column = match &context.study.target.second_reader {
        SecondReader::None => "",
        SecondReader::Column(column) => column,
    };
    let consents: Vec<_> = sites.iter().map(|site| site.policy.per_site_metrics).collect();
    Ok(readers::section(findings, column, &consents, mask, minimums))
}

fn study(findings: &Findings, context: &Context) -> StudySection {
    let study = &context.study;
    let combinations = study.combinations();
    let chosen = combinations.get(findings.combination);
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
        judged: judged(study),
        input: match &study.input {
            Input::Images { backbones, augmentation, .. } => {
                let backbone = &backbones[chosen.map_or(0, |chosen| usize::from(chosen.input))];
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
        classifier: match (chosen.map(|chosen| chosen.learner), findings.evaluated.bundle()) {
            (Some(Learner::Classifier(classifier)), _) => in_words(classifier).to_owned(),
            (Some(Learner::Ensemble(ensemble)), _) => ensemble_in_words(study, ensemble),
            (None, Some(bundle)) => bundle.learner.clone(),
            (None, None) => String::new(),
        },
        seed: study.seed,
        chosen_by: judged_by(study.validation.choose_by).to_owned(),
        threshold_for: match study.evaluation() {
            Some(_) => "what its training study chose it for".to_owned(),
            None => study.validation.threshold.words(),
        },
        parsed: serde_json::to_value(study).expect("a study has text keys and plain values only"),
    }
}

fn judged(study: &Study) -> JudgedSection {
    let row = match study.input {
        Input::Images { .. } => "image",
        Input::Table(_) => "row",
    };
    let (name, score) = match study.validation.judge {
        JudgedUnit::Row => {
            let sentence = format!("Every {row} is judged by itself.");
            return JudgedSection { name: row.to_owned(), sentence };
        }
        JudgedUnit::Exam(score) => ("exam", score),
        JudgedUnit::Patient(score) => (study.patient.unit.as_str(), score),
    };
    let score = match score {
        UnitScore::Mean => "the mean",
        UnitScore::Max => "the largest",
    };
    let class = match study.target.classes.labelling() {
        Labelling::Single => format!("the class that the study names first among its {row}s'"),
        Labelling::Multi => format!("all labels of its {row}s"),
    };
    let sentence = format!(
        "Judged is the {name}, in every table: its probability is {score} of its {row}s' probabilities, it has {class}, and \
         the level of a subgroup on which its {row}s agree, else it is unknown. Models are fitted to {row}s."
    );
    JudgedSection { name: name.to_owned(), sentence }
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
        mixed: mixed(&profile.all, minimums),
    }
}

fn cohort_cell(cell: &ProfileCell, shown: CellMask) -> CohortCell {
    let total = |number: u64| Count::from(shown.patients.map(|()| number));
    let count = |number: u64| Count::from(shown.classes.map(|()| number));
    let by_class = |of: &[u64]| of.iter().copied().map(count).collect();
    let (images, judged, judged_by_class) = match &cell.judged {
        JudgedCell::Rows => (cell.rows(), cell.rows(), &cell.rows_by_class),
        JudgedCell::Units(units) => (units.rows, units.count, &units.by_class),
    };
    CohortCell {
        patients: total(cell.judged_patients()),
        images: total(images),
        judged: total(judged),
        patients_by_class: by_class(cell.judged_patients_by_class()),
        judged_by_class: by_class(judged_by_class),
    }
}

/// Their patients are a cell of their own.
fn mixed(all: &ProfileCell, minimums: Minimums) -> MixedUnits {
    let JudgedCell::Units(units) = &all.judged else { return MixedUnits::NotJudged };
    let shown = match units.patients_of_mixed < minimums.cell.get() {
        true => Shown::Suppressed(Reason::SmallCell),
        false => Shown::Value(()),
    };
    let count = |number: u64| Count::from(shown.map(|()| number));
    MixedUnits::Units { count: count(units.mixed), patients: count(units.patients_of_mixed) }
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
            fitted: match findings.evaluated.is_fitted() {
                true => fitting(&model.fitted, chosen),
                false => Fitting::Before,
            },
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
        if let Some(bundle) = findings.evaluated.bundle() {
            let model = format!("{class}: the judged model");
            list.push(ModelSites { model, sites: bundle.sites.clone() });
            continue;
        }
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
