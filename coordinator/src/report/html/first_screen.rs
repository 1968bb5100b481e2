//! What a reader sees first: what was trained, on whom, how good it is, and what the coordinator
//! could see.

use super::super::comparison::ComparisonSection;
use super::super::joining::{OwnSiteModel, OwnSiteRow, OwnSitesSection};
use super::super::model::{DataKind, PooledSection, Report};
use super::super::values::{Estimate, grouped};
use super::super::warnings::warnings;
use super::comparison::verdict;
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// Sections of the page, by id, in their order; a report may not have all.
pub const CONTENTS: [(&str, &str); 20] = [
    ("performance", "How good"),
    ("classes", "All classes together"),
    ("classifiers", "Classifiers"),
    ("sites", "Sites"),
    ("joining", "What joining gains"),
    ("learning-curve", "Would more patients help?"),
    ("subgroups", "Subgroups"),
    ("fairness", "Fairness"),
    ("shortcuts", "Shortcuts and shift between sites"),
    ("uncertainty", "Uncertainty"),
    ("left-out", "Left-out sites"),
    ("choosing", "How the model was chosen"),
    ("importance", "What the model looks at"),
    ("cohort", "Cohort"),
    ("readers", "Agreement of readers"),
    ("cost", "Rounds and bytes"),
    ("provenance", "Provenance"),
    ("study", "Study file"),
    ("statements", "Statements"),
    ("checklist", "Checklists"),
];

/// What a section is called; nothing where there is none.
pub fn section_name(id: &str) -> &'static str {
    CONTENTS.iter().find(|(known, _)| *known == id).map_or("", |(_, name)| name)
}

/// The page's header; `sections` has the ids of those that follow.
pub fn header(report: &Report, sections: &[&str]) -> Markup {
    let mut header = el("header");
    if let Some(notice) = report.edition.notice() {
        header = header.add(el("p").attr("class", "copy").text(notice));
    }
    if report.data == DataKind::Synthetic {
        header = header.add(el("p").attr("class", "synthetic").text(
            "Synthetic data: every image is a phantom drawn by a generator. No figure on this page \
             says anything about patients.",
        ));
    }
    let contents = sections
        .iter()
        .map(|id| (id, section_name(id)))
        .map(|(id, name)| el("li").add(el("a").attr("href", format!("#{id}")).text(name)));
    header
        .add(
            el("p")
                .attr("class", "kicker")
                .text(format!("Wardround report on study {}", report.study.id)),
        )
        .add(el("h1").text(&report.study.name))
        .add(
            el("div")
                .attr("class", "answers")
                .add(trained(report))
                .add(on_whom(report))
                .add(how_good(report))
                .add_all(evaluation(report))
                .add_all(what_joining_gains(report))
                .add(for_whom_it_is_not(report)),
        )
        .add(protection(report))
        .add(el("nav").attr("aria-label", "contents").add(el("ul").add_all(contents)))
        .into()
}

fn trained(report: &Report) -> Element {
    let study = &report.study;
    let what = if report.evaluation.is_judged() { "What was judged" } else { "What was trained" };
    let mut answer = el("div").add(el("h2").text(what)).add(el("p").text(format!(
        "{} on {}.",
        upper(&study.classifier),
        study.input
    )));
    for model in &report.models {
        answer = answer.add(el("p").text(format!(
            "{}: {} against the rest, {}, {}, threshold {:.3} for {}.",
            study.target,
            model.class,
            model.chosen.features_in_words(),
            model.chosen.point.line(),
            model.chosen.threshold,
            study.threshold_for,
        )));
    }
    answer
}

fn on_whom(report: &Report) -> Element {
    let (study, cohort) = (&report.study, &report.cohort);
    let classes = study.classes.iter().zip(&cohort.all.patients_by_class);
    let by_class: Vec<String> = classes.map(|(name, count)| format!("{name}: {count}")).collect();
    el("div")
        .add(el("h2").text("On whom"))
        .add(
            el("p")
                .attr("class", "big")
                .text(cohort.all.patients)
                .add(el("small").text(format!(" {}s", study.unit))),
        )
        .add(el("p").text(format!(
            "{} {}s at {}.",
            cohort.all.images,
            study.row,
            counted(cohort.sites.len(), "site"),
        )))
        .add(el("p").attr("class", "soft").text(format!(
            "{}s with {}s of each class: {}.",
            upper(&study.unit),
            study.judged.name,
            by_class.join(", ")
        )))
        .add(el("p").attr("class", "soft").text(&study.judged.sentence))
}

fn how_good(report: &Report) -> Element {
    let answer = el("div").add(el("h2").text("How good"));
    if let ComparisonSection::Several(compared) = &report.comparison {
        return answer
            .add(
                el("p")
                    .attr("class", "big")
                    .text(compared.estimate.short())
                    .add(el("small").text(format!(" {}", beside(&compared.estimate)))),
            )
            .add(el("p").text(verdict(report, compared)))
            .add_all(report.pooled.iter().map(|section| {
                el("p").attr("class", "soft").text(format!(
                    "{} against the rest, the chosen classifier\u{2019}s own nested AUC within sites: \
                     {}.",
                    section.class, section.auc_within_sites
                ))
            }));
    }
    match report.pooled.as_slice() {
        [only] => answer
            .add(
                el("p")
                    .attr("class", "big")
                    .text(only.auc_within_sites.short())
                    .add(el("small").text(format!(" {}", beside(&only.auc_within_sites)))),
            )
            .add(el("p").text(format!(
                "AUC for {} within sites, {} (95 % interval; of {} on these {}s).",
                only.class,
                report.evaluation.judged_how(),
                if report.evaluation.is_judged() { "this model" } else { "these fitted models" },
                report.study.unit
            )))
            .add(el("p").attr("class", "soft").text(one_list(only))),
        several => answer
            .add(el("p").text(format!(
                "AUC within sites, {}, with 95 % interval:",
                report.evaluation.judged_how()
            )))
            .add_all(several.iter().map(|section| {
                el("p").text(format!("{}: {}", section.class, section.auc_within_sites))
            })),
    }
}

/// Where a finished model comes from, and what crossed a limit.
fn evaluation(report: &Report) -> Option<Element> {
    let lines = report.evaluation.sentences();
    let block = el("div").attr("class", "whole-row").add(el("h2").text("A finished model, judged"));
    (!lines.is_empty()).then(|| block.add_all(lines.into_iter().map(|line| el("p").text(line))))
}

/// What each hospital gains, or loses: the federated model less its own on the same patients.
fn what_joining_gains(report: &Report) -> Option<Element> {
    let OwnSitesSection::Asked { classes, .. } = &report.own_sites else { return None };
    let several = classes.len() > 1;
    let mut answer = el("div")
        .attr("class", "whole-row")
        .add(el("h2").text("What joining gains"))
        .add(el("p").text(format!(
            "AUC of the federated model less that of the site\u{2019}s own, on the same {}s (95 % interval):",
            report.study.unit
        )));
    for class in classes {
        let of_site = |row: &OwnSiteRow| match &row.model {
            OwnSiteModel::Fitted { gain, .. } => format!("{} {gain}", row.site),
            OwnSiteModel::Unfit { .. } => format!("{}: no model of its own", row.site),
        };
        let sites: Vec<String> = class.sites.iter().map(of_site).collect();
        let name = if several { format!("{}: ", class.class) } else { String::new() };
        answer = answer.add(el("p").text(format!("{name}{}.", sites.join("; "))));
    }
    Some(answer)
}

/// Gaps, what was too small to judge, and sites where the model isn't shown to be better than chance.
fn for_whom_it_is_not(report: &Report) -> Element {
    let mut answer =
        el("div").attr("class", "whole-row").add(el("h2").text("For whom it isn\u{2019}t"));
    for line in warnings(report) {
        answer = answer.add(el("p").text(line));
    }
    answer
}

fn one_list(section: &PooledSection) -> String {
    format!(
        "All sites in one list: {}; a score that knows only the site would reach {} there.",
        section.auc_one_list.short(),
        section.auc_site_only.short()
    )
}

fn beside(estimate: &Estimate) -> String {
    let why = estimate.why();
    if why.is_empty() { estimate.interval_text() } else { why }
}

fn protection(report: &Report) -> Element {
    let protection = &report.protection;
    let numbers = protection.sites.iter().map(|site| {
        vec![
            Cell::plain(&site.site),
            Cell::plain(grouped(site.numbers_sent)),
            Cell::plain(site.numbers_held),
        ]
    });
    let mut block = el("section")
        .attr("class", "protection")
        .attr("aria-label", "protection")
        .add(el("p").attr("class", "said").text(format!("{}.", protection.sentence)))
        .add(table(
            "What each site sent to the coordinator, beside what it holds",
            &["site", "numbers sent", "numbers held"],
            numbers.collect(),
        ));
    if protection.loosenings.is_empty() {
        block = block.add(el("p").text("No site's owner loosened a disclosure rule."));
    } else {
        let loosenings = protection.by_rule().into_iter().map(|(loosening, sites)| {
            el("li")
                .add(el("code").text(format!("{} = {}", loosening.rule, loosening.now)))
                .text(format!(" (default {}) at {}", loosening.default, sites))
        });
        block = block
            .add(el("p").text("Disclosure rules that a site's owner loosened by name:"))
            .add(el("ul").add_all(loosenings));
    }
    block
}

/// "1 site", "4 sites".
pub fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// With a capital at the beginning.
pub fn upper(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
