//! Checklists item by item, and what people wrote for them.

use super::super::crosswalk::{Answered, By, CHECKLISTS, Checklist, missing};
use super::super::model::Report;
use super::super::statements::{Statements, words_of};
use super::first_screen::{section_name, upper};
use super::markup::{Element, Markup, el};
use super::table::{Cell, table};

/// What people wrote.
pub fn statements(statements: &Statements) -> Markup {
    if statements.written.is_empty() {
        return el("p")
            .attr("class", "soft")
            .text(
                "None yet. What only people can write, such as intended use, approvals and limitations, comes from a file \
                 that is given with this report (wardround study report --statements).",
            )
            .into();
    }
    let mut made = el("div").add(el("p").attr("class", "soft").text(
        "Written by people, not computed from the study; the checklists say which item each belongs to.",
    ));
    for statement in &statements.written {
        let paragraphs = statement.paragraphs().into_iter().map(|text| el("p").text(text));
        made = made.add(el("h3").text(upper(statement.words()))).add_all(paragraphs);
    }
    if !statements.missing.is_empty() {
        made = made
            .add(el("p").text(format!("Still to be written: {}.", in_words(&statements.missing))));
    }
    made.into()
}

/// Every checklist.
pub fn crosswalk(report: &Report) -> Markup {
    let parts = CHECKLISTS.iter().map(|checklist| of(checklist, &report.statements));
    el("div").add_all(parts).into()
}

fn of(checklist: &Checklist, statements: &Statements) -> Element {
    let rows = checklist.items.iter().map(|(item, asks, by)| {
        let (who, section, with) = match by {
            By::Report(id, what) => ("this report", section_name(id), (*what).to_owned()),
            By::Lead(fields, hint) => {
                let open = missing(fields, statements);
                let section = if open.len() < fields.len() { "Statements" } else { "" };
                ("the study\u{2019}s lead", section, by_lead(fields, &open, hint))
            }
        };
        vec![
            Cell::plain(item),
            Cell::plain(asks),
            Cell::plain(who),
            Cell::plain(section),
            Cell::plain(with),
        ]
    });
    let Answered { by_report, by_lead, open } = checklist.answered(statements);
    let (count, name) = (checklist.items.len(), checklist.name);
    el("div")
        .add(el("h3").text(name))
        .add(el("p").text(format!(
            "{}. Of {count} entries, {by_report} are answered by this report and {by_lead} by statements of the \
             study\u{2019}s lead; {open} are still to be written. What an item asks is said in our words.",
            checklist.source
        )))
        .add(table(
            &format!("{name}: item by item"),
            &["item", "asks for", "answered by", "section", "with"],
            rows.collect(),
        ))
}

/// What is written of an item, what isn't, and what the report has for it.
fn by_lead(fields: &[&str], open: &[&str], hint: &str) -> String {
    let written: Vec<&str> = fields.iter().copied().filter(|field| !open.contains(field)).collect();
    let parts = [
        ("", in_words(&written)),
        ("still to be written: ", in_words(open)),
        ("from here: ", hint.to_owned()),
    ];
    let parts = parts.iter().filter(|(_, text)| !text.is_empty());
    parts.map(|(before, text)| format!("{before}{text}")).collect::<Vec<_>>().join("; ")
}

fn in_words(fields: &[impl AsRef<str>]) -> String {
    fields.iter().map(|field| words_of(field.as_ref())).collect::<Vec<_>>().join(", ")
}
