//! How far two readers of the same rows agree.

use serde::{Deserialize, Serialize};

use super::Figure;

/// Whether a study asks how far two readers agree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Readers {
    /// It doesn't.
    #[default]
    NotAsked,
    /// It does.
    Asked {
        /// One of all classes, or one per label where labels may stand together.
        tables: Vec<ReaderTables>,
    },
}

/// The cross tables of two readers' labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReaderTables {
    /// A name per class of a side, in the tables' order.
    pub classes: Vec<String>,
    /// All sites together.
    pub all: ReaderTable,
    /// Each site.
    pub by_site: Vec<ReaderTable>,
}

/// A cross table of two readers' labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReaderTable {
    /// Rows by the first reader's class and, fastest, the second's.
    pub rows: Vec<u64>,
    /// Patients with such a row.
    pub patients: Vec<u64>,
    /// The share of rows that both gave the same class.
    pub agreement: Figure,
    /// Cohen's kappa; its interval is Fleiss, Cohen and Everitt's, clustered by patient.
    pub kappa: Figure,
}

impl Readers {
    /// Whether the study doesn't ask.
    pub fn is_not_asked(&self) -> bool {
        *self == Self::NotAsked
    }
}
