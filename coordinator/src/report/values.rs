//! The values of a report: a count, an estimate, a curve, each with what it is when it can't be
//! given. The wording of numbers is here too, so that page, terminal and `report.json` agree.

use std::fmt;

use serde::{Deserialize, Serialize};
use wardround_learn::findings::{Figure, Interval};
use wardround_privacy::suppress::{Reason, Shown};

/// A count that is shown, or why it isn't. In JSON a whole number or the reason's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Count {
    /// The number.
    Shown(u64),
    /// Why it isn't shown.
    Withheld(Reason),
}

impl From<Shown<u64>> for Count {
    fn from(shown: Shown<u64>) -> Self {
        match shown {
            Shown::Value(count) => Count::Shown(count),
            Shown::Suppressed(reason) => Count::Withheld(reason),
        }
    }
}

impl Count {
    /// The number, where it is shown.
    pub fn number(&self) -> Option<u64> {
        match self {
            Count::Shown(count) => Some(*count),
            Count::Withheld(_) => None,
        }
    }

    /// Why it isn't shown; nothing where it is.
    pub fn why(&self) -> &'static str {
        match self {
            Count::Shown(_) => "",
            Count::Withheld(reason) => words(*reason),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::Shown(count) => f.pad(&grouped(*count)),
            Count::Withheld(Reason::Empty) => f.pad("none"),
            Count::Withheld(_) => f.pad("withheld"),
        }
    }
}

/// Why a count, a figure or a curve isn't shown, in words.
fn words(reason: Reason) -> &'static str {
    match reason {
        Reason::SmallCell => "too few, or hides others that are",
        Reason::SmallSlice => "too few of a class, or hides others",
        Reason::Empty => "nobody is in it",
        Reason::RefusedBySite => "the site's owner doesn't release it",
    }
}

/// A number with its 95 % interval, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum Estimate {
    /// Value and interval.
    Known {
        /// The estimate, finite, six decimals.
        value: f64,
        /// Its 95 % interval.
        interval: Interval,
    },
    /// Not defined on this cell.
    Undefined {
        /// Why.
        reason: String,
    },
    /// Not shown.
    Withheld {
        /// Why.
        reason: Reason,
    },
}

impl From<&Figure> for Estimate {
    fn from(figure: &Figure) -> Self {
        match figure {
            Figure::Known { value, interval } if value.is_finite() => {
                let interval = match *interval {
                    Interval::Between { low, high } if low.is_finite() && high.is_finite() => {
                        Interval::Between { low: rounded(low), high: rounded(high) }
                    }
                    _ => Interval::NotComputed,
                };
                Estimate::Known { value: rounded(*value), interval }
            }
            Figure::Known { .. } => Estimate::Undefined { reason: "not a finite number".into() },
            Figure::Undefined { reason } => Estimate::Undefined { reason: reason.clone() },
        }
    }
}

impl Estimate {
    /// The value, where there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Estimate::Known { value, .. } => Some(*value),
            Estimate::Undefined { .. } | Estimate::Withheld { .. } => None,
        }
    }

    /// Both ends of the interval, where there is one.
    pub fn ends(&self) -> Option<[f64; 2]> {
        match self {
            Estimate::Known { interval: Interval::Between { low, high }, .. } => {
                Some([*low, *high])
            }
            _ => None,
        }
    }

    /// With at most so many decimals.
    pub fn to_decimals(self, decimals: i32) -> Self {
        let scale = 10f64.powi(decimals.clamp(0, 6));
        let coarse = |value: f64| rounded((value * scale).round() / scale);
        match self {
            Estimate::Known { value, interval } => Estimate::Known {
                value: coarse(value),
                interval: match interval {
                    Interval::Between { low, high } => {
                        Interval::Between { low: coarse(low), high: coarse(high) }
                    }
                    Interval::NotComputed => Interval::NotComputed,
                },
            },
            other => other,
        }
    }

    /// In a few characters: `0.731`, `undefined` or `withheld`.
    pub fn short(&self) -> String {
        match self {
            Estimate::Known { value, .. } => decimal(*value),
            Estimate::Undefined { .. } => "undefined".to_owned(),
            Estimate::Withheld { reason: Reason::Empty } => "none".to_owned(),
            Estimate::Withheld { .. } => "withheld".to_owned(),
        }
    }

    /// The interval in a few characters: `0.702 to 0.759`, or nothing.
    pub fn interval_text(&self) -> String {
        self.ends()
            .map(|[low, high]| format!("{} to {}", decimal(low), decimal(high)))
            .unwrap_or_default()
    }

    /// Its state, as `report.json` writes it.
    pub fn state(&self) -> &'static str {
        match self {
            Estimate::Known { .. } => "known",
            Estimate::Undefined { .. } => "undefined",
            Estimate::Withheld { .. } => "withheld",
        }
    }

    /// Why there is no value; nothing where there is one.
    pub fn why(&self) -> String {
        match self {
            Estimate::Known { .. } => String::new(),
            Estimate::Undefined { reason } => reason.clone(),
            Estimate::Withheld { reason } => words(*reason).to_owned(),
        }
    }
}

impl fmt::Display for Estimate {
    /// `0.731 (0.702 to 0.759)`, `undefined: one class only`, `withheld: too small to judge`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (short, interval, why) = (self.short(), self.interval_text(), self.why());
        let text = match (interval.is_empty(), why.is_empty()) {
            (false, _) => format!("{short} ({interval})"),
            (true, false) => format!("{short}: {why}"),
            (true, true) => short,
        };
        f.pad(&text)
    }
}

/// A ROC curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum Curve {
    /// Its corners from (0, 0) to (1, 1): false positive rate, true positive rate.
    Shown {
        /// The corners.
        points: Vec<[f64; 2]>,
    },
    /// Not drawn.
    Withheld {
        /// Why.
        reason: Reason,
    },
    /// There is none: not a single step holds the minimum of both classes.
    Undefined,
}

impl Curve {
    /// The corners; none when there is nothing to draw.
    pub fn points(&self) -> &[[f64; 2]] {
        match self {
            Curve::Shown { points } => points,
            Curve::Withheld { .. } | Curve::Undefined => &[],
        }
    }

    /// Its state, as `report.json` writes it, and why it isn't drawn.
    pub fn state(&self) -> (&'static str, &'static str) {
        match self {
            Curve::Shown { .. } => ("shown", ""),
            Curve::Withheld { reason } => ("withheld", words(*reason)),
            Curve::Undefined => ("undefined", "no step holds the minimum of both classes"),
        }
    }
}

/// A reliability curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", deny_unknown_fields)]
pub enum Calibration {
    /// Its bins, by ascending prediction; neighbours are merged until a bin holds the minimum.
    Shown {
        /// The bins.
        bins: Vec<CalibrationBin>,
    },
    /// Not drawn.
    Withheld {
        /// Why.
        reason: Reason,
    },
    /// There is none: not a single bin holds the minimum of both classes.
    Undefined,
}

impl Calibration {
    /// The bins; none when there is nothing to draw.
    pub fn bins(&self) -> &[CalibrationBin] {
        match self {
            Calibration::Shown { bins } => bins,
            Calibration::Withheld { .. } | Calibration::Undefined => &[],
        }
    }

    /// Its state, as `report.json` writes it, and why it isn't drawn.
    pub fn state(&self) -> (&'static str, &'static str) {
        match self {
            Calibration::Shown { .. } => ("shown", ""),
            Calibration::Withheld { reason } => ("withheld", words(*reason)),
            Calibration::Undefined => ("undefined", "no bin holds the minimum of both classes"),
        }
    }
}

/// A bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Its lower end: no prediction in it is below.
    pub from: f64,
    /// Images in it.
    pub images: u64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of positives.
    pub observed: f64,
}

/// Six decimals, as in `report.json`. More would tell the counts behind a figure, and a JSON reader
/// takes so few digits for the very number that was written.
pub fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6 + 0.0
}

/// Three decimals, as on the page and in the terminal.
pub fn decimal(value: f64) -> String {
    // Adding 0 turns a negative zero, which would print as -0.000, into a plain one.
    format!("{:.3}", (value * 1000.0).round() / 1000.0 + 0.0)
}

/// A p-value: three decimals, where it isn't less than they can say.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { decimal(p) }
}

/// The same after `p`: equal to a number, or less than one.
pub fn p_words(p: f64) -> String {
    let sign = if p < 0.001 { "" } else { "= " };
    format!("p {sign}{}", p_value(p))
}

/// A noun with its indefinite article.
pub fn with_article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {noun}")
}

/// A whole number with its thousands set off by commas.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in a unit that people read: `512 B`, `1.4 kB`, `3.2 MB`.
pub fn bytes(count: u64) -> String {
    const STEP: f64 = 1000.0;
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < STEP {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= STEP;
    }
    format!("{value:.1} PB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_the_same_everywhere() {
        assert_eq!(decimal(0.7306), "0.731");
        assert_eq!(decimal(-0.0001), "0.000");
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123_456), "123,456");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_440), "1.4 kB");
        assert_eq!(bytes(3_200_000), "3.2 MB");
    }

    #[test]
    fn a_count_is_a_number_or_the_word() {
        assert_eq!(serde_json::to_string(&Count::Shown(12)).unwrap(), "12");
        let withheld = Count::Withheld(Reason::SmallCell);
        assert_eq!(serde_json::to_string(&withheld).unwrap(), "\"small-cell\"");
        assert_eq!(serde_json::from_str::<Count>("\"small-cell\"").unwrap(), withheld);
        assert!(serde_json::from_str::<Count>("\"few\"").is_err());
        assert!(serde_json::from_str::<Count>("-1").is_err());
    }

    #[test]
    fn what_is_not_finite_is_undefined() {
        let figure = Figure::Known { value: f64::NAN, interval: Interval::NotComputed };
        assert_eq!(Estimate::from(&figure).to_string(), "undefined: not a finite number");
        let open = Interval::Between { low: f64::NEG_INFINITY, high: 1.0 };
        let figure = Figure::Known { value: 0.5, interval: open };
        assert_eq!(Estimate::from(&figure).to_string(), "0.500");
    }
}
