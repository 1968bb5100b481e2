//! From a network's description to steps with packed weights; nothing here depends on the image's size.

use super::pixel::{Norm, epilogue};
use super::place::{Home, homes, operands};
use super::product::Product;
use crate::kernels::{
    Dense as Weights, Epilogue, Level, PackedConvolution, PackedDepthwise, PackedWinograd,
};
use crate::network::{
    Attention, Convolution, Folded, Grouping, Head, Network, Node, NodeId, Padding, Pool, PoolKind,
    Scope, Skip, SqueezeExcite, Tokens, fold,
};
use crate::precision::Precision;
use crate::weights::{StateDict, WeightsError};

/// Input channels from which on Winograd's algorithm beats the definition.
const WINOGRAD_INPUTS: usize = 32;

/// Input channels from which on products may be rounded to bfloat16. Errors of few terms don't average out, and thin layers gain
/// little. With these and the projections of inverted bottlenecks in f32, the worst of 8,019 photographs has a cosine of .99991 instead
/// of .9986 (EfficientNet-Lite0's real weights), for a fifth of the speed.
const ROUNDED_INPUTS: usize = 48;

/// Steps in order of execution.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) network: Network,
    pub(super) steps: Vec<Step>,
    pub(super) homes: Vec<Home>,
    /// Squeeze-and-excitation layers whose result is the factors alone; who reads them scales.
    pub(super) factors_only: Vec<bool>,
    pub(super) head: PackedHead,
    pub(super) level: Level,
}

/// One step and the layer whose result it leaves.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) output: NodeId,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// The planar image as a map, for layers other than convolutions.
    Image,
    /// A convolution of the planar image: a row of the kernel and its few channels are one run of the inner loop.
    Stem {
        packed: PackedConvolution,
        window: Window,
        epilogue: Epilogue,
    },
    Dense(Dense),
    Winograd(Winograd),
    Bottleneck(Bottleneck),
    Pool {
        input: NodeId,
        kind: PoolKind,
        window: Window,
    },
    Normalise {
        input: NodeId,
        norm: Norm,
    },
    SqueezeExcite(PackedSqueezeExcite),
    /// Operands of a concatenation; those that aren't in place already are copied.
    Join(Vec<NodeId>),
    Tokens {
        tokens: Tokens,
        /// `[prefix][channels]`.
        prefix: Vec<f32>,
        /// `[prefix + grid * grid][channels]`.
        positions: Vec<f32>,
    },
    Attention {
        attention: Attention,
        /// For windows, the bias by relative position, `[(2 side - 1)^2, heads]`.
        table: Vec<f32>,
    },
    MergePatches(NodeId),
}

/// How a kernel moves over its input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: Padding,
}

/// A convolution of a map.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) input: NodeId,
    pub(super) prepare: Prepare,
    pub(super) product: Product,
    pub(super) window: Window,
    pub(super) skip: Skip,
    pub(super) epilogue: Epilogue,
}

/// A 3x3 convolution of stride 1 with enough channels to pay for the transforms.
#[derive(Debug)]
pub(super) struct Winograd {
    pub(super) input: NodeId,
    pub(super) inputs: usize,
    pub(super) packed: PackedWinograd,
    pub(super) window: Window,
    pub(super) skip: Skip,
    pub(super) epilogue: Epilogue,
}

/// What happens to the pixels of a 1x1 convolution's input on their way into scratch memory.
#[derive(Debug)]
pub(super) enum Prepare {
    /// Nothing: they are read where they lie.
    Nothing,
    Normalise(Norm),
    /// Normalised, and then the mean over a window. A convolution without activation may as well come after the pool that follows
    /// it, which saves most of its work.
    NormaliseAndPool(Norm, Window),
    /// Times the factors of this squeeze-and-excitation layer.
    Scale(NodeId),
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
    Expand(Product, Epilogue),
}

#[derive(Debug)]
pub(super) enum Narrow {
    Keep(Skip),
    Project(Product, Skip, Epilogue),
}

#[derive(Debug)]
pub(super) struct PackedSqueezeExcite {
    pub(super) input: NodeId,
    pub(super) reduce: PackedConvolution,
    pub(super) epilogue: Epilogue,
    pub(super) expand: PackedConvolution,
}

#[derive(Debug)]
pub(super) enum PackedHead {
    Mean,
    MeanThenNorm(Norm),
    ClassToken,
}

impl Step {
    /// Bytes of the weights of its convolutions.
    pub(super) fn weight_bytes(&self) -> usize {
        let float = size_of::<f32>();
        match &self.kind {
            Kind::Stem { packed, .. } => packed.multiply_adds() * float,
            Kind::Dense(Dense { product, .. }) => product.bytes(),
            Kind::Winograd(w) => w.packed.multiply_adds() * float,
            Kind::Bottleneck(b) => {
                let widen = match &b.widen {
                    Widen::Copy => 0,
                    Widen::Expand(product, _) => product.bytes(),
                };
                let narrow = match &b.narrow {
                    Narrow::Keep(_) => 0,
                    Narrow::Project(product, ..) => product.bytes(),
                };
                widen + b.depthwise.kernel().pow(2) * b.depthwise.width() * float + narrow
            }
            Kind::SqueezeExcite(s) => (s.reduce.multiply_adds() + s.expand.multiply_adds()) * float,
            _ => 0,
        }
    }

    /// Layers that the step reads.
    pub(super) fn inputs(&self, network: &Network) -> Vec<NodeId> {
        let mut inputs = match &self.kind {
            Kind::Image => Vec::new(),
            Kind::Stem { .. } => Vec::new(),
            Kind::Dense(Dense { input, prepare: Prepare::Scale(factors), .. }) => {
                vec![*input, *factors]
            }
            Kind::Join(operands) => operands.clone(),
            Kind::Tokens { tokens, .. } => vec![tokens.input],
            Kind::Attention { attention, .. } => vec![attention.input],
            Kind::Dense(Dense { input, .. })
            | Kind::Winograd(Winograd { input, .. })
            | Kind::Bottleneck(Bottleneck { input, .. })
            | Kind::Pool { input, .. }
            | Kind::Normalise { input, .. }
            | Kind::SqueezeExcite(PackedSqueezeExcite { input, .. })
            | Kind::MergePatches(input) => vec![*input],
        };
        let skip = match &self.kind {
            Kind::Dense(Dense { skip, .. }) | Kind::Winograd(Winograd { skip, .. }) => *skip,
            Kind::Bottleneck(Bottleneck {
                narrow: Narrow::Keep(skip) | Narrow::Project(_, skip, _),
                ..
            }) => *skip,
            _ => Skip::None,
        };
        if let Skip::Add(other) = skip {
            inputs.push(other);
        }
        debug_assert!(inputs.iter().all(|input| input.0 < network.nodes().len()));
        inputs
    }
}

impl Plan {
    /// Folds, fuses and packs.
    pub(crate) fn compile(
        network: Network,
        state: &StateDict,
        level: Level,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let nodes = network.nodes().len();
        let mut compiler = Compiler {
            readers: readers(&network),
            network: &network,
            state,
            level,
            precision,
            fused: vec![false; nodes],
            factors_only: vec![false; nodes],
            steps: Vec::with_capacity(nodes),
        };
        compiler.fuse()?;
        for i in 0..nodes {
            compiler.single(NodeId(i))?;
        }
        let Compiler { mut steps, factors_only, .. } = compiler;
        steps.sort_by_key(|step| step.output);
        let image = network.image();
        if nodes == 1 || steps.iter().any(|step| step.inputs(&network).contains(&image)) {
            steps.insert(0, Step { output: image, kind: Kind::Image });
        }
        let head = match network.head() {
            Head::Mean => PackedHead::Mean,
            Head::ClassToken => PackedHead::ClassToken,
            Head::MeanThenLayerNorm { name, eps } => {
                PackedHead::MeanThenNorm(Norm::layer(level, name, *eps, state)?)
            }
        };
        let homes = homes(&network, &steps);
        Ok(Self { network, steps, homes, factors_only, head, level })
    }

    /// The description that was compiled.
    pub(crate) fn network(&self) -> &Network {
        &self.network
    }
}

struct Compiler<'a> {
    network: &'a Network,
    state: &'a StateDict,
    level: Level,
    precision: Precision,
    /// For each layer, the layers that read it.
    readers: Vec<Vec<NodeId>>,
    /// Layers inside another layer's step.
    fused: Vec<bool>,
    factors_only: Vec<bool>,
    steps: Vec<Step>,
}

impl<'a> Compiler<'a> {
    fn node(&self, id: NodeId) -> &'a Node {
        &self.network.nodes()[id.0]
    }

    /// The only reader of a layer whose map nobody else wants; such a layer needn't have a map of its own.
    fn only_reader(&self, id: NodeId) -> Option<NodeId> {
        let wanted = self.network.stages().iter().any(|stage| stage.node == id);
        match self.readers[id.0].as_slice() {
            [reader] if !wanted => Some(*reader),
            _ => None,
        }
    }

    fn convolution(&self, id: NodeId) -> Option<&'a Convolution> {
        match self.node(id) {
            Node::Convolution(c) => Some(c),
            _ => None,
        }
    }

    fn push(&mut self, output: NodeId, kind: Kind) {
        self.steps.push(Step { output, kind });
    }

    /// Steps of several layers.
    fn fuse(&mut self) -> Result<(), WeightsError> {
        for i in 0..self.network.nodes().len() {
            let id = NodeId(i);
            match self.node(id) {
                Node::Convolution(c) if c.grouping == Grouping::Depthwise => {
                    self.bottleneck(id, c)?;
                }
                Node::Convolution(c) if pointwise(c) && !self.fused[i] => self.prepared(id, c)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn bottleneck(&mut self, id: NodeId, c: &Convolution) -> Result<(), WeightsError> {
        let (widen, input) = match self.convolution(c.input) {
            Some(e)
                if pointwise(e)
                    && e.skip == Skip::None
                    && !self.fused[c.input.0]
                    && self.only_reader(c.input).is_some() =>
            {
                self.fused[c.input.0] = true;
                (Widen::Expand(self.pack(e)?, epilogue(e.activation)), e.input)
            }
            _ => (Widen::Copy, c.input),
        };
        let project = self
            .only_reader(id)
            .and_then(|reader| Some((reader, self.convolution(reader)?)))
            .filter(|(_, p)| pointwise(p) && p.input == id && c.skip == Skip::None);
        let (narrow, output) = match project {
            Some((reader, p)) => {
                self.fused[reader.0] = true;
                (Narrow::Project(self.pack(p)?, p.skip, epilogue(p.activation)), reader)
            }
            None => (Narrow::Keep(c.skip), id),
        };
        self.fused[id.0] = true;
        let depthwise = self.pack_depthwise(c)?;
        let epilogue = epilogue(c.activation);
        let padding = c.padding;
        let bottleneck =
            Bottleneck { input, middle: id, widen, depthwise, padding, epilogue, narrow };
        self.push(output, Kind::Bottleneck(bottleneck));
        Ok(())
    }

    /// A 1x1 convolution with the layer before it, where that one only prepares its pixels.
    fn prepared(&mut self, id: NodeId, c: &Convolution) -> Result<(), WeightsError> {
        if self.only_reader(c.input).is_none() || c.skip == Skip::Add(c.input) {
            return Ok(());
        }
        let (input, prepare, output) = match self.node(c.input) {
            Node::Normalise(n) => {
                let norm = Norm::new(self.level, n, self.state)?;
                match self.pool_that_may_come_first(id, c) {
                    Some((pool, window)) => {
                        self.fused[pool.0] = true;
                        (n.input, Prepare::NormaliseAndPool(norm, window), pool)
                    }
                    None => (n.input, Prepare::Normalise(norm), id),
                }
            }
            Node::SqueezeExcite(s) => {
                self.factors_only[c.input.0] = true;
                (s.input, Prepare::Scale(c.input), id)
            }
            _ => return Ok(()),
        };
        self.fused[id.0] = true;
        if !matches!(prepare, Prepare::Scale(_)) {
            self.fused[c.input.0] = true;
        }
        let dense = Dense {
            input,
            prepare,
            product: self.pack(c)?,
            window: window(c),
            skip: c.skip,
            epilogue: epilogue(c.activation),
        };
        self.push(output, Kind::Dense(dense));
        Ok(())
    }

    fn pool_that_may_come_first(&self, id: NodeId, c: &Convolution) -> Option<(NodeId, Window)> {
        let reader = self.only_reader(id)?;
        let linear = c.activation == crate::network::Activation::Linear && c.skip == Skip::None;
        match self.node(reader) {
            Node::Pool(pool) if pool.kind == PoolKind::Mean && linear => {
                Some((reader, pool_window(pool)))
            }
            _ => None,
        }
    }

    /// A step of one layer.
    fn single(&mut self, id: NodeId) -> Result<(), WeightsError> {
        if self.fused[id.0] {
            return Ok(());
        }
        let values = |name: &str| Ok::<_, WeightsError>(self.state.values(name)?.to_vec());
        let kind = match self.node(id) {
            Node::Image => return Ok(()),
            Node::Convolution(c) if c.input == self.network.image() && c.skip == Skip::None => {
                let packed = self.pack_stem(c)?;
                Kind::Stem { packed, window: window(c), epilogue: epilogue(c.activation) }
            }
            Node::Convolution(c) if for_winograd(c) => {
                let Folded { weights, bias } = fold(c, self.state)?;
                let dense = Weights { weights: &weights, bias: &bias, inputs: c.inputs, taps: 9 };
                Kind::Winograd(Winograd {
                    input: c.input,
                    inputs: c.inputs,
                    packed: PackedWinograd::new(self.level, &dense),
                    window: window(c),
                    skip: c.skip,
                    epilogue: epilogue(c.activation),
                })
            }
            Node::Convolution(c) => Kind::Dense(Dense {
                input: c.input,
                prepare: Prepare::Nothing,
                product: self.pack(c)?,
                window: window(c),
                skip: c.skip,
                epilogue: epilogue(c.activation),
            }),
            Node::Normalise(n) => {
                Kind::Normalise { input: n.input, norm: Norm::new(self.level, n, self.state)? }
            }
            Node::Pool(pool) => {
                Kind::Pool { input: pool.input, kind: pool.kind, window: pool_window(pool) }
            }
            Node::Concat(_) => Kind::Join(operands(self.network, id)),
            Node::SqueezeExcite(s) => Kind::SqueezeExcite(self.pack_squeeze_excite(s)?),
            Node::Tokens(tokens) => {
                let mut prefix = Vec::new();
                for name in &tokens.prefix {
                    prefix.extend(values(name)?);
                }
                let positions = values(&tokens.position)?;
                Kind::Tokens { tokens: tokens.clone(), prefix, positions }
            }
            Node::Attention(attention) => {
                let table = match &attention.scope {
                    Scope::Global => Vec::new(),
                    Scope::Window { bias, .. } => values(bias)?,
                };
                Kind::Attention { attention: attention.clone(), table }
            }
            Node::MergePatches(input) => Kind::MergePatches(*input),
        };
        self.push(id, kind);
        Ok(())
    }

    fn pack(&self, c: &Convolution) -> Result<Product, WeightsError> {
        let Folded { weights, bias } = fold(c, self.state)?;
        let taps = c.kernel * c.kernel;
        let dense = Weights { weights: &weights, bias: &bias, inputs: c.inputs, taps };
        let exact = c.inputs < ROUNDED_INPUTS || self.is_projection(c);
        let precision = if exact { Precision::F32 } else { self.precision };
        Ok(Product::new(self.level, precision, &dense))
    }

    /// Whether a convolution ends an inverted bottleneck: what it makes is no longer activated and goes into the sum of all blocks,
    /// together with its errors.
    fn is_projection(&self, c: &Convolution) -> bool {
        let before = match self.node(c.input) {
            Node::SqueezeExcite(s) => self.node(s.input),
            node => node,
        };
        pointwise(c) && matches!(before, Node::Convolution(c) if c.grouping == Grouping::Depthwise)
    }

    fn pack_depthwise(&self, c: &Convolution) -> Result<PackedDepthwise, WeightsError> {
        let Folded { weights, bias } = fold(c, self.state)?;
        Ok(PackedDepthwise::new(self.level, &weights, &bias, c.kernel, c.stride))
    }

    /// A tap for each row of the kernel; its inputs are the row's pixels, channel by channel.
    fn pack_stem(&self, c: &Convolution) -> Result<PackedConvolution, WeightsError> {
        let Folded { weights, bias } = fold(c, self.state)?;
        let (kernel, channels) = (c.kernel, c.inputs);
        let mut by_row = Vec::with_capacity(weights.len());
        for output in weights.chunks_exact(channels * kernel * kernel) {
            for (kx, channel) in (0..kernel).flat_map(|kx| (0..channels).map(move |c| (kx, c))) {
                by_row.extend((0..kernel).map(|ky| output[(channel * kernel + ky) * kernel + kx]));
            }
        }
        let dense =
            Weights { weights: &by_row, bias: &bias, inputs: kernel * channels, taps: kernel };
        Ok(PackedConvolution::new(self.level, &dense))
    }

    fn pack_squeeze_excite(&self, s: &SqueezeExcite) -> Result<PackedSqueezeExcite, WeightsError> {
        let channels = self.network.channels(s.input);
        let pack = |part: &str, inputs| {
            let weights = self.state.values(&format!("{}.{part}.weight", s.name))?;
            let bias = self.state.values(&format!("{}.{part}.bias", s.name))?;
            let dense = Weights { weights, bias, inputs, taps: 1 };
            Ok::<_, WeightsError>(PackedConvolution::new(self.level, &dense))
        };
        Ok(PackedSqueezeExcite {
            input: s.input,
            reduce: pack("conv_reduce", channels)?,
            epilogue: epilogue(s.activation),
            expand: pack("conv_expand", s.reduced)?,
        })
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

fn for_winograd(c: &Convolution) -> bool {
    c.kernel == 3 && c.stride == 1 && c.grouping == Grouping::Dense && c.inputs >= WINOGRAD_INPUTS
}

fn window(c: &Convolution) -> Window {
    Window { kernel: c.kernel, stride: c.stride, padding: c.padding }
}

fn pool_window(pool: &Pool) -> Window {
    Window { kernel: pool.kernel, stride: pool.stride, padding: Padding::Even(pool.padding) }
}
