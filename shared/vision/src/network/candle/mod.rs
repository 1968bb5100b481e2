//! A network in candle's own operations: slow on a CPU, but it runs on every device that candle knows, and shares no code
//! with the compiled plan, whose tests compare the two.

mod layers;

use candle_core::{DType, Device, Result, Tensor};

use super::{Head, Misfit, Network, Node, NodeId, PixelNorm, Scope, SqueezeExcite, affine, fold};
use crate::weights::{StateDict, WeightsError};

/// A network whose weights lie on a device, in the number type in which it computes.
pub struct CandleNetwork {
    network: Network,
    /// For each layer its tensors, in the order in which its function below takes them.
    tensors: Vec<Vec<Tensor>>,
    head: Vec<Tensor>,
    device: Device,
    dtype: DType,
}

/// Features `[n, features]`, and the wanted maps, each `[n, channels, h, w]`, all f32.
pub struct Outputs {
    /// What the head made of the last map.
    pub features: Tensor,
    /// The wanted maps in the order asked for, without prefixes.
    pub maps: Vec<Tensor>,
}

impl CandleNetwork {
    /// Folds norms and moves all weights to the device.
    ///
    /// # Errors
    /// A tensor is missing, or the device has no room.
    pub fn new(
        network: Network,
        state: &StateDict,
        device: &Device,
        dtype: DType,
    ) -> std::result::Result<Self, LoadError> {
        let tensor = |values: Vec<f32>, shape: &[usize]| {
            Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
        };
        let tensors = network
            .nodes()
            .iter()
            .map(|node| load(node, &network, state, &tensor))
            .collect::<std::result::Result<_, _>>()?;
        let head = match network.head() {
            Head::Mean | Head::ClassToken => Vec::new(),
            Head::MeanThenLayerNorm { name, .. } => layer_norm(name, state, &tensor)?,
        };
        Ok(Self { network, tensors, head, device: device.clone(), dtype })
    }

    /// The description.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Runs a batch `[n, channels, h, w]` that may lie anywhere; the outputs lie on the CPU.
    ///
    /// # Errors
    /// An image of a size that doesn't fit, or the device's.
    pub fn forward(&self, images: &Tensor, wanted: &[NodeId]) -> Result<Outputs> {
        let (n, _, h, w) = images.dims4()?;
        let sizes =
            self.network.sizes(h, w).map_err(|misfit: Misfit| candle_core::Error::wrap(misfit))?;
        let mut last_read = vec![0; sizes.len()];
        for (i, node) in self.network.nodes().iter().enumerate() {
            for input in node.inputs() {
                last_read[input.0] = i;
            }
        }
        let mut results: Vec<Option<Tensor>> = Vec::with_capacity(sizes.len());
        let mut maps: Vec<Option<Tensor>> = vec![None; wanted.len()];
        for (i, node) in self.network.nodes().iter().enumerate() {
            let inputs: Vec<Tensor> = node
                .inputs()
                .iter()
                .map(|id| results[id.0].clone().expect("a result lives until its last reader"))
                .collect();
            let result = match node {
                Node::Image => images.to_device(&self.device)?.to_dtype(self.dtype)?,
                _ => self.layer(i, node, &inputs, &sizes)?,
            };
            for (at, _) in wanted.iter().enumerate().filter(|(_, id)| id.0 == i) {
                let (h, w) = sizes[i];
                let map = match result.rank() {
                    4 => result.clone(),
                    _ => self.patches(i, &result)?.transpose(1, 2)?.reshape((n, (), h, w))?,
                };
                maps[at] = Some(map.to_dtype(DType::F32)?.to_device(&Device::Cpu)?.contiguous()?);
            }
            results.push(Some(result));
            for input in node.inputs() {
                if last_read[input.0] == i {
                    results[input.0] = None;
                }
            }
        }
        let last = results.pop().flatten().expect("nothing reads the last layer");
        let features = self.pooled(&last)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let maps = maps.into_iter().map(|map| map.expect("every layer was run")).collect();
        Ok(Outputs { features, maps })
    }

    fn patches(&self, i: usize, sequence: &Tensor) -> Result<Tensor> {
        let prefix = self.network.prefix(NodeId(i));
        sequence.narrow(1, prefix, sequence.dim(1)? - prefix)
    }

    fn pooled(&self, last: &Tensor) -> Result<Tensor> {
        let mean = || match last.rank() {
            4 => last.flatten_from(2)?.mean(2),
            _ => self.patches(self.network.last().0, last)?.mean(1),
        };
        match self.network.head() {
            Head::Mean => mean(),
            Head::MeanThenLayerNorm { eps, .. } => {
                layers::over_channels(&mean()?, &self.head[0], &self.head[1], *eps)
            }
            Head::ClassToken => last.narrow(1, 0, 1)?.squeeze(1),
        }
    }

    /// Maps are `[n, channels, h, w]`; from [`Node::Tokens`] on `[n, prefix + h w, channels]`.
    fn layer(
        &self,
        i: usize,
        node: &Node,
        inputs: &[Tensor],
        sizes: &[(usize, usize)],
    ) -> Result<Tensor> {
        let tensors = &self.tensors[i];
        match node {
            Node::Image => unreachable!("the image isn't computed"),
            Node::Convolution(c) => layers::convolution(c, tensors, inputs),
            Node::Normalise(n) => layers::normalise(n, tensors, &inputs[0]),
            Node::Pool(pool) => layers::pooling(pool, &inputs[0]),
            Node::Concat(_) => Tensor::cat(inputs, 1),
            Node::SqueezeExcite(s) => layers::squeeze_excite(s, tensors, &inputs[0]),
            Node::Tokens(t) => layers::sequence(t, tensors, &inputs[0], sizes[t.input.0]),
            Node::Attention(a) => layers::attention(a, tensors, &inputs[0]),
            Node::MergePatches(_) => layers::merge_patches(&inputs[0]),
        }
    }
}

/// The weights, or the device.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A tensor is missing.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The device has no room, or isn't there.
    #[error(transparent)]
    Device(#[from] candle_core::Error),
}

type MakeTensor<'a> = &'a dyn Fn(Vec<f32>, &[usize]) -> Result<Tensor>;

fn load(
    node: &Node,
    network: &Network,
    state: &StateDict,
    tensor: MakeTensor<'_>,
) -> std::result::Result<Vec<Tensor>, LoadError> {
    let named = |name: &str, shape: &[usize]| -> std::result::Result<Tensor, LoadError> {
        Ok(tensor(state.values(name)?.to_vec(), shape)?)
    };
    Ok(match node {
        Node::Image | Node::Pool(_) | Node::Concat(_) | Node::MergePatches(_) => Vec::new(),
        Node::Convolution(c) => {
            let folded = fold(c, state)?;
            vec![tensor(folded.weights, &c.shape())?, tensor(folded.bias, &[c.outputs])?]
        }
        Node::Normalise(n) => match &n.norm {
            PixelNorm::Layer { name, .. } => layer_norm(name, state, tensor)?,
            PixelNorm::Batch { name, eps } => {
                let (scale, shift) = affine(name, *eps, state)?;
                let shape = [1, scale.len(), 1, 1];
                let single = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
                vec![tensor(single(scale), &shape)?, tensor(single(shift), &shape)?]
            }
        },
        Node::SqueezeExcite(SqueezeExcite { name, reduced, input, .. }) => {
            let channels = network.channels(*input);
            vec![
                named(&format!("{name}.conv_reduce.weight"), &[*reduced, channels])?,
                named(&format!("{name}.conv_reduce.bias"), &[*reduced])?,
                named(&format!("{name}.conv_expand.weight"), &[channels, *reduced])?,
                named(&format!("{name}.conv_expand.bias"), &[channels])?,
            ]
        }
        Node::Tokens(t) => {
            let channels = network.channels(t.input);
            let positions = t.prefix.len() + t.grid * t.grid;
            let mut tensors = vec![named(&t.position, &[1, positions, channels])?];
            for name in &t.prefix {
                tensors.push(named(name, &[1, 1, channels])?);
            }
            tensors
        }
        Node::Attention(a) => match &a.scope {
            Scope::Global => Vec::new(),
            Scope::Window { side, bias, .. } => {
                vec![named(bias, &[(2 * side - 1).pow(2), a.heads])?]
            }
        },
    })
}

fn layer_norm(
    name: &str,
    state: &StateDict,
    tensor: MakeTensor<'_>,
) -> std::result::Result<Vec<Tensor>, LoadError> {
    let mut tensors = Vec::new();
    for part in ["weight", "bias"] {
        let values = state.values(&format!("{name}.{part}"))?.to_vec();
        let len = values.len();
        tensors.push(tensor(values, &[len])?);
    }
    Ok(tensors)
}
