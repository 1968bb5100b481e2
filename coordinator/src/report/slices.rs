//! Which figures of a modelled class are shown, and the rows that come of it.
//!
//! - A site or level is judged as [`wardround_privacy::suppress::slices`] says; one whose counts are
//!   hidden isn't judged either, since the width of an interval tells its n.
//! - A rate with its n is a count: sensitivity is shown only where true positives and false
//!   negatives are, in the table over sites and in the table over every subgroup column.
//! - ROC and reliability curves go in steps of at least the minimum cell of both classes.
//!
//! Rules count patients, but calls and curves are known in images. They are judged as
//! `images x patients / images of the class`, rounded down.

use wardround_learn::findings::{Figure, Figures, LeftOut, ReliabilityBin, TargetFindings};
use wardround_privacy::policy::Consent;
use wardround_privacy::suppress::{Reason, Shown, curve_steps, slices, tables};

use super::disclose::{CohortMask, Minimums};
use super::model::{ClassCounts, Confusion, FigureRow};
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
}

impl TargetMask {
    /// Judges all slices of a modelled class. `released` says per site whether its owner allows
    /// figures of the site by itself.
    pub fn new(
        target: &TargetFindings,
        cohort: &CohortMask,
        released: &[Consent],
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
        let whole = std::slice::from_ref(&judged.one_list);
        let mut all = judge(whole, &[cohort.all], &[Shown::Value(())], minimums)[0];
        if let [only @ Shown::Suppressed(_)] = refusals.as_slice() {
            all.figures = *only;
        }
        let mut sites = judge(&judged.by_site, &cohort.sites, &refusals, minimums);
        let mut levels: Vec<Vec<Slice>> = Vec::new();
        for (figures, counts) in judged.by_subgroup.iter().zip(&cohort.levels) {
            let allowed = vec![Shown::Value(()); figures.len()];
            levels.push(judge(figures, counts, &allowed, minimums));
        }
        for calls in [POSITIVE, NEGATIVE] {
            hide_calls(calls, &judged.by_site, &mut sites, &mut all, minimums);
            for (figures, slices) in judged.by_subgroup.iter().zip(&mut levels) {
                hide_calls(calls, figures, slices, &mut all, minimums);
            }
        }
        Self { all, sites, levels }
    }

    /// A left-out site's slice: judged where the site is; its calls are a table of their own.
    pub fn left_out(&self, out: &LeftOut, minimums: Minimums) -> Slice {
        let site = self.sites[usize::from(out.site)];
        let shown = Shown::Value(());
        let mut slices = [Slice { positive_calls: shown, negative_calls: shown, ..site }];
        let mut total = slices[0];
        for calls in [POSITIVE, NEGATIVE] {
            let figures = std::slice::from_ref(&out.figures);
            hide_calls(calls, figures, &mut slices, &mut total, minimums);
        }
        slices[0]
    }
}

/// Judges the slices of one column.
fn judge(
    figures: &[Figures],
    counts: &[Shown<()>],
    allowed: &[Shown<()>],
    minimums: Minimums,
) -> Vec<Slice> {
    let withheld: Vec<Shown<()>> = counts
        .iter()
        .zip(allowed)
        .map(|(&counts, &allowed)| if allowed == Shown::Value(()) { counts } else { allowed })
        .collect();
    // A slice that is withheld for another reason counts as one of a single patient: too small,
    // and no help in hiding others.
    let patients: Vec<Vec<u64>> = figures
        .iter()
        .zip(&withheld)
        .map(|(figures, shown)| match shown {
            Shown::Suppressed(_) if figures.patients != [0, 0] => vec![1, 0],
            _ => figures.patients.to_vec(),
        })
        .collect();
    let judged = slices(&patients, minimums.per_class);
    let shown = Shown::Value(());
    let of_slice = |at: usize| Slice {
        counts: counts[at],
        figures: match (withheld[at], judged[at]) {
            (Shown::Suppressed(Reason::RefusedBySite), Shown::Suppressed(_)) => withheld[at],
            (_, judged) => judged,
        },
        positive_calls: shown,
        negative_calls: shown,
    };
    (0..figures.len()).map(of_slice).collect()
}

/// A class whose calls are judged: its index in `patients` and `rows`, and which of the confusion's
/// cells are its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Calls {
    class: usize,
    cells: [usize; 2],
}

const POSITIVE: Calls = Calls { class: 1, cells: [0, 3] };
const NEGATIVE: Calls = Calls { class: 0, cells: [2, 1] };

/// Withholds calls of one class: both of a slice's cells or none, since their sum is its images.
fn hide_calls(
    calls: Calls,
    figures: &[Figures],
    slices: &mut [Slice],
    all: &mut Slice,
    minimums: Minimums,
) {
    // Slices are columns: one without anybody is then empty, not small.
    let parts = calls.cells.map(|cell| {
        let in_patients = |figures: &Figures| {
            let (patients, rows) = (figures.patients[calls.class], figures.rows[calls.class]);
            in_patients(figures.confusion[cell], patients, rows)
        };
        vec![figures.iter().map(in_patients).collect::<Vec<u64>>()]
    });
    let table = tables(&parts, minimums.cell).swap_remove(0);
    for (slice, cell) in slices.iter_mut().zip(&table.cells[0]) {
        hide(field(slice, calls), *cell);
    }
    hide(field(all, calls), table.total);
}

fn hide(shown: &mut Shown<()>, by: Shown<u64>) {
    if *shown == Shown::Value(()) {
        *shown = by.map(|_| ());
    }
}

fn field(slice: &mut Slice, calls: Calls) -> &mut Shown<()> {
    if calls == POSITIVE { &mut slice.positive_calls } else { &mut slice.negative_calls }
}

/// Images of a class as patients: `images x patients / images of the class`, rounded down.
fn in_patients(images: u64, patients: u64, images_of_class: u64) -> u64 {
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
        images,
        predicted: rounded(scores / images as f64),
        observed: rounded(positives as f64 / images as f64),
    }
}
