//! A network in candle's own operations: slow on a CPU, but it runs on every device that candle knows, and shares no code
//! with the compiled plan, whose tests compare the two.

use candle_core::{D, Device, Result, Tensor};

use super::{Activation, Convolution, Grouping, Network, Node, NodeId, Padding, Skip, fold};
use crate::weights::StateDict;

/// The maps of the wanted nodes for a batch of images `[n, 3, h, w]`, each `[n, channels, h', w']`.
pub fn forward(
    network: &Network,
    state: &StateDict,
    images: &Tensor,
    wanted: &[NodeId],
) -> Result<Vec<Tensor>> {
    let mut results: Vec<Tensor> = Vec::with_capacity(network.nodes().len());
    for node in network.nodes() {
        let result = match node {
            Node::Image => images.clone(),
            Node::Convolution(c) => convolution(c, state, &results)?,
            Node::MaxPool { input, kernel, stride, padding } => {
                let x = &results[input.0];
                // Zeros are right as a border only where nothing is negative.
                let lowest = x.flatten_all()?.min(D::Minus1)?;
                let x = x.broadcast_sub(&lowest)?;
                let x = x
                    .pad_with_zeros(2, *padding, *padding)?
                    .pad_with_zeros(3, *padding, *padding)?;
                x.max_pool2d_with_stride(*kernel, *stride)?.broadcast_add(&lowest)?
            }
        };
        results.push(result);
    }
    Ok(wanted.iter().map(|id| results[id.0].clone()).collect())
}

fn convolution(c: &Convolution, state: &StateDict, results: &[Tensor]) -> Result<Tensor> {
    let folded = fold(c, state).map_err(candle_core::Error::wrap)?;
    let (inputs, groups) = match c.grouping {
        Grouping::Dense => (c.inputs, 1),
        Grouping::Depthwise => (1, c.outputs),
    };
    let x = &results[c.input.0];
    let weights =
        Tensor::from_vec(folded.weights, (c.outputs, inputs, c.kernel, c.kernel), &Device::Cpu)?
            .to_device(x.device())?;
    let bias =
        Tensor::from_vec(folded.bias, (1, c.outputs, 1, 1), &Device::Cpu)?.to_device(x.device())?;
    let mut x = x.clone();
    for axis in [2, 3] {
        let len = x.dim(axis)?;
        let (before, output) = c.padding.along(len, c.kernel, c.stride).ok_or_else(|| {
            candle_core::Error::Msg(format!("{}: the kernel doesn't fit {len} pixels", c.weight))
        })?;
        let after = match c.padding {
            Padding::Same => ((output - 1) * c.stride + c.kernel).saturating_sub(len + before),
            Padding::Even(border) => border,
        };
        x = x.pad_with_zeros(axis, before, after)?;
    }
    let mut y = x.conv2d(&weights, 0, c.stride, 1, groups)?.broadcast_add(&bias)?;
    if let Skip::Add(other) = c.skip {
        y = (y + &results[other.0])?;
    }
    match c.activation {
        Activation::Linear => Ok(y),
        Activation::Relu => y.relu(),
        Activation::Relu6 => y.clamp(0f32, 6f32),
    }
}
