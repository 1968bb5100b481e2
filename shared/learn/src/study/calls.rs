//! How often rows of each class were called which, by the chosen classifier's nested lists: the class with the largest probability
//! ([`Ask::Calls`]). Draws of the patients are those of [`super::resample`], so that intervals go together.

use wardround_core::query::{Ask, Column, ScoreList};
use wardround_core::study::{Bootstrap, Study};

use super::asker::{Answer, Asker};
use super::error::StudyError;
use super::resample::{self, SLICE_NUMBERS};
use super::single::Nested;
use crate::cohort::Cohort;
use crate::findings::{CallTable, CallTables, Calls};
use crate::metrics::called::{CALLED, Called, figures};
use crate::metrics::resampled::Drawn;

/// Asks for the tables of all sites and subgroups.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    nested: &Nested,
) -> Result<Calls, StudyError> {
    let by_site = Tables::ask(asker, study, nested, Column::Site).await?;
    let classes = study.target.classes.names();
    let all = by_site.added().tables(&classes).remove(0);
    let mut by_subgroup = Vec::new();
    for column in 0..asker.schema.levels.len() as u8 {
        let of = Tables::ask(asker, study, nested, Column::Subgroup(column)).await?;
        by_subgroup.push(of.tables(&classes));
    }
    Ok(Calls::Asked(CallTables { all, by_site: by_site.tables(&classes), by_subgroup }))
}

/// Counts by class and call.
type Counts = Vec<u64>;

/// Tables of all cells of a column.
struct Tables {
    /// Per cell, of the first deal.
    patients: Vec<Counts>,
    /// Per deal, replicate and cell.
    calls: Vec<Vec<Vec<Counts>>>,
}

impl Tables {
    async fn ask<C: Cohort>(
        asker: &mut Asker<'_, C>,
        study: &Study,
        nested: &Nested,
        column: Column,
    ) -> Result<Self, StudyError> {
        let repeats = usize::from(asker.folds.repeats);
        let classes = usize::from(asker.schema.classes);
        // Nested lists go by class and deal, a question's by deal and class.
        let lists: Vec<ScoreList> = (0..repeats)
            .flat_map(|repeat| (0..classes).map(move |class| class * repeats + repeat))
            .map(|at| nested.lists[at].clone())
            .collect();
        let split = vec![column];
        let cells = asker.cells(&split);
        let draws = match study.validation.bootstrap {
            Bootstrap::Off => 0,
            bootstrap @ Bootstrap::Of(_) => bootstrap.draws(),
        };
        let numbers = (repeats * cells * classes * classes).max(1);
        let at_once = u16::try_from((SLICE_NUMBERS / numbers).max(1)).unwrap_or(u16::MAX);
        let (mut patients, mut calls) = (Vec::new(), vec![Vec::new(); repeats]);
        for from in (0..=draws).step_by(usize::from(at_once)) {
            let replicates = [from, (draws + 1).min(from.saturating_add(at_once))];
            let answer = asker
                .ask(Ask::Calls {
                    frame: nested.frame.clone(),
                    models: nested.models.clone(),
                    lists: lists.clone(),
                    split: split.clone(),
                    seed: resample::patients_seed(study.seed),
                    replicates,
                })
                .await?;
            let side = classes * classes;
            let each = counts(&answer, "calls", side)?;
            for (calls, of_repeat) in calls.iter_mut().zip(each.chunks(each.len() / repeats)) {
                calls.extend(of_repeat.chunks(cells).map(<[_]>::to_vec));
            }
            if from == 0 {
                patients = counts(&answer, "patients", side)?;
                patients.truncate(cells);
            }
        }
        Ok(Self { patients, calls })
    }

    /// All cells in one.
    fn added(&self) -> Self {
        let added = |cells: &Vec<Counts>| vec![added(cells)];
        Self {
            patients: added(&self.patients),
            calls: self.calls.iter().map(|deal| deal.iter().map(added).collect()).collect(),
        }
    }

    /// Each cell's table with its figures. `classes`: a name per class code.
    fn tables(&self, classes: &[String]) -> Vec<CallTable> {
        let table = |(cell, patients): (usize, &Counts)| {
            let of_deals: Vec<Counts> =
                self.calls.iter().map(|deal| deal[0][cell].clone()).collect();
            let drawn = self.drawn(cell, classes.len());
            CallTable {
                rows: of_deals[0].clone(),
                patients: patients.clone(),
                figures: figures(classes, &of_deals, &drawn, patients.iter().sum()),
            }
        };
        self.patients.iter().enumerate().map(table).collect()
    }

    /// A cell's figures in replicates, means over deals.
    fn drawn(&self, cell: usize, classes: usize) -> Vec<Drawn> {
        let mut drawn = vec![Drawn::default(); CALLED.len()];
        let deals = self.calls.len() as f64;
        for replicate in 0..self.calls[0].len() {
            let mut means = vec![0.0; CALLED.len()];
            for deal in &self.calls {
                let values = Called::new(classes, &deal[replicate][cell]).values();
                means.iter_mut().zip(values).for_each(|(mean, value)| *mean += value / deals);
            }
            for (drawn, mean) in drawn.iter_mut().zip(means) {
                match replicate {
                    0 => drawn.as_is = mean,
                    _ => drawn.draws.push(mean),
                }
            }
        }
        drawn
    }
}

fn added(cells: &[Counts]) -> Counts {
    let mut sum = vec![0; cells[0].len()];
    for cell in cells {
        sum.iter_mut().zip(cell).for_each(|(sum, count)| *sum += count);
    }
    sum
}

fn counts(answer: &Answer, block: &'static str, side: usize) -> Result<Vec<Counts>, StudyError> {
    let whole = |&n: &i64| {
        u64::try_from(n)
            .map_err(|_| StudyError::Unfit(format!("{n} of '{block}' in a table of calls")))
    };
    let all: Vec<u64> = answer.counts(block).iter().map(whole).collect::<Result<_, _>>()?;
    Ok(all.chunks_exact(side).map(<[u64]>::to_vec).collect())
}
