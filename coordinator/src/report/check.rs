//! Whether findings and what is known beside them belong together: a report is made of nothing else.

use wardround_core::ids::SiteId;
use wardround_learn::findings::{
    Calls, ClassMeans, Crossed, CrossedRows, FinalFit, FinalFourier, FinalKernel, FinalLinear,
    Findings, JudgedCell, Outliers, ProfileCell, TreeCounts,
};

use super::context::Context;

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

pub(super) fn check(findings: &Findings, context: &Context) -> Result<(), BuildError> {
    let size = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(BuildError::Size { what, expected, got }) }
    };
    let (sites, profile) = (findings.sites.len(), &findings.profile);
    size("sites in the profile", sites, profile.by_site.len())?;
    size("sites by subgroup in the profile", sites, profile.by_site_and_subgroup.len())?;
    let judges = context.study.evaluation().is_some();
    if !judges {
        below("a combination", findings.combination, context.study.combinations().len())?;
    }
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
        let judged = context.study.validation.judge;
        match &cell.judged {
            JudgedCell::Rows if judged.is_row() => {}
            JudgedCell::Units(units) if !judged.is_row() => {
                let classes = findings.classes.len();
                size(
                    "classes of patients that are judged",
                    classes,
                    units.patients_by_class.len(),
                )?;
                size("classes of what is judged", classes, units.by_class.len())?;
            }
            JudgedCell::Rows => size("counts of what is judged", 1, 0)?,
            JudgedCell::Units(_) => size("counts of what is judged", 0, 1)?,
        }
    }
    if let Outliers::Measured(measured) = &findings.outliers {
        size("sites of distances", sites, measured.by_site.len())?;
        for of_site in &measured.by_site {
            size("bins of distances", measured.bins.count as usize, of_site.len())?;
        }
    }
    if let ClassMeans::Several(means) = &findings.class_means {
        size("sites of means over classes", sites, means.by_site.len())?;
        let columns = findings.subgroups.len();
        size("subgroup columns of means over classes", columns, means.by_subgroup.len())?;
        for (column, levels) in findings.subgroups.iter().zip(&means.by_subgroup) {
            size("levels of means over classes", column.levels.len(), levels.len())?;
        }
    }
    if let Calls::Asked(tables) = &findings.calls {
        let side = findings.classes.len();
        size("sites of calls", sites, tables.by_site.len())?;
        size("subgroup columns of calls", findings.subgroups.len(), tables.by_subgroup.len())?;
        for (column, levels) in findings.subgroups.iter().zip(&tables.by_subgroup) {
            size("levels of calls", column.levels.len(), levels.len())?;
        }
        let cells = tables.by_site.iter().chain(tables.by_subgroup.iter().flatten());
        for table in cells.chain([&tables.all]) {
            for got in [table.rows.len(), table.patients.len()] {
                size("cells of a table of calls", side * side, got)?;
            }
        }
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
        check_crossed(findings, &judged.crossed)?;
        // A finished model was chosen elsewhere.
        let tried = if judges { 0 } else { findings.grid.len() };
        size("grid points", tried, target.used_for_choosing.len())?;
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

/// Tables by two columns have the columns of the findings, and every class has the same tables.
fn check_crossed(findings: &Findings, tables: &[Crossed]) -> Result<(), BuildError> {
    let size = |what, expected: usize, got: usize| {
        if expected == got { Ok(()) } else { Err(BuildError::Size { what, expected, got }) }
    };
    let levels = |at: u8| {
        below("a subgroup column", usize::from(at), findings.subgroups.len())?;
        Ok(findings.subgroups[usize::from(at)].levels.len())
    };
    let first = findings.targets.first().map_or(&[][..], |one| &one.nested.judged.crossed);
    size("tables by two columns", first.len(), tables.len())?;
    for (table, first) in tables.iter().zip(first) {
        let columns = levels(table.column)?;
        let same = (first.rows, first.column) == (table.rows, table.column);
        size("classes with the same tables", 1, usize::from(same))?;
        let rows = match table.rows {
            CrossedRows::Sites => findings.sites.len(),
            CrossedRows::Subgroup(at) => levels(at)?,
        };
        size("rows of a table by two columns", rows, table.cells.len())?;
        for row in &table.cells {
            size("cells of a table by two columns", columns, row.len())?;
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
