//! Why a row is set aside, and what keeps a whole site from taking part.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;
use wardround_core::query::MOST_ROW_WEIGHT;

/// Why a row is set aside. The text stays at the site: it may hold values of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The row has another number of cells than the header.
    Ragged {
        /// Its cells.
        cells: usize,
        /// The header's.
        columns: usize,
    },
    /// The same row as one before.
    DuplicateRow {
        /// The line of the first.
        first: u64,
    },
    /// The label's cell is empty.
    NoLabel,
    /// The study doesn't know the label.
    UnknownLabel(String),
    /// The patient key's cell is empty.
    NoPatient,
    /// The exam's cell is empty, where exams are judged.
    NoExam,
    /// The exam is listed for several patients.
    ExamOfSeveralPatients {
        /// The exam.
        exam: String,
        /// Lines of the other patients' rows with it.
        lines: Vec<u64>,
    },
    /// The path's cell is empty.
    NoPath,
    /// The path leads out of the images folder.
    PathLeaves(String),
    /// The image isn't there, or can't be decoded.
    Unreadable(String),
    /// The same image is listed for several patients.
    ImageOfSeveralPatients {
        /// Lines of the other rows with it.
        lines: Vec<u64>,
    },
    /// The same image is listed with several labels.
    ImageWithSeveralLabels {
        /// Lines of the other rows with it.
        lines: Vec<u64>,
    },
    /// The same image of the same patient is listed before.
    DuplicateImage {
        /// The line of the first.
        first: u64,
    },
    /// A cell that should be a number.
    NotANumber {
        /// The study's column.
        column: String,
        /// The cell.
        value: String,
    },
    /// A cell that should say how much the row counts.
    NotAWeight {
        /// The study's column.
        column: String,
        /// The cell.
        value: String,
    },
    /// A cell that should be one of a column's listed values.
    UnknownCategory {
        /// The study's column.
        column: String,
        /// The cell.
        value: String,
    },
}

impl Reason {
    /// What rows with the same kind of problem have in common, for counting.
    pub fn kind(&self) -> String {
        match self {
            Reason::Ragged { .. } => "another number of cells than the header".to_owned(),
            Reason::DuplicateRow { .. } => "the same row as one before".to_owned(),
            Reason::NoLabel => "no label".to_owned(),
            Reason::UnknownLabel(label) => format!("the study doesn't know the label '{label}'"),
            Reason::NoPatient => "no patient key".to_owned(),
            Reason::NoExam => "no exam".to_owned(),
            Reason::ExamOfSeveralPatients { .. } => "the same exam for several patients".to_owned(),
            Reason::NoPath => "no image path".to_owned(),
            Reason::PathLeaves(_) => "the path leads out of the images folder".to_owned(),
            Reason::Unreadable(_) => "unreadable image".to_owned(),
            Reason::ImageOfSeveralPatients { .. } => {
                "the same image for several patients".to_owned()
            }
            Reason::ImageWithSeveralLabels { .. } => {
                "the same image with several labels".to_owned()
            }
            Reason::DuplicateImage { .. } => "the same image as in a row before".to_owned(),
            Reason::NotANumber { column, .. } => format!("{column} isn't a number"),
            Reason::NotAWeight { column, .. } => {
                format!("{column} isn't a weight from 0 to {MOST_ROW_WEIGHT}")
            }
            Reason::UnknownCategory { column, value } => {
                format!("the study doesn't know '{value}' of {column}")
            }
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Reason::Ragged { cells, columns } => {
                write!(f, "{cells} cells, the header has {columns}")
            }
            Reason::DuplicateRow { first } | Reason::DuplicateImage { first } => {
                write!(f, "{kind} (line {first})")
            }
            Reason::PathLeaves(path) => write!(f, "{kind}: '{path}'"),
            Reason::Unreadable(why) => write!(f, "{kind}: {why}"),
            Reason::ImageOfSeveralPatients { lines } | Reason::ImageWithSeveralLabels { lines } => {
                write!(f, "{kind} ({})", numbers(lines))
            }
            Reason::ExamOfSeveralPatients { exam, lines } => {
                write!(f, "{kind}: '{exam}' ({})", numbers(lines))
            }
            Reason::NotANumber { value, .. } | Reason::NotAWeight { value, .. } => {
                write!(f, "{kind}: '{value}'")
            }
            _ => f.write_str(&kind),
        }
    }
}

/// What keeps a site from taking part, whatever its rows are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// The manifest lacks a column that the study names.
    #[error(
        "the manifest has no column '{header}', which the study needs {purpose}; {hint}\
         map it in site.toml: [columns] \"{column}\" = \"...\""
    )]
    MissingColumn {
        /// The study's name of it.
        column: String,
        /// The name looked for in the manifest.
        header: String,
        /// What it is needed for.
        purpose: String,
        /// The nearest column, as a question; empty when none is near.
        hint: String,
    },
    /// The images folder isn't there: perhaps a share that isn't mounted.
    #[error("the images folder {path} isn't there; is its share mounted?", path = path.display())]
    NoImagesFolder {
        /// The folder.
        path: PathBuf,
    },
}

/// Lines as text: `line 3`, `lines 3, 4`; the first 20 of them.
pub(super) fn numbers(lines: &[u64]) -> String {
    let shown: Vec<String> = lines.iter().take(20).map(u64::to_string).collect();
    let word = if lines.len() == 1 { "line" } else { "lines" };
    match lines.len() {
        0..=20 => format!("{word} {}", shown.join(", ")),
        more => format!("{word} {} and {} more", shown.join(", "), more - 20),
    }
}
