//! Which figures of a modelled class are shown, and the rows that come of it.
//!
//! - A site or level is judged as [`wardround_privacy::suppress::slices`] says; one whose class
//!   counts are hidden isn't judged either, since the width of an interval tells its n.
//! - So is a level of which one patient may have most rows, as far as that follows from counts
//!   ([`super::dominance`]).
//! - A rate with its n is a count: sensitivity is shown only where true positives and false
//!   negatives are, in the table over sites and in the table over every subgroup column.
//! - A left-out site's figures come from models of their own, so they add up to nothing: such a row
//!   needs its counts and enough patients of each class, whatever the other rows show.
//! - ROC and reliability curves go in steps of at least the minimum cell of both classes.
//!
//! Rules count patients, but calls and curves are known in images. They are judged as
//! `images x patients / images of the class`, rounded down.

use wardround_learn::findings::{
    Figure, Figures, Interval, LeftOut, ReliabilityBin, TargetFindings,
};
use wardround_learn::metrics::ranking::site_only_auc;
use wardround_learn::metrics::registry::{Metric, metric};
use wardround_privacy::policy::Consent;
use wardround_privacy::suppress::{
    self, Calls, CallsOf, CohortMask, Reason, Shown, calls, curve_steps, rate,
};

use super::disclose::Minimums;
use super::model::{ClassCounts, Confusion, FigureRow, NamedEstimate};
use super::values::{Calibration, CalibrationBin, Count, Curve, Estimate, rounded};

/// What of a slice is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Its patients and images by class.
    pub counts: Shown<()>,
    /// Its figures.
    pub figures: Shown<()>,
    /// True positives, false negatives and sensitivity.
    pub positive_calls: Shown<()>,
    /// True negatives, false positives and specificity.
    pub negative_calls: Shown<()>,
}

/// What of a modelled class is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetMask {
    /// All sites in one list.
    pub all: Slice,
    /// Each site.
    pub sites: Vec<Slice>,
    /// Each subgroup column and level.
    pub levels: Vec<Vec<Slice>>,
    /// Pairs of images within sites, where they hang on hidden counts.
    hidden_pairs: Option<u128>,
    /// Whether each site's owner refuses.
    refusals: Vec<Shown<()>>,
    minimums: Minimums,
}

impl TargetMask {
    /// Judges all slices of a modelled class. `released` says per site whether its owner allows
    /// figures of the site by itself; `dominated` per subgroup column and level whether one patient may have most of its rows.
    pub fn new(
        target: &TargetFindings,
        cohort: &CohortMask,
        released: &[Consent],
        dominated: &[Vec<bool>],
        minimums: Minimums,
    ) -> Self {
        let judged = &target.nested.judged;
        let refusals: Vec<Shown<()>> = released
            .iter()
            .map(|consent| match consent {
                Consent::Allowed => Shown::Value(()),
                Consent::Refused => Shown::Suppressed(Reason::RefusedBySite),
            })
            .collect();
        let mut all = Slice::new(cohort.all.classes, cohort.all.classes);
        if judged.one_list.patients.iter().any(|&n| n < minimums.per_class.get()) {
            all.figures = first(all.figures, Shown::Suppressed(Reason::SmallSlice));
        }
        if let [only @ Shown::Suppressed(_)] = refusals.as_slice() {
            all.figures = *only;
        }
        let counts: Vec<Shown<()>> = cohort.sites.iter().map(|site| site.classes).collect();
        let mut columns = vec![judge(&judged.by_site, &counts, &refusals, minimums)];
        for ((figures, levels), dominated) in
            judged.by_subgroup.iter().zip(&cohort.levels).zip(dominated)
        {
            let counts: Vec<Shown<()>> = levels.iter().map(|level| level.classes).collect();
            let allowed: Vec<Shown<()>> = dominated
                .iter()
                .map(|dominated| match dominated {
                    true => Shown::Suppressed(Reason::SmallSlice),
                    false => Shown::Value(()),
                })
                .collect();
            columns.push(judge(figures, &counts, &allowed, minimums));
        }
        let tables: Vec<&[Figures]> = std::iter::once(judged.by_site.as_slice())
            .chain(judged.by_subgroup.iter().map(Vec::as_slice))
            .collect();
        for of in [POSITIVE, NEGATIVE] {
            hide_calls(of, &tables, &mut columns, &mut all, minimums);
        }
        let levels = columns.split_off(1);
        let sites = columns.pop().unwrap_or_default();
        let pairs: u128 = judged
            .by_site
            .iter()
            .map(|site| u128::from(site.rows[0]) * u128::from(site.rows[1]))
            .sum();
        let hidden = sites.iter().any(|site| site.counts != Shown::Value(()));
        Self { all, sites, levels, hidden_pairs: hidden.then_some(pairs), refusals, minimums }
    }

    /// A left-out site's slice.
    pub fn left_out(&self, out: &LeftOut) -> Slice {
        self.apart(usize::from(out.site), &out.figures)
    }

    /// The slice of a site's figures by a model of its own, or one that never saw it.
    pub fn apart(&self, site: usize, figures: &Figures) -> Slice {
        let counts = self.sites[site].counts;
        let small = figures.patients.iter().any(|&n| n < self.minimums.per_class.get());
        let small = if small { Shown::Suppressed(Reason::SmallSlice) } else { Shown::Value(()) };
        let shown = first(first(self.refusals[site], self.sites[site].for_counts()), small);
        let of = |calls: CallCells| {
            let [right, wrong] = calls.in_patients(figures);
            rate(right, right + wrong, self.minimums.cell).map(|_| ())
        };
        let (positive_calls, negative_calls) = (of(POSITIVE), of(NEGATIVE));
        Slice { positive_calls, negative_calls, counts, figures: shown }
    }

    /// One figure of such a slice; `figures` has its patients.
    pub fn estimate_apart(&self, site: usize, figures: &Figures, figure: &Figure) -> Estimate {
        shown_as(self.apart(site, figures).figures, figure)
    }

    /// A figure of the federated model at a site.
    pub fn at_site(&self, site: usize, figure: &Figure) -> Estimate {
        shown_as(self.sites[site].figures, figure)
    }

    /// An AUC over pairs within sites. Where a site's counts are hidden it is rounded to more than
    /// one half pair of one of `folds`, lest its digits tell how many pairs there are.
    pub fn within(&self, figure: &Figure, folds: usize) -> Estimate {
        let estimate = self.whole(figure);
        let Some(pairs) = self.hidden_pairs else { return estimate };
        let of_fold = pairs as f64 / (folds.max(1) as f64).powi(2);
        estimate.to_decimals((of_fold / 2.0).max(1.0).log10().floor() as i32)
    }

    /// A figure of all sites.
    pub fn whole(&self, figure: &Figure) -> Estimate {
        shown_as(self.all.figures, figure)
    }

    /// What a score that knows only the site would reach, where sites with hidden counts are taken
    /// as one: they would follow from it.
    pub fn site_only(&self, target: &TargetFindings) -> Estimate {
        if self.hidden_pairs.is_none() || self.all.figures != Shown::Value(()) {
            return self.whole(&target.site_only_auc);
        }
        let mut together = [0, 0];
        let mut counts = Vec::new();
        for (site, figures) in self.sites.iter().zip(&target.nested.judged.by_site) {
            match site.counts {
                Shown::Value(()) => counts.push(figures.rows),
                Shown::Suppressed(_) => (0..2).for_each(|at| together[at] += figures.rows[at]),
            }
        }
        counts.push(together);
        Estimate::from(&match site_only_auc(&counts) {
            Ok(value) => Figure::Known { value, interval: Interval::NotComputed },
            Err(why) => Figure::Undefined { reason: why.to_string() },
        })
    }
}

impl Slice {
    fn new(counts: Shown<()>, figures: Shown<()>) -> Self {
        let shown = Shown::Value(());
        Self { counts, figures, positive_calls: shown, negative_calls: shown }
    }

    /// Why figures are withheld when counts are.
    fn for_counts(self) -> Shown<()> {
        match self.counts {
            Shown::Suppressed(Reason::SmallCell) => Shown::Suppressed(Reason::SmallSlice),
            other => other,
        }
    }
}

fn shown_as(shown: Shown<()>, figure: &Figure) -> Estimate {
    match shown {
        Shown::Value(()) => Estimate::from(figure),
        Shown::Suppressed(reason) => Estimate::Withheld { reason },
    }
}

/// The first reason of two.
pub(super) fn first(one: Shown<()>, other: Shown<()>) -> Shown<()> {
    if one == Shown::Value(()) { other } else { one }
}

/// Judges the slices of one column.
fn judge(
    figures: &[Figures],
    counts: &[Shown<()>],
    allowed: &[Shown<()>],
    minimums: Minimums,
) -> Vec<Slice> {
    let given = counts.iter().zip(allowed).map(|(&counts, &allowed)| first(allowed, counts));
    let slices: Vec<suppress::Slice> = figures
        .iter()
        .zip(given)
        .map(|(figures, given)| suppress::Slice { by_class: figures.patients.to_vec(), given })
        .collect();
    let judged = suppress::slices(&slices, minimums.per_class);
    counts.iter().zip(judged).map(|(&counts, figures)| Slice::new(counts, figures)).collect()
}

/// A class whose calls are judged: its index in `patients` and `rows`, and the confusion's cells of
/// its right and wrong calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CallCells {
    class: usize,
    cells: [usize; 2],
}

const POSITIVE: CallCells = CallCells { class: 1, cells: [0, 3] };
const NEGATIVE: CallCells = CallCells { class: 0, cells: [2, 1] };

impl CallCells {
    fn in_patients(self, figures: &Figures) -> [u64; 2] {
        let (patients, rows) = (figures.patients[self.class], figures.rows[self.class]);
        self.cells.map(|cell| in_patients(figures.confusion[cell], patients, rows))
    }

    fn field(self, slice: &mut Slice) -> &mut Shown<()> {
        if self == POSITIVE { &mut slice.positive_calls } else { &mut slice.negative_calls }
    }
}

/// Withholds calls of one class in every column: both of a slice's cells or none, since their sum
/// is its images. Where a column can't be protected while the calls of all are shown, none are.
fn hide_calls(
    of: CallCells,
    tables: &[&[Figures]],
    columns: &mut [Vec<Slice>],
    all: &mut Slice,
    minimums: Minimums,
) {
    let judged = tables.iter().zip(columns.iter()).map(|(figures, slices)| {
        let made = figures.iter().zip(slices).map(|(figures, slice)| Calls {
            counts: of.in_patients(figures),
            slice: match (slice.counts, slice.figures) {
                (_, Shown::Value(())) | (_, Shown::Suppressed(Reason::Empty)) => CallsOf::Judged,
                (Shown::Value(()), _) => CallsOf::Withheld,
                _ => CallsOf::Unknown,
            },
        });
        calls(&made.collect::<Vec<_>>(), minimums.cell)
    });
    let Ok(hidden) = judged.collect::<Result<Vec<_>, _>>() else {
        let every = columns.iter_mut().flatten().chain([all]);
        every.for_each(|slice| *of.field(slice) = Shown::Suppressed(Reason::SmallCell));
        return;
    };
    for (slice, hidden) in columns.iter_mut().flatten().zip(hidden.into_iter().flatten()) {
        if hidden {
            *of.field(slice) = Shown::Suppressed(Reason::SmallCell);
        }
    }
}

/// Images of a class as patients: `images x patients / images of the class`, rounded down.
pub(super) fn in_patients(images: u64, patients: u64, images_of_class: u64) -> u64 {
    (u128::from(images) * u128::from(patients))
        .checked_div(u128::from(images_of_class))
        .map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX))
}

/// Running totals of images by class as patients, bin by bin.
fn bins_in_patients(figures: &Figures, totals: impl Iterator<Item = [u64; 2]>) -> Vec<[u64; 2]> {
    let mut before = [0; 2];
    totals
        .map(|total| {
            let class = |at: usize| in_patients(total[at], figures.patients[at], figures.rows[at]);
            let now = [class(0), class(1)];
            let bin = [now[0].saturating_sub(before[0]), now[1].saturating_sub(before[1])];
            before = now;
            bin
        })
        .collect()
}

/// A row of figures with what isn't shown taken out.
pub fn figure_row(figures: &Figures, slice: Slice, minimums: Minimums) -> FigureRow {
    let counts = |[negative, positive]: [u64; 2]| ClassCounts {
        negative: count(negative, &[slice.counts]),
        positive: count(positive, &[slice.counts]),
    };
    let estimate = |figure: &Figure, calls: Shown<()>| match first_reason(&[slice.figures, calls]) {
        None => Estimate::from(figure),
        Some(reason) => Estimate::Withheld { reason },
    };
    let (positive, negative) = (slice.positive_calls, slice.negative_calls);
    let calls = |cell: usize, calls: Shown<()>| {
        count(figures.confusion[cell], &[slice.counts, slice.figures, calls])
    };
    FigureRow {
        patients: counts(figures.patients),
        images: counts(figures.rows),
        auc: estimate(&figures.auc, Shown::Value(())),
        sensitivity: estimate(&figures.sensitivity, positive),
        specificity: estimate(&figures.specificity, negative),
        brier: estimate(&figures.brier, Shown::Value(())),
        ece: estimate(&figures.ece, Shown::Value(())),
        confusion: Confusion {
            true_positives: calls(0, positive),
            false_positives: calls(1, negative),
            true_negatives: calls(2, negative),
            false_negatives: calls(3, positive),
        },
        roc: curve(figures, slice, minimums),
        more: figures
            .more
            .iter()
            .map(|named| NamedEstimate {
                name: named.name.clone(),
                // What follows from calls of both classes tells them.
                estimate: match metric(&named.name).is_none_or(Metric::is_of_calls) {
                    true => estimate(&named.figure, first(positive, negative)),
                    false => estimate(&named.figure, Shown::Value(())),
                },
            })
            .collect(),
    }
}

/// A count, unless one of these is suppressed.
fn count(number: u64, shown: &[Shown<()>]) -> Count {
    first_reason(shown).map_or(Count::Shown(number), Count::Withheld)
}

fn first_reason(shown: &[Shown<()>]) -> Option<Reason> {
    shown.iter().find_map(|shown| match shown {
        Shown::Value(()) => None,
        Shown::Suppressed(reason) => Some(*reason),
    })
}

/// The curve in steps of at least the minimum of both classes.
fn curve(figures: &Figures, slice: Slice, minimums: Minimums) -> Curve {
    if let Shown::Suppressed(reason) = slice.figures {
        return Curve::Withheld { reason };
    }
    let images = |share: f64, class: usize| (share * figures.rows[class] as f64).round() as u64;
    let corners = figures.roc.iter().skip(1);
    let totals =
        corners.map(|&[false_rate, true_rate]| [images(false_rate, 0), images(true_rate, 1)]);
    let steps = curve_steps(&bins_in_patients(figures, totals), minimums.cell);
    if steps.is_empty() {
        return Curve::Undefined;
    }
    let ends = steps.iter().map(|step| figures.roc[step.end].map(rounded));
    Curve::Shown { points: figures.roc.iter().take(1).copied().chain(ends).collect() }
}

/// The reliability curve, neighbours merged until a bin holds the minimum of both classes.
pub fn calibration(figures: &Figures, slice: Slice, minimums: Minimums) -> Calibration {
    if let Shown::Suppressed(reason) = slice.figures {
        return Calibration::Withheld { reason };
    }
    let bins = &figures.reliability;
    let mut so_far = [0; 2];
    let totals = bins.iter().map(|bin| {
        so_far[0] += bin.rows.saturating_sub(bin.positives);
        so_far[1] += bin.positives;
        so_far
    });
    let steps = curve_steps(&bins_in_patients(figures, totals), minimums.cell);
    if steps.is_empty() {
        return Calibration::Undefined;
    }
    Calibration::Shown { bins: steps.into_iter().map(|step| merged(&bins[step])).collect() }
}

fn merged(bins: &[ReliabilityBin]) -> CalibrationBin {
    let (mut images, mut positives, mut scores) = (0, 0, 0.0);
    // An empty bin has no mean score.
    for bin in bins.iter().filter(|bin| bin.rows > 0) {
        images += bin.rows;
        positives += bin.positives;
        scores += bin.mean_score * bin.rows as f64;
    }
    CalibrationBin {
        from: bins.first().map_or(0.0, |bin| rounded(bin.lower_end())),
        images,
        predicted: rounded(scores / images as f64),
        observed: rounded(positives as f64 / images as f64),
    }
}
