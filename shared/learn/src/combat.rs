//! ComBat: a site's shift and scale of each feature, shrunk towards what is usual of its features
//! (Johnson, Li and Rabinovic, "Adjusting batch effects in microarray expression data using empirical
//! Bayes methods", Biostatistics 2007;8:118, sections 3.1 and 3.2, without covariates; for images Fortin
//! et al., NeuroImage 2018;167:104).
//!
//! A value of a site is `mean + deviation (gamma + delta e)`: mean over all sites and deviation within sites
//! are public, `gamma` and `delta` the site's own. Over its features, a site's `gamma` is normal and `delta^2`
//! inverse gamma, both with the moments of its own estimates; what is taken are the posterior means, each
//! given the other, until neither moves. The adjusted value is `e`, whose deviation is 1 on average.
//!
//! Where we depart: values that are missing don't count; a feature that is constant within every site is
//! adjusted to 0, and has no part in what is usual; iteration ends at the limit of precision, where others
//! end at 1e-4.

/// Steps at which an iteration ends, though every one of them is a contraction.
const MOST_STEPS: usize = 10_000;

/// The moments of a site's own rows, of one feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Own {
    /// Rows that have it.
    pub n: f64,
    pub mean: f64,
    /// With n in the denominator.
    pub variance: f64,
}

/// What is usual of a site's features.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Prior {
    /// Mean and variance of shifts.
    mean: f64,
    variance: f64,
    scale: ScalePrior,
}

/// What is usual of squared scales.
#[derive(Debug, Clone, Copy, PartialEq)]
enum ScalePrior {
    /// They all are this.
    Known(f64),
    /// An inverse gamma distribution.
    InverseGamma { shape: f64, rate: f64 },
}

/// What a site's features are adjusted by, `(x - mean) * inverse`: means, then inverses, 0 for a feature that is
/// constant. `mean` and `deviation` are those of all sites.
pub(crate) fn adjust(own: &[Own], mean: &[f64], deviation: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let standardised: Vec<Own> = own
        .iter()
        .zip(mean.iter().zip(deviation))
        .map(|(own, (mean, deviation))| match *deviation > 0.0 && own.n > 0.0 {
            true => Own {
                n: own.n,
                mean: (own.mean - mean) / deviation,
                variance: own.variance / (deviation * deviation),
            },
            false => Own { n: 0.0, mean: 0.0, variance: 0.0 },
        })
        .collect();
    let prior = Prior::of(&standardised);
    let adjusted = standardised.iter().zip(mean.iter().zip(deviation));
    adjusted
        .map(|(own, (&mean, &deviation))| {
            if deviation <= 0.0 {
                return (mean, 0.0);
            }
            let (gamma, delta) = prior.posterior(own);
            let inverse = if delta > 0.0 { 1.0 / (deviation * delta.sqrt()) } else { 0.0 };
            (mean + deviation * gamma, inverse)
        })
        .unzip()
}

impl Own {
    /// The squared scale (n - 1 in the denominator); one row has none. Of a feature that is constant at the site
    /// it counts as 1, as others do it.
    fn scale(&self) -> Option<f64> {
        let scale = self.variance * self.n / (self.n - 1.0);
        (self.n > 1.0).then_some(if scale > 0.0 { scale } else { 1.0 })
    }
}

impl Prior {
    /// The moments of a site's features; without any that are known, every feature is as at all sites.
    fn of(own: &[Own]) -> Self {
        let shifts: Vec<f64> = own.iter().filter(|own| own.n > 0.0).map(|own| own.mean).collect();
        let scales: Vec<f64> = own.iter().filter_map(Own::scale).collect();
        let (mean, variance) = moments(&shifts).unwrap_or((0.0, 0.0));
        let scale = match moments(&scales) {
            None => ScalePrior::Known(1.0),
            Some((mean, variance)) if variance > 0.0 => {
                let square = mean * mean;
                ScalePrior::InverseGamma {
                    shape: (2.0 * variance + square) / variance,
                    rate: (mean * variance + mean * square) / variance,
                }
            }
            Some((mean, _)) => ScalePrior::Known(mean),
        };
        Self { mean, variance, scale }
    }

    /// A feature's shift and squared scale, given its rows.
    fn posterior(&self, own: &Own) -> (f64, f64) {
        let mean_of_prior = match self.scale {
            ScalePrior::Known(scale) => scale,
            ScalePrior::InverseGamma { shape, rate } => rate / (shape - 1.0),
        };
        let (mut shift, mut scale) = (own.mean, own.scale().unwrap_or(mean_of_prior));
        for _ in 0..MOST_STEPS {
            let of_prior = match self.variance * own.n + scale {
                0.0 => 0.0,
                sum => scale / sum,
            };
            let next_shift = own.mean + of_prior * (self.mean - own.mean);
            let off = own.mean - next_shift;
            let next_scale = match self.scale {
                ScalePrior::Known(scale) => scale,
                ScalePrior::InverseGamma { shape, rate } => {
                    let squares = own.n * (own.variance + off * off);
                    (squares / 2.0 + rate) / (own.n / 2.0 + shape - 1.0)
                }
            };
            let stands = |old: f64, new: f64| (new - old).abs() <= 1e-14 * (1.0 + new.abs());
            let ends = stands(shift, next_shift) && stands(scale, next_scale);
            (shift, scale) = (next_shift, next_scale);
            if ends {
                break;
            }
        }
        (shift, scale)
    }
}

/// Mean and variance of some numbers (n - 1 in the denominator; of one number, 0).
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    if values.is_empty() {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    Some((mean, if n > 1.0 { squares / (n - 1.0) } else { 0.0 }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    proptest! {
        #[test]
        fn between_all_sites_and_each_site(
            n in 2.0f64..500.0,
            mean in -3.0f64..3.0,
            variance in 0.01f64..9.0,
        ) {
            let own = Own { n: n.floor(), mean, variance };
            // Knowing nothing beforehand: the site's own mean and deviation.
            let scale = ScalePrior::InverseGamma { shape: 1.0, rate: 0.0 };
            let free = Prior { mean: 0.4, variance: f64::INFINITY, scale };
            let (gamma, delta) = free.posterior(&own);
            prop_assert_eq!(gamma, mean);
            prop_assert!((delta - variance).abs() < 1e-12 * variance);
            // Knowing beforehand that sites don't differ: those of all sites.
            let sure = Prior { mean: 0.0, variance: 0.0, scale: ScalePrior::Known(1.0) };
            prop_assert_eq!(sure.posterior(&own), (0.0, 1.0));
            // Else in between.
            let scale = ScalePrior::InverseGamma { shape: 4.0, rate: 3.0 };
            let (gamma, delta) = Prior { mean: 0.0, variance: 0.5, scale }.posterior(&own);
            prop_assert!(gamma.abs() <= mean.abs() && gamma * mean >= 0.0);
            let squares = variance + (mean - gamma) * (mean - gamma);
            let (low, high) = (squares.min(1.0), squares.max(1.0));
            // Four degrees of freedom of the prior, whose mean is 1.
            let expected = (own.n * squares / 2.0 + 3.0) / (own.n / 2.0 + 3.0);
            prop_assert!((delta - expected).abs() < 1e-12 * (1.0 + expected));
            prop_assert!(low - 1e-12 <= delta && delta <= high + 1e-12);
        }

        #[test]
        fn units_dont_matter(
            own in prop::collection::vec((-2.0f64..2.0, 0.1f64..4.0), 2..20),
            shift in -50.0f64..50.0,
            unit in 0.01f64..100.0,
        ) {
            let of = |(mean, variance): &(f64, f64)| Own { n: 30.0, mean: *mean, variance: *variance };
            let plain: Vec<Own> = own.iter().map(of).collect();
            let (mean, deviation) = (vec![0.3; own.len()], vec![1.2; own.len()]);
            let (means, inverses) = adjust(&plain, &mean, &deviation);
            let other: Vec<Own> = plain
                .iter()
                .map(|own| Own { n: 30.0, mean: shift + unit * own.mean, variance: unit * unit * own.variance })
                .collect();
            let mean = vec![shift + unit * 0.3; own.len()];
            let deviation = vec![unit * 1.2; own.len()];
            let (other_means, other_inverses) = adjust(&other, &mean, &deviation);
            for at in 0..own.len() {
                let expected = shift + unit * means[at];
                prop_assert!((other_means[at] - expected).abs() < 1e-9 * (1.0 + expected.abs()));
                prop_assert!((other_inverses[at] * unit / inverses[at] - 1.0).abs() < 1e-9);
            }
        }
    }

    #[derive(Deserialize)]
    struct Golden {
        features: Features,
    }

    #[derive(Deserialize)]
    struct Features {
        features: Vec<Vec<f64>>,
        site: Vec<usize>,
        adjusted: Vec<Vec<f64>>,
    }

    /// Made by tests/golden/make_combat.py.
    #[test]
    fn adjusted_features_are_those_of_neuro_combat() {
        let golden: Golden =
            serde_json::from_str(include_str!("../tests/golden/combat.json")).unwrap();
        let Features { features, site, adjusted } = golden.features;
        let d = features[0].len();
        let own = |k: usize, of: &dyn Fn(usize) -> bool| {
            let values =
                || (0..site.len()).filter(|&row| of(site[row])).map(|row| features[row][k]);
            let n = values().count() as f64;
            let mean = values().sum::<f64>() / n;
            let variance = values().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
            Own { n, mean, variance }
        };
        let sites = 0..3;
        let mean: Vec<f64> = (0..d).map(|k| own(k, &|_| true).mean).collect();
        let within = |k: usize| -> f64 {
            let of_site = |at| own(k, &|site| site == at);
            sites.clone().map(of_site).map(|own| own.n * own.variance).sum()
        };
        let deviation: Vec<f64> = (0..d).map(|k| (within(k) / site.len() as f64).sqrt()).collect();
        for at in sites.clone() {
            let moments: Vec<Own> = (0..d).map(|k| own(k, &|site| site == at)).collect();
            let (means, inverses) = adjust(&moments, &mean, &deviation);
            for row in (0..site.len()).filter(|&row| site[row] == at) {
                for k in 0..d {
                    let got = (features[row][k] - means[k]) * inverses[k];
                    assert!((got - adjusted[row][k]).abs() < 1e-10, "{got} {}", adjusted[row][k]);
                }
            }
        }
    }

    #[test]
    fn what_isnt_known_is_as_at_all_sites() {
        let none = Own { n: 0.0, mean: 0.0, variance: 0.0 };
        let (means, inverses) = adjust(&[none, none], &[3.0, 4.0], &[2.0, 0.0]);
        assert_eq!((means, inverses), (vec![3.0, 4.0], vec![0.5, 0.0]));
        // One row has a shift and no scale.
        let one = Own { n: 1.0, mean: 5.0, variance: 0.0 };
        let (means, inverses) = adjust(&[one, none], &[3.0, 4.0], &[2.0, 1.0]);
        assert_eq!((means[0], inverses[0]), (5.0, 0.5));
    }
}
