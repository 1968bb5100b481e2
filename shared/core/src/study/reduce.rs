//! Feature reduction: fewer columns before a classifier sees them, fitted on training rows alone and
//! for every training set by itself.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most features that a reduction may keep.
pub const MOST_KEPT: u32 = 4096;

/// How features are reduced before a classifier sees them. A file spells it `none`, `pca:64`,
/// `variance:128` or `univariate:128`. Where there are fewer features than are to be kept, all are.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub enum Reduction {
    /// Not at all.
    #[default]
    None,
    /// So many first principal components of the standardised features, as scikit-learn's `PCA` after
    /// a `StandardScaler`; not whitened.
    Pca(u32),
    /// So many features of the largest variance, in their own units; ties by lower index.
    Variance(u32),
    /// So many features of the largest F of an analysis of variance between the model's class and all
    /// others, as scikit-learn's `SelectKBest(f_classif)`; ties by lower index.
    Univariate(u32),
}

impl Reduction {
    /// Reads what a file spells.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "it must be \"none\", or \"pca\", \"variance\" or \"univariate\" with how many are \
                 kept, 1 to {MOST_KEPT}: \"pca:64\""
            )
        };
        if text == "none" {
            return Ok(Self::None);
        }
        let (kind, count) = text.split_once(':').ok_or_else(expected)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        let count = count.parse().ok().filter(|count| digits && (1..=MOST_KEPT).contains(count));
        match (kind, count) {
            ("pca", Some(count)) => Ok(Self::Pca(count)),
            ("variance", Some(count)) => Ok(Self::Variance(count)),
            ("univariate", Some(count)) => Ok(Self::Univariate(count)),
            _ => Err(expected()),
        }
    }

    /// Whether features stay as they are.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }

    /// How many columns are left of so many features.
    pub fn kept_of(&self, features: u32) -> u32 {
        match *self {
            Self::None => features,
            Self::Pca(count) | Self::Variance(count) | Self::Univariate(count) => {
                count.min(features)
            }
        }
    }

    /// In words for people: `64 principal components`.
    pub fn text(&self) -> String {
        match self {
            Self::None => "all".to_owned(),
            Self::Pca(count) => format!("{count} principal components"),
            Self::Variance(count) => format!("{count} of largest variance"),
            Self::Univariate(count) => format!("{count} of largest F"),
        }
    }
}

impl fmt::Display for Reduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Pca(count) => write!(f, "pca:{count}"),
            Self::Variance(count) => write!(f, "variance:{count}"),
            Self::Univariate(count) => write!(f, "univariate:{count}"),
        }
    }
}

impl From<Reduction> for String {
    fn from(reduction: Reduction) -> Self {
        reduction.to_string()
    }
}

impl TryFrom<String> for Reduction {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|expected| format!("\"{text}\" is no reduction: {expected}"))
    }
}

/// Whether a grid reduces nothing; such a grid is written without it.
pub(super) fn reduces_nothing(grid: &[Reduction]) -> bool {
    grid.iter().all(Reduction::is_none)
}

/// The grid that reduces nothing.
pub(super) fn unreduced() -> Vec<Reduction> {
    vec![Reduction::None]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_reading_agree() {
        for text in ["none", "pca:1", "variance:4096", "univariate:128"] {
            assert_eq!(Reduction::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "pca", "pca:", "pca:0", "pca:4097", "pca:+3", "pca: 3", "ica:3", "None"] {
            assert!(Reduction::parse(text).is_err(), "{text}");
        }
        assert_eq!(Reduction::Pca(64).kept_of(13), 13);
        assert_eq!(Reduction::None.kept_of(13), 13);
    }
}
