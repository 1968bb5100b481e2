//! What a reader of the report has to know of the ways in which models were fitted.

use wardround_core::study::{Balance, GridPoint, Standardise};

use super::comparison::ComparisonSection;
use super::model::Report;

/// What is to be known of the grid points that were tried, of all classifiers; none of most studies.
pub fn notes(report: &Report) -> Vec<String> {
    let own = report.models.iter().flat_map(|model| &model.used_for_choosing);
    let mut tried: Vec<GridPoint> = own.map(|row| row.point).collect();
    if let ComparisonSection::Several(compared) = &report.comparison {
        let classes = compared.ranking.iter().flat_map(|one| &one.classes);
        tried.extend(classes.flat_map(|class| &class.used_for_choosing).map(|one| one.point));
    }
    let has = |balance| tried.iter().any(|point| point.balance() == balance);
    let mut notes = Vec::new();
    let balanced = [Balance::Weights, Balance::OverSampling, Balance::Smote];
    let names: Vec<&str> =
        balanced.into_iter().filter(|one| has(*one)).map(Balance::name).collect();
    if !names.is_empty() {
        notes.push(format!(
            "Balanced training rows ({}) make a model say more often what is rare: its probabilities are of \
             classes of equal size, so its Brier score and calibration error are worse, which no choice by AUC \
             sees.",
            names.join(", ")
        ));
    }
    if has(Balance::Smote) {
        notes.push(
            "SMOTE inside a site: synthetic rows lie between rows of one site, so these models depend on how \
             patients are split into sites; over-sampling doesn't."
                .to_owned(),
        );
    }
    if tried.iter().any(|point| point.standardise() == Standardise::Combat) {
        notes.push(
            "Adjusted by ComBat: every site is scaled by its own training rows as far as they differ from the \
             others' by more than is usual of its features. A site that was left out, and a new one, is \
             scaled by its own rows without their labels."
                .to_owned(),
        );
    }
    notes
}
