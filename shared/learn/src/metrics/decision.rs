//! Whether acting on calls does more good than harm: net benefit (Vickers and Elkin 2006, Med Decis Making 26:565).
//!
//! Whoever acts from a risk of t on holds a missed case to be as bad as (1 - t) / t false alarms. On that scale the
//! net benefit is true positives less false positives times t / (1 - t), per row. A model is of use at t only
//! where it has more than calling all positive and more than calling none so (0).

use super::Undefined;

/// Net benefit of calls at a threshold above 0 and below 1; from minus infinity to the prevalence.
///
/// # Errors
/// [`Undefined::NoRows`].
pub fn net_benefit(
    true_positives: u64,
    false_positives: u64,
    rows: u64,
    threshold: f64,
) -> Result<f64, Undefined> {
    if rows == 0 {
        return Err(Undefined::NoRows);
    }
    let odds = threshold / (1.0 - threshold);
    Ok((true_positives as f64 - false_positives as f64 * odds) / rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_false_alarm_costs_the_odds_of_the_threshold() {
        assert_eq!(net_benefit(30, 20, 100, 0.5), Ok(0.1));
        assert!((net_benefit(30, 20, 100, 0.2).unwrap() - 0.25).abs() < 1e-15);
        assert_eq!(net_benefit(0, 0, 0, 0.5), Err(Undefined::NoRows));
    }
}
