//! Batch norm folded into the convolution before it: with frozen statistics it is an affine map per output channel.

use super::{Convolution, Norm};
use crate::weights::{StateDict, WeightsError};

/// A convolution that is only a kernel and a bias.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Folded {
    /// `[outputs][inputs / groups][kernel * kernel]`.
    pub(crate) weights: Vec<f32>,
    /// `[outputs]`.
    pub(crate) bias: Vec<f32>,
}

/// Folds in f64 and rounds once.
pub(crate) fn fold(convolution: &Convolution, state: &StateDict) -> Result<Folded, WeightsError> {
    let weights = state.values(&format!("{}.weight", convolution.weight))?;
    match &convolution.norm {
        Norm::Bias => {
            let bias = state.values(&format!("{}.bias", convolution.weight))?;
            Ok(Folded { weights: weights.to_vec(), bias: bias.to_vec() })
        }
        Norm::Batch { name, eps } => {
            let [gain, bias, mean, variance] = [
                state.values(&format!("{name}.weight"))?,
                state.values(&format!("{name}.bias"))?,
                state.values(&format!("{name}.running_mean"))?,
                state.values(&format!("{name}.running_var"))?,
            ];
            let scale: Vec<f64> = gain
                .iter()
                .zip(variance)
                .map(|(&g, &v)| f64::from(g) / (f64::from(v) + eps).sqrt())
                .collect();
            if let Some(channel) = scale.iter().position(|s| !s.is_finite()) {
                return Err(WeightsError::NotFinite {
                    tensor: format!("{name}.running_var"),
                    index: channel,
                });
            }
            let per_output = weights.len() / convolution.outputs;
            Ok(Folded {
                weights: weights
                    .iter()
                    .enumerate()
                    .map(|(i, &w)| (f64::from(w) * scale[i / per_output]) as f32)
                    .collect(),
                bias: (0..convolution.outputs)
                    .map(|c| (f64::from(bias[c]) - f64::from(mean[c]) * scale[c]) as f32)
                    .collect(),
            })
        }
    }
}
