//! The result table for a terminal: the report's figures in at most 100 columns.

use wardround_learn::metrics::called::CALLED;
use wardround_learn::metrics::recalibrate::Method;
use wardround_learn::metrics::registry::metric;
use wardround_privacy::suppress::Reason;

use super::classes::{CallsSection, ClassesSection};
use super::comparison::{ComparisonSection, DifferenceRow, RankedClass};
use super::curve::{CurvePointModels, LearningCurveSection};
use super::html::verdict;
use super::importance::Importance;
use super::joining::{MatrixModels, MatrixSection, OwnSiteModel, OwnSitesSection, TrainedOn};
use super::model::{DataKind, FigureRow, Report};
use super::notes::notes;
use super::outliers::OutlierSection;
use super::readers::{ReadersRow, ReadersSection};
use super::shortcuts::{ShiftSection, ShortcutFound, ShortcutsSection, ShownDistance};
use super::together::SitesTogether;
use super::values::{Count, Estimate, decimal, grouped, p_value};
use super::warnings::warnings;

/// Widest line, in characters.
const WIDTH: usize = 100;

/// Features that are listed at most.
const FEATURES: usize = 5;

/// The whole table.
pub(super) fn table(report: &Report) -> String {
    let mut out = Lines::default();
    let (study, all) = (&report.study, &report.cohort.all);
    out.wrapped("", &format!("{} (study {})", study.name, study.id));
    if let Some(notice) = report.edition.notice() {
        out.wrapped("", notice);
    }
    if report.data == DataKind::Synthetic {
        out.wrapped("", "Synthetic data: phantoms drawn by a generator, no patients.");
    }
    let sites = report.cohort.sites.len();
    out.wrapped(
        "",
        &format!(
            "{} {}s, {} {}s, {sites} site{}",
            all.patients,
            study.unit,
            all.images,
            study.row,
            if sites == 1 { "" } else { "s" }
        ),
    );
    if study.judged.name != study.row {
        out.wrapped("", &study.judged.sentence);
    }
    for line in report.evaluation.sentences() {
        out.wrapped("", &plain(&line));
    }
    compared(report, &mut out);
    classes(report, &mut out);
    for note in notes(report) {
        out.wrapped("", &note);
    }
    for at in 0..report.models.len() {
        target(report, at, &mut out);
    }
    shortcuts(report, &mut out);
    unlike(report, &mut out);
    readers(report, &mut out);
    out.wrapped("", "");
    out.wrapped("", "For whom it isn't:");
    for line in warnings(report) {
        out.wrapped("  ", &format!("- {}", plain(&line)));
    }
    out.wrapped("", "");
    out.wrapped("", &format!("{}.", report.protection.sentence));
    numbers(report, &mut out);
    for (loosening, sites) in report.protection.by_rule() {
        let (rule, now, default) = (&loosening.rule, &loosening.now, &loosening.default);
        out.wrapped("  ", &format!("loosened: {rule} = {now} (default {default}) at {sites}"));
    }
    let statements = &report.statements;
    if !statements.written.is_empty() {
        let (written, missing) = (statements.written.len(), statements.missing.len());
        let of = written + missing;
        out.wrapped(
            "",
            &format!(
                "Statements of the study's lead: {written} of {of} written; the page has them."
            ),
        );
    }
    out.text
}

/// The classifiers, best first.
fn compared(report: &Report, out: &mut Lines) {
    let ComparisonSection::Several(compared) = &report.comparison else { return };
    out.wrapped("", "");
    out.wrapped("", &verdict(report, compared));
    let best = compared.ranking.first().map_or("", |one| one.name.as_str());
    let rows = compared.ranking.iter().map(|one| {
        let less = compared.differences.iter().find(|d| d.first == best && d.second == one.name);
        let mean = |of: fn(&RankedClass) -> &Estimate| {
            let values: Option<Vec<f64>> =
                one.classes.iter().map(|class| of(class).value()).collect();
            let mean = |v: Vec<f64>| decimal(v.iter().sum::<f64>() / v.len().max(1) as f64);
            values.map_or("-".to_owned(), mean)
        };
        let auc = match one.auc.ends() {
            Some([low, high]) => format!("{} ({low:.3}-{high:.3})", one.auc.short()),
            None => cell(&one.auc),
        };
        let p = |row: &DifferenceRow| row.p.map_or("-".to_owned(), p_value);
        vec![
            one.name.clone(),
            auc,
            less.map_or(String::new(), |row| cell(&row.auc)),
            less.map_or(String::new(), p),
            mean(|class| &class.brier),
            mean(|class| &class.ece),
            grouped(one.cost.rounds),
            super::values::bytes(one.cost.bytes_up + one.cost.bytes_down),
        ]
    });
    let head = ["classifiers", "AUC (95 %)", "less", "p", "Brier", "ECE", "rounds", "bytes"];
    out.columns(&head, rows.collect());
}

/// Means over classes and figures of the class with the largest probability, all sites.
fn classes(report: &Report, out: &mut Lines) {
    let ClassesSection::Several { means, calls } = &report.classes else { return };
    if let Some(all) = means.first() {
        let rows = all.means.iter().map(|mean| {
            let words = metric(&mean.name).map_or(mean.name.as_str(), |metric| metric.words);
            let name = format!("{words}, {}", mean.average.word());
            vec![name, mean.estimate.short(), mean.estimate.interval_text()]
        });
        out.wrapped("", "");
        out.columns(&["means over classes, all sites", "", "95 % interval"], rows.collect());
    }
    let CallsSection::Asked { classes, counts, figures, .. } = calls else { return };
    if let Some(all) = figures.first() {
        let rows = CALLED.iter().zip(&all.figures).map(|(metric, named)| {
            let estimate = &named.estimate;
            vec![metric.words.to_owned(), estimate.short(), estimate.interval_text()]
        });
        out.wrapped("", "");
        out.columns(&["class of the largest probability", "", "95 % interval"], rows.collect());
    }
    let rows = classes.iter().zip(counts).map(|(class, counts)| {
        std::iter::once(class.clone()).chain(counts.iter().map(Count::to_string)).collect()
    });
    let head: Vec<&str> =
        std::iter::once("class, called").chain(classes.iter().map(String::as_str)).collect();
    out.wrapped("", "");
    out.columns(&head, rows.collect());
}

/// How well features tell sites and levels, how far the scores follow at most, and how far sites lie apart.
fn shortcuts(report: &Report, out: &mut Lines) {
    if let ShortcutsSection::Unfit { reason } = &report.shortcuts {
        out.wrapped("", "");
        out.wrapped(
            "",
            &format!("Shortcuts: models that tell sites and subgroups have no solution: {reason}."),
        );
    }
    if let ShortcutsSection::Asked { columns, .. } = &report.shortcuts {
        let levels = columns.iter().flat_map(|one| one.levels.iter().map(move |row| (one, row)));
        let rows = levels.filter_map(|(column, row)| {
            let ShortcutFound::Judged { auc, follows } = &row.found else { return None };
            let told = match auc.ends() {
                Some([low, high]) => format!("{} ({low:.3}-{high:.3})", auc.short()),
                None => cell(auc),
            };
            let all = follows.iter().flat_map(|follow| follow.both().map(|(_, one)| (follow, one)));
            let known = all.filter_map(|(follow, one)| Some((follow, one, one.auc.value()?)));
            let farthest = known.max_by(|a, b| (a.2 - 0.5).abs().total_cmp(&(b.2 - 0.5).abs()));
            let (follows, of, p) = match farthest {
                None => ("-".to_owned(), String::new(), "-".to_owned()),
                Some((follow, one, _)) => {
                    (cell(&one.auc), follow.class.clone(), one.p.map_or("-".to_owned(), p_value))
                }
            };
            Some(vec![format!("{} {}", column.name, row.of), told, follows, of, p])
        });
        let rows: Vec<Vec<String>> = rows.collect();
        if !rows.is_empty() {
            out.wrapped("", "");
            let head = [
                "shortcuts: how well told",
                "by features (95 %)",
                "by the score of one class",
                "of",
                "p",
            ];
            out.columns(&head, rows);
        }
    }
    let ShiftSection::Known { sites, .. } = &report.shift else { return };
    let rows = sites.iter().filter_map(|row| match &row.features {
        ShownDistance::Known { root_mean_square, by_chance, beyond_small, .. } => Some(vec![
            row.site.to_string(),
            decimal(*root_mean_square),
            decimal(*by_chance),
            format!("{:.1} %", 100.0 * beyond_small),
        ]),
        ShownDistance::Withheld { .. } => None,
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        out.wrapped("", "");
        out.columns(&["features beside other sites'", "r.m.s.", "by chance", "beyond 0.2"], rows);
    }
}

fn target(report: &Report, at: usize, out: &mut Lines) {
    let (model, pooled) = (&report.models[at], &report.pooled[at]);
    out.wrapped("", "");
    out.wrapped(
        "",
        &format!(
            "{}: {} against the rest. {}: {}, {}threshold {:.3} for {}",
            report.study.target,
            model.class,
            if report.evaluation.is_judged() { "Judged" } else { "Chosen" },
            model.chosen.point.line(),
            model.chosen.zeros_in_words().map_or(String::new(), |words| format!("{words}, ")),
            model.chosen.threshold,
            report.study.threshold_for
        ),
    );
    if let Some(last) = model.races.iter().find(|race| race.of == "final model") {
        let most = last.trials.iter().map(|trial| trial.folds).max().unwrap_or(0);
        let judged = last.trials.iter().filter(|trial| trial.folds == most).count();
        let tried = last.trials.len();
        out.wrapped(
            "",
            &format!("{tried} grid points raced; {judged} of them came to be judged on all folds"),
        );
    }
    let chosen = model.used_for_choosing.iter().position(|row| row.chosen);
    if let Some(stopped) = chosen.and_then(|point| model.trees.of(point)) {
        let folds = stopped.folds.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        out.wrapped(
            "",
            &format!(
                "Growing stopped early, by the log loss of held-out rows, at {} trees; in the nested folds at {folds}",
                stopped.all
            ),
        );
    }
    let three = [
        (
            if report.evaluation.is_judged() { "within sites" } else { "within sites (nested)" },
            &pooled.auc_within_sites,
        ),
        ("all sites in one list", &pooled.auc_one_list),
        ("the site alone, in one list", &pooled.auc_site_only),
    ];
    let rows = three.map(|(name, estimate)| {
        let why = estimate.why();
        let rest = if why.is_empty() { estimate.interval_text() } else { why };
        vec![name.to_owned(), estimate.short(), rest]
    });
    out.columns(&["AUC", "", "95 % interval"], rows.into());
    out.wrapped("", "");

    let mut rows = Vec::new();
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |name: String, figures: &FigureRow| {
        note(&name, figures, &mut notes);
        rows.push(row(name, figures));
    };
    add("all sites".into(), &pooled.figures);
    for site in &report.sites[at].sites {
        add(format!("at {}", site.site), &site.figures);
    }
    for column in &report.subgroups[at].columns {
        for level in &column.levels {
            add(format!("{} {}", column.name, level.level), &level.figures);
        }
    }
    for site in &report.leave_one_site_out[at].sites {
        add(format!("left out: {}", site.site), &site.figures);
    }
    let (patients, images) =
        (format!("{}s -/+", report.study.unit), format!("{}s -/+", report.study.judged.name));
    let how = if report.evaluation.is_judged() { "finished model" } else { "nested folds" };
    let head = [how, &patients, &images, "AUC (95 %)", "sens.", "spec.", "Brier", "ECE"];
    out.columns(&head, rows);
    for (note, rows) in notes {
        out.wrapped("  ", &format!("- {}: {note}", rows.join(", ")));
    }
    together(&report.sites[at].together, out);
    more(&pooled.figures, out);
    unsure(report, at, out);
    by_two_columns(report, at, out);
    own_sites(report, at, out);
    matrix(report, at, out);
    learning_curve(report, at, out);
    looks_at(report, at, out);
}

/// What the sites' AUCs say of sites like them.
fn together(together: &SitesTogether, out: &mut Lines) {
    let SitesTogether { sites, auc, another_site, i_squared, .. } = together;
    let (Some([low, high]), Some(i_squared)) = (auc.ends(), i_squared.value()) else { return };
    let expected = another_site.ends().map_or(String::new(), |[low, high]| {
        format!("; another site's is expected from {low:.3} to {high:.3}")
    });
    out.wrapped(
        "",
        &format!(
            "Mean AUC of {sites} sites {} ({low:.3} to {high:.3}), {:.0} % of its variance between sites{expected}",
            auc.short(),
            100.0 * i_squared
        ),
    );
}

/// Metrics that the terminal has of all sites alone; the page has all of every row.
const MORE: [&str; 6] = [
    "average_precision_score",
    "ppv",
    "npv",
    "calibration_slope",
    "calibration_in_the_large",
    "expected_calibration_error_if_calibrated",
];

/// Some of the metrics that have no column.
fn more(figures: &FigureRow, out: &mut Lines) {
    let known = figures.more.iter().filter(|named| named.estimate.value().is_some());
    let wanted = known.filter(|named| MORE.contains(&named.name.as_str()));
    let rows: Vec<Vec<String>> = wanted
        .filter_map(|named| {
            let metric = metric(&named.name)?;
            Some(vec![metric.words.to_owned(), named.estimate.short()])
        })
        .collect();
    if !rows.is_empty() {
        out.wrapped("", "");
        out.columns(&["all sites in one list", ""], rows);
    }
}

/// What recalibration and conformal sets come to, all sites in one list.
fn unsure(report: &Report, at: usize, out: &mut Lines) {
    let section = &report.uncertainty[at];
    let ece = |method| section.recalibrated.iter().find(|one| one.method == method);
    if let (Some(as_is), Some(platt)) = (ece(Method::Nothing), ece(Method::Platt))
        && let (Some(before), Some(after)) = (as_is.ece.value(), platt.ece.value())
    {
        out.wrapped(
            "",
            &format!(
                "Platt's recalibration takes the ECE from {before:.3} to {after:.3} (cross-fitted)"
            ),
        );
    }
    if let Some(sets) = section.conformal.first()
        && let Some(coverage) = sets.coverage.value()
    {
        out.wrapped(
            "",
            &format!(
                "Conformal sets hold the right class in {coverage:.3} ({:.1} wanted); both classes in {}",
                section.coverage_wanted,
                sets.both.short()
            ),
        );
    }
}

/// How outliers are told, and where there are more of them.
fn unlike(report: &Report, out: &mut Lines) {
    let Some(words) = report.outliers.words(&report.study.row) else { return };
    out.wrapped("", "");
    out.wrapped("", &words);
    let OutlierSection::Measured { beyond, sites, .. } = &report.outliers else { return };
    let mut rows = vec![vec!["all sites".to_owned(), cell(beyond)]];
    rows.extend(sites.iter().map(|one| vec![format!("at {}", one.site), cell(&one.beyond)]));
    out.columns(&["outliers", "share"], rows);
}

/// The features with the largest shares; the page has more of them, and how to read them.
fn looks_at(report: &Report, at: usize, out: &mut Lines) {
    let found = &report.importance[at].found;
    out.wrapped("", "");
    let Importance::Shares { of, features, largest, .. } = found else {
        for line in found.sentences(report) {
            out.wrapped("", &plain(&line));
        }
        return;
    };
    let rows = largest.iter().take(FEATURES).map(|one| {
        let mark = clipped(&printable(&one.mark()), 30);
        vec![one.feature.clone(), format!("{:.1} %", 100.0 * one.share), mark]
    });
    let head = format!("what the model looks at, of {} features", grouped(u64::from(*features)));
    out.columns(&[&head, of.short(), ""], rows.collect());
}

/// Cells of two columns, and what isn't judged of them.
fn by_two_columns(report: &Report, at: usize, out: &mut Lines) {
    for table in &report.fairness[at].crossed {
        let rows = table.cells.iter().map(|one| {
            let mut cells = vec![one.words()];
            let auc = one.figures.first().map(|named| &named.estimate);
            cells.push(auc.map_or(String::new(), |auc| match auc.ends() {
                Some([low, high]) => format!("{} ({low:.3}-{high:.3})", auc.short()),
                None => cell(auc),
            }));
            cells.extend(one.figures.iter().skip(1).map(|named| cell(&named.estimate)));
            cells
        });
        let rows: Vec<Vec<String>> = rows.collect();
        out.wrapped("", "");
        let name = table.words();
        let head = [name.as_str(), "AUC (95 %)", "sens.", "spec.", "positive", "calibration"];
        match rows.is_empty() {
            true => out.wrapped("", &format!("{name}: no cell is judged")),
            false => out.columns(&head, rows),
        }
        for why in table.not_judged_by_reason() {
            out.wrapped("  ", &format!("- not judged: {why}"));
        }
    }
}

/// Each site's own model beside the federated one.
fn readers(report: &Report, out: &mut Lines) {
    let ReadersSection::Asked { tables, .. } = &report.readers else { return };
    for table in tables {
        let ReadersRow { images, agreement, kappa, .. } = &table.all;
        out.wrapped(
            "",
            &format!(
                "Two readers of {images} {}s ({}): Cohen's kappa {kappa}, agreement {agreement}",
                report.study.row,
                table.classes.join(", "),
            ),
        );
    }
}

fn own_sites(report: &Report, at: usize, out: &mut Lines) {
    let OwnSitesSection::Asked { classes, .. } = &report.own_sites else { return };
    let mut notes = Vec::new();
    let rows = classes[at].sites.iter().map(|row| {
        let site = row.site.to_string();
        match &row.model {
            OwnSiteModel::Fitted { own, federated, gain } => {
                let auc = match own.auc.ends() {
                    Some([low, high]) => format!("{} ({low:.3}-{high:.3})", own.auc.short()),
                    None => cell(&own.auc),
                };
                let gained = match (gain.value(), gain.ends()) {
                    (Some(value), Some([low, high])) => {
                        format!("{value:+.3} ({low:+.3} to {high:+.3})")
                    }
                    (Some(value), None) => format!("{value:+.3}"),
                    (None, _) => "-".to_owned(),
                };
                vec![site, auc, cell(federated), gained, cell(&own.brier), cell(&own.ece)]
            }
            OwnSiteModel::Unfit { reason } => {
                notes.push(format!("- {site}: {reason}"));
                let mut cells = vec![site, "none".to_owned()];
                cells.resize(6, "-".to_owned());
                cells
            }
        }
    });
    let rows = rows.collect();
    out.wrapped("", "");
    let head = ["own model", "AUC (95 %)", "federated", "gain (95 %)", "own Brier", "own ECE"];
    out.columns(&head, rows);
    notes.iter().for_each(|note| out.wrapped("  ", note));
}

/// Columns of a matrix beside each other.
const COLUMNS: usize = 8;

/// Models of single sites at every site; columns are numbered as the lines are.
fn matrix(report: &Report, at: usize, out: &mut Lines) {
    let MatrixSection::Asked { classes, .. } = &report.matrix else { return };
    let class = &classes[at];
    for first in (0..class.judged_at.len()).step_by(COLUMNS) {
        let columns = first..class.judged_at.len().min(first + COLUMNS);
        let names = columns.clone().map(|column| format!("at {}", column + 1));
        let head: Vec<String> =
            std::iter::once("trained on, AUC".to_owned()).chain(names).collect();
        let rows = class.rows.iter().enumerate().map(|(number, row)| {
            let mut cells = vec![match &row.trained_on {
                TrainedOn::Site { site } => format!("{} {site}", number + 1),
                other => other.words(),
            }];
            cells.extend(columns.clone().map(|column| match &row.models {
                MatrixModels::Judged { auc } => cell(&auc[column]),
                MatrixModels::Refused | MatrixModels::Unfit { .. } => "-".to_owned(),
            }));
            cells
        });
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        out.wrapped("", "");
        out.columns(&head, rows.collect());
    }
    for row in class.rows.iter().filter(|row| !row.models.why().is_empty()) {
        out.wrapped("  ", &format!("- {}: {}", row.trained_on.words(), row.models.why()));
    }
}

/// What fewer patients would have come to.
fn learning_curve(report: &Report, at: usize, out: &mut Lines) {
    let LearningCurveSection::Asked { classes, .. } = &report.learning_curve else { return };
    let (class, unit) = (&classes[at], &report.study.unit);
    let rows = class.steps.iter().map(|step| {
        let mut cells = vec![format!("{:.0} %", 100.0 * step.share), grouped(step.about_patients)];
        match &step.models {
            CurvePointModels::Judged { auc_within_sites, auc_one_list } => {
                cells.extend([auc_within_sites, auc_one_list].map(cell));
            }
            CurvePointModels::Unfit { reason } => cells.extend(["-".to_owned(), reason.clone()]),
        }
        cells
    });
    let (of, about) = (format!("learned from, of {unit}s"), format!("about {unit}s"));
    out.wrapped("", "");
    out.columns(&[&of, &about, "AUC within sites", "one list"], rows.collect());
    out.wrapped("  ", &class.verdict(unit));
}

fn row(name: String, figures: &FigureRow) -> Vec<String> {
    let auc = match figures.auc.ends() {
        Some([low, high]) => format!("{} ({low:.3}-{high:.3})", figures.auc.short()),
        None => cell(&figures.auc),
    };
    vec![
        name,
        pair(figures.patients.negative, figures.patients.positive),
        pair(figures.images.negative, figures.images.positive),
        auc,
        cell(&figures.sensitivity),
        cell(&figures.specificity),
        cell(&figures.brier),
        cell(&figures.ece),
    ]
}

fn cell(estimate: &Estimate) -> String {
    if estimate.value().is_some() { estimate.short() } else { "-".to_owned() }
}

fn pair(negative: Count, positive: Count) -> String {
    match (negative, positive) {
        (Count::Shown(negative), Count::Shown(positive)) => {
            format!("{}/{}", grouped(negative), grouped(positive))
        }
        (Count::Withheld(_), _) => negative.to_string(),
        (_, Count::Withheld(_)) => positive.to_string(),
    }
}

/// Why figures of a row aren't there, once for all rows of which the same holds; that nobody is in a
/// row is said there.
fn note(name: &str, figures: &FigureRow, notes: &mut Vec<(String, Vec<String>)>) {
    if figures.auc == (Estimate::Withheld { reason: Reason::Empty }) {
        return;
    }
    let named = [
        ("AUC", &figures.auc),
        ("sensitivity", &figures.sensitivity),
        ("specificity", &figures.specificity),
        ("Brier", &figures.brier),
        ("ECE", &figures.ece),
    ];
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for (figure, estimate) in named.iter().filter(|(_, estimate)| estimate.value().is_none()) {
        let reason = format!("{}, {}", estimate.short(), estimate.why());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, figures)) => figures.push(figure),
            None => reasons.push((reason, vec![figure])),
        }
    }
    for (reason, which) in reasons {
        let note = if which.len() == named.len() {
            reason
        } else {
            format!("{} {reason}", which.join(", "))
        };
        match notes.iter_mut().find(|(known, _)| *known == note) {
            Some((_, rows)) => rows.push(name.to_owned()),
            None => notes.push((note, vec![name.to_owned()])),
        }
    }
}

fn numbers(report: &Report, out: &mut Lines) {
    let rows = report.rounds.sites.iter().map(|site| {
        vec![
            site.site.to_string(),
            grouped(site.rounds),
            grouped(site.numbers_sent),
            site.numbers_held.to_string(),
            super::values::bytes(site.bytes_up),
            super::values::bytes(site.bytes_down),
        ]
    });
    let head = ["site", "rounds", "numbers sent", "numbers held", "bytes up", "bytes down"];
    out.columns(&head, rows.collect());
}

/// Lines of at most [`WIDTH`] characters.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    /// Words, wrapped; a word that is too long by itself is cut.
    fn wrapped(&mut self, indent: &str, words: &str) {
        let mut line = indent.to_owned();
        for word in words.split_whitespace() {
            let mut word: String = printable(word);
            let room = WIDTH - indent.len();
            let empty = line.len() == indent.len();
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(&line);
                line = indent.to_owned();
            } else if !empty {
                line.push(' ');
            }
            if word.chars().count() > room {
                word = clipped(&word, room);
            }
            line.push_str(&word);
        }
        self.push(&line);
    }

    /// Aligned columns: the first to the left, the others to the right; names give way.
    fn columns(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        let head = head.iter().map(|&name| name.to_owned()).collect();
        let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
        let count = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; count];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let rest: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        if let Some(name) = widths.first_mut() {
            *name = (*name).min(WIDTH.saturating_sub(rest + 2));
        }
        for row in &rows {
            let mut line = String::from("  ");
            for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if at == 0 {
                    line.push_str(&format!("{:<width$}", clipped(&printable(cell), width)));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            self.push(&line);
        }
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// With straight quotation marks.
fn plain(text: &str) -> String {
    text.replace(['\u{2018}', '\u{2019}'], "'")
}

/// Without control characters: a name can't move the cursor or change colours.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        text.to_owned()
    } else {
        let kept: String = text.chars().take(width.saturating_sub(1)).collect();
        format!("{kept}\u{2026}")
    }
}
