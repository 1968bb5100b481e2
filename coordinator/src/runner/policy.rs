//! A site's disclosure rules, from its message.

use serde_json::json;
use wardround_privacy::policy::{Consent, Policy};
use wardround_proto::v1;

/// A site's disclosure rules from its message.
pub(super) fn policy(message: &v1::Policy) -> Result<Policy, String> {
    let mut value = json!({
        "minimum_cohort": message.minimum_cohort,
        "minimum_cell": message.minimum_cell,
        "minimum_per_class_for_slice": message.minimum_per_class_for_slice,
        "wide_sums": message.wide_sums,
        "wide_share": message.wide_share,
        "leave_one_site_out": message.leave_one_site_out,
        "feature_rows": message.feature_rows,
        "per_site_metrics": message.per_site_metrics,
    });
    // Agents from before the rule don't name it, and let no such model out.
    if !message.own_model.is_empty() {
        value["own_model"] = json!(message.own_model);
    }
    // Agents from before the rule compare no cohorts.
    value["successive"] = match message.successive.as_str() {
        "" => json!(Consent::Allowed),
        said => json!(said),
    };
    // They don't look at rows of a patient either.
    value["dominance"] = json!(if message.dominance == 0.0 { 1.0 } else { message.dominance });
    serde_json::from_value(value).map_err(|error| format!("a site's policy: {error}"))
}
