//! What a bundle says beside a probability, in plain words and as JSON.

use serde_json::{Value, json};
use wardround_learn::bundle::{
    ConformalEntry, ModelBundle, OutlierEntry, OutlierScore, Recalibration, SetLimits,
};
use wardround_learn::findings::MeansOf;

use super::describe::class_name;

/// Limits, maps and the distance's outline; the measure's thousands of numbers stay in the file.
pub(super) fn data(bundle: &ModelBundle) -> Value {
    let (entry, beside) = (&bundle.manifest.beside, &bundle.beside);
    if entry.is_nothing() {
        return json!({});
    }
    let sets = beside.sets.iter().map(|set| {
        let SetLimits { negative_below, positive_from } = set;
        json!({ "negative_below": negative_below, "positive_from": positive_from })
    });
    let maps = beside.recalibration.iter().map(|map| match map {
        Recalibration::Line { intercept, slope } => {
            json!({ "intercept": intercept, "slope": slope })
        }
        Recalibration::Undefined => Value::Null,
    });
    let mut outliers = json!(entry.outliers);
    if let OutlierScore::Measured { steps, .. } = &beside.outliers {
        outliers["limits"] =
            json!(steps.limits.iter().map(|limit| limit.sqrt()).collect::<Vec<f64>>());
        outliers["percentiles"] =
            json!(steps.shares.iter().map(|share| 100.0 * share).collect::<Vec<f64>>());
    }
    json!({ "beside": {
        "conformal": entry.conformal,
        "sets": sets.collect::<Vec<_>>(),
        "recalibration": { "method": entry.recalibration, "lines": maps.collect::<Vec<_>>() },
        "outliers": outliers,
    }})
}

/// The same in words; nothing of a bundle without.
pub(super) fn text(bundle: &ModelBundle) -> Option<String> {
    let (entry, beside) = (&bundle.manifest.beside, &bundle.beside);
    let mut lines = Vec::new();
    let classes =
        || bundle.manifest.models.iter().map(|one| class_name(&bundle.manifest, one.class));
    if let ConformalEntry::ByClass { coverage_percent } = entry.conformal {
        let of_class = |(class, set): (&str, &SetLimits)| {
            let SetLimits { negative_below, positive_from } = set;
            format!("'{class}' from {positive_from:.3}, others below {negative_below:.3}")
        };
        let all: Vec<String> = classes().zip(&beside.sets).map(of_class).collect();
        lines.push(format!(
            "conformal sets hold each class in {coverage_percent} of 100 of its rows or more: {}",
            all.join("; ")
        ));
    }
    let of_map = |(class, map): (&str, &Recalibration)| match map {
        Recalibration::Line { intercept, slope } => {
            format!("'{class}' {intercept:+.3} {slope:+.3} x logit")
        }
        Recalibration::Undefined => format!("'{class}' couldn't be fitted"),
    };
    let maps: Vec<String> = classes().zip(&beside.recalibration).map(of_map).collect();
    if !maps.is_empty() {
        lines.push(format!("recalibrated ({}): {}", entry.recalibration.word(), maps.join("; ")));
    }
    match (&entry.outliers, &beside.outliers) {
        (OutlierEntry::Mahalanobis { means, directions }, OutlierScore::Measured { steps, .. }) => {
            let (limit, share) = steps.last().unwrap_or_default();
            let means = match means {
                MeansOf::Classes => "nearest class mean",
                MeansOf::AllRows => "mean of all rows",
            };
            lines.push(format!(
                "outliers: Mahalanobis distance to the {means}, {directions} directions; beyond {:.2}, where {:.1} % of training \
                 rows are nearer",
                limit.sqrt(),
                100.0 * share
            ));
        }
        (OutlierEntry::Undefined { reason }, _) => {
            lines.push(format!("outliers aren't told: {reason}"))
        }
        _ => {}
    }
    if lines.is_empty() {
        return None;
    }
    let learned = "learned from scores and distances of outer folds, whose models had a fold less than this one";
    lines.push(learned.to_owned());
    let lines: Vec<String> = lines.iter().map(|line| format!("  {line}")).collect();
    Some(format!("beside the probability\n{}", lines.join("\n")))
}
