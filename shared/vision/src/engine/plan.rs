//! From a network's description to steps with packed weights; nothing here depends on the image's size.

use crate::kernels::{Dense, Epilogue, Level, PackedConvolution, PackedDepthwise};
use crate::network::{
    Activation, Convolution, Folded, Grouping, Head, Network, Node, NodeId, Padding, PoolKind,
    Skip, fold,
};
use crate::weights::{StateDict, WeightsError};

/// Steps in order of execution.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) network: Network,
    pub(super) steps: Vec<Step>,
}

/// One step and the layer whose result it leaves.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) output: NodeId,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A convolution of the planar image: each pixel's window is gathered into a row first, since three channels are too few for
    /// the kernel's inner loop.
    Stem {
        packed: PackedConvolution,
        window: Window,
        epilogue: Epilogue,
    },
    Dense {
        input: NodeId,
        packed: PackedConvolution,
        window: Window,
        skip: Skip,
        epilogue: Epilogue,
    },
    Bottleneck(Bottleneck),
    MaxPool {
        input: NodeId,
        window: Window,
    },
}

/// How a kernel moves over its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: Padding,
}

/// A depthwise convolution with the 1x1 convolutions around it, where there are any.
#[derive(Debug)]
pub(super) struct Bottleneck {
    pub(super) input: NodeId,
    /// The depthwise layer.
    pub(super) middle: NodeId,
    pub(super) widen: Widen,
    pub(super) depthwise: PackedDepthwise,
    pub(super) padding: Padding,
    pub(super) epilogue: Epilogue,
    pub(super) narrow: Narrow,
}

#[derive(Debug)]
pub(super) enum Widen {
    Copy,
    Expand(PackedConvolution, Epilogue),
}

#[derive(Debug)]
pub(super) enum Narrow {
    Keep,
    Project(PackedConvolution, Skip, Epilogue),
}

impl Step {
    /// Layers that the step reads.
    pub(super) fn inputs(&self, network: &Network) -> Vec<NodeId> {
        let (input, skip) = match &self.kind {
            Kind::Stem { .. } => (network.image(), Skip::None),
            Kind::Dense { input, skip, .. } => (*input, *skip),
            Kind::Bottleneck(b) => match &b.narrow {
                Narrow::Keep => (b.input, Skip::None),
                Narrow::Project(_, skip, _) => (b.input, *skip),
            },
            Kind::MaxPool { input, .. } => (*input, Skip::None),
        };
        match skip {
            Skip::None => vec![input],
            Skip::Add(other) => vec![input, other],
        }
    }
}

impl Plan {
    /// Whether every layer of the network can be compiled.
    pub(crate) fn covers(network: &Network) -> bool {
        let covered = |node: &Node| match node {
            Node::Image => true,
            Node::Convolution(_) => true,
            Node::Pool(pool) => pool.kind == PoolKind::Max,
            _ => false,
        };
        network.image_channels() == 3
            && *network.head() == Head::Mean
            && network.nodes().iter().all(covered)
    }

    /// Folds, fuses and packs.
    pub(crate) fn compile(
        network: Network,
        state: &StateDict,
        level: Level,
    ) -> Result<Self, WeightsError> {
        assert!(Self::covers(&network), "the caller asks `covers` first");
        let readers = readers(&network);
        // A layer inside a fused step has no map of its own: it needs a single reader and no name.
        let hidden =
            |id: NodeId| readers[id.0].len() == 1 && network.stages().iter().all(|s| s.node != id);
        let mut fused = vec![false; network.nodes().len()];
        let mut steps = Vec::new();
        for (i, node) in network.nodes().iter().enumerate() {
            let Node::Convolution(c) = node else { continue };
            if c.grouping != Grouping::Depthwise {
                continue;
            }
            let (widen, input) = match &network.nodes()[c.input.0] {
                Node::Convolution(e) if pointwise(e) && e.skip == Skip::None && hidden(c.input) => {
                    fused[c.input.0] = true;
                    (
                        Widen::Expand(pack(e, &fold(e, state)?, level), epilogue(e.activation)),
                        e.input,
                    )
                }
                _ => (Widen::Copy, c.input),
            };
            let (narrow, output) = match readers[i].first().map(|r| (r, &network.nodes()[r.0])) {
                Some((r, Node::Convolution(p)))
                    if pointwise(p) && p.input == NodeId(i) && hidden(NodeId(i)) =>
                {
                    fused[r.0] = true;
                    (
                        Narrow::Project(
                            pack(p, &fold(p, state)?, level),
                            p.skip,
                            epilogue(p.activation),
                        ),
                        *r,
                    )
                }
                _ => (Narrow::Keep, NodeId(i)),
            };
            fused[i] = true;
            let Folded { weights, bias } = fold(c, state)?;
            let depthwise = PackedDepthwise::new(level, &weights, &bias, c.kernel, c.stride);
            let epilogue = epilogue(c.activation);
            let middle = NodeId(i);
            let kind = Kind::Bottleneck(Bottleneck {
                input,
                middle,
                widen,
                depthwise,
                padding: c.padding,
                epilogue,
                narrow,
            });
            steps.push(Step { output, kind });
        }
        for (i, node) in network.nodes().iter().enumerate() {
            let kind = match node {
                Node::Image => continue,
                _ if fused[i] => continue,
                Node::Pool(p) => {
                    let padding = Padding::Even(p.padding);
                    let window = Window { kernel: p.kernel, stride: p.stride, padding };
                    Kind::MaxPool { input: p.input, window }
                }
                Node::Convolution(c) => {
                    let folded = fold(c, state)?;
                    let window = Window { kernel: c.kernel, stride: c.stride, padding: c.padding };
                    let epilogue = epilogue(c.activation);
                    if c.input == network.image() {
                        let dense = Dense {
                            weights: &folded.weights,
                            bias: &folded.bias,
                            inputs: c.inputs * c.kernel * c.kernel,
                            taps: 1,
                        };
                        Kind::Stem {
                            packed: PackedConvolution::new(level, &dense),
                            window,
                            epilogue,
                        }
                    } else {
                        let packed = pack(c, &folded, level);
                        Kind::Dense { input: c.input, packed, window, skip: c.skip, epilogue }
                    }
                }
                _ => unreachable!("`covers` admits no other layers"),
            };
            steps.push(Step { output: NodeId(i), kind });
        }
        steps.sort_by_key(|step| step.output);
        Ok(Self { network, steps })
    }

    /// The description that was compiled.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

/// For each layer, the layers that read it.
fn readers(network: &Network) -> Vec<Vec<NodeId>> {
    let mut readers = vec![Vec::new(); network.nodes().len()];
    for (i, node) in network.nodes().iter().enumerate() {
        for input in node.inputs() {
            readers[input.0].push(NodeId(i));
        }
    }
    readers
}

fn pointwise(c: &Convolution) -> bool {
    c.kernel == 1
        && c.stride == 1
        && c.grouping == Grouping::Dense
        && matches!(c.padding, Padding::Same | Padding::Even(0))
}

fn pack(c: &Convolution, folded: &Folded, level: Level) -> PackedConvolution {
    let taps = c.kernel * c.kernel;
    PackedConvolution::new(
        level,
        &Dense { weights: &folded.weights, bias: &folded.bias, inputs: c.inputs, taps },
    )
}

fn epilogue(activation: Activation) -> Epilogue {
    match activation {
        Activation::Linear => Epilogue::LINEAR,
        Activation::Relu => Epilogue::RELU,
        Activation::Relu6 => Epilogue::RELU6,
        Activation::Silu => Epilogue::Silu,
        Activation::Gelu => Epilogue::Gelu,
    }
}
