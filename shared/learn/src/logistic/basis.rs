//! The part of the features' space that a linear model lives in. An optimiser works on the model's
//! coordinates there; questions carry full-width weights `V w`, and the answers' derivatives come back
//! as `V' g` and `V' H V`, so that no site knows of it.

use std::sync::Arc;

use super::Evaluation;
use crate::closed_form::Sums;

/// What a linear model's weights are coordinates of; all in the units of the question.
#[derive(Debug, Clone)]
pub(crate) enum Basis {
    /// Every feature.
    Whole,
    /// Some features.
    Columns {
        /// How many there are.
        features: usize,
        /// Those that are kept, ascending.
        kept: Arc<Vec<u32>>,
    },
    /// Directions.
    Directions(Arc<Directions>),
}

/// Directions in the space of features.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directions {
    /// How many there are.
    pub count: usize,
    /// Feature by feature, its entry in every direction.
    pub by_feature: Vec<f64>,
    /// Mean square of the training rows along each.
    pub variances: Vec<f64>,
}

impl Directions {
    /// The first of them.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.count);
        let rows = self.by_feature.chunks_exact(self.count);
        Self {
            count,
            by_feature: rows.flat_map(|row| &row[..count]).copied().collect(),
            variances: self.variances[..count].to_vec(),
        }
    }
}

impl Basis {
    /// Weights of all features from coordinates.
    pub fn expand(&self, coordinates: &[f64]) -> Vec<f64> {
        match self {
            Self::Whole => coordinates.to_vec(),
            Self::Columns { features, kept } => {
                let mut weights = vec![0.0; *features];
                kept.iter().zip(coordinates).for_each(|(&j, w)| weights[j as usize] = *w);
                weights
            }
            Self::Directions(directions) => {
                let of_feature =
                    |row: &[f64]| row.iter().zip(coordinates).map(|(v, w)| v * w).sum();
                directions.by_feature.chunks_exact(directions.count).map(of_feature).collect()
            }
        }
    }

    /// What full-width numbers come to along each coordinate; what follows the last feature stays.
    pub fn restrict(&self, full: &[f64]) -> Vec<f64> {
        match self {
            Self::Whole => full.to_vec(),
            Self::Columns { features, kept } => {
                let own = kept.iter().map(|&j| full[j as usize]);
                own.chain(full[*features..].iter().copied()).collect()
            }
            Self::Directions(directions) => {
                let mut sums = vec![0.0; directions.count];
                let rows = directions.by_feature.chunks_exact(directions.count);
                for (row, x) in rows.zip(full) {
                    sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v * x);
                }
                let features = directions.by_feature.len() / directions.count;
                sums.extend_from_slice(&full[features..]);
                sums
            }
        }
    }

    /// `V' M V` of a symmetric matrix of all features and the constant, both as upper triangles row by
    /// row.
    pub fn restrict_matrix(&self, upper: &[f64]) -> Vec<f64> {
        let (features, count) = match self {
            Self::Whole => return upper.to_vec(),
            Self::Columns { features, kept } => (*features, kept.len()),
            Self::Directions(one) => (one.by_feature.len() / one.count, one.count),
        };
        let order = features + 1;
        let start = |i: usize| i * order - i * (i + 1) / 2;
        let at = |i: usize, j: usize| upper[start(i.min(j)) + i.max(j)];
        match self {
            Self::Whole => upper.to_vec(),
            Self::Columns { kept, .. } => {
                let columns: Vec<usize> =
                    kept.iter().map(|&j| j as usize).chain([features]).collect();
                let row = |i: usize| columns[i..].iter().map(move |&j| (i, j));
                (0..=count).flat_map(row).map(|(i, j)| at(columns[i], j)).collect()
            }
            Self::Directions(directions) => {
                let row = |j: usize| &directions.by_feature[j * count..][..count];
                // M V, the constant's own entries behind.
                let mut half = vec![0.0; order * (count + 1)];
                for i in 0..order {
                    for j in i..order {
                        let value = at(i, j);
                        let mut add = |to: usize, from: usize| {
                            let out = &mut half[to * (count + 1)..][..count + 1];
                            match from == features {
                                true => out[count] += value,
                                false => {
                                    out.iter_mut()
                                        .zip(row(from))
                                        .for_each(|(o, v)| *o += value * v);
                                }
                            }
                        };
                        add(i, j);
                        if i != j {
                            add(j, i);
                        }
                    }
                }
                let mut square = vec![0.0; (count + 1) * (count + 1)];
                for (j, of_row) in half.chunks_exact(count + 1).enumerate() {
                    for c in 0..=count {
                        let v = match (j == features, c == count) {
                            (true, true) => 1.0,
                            (false, false) => row(j)[c],
                            _ => 0.0,
                        };
                        let out = &mut square[c * (count + 1)..][..count + 1];
                        out.iter_mut().zip(of_row).for_each(|(o, h)| *o += v * h);
                    }
                }
                (0..=count).flat_map(|c| square[c * (count + 1)..][c..=count].to_vec()).collect()
            }
        }
    }

    /// Sums over rows, the deviation of each column and whether it has none, along each coordinate.
    pub fn restrict_sums(
        &self,
        sums: &Sums,
        scale: &[f64],
        constant: &[bool],
    ) -> (Sums, Vec<f64>, Vec<bool>) {
        let (scale, constant) = match self {
            Self::Whole => (scale.to_vec(), constant.to_vec()),
            Self::Columns { kept, .. } => {
                let kept = || kept.iter().map(|&j| j as usize);
                (kept().map(|j| scale[j]).collect(), kept().map(|j| constant[j]).collect())
            }
            Self::Directions(directions) => {
                (vec![1.0; directions.count], vec![false; directions.count])
            }
        };
        let sums = Sums {
            features: scale.len(),
            gram: self.restrict_matrix(&sums.gram),
            by_class: sums.by_class.iter().map(|sum| self.restrict(sum)).collect(),
            labelling: sums.labelling,
        };
        (sums, scale, constant)
    }

    /// A loss with derivatives by coordinates, from one with derivatives by all features.
    pub fn restrict_evaluation(&self, evaluation: Evaluation) -> Evaluation {
        if matches!(self, Self::Whole) {
            return evaluation;
        }
        let Evaluation { loss, gradient, hessian } = evaluation;
        let hessian = match hessian.is_empty() {
            true => hessian,
            false => self.restrict_matrix(&hessian),
        };
        Evaluation { loss, gradient: self.restrict(&gradient), hessian }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_directions_of_unit_vectors() {
        let columns = Basis::Columns { features: 3, kept: Arc::new(vec![0, 2]) };
        let by_feature = vec![1.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        let variances = vec![1.0; 2];
        let directions =
            Basis::Directions(Arc::new(Directions { count: 2, by_feature, variances }));
        // Symmetric, of three features and the constant.
        let upper = [4.0, 1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        for basis in [columns, directions] {
            assert_eq!(basis.expand(&[0.5, -2.0]), [0.5, 0.0, -2.0]);
            assert_eq!(basis.restrict(&[1.0, 2.0, 3.0, 4.0]), [1.0, 3.0, 4.0]);
            assert_eq!(basis.restrict_matrix(&upper), [4.0, 2.0, 3.0, 8.0, 9.0, 10.0]);
        }
    }
}
