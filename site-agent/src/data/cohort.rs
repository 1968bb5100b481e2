//! The rows of a site that take part in a study.

use std::path::PathBuf;

use serde::Serialize;
use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;

use super::reason::{Obstacle, Reason};

/// A site's rows for a study, complete and without problems. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Cohort {
    /// Who issued the patient keys.
    pub issuer: String,
    /// The rows, in the manifest's order.
    pub rows: Vec<CohortRow>,
    /// Rows with problems.
    pub set_aside: Vec<SetAside>,
    /// Rows left out for missing values, as the study says.
    pub incomplete: Vec<Incomplete>,
    /// What may be wrong, though no row is.
    pub warnings: Vec<String>,
    /// How many rows didn't pass the study's filters.
    pub filtered_out: usize,
}

/// A row of a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct CohortRow {
    /// Its line in the manifest.
    pub line: u64,
    /// The patient key, as text.
    pub patient: String,
    /// Which exam it is of; empty where the study doesn't judge exams.
    pub exam: String,
    /// Its classes, at least one.
    pub classes: ClassSet,
    /// What a second reader said; no class where that is nothing.
    pub second: ClassSet,
    /// How much it counts in fits; 1 where all count the same.
    pub weight: f64,
    /// The level of each of the study's subgroups.
    pub levels: Vec<u8>,
    /// Where its features come from.
    pub input: RowInput,
}

/// Where a row's features come from.
#[derive(Debug, Clone, PartialEq)]
pub enum RowInput {
    /// An image.
    Image {
        /// The file.
        path: PathBuf,
        /// SHA-256 of its bytes.
        digest: Digest,
    },
    /// The manifest itself: the study's table features in its order, NaN where a value is missing.
    Table(Vec<f64>),
}

/// A row with problems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its line in the manifest.
    pub line: u64,
    /// Its patient key, empty when it has none.
    pub patient: String,
    /// Everything that is wrong with it.
    pub reasons: Vec<Reason>,
}

/// A row that lacks values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// Its line in the manifest.
    pub line: u64,
    /// Its patient key.
    pub patient: String,
    /// The study's columns that have no value.
    pub columns: Vec<String>,
    /// Its level of each subgroup.
    pub levels: Vec<u8>,
}

/// Why a site's data can't answer a study.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// The whole site lacks something.
    #[error("{}", list(.0))]
    Obstacles(Vec<Obstacle>),
    /// Too many rows have problems.
    #[error(
        "{problems} of {rows} rows have problems ({percent:.1} %, the site's file allows {allowed:.1} %); \
         the first, line {line}: {first}; `wardround-site check` lists all"
    )]
    TooManyProblems {
        /// Rows with problems.
        problems: usize,
        /// Rows that passed the filters.
        rows: usize,
        /// The share of problems, in percent.
        percent: f64,
        /// `problem_share` of the site's file, in percent.
        allowed: f64,
        /// The first row with a problem.
        line: u64,
        /// Its problem.
        first: String,
    },
    /// No row is left.
    #[error(
        "no row is left: of {lines} rows {filtered_out} don't pass the study's filters, \
             {problems} have problems, {incomplete} lack values"
    )]
    Empty {
        /// Rows of the manifest.
        lines: usize,
        /// Rows that didn't pass the filters.
        filtered_out: usize,
        /// Rows with problems.
        problems: usize,
        /// Rows left out for missing values.
        incomplete: usize,
    },
}

fn list(obstacles: &[Obstacle]) -> String {
    obstacles.iter().map(Obstacle::to_string).collect::<Vec<_>>().join("\n")
}
