//! Several classifiers on the same folds: which is best, by how much, and what the best figure is
//! worth once it is known that it was picked as the best.
//!
//! All comes from one bootstrap of the patients that every classifier's nested out-of-fold scores see
//! ([`super::bootstrap`]).
//! - The choice's own figure is biased, since it is a maximum. Its estimate chooses in every replicate
//!   on the patients drawn and judges on those that weren't: bootstrap bias-corrected
//!   cross-validation (Tsamardinos, Greasidou and Borboudakis, Mach. Learn. 2018;107:1895). There the
//!   pool holds every configuration's plain out-of-fold scores; here each classifier's grid is
//!   chosen inside the outer folds, so the pool holds one nested list per classifier.
//! - Differences are paired by patient. Their intervals and p-values hold for all of them at once: the
//!   largest standardised deviation over all pairs, in every replicate (max-T: Westfall and Young
//!   1993, section 2.3).

use wardround_core::study::{ChooseBy, Study};

use super::bootstrap::Replicates;
use super::single::Single;
use crate::findings::{
    Compared, ComparedClass, ComparedClassifier, Difference, Figure, Interval, TargetFindings,
};
use crate::metrics::resampled::quantile;

/// Share of replicates that an interval leaves out.
const LEFT_OUT: f64 = 0.05;

/// Compares at least one classifier.
pub(crate) fn compare(study: &Study, singles: &[Single], rounds: &[[u64; 2]]) -> Compared {
    let by = study.validation.choose_by;
    let whole = whole(singles);
    let replicates = means(singles, &whole);
    let aucs: Vec<Figure> = singles
        .iter()
        .zip(&replicates)
        .map(|(single, replicates)| mean_auc(&single.targets, by, replicates))
        .collect();
    let values: Vec<f64> = aucs.iter().map(value).collect();
    let chosen = best(values.iter().copied()).unwrap_or(0);
    let names = study.combinations().into_iter().map(|combination| combination.name);
    let classifiers = singles.iter().zip(names).zip(&aucs).zip(rounds);
    Compared {
        chosen,
        estimate: bias_corrected(&replicates),
        estimate_by_class: (0..singles[0].targets.len())
            .map(|target| judged_when_chosen(&replicates, singles, &whole, target))
            .collect(),
        replicates: replicates[0].len() as u64,
        differences: differences(&values, &replicates),
        classifiers: classifiers
            .map(|(((single, name), auc), rounds)| ComparedClassifier {
                name,
                grid: single.design.grid.clone(),
                auc: auc.clone(),
                classes: single.targets.iter().map(class).collect(),
                cost: single.cost.clone(),
                rounds: *rounds,
            })
            .collect(),
    }
}

/// The combination with the largest nested AUC among some.
pub(crate) fn best_of(compared: &Compared, among: impl Fn(usize) -> bool) -> Option<usize> {
    let aucs = compared.classifiers.iter().enumerate();
    best(aucs.map(|(at, one)| if among(at) { value(&one.auc) } else { f64::NAN }))
}

fn class(target: &TargetFindings) -> ComparedClass {
    ComparedClass {
        class: target.class,
        used_for_choosing: target.used_for_choosing.clone(),
        nested: target.nested.clone(),
        left_out: target.left_out.clone(),
        point: target.model.point,
        trees: target.trees.clone(),
        races: target.races.clone(),
    }
}

/// The replicates that have something to compare in every class. They are the same ones for every
/// classifier, since all judge the same rows.
fn whole(singles: &[Single]) -> Vec<usize> {
    let all: Vec<&Vec<[f64; 2]>> =
        singles.iter().flat_map(|single| &replicates(single).targets).collect();
    let known = |at: &usize| all.iter().all(|one| one[*at].iter().all(|auc| auc.is_finite()));
    (0..all[0].len()).filter(known).collect()
}

/// Each classifier's AUC under each of some replicates, the mean over classes: drawn, and not drawn.
fn means(singles: &[Single], whole: &[usize]) -> Vec<Vec<[f64; 2]>> {
    let of = |single: &Single| {
        let targets = &replicates(single).targets;
        let mean = |&at: &usize| {
            [0, 1].map(|half| {
                targets.iter().map(|target| target[at][half]).sum::<f64>() / targets.len() as f64
            })
        };
        whole.iter().map(mean).collect()
    };
    singles.iter().map(of).collect()
}

fn replicates(single: &Single) -> &Replicates {
    single.replicates.as_ref().expect("classifiers that are compared were asked for replicates")
}

/// The nested AUC, mean over classes. Of one class its own interval, of several the bootstrap's.
fn mean_auc(targets: &[TargetFindings], by: ChooseBy, replicates: &[[f64; 2]]) -> Figure {
    let of = |target: &TargetFindings| match by {
        ChooseBy::WithinSites => target.nested.judged.auc_within_sites.clone(),
        ChooseBy::OneList => target.nested.judged.one_list.auc.clone(),
    };
    if let [target] = targets {
        return of(target);
    }
    let figures: Vec<Figure> = targets.iter().map(of).collect();
    if let Some(undefined) = figures.iter().find(|f| matches!(f, Figure::Undefined { .. })) {
        return undefined.clone();
    }
    let value = figures.iter().map(value).sum::<f64>() / figures.len() as f64;
    let drawn: Vec<f64> = replicates.iter().map(|[drawn, _]| *drawn).collect();
    Figure::Known { value, interval: percentiles(drawn) }
}

fn value(figure: &Figure) -> f64 {
    match figure {
        Figure::Known { value, .. } => *value,
        Figure::Undefined { .. } => f64::NAN,
    }
}

/// The index of the largest number, of equal ones the first; `None` when none is a number.
fn best(values: impl Iterator<Item = f64>) -> Option<usize> {
    let numbers = values.enumerate().filter(|(_, value)| !value.is_nan());
    numbers
        .fold(None, |best: Option<(usize, f64)>, (at, value)| match best {
            Some((_, most)) if most >= value => best,
            _ => Some((at, value)),
        })
        .map(|(at, _)| at)
}

/// Per replicate the classifier that is best on the patients drawn.
fn choices(replicates: &[Vec<[f64; 2]>]) -> impl Iterator<Item = (usize, usize)> {
    (0..replicates[0].len())
        .filter_map(|at| best(replicates.iter().map(|one| one[at][0])).map(|chosen| (at, chosen)))
}

/// What the best classifier on the patients drawn does on the others.
fn bias_corrected(replicates: &[Vec<[f64; 2]>]) -> Figure {
    figure(choices(replicates).map(|(at, chosen)| replicates[chosen][at][1]).collect())
}

/// The same for one class; the classifier is chosen by the mean over classes.
fn judged_when_chosen(
    means: &[Vec<[f64; 2]>],
    singles: &[Single],
    whole: &[usize],
    target: usize,
) -> Figure {
    let of =
        |(at, chosen): (usize, usize)| replicates(&singles[chosen]).targets[target][whole[at]][1];
    figure(choices(means).map(of).collect())
}

fn figure(values: Vec<f64>) -> Figure {
    if values.is_empty() {
        let reason = "no replicate has both classes among the patients drawn and the others";
        return Figure::Undefined { reason: reason.to_owned() };
    }
    let value = values.iter().sum::<f64>() / values.len() as f64;
    Figure::Known { value, interval: percentiles(values) }
}

/// The interval that holds all but [`LEFT_OUT`] of the values, as much on either side.
pub(super) fn percentiles(mut values: Vec<f64>) -> Interval {
    if values.is_empty() {
        return Interval::NotComputed;
    }
    values.sort_by(f64::total_cmp);
    let [low, high] = [LEFT_OUT / 2.0, 1.0 - LEFT_OUT / 2.0].map(|share| quantile(&values, share));
    Interval::Between { low, high }
}

/// Every pair's difference with its simultaneous interval and adjusted p-value.
fn differences(values: &[f64], replicates: &[Vec<[f64; 2]>]) -> Vec<Difference> {
    let n = replicates[0].len();
    let pairs = (0..values.len()).flat_map(|a| (a + 1..values.len()).map(move |b| (a, b)));
    let mut found = Vec::new();
    let mut largest = vec![0.0f64; n];
    for (first, second) in pairs {
        let each: Vec<f64> =
            (0..n).map(|at| replicates[first][at][0] - replicates[second][at][0]).collect();
        let mean = each.iter().sum::<f64>() / n as f64;
        let squares = each.iter().map(|d| (d - mean) * (d - mean)).sum::<f64>();
        let error = (squares / (n as f64 - 1.0)).sqrt();
        if error > 0.0 {
            for (largest, d) in largest.iter_mut().zip(&each) {
                *largest = largest.max(((d - mean) / error).abs());
            }
        }
        found.push((first, second, values[first] - values[second], error));
    }
    largest.sort_by(f64::total_cmp);
    let reach = quantile(&largest, 1.0 - LEFT_OUT);
    let of = |(first, second, difference, error): (usize, usize, f64, f64)| {
        let known = difference.is_finite() && error.is_finite();
        let as_large = match error > 0.0 {
            true => n - largest.partition_point(|most| *most < (difference / error).abs()),
            false => n,
        };
        Difference {
            first,
            second,
            auc: match known {
                true => Figure::Known {
                    value: difference,
                    interval: Interval::Between {
                        low: difference - reach * error,
                        high: difference + reach * error,
                    },
                },
                false => Figure::Undefined { reason: "an AUC is undefined".to_owned() },
            },
            // The study itself counts as a replicate, so no p-value is 0.
            p: known.then(|| (as_large as f64 + 1.0) / (n as f64 + 1.0)),
        }
    };
    found.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use wardround_core::seed::Seed;

    use super::*;

    /// Made-up AUCs of some classifiers: noise that is common to all, and some of their own.
    fn made_up(truth: &[f64], own: f64) -> Vec<Vec<[f64; 2]>> {
        let uniform = |what: &str, at: usize, of: usize| {
            Seed(4).uniform(what, &[&at.to_le_bytes(), &of.to_le_bytes()]) - 0.5
        };
        let of = |(k, truth): (usize, &f64)| {
            let one = |at| {
                let drawn = truth + 0.1 * uniform("all", at, 0) + own * uniform("drawn", at, k);
                [drawn, truth + 0.1 * uniform("left", at, 0) + own * uniform("own", at, k)]
            };
            (0..1000).map(one).collect()
        };
        truth.iter().enumerate().map(of).collect()
    }

    #[test]
    fn a_choice_among_equals_is_worth_what_they_are() {
        // By chance the best of twenty seems .02 better than they are.
        let replicates = made_up(&[0.8; 20], 0.04);
        let seems = (0..1000)
            .map(|at| replicates.iter().map(|one| one[at][0]).fold(f64::NEG_INFINITY, f64::max));
        assert!(seems.sum::<f64>() / 1000.0 > 0.815);
        assert!((value(&bias_corrected(&replicates)) - 0.8).abs() < 0.003);
    }

    #[test]
    fn a_choice_that_is_really_better_keeps_its_worth() {
        let replicates = made_up(&[0.7, 0.8, 0.7], 0.01);
        assert!((value(&bias_corrected(&replicates)) - 0.8).abs() < 0.003);
    }

    #[test]
    fn intervals_of_many_differences_are_wider_than_of_one_and_still_paired() {
        let width = |values: &[f64]| {
            let all = differences(values, &made_up(values, 0.02));
            let Figure::Known { interval: Interval::Between { low, high }, .. } = all[0].auc else {
                panic!("{:?}", all[0])
            };
            (high - low, all)
        };
        let (one, _) = width(&[0.8, 0.8]);
        let (many, all) = width(&[0.8; 8]);
        assert_eq!(all.len(), 28);
        assert!(many > 1.2 * one, "{many} {one}");
        // The common part, 0.1 wide, cancels.
        assert!(many < 0.08, "{many}");
        assert!(all.iter().all(|difference| difference.p == Some(1.0)));
    }

    #[test]
    fn a_real_difference_is_told_from_none() {
        let values = [0.8, 0.8, 0.7];
        let all = differences(&values, &made_up(&values, 0.02));
        let p: Vec<f64> = all.iter().map(|difference| difference.p.unwrap()).collect();
        assert_eq!(p[0], 1.0);
        assert!(p[1] < 0.002 && p[2] < 0.002, "{p:?}");
    }

    #[test]
    fn the_same_classifier_twice_doesnt_differ() {
        let one = made_up(&[0.8], 0.02).remove(0);
        let all = differences(&[0.8, 0.8], &[one.clone(), one]);
        assert_eq!((all[0].p, value(&all[0].auc)), (Some(1.0), 0.0));
    }
}
