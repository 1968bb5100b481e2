//! A report's model card.

use crate::made_up::{context, findings, usual, with_small_cells};
use wardround::report::{DataKind, Report};

/// The sections of Mitchell and others, in their order.
const SECTIONS: [&str; 9] = [
    "## Model details",
    "## Intended use",
    "## Factors",
    "## Metrics",
    "## Evaluation data",
    "## Training data",
    "## Quantitative analyses",
    "## Ethical considerations",
    "## Caveats and recommendations",
];

#[test]
fn every_section_is_there_in_order() {
    let (_, report) = usual();
    let card = report.to_model_card();
    let at: Vec<usize> =
        SECTIONS.iter().map(|name| card.find(&format!("\n{name}\n")).expect(name)).collect();
    assert!(at.is_sorted(), "{at:?}");
    let headings = card.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(headings, SECTIONS.len());
    let use_of = &card[at[1]..at[2]];
    assert_eq!(use_of.matches("TO BE FILLED IN BY THE STUDY'S LEAD").count(), 3, "{use_of}");
    assert!(card.contains("Synthetic data"));
    let recorded = Report { data: DataKind::Recorded, ..report };
    assert!(!recorded.to_model_card().contains("Synthetic data"));
}

#[test]
fn sites_subgroups_and_gaps_have_the_reports_figures() {
    let (_, report) = usual();
    let card = report.to_model_card();
    let analyses = card.split("## Quantitative analyses").nth(1).unwrap();
    let line = |begin: &str| {
        let begin = format!("| {begin} |");
        analyses.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{begin}"))
    };
    for row in &report.sites[0].sites {
        let name = row.site.as_str().replace('_', "\\_");
        let figures = line(&format!("at {name}"));
        for estimate in [&row.figures.auc, &row.figures.sensitivity, &row.figures.ece] {
            assert!(figures.contains(&estimate.to_string()), "{figures}");
        }
        line(&format!("left out: {name}"));
    }
    for column in &report.subgroups[0].columns {
        for level in &column.levels {
            let name = format!("{} {}", column.name, level.level).replace('<', "\\<");
            assert!(line(&name).contains(&level.figures.auc.to_string()));
        }
    }
    for (_, gap) in report.fairness[0].gaps() {
        assert!(
            card.contains(&format!("| {} | {} |", gap.words(), gap.difference)),
            "{}",
            gap.name
        );
    }
    assert!(card.contains("Not judged: sex unknown"));
    assert!(card.contains(&report.pooled[0].auc_within_sites.to_string()));
}

#[test]
fn tables_are_whole_and_names_are_no_markup() {
    let mut findings = findings(4, &with_small_cells());
    findings.classes[1] = "<b>mel|x</b>".into();
    let mut context = context(&findings);
    context.study.name = "# a `name`\n## Intended use".into();
    let card = Report::build(&findings, &context).unwrap().to_model_card();
    assert_eq!(card.lines().filter(|line| *line == "## Intended use").count(), 1);
    assert!(!card.contains("<b>"));
    let mut columns = 0;
    for line in card.lines() {
        let cells = line.replace("\\|", "").matches('|').count();
        assert!(!line.starts_with('|') || columns == 0 || cells == columns, "{line}");
        columns = if line.starts_with('|') { cells } else { 0 };
    }
    // What is withheld has no number here either.
    assert!(card.contains("withheld"));
}
