//! Who is in the study: counts of patients and rows, by site and subgroup.

use wardround_core::query::{
    Ask, ClassWeights, Column, Counting, Labelling, MOST_TIMES, RowSet, Schema,
};
use wardround_core::study::Balance;

use super::asker::{Answer, Asker};
use super::error::StudyError;
use crate::cohort::Cohort;
use crate::findings::{JudgedCell, Profile, ProfileCell, UnitCell};

/// Asks for the counts by site, and by site and level of each subgroup column.
pub(crate) async fn profile<C: Cohort>(asker: &mut Asker<'_, C>) -> Result<Profile, StudyError> {
    let by_site = cells(asker, vec![Column::Site]).await?;
    let columns = asker.schema.levels.clone();
    let mut by_subgroup = Vec::new();
    let mut by_site_and_subgroup = vec![Vec::new(); by_site.len()];
    for (column, &levels) in columns.iter().enumerate() {
        let levels = usize::from(levels);
        let split = vec![Column::Site, Column::Subgroup(column as u8)];
        let all = cells(asker, split).await?;
        by_subgroup.push((0..levels).map(|l| total(all.iter().skip(l).step_by(levels))).collect());
        for (site, of_site) in by_site_and_subgroup.iter_mut().zip(all.chunks_exact(levels)) {
            site.push(of_site.to_vec());
        }
    }
    Ok(Profile { all: total(&by_site), by_site, by_subgroup, by_site_and_subgroup })
}

/// Rows by class of every fold of every repeat and every site: what class weights of a training set are
/// made of.
pub(crate) struct FoldCounts {
    folds: usize,
    /// Per repeat, by site and fold.
    repeats: Vec<Vec<ProfileCell>>,
}

/// Asks for them.
pub(crate) async fn fold_counts<C: Cohort>(
    asker: &mut Asker<'_, C>,
) -> Result<FoldCounts, StudyError> {
    let mut repeats = Vec::new();
    for repeat in 0..asker.folds.repeats {
        repeats.push(cells(asker, vec![Column::Site, Column::Fold { repeat }]).await?);
    }
    Ok(FoldCounts { folds: usize::from(asker.folds.folds), repeats })
}

impl FoldCounts {
    /// A training set.
    pub fn of(&self, rows: &RowSet) -> ProfileCell {
        let cells = self.repeats[usize::from(rows.repeat)].chunks_exact(self.folds);
        let of_sites = cells.zip(0..).filter(|(_, site)| rows.sites.contains(*site));
        let chosen =
            of_sites.flat_map(|(folds, _)| rows.folds.iter().map(|fold| &folds[usize::from(fold)]));
        total(chosen)
    }
}

/// The weights of a class's rows and all others that make both weigh the same; of no rows, 1.
fn balanced(positives: u64, total: u64) -> ClassWeights {
    let weight = |count: u64| match count {
        0 => 1.0,
        _ => total as f64 / (2.0 * count as f64),
    };
    ClassWeights::new(weight(total - positives), weight(positives))
}

/// How much rows count in a training set with so many rows of a class.
pub(crate) fn class_weights(balance: Balance, positives: u64, total: u64) -> ClassWeights {
    match balance {
        Balance::None => ClassWeights::EQUAL,
        Balance::Weights => balanced(positives, total),
        Balance::OverSampling => drawn(positives, total, Counting::Drawn),
        Balance::Smote => drawn(positives, total, Counting::Synthetic),
    }
}

/// The smaller of class and rest drawn as often as makes it as large as the other, up to [`MOST_TIMES`].
fn drawn(positives: u64, total: u64, counting: Counting) -> ClassWeights {
    let negatives = total - positives;
    let times = |own: u64, other: u64| match own {
        0 => 1.0,
        _ => (other as f64 / own as f64).clamp(1.0, MOST_TIMES),
    };
    ClassWeights {
        counting,
        ..ClassWeights::new(times(negatives, positives), times(positives, negatives))
    }
}

async fn cells<C: Cohort>(
    asker: &mut Asker<'_, C>,
    split: Vec<Column>,
) -> Result<Vec<ProfileCell>, StudyError> {
    let answer = asker.ask(Ask::Profile { split }).await?;
    let classes = usize::from(asker.schema.classes);
    let count = |block| -> Result<Vec<u64>, StudyError> {
        let whole = |&n: &i64| {
            u64::try_from(n)
                .map_err(|_| StudyError::Unfit(format!("{n} of '{block}' in a profile")))
        };
        answer.counts(block).iter().map(whole).collect()
    };
    let (patients, of_patients, of_rows) =
        (count("patients")?, count("patients_by_class")?, count("rows_by_class")?);
    let by_class = of_patients.chunks_exact(classes).zip(of_rows.chunks_exact(classes));
    let mut cells: Vec<ProfileCell> = patients
        .into_iter()
        .zip(rows(asker.schema, &answer)?)
        .zip(by_class)
        .map(|((patients, all_rows), (of_patients, of_rows))| ProfileCell {
            patients,
            patients_by_class: of_patients.to_vec(),
            rows_by_class: of_rows.to_vec(),
            all_rows,
            judged: JudgedCell::Rows,
        })
        .collect();
    if !asker.schema.judged.is_row() {
        let (patients, units) = (count("judged_patients")?, count("judged")?);
        let (rows, mixed) = (count("judged_rows")?, count("mixed")?);
        let (of_patients, of_units) =
            (count("judged_patients_by_class")?, count("judged_by_class")?);
        for (at, cell) in cells.iter_mut().enumerate() {
            let of_classes = at * classes..(at + 1) * classes;
            cell.judged = JudgedCell::Units(UnitCell {
                patients: patients[at],
                patients_by_class: of_patients[of_classes.clone()].to_vec(),
                by_class: of_units[of_classes].to_vec(),
                count: units[at],
                rows: rows[at],
                mixed: mixed[2 * at],
                patients_of_mixed: mixed[2 * at + 1],
            });
        }
    }
    Ok(cells)
}

/// How many rows each cell of an answer has.
pub(crate) fn rows(schema: &Schema, answer: &Answer) -> Result<Vec<u64>, StudyError> {
    let rows: Vec<i64> = match schema.labelling {
        Labelling::Multi => answer.counts("rows").to_vec(),
        Labelling::Single => answer
            .counts("rows_by_class")
            .chunks_exact(usize::from(schema.classes))
            .map(|of_cell| of_cell.iter().sum())
            .collect(),
    };
    let whole = |&n: &i64| u64::try_from(n);
    let wrong = |_| StudyError::Unfit(format!("rows of {rows:?} in a profile"));
    rows.iter().map(whole).collect::<Result<_, _>>().map_err(wrong)
}

/// Cells of different patients added up.
fn total<'a>(cells: impl IntoIterator<Item = &'a ProfileCell>) -> ProfileCell {
    let mut all = ProfileCell::default();
    for cell in cells {
        all.patients += cell.patients;
        all.all_rows += cell.rows();
        add(&mut all.patients_by_class, &cell.patients_by_class);
        add(&mut all.rows_by_class, &cell.rows_by_class);
        if let JudgedCell::Units(units) = &cell.judged {
            match &mut all.judged {
                JudgedCell::Rows => all.judged = cell.judged.clone(),
                JudgedCell::Units(all) => add_units(all, units),
            }
        }
    }
    all
}

fn add_units(all: &mut UnitCell, units: &UnitCell) {
    all.patients += units.patients;
    all.count += units.count;
    all.rows += units.rows;
    all.mixed += units.mixed;
    all.patients_of_mixed += units.patients_of_mixed;
    add(&mut all.patients_by_class, &units.patients_by_class);
    add(&mut all.by_class, &units.by_class);
}

fn add(to: &mut Vec<u64>, counts: &[u64]) {
    to.resize(counts.len().max(to.len()), 0);
    to.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
}
