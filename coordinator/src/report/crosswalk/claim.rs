//! CLAIM: AI in medical imaging, the update of 2024 (Tejani et al., Radiol Artif Intell 2024;6(4):e240300).

use super::By::{Lead, Report};
use super::{Checklist, Item};

/// The checklist.
pub(super) const CLAIM: Checklist = Checklist {
    name: "CLAIM (2024 update)",
    source: "Tejani and others, Radiology: Artificial Intelligence 2024;6(4):e240300",
    items: ITEMS,
};

const ITEMS: &[Item] = &[
    (
        "1",
        "title or abstract: that it is about AI, and of which kind",
        Lead(&["title"], "backbone and classifier on the first screen"),
    ),
    ("2", "abstract", Lead(&["abstract"], "")),
    ("3", "background, what the model is for", Lead(&["background", "intended_use"], "")),
    ("4", "aims and hypotheses", Lead(&["objectives"], "")),
    ("5", "looking ahead or back", Lead(&["design"], "")),
    ("6", "goal of the study", Lead(&["design", "objectives"], "")),
    (
        "7",
        "where data come from",
        Lead(&["setting", "dates"], "sites and frozen cohorts under Cohort"),
    ),
    (
        "8",
        "who was included and excluded",
        Lead(&["eligibility"], "filters of the study file, rows set aside under Cohort"),
    ),
    ("9", "preprocessing", Report("study", "input, preprocessing, standardisation")),
    (
        "10",
        "choice of a part of the data",
        Report("study", "filters, columns, reduction of features"),
    ),
    ("11", "de-identification", Lead(&["deidentification"], "")),
    (
        "12",
        "missing data",
        Report("study", "what becomes of missing values; rows set aside under Cohort"),
    ),
    ("13", "acquisition of images", Lead(&["acquisition"], "")),
    (
        "14",
        "reference standard: how it was obtained",
        Lead(&["reference_standard"], "label column and classes in the study file"),
    ),
    ("15", "reference standard: why that one", Lead(&["reference_standard"], "")),
    ("16", "who annotated", Lead(&["annotators"], "")),
    (
        "17",
        "annotation of what the model is judged on",
        Lead(&["annotators"], "labels are the same in every fold"),
    ),
    ("18", "agreement of annotators", Lead(&["annotators"], "")),
    ("19", "how data were dealt to parts", Report("choosing", "folds, nested; left-out sites")),
    (
        "20",
        "what no two parts share",
        Report("choosing", "no patient, as the study's key names them, is in two folds"),
    ),
    (
        "21",
        "sample size that was intended",
        Lead(&["sample_size"], "numbers under Cohort, intervals throughout"),
    ),
    (
        "22",
        "the model in detail",
        Report("study", "backbone and classifier; the bundle by digest under Provenance"),
    ),
    (
        "23",
        "software and versions",
        Report("provenance", "digests; the software's version at the page's end"),
    ),
    (
        "24",
        "initial values of parameters",
        Report("provenance", "pretrained weights by digest; the seed under Study file"),
    ),
    (
        "25",
        "training in detail",
        Report("choosing", "grid, folds, when growing stopped, class weights"),
    ),
    ("26", "how the final model was picked", Report("choosing", "what chose among grid points")),
    ("27", "ensembles", Report("study", "classifiers and ensembles of the study file")),
    ("28", "metrics", Report("performance", "discrimination, calibration, net benefit")),
    (
        "29",
        "significance and uncertainty",
        Report("performance", "95 % intervals clustered by patient; chance under Fairness"),
    ),
    (
        "30",
        "robustness and sensitivity",
        Report("left-out", "sites that had no part in a model; subgroups, own thresholds"),
    ),
    (
        "31",
        "explanations",
        Lead(
            &["explanations"],
            "features under What the model looks at; wardround-site explain and review make maps, which stay at the \
             sites",
        ),
    ),
    ("32", "evaluation on internal data", Report("performance", "nested folds")),
    (
        "33",
        "testing on external data",
        Lead(&["external_data"], "sites that had no part in a model under Left-out sites"),
    ),
    ("34", "registration as a trial", Lead(&["registration"], "")),
    (
        "35",
        "numbers included and excluded",
        Report("cohort", "patients and rows by site, rows set aside by reason"),
    ),
    ("36", "characteristics of the cases", Report("cohort", "counts by site, class and subgroup")),
    ("37", "performance with uncertainty", Report("performance", "every figure with its interval")),
    (
        "38",
        "diagnostic performance and its precision",
        Report("sites", "sensitivity and specificity of each site; calls under How good"),
    ),
    (
        "39",
        "analysis of wrong results",
        Lead(
            &["failure_analysis"],
            "calls under How good; wardround-site review shows errors at each site",
        ),
    ),
    ("40", "limitations", Lead(&["limitations"], "what is withheld, and why, throughout")),
    ("41", "implications for practice", Lead(&["next_steps", "intended_use"], "")),
    (
        "42",
        "protocol, further technical details",
        Lead(&["protocol"], "the study file and its digest, pinned before the first round"),
    ),
    (
        "43",
        "availability of software, model and data",
        Lead(
            &["data_availability", "code_availability"],
            "archive and bundle by digest under Provenance",
        ),
    ),
    ("44", "funding and its role", Lead(&["funding"], "")),
];
