//! Which figures of a modelled class are shown, and the rows that come of it; see
//! [`super::disclose`] for the rules.

use wardround_learn::findings::{Figure, Figures, LeftOut, TargetFindings};
use wardround_privacy::policy::Consent;

use super::disclose::{CohortMask, Hidden, Minimums, Part};
use super::model::{ClassCounts, Confusion, FigureRow};
use super::values::{Calibration, CalibrationBin, Count, Curve, Estimate, Reason};

/// What of a slice is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Whether its patients and images by class are.
    pub counts: bool,
    /// Whether its figures are, and if not why.
    pub figures: Result<(), Reason>,
    /// Whether true positives, false negatives and sensitivity are, given that figures are.
    pub positive_calls: bool,
    /// Whether true negatives, false positives and specificity are, given that figures are.
    pub negative_calls: bool,
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
    /// What holds for each site by itself, without the secondary rule.
    alone: Vec<Slice>,
}

impl TargetMask {
    /// Judges all slices of a modelled class. `released` says per site whether its owner releases
    /// figures of the site by itself.
    pub fn new(
        target: &TargetFindings,
        cohort: &CohortMask,
        released: &[Consent],
        minimums: Minimums,
    ) -> Self {
        let judged = &target.nested.judged;
        let mut all = primary(&judged.one_list, cohort.all, minimums);
        let mut sites: Vec<Slice> = judged
            .by_site
            .iter()
            .zip(cohort.sites.iter().zip(released))
            .map(|(figures, (&part, &released))| {
                let slice = primary(figures, part, minimums);
                match (slice.figures, released) {
                    (Ok(()), Consent::Refused) => {
                        Slice { figures: Err(Reason::NotReleased), ..slice }
                    }
                    _ => slice,
                }
            })
            .collect();
        let alone = sites.clone();
        never_alone(&judged.by_site, &mut sites, &mut all);
        let mut levels: Vec<Vec<Slice>> = Vec::new();
        for (figures, parts) in judged.by_subgroup.iter().zip(&cohort.levels) {
            let slices = figures.iter().zip(parts);
            let mut slices: Vec<Slice> =
                slices.map(|(figures, &part)| primary(figures, part, minimums)).collect();
            never_alone(figures, &mut slices, &mut all);
            levels.push(slices);
        }
        for class in [POSITIVE, NEGATIVE] {
            hide_calls(class, &judged.by_site, &mut sites, &mut all, minimums);
            for (figures, slices) in judged.by_subgroup.iter().zip(&mut levels) {
                hide_calls(class, figures, slices, &mut all, minimums);
            }
        }
        Self { all, sites, levels, alone }
    }

    /// A left-out site's slice. Its figures add up to nothing that is shown, so that the secondary
    /// rule doesn't reach it; its calls follow from its counts alone.
    pub fn left_out(&self, out: &LeftOut, minimums: Minimums) -> Slice {
        let site = usize::from(out.site);
        let mut slices = [Slice { counts: self.sites[site].counts, ..self.alone[site] }];
        let mut nobody = Slice { figures: Ok(()), ..slices[0] };
        for class in [POSITIVE, NEGATIVE] {
            hide_calls(class, std::slice::from_ref(&out.figures), &mut slices, &mut nobody, minimums);
        }
        slices[0]
    }
}

/// Judges a slice by itself.
fn primary(figures: &Figures, part: Part, minimums: Minimums) -> Slice {
    let large = figures.patients.iter().all(|&patients| patients >= minimums.per_class);
    let figures = if large && part.classes { Ok(()) } else { Err(Reason::Small) };
    Slice { counts: part.classes, figures, positive_calls: true, negative_calls: true }
}

/// Withholds a second slice where exactly one is withheld: the smallest that is left, or the whole
/// where none is. Empty slices hide nothing.
fn never_alone(figures: &[Figures], slices: &mut [Slice], all: &mut Slice) {
    let rows = |at: usize| figures[at].rows.iter().sum::<u64>();
    let filled: Vec<usize> = (0..slices.len()).filter(|&at| rows(at) > 0).collect();
    let withheld: Vec<Reason> =
        filled.iter().filter_map(|&at| slices[at].figures.err()).collect();
    let [reason] = withheld.as_slice() else { return };
    let smallest = filled
        .iter()
        .copied()
        .filter(|&at| slices[at].figures.is_ok())
        .min_by_key(|&at| figures[at].patients.iter().min().copied());
    match smallest {
        Some(at) => slices[at].figures = Err(*reason),
        None => all.figures = Err(*reason),
    }
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
    let table: Vec<Vec<u64>> = figures
        .iter()
        .map(|figures| {
            let (patients, rows) = (figures.patients[calls.class], figures.rows[calls.class]);
            let judged = |images: u64| in_patients(images, patients, rows);
            calls.cells.map(|cell| judged(figures.confusion[cell])).to_vec()
        })
        .collect();
    let hidden = Hidden::of(&table, minimums.cell);
    for (slice, row) in slices.iter_mut().zip(&hidden.cells) {
        *field(slice, calls) &= !row.contains(&true);
    }
    *field(all, calls) &= !hidden.columns.contains(&true) && !hidden.total;
}

fn field(slice: &mut Slice, calls: Calls) -> &mut bool {
    if calls == POSITIVE { &mut slice.positive_calls } else { &mut slice.negative_calls }
}

/// Images of a class as patients: `images x patients / images of the class`, rounded down.
fn in_patients(images: u64, patients: u64, images_of_class: u64) -> u64 {
    (u128::from(images) * u128::from(patients))
        .checked_div(u128::from(images_of_class))
        .map_or(0, |share| u64::try_from(share).unwrap_or(u64::MAX))
}

/// A row of figures with what isn't shown taken out.
pub fn figure_row(figures: &Figures, slice: Slice, minimums: Minimums) -> FigureRow {
    let counts = |[negative, positive]: [u64; 2]| ClassCounts {
        negative: count(negative, slice.counts),
        positive: count(positive, slice.counts),
    };
    let estimate = |figure: &Figure, shown: bool| match slice.figures {
        Ok(()) if shown => Estimate::from(figure),
        Ok(()) => Estimate::Withheld { reason: Reason::Small },
        Err(reason) => Estimate::Withheld { reason },
    };
    let calls = |cell: usize, shown: bool| {
        count(figures.confusion[cell], shown && slice.counts && slice.figures.is_ok())
    };
    FigureRow {
        patients: counts(figures.patients),
        images: counts(figures.rows),
        auc: estimate(&figures.auc, true),
        sensitivity: estimate(&figures.sensitivity, slice.positive_calls),
        specificity: estimate(&figures.specificity, slice.negative_calls),
        brier: estimate(&figures.brier, true),
        ece: estimate(&figures.ece, true),
        confusion: Confusion {
            true_positives: calls(0, slice.positive_calls),
            false_positives: calls(1, slice.negative_calls),
            true_negatives: calls(2, slice.negative_calls),
            false_negatives: calls(3, slice.positive_calls),
        },
        roc: curve(figures, slice, minimums),
    }
}

fn count(number: u64, shown: bool) -> Count {
    if shown { Count::Shown(number) } else { Count::WITHHELD }
}

/// The curve in steps of at least the minimum of both classes; what is left over joins the last.
fn curve(figures: &Figures, slice: Slice, minimums: Minimums) -> Curve {
    if let Err(reason) = slice.figures {
        return Curve::Withheld { reason };
    }
    let Some(&last) = figures.roc.last() else { return Curve::Undefined };
    // Half an image less than the minimum, since shares were divided and come back as fractions.
    let least = |class: usize| {
        images_of(minimums.cell, figures.patients[class], figures.rows[class]) as f64 - 0.5
    };
    let (negatives, positives) = (figures.rows[0] as f64, figures.rows[1] as f64);
    let far = |from: [f64; 2], to: [f64; 2]| {
        (to[0] - from[0]) * negatives >= least(0) && (to[1] - from[1]) * positives >= least(1)
    };
    let mut points = vec![figures.roc[0]];
    for &corner in &figures.roc[1..] {
        let from = points[points.len() - 1];
        if far(from, corner) && far(corner, last) {
            points.push(corner);
        }
    }
    points.push(last);
    Curve::Shown { points }
}

/// The reliability curve, neighbours merged until a bin holds the minimum of both classes; what is
/// left over joins the last.
pub fn calibration(figures: &Figures, slice: Slice, minimums: Minimums) -> Calibration {
    if let Err(reason) = slice.figures {
        return Calibration::Withheld { reason };
    }
    let least = |class: usize| images_of(minimums.cell, figures.patients[class], figures.rows[class]);
    let (least_negative, least_positive) = (least(0), least(1));
    let mut merged: Vec<Merged> = Vec::new();
    let mut open = Merged::default();
    for bin in &figures.reliability {
        open.add(Merged::new(bin));
        if open.negatives() >= least_negative && open.positives >= least_positive {
            merged.push(std::mem::take(&mut open));
        }
    }
    match merged.last_mut() {
        None => return Calibration::Undefined,
        Some(last) => last.add(open),
    }
    Calibration::Shown { bins: merged.iter().map(Merged::bin).collect() }
}

#[derive(Debug, Clone, Copy, Default)]
struct Merged {
    rows: u64,
    positives: u64,
    score_sum: f64,
}

impl Merged {
    fn new(bin: &wardround_learn::findings::ReliabilityBin) -> Self {
        // An empty bin has no mean; it adds nothing.
        let score_sum = if bin.rows == 0 { 0.0 } else { bin.mean_score * bin.rows as f64 };
        Self { rows: bin.rows, positives: bin.positives, score_sum }
    }

    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.positives += other.positives;
        self.score_sum += other.score_sum;
    }

    fn negatives(&self) -> u64 {
        self.rows.saturating_sub(self.positives)
    }

    fn bin(&self) -> CalibrationBin {
        CalibrationBin {
            images: self.rows,
            predicted: self.score_sum / self.rows as f64,
            observed: self.positives as f64 / self.rows as f64,
        }
    }
}

/// A number of patients as images of a class, rounded up.
fn images_of(patients: u64, patients_of_class: u64, images_of_class: u64) -> u64 {
    if patients_of_class == 0 {
        return patients;
    }
    (patients * images_of_class).div_ceil(patients_of_class).max(patients)
}
