//! The sections below the first screen.

use wardround_core::study::GridPoint;
use wardround_learn::findings::{StoppedTrees, TreeCounts};

use super::super::model::{
    CohortCell, Confusion, JudgedSection, MixedUnits, ModelSection, Report, SiteRow, StudySection,
    WeightsDigest,
};
use super::super::notes::notes;
use super::super::together::SitesTogether;
use super::super::values::{Count, bytes, decimal, grouped};
use super::first_screen::{counted, section_name, upper};
use super::markup::{Element, Markup, el};
use super::table::{Cell, count_cells, figure_cells, figure_columns, table};
use super::{
    classes, comparison, crosswalk, curve, decision, fairness, forest, importance, joining,
    metrics, outliers, readers, reliability, roc, shortcuts, uncertainty,
};

/// The sections below the first screen that the report has, each with the id of [`super::first_screen::CONTENTS`], in its order.
pub fn sections(report: &Report) -> Vec<(&'static str, Markup)> {
    let targets = 0..report.models.len();
    let each = |part: &dyn Fn(&Report, usize) -> Markup| -> Markup {
        targets.clone().map(|at| part(report, at)).collect()
    };
    let unsure = [each(&unsure), outliers::outliers(report)].into_iter().collect();
    let choosing = [noted(report), each(&choosing)].into_iter().collect();
    let all = [
        ("performance", Some(each(&performance))),
        ("classes", classes::classes(report)),
        ("classifiers", comparison::comparison(report)),
        ("sites", Some(each(&sites))),
        ("joining", joining::joining(report)),
        ("learning-curve", curve::curve(report)),
        ("subgroups", Some(each(&subgroups))),
        ("fairness", Some(each(&fair))),
        ("shortcuts", shortcuts::shortcuts(report)),
        ("uncertainty", Some(unsure)),
        ("left-out", Some(each(&left_out))),
        ("choosing", Some(choosing)),
        ("importance", Some(each(&importance::importance))),
        ("cohort", Some(cohort(report))),
        ("readers", readers::readers(report)),
        ("cost", Some(cost(report))),
        ("provenance", Some(provenance(report))),
        ("study", Some(study_file(report))),
        ("statements", Some(crosswalk::statements(&report.statements))),
        ("checklist", Some(crosswalk::crosswalk(report))),
    ];
    all.into_iter().filter_map(|(id, body)| Some((id, body?))).collect()
}

/// Everything below the first screen.
pub fn main(sections: Vec<(&'static str, Markup)>) -> Markup {
    let all = sections.into_iter().map(|(id, body)| section(id, section_name(id), body));
    el("main").add_all(all).into()
}

fn section(id: &'static str, title: &str, body: Markup) -> Element {
    el("section").attr("id", id).add(el("h2").text(title)).add(body)
}

fn target_heading(report: &Report, at: usize) -> Element {
    el("h3").text(format!("{}: {}", report.study.target, report.models[at].class))
}

fn performance(report: &Report, at: usize) -> Markup {
    let section = &report.pooled[at];
    let hidden = |row: &SiteRow| matches!(row.figures.patients.negative, Count::Withheld(_));
    let knows = if report.sites[at].sites.iter().any(hidden) {
        "what a score that knows only the site would reach; sites whose counts by class are \
         withheld are taken as one"
    } else {
        "what a score that knows only the site would reach"
    };
    let rows = [
        ("within sites", &section.auc_within_sites, "pairs of one site only"),
        ("all sites in one list", &section.auc_one_list, "pairs across sites too"),
        ("the site alone, in one list", &section.auc_site_only, knows),
    ];
    let auc = rows.map(|(name, estimate, meaning)| {
        vec![Cell::plain(name), Cell::estimate(estimate), Cell::plain(meaning)]
    });
    let figures = vec![row_of("all sites in one list", figure_cells(&section.figures))];
    el("div")
        .add(target_heading(report, at))
        .add(table(
            match report.evaluation.is_judged() {
                true => "Area under the ROC curve of the finished model: nothing was fitted to these rows here",
                false => {
                    "Area under the ROC curve of the chosen model, from nested folds: no fold had a part \
                     in choosing the model that is judged on it"
                }
            },
            &["counted over", "AUC (95 % interval)", "what it compares"],
            auc.into(),
        ))
        .add(figure_table(report, "All sites in one list", "", figures))
        .add(metrics::of_all("Other metrics, all sites in one list", &section.figures))
        .add(calls(report, at))
        .add(
            el("div")
                .attr("class", "pair")
                .add(roc::all_sites(report, at))
                .add(reliability::plot(report, at)),
        )
        .add(reliability::bins(report, at))
        .add(decision::decision(report, at))
        .into()
}

fn calls(report: &Report, at: usize) -> Markup {
    let cells = |confusion: &Confusion| {
        [
            confusion.true_positives,
            confusion.false_negatives,
            confusion.true_negatives,
            confusion.false_positives,
        ]
        .map(Cell::plain)
        .to_vec()
    };
    let mut rows = vec![row_of("all sites", cells(&report.pooled[at].figures.confusion))];
    let sites = report.sites[at].sites.iter();
    rows.extend(sites.map(|row| row_of(&row.site, cells(&row.figures.confusion))));
    table(
        &format!(
            "Calls at the thresholds chosen without these {}s, in {}s",
            report.study.unit, report.study.judged.name
        ),
        &["", "true positives", "false negatives", "true negatives", "false positives"],
        rows,
    )
}

fn sites(report: &Report, at: usize) -> Markup {
    let sites = &report.sites[at].sites;
    let rows = sites.iter().map(|row| row_of(&row.site, figure_cells(&row.figures))).collect();
    let more: Vec<_> = sites.iter().map(|row| (row.site.to_string(), &row.figures)).collect();
    el("div")
        .add(target_heading(report, at))
        .add(forest::forest(report, at))
        .add(figure_table(
            report,
            &format!("The model at each site, {}", report.evaluation.judged_how()),
            "site",
            rows,
        ))
        .add(together(&report.sites[at].together))
        .add(metrics::side_by_side("Other metrics at each site", &more))
        .add(roc::by_site(report, at))
        .into()
}

fn together(together: &SitesTogether) -> Markup {
    let rows = [
        (
            "mean of the sites' AUCs",
            &together.auc,
            "sites taken as drawn from many like them (random effects on the logit, Hartung and \
             Knapp's interval): each counts, not each patient",
        ),
        (
            "AUC of another site",
            &together.another_site,
            "where one more site's AUC is expected, 95 % (prediction interval)",
        ),
        ("tau", &together.tau, "standard deviation between sites, of the logit of the AUC"),
        (
            "I\u{b2}",
            &together.i_squared,
            "share of the variance of sites' AUCs that is between sites rather than chance",
        ),
    ];
    let rows = rows.map(|(name, estimate, says)| {
        vec![Cell::plain(name), Cell::estimate(estimate), Cell::plain(says)]
    });
    let caption =
        format!("What {} say of sites like them", counted(together.sites as usize, "site"));
    table(&caption, &["", "value (95 % interval)", "what it says"], rows.into())
}

fn subgroups(report: &Report, at: usize) -> Markup {
    let mut made = el("div").add(target_heading(report, at));
    if report.subgroups[at].columns.is_empty() {
        made = made.add(el("p").text("The study names no subgroup columns."));
    }
    for column in &report.subgroups[at].columns {
        let rows = column.levels.iter();
        let rows = rows.map(|row| row_of(&row.level, figure_cells(&row.figures))).collect();
        let caption = format!(
            "By {}, all sites in one list, {}",
            column.name,
            report.evaluation.judged_how()
        );
        let levels = column.levels.iter();
        let more: Vec<_> = levels.map(|row| (row.level.clone(), &row.figures)).collect();
        made = made
            .add(figure_table(report, &caption, &column.name, rows))
            .add(metrics::side_by_side(&format!("Other metrics by {}", column.name), &more));
    }
    made.into()
}

fn fair(report: &Report, at: usize) -> Markup {
    el("div").add(target_heading(report, at)).add(fairness::fairness(report, at)).into()
}

fn unsure(report: &Report, at: usize) -> Markup {
    el("div").add(target_heading(report, at)).add(uncertainty::uncertainty(report, at)).into()
}

fn left_out(report: &Report, at: usize) -> Markup {
    let rows = &report.leave_one_site_out[at].sites;
    if rows.is_empty() {
        let none = match report.evaluation.is_judged() {
            true => {
                "No site is left out where nothing is fitted: a site that had no part in the model\u{2019}s \
                 training is one already."
            }
            false => "The study doesn't leave sites out.",
        };
        return el("div").add(target_heading(report, at)).add(el("p").text(none)).into();
    }
    let figures = rows.iter().map(|row| row_of(&row.site, figure_cells(&row.figures))).collect();
    let points = &report.models[at].used_for_choosing;
    let chosen = rows.iter().flat_map(|row| {
        points.iter().zip(&row.auc_by_point).map(|(grid, auc)| {
            let chosen = grid.point == row.point;
            let site = if chosen { Cell::chosen(&row.site) } else { Cell::plain(&row.site) };
            let mut cells = vec![site];
            cells.extend(point_cells(&report.models[at], grid.point));
            cells.push(Cell::plain(if chosen { "chosen" } else { "" }));
            cells.push(Cell::plain(if chosen { decimal(row.threshold) } else { String::new() }));
            cells.push(Cell::estimate(auc));
            cells
        })
    });
    el("div")
        .add(target_heading(report, at))
        .add(figure_table(
            report,
            "Each site judged by a model that never saw it: grid point, scaler and threshold were \
             chosen without it",
            "site left out",
            figures,
        ))
        .add(table(
            "Every grid point fitted without the site and judged at it, and which was chosen \
             without it",
            &headings(
                &["site left out"],
                &report.models[at],
                &["", "threshold", "AUC at the site"],
            ),
            chosen.collect(),
        ))
        .into()
}

fn noted(report: &Report) -> Markup {
    notes(report).into_iter().map(|note| Markup::from(el("p").text(note))).collect()
}

fn choosing(report: &Report, at: usize) -> Markup {
    let model = &report.models[at];
    if report.evaluation.is_judged() {
        let elsewhere = "The model, its hyperparameters and its threshold were chosen by the study that fitted it; its \
                         report says how. Nothing was chosen here, so there are no folds and no grid.";
        return el("div").add(target_heading(report, at)).add(el("p").text(elsewhere)).into();
    }
    let grid = model.used_for_choosing.iter().map(|row| {
        let mut cells = point_cells(model, row.point);
        if row.chosen {
            cells[0] = Cell::chosen(row.point.words()[0].1.clone());
        }
        cells.push(Cell::plain(if row.chosen { "chosen" } else { "" }));
        cells.push(Cell::estimate(&row.auc_within_sites));
        cells.push(Cell::estimate(&row.auc_one_list));
        let folds: Vec<String> = row.folds.iter().map(|f| f.auc_within_sites.short()).collect();
        cells.push(Cell::plain(folds.join(" ")));
        cells
    });
    let nested = model.nested.iter().map(|fold| {
        let name = format!("repeat {}, fold {}", fold.figures.repeat, fold.figures.fold);
        let mut cells = row_of(name, point_cells(model, fold.point));
        cells.push(Cell::plain(decimal(fold.threshold)));
        cells.push(Cell::estimate(&fold.figures.auc_within_sites));
        cells.push(Cell::estimate(&fold.figures.auc_one_list));
        cells
    });
    let by = if report.study.chosen_by == "one-list" {
        "by the AUC of all sites in one list"
    } else {
        "by the AUC within sites"
    };
    el("div")
        .add(target_heading(report, at))
        .add(el("p").text(format!(
            "The grid was judged on plain out-of-fold scores and the model chosen {by}. These \
             figures were used for choosing, so they flatter the chosen point; the figure of the \
             chosen model is the nested one. Thresholds were chosen for {}, on scores of {}s that had no \
             part in the models, nor in the figures.",
            report.study.threshold_for, report.study.unit
        )))
        .add(table(
            "The grid: plain out-of-fold figures, used for choosing",
            &headings(
                &[],
                model,
                &["", "AUC within sites", "AUC, one list", "within sites, fold by fold"],
            ),
            grid.collect(),
        ))
        .add(table(
            "Nested folds: what was chosen without the fold, and how that did on it",
            &headings(&["fold"], model, &["threshold", "AUC within sites", "AUC, one list"]),
            nested.collect(),
        ))
        .add(stopped_trees(model))
        .add(races(model))
        .into()
}

fn races(model: &ModelSection) -> Markup {
    if model.races.is_empty() {
        return Markup::default();
    }
    let rows = model.races.iter().flat_map(|race| {
        let most = race.trials.iter().map(|trial| trial.folds).max();
        race.trials.iter().map(move |trial| {
            let last = Some(trial.folds) == most;
            let mut cells = vec![if last { Cell::chosen(&race.of) } else { Cell::plain(&race.of) }];
            cells.extend(point_cells(model, trial.point));
            cells.push(Cell::plain(trial.folds));
            cells.push(Cell::estimate(&trial.auc));
            cells
        })
    });
    table(
        "Races of grid points (successive halving): on how many held-out folds each was judged before it left, and how it did \
         on them. The ones that came furthest were chosen from",
        &headings(&["race for"], model, &["folds", "AUC"]),
        rows.collect(),
    )
}

fn stopped_trees(model: &ModelSection) -> Markup {
    let TreeCounts::Stopped { points } = &model.trees else { return Markup::default() };
    let list = |counts: &[u32]| {
        Cell::plain(counts.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
    };
    let rows = model.used_for_choosing.iter().zip(points).map(|(row, stopped)| {
        let mut cells = point_cells(model, row.point);
        if row.chosen {
            cells[0] = Cell::chosen(row.point.words()[0].1.clone());
        }
        let StoppedTrees { folds, left_out, all } = stopped;
        cells.extend([list(&[*all]), list(folds), list(left_out)]);
        cells
    });
    table(
        "Trees at which growing stopped early: where the log loss of rows was least that had no part in the \
         models, nor in their figures",
        &headings(&[], model, &["final model", "nested models, fold by fold", "without each site"]),
        rows.collect(),
    )
}

fn cohort(report: &Report) -> Markup {
    let (study, cohort) = (&report.study, &report.cohort);
    let mut columns = vec![String::new(), format!("{}s / {}s", study.unit, study.row)];
    let judged = &study.judged.name;
    if *judged != study.row {
        columns.push(format!("{judged}s judged"));
    }
    columns
        .extend(study.classes.iter().map(|class| format!("{class}: {}s / {judged}s", study.unit)));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let row = match study.row.as_str() {
        "row" => String::new(),
        other => format!("A row of the study is one {other}. "),
    };
    let count_cells = |cell: &CohortCell| count_cells(cell, *judged != study.row);
    let mut sites = vec![row_of("all sites", count_cells(&cohort.all))];
    sites.extend(cohort.sites.iter().map(|site| row_of(&site.site, count_cells(&site.cell))));
    let mut made = el("div")
        .add(
            el("p").text(format!("{row}Patients are counted as {}s. {}", study.unit, cohort.rules)),
        )
        .add(el("p").text(in_words(study, &cohort.mixed)))
        .add(table("By site", &columns, sites));
    for (at, column) in cohort.subgroups.iter().enumerate() {
        let mut rows = Vec::new();
        for (number, level) in column.levels.iter().enumerate() {
            rows.push(row_of(format!("{}, all sites", level.level), count_cells(&level.cell)));
            rows.extend(cohort.sites.iter().map(|site| {
                let name = format!("{}, {}", level.level, site.site);
                row_of(name, count_cells(&site.subgroups[at][number]))
            }));
        }
        made = made.add(table(&format!("By {} and site", column.name), &columns, rows));
    }
    let aside = cohort.sites.iter().flat_map(|site| {
        site.set_aside.iter().map(|aside| {
            let mut cells = row_of(&site.site, vec![Cell::plain(&aside.reason)]);
            cells.extend([aside.patients, aside.images].map(Cell::plain));
            cells
        })
    });
    let locks = cohort
        .sites
        .iter()
        .map(|site| row_of(&site.site, vec![Cell::plain(&site.device), Cell::code(site.lock)]));
    let [patients, images] = [format!("{}s", study.unit), format!("{}s", study.row)];
    made.add(table(
        "Set aside before the cohort was frozen",
        &["site", "reason", &patients, &images],
        aside.collect(),
    ))
    .add(table(
        "The frozen cohorts",
        &["site", "features computed on", "digest of the cohort's list"],
        locks.collect(),
    ))
    .into()
}

/// What is judged, and how many of it hold several classes.
fn in_words(study: &StudySection, mixed: &MixedUnits) -> String {
    let JudgedSection { name, sentence } = &study.judged;
    match mixed {
        MixedUnits::NotJudged => sentence.clone(),
        MixedUnits::Units { count, .. } => {
            format!("{sentence} {}s whose {}s differ in class: {count}.", upper(name), study.row)
        }
    }
}

fn cost(report: &Report) -> Markup {
    let rounds = &report.rounds;
    let sites = rounds.sites.iter().map(|site| {
        vec![
            Cell::plain(&site.site),
            Cell::plain(grouped(site.rounds)),
            Cell::plain(grouped(site.numbers_sent)),
            Cell::plain(site.numbers_held),
            Cell::plain(bytes(site.bytes_up)),
            Cell::plain(bytes(site.bytes_down)),
        ]
    });
    let each = rounds.rounds.iter().map(|round| {
        vec![
            Cell::plain(round.round),
            Cell::plain(&round.statistic),
            Cell::plain(grouped(round.numbers)),
            Cell::plain(bytes(round.bytes_up)),
            Cell::plain(bytes(round.bytes_down)),
            Cell::plain(format!("{} ms", grouped(round.took_ms))),
            Cell::code(round.query.short()),
        ]
    });
    el("div")
        .add(el("p").text(format!(
            "{} asked, {} of them for fitting {}. One fit at the largest C alone would have asked {}.",
            counted(rounds.queries as usize, "round"),
            grouped(rounds.fitting_queries),
            counted(rounds.models as usize, "model"),
            grouped(rounds.queries_of_slowest_fit),
        )))
        .add(table(
            "Per site",
            &["site", "rounds", "numbers sent", "numbers held", "to the coordinator", "from the coordinator"],
            sites.collect(),
        ))
        .add(table(
            "Per round, all sites",
            &["round", "statistic", "numbers per site", "to the coordinator", "from the coordinator", "took", "query"],
            each.collect(),
        ))
        .into()
}

fn provenance(report: &Report) -> Markup {
    let joined = |sites: &[wardround_core::ids::SiteId]| {
        sites.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let models = report.sites_of_every_model.iter();
    let models = models.map(|row| vec![Cell::plain(&row.model), Cell::plain(joined(&row.sites))]);
    let attempts = report.attempts.iter().map(|attempt| {
        vec![
            Cell::plain(attempt.attempt),
            Cell::plain(joined(&attempt.sites)),
            Cell::plain(&attempt.lost),
            Cell::plain(attempt.round),
            Cell::plain(&attempt.reason),
        ]
    });
    let digests = &report.digests;
    let mut rows = vec![
        vec![Cell::plain("study file"), Cell::code(report.study.digest)],
        vec![Cell::plain("model bundle"), Cell::code(digests.bundle)],
        vec![Cell::plain("journal's last entry"), Cell::code(digests.journal_head)],
    ];
    let weights =
        |name: &str, sha256| vec![Cell::plain(format!("weights of {name}")), Cell::code(sha256)];
    match &digests.weights {
        WeightsDigest::NoBackbone => {}
        WeightsDigest::Backbone { name, sha256 } => rows.push(weights(name, sha256)),
        WeightsDigest::Backbones { backbones } => {
            rows.extend(backbones.iter().map(|named| weights(&named.name, &named.sha256)));
        }
    }
    rows.extend(report.models.iter().map(|model| {
        vec![
            Cell::plain(format!("weights of the model for {}", model.class)),
            Cell::code(model.chosen.digest),
        ]
    }));
    let reports = digests.reports.iter();
    rows.extend(reports.map(|named| vec![Cell::plain(&named.name), Cell::code(named.sha256)]));
    el("div")
        .add(table("Sites of every model", &["model", "fitted on"], models.collect()))
        .add(table(
            "Runs given up before this one",
            &["attempt", "began with", "lost", "in round", "why"],
            attempts.collect(),
        ))
        .add(table("SHA-256 digests", &["of", "digest"], rows))
        .into()
}

fn study_file(report: &Report) -> Markup {
    let parsed = serde_json::to_string_pretty(&report.study.parsed)
        .expect("a value that was parsed or built can be written");
    el("div")
        .add(el("p").text(format!("As it was read; seed {}.", report.study.seed.0)))
        .add(el("pre").text(parsed))
        .into()
}

fn figure_table(report: &Report, caption: &str, first: &str, rows: Vec<Vec<Cell>>) -> Markup {
    let mut columns = vec![upper(first)];
    columns.extend(figure_columns(&report.study.unit, &report.study.judged.name));
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    table(caption, &columns, rows)
}

fn row_of(name: impl ToString, cells: Vec<Cell>) -> Vec<Cell> {
    let mut row = vec![Cell::plain(name)];
    row.extend(cells);
    row
}

fn point_cells(model: &ModelSection, point: GridPoint) -> Vec<Cell> {
    words(model, point).into_iter().map(|(_, value)| Cell::plain(value)).collect()
}

/// A grid point's parameters: as many for every point of the grid.
fn words(model: &ModelSection, point: GridPoint) -> Vec<(&'static str, String)> {
    let grid: Vec<GridPoint> = model.used_for_choosing.iter().map(|row| row.point).collect();
    point.words_beside(&grid)
}

/// Headings with the names of a grid's parameters in between.
fn headings(
    before: &[&'static str],
    model: &ModelSection,
    after: &[&'static str],
) -> Vec<&'static str> {
    let names = words(model, model.chosen.point).into_iter().map(|(name, _)| name);
    before.iter().copied().chain(names).chain(after.iter().copied()).collect()
}
