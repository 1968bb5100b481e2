//! Made-up patients with many numbers, each of which would be recognised if it left.

use std::fmt::Write as _;

use wardround_core::digest::Digest;
use wardround_core::seed::Seed;

use super::search::Needles;

/// The name of every site's manifest.
pub const FILE: &str = "ward-7-admissions.csv";

/// Feature columns: enough that answers leave in pieces, few enough for Newton's method.
const FEATURES: usize = 48;

/// Patients of a site. Every fourth has two rows.
const PATIENTS: usize = 60;

/// A site's rows.
pub struct Hidden {
    rows: Vec<Row>,
}

struct Row {
    patient: String,
    outcome: u8,
    sex: &'static str,
    /// As they stand in the manifest, with ten decimals.
    features: Vec<String>,
}

impl Hidden {
    /// The rows of a site, the same at every run.
    pub fn draw(site: &str) -> Self {
        let mut rows = Vec::new();
        for at in 0..PATIENTS {
            let draw = |what: &str, row: usize, column: usize| {
                let parts = [site.as_bytes(), &at.to_le_bytes(), &row.to_le_bytes()];
                Seed(3).uniform(what, &[parts.as_slice(), &[&column.to_le_bytes()]].concat())
            };
            let key = Digest::of(format!("{site} {at}").as_bytes());
            for row in 0..if at % 4 == 0 { 2 } else { 1 } {
                let numbers: Vec<f64> =
                    (0..FEATURES).map(|column| 10.0 * draw("feature", row, column)).collect();
                let score = numbers[0] - numbers[1] + 6.0 * draw("noise", 0, 0) - 3.0;
                rows.push(Row {
                    patient: format!("MRN-{}", key.short()),
                    outcome: u8::from(score > 0.0),
                    sex: if draw("sex", 0, 0) < 0.5 { "f" } else { "m" },
                    features: numbers.iter().map(|x| format!("{x:.10}")).collect(),
                });
            }
        }
        Self { rows }
    }

    /// As a manifest.
    pub fn csv(&self) -> String {
        let mut text = format!("patient,outcome,sex,{}\n", columns().join(","));
        for Row { patient, outcome, sex, features } in &self.rows {
            let _ = writeln!(text, "{patient},{outcome},{sex},{}", features.join(","));
        }
        text
    }

    /// Everything of it that must not leave, in every form that is easily made: keys as text and
    /// hashed, the file's name, numbers as text and in binary.
    pub fn needles(&self) -> Needles {
        let mut needles = Needles::new();
        needles.add("the manifest's name", FILE.as_bytes());
        for Row { patient, features, .. } in &self.rows {
            let hash = Digest::of(patient.as_bytes());
            needles.add(format!("patient {patient}"), patient.as_bytes());
            needles.add(format!("patient {patient}, hashed"), &hash.as_bytes()[..16]);
            needles.add(format!("patient {patient}, hashed"), &hash.to_string().as_bytes()[..32]);
            let numbers: Vec<f64> =
                features.iter().map(|text| text.parse().expect("a number's text")).collect();
            for (column, (text, number)) in features.iter().zip(&numbers).enumerate() {
                let what = format!("{patient}'s feature {column}, {text}");
                needles.add(what.clone(), text.as_bytes());
                needles.add(what.clone(), &number.to_le_bytes());
                needles.add(what, &number.to_be_bytes());
            }
            // Four bytes alone would be found by chance.
            for (column, pair) in numbers.windows(2).enumerate() {
                let pair = [(pair[0] as f32).to_le_bytes(), (pair[1] as f32).to_le_bytes()];
                needles.add(format!("{patient}'s features from {column} on"), &pair.concat());
            }
        }
        needles
    }
}

/// A study of such tables.
pub fn study() -> String {
    let columns: Vec<String> = columns().iter().map(|name| format!("\"{name}\"")).collect();
    format!(
        r#"format = 1
name = "Egress"
seed = 5

[target]
column = "outcome"
positive = ["1"]
negative = ["0"]

[patient]
key = "patient"

[subgroups.sex]
values = ["f", "m"]

[table]
numeric = [{}]
missing = "drop"

[classifier]
kind = "logistic"
c = [0.01, 0.1]
standardise = ["all"]

[validation]
folds = 5
leave_one_site_out = true
"#,
        columns.join(", ")
    )
}

fn columns() -> Vec<String> {
    (1..=FEATURES).map(|column| format!("x{column}")).collect()
}
