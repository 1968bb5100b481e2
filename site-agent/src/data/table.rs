//! Features of a table study: numbers and one-hot categories from a row's cells.

use wardround_core::study::{Missing, Table};

use super::reason::Reason;

/// Texts that stand for a missing value, besides the empty cell; case doesn't matter.
const MISSING: &[&str] = &["na", "n/a", "nan", "null", "?"];

/// A row of features.
#[derive(Debug, PartialEq)]
pub(crate) struct TableRow {
    /// The features in the order of [`Table::feature_names`], NaN where a value is missing.
    pub features: Vec<f64>,
    /// The study's columns without a value.
    pub missing: Vec<String>,
}

/// Reads a row. `numeric` and `categorical` hold the cell of each of the table's columns.
///
/// # Errors
/// Every cell that is no number, or no listed value.
pub(crate) fn read(
    table: &Table,
    numeric: &[&str],
    categorical: &[&str],
) -> Result<TableRow, Vec<Reason>> {
    let (mut features, mut missing, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    let mut absent = Vec::new();
    for (column, cell) in table.numeric.iter().zip(numeric) {
        let number = number(cell);
        if number.is_none() && !is_missing(cell) {
            wrong.push(Reason::NotANumber { column: column.clone(), value: (*cell).to_owned() });
        }
        if number.is_none() {
            missing.push(column.clone());
        }
        absent.push(number.is_none());
        features.push(number.unwrap_or(f64::NAN));
    }
    for (categories, cell) in table.categorical.iter().zip(categorical) {
        let (column, values) = (&categories.column, &categories.values);
        let found = values.iter().position(|value| same(value, cell));
        let is_missing = found.is_none() && is_missing(cell);
        if found.is_none() && !is_missing {
            let (column, value) = (column.clone(), (*cell).to_owned());
            wrong.push(Reason::UnknownCategory { column, value });
        }
        if is_missing {
            missing.push(column.clone());
        }
        absent.push(is_missing);
        features.extend((0..values.len()).map(|at| match found {
            Some(found) => f64::from(u8::from(found == at)),
            None => f64::NAN,
        }));
    }
    if table.missing == Missing::Impute {
        features.extend(absent.into_iter().map(|absent| f64::from(u8::from(absent))));
    }
    if wrong.is_empty() { Ok(TableRow { features, missing }) } else { Err(wrong) }
}

/// Whether a cell is a listed value; numbers compare as numbers, so `1` is also `1.0`.
fn same(value: &str, cell: &str) -> bool {
    value == cell || number(value).zip(number(cell)).is_some_and(|(a, b)| a == b)
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

fn is_missing(cell: &str) -> bool {
    cell.is_empty() || MISSING.iter().any(|missing| cell.eq_ignore_ascii_case(missing))
}

#[cfg(test)]
mod tests {
    use wardround_core::study::Categorical;

    use super::*;

    fn table(missing: Missing) -> Table {
        let values = |values: &[&str]| values.iter().map(|v| (*v).to_owned()).collect();
        Table {
            numeric: values(&["age", "chol"]),
            categorical: vec![
                Categorical { column: "cp".into(), values: values(&["1", "2.0"]) },
                Categorical { column: "mood".into(), values: values(&["NA", "good"]) },
            ],
            missing,
        }
    }

    #[test]
    fn a_complete_row_is_numbers_and_one_hot() {
        for missing in [Missing::Drop, Missing::Impute] {
            let table = table(missing);
            // A listed value wins over being a word for 'missing'.
            let row = read(&table, &["63.0", "-1e2"], &["2", "NA"]).unwrap();
            let mut expected = vec![63.0, -100.0, 0.0, 1.0, 1.0, 0.0];
            if missing == Missing::Impute {
                expected.extend([0.0; 4]);
            }
            assert_eq!(row, TableRow { features: expected, missing: vec![] });
            assert_eq!(row.features.len(), table.feature_names().len());
        }
    }

    #[test]
    fn missing_values_are_nan_and_have_an_indicator() {
        let table = table(Missing::Impute);
        let row = read(&table, &["", "nan"], &["1.0", "?"]).unwrap();
        assert_eq!(row.missing, ["age", "chol", "mood"]);
        assert!(row.features[0].is_nan() && row.features[1].is_nan());
        assert_eq!(row.features[2..4], [1.0, 0.0]);
        assert!(row.features[4].is_nan() && row.features[5].is_nan());
        let names = table.feature_names();
        let indicators: Vec<&str> =
            (6..10).filter(|&at| row.features[at] == 1.0).map(|at| names[at].as_str()).collect();
        assert_eq!(indicators, ["age is missing", "chol is missing", "mood is missing"]);
    }

    #[test]
    fn every_wrong_cell_is_named() {
        let found = read(&table(Missing::Drop), &["old", "inf"], &["3", "bad"]).unwrap_err();
        let texts: Vec<String> = found.iter().map(Reason::to_string).collect();
        let expected = [
            "age isn't a number: 'old'",
            "chol isn't a number: 'inf'",
            "the study doesn't know '3' of cp",
            "the study doesn't know 'bad' of mood",
        ];
        assert_eq!(texts, expected);
    }
}
