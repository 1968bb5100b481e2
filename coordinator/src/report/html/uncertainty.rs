//! What probabilities are worth: recalibration, conformal sets, abstention.

use wardround_learn::metrics::recalibrate::Method;

use super::super::model::Report;
use super::markup::{Markup, el};
use super::table::{Cell, table};

/// Tables of one modelled class; nothing where findings don't have them.
pub fn uncertainty(report: &Report, at: usize) -> Markup {
    let section = &report.uncertainty[at];
    if section.recalibrated.is_empty() {
        return el("p").attr("class", "soft").text("Not computed.").into();
    }
    let row = &report.study.judged.name;
    let recalibrated = section.recalibrated.iter().map(|one| {
        vec![
            Cell::plain(in_words(one.method)),
            Cell::estimate(&one.brier),
            Cell::estimate(&one.log_loss),
            Cell::estimate(&one.ece),
            Cell::estimate(&one.ece_equal_mass),
        ]
    });
    let conformal = section.conformal.iter().map(|one| {
        vec![
            Cell::plain(&one.of),
            Cell::plain(&one.limits),
            Cell::estimate(&one.coverage),
            Cell::estimate(&one.coverage_negative),
            Cell::estimate(&one.coverage_positive),
            Cell::estimate(&one.both),
        ]
    });
    let own = section.own_thresholds.iter().map(|one| {
        vec![
            Cell::plain(&one.of),
            Cell::estimate(&one.sensitivity),
            Cell::estimate(&one.own_sensitivity),
            Cell::estimate(&one.specificity),
            Cell::estimate(&one.own_specificity),
        ]
    });
    let kept = section.abstention.iter().map(|one| {
        vec![
            Cell::plain(format!("{:.0} %", 100.0 * one.kept)),
            Cell::estimate(&one.sensitivity),
            Cell::estimate(&one.specificity),
        ]
    });
    let note = el("p").attr("class", "soft").text(format!(
        "Everything here is learned from the other folds\u{2019} scores and judged on the fold\u{2019}s own. Rates are of counts \
         of {}s rounded to a multiple of the minimum cell, since several ways of calling the same {row}s stand beside each other.",
        report.study.unit
    ));
    el("div")
        .add(note)
        .add(table(
            "Probabilities after recalibration, all sites in one list, of the middles of score bins; lower is better",
            &["recalibrated by", "Brier score", "log loss", "ECE, equal width", "ECE, equal mass"],
            recalibrated.collect(),
        ))
        .add(table(
            &format!(
                "Conformal sets that shall hold the right class in {:.0} of 100 {row}s",
                100.0 * section.coverage_wanted
            ),
            &["of", "limits from", "coverage", "of negatives", "of positives", "can\u{2019}t tell (both in the set)"],
            conformal.collect(),
        ))
        .add(table(
            &format!(
                "What a threshold of its own would do for a site or a subgroup, chosen for {} on its own {row}s of the other folds",
                report.study.threshold_for
            ),
            &["of", "sensitivity", "at its own threshold", "specificity", "at its own threshold"],
            own.collect(),
        ))
        .add(table(
            &format!("Calls when the {row}s nearest to the threshold are left to people"),
            &["called at most", "sensitivity", "specificity"],
            kept.collect(),
        ))
        .into()
}

fn in_words(method: Method) -> &'static str {
    match method {
        Method::Nothing => "nothing",
        Method::Platt => "Platt: slope and constant of the logit",
        Method::Temperature => "temperature: slope of the logit",
        Method::Isotonic => "isotonic regression",
    }
}
