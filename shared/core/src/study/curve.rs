//! Whether a study asks what more patients would be worth.

use serde::Serialize;

/// Whether the chosen model is fitted to parts of its training patients as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LearningCurve {
    /// No.
    #[default]
    Off,
    /// Yes, to about a quarter, a half and three quarters of them: whole folds of those that an outer fold's model is fitted to.
    On,
}

impl LearningCurve {
    /// Whether it is off; then a study's description doesn't mention it.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }

    /// How many of a study's `folds` folds a point of the curve is fitted to, ascending, the last one to all that
    /// aren't judged.
    pub fn sizes(folds: u8) -> Vec<u8> {
        let most = folds.saturating_sub(1);
        let of_share = |share: f64| ((share * f64::from(most)).round() as u8).max(1);
        let mut sizes: Vec<u8> = [0.25, 0.5, 0.75, 1.0].map(of_share).to_vec();
        sizes.dedup();
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::LearningCurve;

    #[test]
    fn a_curve_has_quarters_where_folds_allow_it() {
        assert_eq!(LearningCurve::sizes(5), [1, 2, 3, 4]);
        assert_eq!(LearningCurve::sizes(9), [2, 4, 6, 8]);
        assert_eq!(LearningCurve::sizes(10), [2, 5, 7, 9]);
        assert_eq!(LearningCurve::sizes(3), [1, 2]);
        assert_eq!(LearningCurve::sizes(4), [1, 2, 3]);
        assert_eq!(LearningCurve::sizes(2), [1]);
    }
}
