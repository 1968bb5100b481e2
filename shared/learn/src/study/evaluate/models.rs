//! A bundle's models as questions carry them.
//!
//! Questions act on a frame, a bundle on features in their own units. All models of a question share one frame: of a column that
//! trees split, the grid that holds every place where they do; the identity of all others. A tree of ours splits at lines of
//! such a grid, whose unit is a power of two ([`Frame::grid`]), so the grid is found again from the places and nothing is rounded.

use std::sync::Arc;

use wardround_core::query::{
    Combat, EnsembleModel, Fill, FoldSet, FourierMap, FourierModel, Frame, GRID_STEPS, LinearModel,
    MapScaler, Model, Node, Scaler, SoftmaxModel, Tree, TreeModel,
};

use crate::bundle::{EnsembleScorer, LinearScorer, ModelBundle, Scorer};
use crate::findings::{FinalScaler, FinalTrees, FourierScaler, OwnFourier, OwnNode};

/// Steps per scale of a frame's grid, as [`Frame::edge`] has them.
const STEPS_PER_SCALE: f64 = 64.0;

/// What a bundle's models are asked with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    pub frame: Arc<Frame>,
    pub models: Vec<Model>,
    /// By modelled class, the index of its model.
    pub of_class: Vec<u32>,
}

impl Asked {
    /// The models of a bundle; one that scales each site by itself takes the site's own rows in these folds.
    ///
    /// # Errors
    /// The sentence why a model can't be asked.
    pub fn new(bundle: &ModelBundle, folds: FoldSet) -> Result<Self, String> {
        let frame = frame(bundle)?;
        let ground = Ground { frame: &frame, folds };
        let (mut models, mut of_class) = (Vec::new(), Vec::new());
        if bundle.is_multinomial() {
            models.push(Model::Softmax(Arc::new(ground.softmax(bundle)?)));
            of_class = vec![0; bundle.models.len()];
        } else {
            for (at, (entry, model)) in (0..).zip(bundle.manifest.models.iter().zip(&bundle.models))
            {
                models.push(ground.model(entry.class, &model.scorer)?);
                of_class.push(at);
            }
        }
        Ok(Self { frame: Arc::new(frame), models, of_class })
    }
}

struct Ground<'a> {
    frame: &'a Frame,
    folds: FoldSet,
}

impl Ground<'_> {
    fn model(&self, class: u8, scorer: &Scorer) -> Result<Model, String> {
        Ok(match scorer {
            Scorer::Linear(linear) => Model::Linear(self.linear(class, linear)),
            Scorer::Trees(trees) => Model::Trees(self.trees(class, trees)?),
            Scorer::Fourier(fourier) => Model::Fourier(self.fourier(class, fourier)),
            Scorer::Ensemble(EnsembleScorer { members, combine }) => {
                let members = members.iter().map(|member| self.model(class, member));
                let members = members.collect::<Result<_, _>>()?;
                Model::Ensemble(EnsembleModel { class, members, combine: combine.clone() })
            }
            Scorer::Kernel(_) => {
                return Err("the model is a support vector machine that is made of rows of patients, which no \
                            question carries to a site"
                    .to_owned());
            }
        })
    }

    fn linear(&self, class: u8, linear: &LinearScorer) -> LinearModel {
        let (weights, intercept) = self.weights(linear);
        LinearModel {
            class,
            scaler: self.scaler(&linear.scaler),
            weights,
            intercept,
            fill: self.fill(&linear.fill),
        }
    }

    /// Weights and constant on what [`Ground::scaler`] makes of a row.
    fn weights(
        &self,
        LinearScorer { scaler, weights, intercept, .. }: &LinearScorer,
    ) -> (Vec<f64>, f64) {
        let FinalScaler::All { mean, deviation } = scaler else {
            return (weights.clone(), *intercept);
        };
        let mut constant = *intercept;
        let mut folded = Vec::with_capacity(weights.len());
        for (j, weight) in weights.iter().enumerate() {
            constant += weight * (self.frame.center[j] - mean[j]) / deviation[j];
            folded.push(weight * self.frame.scale[j] / deviation[j]);
        }
        (folded, constant)
    }

    fn scaler(&self, scaler: &FinalScaler) -> Scaler {
        match scaler {
            FinalScaler::All { .. } => Scaler::Folded,
            FinalScaler::OwnSite => Scaler::OwnSite(self.folds),
            FinalScaler::Combat { mean, deviation } => {
                Scaler::Combat(Arc::new(self.combat(mean, deviation)))
            }
        }
    }

    fn combat(&self, mean: &[f64], deviation: &[f64]) -> Combat {
        let deviation = deviation.iter().zip(&self.frame.scale).map(|(d, scale)| d / scale);
        Combat { folds: self.folds, mean: self.framed(mean), deviation: deviation.collect() }
    }

    fn fill(&self, fill: &[f64]) -> Fill {
        match fill.is_empty() {
            true => Fill::Complete,
            false => Fill::Values(self.framed(fill)),
        }
    }

    /// Numbers of features, in the frame's units.
    fn framed(&self, own: &[f64]) -> Vec<f64> {
        let columns = self.frame.center.iter().zip(&self.frame.scale);
        own.iter().zip(columns).map(|(x, (center, scale))| (x - center) / scale).collect()
    }

    fn softmax(&self, bundle: &ModelBundle) -> Result<SoftmaxModel, String> {
        let mut coefficients = Vec::new();
        let mut of_all = None;
        for model in &bundle.models {
            let Scorer::Linear(linear) = &model.scorer else {
                return Err("the model of all classes isn't linear".to_owned());
            };
            let (weights, intercept) = self.weights(linear);
            coefficients.extend(weights);
            coefficients.push(intercept);
            let scaler = self.scaler(&linear.scaler);
            let (known, fill) = of_all.get_or_insert((scaler.clone(), self.fill(&linear.fill)));
            if *known != scaler || *fill != self.fill(&linear.fill) {
                return Err("the classes of the model are scaled differently".to_owned());
            }
        }
        let (scaler, fill) = of_all.ok_or("the model has no class")?;
        Ok(SoftmaxModel { scaler, fill, coefficients })
    }

    fn fourier(&self, class: u8, own: &OwnFourier) -> FourierModel {
        let scaler = match &own.scaler {
            FourierScaler::All { mean, inverse } => MapScaler::Given {
                mean: self.framed(mean),
                inverse: inverse
                    .iter()
                    .zip(&self.frame.scale)
                    .map(|(i, scale)| i * scale)
                    .collect(),
            },
            FourierScaler::OwnSite => MapScaler::OwnSite(self.folds),
            FourierScaler::Combat { mean, deviation } => {
                MapScaler::Combat(Arc::new(self.combat(mean, deviation)))
            }
        };
        let map = FourierMap {
            seed: own.seed,
            components: own.weights.len() as u32,
            gamma: own.gamma,
            scaler,
        };
        let (weights, intercept) = (own.weights.clone(), own.intercept);
        FourierModel { class, map: Arc::new(map), weights, intercept }
    }

    fn trees(&self, class: u8, own: &FinalTrees) -> Result<TreeModel, String> {
        let node = |node: &OwnNode| match *node {
            OwnNode::Leaf { value } => Ok(Node::Leaf { value }),
            OwnNode::Split { feature, below, missing, left } => {
                let column = feature as usize;
                let step = if below == f64::MIN { 0 } else { self.frame.step(column, below) };
                if step > 0 && self.frame.edge(column, step) != below {
                    return Err(off_the_grid(feature));
                }
                Ok(Node::Split { column: feature, below: step, missing, left })
            }
        };
        let trees = own
            .trees
            .iter()
            .map(|tree| Ok(Tree(tree.0.iter().map(node).collect::<Result<_, String>>()?)));
        let trees = trees.collect::<Result<_, String>>()?;
        Ok(TreeModel { class, output: own.output, start: own.start, trees })
    }
}

fn off_the_grid(feature: u32) -> String {
    format!(
        "trees split feature {} at places that lie on no grid of {GRID_STEPS} steps, and a question asks for nothing finer",
        feature + 1
    )
}

/// The frame of all models.
fn frame(bundle: &ModelBundle) -> Result<Frame, String> {
    let mut frame = Frame::identity(bundle.manifest.features as usize);
    let mut places = vec![Vec::new(); bundle.manifest.features as usize];
    for model in &bundle.models {
        for scorer in model.scorer.singles() {
            let Scorer::Trees(FinalTrees { trees, .. }) = scorer else { continue };
            for node in trees.iter().flat_map(|tree| &tree.0) {
                if let OwnNode::Split { feature, below, .. } = *node
                    && below != f64::MIN
                {
                    places[feature as usize].push(below);
                }
            }
        }
    }
    for (column, places) in places.iter().enumerate().filter(|(_, places)| !places.is_empty()) {
        let [center, scale] = grid(places).ok_or_else(|| off_the_grid(column as u32))?;
        frame.center[column] = center;
        frame.scale[column] = scale;
    }
    Ok(frame)
}

/// Center and scale of a grid with a line at every place: the unit is the largest power of two of which all are multiples.
fn grid(places: &[f64]) -> Option<[f64; 2]> {
    let unit = places.iter().filter(|place| **place != 0.0).map(|place| last_bit(*place));
    let unit = unit.reduce(f64::min).unwrap_or(1.0);
    let lines = || places.iter().map(|place| place / unit);
    let (low, high) =
        (lines().fold(f64::INFINITY, f64::min), lines().fold(f64::NEG_INFINITY, f64::max));
    // A line `n` is step `n - 64 k + 512`, and steps 1 to 1023 have one.
    let half = GRID_STEPS as f64 / 2.0;
    let least = ((high - (half - 1.0)) / STEPS_PER_SCALE).ceil();
    let most = ((low + (half - 1.0)) / STEPS_PER_SCALE).floor();
    let scale = unit * STEPS_PER_SCALE;
    let whole = (least <= most).then_some([least * scale, scale])?;
    whole.iter().all(|number| number.is_finite()).then_some(whole)
}

/// The value of the last binary place of a number that isn't 0.
fn last_bit(value: f64) -> f64 {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let (whole, exponent) = match exponent {
        0 => (fraction, -1074),
        _ => (fraction | 1 << 52, exponent - 1075),
    };
    libm::scalbn(1.0, exponent + whole.trailing_zeros() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bit_of_a_number_is_found() {
        for (value, expected) in [(1.0, 1.0), (-3.0, 1.0), (0.75, 0.25), (40.0, 8.0), (1e-300, 0.0)]
        {
            let bit = last_bit(value);
            assert_eq!((value / bit).fract(), 0.0);
            assert!((value / bit / 2.0).fract() != 0.0, "{value}");
            assert!(expected == 0.0 || bit == expected, "{value}: {bit}");
        }
    }

    #[test]
    fn a_grid_is_found_again_from_its_lines() {
        let frame = Frame { center: vec![0.37, -812.5], scale: vec![0.11, 3.3] }.grid();
        for column in 0..2 {
            for steps in [vec![1, 1023], vec![1], vec![1023], vec![512, 513], vec![3, 700, 1001]] {
                let places: Vec<f64> = steps.iter().map(|&s| frame.edge(column, s)).collect();
                let [center, scale] = grid(&places).unwrap();
                let found = Frame { center: vec![center], scale: vec![scale] };
                assert_eq!(found.grid(), found, "{steps:?}");
                for place in places {
                    let step = found.step(0, place);
                    assert!(step > 0);
                    assert_eq!(found.edge(0, step), place);
                }
            }
        }
        assert_eq!(grid(&[0.1, 1e6]), None);
    }
}
