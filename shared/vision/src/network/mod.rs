//! A network described as data: the one description from which an engine is built.
//!
//! An architecture's file lists its layers in order, with timm's state-dict names. From that list come the parameters that a
//! weights file must hold, the compiled CPU plan (`engine`) and the same network in candle's own operations
//! ([`candle::CandleNetwork`]), which is the second opinion in tests and the path for other devices.

pub mod candle;
mod fold;
mod node;
mod position;
mod size;

pub(crate) use fold::{Folded, affine, fold};
pub use node::{
    Activation, Attention, Convolution, Form, Grouping, Node, NodeId, Norm, Normalise, Padding,
    PixelNorm, Pool, PoolKind, Scope, Skip, SqueezeExcite, Tokens,
};
pub(crate) use position::resample_positions;
pub use size::Misfit;

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

/// How the last map becomes features.
#[derive(Debug, Clone, PartialEq)]
pub enum Head {
    /// The mean over pixels.
    Mean,
    /// The layer norm of that mean: `<name>.{weight,bias}`.
    MeanThenLayerNorm {
        /// State-dict prefix.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// The first token of the prefix.
    ClassToken,
}

/// A network: layers in order of execution, named stages, and how the last layer becomes features.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    image_channels: usize,
    nodes: Vec<Node>,
    stages: Vec<Stage>,
    head: Head,
}

impl Network {
    /// A network of the image alone, whose head is the mean.
    pub(crate) fn new(image_channels: usize) -> Self {
        Self { image_channels, nodes: vec![Node::Image], stages: Vec::new(), head: Head::Mean }
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

    /// Changes a layer.
    #[cfg(test)]
    pub(crate) fn edit(&mut self, node: NodeId, change: impl FnOnce(&mut Node)) {
        change(&mut self.nodes[node.0]);
    }

    /// Appends a convolution.
    pub(crate) fn convolution(&mut self, convolution: Convolution) -> NodeId {
        self.push(Node::Convolution(convolution))
    }

    /// Appends a layer norm.
    #[allow(dead_code, reason = "transformers use it, and no backbone is one yet")]
    pub(crate) fn layer_norm(&mut self, input: NodeId, name: &str, eps: f64) -> NodeId {
        let norm = PixelNorm::Layer { name: name.to_owned(), eps };
        self.push(Node::Normalise(Normalise { input, norm, activation: Activation::Linear }))
    }

    /// Names a layer's result.
    pub(crate) fn stage(&mut self, name: impl Into<String>, node: NodeId) {
        let (channels, reduction) = (self.channels(node), self.reduction(node));
        self.stages.push(Stage { name: name.into(), channels, reduction, node });
    }

    /// Says how the last map becomes features.
    #[allow(dead_code, reason = "transformers use it, and no backbone is one yet")]
    pub(crate) fn set_head(&mut self, head: Head) {
        self.head = head;
    }

    /// Layers in order of execution; the first is the image.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Named stages in order.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// How the last map becomes features.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Channels of the image: 3, or 1 where the weights were trained on grey images.
    pub fn image_channels(&self) -> usize {
        self.image_channels
    }

    /// The last layer: its map is `forward_features`, and from it the head makes the features.
    pub fn last(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Number of features.
    pub fn features(&self) -> usize {
        self.channels(self.last())
    }

    /// Channels of a layer's result.
    pub fn channels(&self, node: NodeId) -> usize {
        match &self.nodes[node.0] {
            Node::Image => self.image_channels,
            Node::Convolution(convolution) => convolution.outputs,
            Node::Concat(inputs) => inputs.iter().map(|&input| self.channels(input)).sum(),
            Node::Attention(attention) => self.channels(attention.input) / 3,
            Node::MergePatches(input) => 4 * self.channels(*input),
            Node::Normalise(Normalise { input, .. })
            | Node::Pool(Pool { input, .. })
            | Node::SqueezeExcite(SqueezeExcite { input, .. })
            | Node::Tokens(Tokens { input, .. }) => self.channels(*input),
        }
    }

    /// Tokens before the first pixel of a layer's result.
    pub fn prefix(&self, node: NodeId) -> usize {
        match &self.nodes[node.0] {
            Node::Image => 0,
            Node::Tokens(tokens) => tokens.prefix.len(),
            other => self.prefix(other.inputs()[0]),
        }
    }

    fn reduction(&self, node: NodeId) -> usize {
        match &self.nodes[node.0] {
            Node::Image => 1,
            Node::Convolution(c) => c.stride * self.reduction(c.input),
            Node::Pool(pool) => pool.stride * self.reduction(pool.input),
            Node::MergePatches(input) => 2 * self.reduction(*input),
            other => self.reduction(other.inputs()[0]),
        }
    }

    /// Every tensor that a weights file must hold, with its shape, in order.
    pub fn parameters(&self) -> Vec<(String, Vec<usize>)> {
        let mut parameters = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            parameters.extend(self.parameters_of(NodeId(i), node));
        }
        if let Head::MeanThenLayerNorm { name, .. } = &self.head {
            parameters.extend(affine_pair(name, self.features()));
        }
        parameters
    }

    /// Number of trained values: all but running statistics.
    pub fn trained(&self) -> usize {
        let parameters = self.parameters().into_iter();
        parameters
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }

    fn parameters_of(&self, id: NodeId, node: &Node) -> Vec<(String, Vec<usize>)> {
        let channels = self.channels(id);
        match node {
            Node::Image | Node::Pool(_) | Node::Concat(_) | Node::MergePatches(_) => Vec::new(),
            Node::Convolution(c) => {
                let mut parameters = vec![(format!("{}.weight", c.weight), c.shape())];
                let bias = (format!("{}.bias", c.weight), vec![channels]);
                match &c.norm {
                    Norm::Nothing => {}
                    Norm::Bias => parameters.push(bias),
                    Norm::Batch { name, .. } => parameters.extend(batch_norm(name, channels)),
                    Norm::BiasAndBatch { name, .. } => {
                        parameters.push(bias);
                        parameters.extend(batch_norm(name, channels));
                    }
                    Norm::BiasAndScale { gamma } => {
                        parameters.push(bias);
                        parameters.push((gamma.clone(), vec![channels]));
                    }
                }
                parameters
            }
            Node::Normalise(normalise) => match &normalise.norm {
                PixelNorm::Batch { name, .. } => batch_norm(name, channels),
                PixelNorm::Layer { name, .. } => affine_pair(name, channels),
            },
            Node::SqueezeExcite(SqueezeExcite { name, reduced, .. }) => vec![
                (format!("{name}.conv_reduce.weight"), vec![*reduced, channels, 1, 1]),
                (format!("{name}.conv_reduce.bias"), vec![*reduced]),
                (format!("{name}.conv_expand.weight"), vec![channels, *reduced, 1, 1]),
                (format!("{name}.conv_expand.bias"), vec![channels]),
            ],
            Node::Tokens(tokens) => {
                let positions = tokens.prefix.len() + tokens.grid * tokens.grid;
                let prefix = tokens.prefix.iter().map(|name| (name.clone(), vec![1, 1, channels]));
                prefix.chain([(tokens.position.clone(), vec![1, positions, channels])]).collect()
            }
            Node::Attention(attention) => match &attention.scope {
                Scope::Global => Vec::new(),
                Scope::Window { side, bias, .. } => {
                    vec![(bias.clone(), vec![(2 * side - 1).pow(2), attention.heads])]
                }
            },
        }
    }
}

impl Node {
    /// Results that this layer reads; the first decides size and prefix. The image reads none.
    pub fn inputs(&self) -> Vec<NodeId> {
        match self {
            Self::Image => Vec::new(),
            Self::Convolution(Convolution { input, skip: Skip::Add(other), .. }) => {
                vec![*input, *other]
            }
            Self::Concat(inputs) => inputs.clone(),
            Self::MergePatches(input)
            | Self::Convolution(Convolution { input, .. })
            | Self::Normalise(Normalise { input, .. })
            | Self::Pool(Pool { input, .. })
            | Self::SqueezeExcite(SqueezeExcite { input, .. })
            | Self::Tokens(Tokens { input, .. })
            | Self::Attention(Attention { input, .. }) => vec![*input],
        }
    }
}

fn batch_norm(name: &str, channels: usize) -> Vec<(String, Vec<usize>)> {
    ["weight", "bias", "running_mean", "running_var"]
        .map(|part| (format!("{name}.{part}"), vec![channels]))
        .into()
}

fn affine_pair(name: &str, channels: usize) -> Vec<(String, Vec<usize>)> {
    ["weight", "bias"].map(|part| (format!("{name}.{part}"), vec![channels])).into()
}
