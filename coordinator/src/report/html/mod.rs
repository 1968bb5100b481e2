//! `report.html`: one file, no network, no script. Made from the suppressed [`Report`] alone.

mod classes;
mod comparison;
mod crossed;
mod crosswalk;
mod curve;
mod decision;
mod fairness;
mod first_screen;
mod forest;
mod heat;
mod importance;
mod joining;
mod metrics;
mod outliers;
mod plot;
mod readers;
mod reliability;
mod roc;
mod sections;
mod shortcuts;
mod table;
mod uncertainty;

use wardround_core::digest::Digest;
use wardround_core::markup::{self, Markup, el};

use super::model::Report;
pub(super) use comparison::verdict;
#[cfg(test)]
pub(super) use first_screen::section_name;
pub(super) use first_screen::{counted, upper};

/// Nothing may be loaded and nothing may run; the style sheet stands in the page.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let head = el("head")
        .add(el("meta").attr("charset", "utf-8"))
        .add(
            el("meta")
                .attr("http-equiv", "Content-Security-Policy")
                .attr("content", CONTENT_POLICY),
        )
        .add(
            el("meta")
                .attr("name", "viewport")
                .attr("content", "width=device-width, initial-scale=1"),
        )
        .add(el("meta").attr("name", "color-scheme").attr("content", "light dark"))
        .add(el("title").text(format!("{} \u{2013} Wardround report", report.study.name)))
        .add(el("style").style(include_str!("style.css")));
    let sections = sections::sections(report);
    let ids: Vec<&str> = sections.iter().map(|(id, _)| *id).collect();
    let body = el("body")
        .add(first_screen::header(report, &ids))
        .add(sections::main(sections))
        .add(footer(report));
    let page: Markup = el("html").attr("lang", "en").add(head).add(body).into();
    format!("<!doctype html>\n{}\n", page.into_string())
}

fn footer(report: &Report) -> Markup {
    let digest = Digest::of(report.to_json().as_bytes());
    el("footer")
        .add(el("p").text(format!(
            "Written by {}. Every number on this page stands in report.json, SHA-256:",
            report.software
        )))
        .add(el("p").add(el("code").text(digest)))
        .into()
}
