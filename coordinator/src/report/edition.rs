//! Which edition of a report it is: the report itself, or a copy for readers elsewhere, and how the copy says that a
//! digest isn't in it.

use std::fmt;

use serde::{Deserialize, Serialize};
use wardround_core::digest::Digest;

/// The report itself or a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Edition {
    /// As the coordinator made it.
    #[default]
    Original,
    /// A copy for readers outside the consortium: sites have numbers for names.
    PseudonymisedSites,
}

impl Edition {
    /// Whether it is the report itself.
    pub fn is_original(&self) -> bool {
        *self == Self::Original
    }

    /// What a reader has to know of a copy; nothing of the report itself.
    pub fn notice(self) -> Option<&'static str> {
        match self {
            Self::Original => None,
            Self::PseudonymisedSites => Some(
                "Pseudonymised copy: sites have numbers for names, dealt for this study. Devices, and digests of \
                 what names the sites, are left out. Counts stand as they are: who knows how many patients a \
                 hospital has may recognise it.",
            ),
        }
    }
}

/// A digest, or that a copy leaves it out. In JSON 64 hexadecimal digits or `left-out`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShownDigest {
    /// It stands in the report.
    Shown(Digest),
    /// It would help to find out names.
    Not(LeftOut),
}

/// The word for what a copy leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOut {
    /// It isn't in this copy.
    LeftOut,
}

impl ShownDigest {
    /// Not in this copy.
    pub const LEFT_OUT: Self = Self::Not(LeftOut::LeftOut);

    /// The first digits, for people.
    pub fn short(&self) -> String {
        match self {
            Self::Shown(digest) => digest.short(),
            Self::Not(_) => self.to_string(),
        }
    }
}

impl From<Digest> for ShownDigest {
    fn from(digest: Digest) -> Self {
        Self::Shown(digest)
    }
}

impl fmt::Display for ShownDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shown(digest) => digest.fmt(f),
            Self::Not(_) => f.pad("left out"),
        }
    }
}
