//! The block that transformers on images share: A. Vaswani et al., "Attention Is All You Need", NeurIPS 2017 (arXiv 1706.03762), with
//! the norms before attention and MLP, and the names of timm's `Block` and `SwinTransformerBlock`.

use crate::network::{
    Activation, Attention, Convolution, Network, Node, NodeId, Norm, Scope, Skip,
};

/// Hidden channels of a block's MLP, as a multiple of the block's own.
const MLP: usize = 4;

/// What differs from one block to another.
pub(super) struct Block {
    /// State-dict prefix.
    pub(super) name: String,
    /// Channels.
    pub(super) width: usize,
    /// Heads of the attention.
    pub(super) heads: usize,
    /// Who looks at whom.
    pub(super) scope: Scope,
    /// Added to the variances of the norms.
    pub(super) eps: f64,
    /// Whether each branch's channels are scaled before they are added.
    pub(super) scale: LayerScale,
}

/// A factor for each channel of a branch: H. Touvron et al., "Going deeper with Image Transformers", ICCV 2021 (arXiv 2103.17239).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LayerScale {
    /// Branches are added as they are.
    Off,
    /// `ls1.gamma` after attention, `ls2.gamma` after the MLP.
    Learned,
}

impl Block {
    /// x + attention(norm(x)), then x + mlp(norm(x)).
    pub(super) fn push(self, network: &mut Network, input: NodeId) -> NodeId {
        let Self { name, width, heads, scope, eps, scale } = self;
        let branch_norm = |gamma: &str| match scale {
            LayerScale::Off => Norm::Bias,
            LayerScale::Learned => Norm::BiasAndScale { gamma: format!("{name}.{gamma}.gamma") },
        };
        let x = network.layer_norm(input, &format!("{name}.norm1"), eps);
        let x = network.convolution(Convolution::linear(
            x,
            format!("{name}.attn.qkv"),
            width,
            3 * width,
        ));
        let x = network.push(Node::Attention(Attention { input: x, heads, scope }));
        let middle = network.convolution(Convolution {
            norm: branch_norm("ls1"),
            skip: Skip::Add(input),
            ..Convolution::linear(x, format!("{name}.attn.proj"), width, width)
        });
        let x = network.layer_norm(middle, &format!("{name}.norm2"), eps);
        let x = network.convolution(Convolution {
            activation: Activation::Gelu,
            ..Convolution::linear(x, format!("{name}.mlp.fc1"), width, MLP * width)
        });
        network.convolution(Convolution {
            norm: branch_norm("ls2"),
            skip: Skip::Add(middle),
            ..Convolution::linear(x, format!("{name}.mlp.fc2"), MLP * width, width)
        })
    }
}
