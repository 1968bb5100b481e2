//! What sites' AUCs say about sites like them: a random-effects mean with the Hartung-Knapp interval, and
//! where the AUC of one more site is expected.
//!
//! Each site's AUC is a draw from a normal distribution on the logit scale (Debray et al. 2019, Stat Methods Med
//! Res 28:2768; R's metamisc), whose variance tau² is estimated by restricted maximum likelihood (Viechtbauer
//! 2005, J Educ Behav Stat 30:261). The interval is Hartung and Knapp's (2001, Stat Med 20:3875), the prediction
//! interval Higgins, Thompson and Spiegelhalter's (2009, J R Stat Soc A 172:137) with k - 2 degrees of freedom.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::Undefined;
use super::interval::{Z, expit};

/// Halvings of the range in which tau² is looked for.
const HALVINGS: u32 = 200;

/// A site's AUC with its 95 % interval, as [`super::interval::auc_interval`] gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SiteAuc {
    /// Inside (0, 1).
    pub auc: f64,
    /// Inside (0, 1); symmetric about the AUC on the logit scale.
    pub interval: [f64; 2],
}

/// Sites' AUCs together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomEffects {
    /// How many sites.
    pub sites: usize,
    /// Mean on the logit scale, as an AUC.
    pub mean: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// Where the AUC of another site is expected, 95 %; [`Undefined::TooFewSites`] below three sites.
    pub prediction: Result<[f64; 2], Undefined>,
    /// Standard deviation between sites, of the logit.
    pub tau: f64,
    /// Share of the variance of sites' AUCs that is between sites rather than chance, in `[0, 1)`, from
    /// Cochran's Q (Higgins and Thompson 2002).
    pub i_squared: f64,
}

/// Sites' AUCs together.
///
/// # Errors
/// [`Undefined::TooFewSites`] below two sites; [`Undefined::NoSpread`] of a site whose AUC or interval isn't
/// inside (0, 1).
pub fn random_effects(sites: &[SiteAuc]) -> Result<RandomEffects, Undefined> {
    let effects: Vec<Effect> = sites.iter().map(Effect::of).collect::<Result<_, _>>()?;
    if effects.len() < 2 {
        return Err(Undefined::TooFewSites);
    }
    let k = effects.len() as f64;
    let tau2 = restricted_likelihood(&effects);
    let weighted = Weighted::of(&effects, tau2);
    let variance = weighted.scatter(&effects) / (k - 1.0) / weighted.sum;
    let half = quantile(k - 1.0) * variance.sqrt();
    let around = |half: f64| [expit(weighted.mean - half), expit(weighted.mean + half)];
    let fixed = Weighted::of(&effects, 0.0);
    let q = fixed.scatter(&effects);
    Ok(RandomEffects {
        sites: effects.len(),
        mean: expit(weighted.mean),
        interval: around(half),
        prediction: match effects.len() {
            2 => Err(Undefined::TooFewSites),
            _ => Ok(around(quantile(k - 2.0) * (tau2 + variance).sqrt())),
        },
        tau: tau2.sqrt(),
        i_squared: if q > 0.0 { ((q - (k - 1.0)) / q).max(0.0) } else { 0.0 },
    })
}

/// A logit with its variance.
struct Effect {
    logit: f64,
    variance: f64,
}

impl Effect {
    fn of(site: &SiteAuc) -> Result<Self, Undefined> {
        let inside = |value: f64| value > 0.0 && value < 1.0;
        let SiteAuc { auc, interval: [low, high] } = *site;
        if !([auc, low, high].into_iter().all(inside) && low < high) {
            return Err(Undefined::NoSpread);
        }
        let logit = |p: f64| libm::log(p / (1.0 - p));
        let error = (logit(high) - logit(low)) / (2.0 * Z);
        Ok(Self { logit: logit(auc), variance: error * error })
    }
}

/// Effects weighted by `1 / (variance + tau2)`.
struct Weighted {
    weights: Vec<f64>,
    sum: f64,
    mean: f64,
}

impl Weighted {
    fn of(effects: &[Effect], tau2: f64) -> Self {
        let weights: Vec<f64> = effects.iter().map(|one| 1.0 / (one.variance + tau2)).collect();
        let sum: f64 = weights.iter().sum();
        let mean = effects.iter().zip(&weights).map(|(one, w)| w * one.logit).sum::<f64>() / sum;
        Self { weights, sum, mean }
    }

    /// `sum w (y - mean)^2`.
    fn scatter(&self, effects: &[Effect]) -> f64 {
        let both = effects.iter().zip(&self.weights);
        both.map(|(one, w)| w * (one.logit - self.mean).powi(2)).sum()
    }
}

/// tau² where the restricted likelihood is largest; 0 where it only falls.
fn restricted_likelihood(effects: &[Effect]) -> f64 {
    let slope = |tau2: f64| {
        let Weighted { weights, sum, mean } = Weighted::of(effects, tau2);
        let squares: f64 = weights.iter().map(|w| w * w).sum();
        let both = effects.iter().zip(&weights);
        let off: f64 = both.map(|(one, w)| (w * (one.logit - mean)).powi(2)).sum();
        off - (sum - squares / sum)
    };
    if slope(0.0) <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    while slope(high) > 0.0 && high < 1e6 {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// The 97.5 % point of Student's t.
fn quantile(freedom: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom).expect("there are one or more degrees of freedom");
    t.inverse_cdf(0.975)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(auc: f64, error: f64) -> SiteAuc {
        let logit = libm::log(auc / (1.0 - auc));
        let end = |sign: f64| expit(logit + sign * Z * error);
        SiteAuc { auc, interval: [end(-1.0), end(1.0)] }
    }

    #[test]
    fn one_site_and_a_perfect_one_say_nothing() {
        assert_eq!(random_effects(&[site(0.8, 0.1)]), Err(Undefined::TooFewSites));
        let perfect = SiteAuc { auc: 1.0, interval: [0.9, 1.0] };
        assert_eq!(random_effects(&[site(0.8, 0.1), perfect]), Err(Undefined::NoSpread));
        let two = random_effects(&[site(0.8, 0.1), site(0.7, 0.1)]).unwrap();
        assert_eq!(two.prediction, Err(Undefined::TooFewSites));
        assert!(two.interval[0] < 0.7 && two.interval[1] > 0.8, "{two:?}");
    }

    #[test]
    fn equal_sites_differ_by_nothing() {
        let same = random_effects(&[site(0.8, 0.1); 5]).unwrap();
        assert_eq!((same.tau, same.i_squared), (0.0, 0.0));
        assert!((same.mean - 0.8).abs() < 1e-12);
    }
}
