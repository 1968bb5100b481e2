//! How far two readers agree: their cross tables by site, then how much patients move kappa.

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Ask, Column, Labelling, Schema};
use wardround_core::study::{SecondReader, Study};

use super::asker::{Answer, Asker};
use super::error::StudyError;
use super::event::{Observer, StudyEvent};
use crate::cohort::Cohort;
use crate::findings::{Figure, Findings, Interval, ReaderTable, ReaderTables, Readers};
use crate::metrics::Undefined;
use crate::metrics::agreement::CrossTable;

/// Binary places of the squares: a patient moves kappa by some units at most per row.
const BITS: u8 = 24;

/// Asks, where the study has a second reader, and adds it to the findings.
pub(super) async fn ask<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    (sites, schema): (&[SiteId], &Schema),
    observer: &dyn Observer,
    findings: &mut Findings,
) -> Result<(), StudyError> {
    if study.target.second_reader == SecondReader::None {
        return Ok(());
    }
    observer.event(&StudyEvent::Phase { name: "agreement of readers", models: 0 });
    let mut asker = Asker::new(cohort, observer, id, sites, schema, study.fold_plan());
    (asker.queries, asker.answered) = (findings.cost.queries, findings.cost.queries);
    let [of_cell, side] = schema.reader_tables();
    let of = |split: &[Column], influences: &[Vec<f64>], bits| Ask::Agreement {
        split: split.to_vec(),
        influences: influences.to_vec(),
        bits,
    };
    let by_site = asker.ask(of(&[Column::Site], &[], BITS)).await?;
    let tables = counts(&by_site, side, "read")?;
    let patients = counts(&by_site, side, "patients")?;
    let all = added(&tables, of_cell);
    let all_patients = added(&patients, of_cell);
    let influences = |tables: &[Vec<u64>]| -> Vec<Vec<f64>> {
        // What has no kappa has no interval either.
        let of_table = |table: &Vec<u64>| {
            CrossTable::new(side, table).influences().unwrap_or_else(|_| vec![0.0; side * side])
        };
        tables.iter().map(of_table).collect()
    };
    let (of_all, of_each) = (influences(&all), influences(&tables));
    // Where readers hardly differ a row moves kappa by much.
    let squares = asker.ask_at(BITS, 0, |bits| of(&[], &of_all, bits)).await?.values("squares");
    let of_sites = asker.ask_at(BITS, 0, |bits| of(&[Column::Site], &of_each, bits)).await?;
    let of_sites = of_sites.values("squares");
    let classes = study.target.classes.names();
    let names = |table: usize| match schema.labelling {
        Labelling::Single => classes.clone(),
        Labelling::Multi => vec![format!("not {}", classes[table]), classes[table].clone()],
    };
    let of_label = |label: usize| ReaderTables {
        classes: names(label),
        all: reader_table(side, &all[label], &all_patients[label], squares[label]),
        by_site: (0..sites.len())
            .map(|site| site * of_cell + label)
            .map(|at| reader_table(side, &tables[at], &patients[at], of_sites[at]))
            .collect(),
    };
    findings.readers = Readers::Asked { tables: (0..of_cell).map(of_label).collect() };
    findings.cost.queries = asker.queries;
    Ok(())
}

fn counts(answer: &Answer, side: usize, block: &'static str) -> Result<Vec<Vec<u64>>, StudyError> {
    let whole = |&n: &i64| {
        u64::try_from(n)
            .map_err(|_| StudyError::Unfit(format!("{n} of '{block}' in a cross table")))
    };
    let all: Vec<u64> = answer.counts(block).iter().map(whole).collect::<Result<_, _>>()?;
    Ok(all.chunks_exact(side * side).map(<[u64]>::to_vec).collect())
}

/// Tables of sites added up, label by label.
fn added(tables: &[Vec<u64>], of_cell: usize) -> Vec<Vec<u64>> {
    let of_label = |label: usize| {
        let mut sum = vec![0; tables[label].len()];
        for table in tables.iter().skip(label).step_by(of_cell) {
            sum.iter_mut().zip(table).for_each(|(sum, count)| *sum += count);
        }
        sum
    };
    (0..of_cell).map(of_label).collect()
}

fn reader_table(side: usize, rows: &[u64], patients: &[u64], squares: f64) -> ReaderTable {
    let table = CrossTable::new(side, rows);
    let figure = |value: Result<f64, Undefined>, interval| match value {
        Ok(value) => Figure::Known { value, interval },
        Err(why) => Figure::Undefined { reason: why.to_string() },
    };
    let interval = match table.interval(squares) {
        Ok([low, high]) => Interval::Between { low, high },
        Err(_) => Interval::NotComputed,
    };
    ReaderTable {
        rows: rows.to_vec(),
        patients: patients.to_vec(),
        agreement: figure(table.agreement(), Interval::NotComputed),
        kappa: figure(table.kappa(), interval),
    }
}
