//! Networks of inverted bottlenecks, which MobileNetV2 and EfficientNet share: M. Sandler, A. Howard, M. Zhu, A. Zhmoginov,
//! L.-C. Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018 (arXiv 1801.04381).
//!
//! Names are timm's: stage s of runs of equal blocks is `blocks.s`.

use crate::network::{
    Activation, Convolution, Grouping, Network, Node, NodeId, Norm, Padding, Skip, SqueezeExcite,
};

/// A run of blocks; the first has the stride and changes the channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) repeats: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// Channels within a block, in units of its input's; 1: no expansion.
    pub(super) expand: usize,
    pub(super) outputs: usize,
}

/// Whether a block scales its channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Squeeze {
    Without,
    /// To a quarter of the block's input channels.
    Quarter,
}

/// Border of the convolutions that are larger than a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Border {
    /// TensorFlow's.
    Same,
    /// Half the kernel on every side.
    Half,
}

/// A stem of stride 2, runs of blocks, and a 1x1 convolution.
#[derive(Debug)]
pub(super) struct Inverted {
    pub(super) stem: usize,
    pub(super) runs: Vec<Run>,
    /// Number of features.
    pub(super) head: usize,
    pub(super) activation: Activation,
    pub(super) squeeze: Squeeze,
    pub(super) border: Border,
    /// Of the batch norms.
    pub(super) eps: f64,
}

impl Inverted {
    pub(super) fn network(&self) -> Network {
        let mut network = Network::new(3);
        let image = network.image();
        let mut x = network.convolution(Convolution {
            kernel: 3,
            stride: 2,
            padding: self.padding(3),
            ..self.pointwise(image, "conv_stem", "bn1", 3, self.stem)
        });
        network.stage("conv_stem", x);
        for (s, run) in self.runs.iter().enumerate() {
            for b in 0..run.repeats {
                let stride = if b == 0 { run.stride } else { 1 };
                x = self.block(&mut network, x, &format!("blocks.{s}.{b}"), stride, run);
            }
            network.stage(format!("blocks.{s}"), x);
        }
        let channels = network.channels(x);
        let head = network.convolution(self.pointwise(x, "conv_head", "bn2", channels, self.head));
        network.stage("conv_head", head);
        network
    }

    /// Expand 1x1, depthwise, squeeze and excite, project 1x1, and the shortcut where shapes allow. Without expansion timm calls the
    /// projection `conv_pw`.
    fn block(
        &self,
        network: &mut Network,
        input: NodeId,
        name: &str,
        stride: usize,
        run: &Run,
    ) -> NodeId {
        let named = |part: &str| format!("{name}.{part}");
        let inputs = network.channels(input);
        let wide = inputs * run.expand;
        let (mut x, [depthwise_norm, project, project_norm]) = if run.expand == 1 {
            (input, ["bn1", "conv_pw", "bn2"])
        } else {
            let expand = self.pointwise(input, &named("conv_pw"), &named("bn1"), inputs, wide);
            (network.convolution(expand), ["bn2", "conv_pwl", "bn3"])
        };
        x = network.convolution(Convolution {
            kernel: run.kernel,
            stride,
            padding: self.padding(run.kernel),
            grouping: Grouping::Depthwise,
            ..self.pointwise(x, &named("conv_dw"), &named(depthwise_norm), wide, wide)
        });
        if self.squeeze == Squeeze::Quarter {
            x = network.push(Node::SqueezeExcite(SqueezeExcite {
                input: x,
                name: named("se"),
                reduced: inputs / 4,
                activation: self.activation,
            }));
        }
        let is_same = stride == 1 && inputs == run.outputs;
        network.convolution(Convolution {
            skip: if is_same { Skip::Add(input) } else { Skip::None },
            activation: Activation::Linear,
            ..self.pointwise(x, &named(project), &named(project_norm), wide, run.outputs)
        })
    }

    fn padding(&self, kernel: usize) -> Padding {
        match self.border {
            Border::Same => Padding::Same,
            Border::Half => Padding::Even(kernel / 2),
        }
    }

    /// A 1x1 convolution with batch norm and activation.
    fn pointwise(
        &self,
        input: NodeId,
        weight: &str,
        norm: &str,
        inputs: usize,
        outputs: usize,
    ) -> Convolution {
        Convolution {
            norm: Norm::Batch { name: norm.to_owned(), eps: self.eps },
            activation: self.activation,
            ..Convolution::new(input, weight, inputs, outputs)
        }
    }
}
