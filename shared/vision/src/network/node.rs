//! The layers that a network is made of.
//!
//! A layer's result is a *map*: `height x width` pixels of `channels` numbers. A transformer's tokens are a map too, one pixel per
//! patch, before which stand the sequence's other tokens, its *prefix* (the class token).

/// A layer's result, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

/// One entry of the list.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// The normalised image.
    Image,
    /// A convolution with its norm, residual and activation; of single pixels, also a linear layer.
    Convolution(Convolution),
    /// A norm that doesn't follow a convolution.
    Normalise(Normalise),
    /// A window's maximum or mean.
    Pool(Pool),
    /// Channels of several maps of one size, one after the other.
    Concat(Vec<NodeId>),
    /// Channels scaled by what the whole map says.
    SqueezeExcite(SqueezeExcite),
    /// Patches become a sequence.
    Tokens(Tokens),
    /// Pixels look at each other.
    Attention(Attention),
    /// Four neighbours become one pixel of four times the channels, in timm's order: for each column of the square, for each of
    /// its rows, the pixel's channels. Sides are even.
    MergePatches(NodeId),
}

/// activation(norm(convolution(input)) + residual).
#[derive(Debug, Clone, PartialEq)]
pub struct Convolution {
    /// What is convolved.
    pub input: NodeId,
    /// State-dict prefix of the weight: `<weight>.weight`.
    pub weight: String,
    /// How the weight lies in the state dict.
    pub form: Form,
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

impl Convolution {
    /// A 1x1 convolution, bias and nothing else: where others differ, they say so.
    pub fn new(input: NodeId, weight: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self {
            input,
            weight: weight.into(),
            form: Form::Kernel,
            norm: Norm::Bias,
            inputs,
            outputs,
            kernel: 1,
            stride: 1,
            padding: Padding::Even(0),
            grouping: Grouping::Dense,
            skip: Skip::None,
            activation: Activation::Linear,
        }
    }

    /// A linear layer over the channels of every pixel, with bias.
    pub fn linear(input: NodeId, weight: impl Into<String>, inputs: usize, outputs: usize) -> Self {
        Self { form: Form::Matrix, ..Self::new(input, weight, inputs, outputs) }
    }

    /// Shape of the weight in the state dict.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let inputs = match self.grouping {
            Grouping::Dense => self.inputs,
            Grouping::Depthwise => 1,
        };
        match self.form {
            Form::Kernel => vec![self.outputs, inputs, self.kernel, self.kernel],
            Form::Matrix => vec![self.outputs, inputs],
        }
    }
}

/// Shape of a convolution's weight in the state dict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `[outputs, inputs / groups, kernel, kernel]`.
    Kernel,
    /// `[outputs, inputs]`; the kernel is 1x1.
    Matrix,
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
    /// None: the sum alone.
    Nothing,
    /// Batch norm with running statistics: `<name>.{weight,bias,running_mean,running_var}`.
    Batch {
        /// State-dict prefix.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// The convolution's own bias, `<weight>.bias`.
    Bias,
    /// Its own bias and then batch norm, as VGG-BN has it.
    BiasAndBatch {
        /// State-dict prefix of the batch norm.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// Its own bias, then each channel times its own factor (Touvron et al., "Going deeper with image transformers", 2021).
    BiasAndScale {
        /// State-dict name of the factors, shape `[outputs]`.
        gamma: String,
    },
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
    /// x / (1 + exp(-x)).
    Silu,
    /// x / 2 * (1 + erf(x / sqrt 2)), the exact form.
    Gelu,
}

/// activation(norm(input)), pixel by pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalise {
    /// What is normalised.
    pub input: NodeId,
    /// How.
    pub norm: PixelNorm,
    /// The last step.
    pub activation: Activation,
}

/// A norm of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum PixelNorm {
    /// Batch norm with running statistics: `<name>.{weight,bias,running_mean,running_var}`.
    Batch {
        /// State-dict prefix.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// Layer norm over the channels of a pixel: `<name>.{weight,bias}`.
    Layer {
        /// State-dict prefix.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
}

impl PixelNorm {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Batch { name, .. } | Self::Layer { name, .. } => name,
        }
    }
}

/// A window's maximum or mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// What is pooled.
    pub input: NodeId,
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Window height and width.
    pub kernel: usize,
    /// Step between windows.
    pub stride: usize,
    /// Border on all four sides.
    pub padding: usize,
}

/// What a window becomes; positions outside the image don't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest.
    Max,
    /// The mean.
    Mean,
}

/// input * sigmoid(expand(activation(reduce(mean over pixels)))): Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018.
#[derive(Debug, Clone, PartialEq)]
pub struct SqueezeExcite {
    /// What is scaled.
    pub input: NodeId,
    /// State-dict prefix: `<name>.conv_reduce.{weight,bias}` and `<name>.conv_expand.{weight,bias}`.
    pub name: String,
    /// Channels in between.
    pub reduced: usize,
    /// Between the two layers.
    pub activation: Activation,
}

/// Patches in row-major order behind a prefix of learned tokens, plus a learned position embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    /// The map of patches.
    pub input: NodeId,
    /// State-dict names of the prefix's tokens, each `[1, 1, channels]`.
    pub prefix: Vec<String>,
    /// State-dict name of the embedding, `[1, prefix + grid * grid, channels]`.
    pub position: String,
    /// Side of the embedding's square of patches. For another map it is resampled: bicubic with antialiasing, as timm does.
    pub grid: usize,
}

/// softmax(q k' / sqrt(channels per head)) v, for each head.
#[derive(Debug, Clone, PartialEq)]
pub struct Attention {
    /// Queries, keys and values, one after the other in the channels, each `heads` x channels per head.
    pub input: NodeId,
    /// Heads.
    pub heads: usize,
    /// Who looks at whom.
    pub scope: Scope,
}

/// Who looks at whom.
#[derive(Debug, Clone, PartialEq)]
pub enum Scope {
    /// Everyone at everyone.
    Global,
    /// Pixels of one square window, as in Swin: Liu et al., "Swin Transformer", ICCV 2021.
    Window {
        /// Side of a window; it divides the sides of the map. Along an axis of one window nothing is shifted.
        side: usize,
        /// Windows begin this many pixels further right and down, and wrap around; pixels that aren't neighbours in the image
        /// don't see each other.
        shift: usize,
        /// State-dict name of the bias by relative position, `[(2 side - 1)^2, heads]`.
        bias: String,
    },
}
