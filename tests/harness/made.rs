//! Made-up tables with a known structure, the same at every run.

use std::fmt::Write as _;

use wardround_core::seed::Seed;

/// Feature columns of a made-up table.
pub const FEATURES: usize = 4;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// The patient's key, with leading zeros.
    pub patient: String,
    /// 0 or 1.
    pub label: u8,
    /// "female" or "male".
    pub sex: &'static str,
    /// Years.
    pub age: u8,
    /// The features, with three decimals.
    pub features: [f64; FEATURES],
}

/// Rows of a site: every fourth patient has two. The label follows the features, and sites differ in
/// where their features lie.
pub fn lines(site: &str, patients: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for at in 0..patients {
        let draw = |what: &str, row: usize| {
            Seed(7).uniform(what, &[site.as_bytes(), &at.to_le_bytes(), &row.to_le_bytes()])
        };
        let shift = 0.3 * (site.len() % 3) as f64;
        for row in 0..if at % 4 == 0 { 2 } else { 1 } {
            let mut features = [0.0; FEATURES];
            for (k, feature) in features.iter_mut().enumerate() {
                let spread = 2.0 * draw(&format!("x{k}"), row) - 1.0;
                *feature = (1000.0 * (shift + spread * (k + 1) as f64)).round() / 1000.0;
            }
            let slope = features[0] - 0.4 * features[1] + 0.2 * features[3];
            let noise = 2.0 * draw("noise", 0) - 1.0;
            lines.push(Line {
                patient: format!("{:04}", at + 1),
                label: u8::from(slope + noise > 0.2),
                sex: if draw("sex", 0) < 0.5 { "female" } else { "male" },
                age: 30 + (50.0 * draw("age", 0)) as u8,
                features,
            });
        }
    }
    lines
}

/// As a manifest.
pub fn csv(lines: &[Line]) -> String {
    let mut text = "patient_id,label,sex,age".to_owned();
    (1..=FEATURES).for_each(|k| {
        let _ = write!(text, ",x{k}");
    });
    text.push('\n');
    for line in lines {
        let _ = write!(text, "{},{},{},{}", line.patient, line.label, line.sex, line.age);
        line.features.iter().for_each(|x| {
            let _ = write!(text, ",{x}");
        });
        text.push('\n');
    }
    text
}

/// A study of such tables.
#[derive(Debug, Clone, Copy)]
pub struct MadeStudy {
    /// Line of the `[federation]` table.
    pub federation: &'static str,
    /// Whether every site is left out once.
    pub leave_one_site_out: bool,
    /// What is under `[classifier]`.
    pub classifier: &'static str,
}

impl Default for MadeStudy {
    fn default() -> Self {
        Self {
            federation: "on_site_lost = \"wait\"",
            leave_one_site_out: false,
            classifier: "kind = \"logistic\"\nc = [0.1, 1.0]\nstandardise = [\"all\"]",
        }
    }
}

impl MadeStudy {
    /// As a study file.
    pub fn toml(&self) -> String {
        let Self { federation, leave_one_site_out, classifier } = self;
        let numeric: Vec<String> = (1..=FEATURES).map(|k| format!("\"x{k}\"")).collect();
        format!(
            "format = 1\nname = \"Made-up table\"\nseed = 11\n\
             [target]\ncolumn = \"label\"\npositive = [1]\nnegative = [0]\n\
             [patient]\nkey = \"patient_id\"\n\
             [subgroups.sex]\nvalues = [\"female\", \"male\"]\n\
             [subgroups.age]\nbands = [0, 50, 65]\n\
             [table]\nnumeric = [{}]\nmissing = \"drop\"\n\
             [classifier]\n{classifier}\n\
             [validation]\nfolds = 5\nleave_one_site_out = {leave_one_site_out}\n\
             [federation]\n{federation}\n",
            numeric.join(", ")
        )
    }
}
