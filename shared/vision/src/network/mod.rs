//! A network described as data: the one description from which an engine is built.
//!
//! An architecture's file lists its layers in order, with timm's state-dict names. From that list come the parameters that a
//! weights file must hold, the compiled CPU plan (`engine`) and the same network in candle's own operations
//! ([`mod@reference`]), which is the second opinion in tests and the path for training and other devices.

mod fold;
pub mod reference;

pub(crate) use fold::{Folded, fold};

/// A layer's result, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// One entry of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// The normalised image, 3 channels.
    Image,
    /// A convolution with its norm, residual and activation.
    Convolution(Convolution),
    /// Maximum over a window; positions outside the image don't count.
    MaxPool {
        /// What is pooled.
        input: NodeId,
        /// Window height and width.
        kernel: usize,
        /// Step between windows.
        stride: usize,
        /// Border on all four sides.
        padding: usize,
    },
}

/// activation(norm(convolution(input)) + residual).
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// What is convolved.
    pub input: NodeId,
    /// State-dict prefix of the weight: `<weight>.weight`, shape `[outputs, inputs / groups, kernel, kernel]`.
    pub weight: String,
    /// What follows the sum.
    pub norm: Norm,
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Kernel height and width.
    pub kernel: usize,
    /// Step between output pixels.
    pub stride: usize,
    /// Border of zeros.
    pub padding: Padding,
    /// Every channel on its own, or all together.
    pub grouping: Grouping,
    /// What is added before the activation.
    pub skip: Skip,
    /// The last step.
    pub activation: Activation,
}

/// How input channels meet output channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// Every output channel sees every input channel.
    Dense,
    /// Output channel c sees input channel c only.
    Depthwise,
}

/// The affine step after a convolution.
#[derive(Debug, Clone, PartialEq)]
pub enum Norm {
    /// Batch norm with running statistics: `<name>.{weight,bias,running_mean,running_var}`.
    Batch {
        /// State-dict prefix.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// The convolution's own bias, `<weight>.bias`.
    Bias,
}

/// Border of zeros around a convolution's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// TensorFlow's SAME: as much as makes the output `ceil(input / stride)`, the odd pixel right and below.
    Same,
    /// The same on all four sides.
    Even(usize),
}

impl Padding {
    /// Pixels before the first input pixel, and output length, along one axis; `None` when the kernel doesn't fit.
    pub(crate) fn along(
        self,
        input: usize,
        kernel: usize,
        stride: usize,
    ) -> Option<(usize, usize)> {
        match self {
            Self::Same => {
                let output = input.div_ceil(stride);
                let total = ((output.max(1) - 1) * stride + kernel).saturating_sub(input);
                Some((total / 2, output))
            }
            Self::Even(border) => {
                Some((border, (input + 2 * border).checked_sub(kernel)? / stride + 1))
            }
        }
    }
}

/// The second operand of a residual addition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// None: no addition.
    None,
    /// This earlier result, of the same shape.
    Add(NodeId),
}

/// The non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// None.
    Linear,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

/// A named point of a network whose map can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// timm's module name, `blocks.3` or `layer2`.
    pub name: String,
    /// Channels of the map.
    pub channels: usize,
    /// Input pixels per map pixel, along one axis.
    pub reduction: usize,
    pub(crate) node: NodeId,
}

/// A network: layers in order of execution, named stages, and the layer that is pooled into features.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    nodes: Vec<Node>,
    stages: Vec<Stage>,
}

impl Network {
    /// A network of the image alone.
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::Image], stages: Vec::new() }
    }

    /// The image.
    pub(crate) fn image(&self) -> NodeId {
        NodeId(0)
    }

    /// Appends a layer.
    pub(crate) fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(self.nodes.len() - 1)
    }

    /// Appends a convolution.
    pub(crate) fn convolution(&mut self, convolution: Convolution) -> NodeId {
        self.push(Node::Convolution(convolution))
    }

    /// Names a layer's result.
    pub(crate) fn stage(&mut self, name: impl Into<String>, node: NodeId) {
        let (channels, reduction) = (self.channels(node), self.reduction(node));
        self.stages.push(Stage { name: name.into(), channels, reduction, node });
    }

    /// Layers in order of execution; the first is the image.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Named stages in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// The last layer: its map is `forward_features`, its mean over pixels the features.
    pub fn last(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Channels of a layer's result.
    pub fn channels(&self, node: NodeId) -> usize {
        match &self.nodes[node.0] {
            Node::Image => 3,
            Node::Convolution(convolution) => convolution.outputs,
            Node::MaxPool { input, .. } => self.channels(*input),
        }
    }

    fn reduction(&self, node: NodeId) -> usize {
        match &self.nodes[node.0] {
            Node::Image => 1,
            Node::Convolution(convolution) => {
                convolution.stride * self.reduction(convolution.input)
            }
            Node::MaxPool { input, stride, .. } => stride * self.reduction(*input),
        }
    }

    /// Every tensor that a weights file must hold, with its shape, in order.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        for node in &self.nodes {
            let Node::Convolution(c) = node else { continue };
            let inputs = match c.grouping {
                Grouping::Dense => c.inputs,
                Grouping::Depthwise => 1,
            };
            parameters.push((
                format!("{}.weight", c.weight),
                vec![c.outputs, inputs, c.kernel, c.kernel],
            ));
            match &c.norm {
                Norm::Batch { name, .. } => {
                    for part in ["weight", "bias", "running_mean", "running_var"] {
                        parameters.push((format!("{name}.{part}"), vec![c.outputs]));
                    }
                }
                Norm::Bias => parameters.push((format!("{}.bias", c.weight), vec![c.outputs])),
            }
        }
        parameters
    }

    /// Height and width of every layer's result for an image of this size; an error names the layer that doesn't fit.
    pub(crate) fn sizes(
        &self,
        height: usize,
        width: usize,
    ) -> Result<Vec<(usize, usize)>, TooSmall> {
        let mut sizes: Vec<(usize, usize)> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let size = match node {
                Node::Image => Some((height, width)),
                Node::Convolution(c) => after(sizes[c.input.0], c.padding, c.kernel, c.stride),
                Node::MaxPool { input, kernel, stride, padding } => {
                    after(sizes[input.0], Padding::Even(*padding), *kernel, *stride)
                }
            };
            match size {
                Some((h, w)) if h > 0 && w > 0 => sizes.push((h, w)),
                _ => {
                    let layer = match node {
                        Node::Convolution(c) => c.weight.clone(),
                        _ => format!("layer {}", sizes.len()),
                    };
                    return Err(TooSmall { height, width, layer });
                }
            }
        }
        Ok(sizes)
    }
}

fn after(
    size: (usize, usize),
    padding: Padding,
    kernel: usize,
    stride: usize,
) -> Option<(usize, usize)> {
    Some((padding.along(size.0, kernel, stride)?.1, padding.along(size.1, kernel, stride)?.1))
}

/// The image is too small for the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image of {width} x {height} pixels is too small for {layer}")]
pub struct TooSmall {
    height: usize,
    width: usize,
    layer: String,
}
