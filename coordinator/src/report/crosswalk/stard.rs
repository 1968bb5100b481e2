//! STARD-AI: diagnostic accuracy of AI (Sounderajah et al., Nat Med 2025, doi:10.1038/s41591-025-03953-8).

use super::By::{Lead, Report};
use super::{Checklist, Item};

/// The checklist.
pub(super) const STARD_AI: Checklist = Checklist {
    name: "STARD-AI (2025)",
    source: "Sounderajah and others, Nature Medicine 2025, doi:10.1038/s41591-025-03953-8",
    items: ITEMS,
};

const ITEMS: &[Item] = &[
    (
        "1",
        "title or abstract: diagnostic accuracy of AI, with a measure",
        Lead(&["title"], "AUC, sensitivity and specificity on the first screen and under How good"),
    ),
    ("2", "abstract", Lead(&["abstract"], "")),
    ("3", "background, intended use, place in care", Lead(&["background", "intended_use"], "")),
    ("4", "objectives and hypotheses", Lead(&["objectives"], "")),
    ("5", "data gathered before or after the study was planned", Lead(&["design"], "")),
    ("6", "ethical approval", Lead(&["ethics"], "")),
    (
        "7",
        "eligibility of people and of data, in order",
        Lead(&["eligibility"], "filters of the study file, rows set aside under Cohort"),
    ),
    ("8", "how people came into question", Lead(&["setting"], "")),
    ("9", "where and when", Lead(&["setting", "dates"], "sites under Cohort")),
    ("10", "consecutive, random or convenient series", Lead(&["setting"], "")),
    ("11", "routine data, gathered for the study, or public", Lead(&["setting"], "")),
    ("12", "who annotated and how", Lead(&["annotators"], "")),
    ("13", "devices and software", Lead(&["acquisition"], "what computed features under Cohort")),
    (
        "14",
        "acquisition and preprocessing",
        Lead(&["acquisition"], "preprocessing in the study file"),
    ),
    (
        "15a",
        "index test in detail",
        Report(
            "study",
            "backbone, preprocessing, classifier; the bundle by digest under Provenance",
        ),
    ),
    (
        "15b",
        "how it was developed, with sizes",
        Report("choosing", "grid, nested folds; sizes under Cohort"),
    ),
    (
        "15c",
        "cut-offs and why",
        Report(
            "choosing",
            "threshold, the rule it was chosen by, without the rows it is judged on",
        ),
    ),
    ("15d", "who is to use it", Lead(&["intended_users"], "")),
    (
        "16a",
        "reference standard in detail",
        Lead(&["reference_standard"], "label column and classes in the study file"),
    ),
    ("16b", "why that reference standard", Lead(&["reference_standard"], "")),
    (
        "16c",
        "its cut-offs and categories",
        Lead(&["reference_standard"], "classes in the study file"),
    ),
    (
        "17a",
        "what was known when the index test was read",
        Report("study", "the model is given the study's input and nothing else"),
    ),
    ("17b", "what was known to who set the reference standard", Lead(&["annotators"], "")),
    (
        "18",
        "methods for measures of accuracy",
        Report("performance", "metrics, intervals, what they compare"),
    ),
    (
        "19",
        "indeterminate results",
        Report("uncertainty", "abstention and conformal sets; rows without a label under Cohort"),
    ),
    (
        "20",
        "missing data",
        Report("study", "what becomes of missing values; rows set aside under Cohort"),
    ),
    (
        "21",
        "variability of accuracy",
        Report("subgroups", "sites and subgroups that the study file named before the first round"),
    ),
    (
        "22",
        "sample size that was intended",
        Lead(&["sample_size"], "numbers under Cohort, intervals throughout"),
    ),
    (
        "23",
        "errors, bias, fairness",
        Report("fairness", "gaps beside chance; wardround-site review shows errors at each site"),
    ),
    (
        "24",
        "flow of participants",
        Report("cohort", "rows set aside by reason, patients and rows that stayed"),
    ),
    (
        "25",
        "characteristics of people and data",
        Report("cohort", "counts by site, class and subgroup"),
    ),
    ("26a", "severity of disease", Lead(&["representativeness"], "")),
    ("26b", "what others had instead", Lead(&["representativeness"], "")),
    (
        "27",
        "time and treatment between test and reference standard",
        Lead(&["reference_standard", "treatments"], ""),
    ),
    (
        "28",
        "whether data are like where it is to be used",
        Lead(&["representativeness"], "share of each class under Cohort"),
    ),
    (
        "29",
        "how external data differ",
        Lead(&["external_data"], "sites that had no part in a model under Left-out sites"),
    ),
    (
        "30",
        "table of test against reference standard",
        Report("performance", "calls at the threshold"),
    ),
    ("31", "accuracy with precision", Report("performance", "every figure with its interval")),
    ("32", "adverse events", Lead(&["adverse_events"], "")),
    ("33", "limitations", Lead(&["limitations"], "what is withheld, and why, throughout")),
    ("34", "implications for practice", Lead(&["next_steps", "intended_use"], "")),
    ("35", "ethical considerations, fairness", Lead(&["harms"], "gaps under Fairness")),
    ("36", "registration", Lead(&["registration"], "")),
    (
        "37",
        "protocol",
        Lead(&["protocol"], "the study file and its digest, pinned before the first round"),
    ),
    ("38", "funding and its role", Lead(&["funding"], "")),
    ("39", "commercial interests", Lead(&["conflicts"], "")),
    (
        "40a",
        "availability of data and code",
        Lead(
            &["data_availability", "code_availability"],
            "archive and bundle by digest under Provenance",
        ),
    ),
    (
        "40b",
        "whether outputs are kept and can be audited",
        Report("provenance", "digests of bundle and journal, which the signed archive holds"),
    ),
];
