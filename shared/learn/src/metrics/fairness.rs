//! How far apart a metric is between subgroups: the largest less the smallest (fairlearn's `MetricFrame.difference`), the smallest by
//! the largest (`MetricFrame.ratio`), with an interval, and beside what chance alone would make of it.
//!
//! - The interval holds for all pairs of subgroups at once (Tukey 1953, Kramer 1956; never too short for unequal errors: Hayter, Ann.
//!   Statist. 1984;12:61), so it may be read of the two that turned out to lie furthest apart. Its lower end is the largest lower
//!   end of a pair, its upper end the largest upper end: what contains every pair's difference contains the largest. A percentile
//!   interval of the bootstrap would never hold the truth where subgroups don't differ.
//! - By chance: the same difference when subgroup levels are dealt anew among patients of one site and class. Of six random groups
//!   the largest and the smallest lie well apart; a difference is called a gap beyond 95 % of such deals only.

use statrs::distribution::{Continuous as _, ContinuousCDF as _, Normal};

use super::interval::expit;
use crate::findings::Interval;

/// A metric of a subgroup.
#[derive(Debug, Clone, PartialEq)]
pub struct Level<'a> {
    /// Its value.
    pub value: f64,
    /// Its standard error, if it has one.
    pub error: Option<f64>,
    /// Its value when levels are dealt anew, deal by deal.
    pub dealt: &'a [Option<f64>],
}

/// How far subgroups lie apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// The largest value less the smallest.
    pub difference: f64,
    /// Its interval, for all pairs at once.
    pub interval: Interval,
    /// The smallest value by the largest; none where one is below 0 or all are 0.
    pub ratio: Option<f64>,
    /// Where the smallest is.
    pub lowest: usize,
    /// Where the largest is.
    pub highest: usize,
    /// The difference that one of twenty deals goes beyond, and the share of deals whose difference is as large; none without deals.
    pub chance: Option<Chance>,
}

/// What chance makes of a difference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// 95 % of deals are below.
    pub limit: f64,
    /// Mean over deals.
    pub mean: f64,
    /// Share of deals with a difference as large or larger, the data as they are among them.
    pub p: f64,
}

/// The gap of a metric between at least two subgroups; none of fewer.
pub fn gap(levels: &[Level<'_>]) -> Option<Gap> {
    let (lowest, highest) = ends(levels)?;
    let (low, high) = (levels[lowest].value, levels[highest].value);
    let difference = high - low;
    Some(Gap {
        difference,
        interval: interval(levels, ALPHA),
        ratio: (low >= 0.0 && high > 0.0).then(|| low / high),
        lowest,
        highest,
        chance: chance(&by_deal(levels), difference),
    })
}

/// The larger of the gaps of sensitivity and of specificity, with the smaller of the ratios of sensitivities and of false positive
/// rates: fairlearn's `equalized_odds_difference` and `equalized_odds_ratio`. Both at once, so each interval leaves out half as much;
/// ends come from where the larger one is.
pub fn equalized_odds(one: &[Level<'_>], other: &[Level<'_>]) -> Option<Gap> {
    let (of_one, of_other) = (gap(one)?, gap(other)?);
    let [least, most] = [of_other.highest, of_other.lowest].map(|at| 1.0 - other[at].value);
    let false_alarms = (most > 0.0).then(|| least / most);
    let ratio = of_one.ratio.zip(false_alarms).map(|(a, b)| a.min(b));
    let larger = if of_one.difference >= of_other.difference { of_one } else { of_other };
    let interval = match (interval(one, ALPHA / 2.0), interval(other, ALPHA / 2.0)) {
        (Interval::Between { low: a, high: b }, Interval::Between { low: c, high: d }) => {
            Interval::Between { low: a.max(c), high: b.max(d) }
        }
        _ => Interval::NotComputed,
    };
    let deals: Vec<f64> =
        by_deal(one).into_iter().zip(by_deal(other)).map(|(a, b)| a.max(b)).collect();
    let chance = chance(&deals, larger.difference);
    Some(Gap { interval, chance, ratio, ..larger })
}

/// A level's interval that holds for all levels of a column at once (Šidák 1967: their patients are different ones), of a metric in
/// `range`; on the logit scale where that is from 0 to 1.
pub fn level_interval(value: f64, error: Option<f64>, levels: usize, range: [f64; 2]) -> Interval {
    let Some(error) = error.filter(|error| *error > 0.0) else { return Interval::NotComputed };
    let each = libm::pow(1.0 - ALPHA, 1.0 / levels.max(1) as f64);
    let z = Normal::standard().inverse_cdf(0.5 + each / 2.0);
    if range == [0.0, 1.0] {
        if !(0.0 < value && value < 1.0) {
            return Interval::NotComputed;
        }
        let half = z * error / (value * (1.0 - value));
        return Interval::Between {
            low: expit(logit(value) - half),
            high: expit(logit(value) + half),
        };
    }
    Interval::Between {
        low: (value - z * error).max(range[0]),
        high: (value + z * error).min(range[1]),
    }
}

/// What an interval leaves out.
const ALPHA: f64 = 0.05;

/// Where the smallest and the largest value are, the first of equal ones.
fn ends(levels: &[Level<'_>]) -> Option<(usize, usize)> {
    if levels.len() < 2 {
        return None;
    }
    let mut ends = (0, 0);
    for (at, level) in levels.iter().enumerate() {
        if level.value < levels[ends.0].value {
            ends.0 = at;
        }
        if level.value > levels[ends.1].value {
            ends.1 = at;
        }
    }
    Some(ends)
}

fn interval(levels: &[Level<'_>], alpha: f64) -> Interval {
    let errors: Option<Vec<f64>> = levels.iter().map(|level| level.error).collect();
    let Some(errors) = errors.filter(|errors| errors.iter().all(|error| *error > 0.0)) else {
        return Interval::NotComputed;
    };
    let q = range_quantile(1.0 - alpha, levels.len());
    let (mut low, mut high) = (0.0f64, 0.0f64);
    for a in 0..levels.len() {
        for b in 0..a {
            let apart = (levels[a].value - levels[b].value).abs();
            let half = q * libm::sqrt((errors[a] * errors[a] + errors[b] * errors[b]) / 2.0);
            low = low.max(apart - half);
            high = high.max(apart + half);
        }
    }
    Interval::Between { low, high }
}

/// The largest less the smallest value of each deal in which all levels have one.
fn by_deal(levels: &[Level<'_>]) -> Vec<f64> {
    let deals = levels.iter().map(|level| level.dealt.len()).min().unwrap_or(0);
    let of_deal = |deal: usize| {
        let mut ends = [f64::INFINITY, f64::NEG_INFINITY];
        for level in levels {
            let value = level.dealt[deal]?;
            ends = [ends[0].min(value), ends[1].max(value)];
        }
        Some(ends[1] - ends[0])
    };
    (0..deals).filter_map(of_deal).collect()
}

fn chance(deals: &[f64], difference: f64) -> Option<Chance> {
    if deals.is_empty() {
        return None;
    }
    let mut ascending = deals.to_vec();
    ascending.sort_by(f64::total_cmp);
    // Draws are kept with five decimals.
    let as_large = deals.iter().filter(|deal| **deal >= difference - 1e-5).count();
    Some(Chance {
        // Beyond it lie so few deals that with the data as they are they make up to one of twenty.
        limit: {
            let at = (0.95 * (ascending.len() + 1) as f64).ceil() as usize;
            ascending[at.clamp(1, ascending.len()) - 1]
        },
        mean: deals.iter().sum::<f64>() / deals.len() as f64,
        p: (1 + as_large) as f64 / (1 + deals.len()) as f64,
    })
}

/// A quantile of the range of so many standard normal numbers: the studentized range with infinite degrees of freedom, `k` at least 2.
pub fn range_quantile(share: f64, k: usize) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    // The distribution function rises; halving ends where doubles do.
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high || high - low < 1e-12 {
            return middle;
        }
        if range_distribution(middle, k) < share { low = middle } else { high = middle }
    }
}

/// `P(range <= q) = k int phi(z) (Phi(z + q) - Phi(z))^(k - 1) dz`, by the trapezoid rule, which is as good as exact for what falls off
/// like a normal density.
fn range_distribution(q: f64, k: usize) -> f64 {
    const STEPS: i32 = 400;
    const WIDTH: f64 = 0.05;
    let normal = Normal::standard();
    let at = |step: i32| {
        // The smallest of the numbers is at z; the integrand is centred below 0.
        let z = f64::from(step) * WIDTH - 12.0;
        let between = normal.cdf(z + q) - normal.cdf(z);
        normal.pdf(z) * libm::pow(between, k as f64 - 1.0)
    };
    k as f64 * WIDTH * (0..=STEPS).map(at).sum::<f64>()
}

fn logit(share: f64) -> f64 {
    libm::log(share / (1.0 - share))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.studentized_range.ppf(share, k, inf).
    #[test]
    fn ranges_of_normal_numbers_are_scipys() {
        for (k, at_95, at_975) in [
            (2, 2.771807648699355, 3.1698221361189565),
            (3, 3.314493155398122, 3.682267756830824),
            (6, 4.030092053180576, 4.360906222127101),
            (12, 4.621655471868518, 4.9249926356246725),
        ] {
            assert!((range_quantile(0.95, k) - at_95).abs() < 1e-7);
            assert!((range_quantile(0.975, k) - at_975).abs() < 1e-7);
        }
    }

    fn level(value: f64, error: f64, dealt: &[Option<f64>]) -> Level<'_> {
        Level { value, error: Some(error), dealt }
    }

    #[test]
    fn a_gap_is_between_the_ends_and_holds_for_all_pairs() {
        let [a, b, c] = [[Some(0.7), Some(0.6)], [Some(0.71), Some(0.9)], [Some(0.5), None]];
        let levels = [level(0.8, 0.02, &a), level(0.6, 0.03, &b), level(0.75, 0.2, &c)];
        let found = gap(&levels).unwrap();
        assert_eq!((found.lowest, found.highest), (1, 0));
        assert!((found.difference - 0.2).abs() < 1e-12 && found.ratio == Some(0.6 / 0.8));
        let q = range_quantile(0.95, 3) / 2f64.sqrt();
        let Interval::Between { low, high } = found.interval else { panic!("an interval") };
        assert!((low - (0.2 - q * 0.0013f64.sqrt())).abs() < 1e-9, "of the two sure ones");
        assert!(
            (high - (0.15 + q * 0.0409f64.sqrt())).abs() < 1e-9,
            "of the pair that may lie furthest apart"
        );
        // A deal without a value in a level says nothing.
        let chance = found.chance.unwrap();
        assert!((chance.mean - 0.21).abs() < 1e-12 && (chance.p - 1.0).abs() < 1e-12);
        assert_eq!(gap(&levels[..1]), None);
    }

    #[test]
    fn two_levels_that_are_alike_have_a_gap_of_nothing() {
        let found = gap(&[level(0.7, 0.1, &[]), level(0.7, 0.1, &[])]).unwrap();
        assert_eq!((found.difference, found.chance), (0.0, None));
        assert!(matches!(found.interval, Interval::Between { low: 0.0, .. }));
        let unsure = [Level { value: 0.7, error: None, dealt: &[] }, level(0.8, 0.1, &[])];
        assert_eq!(gap(&unsure).unwrap().interval, Interval::NotComputed);
        let below = gap(&[level(-0.2, 0.1, &[]), level(0.1, 0.1, &[])]).unwrap();
        assert_eq!(below.ratio, None);
    }

    #[test]
    fn odds_are_equal_when_both_rates_are() {
        let dealt = [[Some(0.5), Some(0.6)], [Some(0.4), Some(0.6)]];
        let sensitivity = [level(0.8, 0.01, &dealt[0]), level(0.7, 0.01, &dealt[1])];
        let specificity = [level(0.5, 0.01, &dealt[1]), level(0.9, 0.01, &dealt[0])];
        let found = equalized_odds(&sensitivity, &specificity).unwrap();
        assert!((found.difference - 0.4).abs() < 1e-12);
        assert_eq!((found.lowest, found.highest), (0, 1));
        assert!((found.ratio.unwrap() - 0.2).abs() < 1e-12, "false positive rates of .5 and .1");
        let chance = found.chance.unwrap();
        assert!((chance.mean - 0.05).abs() < 1e-12 && (chance.p - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn intervals_of_levels_hold_for_all_of_them() {
        let of = |levels, range| level_interval(0.8, Some(0.05), levels, range);
        let Interval::Between { low, high } = of(1, [0.0, 1.0]) else { panic!("an interval") };
        let half = 1.959963984540054 * 0.05 / 0.16;
        assert!((low - expit(logit(0.8) - half)).abs() < 1e-9 && high < 0.89);
        let Interval::Between { low, high } = of(4, [-9.0, 9.0]) else { panic!("an interval") };
        // The 99.36 % point of the standard normal distribution: 1 - (1 - .95^(1/4)) / 2.
        assert!((high - low - 0.1 * 2.490915).abs() < 1e-5, "{low} {high}");
        assert_eq!(level_interval(1.0, Some(0.1), 2, [0.0, 1.0]), Interval::NotComputed);
        assert_eq!(level_interval(0.5, None, 2, [0.0, 1.0]), Interval::NotComputed);
    }
}
