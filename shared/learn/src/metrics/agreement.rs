//! Agreement of two readers beyond chance: Cohen's kappa (1960) of their cross table.
//!
//! Its standard error is the asymptotic one of Fleiss, Cohen and Everitt (1969), written as what each row moves
//! kappa (the delta method). Where we depart from it: what a patient's rows move is added up before it is squared,
//! since images of one patient are no independent evidence. With one row per patient it is theirs.

use super::Undefined;
use super::interval::Z;

/// How often two readers gave which classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossTable<'a> {
    classes: usize,
    counts: &'a [u64],
}

impl<'a> CrossTable<'a> {
    /// `counts [classes, classes]`: rows by the first reader's class and, fastest, the second's.
    ///
    /// # Panics
    /// When there aren't as many counts as pairs of classes.
    pub fn new(classes: usize, counts: &'a [u64]) -> Self {
        assert_eq!(counts.len(), classes * classes, "a count per pair of classes");
        Self { classes, counts }
    }

    /// Rows that both read.
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Rows that both gave the same class.
    pub fn agreed(&self) -> u64 {
        self.counts.iter().step_by(self.classes + 1).sum()
    }

    /// The share of rows that both gave the same class, 0 to 1.
    ///
    /// # Errors
    /// [`Undefined::NoRows`].
    pub fn agreement(&self) -> Result<f64, Undefined> {
        match self.rows() {
            0 => Err(Undefined::NoRows),
            rows => Ok(self.agreed() as f64 / rows as f64),
        }
    }

    /// Agreement beyond chance as a share of all there could be, -1 to 1.
    ///
    /// # Errors
    /// [`Undefined::NoRows`]; [`Undefined::OneClass`] when both readers gave all rows the same class.
    pub fn kappa(&self) -> Result<f64, Undefined> {
        let (agreed, by_chance) = (self.agreement()?, self.by_chance()?);
        Ok((agreed - by_chance) / (1.0 - by_chance))
    }

    /// By how much one more row of each cell moves kappa, times the number of rows; their mean over rows is 0.
    ///
    /// # Errors
    /// As [`CrossTable::kappa`].
    pub fn influences(&self) -> Result<Vec<f64>, Undefined> {
        let (agreed, by_chance) = (self.agreement()?, self.by_chance()?);
        let [first, second] = self.shares();
        let k = self.classes;
        let of_cell = |cell: usize| {
            let (i, j) = (cell / k, cell % k);
            let right = if i == j { 1.0 - by_chance } else { 0.0 };
            (right - (1.0 - agreed) * (second[i] + first[j]))
                / ((1.0 - by_chance) * (1.0 - by_chance))
        };
        let all: Vec<f64> = (0..k * k).map(of_cell).collect();
        let weighted = all.iter().zip(self.counts).map(|(value, &count)| value * count as f64);
        let mean = weighted.sum::<f64>() / self.rows() as f64;
        Ok(all.into_iter().map(|value| value - mean).collect())
    }

    /// Both ends of kappa's 95 % interval, given the sum over patients of squared influences.
    ///
    /// # Errors
    /// As [`CrossTable::kappa`].
    pub fn interval(&self, squares: f64) -> Result<[f64; 2], Undefined> {
        let (kappa, half) = (self.kappa()?, Z * squares.sqrt() / self.rows() as f64);
        Ok([(kappa - half).max(-1.0), (kappa + half).min(1.0)])
    }

    fn by_chance(&self) -> Result<f64, Undefined> {
        if self.rows() == 0 {
            return Err(Undefined::NoRows);
        }
        let [first, second] = self.shares();
        let by_chance: f64 = first.iter().zip(&second).map(|(a, b)| a * b).sum();
        // Exactly 1 only when one class has all rows of both.
        if first.iter().zip(&second).any(|(a, b)| *a == 1.0 && *b == 1.0) {
            return Err(Undefined::OneClass);
        }
        Ok(by_chance)
    }

    /// Each reader's share of each class.
    fn shares(&self) -> [Vec<f64>; 2] {
        let (k, rows) = (self.classes, self.rows() as f64);
        let share = |counts: u64| counts as f64 / rows;
        let first = |i: usize| share(self.counts[i * k..(i + 1) * k].iter().sum());
        let second = |j: usize| share(self.counts.iter().skip(j).step_by(k).sum());
        [(0..k).map(first).collect(), (0..k).map(second).collect()]
    }
}
