//! A site's disclosure rules, from its message.

use serde_json::json;
use wardround_privacy::policy::{Consent, Policy};
use wardround_proto::v1;

/// A site's disclosure rules from its message.
pub(super) fn policy(message: &v1::Policy) -> Result<Policy, String> {
    let own_model = match message.own_model.as_str() {
        // From a site that doesn't know of it.
        "" => Consent::Refused.code(),
        said => said,
    };
    let value = json!({
        "minimum_cohort": message.minimum_cohort,
        "minimum_cell": message.minimum_cell,
        "minimum_per_class_for_slice": message.minimum_per_class_for_slice,
        "wide_sums": message.wide_sums,
        "wide_share": message.wide_share,
        "leave_one_site_out": message.leave_one_site_out,
        "feature_rows": message.feature_rows,
        "per_site_metrics": message.per_site_metrics,
        "own_model": own_model,
    });
    serde_json::from_value(value).map_err(|error| format!("a site's policy: {error}"))
}
