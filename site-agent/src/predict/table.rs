//! The features of a table's rows, made as the bundle says.

use serde::Deserialize;
use wardround_core::study::{Categorical, Missing, Table};
use wardround_learn::bundle::{BundleInput, ModelBundle};

use super::Subject;
use crate::config::Columns;
use crate::data::{Manifest, Reason, table};

/// Why a table can't be judged at all.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The bundle's models are for images.
    #[error("the bundle's models are for images, not for the rows of a table")]
    Images,
    /// The bundle's description of its table can't be read.
    #[error("the bundle's description of its table can't be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The bundle's description isn't that of its features.
    #[error("the bundle's table makes other features than its models take")]
    OtherFeatures,
    /// Columns are missing.
    #[error("the table lacks columns that the models take: {}", .0.join(", "))]
    Columns(Vec<String>),
}

/// A table as [`Table`] is written into a bundle.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    numeric: Vec<String>,
    categorical: Vec<WrittenCategorical>,
    missing: WrittenMissing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCategorical {
    column: String,
    values: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenMissing {
    Drop,
    Impute,
}

/// The rows of a table as subjects. `columns` says what the manifest calls the bundle's columns; a
/// row is called by its cell in the column `id`, else by its line, and belongs to its cell in the column `unit`.
///
/// # Errors
/// [`TableError`]; a row that can't be used has its own problem.
pub fn rows(
    bundle: &ModelBundle,
    manifest: &Manifest,
    columns: &Columns,
    id: Option<usize>,
    unit: Option<usize>,
) -> Result<Vec<Subject>, TableError> {
    let BundleInput::Table { features, table } = &bundle.manifest.input else {
        return Err(TableError::Images);
    };
    let read = read(table)?;
    if read.feature_names() != *features {
        return Err(TableError::OtherFeatures);
    }
    let mut missing = Vec::new();
    let mut place = |column: &String| {
        let header = columns.header(column);
        let place = manifest.column(header);
        if place.is_none() {
            missing.push(header.to_owned());
        }
        place
    };
    let numeric: Vec<Option<usize>> = read.numeric.iter().map(&mut place).collect();
    let categorical: Vec<Option<usize>> =
        read.categorical.iter().map(|categories| place(&categories.column)).collect();
    if !missing.is_empty() {
        return Err(TableError::Columns(missing));
    }
    let mut subjects: Vec<(u64, Subject)> = Vec::new();
    for line in manifest.lines() {
        let cell = |place: &Option<usize>| {
            place.and_then(|at| line.cells.get(at)).map_or("", String::as_str)
        };
        let cells = |places: &[Option<usize>]| places.iter().map(cell).collect::<Vec<&str>>();
        let features = match table::read(&read, &cells(&numeric), &cells(&categorical)) {
            Ok(row) if row.missing.is_empty() || read.missing == Missing::Impute => {
                Ok(row.features)
            }
            Ok(row) => Err(format!("no value for {}", row.missing.join(", "))),
            Err(reasons) => {
                Err(reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; "))
            }
        };
        let id = match id {
            Some(_) => cell(&id).to_owned(),
            None => named(line.number),
        };
        subjects.push((line.number, Subject { id, features, unit: cell(&unit).to_owned() }));
    }
    let header = manifest.columns().len();
    subjects.extend(manifest.ragged().iter().map(|&(line, cells)| {
        let problem = format!("{cells} cells, the header has {header}");
        (line, Subject { id: named(line), features: Err(problem), unit: String::new() })
    }));
    subjects.sort_by_key(|(line, _)| *line);
    Ok(subjects.into_iter().map(|(_, subject)| subject).collect())
}

fn named(line: u64) -> String {
    format!("line {line}")
}

fn read(table: &serde_json::Value) -> Result<Table, serde_json::Error> {
    let Written { numeric, categorical, missing } = Written::deserialize(table)?;
    let categorical = categorical
        .into_iter()
        .map(|WrittenCategorical { column, values }| Categorical { column, values })
        .collect();
    let missing = match missing {
        WrittenMissing::Drop => Missing::Drop,
        WrittenMissing::Impute => Missing::Impute,
    };
    Ok(Table { numeric, categorical, missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        for missing in [Missing::Drop, Missing::Impute] {
            let table = Table {
                numeric: vec!["age".into()],
                categorical: vec![Categorical { column: "cp".into(), values: vec!["1".into()] }],
                missing,
            };
            assert_eq!(read(&serde_json::to_value(&table).unwrap()).unwrap(), table);
        }
        assert!(read(&serde_json::json!({"numeric": ["age"]})).is_err());
    }
}
