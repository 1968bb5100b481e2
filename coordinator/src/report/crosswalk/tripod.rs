//! TRIPOD+AI: models that predict (Collins et al., BMJ 2024;385:e078378).

use super::By::{Lead, Report};
use super::{Checklist, Item};

/// The checklist.
pub(super) const TRIPOD_AI: Checklist = Checklist {
    name: "TRIPOD+AI (2024)",
    source: "Collins and others, BMJ 2024;385:e078378",
    items: ITEMS,
};

const ITEMS: &[Item] = &[
    (
        "1",
        "title: development or evaluation, target, population",
        Lead(&["title"], "study name and target"),
    ),
    ("2", "abstract", Lead(&["abstract"], "")),
    (
        "3a\u{2013}c",
        "background, intended use and users, known inequalities",
        Lead(&["background", "intended_use", "intended_users"], ""),
    ),
    ("4", "objectives", Lead(&["objectives"], "")),
    ("5a", "sources of data", Report("cohort", "sites, frozen cohorts, devices")),
    ("5b", "dates of data", Lead(&["dates"], "dates stay at the sites")),
    ("6a", "setting and sites", Report("cohort", "number of sites and patients of each")),
    (
        "6b",
        "eligibility",
        Lead(&["eligibility"], "filters of the study file, rows set aside under Cohort"),
    ),
    ("6c", "treatments", Lead(&["treatments"], "")),
    (
        "7",
        "data preparation",
        Report("study", "input, preprocessing, standardisation; rows set aside under Cohort"),
    ),
    (
        "8a",
        "outcome and how it was assessed",
        Lead(&["reference_standard"], "label column and classes in the study file"),
    ),
    ("8b\u{2013}c", "assessors and blinding", Lead(&["annotators"], "")),
    ("9a", "choice of predictors", Report("study", "backbone or columns, reduction of features")),
    (
        "9b\u{2013}c",
        "definition and assessment of predictors",
        Lead(&["acquisition"], "columns in the study file"),
    ),
    ("10", "study size", Lead(&["sample_size"], "numbers under Cohort, intervals throughout")),
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
    ("17", "ethical approval", Lead(&["ethics"], "")),
    ("18a\u{2013}b", "funding, conflicts of interest", Lead(&["funding", "conflicts"], "")),
    (
        "18c",
        "protocol",
        Lead(&["protocol"], "the study file and its digest, pinned before the first round"),
    ),
    ("18d", "registration", Lead(&["registration"], "")),
    (
        "18e\u{2013}f",
        "data and code sharing",
        Lead(
            &["data_availability", "code_availability"],
            "archive and bundle by digest under Provenance",
        ),
    ),
    ("19", "patient and public involvement", Lead(&["involvement"], "")),
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
    ("25", "interpretation, fairness", Lead(&["interpretation"], "gaps under Fairness")),
    ("26", "limitations", Lead(&["limitations"], "what is withheld, and why, throughout")),
    (
        "27a\u{2013}c",
        "usability: poor input, interaction with users, next steps",
        Lead(&["next_steps", "intended_users"], ""),
    ),
];
