//! What only people can write, and the checklists that ask for it.

use crate::made_up::{outputs, usual};
use serde_json::{Value, json};
use wardround::report::{Report, SCHEMA, STATEMENT_FIELDS, Statements, statements_template};

fn with(file: &str) -> Report {
    Report { statements: Statements::read(file).unwrap(), ..usual().1 }
}

/// Every text written.
fn full() -> String {
    let line = |key: &str| format!("{key} = \"What is said of {key}.\"\n");
    STATEMENT_FIELDS.iter().map(|field| line(field.key)).collect()
}

fn section<'a>(html: &'a str, id: &str) -> &'a str {
    let begin = format!("<section id=\"{id}\">");
    html.split(&begin).nth(1).unwrap().split("<section id=").next().unwrap()
}

/// The sentence over a checklist's table.
fn counted<'a>(html: &'a str, name: &str) -> &'a str {
    let after = html.split(&format!("<h3>{name}</h3>")).nth(1).unwrap();
    after.split("</p>").next().unwrap()
}

#[test]
fn a_report_without_statements_says_what_is_to_be_written_item_by_item() {
    let html = usual().1.to_html();
    assert!(section(&html, "statements").contains("None yet."));
    let lists = section(&html, "checklist");
    for (name, entries, by_report) in
        [("TRIPOD+AI (2024)", 43, 23), ("CLAIM (2024 update)", 44, 19), ("STARD-AI (2025)", 48, 14)]
    {
        let said = counted(lists, name);
        let open = entries - by_report;
        let expected = format!(
            "Of {entries} entries, {by_report} are answered by this report and 0 by statements of the study\u{2019}s \
             lead; {open} are still to be written."
        );
        assert!(said.contains(&expected), "{said}");
    }
    assert!(lists.contains("still to be written: funding, conflicts of interest"));
    assert_eq!(lists.matches("<caption>").count(), 3);
}

#[test]
fn what_is_written_stands_on_the_page_in_json_and_in_the_card() {
    let report = with(
        "intended_use = \"\"\"\nTriage of <b>lesions</b> & moles.\n\nNot for children.\"\"\"\nfunding = \"A fund.\"\n",
    );
    let html = report.to_html();
    let said = section(&html, "statements").replace('\n', "");
    assert!(
        said.contains(
            "<h3>Intended use</h3><p>Triage of &lt;b&gt;lesions&lt;/b&gt; &amp; moles.</p>"
        )
    );
    assert!(said.contains("<p>Not for children.</p>"), "{said}");
    assert!(said.contains("Still to be written: title, abstract,"));
    let lists = section(&html, "checklist");
    // Funding alone answers an item of CLAIM and one of STARD-AI, and a part of TRIPOD+AI's.
    assert!(counted(lists, "CLAIM (2024 update)").contains("and 1 by statements"));
    assert!(counted(lists, "STARD-AI (2025)").contains("and 1 by statements"));
    assert!(counted(lists, "TRIPOD+AI (2024)").contains("and 0 by statements"));
    assert!(lists.contains("funding; still to be written: conflicts of interest"));

    let card = report.to_model_card();
    assert!(card.contains("**Intended use:** Triage of \\<b\\>lesions\\</b\\> & moles."), "{card}");
    assert!(card.contains("**Funding:** A fund."));
    let use_of = card.split("## Intended use").nth(1).unwrap().split("## Factors").next().unwrap();
    assert_eq!(use_of.matches("TO BE FILLED IN").count(), 2, "{use_of}");
    assert!(report.to_text().contains("2 of 35 written"));
    assert!(!with(&full()).to_model_card().contains("TO BE FILLED IN"));
    let complete = with(&full()).to_html();
    assert!(!section(&complete, "checklist").contains("still to be written:"));
    assert!(!section(&complete, "statements").contains("Still to be written"));
}

#[test]
fn statements_keep_to_the_schema_and_are_read_again() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let keys: Vec<&str> = STATEMENT_FIELDS.iter().map(|field| field.key).collect();
    assert_eq!(schema["$defs"]["statement"]["enum"], json!(keys));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for file in [String::new(), statements_template(), "title = \"A\"".to_owned(), full()] {
        let report = with(&file);
        let text = report.to_json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(validator.is_valid(&value));
        assert_eq!(Report::from_json(&text).unwrap(), report);
        let count = |list: &str| value["statements"][list].as_array().unwrap().len();
        assert_eq!(count("written") + count("missing"), keys.len());
    }
}

#[test]
fn a_pseudonymised_copy_names_no_site_in_statements_and_hints_at_parts_of_names() {
    let report = with(
        "ethics = \"Approved at Vidir Modern and at rosendahl; the Vidir group wrote the protocol.\"\n\
         limitations = \"vienna_dias gave few women.\"\nfunding = \"The site paid.\"\n",
    );
    let copy = report.with_sites_pseudonymised().unwrap();
    for output in outputs(&copy) {
        let lower = output.to_lowercase();
        for site in ["rosendahl", "vidir_modern", "vidir modern", "vienna_dias"] {
            assert!(!lower.contains(site), "{site}");
        }
    }
    assert!(copy.statements.get("ethics").unwrap().starts_with("Approved at site-"));
    let hints = report.hints_at_sites(&copy);
    assert_eq!(hints, [("ethics".to_owned(), "vidir".to_owned())]);
    assert!(report.hints_at_sites(&with("title = \"Moles\"")).is_empty());
}
