//! A model card in Markdown, with the sections of Mitchell and others ("Model Cards for Model Reporting", FAT* 2019).
//! What a report can't know, above all what the model is meant for, is marked for the study's lead to fill in.

use std::fmt::Write as _;

use wardround_learn::metrics::registry::metric;

use super::figures::SliceKind;
use super::html::upper;
use super::model::{DataKind, FigureRow, Report, WeightsDigest};
use super::notes::notes;
use super::statements::words_of;
use super::values::{Count, Estimate, decimal};
use super::warnings::warnings;

/// What marks a place that a person has to fill in.
const FILL_IN: &str = "**TO BE FILLED IN BY THE STUDY'S LEAD:**";

impl Report {
    /// The model card: Markdown, made from the report alone.
    pub fn to_model_card(&self) -> String {
        let mut card = Card::default();
        card.line(&format!("# Model card: {}", inline(&self.study.name)));
        if let Some(notice) = self.edition.notice() {
            card.line(&format!("> {notice}"));
        }
        if self.data == DataKind::Synthetic {
            card.line(
                "> Synthetic data: phantoms drawn by a generator. No figure says anything about patients.",
            );
        }
        details(self, &mut card);
        intended_use(self, &mut card);
        factors(self, &mut card);
        metrics(self, &mut card);
        evaluation_data(self, &mut card);
        training_data(self, &mut card);
        analyses(self, &mut card);
        ethics(self, &mut card);
        caveats(self, &mut card);
        card.text
    }
}

/// Lines of Markdown, a blank one between blocks.
#[derive(Default)]
struct Card {
    text: String,
}

impl Card {
    fn line(&mut self, line: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let items: Vec<String> = items.into_iter().map(|item| format!("- {item}")).collect();
        if !items.is_empty() {
            self.line(&items.join("\n"));
        }
    }

    /// A statement of the lead, or that it is still to be written.
    fn said(&mut self, report: &Report, key: &str, what: &str) {
        match report.statements.get(key) {
            Some(text) => self.statement(words_of(key), text),
            None => self.line(&format!("{FILL_IN} {what}.")),
        }
    }

    fn statement(&mut self, words: &str, text: &str) {
        self.line(&format!("**{}:** {}", upper(words), inline(text)));
    }

    fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let mut text = line(head.iter().map(|name| inline(name)).collect());
        let _ = write!(text, "\n|{}", "---|".repeat(head.len()));
        for row in rows {
            text.push('\n');
            text.push_str(&line(row.iter().map(|cell| inline(cell)).collect()));
        }
        self.line(&text);
    }
}

fn details(report: &Report, card: &mut Card) {
    let study = &report.study;
    card.line("## Model details");
    let mut items = vec![
        format!("Study {}, target {}, by {}.", study.id, inline(&study.target), report.software),
        format!("Kind: {}, on {}.", inline(&study.classifier), inline(&study.input)),
    ];
    for model in &report.models {
        items.push(format!(
            "{} against the rest: {}, {}; threshold {} for {}; SHA-256 of its numbers `{}`.",
            inline(&model.class),
            model.chosen.features_in_words(),
            inline(&model.chosen.point.line()),
            decimal(model.chosen.threshold),
            study.threshold_for,
            model.chosen.digest
        ));
    }
    items.push(format!("SHA-256 of the model bundle `{}`.", report.digests.bundle));
    items.push(format!("SHA-256 of the study file `{}`; seed {}.", study.digest, study.seed.0));
    let weights = |name: &str, sha256| format!("Backbone {}, weights `{sha256}`.", inline(name));
    match &report.digests.weights {
        WeightsDigest::NoBackbone => {}
        WeightsDigest::Backbone { name, sha256 } => items.push(weights(name, sha256)),
        WeightsDigest::Backbones { backbones } => {
            items.extend(backbones.iter().map(|one| weights(&one.name, &one.sha256)));
        }
    }
    card.list(items);
    card.said(
        report,
        "contact",
        "who develops it and whom to ask, version, date, licence, citation",
    );
    for key in ["funding", "conflicts"] {
        if let Some(text) = report.statements.get(key) {
            card.statement(words_of(key), text);
        }
    }
}

fn intended_use(report: &Report, card: &mut Card) {
    card.line("## Intended use");
    card.said(report, "intended_use", "primary intended uses");
    card.said(report, "intended_users", "primary intended users");
    card.said(report, "out_of_scope", "uses that are out of scope");
    card.line("Nothing in a report says what a model may be used for; it isn't a medical device by itself.");
}

fn factors(report: &Report, card: &mut Card) {
    card.line("## Factors");
    let cohort = &report.cohort;
    let mut items = vec![format!("Sites: {}.", cohort.sites.len())];
    for column in &cohort.subgroups {
        let levels: Vec<String> = column.levels.iter().map(|level| inline(&level.level)).collect();
        items.push(format!("{}: {}.", inline(&column.name), levels.join(", ")));
    }
    if cohort.subgroups.is_empty() {
        items.push("The study names no subgroup columns.".to_owned());
    }
    card.list(items);
    card.said(
        report,
        "acquisition",
        "other factors that matter here: devices, protocols, severity",
    );
}

fn metrics(report: &Report, card: &mut Card) {
    card.line("## Metrics");
    let names = ["roc_auc_score", "sensitivity", "specificity", "brier_score_loss"];
    let named = names.iter().filter_map(|name| metric(name)).map(|metric| metric.words);
    let named: Vec<&str> = named.collect();
    card.line(&format!(
        "{} and the expected calibration error (ECE), each with a 95 % interval where one was computed, clustered by \
         {}. The model is called positive from a threshold chosen for {}, on scores of {}s that had no part in the \
         models, nor in the figures. \"Within sites\" counts pairs of one site only, so that it can't be \
         earned by telling sites apart.",
        named.join(", "),
        inline(&report.study.unit),
        report.study.threshold_for,
        inline(&report.study.unit)
    ));
}

fn evaluation_data(report: &Report, card: &mut Card) {
    card.line("## Evaluation data");
    if report.evaluation.is_judged() {
        let lines = report.evaluation.sentences();
        card.list(lines.iter().map(|line| inline(line)));
        return;
    }
    let left_out = match report.leave_one_site_out.iter().any(|one| !one.sites.is_empty()) {
        true => "Besides, every site was judged by a model that never saw it.",
        false => "No site was left out, so nothing here says how the model does at another site.",
    };
    card.line(&format!(
        "The sites' own {}s, in nested folds: no {} is judged by a model that was fitted to it or chosen with it. \
         {left_out} No data outside these sites were used.",
        inline(&report.study.unit),
        inline(&report.study.unit)
    ));
}

fn training_words(report: &Report) -> String {
    format!(
        "All sites' {}s; the final model is fitted to all of them. {} {}.",
        inline(&report.study.unit),
        inline(&report.cohort.rules),
        inline(&report.protection.sentence)
    )
}

fn training_data(report: &Report, card: &mut Card) {
    let (study, cohort) = (&report.study, &report.cohort);
    card.line("## Training data");
    if report.evaluation.is_judged() {
        card.line("See the report of the study that fitted the model. The rows here are:");
    } else {
        card.line(&training_words(report));
    }
    let (units, rows) = (format!("{}s", study.unit), format!("{}s", study.row));
    let mut head = vec!["".to_owned(), units.clone(), rows];
    head.extend(study.classes.iter().map(|class| format!("{class}: {units}")));
    if study.judged.name != study.row {
        card.line(&inline(&study.judged.sentence));
    }
    let line = |name: String, cell: &super::model::CohortCell| {
        let mut line = vec![name, cell.patients.to_string(), cell.images.to_string()];
        line.extend(cell.patients_by_class.iter().map(Count::to_string));
        line
    };
    let mut lines = vec![line("all sites".to_owned(), &cohort.all)];
    lines.extend(cohort.sites.iter().map(|site| line(site.site.to_string(), &site.cell)));
    for column in &cohort.subgroups {
        let name = |level: &str| format!("{} {level}", column.name);
        lines.extend(column.levels.iter().map(|level| line(name(&level.level), &level.cell)));
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    card.table(&head, lines);
}

fn analyses(report: &Report, card: &mut Card) {
    card.line("## Quantitative analyses");
    for (at, model) in report.models.iter().enumerate() {
        let pooled = &report.pooled[at];
        let class = inline(&model.class);
        card.line(&format!("### {class} against the rest"));
        card.table(
            &["AUC", "value (95 % interval)"],
            [
                ("within sites", &pooled.auc_within_sites),
                ("all sites in one list", &pooled.auc_one_list),
                ("a score that knows only the site, in one list", &pooled.auc_site_only),
                ("mean of the sites, random effects", &report.sites[at].together.auc),
                ("expected at another site", &report.sites[at].together.another_site),
            ]
            .map(|(name, estimate)| vec![name.to_owned(), estimate.to_string()])
            .into(),
        );
        let slices = report.slices().into_iter().filter(|(slice, _)| slice.class == model.class);
        let unitary = slices.filter(|(slice, _)| slice.kind != SliceKind::OwnModel);
        let rows = unitary.map(|(slice, figures)| row(slice.words(), figures)).collect();
        card.line(
            "Unitary results, of all sites, each site, each subgroup and each site left out:",
        );
        card.table(&["", "AUC", "sensitivity", "specificity", "Brier", "ECE"], rows);
        intersectional(report, at, card);
        gaps(report, at, card);
    }
}

/// Cells of two columns at once.
fn intersectional(report: &Report, at: usize, card: &mut Card) {
    for table in &report.fairness[at].crossed {
        let rows: Vec<Vec<String>> = (table.cells.iter())
            .map(|cell| {
                let figures = cell.figures.iter().map(|named| named.estimate.to_string());
                std::iter::once(cell.words()).chain(figures).collect()
            })
            .collect();
        card.line(&format!(
            "Intersectional results, by {}; rates are in steps of the minimum cell:",
            inline(&table.words())
        ));
        let head = [
            "",
            "AUC",
            "sensitivity",
            "specificity",
            "called positive",
            "calibration in the large",
        ];
        card.table(&head, rows);
        card.list(
            table.not_judged_by_reason().iter().map(|why| format!("Not judged: {}.", inline(why))),
        );
    }
}

fn gaps(report: &Report, at: usize, card: &mut Card) {
    let rows: Vec<Vec<String>> = report.fairness[at]
        .gaps()
        .map(|(column, gap)| {
            let p = gap.verdict.chance().map_or(String::new(), |[.., p]| decimal(p));
            let between = match gap.lowest.is_empty() {
                true => String::new(),
                false => format!("{} (less), {} (more)", gap.lowest, gap.highest),
            };
            let gap_of = gap.words().to_owned();
            let verdict = gap.verdict.words().to_owned();
            vec![column.to_owned(), gap_of, gap.difference.to_string(), between, verdict, p]
        })
        .collect();
    if rows.is_empty() {
        card.line("Subgroups weren't compared.");
        return;
    }
    card.line(
        "Gaps between the levels of a subgroup column: the largest value less the smallest, beside levels dealt anew \
         among patients of one site and class. Within chance is no proof that there is no gap.",
    );
    card.table(&["column", "of", "difference", "between", "verdict", "p"], rows);
    let columns = report.fairness[at].columns.iter();
    card.list(columns.flat_map(|column| {
        let name = |level: &str| format!("{} {}", inline(&column.name), inline(level));
        column
            .not_judged
            .iter()
            .map(move |one| format!("Not judged: {}, {}.", name(&one.level), inline(&one.why)))
    }));
}

fn ethics(report: &Report, card: &mut Card) {
    card.line("## Ethical considerations");
    card.line(&format!(
        "{}. Images never leave a site. Counts and figures of fewer patients than the sites' owners allow are withheld.",
        inline(&report.protection.sentence)
    ));
    card.list(report.protection.by_rule().into_iter().map(|(rule, sites)| {
        format!(
            "Loosened by its owner: {} = {} (default {}) at {sites}.",
            inline(&rule.rule),
            inline(&rule.now),
            inline(&rule.default)
        )
    }));
    card.said(report, "ethics", "approvals, consent");
    card.said(report, "harms", "risks and harms that were considered");
}

fn caveats(report: &Report, card: &mut Card) {
    card.line("## Caveats and recommendations");
    let lines = warnings(report).into_iter().chain(notes(report));
    card.list(lines.map(|line| inline(&line)));
    if let Some(text) = report.statements.get("limitations") {
        card.statement(words_of("limitations"), text);
    }
    card.said(report, "next_steps", "recommendations for use, and what should be looked at next");
}

fn row(name: String, figures: &FigureRow) -> Vec<String> {
    let FigureRow { auc, sensitivity, specificity, brier, ece, .. } = figures;
    let cells = [auc, sensitivity, specificity, brier, ece].map(Estimate::to_string);
    std::iter::once(name).chain(cells).collect()
}

/// A text as it is inside a line of Markdown or a cell of a table: nothing in it is taken for markup.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
