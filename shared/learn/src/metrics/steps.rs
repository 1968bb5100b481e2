//! A distribution in steps that each hold some rows at least, from a histogram of a logarithm: what may be told of distances.

use serde::{Deserialize, Serialize};
use wardround_core::query::Bins;

/// Limits, ascending, each with the share of rows below it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Steps {
    /// The limits: exponentials of bins' edges.
    pub limits: Vec<f64>,
    /// The share of rows below each, ascending, above 0 and below 1.
    pub shares: Vec<f64>,
}

/// The first bin's edge below which there is 1 % of the rows, 2 % and so on to 99 %, but for those that would leave fewer than `least` rows
/// in a step, the one beyond the last limit included.
pub fn steps(bins: &Bins, counts: &[u64], least: u64) -> Steps {
    let all: u64 = counts.iter().sum();
    let least = least.max(1);
    let mut steps = Steps::default();
    let (mut below, mut told, mut percent) = (0, 0, 1);
    for (bin, count) in counts.iter().enumerate() {
        below += count;
        if percent > 99
            || 100 * below < percent * all
            || below < told + least
            || all - below < least
        {
            continue;
        }
        told = below;
        percent = 100 * below / all + 1;
        steps.limits.push(libm::exp(bins.lower_edge(bin + 1)));
        steps.shares.push(below as f64 / all as f64);
    }
    steps
}

impl Steps {
    /// The share of rows that are known to lie below a value: that of the last limit that it reaches.
    pub fn share_below(&self, value: f64) -> f64 {
        let reached = self.limits.partition_point(|limit| *limit <= value);
        reached.checked_sub(1).map_or(0.0, |at| self.shares[at])
    }

    /// The last limit with its share; nothing where there are too few rows for any.
    pub fn last(&self) -> Option<(f64, f64)> {
        Some((*self.limits.last()?, *self.shares.last()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: Bins = Bins { half_width: 4.0, count: 8 };

    #[test]
    fn steps_hold_enough_rows_on_both_sides() {
        let found = steps(&BINS, &[0, 100, 2, 100, 300, 400, 94, 4], 5);
        // Edges at -2, 0, 1, 2; 2 rows more make no step, and 4 rows beyond the last edge are too few.
        let limits: Vec<f64> = [-2.0, 0.0, 1.0, 2.0].map(libm::exp).into();
        assert_eq!(found.limits, limits);
        assert_eq!(found.shares, [0.1, 0.202, 0.502, 0.902]);
        assert_eq!(found.last(), Some((libm::exp(2.0), 0.902)));
        let share = |value: f64| found.share_below(value);
        assert_eq!([share(0.1), share(1.0), share(2.0), share(100.0)], [0.0, 0.202, 0.202, 0.902]);
    }

    #[test]
    fn the_last_step_is_the_last_percent_where_that_is_enough() {
        let bins = Bins { half_width: 5.0, count: 1000 };
        let found = steps(&bins, &[10; 1000], 10);
        assert_eq!(found.limits.len(), 99);
        assert_eq!(found.shares[98], 0.99);
        assert_eq!(found.limits[98], libm::exp(bins.lower_edge(990)));
        assert_eq!(steps(&bins, &[10; 1000], 250).shares.last(), Some(&0.975));
    }

    #[test]
    fn too_few_rows_have_no_steps() {
        assert_eq!(steps(&BINS, &[0; 8], 5), Steps::default());
        assert_eq!(steps(&BINS, &[0, 4, 5, 0, 0, 0, 0, 0], 5).last(), None);
        assert_eq!(Steps::default().share_below(3.0), 0.0);
    }
}
