//! What a reader sees first: what was trained, on whom, how good it is, and what the coordinator
//! could see.

use super::super::comparison::ComparisonSection;
use super::super::fairness::GapRow;
use super::super::joining::{OwnSiteModel, OwnSiteRow, OwnSitesSection};
use super::super::model::{DataKind, PooledSection, Report};
use super::super::values::{Estimate, grouped};
use super::comparison::verdict;
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// Sections of the page, by id.
pub const CONTENTS: [(&str, &str); 13] = [
    ("performance", "How good"),
    ("classifiers", "Classifiers"),
    ("sites", "Sites"),
    ("subgroups", "Subgroups"),
    ("fairness", "Fairness"),
    ("uncertainty", "Uncertainty"),
    ("left-out", "Left-out sites"),
    ("choosing", "How the model was chosen"),
    ("cohort", "Cohort"),
    ("cost", "Rounds and bytes"),
    ("provenance", "Provenance"),
    ("study", "Study file"),
    ("checklist", "Checklist"),
];

/// What a section is called; nothing where there is none.
pub fn section_name(id: &str) -> &'static str {
    CONTENTS.iter().find(|(known, _)| *known == id).map_or("", |(_, name)| name)
}

/// Gaps named on the first screen for each modelled class.
const MOST_GAPS: usize = 4;

/// The page's header.
pub fn header(report: &Report) -> Markup {
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
    let compares = report.comparison != ComparisonSection::Single;
    let contents = CONTENTS
        .iter()
        .filter(|(id, _)| compares || *id != "classifiers")
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
                .add_all(what_joining_gains(report))
                .add(for_whom_it_is_not(report)),
        )
        .add(protection(report))
        .add(el("nav").attr("aria-label", "contents").add(el("ul").add_all(contents)))
        .into()
}

fn trained(report: &Report) -> Element {
    let study = &report.study;
    let mut answer = el("div").add(el("h2").text("What was trained")).add(el("p").text(format!(
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
            study.row,
            by_class.join(", ")
        )))
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
                "AUC for {} within sites, from nested folds (95 % interval; of these fitted models \
                 on these {}s).",
                only.class, report.study.unit
            )))
            .add(el("p").attr("class", "soft").text(one_list(only))),
        several => answer
            .add(el("p").text("AUC within sites, from nested folds, with 95 % interval:"))
            .add_all(several.iter().map(|section| {
                el("p").text(format!("{}: {}", section.class, section.auc_within_sites))
            })),
    }
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

/// The same in sentences.
pub fn warnings(report: &Report) -> Vec<String> {
    let several = report.models.len() > 1;
    let mut lines = Vec::new();
    for (at, section) in report.fairness.iter().enumerate() {
        let class = if several { format!("{}: ", section.class) } else { String::new() };
        // The larger of two gaps that stand there themselves says nothing new.
        let of_its_own = |gap: &GapRow| gap.is_gap() && gap.name != "equalized_odds_difference";
        let mut gaps: Vec<_> = section.gaps().filter(|(_, gap)| of_its_own(gap)).collect();
        let more = gaps.len().saturating_sub(MOST_GAPS);
        gaps.truncate(MOST_GAPS);
        for (column, gap) in gaps {
            let p = gap.verdict.chance().map_or(String::new(), |[.., p]| format!(", p = {p:.3}"));
            lines.push(format!(
                "{class}{column}: {} is {} apart between {} (less) and {} (more), beyond chance{p}.",
                gap.words(),
                gap.difference.short(),
                gap.lowest,
                gap.highest
            ));
        }
        if more > 0 {
            lines.push(format!("{class}{} under Fairness.", counted(more, "more gap")));
        }
        if section.columns.is_empty() && !report.subgroups[at].columns.is_empty() {
            lines.push(format!("{class}subgroups weren\u{2019}t compared: bootstrap = false."));
        }
        let compared = section.gaps().filter(|(_, gap)| gap.verdict.chance().is_some()).count();
        if compared > 0 && !section.gaps().any(|(_, gap)| gap.is_gap()) {
            lines.push(format!(
                "{class}no gap between subgroups beyond chance in {}, which is no proof that there is none.",
                counted(compared, "comparison")
            ));
        }
        let unsure = report.sites[at]
            .sites
            .iter()
            .filter(|row| row.figures.auc.ends().is_some_and(|[low, _]| low <= 0.5));
        let unsure: Vec<&str> = unsure.map(|row| row.site.as_str()).collect();
        if !unsure.is_empty() {
            lines.push(format!(
                "{class}not shown to be better than chance at {}.",
                unsure.join(", ")
            ));
        }
    }
    let not_judged = not_judged(report);
    if !not_judged.is_empty() {
        lines.push(format!("Not judged, withheld or nobody there: {}.", not_judged.join(", ")));
    }
    if lines.is_empty() {
        lines.push("The study names no subgroup columns.".to_owned());
    }
    lines
}

/// Sites and levels without an AUC of their own in any class.
fn not_judged(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for (sites, subgroups) in report.sites.iter().zip(&report.subgroups) {
        let unjudged = |estimate: &Estimate| estimate.value().is_none();
        let of_sites = sites.sites.iter().filter(|row| unjudged(&row.figures.auc));
        of_sites.for_each(|row| add(format!("site {}", row.site)));
        for column in &subgroups.columns {
            let levels = column.levels.iter().filter(|row| unjudged(&row.figures.auc));
            levels.for_each(|row| add(format!("{} {}", column.name, row.level)));
        }
    }
    names
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
