//! Who is in a study: patients, rows, and what is judged of them.

use serde::{Deserialize, Serialize};

/// Counts of patients and rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// All sites together.
    pub all: ProfileCell,
    /// One per site.
    pub by_site: Vec<ProfileCell>,
    /// One per subgroup column and level.
    pub by_subgroup: Vec<Vec<ProfileCell>>,
    /// One per site, subgroup column and level.
    pub by_site_and_subgroup: Vec<Vec<Vec<ProfileCell>>>,
}

/// Counts of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProfileCell {
    /// Patients.
    pub patients: u64,
    /// Patients with at least one row of each class; may add up to more than `patients`.
    pub patients_by_class: Vec<u64>,
    /// Rows (images) of each class; of labels that may stand together they add up to more than all rows.
    pub rows_by_class: Vec<u64>,
    /// Rows; 0 where classes exclude each other and findings are of a format that didn't say it.
    #[serde(default)]
    pub all_rows: u64,
    /// What is judged of it, where that isn't its rows.
    #[serde(default, skip_serializing_if = "JudgedCell::is_rows")]
    pub judged: JudgedCell,
}

/// What is judged of a cell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum JudgedCell {
    /// Its rows.
    #[default]
    Rows,
    /// Exams or patients, each with one class and one level of each subgroup.
    Units(UnitCell),
}

/// Counts of exams or patients that are judged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitCell {
    /// Patients with one of them.
    pub patients: u64,
    /// Patients with one of each class.
    pub patients_by_class: Vec<u64>,
    /// Of each class; of labels that may stand together they add up to more than all.
    pub by_class: Vec<u64>,
    /// All.
    pub count: u64,
    /// Their rows.
    pub rows: u64,
    /// Those whose rows differ in class.
    pub mixed: u64,
    /// Patients with one of those.
    pub patients_of_mixed: u64,
}

impl JudgedCell {
    /// Whether its rows are.
    pub fn is_rows(&self) -> bool {
        *self == Self::Rows
    }
}

impl ProfileCell {
    /// Rows of all classes.
    pub fn rows(&self) -> u64 {
        if self.all_rows == 0 { self.rows_by_class.iter().sum() } else { self.all_rows }
    }

    /// Rows of all other classes and of a class.
    pub fn rows_against(&self, class: u8) -> [u64; 2] {
        let positives = self.rows_by_class[usize::from(class)];
        [self.rows().saturating_sub(positives), positives]
    }

    /// What is judged, of all other classes and of a class.
    pub fn judged_against(&self, class: u8) -> [u64; 2] {
        match &self.judged {
            JudgedCell::Rows => self.rows_against(class),
            JudgedCell::Units(units) => {
                let positives = units.by_class[usize::from(class)];
                [units.count.saturating_sub(positives), positives]
            }
        }
    }

    /// Patients with something that is judged.
    pub fn judged_patients(&self) -> u64 {
        match &self.judged {
            JudgedCell::Rows => self.patients,
            JudgedCell::Units(units) => units.patients,
        }
    }

    /// Patients with something that is judged, of each class.
    pub fn judged_patients_by_class(&self) -> &[u64] {
        match &self.judged {
            JudgedCell::Rows => &self.patients_by_class,
            JudgedCell::Units(units) => &units.patients_by_class,
        }
    }
}
