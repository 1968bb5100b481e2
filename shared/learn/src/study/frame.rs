//! The shared frame, and the mean and deviation of every training set from sums of cells.
//!
//! The frame only keeps numbers near 1 so that the fixed point is fine; it cancels out of every
//! model. Scalers come from the cells `[site, fold]` of the training rows and nothing else.

use std::sync::Arc;

use wardround_core::query::{
    Ask, Column, Combat, Fill, FoldSet, Frame, Labelling, RowSet, SiteSet,
};

use super::asker::{Asker, finest_bits};
use super::error::StudyError;
use crate::cohort::Cohort;

/// Binary places of the first look at columns of unknown size: whole numbers, so that it leaves the
/// range only where the root mean square is above some 10^7. (A question out of range can be asked
/// again, but a journal doesn't keep it.)
const FIRST_BITS: u8 = 0;

/// Looks at most: one for large columns, one for most, one for those that are tiny or constant.
pub(crate) const LOOKS: usize = 3;

/// Binary places that are always kept on standardised columns.
const COARSEST_BITS: u8 = 32;

/// A variance this many times above its rounding error is taken as known.
const RESOLVED: f64 = 16.0;

/// Moments of every cell of every repeat.
pub(crate) struct Cells {
    features: usize,
    folds: usize,
    sites: usize,
    /// One per repeat, by site and fold.
    repeats: Vec<RepeatCells>,
    /// The same by class as well, one per class; none where it isn't asked for.
    by_class: Vec<Vec<RepeatCells>>,
}

#[derive(Default)]
struct RepeatCells {
    /// Value of the last binary place of the sums.
    unit: f64,
    rows: Vec<i64>,
    n: Vec<i64>,
    sum: Vec<i64>,
    squares: Vec<i64>,
}

/// Mean and deviation of a training set, in the frame's units.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standard {
    /// Rows.
    pub rows: u64,
    /// Mean of each feature over the rows that have it.
    pub mean: Vec<f64>,
    /// Deviation over the rows that have it (n in the denominator); 1 where the feature is constant.
    pub deviation: Vec<f64>,
    /// Which features are constant.
    pub constant: Vec<bool>,
}

/// Sums of a training set's rows of some classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassSums {
    /// Rows that have each feature.
    pub n: Vec<f64>,
    /// Sum of each feature over them, in the frame's units.
    pub sum: Vec<f64>,
    /// Sum of its squares.
    pub squares: Vec<f64>,
}

/// Whether cells are told apart by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByClass {
    Yes,
    No,
}

/// Finds the frame: about the center and scale of all rows of the study. Where a look doesn't resolve
/// a column's spread, the next one goes closer.
pub(crate) async fn frame<C: Cohort>(
    asker: &mut Asker<'_, C>,
    rows: u64,
) -> Result<Arc<Frame>, StudyError> {
    let mut frame = Arc::new(Frame::identity(asker.schema.features as usize));
    let fine = finest_bits(rows as f64, 4);
    for look in 0..LOOKS {
        let bits = if look == 0 { FIRST_BITS } else { fine };
        let answer = asker
            .ask_at(bits, COARSEST_BITS.min(bits), |bits| Ask::Moments {
                frame: frame.clone(),
                split: Vec::new(),
                bits,
            })
            .await?;
        let (n, sum, squares) =
            (answer.counts("n"), answer.values("sum"), answer.values("squares"));
        let rounding = answer.unit("squares");
        let mut all_resolved = true;
        let mut next = Frame { center: frame.center.clone(), scale: frame.scale.clone() };
        for (j, &n) in n.iter().enumerate().filter(|(_, n)| **n > 0) {
            let mean = sum[j] / n as f64;
            let variance = squares[j] / n as f64 - mean * mean;
            let error = rounding * (1.0 + 2.0 * mean.abs()) + mean * mean * f64::EPSILON * 4.0;
            let resolved = variance > RESOLVED * error;
            all_resolved &= resolved;
            next.center[j] += next.scale[j] * mean;
            next.scale[j] *= if resolved { variance } else { RESOLVED * error }.sqrt();
        }
        frame = Arc::new(next);
        if all_resolved {
            break;
        }
    }
    Ok(frame)
}

/// Asks for the moments of every site and fold, and class where that is wanted, repeat by repeat.
pub(crate) async fn cells<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    rows: u64,
    by_class: ByClass,
) -> Result<Cells, StudyError> {
    let finest = finest_bits(rows as f64, 2);
    let classes = match by_class {
        ByClass::Yes => usize::from(asker.schema.classes),
        ByClass::No => 0,
    };
    let mut cells = Cells {
        features: asker.schema.features as usize,
        folds: usize::from(asker.folds.folds),
        sites: asker.sites.len(),
        repeats: Vec::new(),
        by_class: (0..classes).map(|_| Vec::new()).collect(),
    };
    for repeat in 0..asker.folds.repeats {
        let plain = vec![Column::Site, Column::Fold { repeat }];
        let split = [plain.as_slice(), &[Column::Class]].concat();
        if by_class == ByClass::No || asker.schema.labelling == Labelling::Multi {
            cells.repeats.push(moments(asker, frame, &plain, finest).await?);
        }
        if by_class == ByClass::Yes {
            let all = moments(asker, frame, &split, finest).await?;
            if asker.schema.labelling == Labelling::Single {
                cells.repeats.push(all.added(classes, cells.features));
            }
            for (class, of_class) in cells.by_class.iter_mut().enumerate() {
                of_class.push(all.only(class, classes, cells.features));
            }
        }
    }
    Ok(cells)
}

async fn moments<C: Cohort>(
    asker: &mut Asker<'_, C>,
    frame: &Arc<Frame>,
    split: &[Column],
    finest: u8,
) -> Result<RepeatCells, StudyError> {
    let answer = asker
        .ask_at(finest, COARSEST_BITS.min(finest), |bits| Ask::Moments {
            frame: frame.clone(),
            split: split.to_vec(),
            bits,
        })
        .await?;
    Ok(RepeatCells {
        unit: answer.unit("squares"),
        rows: answer.counts("rows").to_vec(),
        n: answer.counts("n").to_vec(),
        sum: answer.counts("sum").to_vec(),
        squares: answer.counts("squares").to_vec(),
    })
}

impl RepeatCells {
    /// Of cells whose last column is the class, those of one class.
    fn only(&self, class: usize, classes: usize, features: usize) -> Self {
        let of = |values: &[i64], width: usize| -> Vec<i64> {
            let cells = values.chunks_exact(width).skip(class).step_by(classes);
            cells.flatten().copied().collect()
        };
        Self {
            unit: self.unit,
            rows: of(&self.rows, 1),
            n: of(&self.n, features),
            sum: of(&self.sum, features),
            squares: of(&self.squares, features),
        }
    }

    /// The same added up over classes. Whole numbers: their order doesn't matter.
    fn added(&self, classes: usize, features: usize) -> Self {
        let of = |values: &[i64], width: usize| -> Vec<i64> {
            let of_cell = |cell: &[i64]| -> Vec<i64> {
                let sum = |k: usize| cell.iter().skip(k).step_by(width).sum();
                (0..width).map(sum).collect()
            };
            values.chunks_exact(width * classes).flat_map(of_cell).collect()
        };
        Self {
            unit: self.unit,
            rows: of(&self.rows, 1),
            n: of(&self.n, features),
            sum: of(&self.sum, features),
            squares: of(&self.squares, features),
        }
    }
}

impl Cells {
    /// Whether any feature of any row is missing.
    pub fn any_missing(&self) -> bool {
        let repeat = &self.repeats[0];
        let per_cell = repeat.n.chunks_exact(self.features).zip(&repeat.rows);
        per_cell.into_iter().any(|(n, rows)| n.iter().any(|n| n != rows))
    }

    /// Mean and deviation over some rows.
    pub fn standard(&self, rows: &RowSet) -> Standard {
        let d = self.features;
        let repeat = &self.repeats[usize::from(rows.repeat)];
        // Whole numbers add up exactly, so the order of cells doesn't matter.
        let (mut count, mut n) = (0i64, vec![0i64; d]);
        let (mut sum, mut squares) = (vec![0i128; d], vec![0i128; d]);
        for cell in self.cells_of(rows) {
            count += repeat.rows[cell];
            for j in 0..d {
                n[j] += repeat.n[cell * d + j];
                sum[j] += i128::from(repeat.sum[cell * d + j]);
                squares[j] += i128::from(repeat.squares[cell * d + j]);
            }
        }
        let mut standard = Standard {
            rows: count.max(0) as u64,
            mean: vec![0.0; d],
            deviation: vec![1.0; d],
            constant: vec![true; d],
        };
        for j in (0..d).filter(|&j| n[j] > 0) {
            let present = n[j] as f64;
            let mean = sum[j] as f64 * repeat.unit / present;
            let variance = squares[j] as f64 * repeat.unit / present - mean * mean;
            standard.mean[j] = mean;
            if variance > spread_of_rounding(repeat.unit, mean) {
                standard.constant[j] = false;
                standard.deviation[j] = variance.sqrt();
            }
        }
        standard
    }

    /// The cells of some rows.
    fn cells_of(&self, rows: &RowSet) -> impl Iterator<Item = usize> {
        let (folds, rows) = (self.folds, *rows);
        let sites = (0..self.sites).filter(move |&site| rows.sites.contains(site as u16));
        let each = move |site| rows.folds.iter().map(move |fold| site * folds + usize::from(fold));
        sites.flat_map(each)
    }

    /// Sums over some rows of all classes but one, and of that class; cells must be told apart by class.
    pub fn against(&self, rows: &RowSet, class: u8) -> [ClassSums; 2] {
        let repeat = usize::from(rows.repeat);
        let all = self.sums(&self.repeats[repeat], rows);
        let positive = self.sums(&self.by_class[usize::from(class)][repeat], rows);
        let unit = self.repeats[repeat].unit;
        let rest = all.iter().zip(&positive).map(|(all, own)| [0, 1, 2].map(|k| all[k] - own[k]));
        [ClassSums::new(rest, unit), ClassSums::new(positive.iter().copied(), unit)]
    }

    /// Sums over all rows of each site, in the frame's units.
    pub fn by_site(&self) -> Vec<ClassSums> {
        let folds = FoldSet::all(self.folds as u8);
        let of_site = |site: usize| {
            let rows = RowSet { repeat: 0, folds, sites: SiteSet::Only(site as u16) };
            let sums = self.sums(&self.repeats[0], &rows);
            ClassSums::new(sums.into_iter(), self.repeats[0].unit)
        };
        (0..self.sites).map(of_site).collect()
    }

    /// By feature, how many rows have it, their sum and their squares' sum.
    fn sums(&self, cells: &RepeatCells, rows: &RowSet) -> Vec<[i128; 3]> {
        let d = self.features;
        let mut sums = vec![[0i128; 3]; d];
        for cell in self.cells_of(rows) {
            for (j, [n, sum, squares]) in sums.iter_mut().enumerate() {
                *n += i128::from(cells.n[cell * d + j]);
                *sum += i128::from(cells.sum[cell * d + j]);
                *squares += i128::from(cells.squares[cell * d + j]);
            }
        }
        sums
    }
}

impl ClassSums {
    fn new(sums: impl Iterator<Item = [i128; 3]>, unit: f64) -> Self {
        let mut all = Self { n: Vec::new(), sum: Vec::new(), squares: Vec::new() };
        for [n, sum, squares] in sums {
            all.n.push(n as f64);
            all.sum.push(sum as f64 * unit);
            all.squares.push(squares as f64 * unit);
        }
        all
    }
}

impl Cells {
    /// Mean over all rows of a set, and the deviation within sites, pooled over them.
    pub fn combat(&self, rows: &RowSet) -> Combat {
        let d = self.features;
        let repeat = &self.repeats[usize::from(rows.repeat)];
        let mut combat = Combat { folds: rows.folds, mean: vec![0.0; d], deviation: vec![0.0; d] };
        for j in 0..d {
            let (mut n, mut sum, mut within, mut largest) = (0i64, 0i128, 0.0, 0.0f64);
            for site in (0..self.sites).filter(|&site| rows.sites.contains(site as u16)) {
                // Whole numbers add up exactly, so the order of folds doesn't matter.
                let (mut own_n, mut own_sum, mut own_squares) = (0i64, 0i128, 0i128);
                for fold in rows.folds.iter() {
                    let at = (site * self.folds + usize::from(fold)) * d + j;
                    own_n += repeat.n[at];
                    own_sum += i128::from(repeat.sum[at]);
                    own_squares += i128::from(repeat.squares[at]);
                }
                if own_n > 0 {
                    let mean = own_sum as f64 * repeat.unit / own_n as f64;
                    within += own_squares as f64 * repeat.unit - own_n as f64 * mean * mean;
                    largest = largest.max(mean.abs());
                }
                n += own_n;
                sum += own_sum;
            }
            if n > 0 {
                combat.mean[j] = sum as f64 * repeat.unit / n as f64;
                let variance = within / n as f64;
                if variance > spread_of_rounding(repeat.unit, largest) {
                    combat.deviation[j] = variance.sqrt();
                }
            }
        }
        combat
    }
}

/// As scikit-learn's StandardScaler: a variance within rounding counts as none.
fn spread_of_rounding(unit: f64, mean: f64) -> f64 {
    4.0 * unit * (1.0 + mean.abs()) + 1e-13 * mean * mean
}

impl Standard {
    /// What stands in for missing features.
    pub fn fill(&self, any_missing: bool) -> Fill {
        if any_missing { Fill::Values(self.mean.clone()) } else { Fill::Complete }
    }

    /// The mean in the features' own units.
    pub fn own_mean(&self, frame: &Frame) -> Vec<f64> {
        let shift = frame.center.iter().zip(&frame.scale);
        shift.zip(&self.mean).map(|((center, scale), mean)| center + scale * mean).collect()
    }

    /// The deviation in the features' own units; 1 where a feature is constant.
    pub fn own_deviation(&self, frame: &Frame) -> Vec<f64> {
        let both = self.deviation.iter().zip(&self.constant).zip(&frame.scale);
        both.map(|((s, constant), scale)| if *constant { 1.0 } else { s * scale }).collect()
    }
}

#[cfg(test)]
mod tests {
    use wardround_core::query::{FoldSet, SiteSet};
    use wardround_core::sum::unit;

    use super::*;

    /// Two sites, two folds, one feature; cell values 1, 2 | 3, 5 (one row each), scaled by 2^-4.
    fn cells() -> Cells {
        let x = [1i64, 2, 3, 5];
        Cells {
            features: 1,
            folds: 2,
            sites: 2,
            by_class: Vec::new(),
            repeats: vec![RepeatCells {
                unit: unit(40),
                rows: vec![1; 4],
                n: vec![1; 4],
                sum: x.iter().map(|x| x << 40).collect(),
                squares: x.iter().map(|x| (x * x) << 40).collect(),
            }],
        }
    }

    #[test]
    fn a_training_set_is_a_sum_of_its_cells() {
        let rows = |folds, sites| RowSet { repeat: 0, folds, sites };
        let all = cells().standard(&rows(FoldSet::all(2), SiteSet::All));
        assert_eq!((all.rows, all.mean[0]), (4, 2.75));
        assert!((all.deviation[0].powi(2) - 2.1875).abs() < 1e-12);
        let second = cells().standard(&rows(FoldSet::only(1), SiteSet::All));
        assert_eq!((second.mean[0], second.deviation[0]), (3.5, 1.5));
        let without = cells().standard(&rows(FoldSet::all(2), SiteSet::Without(1)));
        assert_eq!((without.mean[0], without.deviation[0]), (1.5, 0.5));
    }

    #[test]
    fn a_constant_column_has_deviation_one() {
        let one = cells().standard(&RowSet {
            repeat: 0,
            folds: FoldSet::only(0),
            sites: SiteSet::Only(1),
        });
        assert_eq!((one.constant[0], one.deviation[0], one.mean[0]), (true, 1.0, 3.0));
    }
}
