//! Who is in the study: counts of patients and rows, by site and subgroup.

use wardround_core::query::{Ask, Column};

use super::asker::Asker;
use super::error::StudyError;
use crate::cohort::Cohort;
use crate::findings::{Profile, ProfileCell};

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
    Ok(patients
        .into_iter()
        .zip(by_class)
        .map(|(patients, (of_patients, of_rows))| ProfileCell {
            patients,
            patients_by_class: of_patients.to_vec(),
            rows_by_class: of_rows.to_vec(),
        })
        .collect())
}

/// Cells of different patients added up.
fn total<'a>(cells: impl IntoIterator<Item = &'a ProfileCell>) -> ProfileCell {
    let mut all = ProfileCell::default();
    for cell in cells {
        all.patients += cell.patients;
        add(&mut all.patients_by_class, &cell.patients_by_class);
        add(&mut all.rows_by_class, &cell.rows_by_class);
    }
    all
}

fn add(to: &mut Vec<u64>, counts: &[u64]) {
    to.resize(counts.len().max(to.len()), 0);
    to.iter_mut().zip(counts).for_each(|(a, b)| *a += b);
}
