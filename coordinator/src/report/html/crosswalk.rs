//! Where the report answers the items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), and which only people can write. Item
//! numbers are the checklist's; what an item asks is said in our words.

use super::markup::{Markup, el};
use super::table::{Cell, table};

/// Who answers an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// The report, in the section with this id, with what stands there.
    Report(&'static str, &'static str),
    /// The lead, with a hint at what the report has for it; empty where it has nothing.
    Lead(&'static str),
}

use By::{Lead, Report};

const ITEMS: &[(&str, &str, By)] = &[
    ("1", "title: development or evaluation, target, population", Lead("study name and target")),
    ("2", "abstract", Lead("")),
    ("3a\u{2013}c", "background, intended use and users, known inequalities", Lead("")),
    ("4", "objectives", Lead("")),
    ("5a", "sources of data", Report("cohort", "sites, frozen cohorts, devices")),
    ("5b", "dates of data", Lead("dates stay at the sites")),
    ("6a", "setting and sites", Report("cohort", "number of sites and patients of each")),
    ("6b", "eligibility", Report("study", "filters of the study file")),
    ("6c", "treatments", Lead("")),
    (
        "7",
        "data preparation",
        Report("study", "input, preprocessing, standardisation; rows set aside under Cohort"),
    ),
    ("8a", "outcome and how it was assessed", Lead("label column and classes in the study file")),
    ("8b\u{2013}c", "assessors and blinding", Lead("")),
    ("9a", "choice of predictors", Report("study", "backbone or columns, reduction of features")),
    ("9b\u{2013}c", "definition and assessment of predictors", Lead("columns in the study file")),
    ("10", "study size", Lead("numbers under Cohort, intervals throughout")),
    (
        "11",
        "missing data",
        Report("study", "what becomes of missing values; rows set aside under Cohort"),
    ),
    (
        "12a",
        "use of the data: development and evaluation",
        Report("choosing", "nested folds, left-out sites"),
    ),
    ("12b", "handling of predictors", Report("study", "standardisation, reduction")),
    (
        "12c",
        "model type, hyperparameters, internal validation",
        Report("choosing", "every grid point tried, folds"),
    ),
    (
        "12d",
        "heterogeneity between clusters",
        Report("sites", "each site, random effects, left-out sites"),
    ),
    (
        "12e",
        "measures of performance",
        Report("performance", "discrimination, calibration, net benefit"),
    ),
    ("12f", "model updating", Report("uncertainty", "recalibration")),
    ("12g", "how predictions are made", Report("provenance", "digest of the model bundle")),
    ("13", "class imbalance", Report("choosing", "balance as part of the grid")),
    ("14", "fairness: approaches", Report("fairness", "gaps beside chance")),
    ("15", "output and threshold", Report("choosing", "threshold, and what it was chosen for")),
    (
        "16",
        "differences between development and evaluation data",
        Report("left-out", "sites that had no part in a model"),
    ),
    ("17", "ethical approval", Lead("")),
    ("18a\u{2013}b", "funding, conflicts of interest", Lead("")),
    ("18c", "protocol", Report("study", "the study file and its digest")),
    ("18d", "registration", Lead("")),
    (
        "18e\u{2013}f",
        "data and code sharing",
        Lead("archive and bundle by digest under Provenance"),
    ),
    ("19", "patient and public involvement", Lead("")),
    (
        "20a\u{2013}b",
        "flow and characteristics of participants",
        Report("cohort", "counts by site, class and subgroup"),
    ),
    (
        "20c",
        "comparison of development and evaluation data",
        Report("cohort", "sites beside each other"),
    ),
    (
        "21",
        "numbers in each analysis",
        Report("performance", "patients and rows beside every figure"),
    ),
    ("22", "model specification", Report("provenance", "the bundle has every coefficient")),
    (
        "23a",
        "performance with intervals, also of subgroups",
        Report("subgroups", "all figures; gaps under Fairness"),
    ),
    ("23b", "heterogeneity of performance", Report("sites", "forest plot, prediction interval")),
    ("24", "results of updating", Report("uncertainty", "before and after recalibration")),
    ("25", "interpretation, fairness", Lead("gaps under Fairness")),
    ("26", "limitations", Lead("what is withheld, and why, throughout")),
    ("27a\u{2013}c", "usability: poor input, interaction with users, next steps", Lead("")),
];

/// The table.
pub fn crosswalk() -> Markup {
    let rows = ITEMS.iter().map(|(item, asks, by)| {
        let (place, who) = match by {
            Report(_, what) => ((*what).to_owned(), "this report"),
            Lead("") => (String::new(), "the study\u{2019}s lead"),
            Lead(hint) => (format!("from here: {hint}"), "the study\u{2019}s lead"),
        };
        let section = match by {
            Report(id, _) => super::first_screen::section_name(id),
            Lead(_) => "",
        };
        vec![
            Cell::plain(item),
            Cell::plain(asks),
            Cell::plain(who),
            Cell::plain(section),
            Cell::plain(place),
        ]
    });
    let by_report = ITEMS.iter().filter(|(.., by)| matches!(by, Report(..))).count();
    el("div")
        .add(el("p").text(format!(
            "Of {} entries of TRIPOD+AI (2024) this report answers {by_report}; the others only the study\u{2019}s lead can write.",
            ITEMS.len()
        )))
        .add(table(
            "TRIPOD+AI: item by item",
            &["item", "asks for", "answered by", "section", "with"],
            rows.collect(),
        ))
        .into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_item_stands_once_and_points_to_a_section() {
        let numbers: BTreeSet<&str> = ITEMS.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers.len(), ITEMS.len());
        // What stands before the parts' letters.
        let main: BTreeSet<u32> = numbers
            .iter()
            .map(|item| {
                let digits: String = item.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().unwrap()
            })
            .collect();
        assert_eq!(main, (1..=27).collect());
        for (item, _, by) in ITEMS {
            if let Report(id, _) = by {
                assert!(!super::super::first_screen::section_name(id).is_empty(), "{item}");
            }
        }
    }
}
