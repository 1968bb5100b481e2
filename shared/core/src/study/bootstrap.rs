//! How often a study draws its patients again, to say how sure its figures are.

use serde::{Deserialize, Serialize};

use crate::query::MOST_REPLICATES;

/// Whether figures get intervals from draws of the patients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// They don't, but for those that follow from sums: AUC, sensitivity and specificity.
    Off,
    /// So many draws, [`Bootstrap::FEWEST`] to [`MOST_REPLICATES`].
    Of(u16),
}

impl Bootstrap {
    /// With fewer the ends of a 95 % interval rest on two or three draws.
    pub const FEWEST: u16 = 100;

    /// As many as the ends of intervals need to be steady in the second digit.
    pub const USUAL: Self = Self::Of(1000);

    /// Most times that subgroup levels are dealt anew: enough for a 5 % limit.
    const MOST_DEALS: u16 = 500;

    /// Whether it is the usual one.
    pub fn is_usual(&self) -> bool {
        *self == Self::USUAL
    }

    /// Draws of the patients; none where it is off.
    pub fn draws(self) -> u16 {
        match self {
            Self::Off => 0,
            Self::Of(count) => count.min(MOST_REPLICATES),
        }
    }

    /// Times that levels of a subgroup column are dealt anew.
    pub fn deals(self) -> u16 {
        self.draws().min(Self::MOST_DEALS)
    }
}
