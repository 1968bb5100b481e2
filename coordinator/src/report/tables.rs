//! A report as CSV tables for statistics programs: one file per kind of number, one line per number or per point. A
//! number that isn't shown leaves its cell empty, with why in the same line.

use super::classes::{CallsSection, ClassesSection};
use super::curve::{CurvePoint, CurvePointModels, LearningCurveSection};
use super::fairness::GapRow;
use super::figures::{Slice, SliceFigure, SliceKind};
use super::importance::{Importance, ImportanceSection};
use super::model::{CohortCell, Report};
use super::shortcuts::{ShiftSection, ShortcutFound, ShortcutsSection};
use super::values::{Count, Estimate};

/// A table as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvFile {
    /// The file's name.
    pub name: &'static str,
    /// Its bytes: UTF-8, commas, a header.
    pub bytes: Vec<u8>,
}

/// What a slice's columns are called.
const SLICE: [&str; 4] = ["class", "slice_kind", "column", "slice"];
/// What an estimate's columns are called.
const ESTIMATE: [&str; 5] = ["value", "low", "high", "state", "reason"];

impl Report {
    /// All numbers that the report shows as tables, from it alone.
    pub fn to_csv(&self) -> Vec<CsvFile> {
        vec![
            self.figures_table(),
            self.gaps_table(),
            self.cohort_table(),
            self.calls_table(),
            self.classes_table(),
            self.confusion_table(),
            self.roc_table(),
            self.calibration_table(),
            self.uncertainty_table(),
            self.learning_curve_table(),
            self.shortcuts_table(),
            self.shift_table(),
            self.importance_table(),
        ]
    }

    fn figures_table(&self) -> CsvFile {
        let header = [&SLICE[..], &["metric"], &ESTIMATE].concat();
        let line = |SliceFigure { slice, metric, estimate }: SliceFigure<'_>| {
            let mut line = of_slice(&slice);
            line.push(metric.to_owned());
            line.extend(of_estimate(estimate));
            line
        };
        file("figures.csv", &header, self.figures().into_iter().map(line))
    }

    fn gaps_table(&self) -> CsvFile {
        let about = ["class", "column", "gap"];
        let more = [
            "ratio",
            "lowest",
            "highest",
            "compared",
            "verdict",
            "chance_limit",
            "chance_mean",
            "p",
        ];
        let mut lines = Vec::new();
        for section in &self.fairness {
            for (column, gap) in section.gaps() {
                lines.push(of_gap(&section.class, column, gap));
            }
            for table in &section.crossed {
                for one in &table.compared {
                    let column = format!("{} x {}, {}", table.rows, table.columns, one.of);
                    lines.extend(one.gaps.iter().map(|gap| of_gap(&section.class, &column, gap)));
                }
            }
        }
        file("gaps.csv", &[&about[..], &ESTIMATE, &more].concat(), lines)
    }

    /// A site, column, level or class that is empty stands for all of them.
    fn cohort_table(&self) -> CsvFile {
        let header = ["site", "column", "level", "class", "counted", "count", "state", "reason"];
        let cohort = &self.cohort;
        let mut lines = Vec::new();
        let mut add = |of: [&str; 3], cell: &CohortCell| {
            let mut counts = vec![("", "patients", cell.patients), ("", "images", cell.images)];
            let judged = match self.study.judged.name.as_str() {
                name if name == self.study.row => "images".to_owned(),
                name => format!("{name}s judged"),
            };
            if judged != "images" {
                counts.push(("", judged.as_str(), cell.judged));
            }
            let by_class =
                [("patients", &cell.patients_by_class), (judged.as_str(), &cell.judged_by_class)];
            for (counted, by_class) in by_class {
                let named = self.study.classes.iter().zip(by_class);
                counts.extend(named.map(|(class, count)| (class.as_str(), counted, *count)));
            }
            for (class, counted, count) in counts {
                let mut line: Vec<String> = of.into_iter().map(str::to_owned).collect();
                line.extend([class.to_owned(), counted.to_owned()]);
                let state = if count.number().is_some() { "known" } else { "withheld" };
                line.extend([whole(count), state.to_owned(), count.why().to_owned()]);
                lines.push(line);
            }
        };
        add([""; 3], &cohort.all);
        for column in &cohort.subgroups {
            for level in &column.levels {
                add(["", &column.name, &level.level], &level.cell);
            }
        }
        for site in &cohort.sites {
            add([site.site.as_str(), "", ""], &site.cell);
            for (column, cells) in cohort.subgroups.iter().zip(&site.subgroups) {
                for (level, cell) in column.levels.iter().zip(cells) {
                    add([site.site.as_str(), &column.name, &level.level], cell);
                }
            }
        }
        file("cohort.csv", &header, lines)
    }

    fn calls_table(&self) -> CsvFile {
        let counts = [
            "negative_patients",
            "positive_patients",
            "negative_images",
            "positive_images",
            "true_positives",
            "false_positives",
            "true_negatives",
            "false_negatives",
        ];
        // Where exams or patients are judged, those are what is counted as images here.
        let header = [&SLICE[..], &counts, &["judged", "reason"]].concat();
        let lines = self.slices().into_iter().map(|(slice, row)| {
            let (patients, images, calls) = (&row.patients, &row.images, &row.confusion);
            let counts = [
                patients.negative,
                patients.positive,
                images.negative,
                images.positive,
                calls.true_positives,
                calls.false_positives,
                calls.true_negatives,
                calls.false_negatives,
            ];
            let mut line = of_slice(&slice);
            line.extend(counts.map(whole));
            line.push(self.study.judged.name.clone());
            let why = counts.iter().map(Count::why).find(|why| !why.is_empty());
            line.push(why.unwrap_or_default().to_owned());
            line
        });
        file("calls.csv", &header, lines)
    }

    fn roc_table(&self) -> CsvFile {
        let point = ["point", "false_positive_rate", "true_positive_rate", "state", "reason"];
        let mut lines = Vec::new();
        for (slice, row) in self.slices() {
            let shown = row.roc.points().iter().map(|rates| rates.map(|rate| rate.to_string()));
            lines.extend(of_points(&slice, shown.collect(), row.roc.state()));
        }
        file("roc.csv", &[&SLICE[..], &point].concat(), lines)
    }

    fn calibration_table(&self) -> CsvFile {
        let bin = ["bin", "from", "images", "predicted", "observed", "state", "reason"];
        let mut lines = Vec::new();
        // There is no such curve of single sites and subgroups.
        let all = self.slices().into_iter().filter(|(slice, _)| slice.kind == SliceKind::AllSites);
        for (section, (slice, _)) in self.pooled.iter().zip(all) {
            let shown = section.reliability.bins().iter().map(|bin| {
                let [from, predicted, observed] =
                    [bin.from, bin.predicted, bin.observed].map(|share| share.to_string());
                [from, bin.images.to_string(), predicted, observed]
            });
            lines.extend(of_points(&slice, shown.collect(), section.reliability.state()));
        }
        file("calibration.csv", &[&SLICE[..], &bin].concat(), lines)
    }
}

impl Report {
    /// Means over classes, and figures of the class with the largest probability.
    fn classes_table(&self) -> CsvFile {
        let header = [&["kind", "of", "metric", "average"][..], &ESTIMATE].concat();
        let mut lines = Vec::new();
        if let ClassesSection::Several { means, calls } = &self.classes {
            let mut add = |of: [&str; 4], estimate: &Estimate| {
                let mut line: Vec<String> = of.map(str::to_owned).into();
                line.extend(of_estimate(estimate));
                lines.push(line);
            };
            for row in means {
                for mean in &row.means {
                    let average = mean.average.word();
                    add(["against-the-rest", &row.of, &mean.name, average], &mean.estimate);
                }
            }
            if let CallsSection::Asked { figures, .. } = calls {
                for row in figures {
                    for named in &row.figures {
                        add(["largest", &row.of, &named.name, ""], &named.estimate);
                    }
                }
            }
        }
        file("classes.csv", &header, lines)
    }

    /// What is judged, of all sites, by class and call.
    fn confusion_table(&self) -> CsvFile {
        let mut lines = Vec::new();
        if let ClassesSection::Several {
            calls: CallsSection::Asked { classes, counts, .. }, ..
        } = &self.classes
        {
            for (class, counts) in classes.iter().zip(counts) {
                for (call, count) in classes.iter().zip(counts) {
                    let (class, call) = (class.clone(), call.clone());
                    lines.push(vec![class, call, whole(*count), count.why().to_owned()]);
                }
            }
        }
        file("confusion.csv", &["class", "called", "count", "reason"], lines)
    }
}

impl Report {
    /// Recalibration by method, conformal sets by what their limits are from, thresholds of sites and subgroups by themselves, and
    /// calls by the share that is kept.
    fn uncertainty_table(&self) -> CsvFile {
        let header = [&["class", "kind", "how", "of", "metric"][..], &ESTIMATE].concat();
        let mut lines = Vec::new();
        for section in &self.uncertainty {
            let mut add = |kind: &str, how: &str, of: &str, figures: &[(&str, &Estimate)]| {
                for (metric, estimate) in figures {
                    let mut line: Vec<String> =
                        [&section.class, kind, how, of, metric].map(str::to_owned).into();
                    line.extend(of_estimate(estimate));
                    lines.push(line);
                }
            };
            for one in &section.recalibrated {
                let figures = [
                    ("brier", &one.brier),
                    ("log_loss", &one.log_loss),
                    ("ece", &one.ece),
                    ("ece_equal_mass", &one.ece_equal_mass),
                ];
                add("recalibrated", one.method.word(), "all sites", &figures);
            }
            for one in &section.conformal {
                let figures = [
                    ("coverage", &one.coverage),
                    ("coverage_negative", &one.coverage_negative),
                    ("coverage_positive", &one.coverage_positive),
                    ("both", &one.both),
                ];
                add("conformal", &one.limits, &one.of, &figures);
            }
            for one in &section.own_thresholds {
                let common = [("sensitivity", &one.sensitivity), ("specificity", &one.specificity)];
                let own =
                    [("sensitivity", &one.own_sensitivity), ("specificity", &one.own_specificity)];
                add("threshold", "common", &one.of, &common);
                add("threshold", "own", &one.of, &own);
            }
            for one in &section.abstention {
                let figures =
                    [("sensitivity", &one.sensitivity), ("specificity", &one.specificity)];
                add("kept", &one.kept.to_string(), "all sites", &figures);
            }
        }
        file("uncertainty.csv", &header, lines)
    }
}

impl Report {
    /// What models of parts of the training patients come to; the last line of a class is the gain of the last step.
    fn learning_curve_table(&self) -> CsvFile {
        let header = [&["class", "share", "about_patients", "metric"][..], &ESTIMATE].concat();
        let mut lines = Vec::new();
        if let LearningCurveSection::Asked { classes, .. } = &self.learning_curve {
            for class in classes {
                let mut add = |share: f64, patients: String, metric: &str, rest: [String; 5]| {
                    let start = [class.class.clone(), number(Some(share)), patients, metric.into()];
                    lines.push(start.into_iter().chain(rest).collect());
                };
                for CurvePoint { share, about_patients, models } in &class.steps {
                    let patients = about_patients.to_string();
                    match models {
                        CurvePointModels::Judged { auc_within_sites, auc_one_list } => {
                            let within = of_estimate(auc_within_sites);
                            add(*share, patients.clone(), "auc_within_sites", within);
                            add(*share, patients, "auc_one_list", of_estimate(auc_one_list));
                        }
                        CurvePointModels::Unfit { reason } => {
                            let empty = || String::new();
                            let why =
                                [empty(), empty(), empty(), "undefined".into(), reason.clone()];
                            add(*share, patients, "auc_within_sites", why);
                        }
                    }
                }
                add(1.0, String::new(), "gain_of_last_step", of_estimate(&class.last_gain));
            }
        }
        file("learning_curve.csv", &header, lines)
    }
}

impl Report {
    /// How well features tell each site and level, and how well each class's score does among rows with and without the class.
    fn shortcuts_table(&self) -> CsvFile {
        let header =
            [&["column", "of", "told_by", "class", "among"][..], &ESTIMATE, &["p"]].concat();
        let mut lines = Vec::new();
        if let ShortcutsSection::Asked { columns, .. } = &self.shortcuts {
            let rows = columns.iter().flat_map(|column| {
                column.levels.iter().map(move |row| (&column.name, &row.of, &row.found))
            });
            for (column, of, found) in rows {
                let mut add = |told_by: [&str; 3], rest: [String; 5], p: Option<f64>| {
                    let mut line = vec![column.clone(), of.clone()];
                    line.extend(told_by.map(str::to_owned));
                    line.extend(rest);
                    line.push(number(p));
                    lines.push(line);
                };
                let ShortcutFound::Judged { auc, follows } = found else {
                    let empty = || String::new();
                    let why = [empty(), empty(), empty(), "not-judged".into(), found.why().into()];
                    add(["features", "", ""], why, None);
                    continue;
                };
                add(["features", "", ""], of_estimate(auc), None);
                for follow in follows {
                    for (among, one) in follow.both() {
                        add(["score", &follow.class, among], of_estimate(&one.auc), one.p);
                    }
                }
            }
        }
        file("shortcuts.csv", &header, lines)
    }

    /// How far sites lie apart, and how often classes are there.
    fn shift_table(&self) -> CsvFile {
        let header = [&["site", "from", "class", "metric"][..], &ESTIMATE].concat();
        let mut lines = Vec::new();
        if let ShiftSection::Known { sites, pairs, prevalence } = &self.shift {
            let mut add = |of: [&str; 4], estimate: &Estimate| {
                let mut line: Vec<String> = of.map(str::to_owned).into();
                line.extend(of_estimate(estimate));
                lines.push(line);
            };
            for row in sites {
                for (metric, estimate) in row.features.estimates() {
                    add([row.site.as_str(), "all others", "", metric], &estimate);
                }
            }
            for row in pairs {
                for (other, distance) in pairs.iter().zip(&row.distances) {
                    let of = [row.site.as_str(), other.site.as_str(), "", "root_mean_square"];
                    add(of, distance);
                }
            }
            for row in prevalence {
                for one in &row.sites {
                    add([one.site.as_str(), "", &row.class, "prevalence"], &one.share);
                }
            }
        }
        file("shift.csv", &header, lines)
    }
}

impl Report {
    /// The features that each class's model looks at most, or why there are none.
    fn importance_table(&self) -> CsvFile {
        let header =
            ["class", "share_of", "rank", "feature", "subgroups", "share", "state", "reason"];
        let mut lines = Vec::new();
        for ImportanceSection { class, found } in &self.importance {
            match found {
                Importance::Unknown { reason } => {
                    let line = [class, "", "", "", "", "", "unknown", reason];
                    lines.push(line.map(str::to_owned).into());
                }
                Importance::Shares { of, largest, .. } => {
                    lines.extend((1..).zip(largest).map(|(rank, one): (u32, _)| {
                        vec![
                            class.clone(),
                            of.word().to_owned(),
                            rank.to_string(),
                            one.feature.clone(),
                            one.subgroups.join("; "),
                            one.share.to_string(),
                            "known".to_owned(),
                            String::new(),
                        ]
                    }));
                }
            }
        }
        file("importance.csv", &header, lines)
    }
}

/// A gap's line of `gaps.csv`.
fn of_gap(class: &str, column: &str, gap: &GapRow) -> Vec<String> {
    let mut line = vec![class.to_owned(), column.to_owned(), gap.name.clone()];
    line.extend(of_estimate(&gap.difference));
    line.push(number(gap.ratio.value()));
    line.extend([gap.lowest.clone(), gap.highest.clone(), gap.compared.join("; ")]);
    line.push(gap.verdict.word().to_owned());
    let chance = gap.verdict.chance();
    line.extend((0..3).map(|at| number(chance.map(|chance| chance[at]))));
    line
}

/// Lines of a curve with numbered points, or one that says why there is none.
fn of_points<const N: usize>(
    slice: &Slice,
    points: Vec<[String; N]>,
    (state, why): (&str, &str),
) -> Vec<Vec<String>> {
    let line = |number: String, cells: [String; N]| {
        let mut line = of_slice(slice);
        line.push(number);
        line.extend(cells);
        line.extend([state.to_owned(), why.to_owned()]);
        line
    };
    if points.is_empty() {
        return vec![line(String::new(), [const { String::new() }; N])];
    }
    (1..).zip(points).map(|(number, cells): (u32, _)| line(number.to_string(), cells)).collect()
}

fn of_slice(slice: &Slice) -> Vec<String> {
    let kind = slice.kind.word().to_owned();
    vec![slice.class.clone(), kind, slice.column.clone(), slice.name.clone()]
}

fn of_estimate(estimate: &Estimate) -> [String; 5] {
    let [low, high] = match estimate.ends() {
        Some(ends) => ends.map(|end| end.to_string()),
        None => [String::new(), String::new()],
    };
    [number(estimate.value()), low, high, estimate.state().to_owned(), estimate.why()]
}

/// All digits that the report has.
fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn whole(count: Count) -> String {
    count.number().map_or(String::new(), |count| count.to_string())
}

fn file(
    name: &'static str,
    header: &[&str],
    lines: impl IntoIterator<Item = Vec<String>>,
) -> CsvFile {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |line: &mut dyn Iterator<Item = &str>| {
        writer.write_record(line).expect("lines are as long as the header, and memory takes them");
    };
    write(&mut header.iter().copied());
    for line in lines {
        write(&mut line.iter().map(String::as_str));
    }
    let bytes = writer.into_inner().expect("memory takes what is written");
    CsvFile { name, bytes }
}
