//! Norms folded into the convolution before them: with frozen statistics they are an affine map per output channel.

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
pub(crate) fn fold(c: &Convolution, state: &StateDict) -> Result<Folded, WeightsError> {
    let weights = state.values(&format!("{}.weight", c.weight))?;
    let own_bias = || state.values(&format!("{}.bias", c.weight));
    let zeros = vec![0.0; c.outputs];
    let (bias, (scale, shift)) = match &c.norm {
        Norm::Nothing => return Ok(Folded { weights: weights.to_vec(), bias: zeros }),
        Norm::Bias => return Ok(Folded { weights: weights.to_vec(), bias: own_bias()?.to_vec() }),
        Norm::Batch { name, eps } => (zeros.as_slice(), affine(name, *eps, state)?),
        Norm::BiasAndBatch { name, eps } => (own_bias()?, affine(name, *eps, state)?),
        Norm::BiasAndScale { gamma } => {
            let scale = state.values(gamma)?.iter().map(|&g| f64::from(g)).collect();
            (own_bias()?, (scale, vec![0.0; c.outputs]))
        }
    };
    let per_output = weights.len() / c.outputs;
    Ok(Folded {
        weights: weights
            .iter()
            .enumerate()
            .map(|(i, &w)| (f64::from(w) * scale[i / per_output]) as f32)
            .collect(),
        bias: (0..c.outputs).map(|o| (f64::from(bias[o]) * scale[o] + shift[o]) as f32).collect(),
    })
}

/// A batch norm as `x * scale + shift`, channel by channel.
pub(crate) fn affine(
    name: &str,
    eps: f64,
    state: &StateDict,
) -> Result<(Vec<f64>, Vec<f64>), WeightsError> {
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
    if let Some(index) = scale.iter().position(|s| !s.is_finite()) {
        return Err(WeightsError::NotFinite { tensor: format!("{name}.running_var"), index });
    }
    let shift =
        (0..scale.len()).map(|c| f64::from(bias[c]) - f64::from(mean[c]) * scale[c]).collect();
    Ok((scale, shift))
}
