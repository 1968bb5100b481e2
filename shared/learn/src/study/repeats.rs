//! Repeated cross-validation: each repeat is judged by itself, then figures are averaged. An interval
//! is the mean of the repeats' intervals: repeats share their patients, so they don't narrow it.
//! Counts and curves are the first repeat's; the same rows are in every repeat.

use crate::findings::{Figure, Figures, Interval, Judged};

/// The mean of a figure over repeats.
pub(crate) fn figure(repeats: &[Figure]) -> Figure {
    let (mut sum, mut low_sum, mut high_sum, mut ends) = (0.0, 0.0, 0.0, 0usize);
    for figure in repeats {
        match figure {
            Figure::Undefined { .. } => return figure.clone(),
            Figure::Known { value, interval } => {
                sum += value;
                if let Interval::Between { low, high } = interval {
                    low_sum += low;
                    high_sum += high;
                    ends += 1;
                }
            }
        }
    }
    let n = repeats.len();
    if n == 0 {
        return Figure::Undefined { reason: "no repeats".to_owned() };
    }
    let interval = match ends == n {
        true => Interval::Between { low: low_sum / n as f64, high: high_sum / n as f64 },
        false => Interval::NotComputed,
    };
    Figure::Known { value: sum / n as f64, interval }
}

/// The repeats' judgements in one.
pub(crate) fn judged(repeats: Vec<Judged>) -> Judged {
    let mut first = repeats[0].clone();
    if repeats.len() == 1 {
        return first;
    }
    first.auc_within_sites = over(&repeats, |j| &j.auc_within_sites);
    average(&mut first.one_list, &repeats, |j| &j.one_list);
    for (site, into) in first.by_site.iter_mut().enumerate() {
        average(into, &repeats, |j| &j.by_site[site]);
    }
    for (column, levels) in first.by_subgroup.iter_mut().enumerate() {
        for (level, into) in levels.iter_mut().enumerate() {
            average(into, &repeats, |j| &j.by_subgroup[column][level]);
        }
    }
    first
}

/// The repeats' figures in one.
pub(crate) fn figures(repeats: &[Figures]) -> Figures {
    let mut first = repeats[0].clone();
    if repeats.len() > 1 {
        average(&mut first, repeats, |figures| figures);
    }
    first
}

fn average<T>(into: &mut Figures, repeats: &[T], of: impl Fn(&T) -> &Figures) {
    into.auc = over(repeats, |one| &of(one).auc);
    into.sensitivity = over(repeats, |one| &of(one).sensitivity);
    into.specificity = over(repeats, |one| &of(one).specificity);
    into.brier = over(repeats, |one| &of(one).brier);
    into.ece = over(repeats, |one| &of(one).ece);
    for (at, named) in into.more.iter_mut().enumerate() {
        named.figure = over(repeats, |one| &of(one).more[at].figure);
    }
}

fn over<'a, T>(repeats: &'a [T], of: impl Fn(&'a T) -> &'a Figure) -> Figure {
    figure(&repeats.iter().map(|one| of(one).clone()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_averaged_with_their_intervals() {
        let known =
            |value, low, high| Figure::Known { value, interval: Interval::Between { low, high } };
        let mean = figure(&[known(0.5, 0.25, 1.0), known(1.0, 0.75, 1.0)]);
        assert_eq!(mean, known(0.75, 0.5, 1.0));
        let undefined = Figure::Undefined { reason: "no positive rows".into() };
        assert_eq!(figure(&[known(0.5, 0.0, 1.0), undefined.clone()]), undefined);
        assert!(matches!(figure(&[]), Figure::Undefined { .. }));
    }
}
