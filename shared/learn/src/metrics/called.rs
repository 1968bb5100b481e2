//! Figures of a table of classes by calls, where classes exclude each other and each row is called the class with the largest
//! probability; scikit-learn's names and values.
//!
//! Where we depart from it: a class that no row has leaves balanced accuracy and F1 undefined, where scikit-learn leaves the class
//! out or counts it as 0; so does a correlation of calls that are all the same.

use super::agreement::CrossTable;
use super::registry::Spread;
use super::resampled::Drawn;
use crate::findings::{Figure, Interval, NamedFigure};

/// Why a table has no figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCalls {
    /// Nothing was called.
    NoRows,
    /// No row has this class.
    NoneOf(usize),
    /// All rows have one class, or all are called one.
    NoSpread,
}

impl NoCalls {
    /// In words, with the classes' names.
    pub fn words(self, classes: &[String]) -> String {
        match self {
            Self::NoRows => "no rows".to_owned(),
            Self::NoneOf(class) => format!("{}: no rows", classes[class]),
            Self::NoSpread => "all rows have one class, or all are called one".to_owned(),
        }
    }
}

/// How often rows of each class were called which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called<'a> {
    classes: usize,
    counts: &'a [u64],
}

/// A figure of a table.
#[derive(Debug, Clone, Copy)]
pub struct CalledMetric {
    /// Its name; scikit-learn's.
    pub name: &'static str,
    /// What a report calls it.
    pub words: &'static str,
    /// Smallest and largest value.
    pub range: [f64; 2],
    of: fn(&Called<'_>) -> Result<f64, NoCalls>,
}

/// All of them, in the order of a report.
pub const CALLED: &[CalledMetric] = &[
    CalledMetric {
        name: "accuracy_score",
        words: "accuracy",
        range: [0.0, 1.0],
        of: |called| called.accuracy(),
    },
    CalledMetric {
        name: "balanced_accuracy_score",
        words: "balanced accuracy",
        range: [0.0, 1.0],
        of: |called| called.balanced_accuracy(),
    },
    CalledMetric {
        name: "f1_macro",
        words: "F1, macro mean",
        range: [0.0, 1.0],
        of: |called| called.f1_macro(),
    },
    CalledMetric {
        name: "f1_weighted",
        words: "F1, mean by prevalence",
        range: [0.0, 1.0],
        of: |called| called.f1_weighted(),
    },
    CalledMetric {
        name: "cohen_kappa_score",
        words: "Cohen's kappa",
        range: [-1.0, 1.0],
        of: |called| called.kappa(),
    },
    CalledMetric {
        name: "matthews_corrcoef",
        words: "Matthews' correlation",
        range: [-1.0, 1.0],
        of: |called| called.matthews(),
    },
];

impl<'a> Called<'a> {
    /// `counts [classes, classes]`: rows by class and, fastest, call.
    ///
    /// # Panics
    /// When there aren't as many counts as pairs of classes.
    pub fn new(classes: usize, counts: &'a [u64]) -> Self {
        assert_eq!(counts.len(), classes * classes, "a count per pair of classes");
        Self { classes, counts }
    }

    fn right(&self, class: usize) -> u64 {
        self.counts[class * self.classes + class]
    }

    /// Rows of a class.
    pub fn of_class(&self, class: usize) -> u64 {
        self.counts[class * self.classes..][..self.classes].iter().sum()
    }

    /// Rows that are called a class.
    pub fn called(&self, class: usize) -> u64 {
        self.counts.iter().skip(class).step_by(self.classes).sum()
    }

    fn rows(&self) -> Result<f64, NoCalls> {
        match self.counts.iter().sum::<u64>() {
            0 => Err(NoCalls::NoRows),
            rows => Ok(rows as f64),
        }
    }

    /// The share that is called rightly, 0 to 1.
    ///
    /// # Errors
    /// [`NoCalls::NoRows`].
    pub fn accuracy(&self) -> Result<f64, NoCalls> {
        let rows = self.rows()?;
        Ok((0..self.classes).map(|class| self.right(class)).sum::<u64>() as f64 / rows)
    }

    /// The mean over classes of the share that is called rightly; 1 / classes knows nothing.
    ///
    /// # Errors
    /// [`NoCalls::NoRows`], [`NoCalls::NoneOf`].
    pub fn balanced_accuracy(&self) -> Result<f64, NoCalls> {
        self.rows()?;
        let recall = |class| match self.of_class(class) {
            0 => Err(NoCalls::NoneOf(class)),
            rows => Ok(self.right(class) as f64 / rows as f64),
        };
        let recalls = (0..self.classes).map(recall).collect::<Result<Vec<_>, _>>()?;
        Ok(recalls.iter().sum::<f64>() / self.classes as f64)
    }

    fn f1(&self, class: usize) -> Result<f64, NoCalls> {
        match self.of_class(class) {
            0 => Err(NoCalls::NoneOf(class)),
            rows => Ok(2.0 * self.right(class) as f64 / (rows + self.called(class)) as f64),
        }
    }

    /// The mean over classes of F1.
    ///
    /// # Errors
    /// As [`Called::balanced_accuracy`].
    pub fn f1_macro(&self) -> Result<f64, NoCalls> {
        self.rows()?;
        let each = (0..self.classes).map(|class| self.f1(class)).collect::<Result<Vec<_>, _>>()?;
        Ok(each.iter().sum::<f64>() / self.classes as f64)
    }

    /// The same, classes by how many rows they have.
    ///
    /// # Errors
    /// As [`Called::balanced_accuracy`].
    pub fn f1_weighted(&self) -> Result<f64, NoCalls> {
        let rows = self.rows()?;
        let each = (0..self.classes).map(|class| Ok(self.f1(class)? * self.of_class(class) as f64));
        Ok(each.collect::<Result<Vec<_>, _>>()?.iter().sum::<f64>() / rows)
    }

    /// Cohen's kappa (1960) of classes and calls, -1 to 1.
    ///
    /// # Errors
    /// [`NoCalls::NoRows`], [`NoCalls::NoSpread`].
    pub fn kappa(&self) -> Result<f64, NoCalls> {
        self.rows()?;
        CrossTable::new(self.classes, self.counts).kappa().map_err(|_| NoCalls::NoSpread)
    }

    /// The correlation of classes and calls (Gorodkin, Comput. Biol. Chem. 2004;28:367), -1 to 1.
    ///
    /// # Errors
    /// [`NoCalls::NoRows`], [`NoCalls::NoSpread`].
    pub fn matthews(&self) -> Result<f64, NoCalls> {
        let rows = self.rows()?;
        let sides: Vec<[f64; 2]> = (0..self.classes)
            .map(|class| [self.of_class(class) as f64 / rows, self.called(class) as f64 / rows])
            .collect();
        let spread = |side: usize| 1.0 - sides.iter().map(|both| both[side].powi(2)).sum::<f64>();
        let [classes, calls] = [spread(0), spread(1)];
        if (0..self.classes).any(|class| {
            [self.of_class(class), self.called(class)].contains(&self.counts.iter().sum())
        }) {
            return Err(NoCalls::NoSpread);
        }
        let together: f64 = sides.iter().map(|[of, called]| of * called).sum();
        Ok(((self.accuracy()? - together) / (classes * calls).sqrt()).clamp(-1.0, 1.0))
    }

    /// All figures in the order of [`CALLED`], NaN where one is undefined.
    pub fn values(&self) -> Vec<f64> {
        CALLED.iter().map(|metric| (metric.of)(self).unwrap_or(f64::NAN)).collect()
    }
}

/// All figures of some repeats' tables: means over the repeats, with intervals from their draws where there are any. `drawn`: per
/// figure.
pub fn figures(
    classes: &[String],
    repeats: &[Vec<u64>],
    drawn: &[Drawn],
    patients: u64,
) -> Vec<NamedFigure> {
    let of = |(at, metric): (usize, &CalledMetric)| {
        let each: Result<Vec<f64>, NoCalls> =
            repeats.iter().map(|counts| (metric.of)(&Called::new(classes.len(), counts))).collect();
        let figure = match each {
            Err(why) => Figure::Undefined { reason: why.words(classes) },
            Ok(each) => {
                let value = each.iter().sum::<f64>() / each.len().max(1) as f64;
                let interval = drawn.get(at).map_or(Interval::NotComputed, |drawn| {
                    drawn.interval(Spread::Percentiles, value, metric.range, patients)
                });
                Figure::Known { value, interval }
            }
        };
        NamedFigure { name: metric.name.to_owned(), figure }
    };
    CALLED.iter().enumerate().map(of).collect()
}
