//! What a manifest's columns seem to mean.

use super::{Header, HeaderColumn};

/// Names of columns that hold a label, the likeliest first.
const TARGETS: &[&str] = &[
    "target",
    "label",
    "diagnosis",
    "class",
    "dx",
    "outcome",
    "finding",
    "disease",
    "y",
    "labels",
    "malignant",
    "status",
];
const PATHS: &[&str] =
    &["path", "image", "file", "filename", "image_path", "file_path", "filepath"];
const KEYS: &[&str] =
    &["patient_id", "patient", "subject_id", "subject", "patientid", "mrn", "pid"];
const SEXES: &[&str] = &["sex", "gender"];
const AGES: &[&str] = &["age", "age_years", "patient_age"];
/// Which hospital or split a row belongs to: never a feature.
const PLACES: &[&str] = &["site", "hospital", "center", "centre", "split", "fold", "dataset"];
/// Labels that usually are the positive ones.
const POSITIVE: &[&str] = &[
    "1",
    "1.0",
    "yes",
    "true",
    "y",
    "positive",
    "pos",
    "abnormal",
    "malignant",
    "melanoma",
    "mel",
    "cancer",
    "disease",
    "diseased",
    "sick",
    "pneumonia",
    "case",
];
const NEGATIVE: &[&str] = &["0", "0.0"];
const MISSING: &[&str] = &["", "unknown", "na", "n/a", "nan", "null", "none", "?"];
/// Most values of a column of labels or categories.
const FEW: usize = 20;

/// The guess.
pub(super) struct Guess {
    pub target: String,
    pub label: Label,
    pub key: Option<String>,
    /// A column that stands in for the key where none is seen.
    pub row_key: String,
    pub unit: String,
    pub sex: Option<(String, Vec<String>)>,
    pub age: Option<String>,
    pub path: Option<String>,
    pub numeric: Vec<String>,
    pub categorical: Vec<(String, Vec<String>)>,
}

/// What is known of the labels.
pub(super) enum Label {
    Seen { positive: Vec<String>, negative: Vec<String> },
    Unseen,
}

impl Guess {
    pub fn of(header: &Header) -> Self {
        let columns: Vec<&HeaderColumn> =
            header.columns.iter().filter(|c| usable(&c.name)).collect();
        let target = target(&columns);
        let rest: Vec<&HeaderColumn> =
            columns.iter().copied().filter(|c| Some(c.name.trim()) != target).collect();
        let path = named(&rest, PATHS);
        let key = named(&rest, KEYS).or_else(|| by_ending(&rest, "_id")).map(name);
        let sex = named(&rest, SEXES);
        let age = named(&rest, AGES);
        let label = columns
            .iter()
            .find(|c| Some(c.name.trim()) == target)
            .map_or(Label::Unseen, |c| label(c));

        let path = path.map(name);
        let row_key = path.clone().unwrap_or_else(|| "row_id".to_owned());
        let (mut numeric, categorical) = features(&rest, key.as_deref());
        // A study needs a feature, and images when the manifest shows no numbers.
        let path = match numeric.is_empty() && categorical.is_empty() && path.is_none() {
            true if rest.is_empty() => Some("path".to_owned()),
            true => {
                let free = rest.iter().map(|c| name(c)).find(|c| Some(c) != key.as_ref());
                numeric.extend(free);
                numeric.is_empty().then(|| "path".to_owned())
            }
            false => path,
        };
        Self {
            target: target.unwrap_or("diagnosis").to_owned(),
            label,
            unit: key.as_deref().map_or_else(|| "row".to_owned(), unit),
            key,
            row_key,
            sex: sex.map(|c| (name(c), sexes(c))),
            age: age.map(name),
            path,
            numeric,
            categorical,
        }
    }
}

/// Whether a study can name the column.
fn usable(name: &str) -> bool {
    let name = name.trim();
    (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

fn name(column: &HeaderColumn) -> String {
    column.name.trim().to_owned()
}

fn is_one_of(text: &str, words: &[&str]) -> bool {
    let text = text.trim().to_lowercase().replace([' ', '-'], "_");
    words.contains(&text.as_str())
}

/// The column whose name comes first in a list of names.
fn named<'h>(columns: &[&'h HeaderColumn], names: &[&str]) -> Option<&'h HeaderColumn> {
    names.iter().find_map(|name| columns.iter().copied().find(|c| is_one_of(&c.name, &[*name])))
}

fn by_ending<'h>(columns: &[&'h HeaderColumn], ending: &str) -> Option<&'h HeaderColumn> {
    columns.iter().copied().find(|c| c.name.trim().to_lowercase().ends_with(ending))
}

/// Values that a study may name, most frequent first.
fn values(column: &HeaderColumn) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    for (value, _) in &column.values {
        let value = value.trim();
        let short = value.chars().count() <= 200 && !value.chars().any(char::is_control);
        if short && !is_one_of(value, MISSING) && !values.iter().any(|v| v == value) {
            values.push(value.to_owned());
        }
    }
    values
}

fn target<'h>(columns: &[&'h HeaderColumn]) -> Option<&'h str> {
    let role = |c: &HeaderColumn| {
        [PATHS, KEYS, SEXES, AGES, PLACES].iter().any(|names| is_one_of(&c.name, names))
            || c.name.trim().to_lowercase().ends_with("_id")
    };
    let few = |c: &HeaderColumn| (2..=FEW).contains(&values(c).len());
    let by_name = TARGETS.iter().find_map(|target| {
        let found = columns.iter().copied().find(|c| is_one_of(&c.name, &[*target]));
        found.filter(|c| c.values.is_empty() || few(c))
    });
    let found = by_name
        .or_else(|| columns.iter().rev().copied().find(|c| few(c) && !role(c)))
        .or_else(|| columns.iter().rev().copied().find(|c| !role(c)));
    found.map(|c| c.name.trim())
}

fn label(column: &HeaderColumn) -> Label {
    let seen: Vec<String> = values(column).into_iter().take(FEW).collect();
    let (mut positive, mut negative): (Vec<String>, Vec<String>) =
        match seen.iter().any(|label| is_one_of(label, NEGATIVE)) {
            true => seen.into_iter().partition(|label| !is_one_of(label, NEGATIVE)),
            false => seen.into_iter().partition(|label| is_one_of(label, POSITIVE)),
        };
    if positive.is_empty() {
        // The rarest one, which stands last.
        positive.extend(negative.pop());
    }
    if negative.is_empty() && positive.len() > 1 {
        negative.push(positive.remove(0));
    }
    positive.sort();
    if positive.is_empty() { Label::Unseen } else { Label::Seen { positive, negative } }
}

fn unit(key: &str) -> String {
    let stem = key.to_lowercase();
    let stem = stem.strip_suffix("_id").unwrap_or(&stem);
    let known = ["lesion", "eye", "breast", "exam", "study", "subject"];
    known.iter().find(|unit| **unit == stem).map_or("patient", |unit| unit).to_owned()
}

fn sexes(column: &HeaderColumn) -> Vec<String> {
    let mut seen: Vec<String> = values(column).into_iter().take(4).collect();
    seen.sort();
    if seen.is_empty() { vec!["female".to_owned(), "male".to_owned()] } else { seen }
}

/// Numeric and categorical columns among those that have no other role.
fn features(
    columns: &[&HeaderColumn],
    key: Option<&str>,
) -> (Vec<String>, Vec<(String, Vec<String>)>) {
    let (mut numeric, mut categorical) = (Vec::new(), Vec::new());
    for column in columns {
        let place = is_one_of(&column.name, PLACES) || is_one_of(&column.name, PATHS);
        let id = column.name.trim().to_lowercase().ends_with("id");
        if place || id || key == Some(column.name.trim()) {
            continue;
        }
        let mut seen = values(column);
        let numbers = seen.iter().all(|value| value.parse::<f64>().is_ok_and(f64::is_finite));
        let name = name(column);
        if numeric.contains(&name) || categorical.iter().any(|(c, _)| *c == name) {
            continue;
        }
        match (numbers, seen.len()) {
            // 0 values: too many to list, or the header alone was read.
            (true, 0..=2) => numeric.push(name),
            (true, 3..=5) => {
                seen.sort_by(|a, b| number(a).total_cmp(&number(b)));
                distinct(&mut seen);
                categorical.push((name, seen));
            }
            (true, _) => numeric.push(name),
            (false, 1..=FEW) => {
                seen.sort();
                distinct(&mut seen);
                categorical.push((name, seen));
            }
            (false, _) => {}
        }
    }
    (numeric, categorical)
}

/// Leaves one of several spellings of a number, such as `1` and `1.0`.
fn distinct(values: &mut Vec<String>) {
    let mut numbers: Vec<f64> = Vec::new();
    values.retain(|value| match value.parse::<f64>() {
        Ok(number) if numbers.contains(&number) => false,
        Ok(number) => {
            numbers.push(number);
            true
        }
        Err(_) => true,
    });
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}
