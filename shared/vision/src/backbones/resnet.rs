//! ResNet: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 1512.03385).
//!
//! As torchvision and timm have it, a bottleneck's stride lies in its 3x3 convolution, not in the first as in the paper. Names are
//! torchvision's, which are timm's too. Batch norm epsilon 1e-5, symmetric padding.

use super::registry::{BackboneEntry, imagenet};
use super::{Architecture, Licence};
use crate::network::{
    Activation, Convolution, Network, Node, NodeId, Norm, Padding, Pool, PoolKind, Skip,
};

const EPS: f64 = 1e-5;
const STEM: usize = 64;

/// Channels within the blocks of the four layers; from the second on, a layer halves the map.
const WIDTHS: [usize; 4] = [64, 128, 256, 512];

/// A ResNet by its depth.
#[derive(Debug)]
pub struct ResNet {
    name: &'static str,
    block: Block,
    repeats: [usize; 4],
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, and a 1x1 to four times the channels.
    Bottleneck,
}

impl ResNet {
    /// 512 features.
    pub const RESNET18: Self =
        Self { name: "resnet18", block: Block::Basic, repeats: [2, 2, 2, 2] };
    /// 512 features.
    pub const RESNET34: Self =
        Self { name: "resnet34", block: Block::Basic, repeats: [3, 4, 6, 3] };
    /// 2,048 features.
    pub const RESNET50: Self =
        Self { name: "resnet50", block: Block::Bottleneck, repeats: [3, 4, 6, 3] };
    /// 2,048 features.
    pub const RESNET101: Self =
        Self { name: "resnet101", block: Block::Bottleneck, repeats: [3, 4, 23, 3] };
    /// 2,048 features.
    pub const RESNET152: Self =
        Self { name: "resnet152", block: Block::Bottleneck, repeats: [3, 8, 36, 3] };
}

/// The family's weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let apache = |architecture, pretrained, about| {
        // timm: floor(224 / crop_pct) with crop_pct = 0.95.
        BackboneEntry::timm(architecture, pretrained, Licence::Apache2, about, imagenet(235, 224))
    };
    vec![
        apache(&ResNet::RESNET18, "resnet18.a1_in1k", "ResNet-18, ImageNet, timm's a1 recipe"),
        apache(&ResNet::RESNET34, "resnet34.a1_in1k", "ResNet-34, ImageNet, timm's a1 recipe"),
        apache(&ResNet::RESNET50, "resnet50.a1_in1k", "ResNet-50, ImageNet, timm's a1 recipe"),
        apache(&ResNet::RESNET101, "resnet101.a1h_in1k", "ResNet-101, ImageNet, timm's a1h recipe"),
        apache(&ResNet::RESNET152, "resnet152.a1h_in1k", "ResNet-152, ImageNet, timm's a1h recipe"),
        BackboneEntry::timm(
            &ResNet::RESNET50,
            "resnet50.fb_swsl_ig1b_ft_in1k",
            Licence::CcByNc4,
            "ResNet-50, a billion tagged images, then ImageNet; not for commercial use",
            imagenet(256, 224).bilinear(),
        )
        .named("resnet50.fb_swsl_ig1b_ft_in1k"),
    ]
}

impl Architecture for ResNet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let mut network = Network::new(3);
        let image = network.image();
        let stem = network.convolution(convolution(image, "conv1", "bn1", [3, STEM], 7, 2));
        let mut x = network.push(Node::Pool(Pool {
            input: stem,
            kind: PoolKind::Max,
            kernel: 3,
            stride: 2,
            padding: 1,
        }));
        network.stage("maxpool", x);
        let mut channels = STEM;
        for (l, (&repeats, width)) in self.repeats.iter().zip(WIDTHS).enumerate() {
            for b in 0..repeats {
                let place = Place {
                    input: x,
                    name: format!("layer{}.{b}", l + 1),
                    stride: if l > 0 && b == 0 { 2 } else { 1 },
                };
                (x, channels) = match self.block {
                    Block::Basic => (basic(&mut network, &place, channels, width), width),
                    Block::Bottleneck => {
                        (bottleneck(&mut network, &place, channels, width), 4 * width)
                    }
                };
            }
            network.stage(format!("layer{}", l + 1), x);
        }
        network
    }
}

/// Where a block stands.
struct Place {
    input: NodeId,
    name: String,
    stride: usize,
}

impl Place {
    /// One of the block's convolutions with batch norm and ReLU.
    fn convolution(
        &self,
        number: usize,
        input: NodeId,
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Convolution {
        let [weight, norm] = ["conv", "bn"].map(|kind| format!("{}.{kind}{number}", self.name));
        convolution(input, &weight, &norm, channels, kernel, stride)
    }

    /// The input itself, or where shapes differ a 1x1 convolution of it.
    fn shortcut(&self, network: &mut Network, channels: [usize; 2]) -> NodeId {
        if self.stride == 1 && channels[0] == channels[1] {
            return self.input;
        }
        let [weight, norm] = ["0", "1"].map(|part| format!("{}.downsample.{part}", self.name));
        network.convolution(Convolution {
            activation: Activation::Linear,
            ..convolution(self.input, &weight, &norm, channels, 1, self.stride)
        })
    }
}

fn basic(network: &mut Network, place: &Place, inputs: usize, width: usize) -> NodeId {
    let shortcut = place.shortcut(network, [inputs, width]);
    let first = place.convolution(1, place.input, [inputs, width], 3, place.stride);
    let x = network.convolution(first);
    let second = place.convolution(2, x, [width, width], 3, 1);
    network.convolution(Convolution { skip: Skip::Add(shortcut), ..second })
}

fn bottleneck(network: &mut Network, place: &Place, inputs: usize, width: usize) -> NodeId {
    let shortcut = place.shortcut(network, [inputs, 4 * width]);
    let first = place.convolution(1, place.input, [inputs, width], 1, 1);
    let x = network.convolution(first);
    let x = network.convolution(place.convolution(2, x, [width, width], 3, place.stride));
    let third = place.convolution(3, x, [width, 4 * width], 1, 1);
    network.convolution(Convolution { skip: Skip::Add(shortcut), ..third })
}

/// A convolution with batch norm and ReLU, padded by half its kernel.
fn convolution(
    input: NodeId,
    weight: &str,
    norm: &str,
    [inputs, outputs]: [usize; 2],
    kernel: usize,
    stride: usize,
) -> Convolution {
    Convolution {
        norm: Norm::Batch { name: norm.to_owned(), eps: EPS },
        kernel,
        stride,
        padding: Padding::Even(kernel / 2),
        activation: Activation::Relu,
        ..Convolution::new(input, weight, inputs, outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_torchvisions() {
        let network = ResNet::RESNET18.network();
        // torchvision's resnet18 without fc: 11,689,512 - 513,000.
        assert_eq!(network.trained(), 11_176_512);
        let shortcut = ("layer2.0.downsample.0.weight".into(), vec![128, 64, 1, 1]);
        assert!(network.parameters().contains(&shortcut));
        // resnet152: 60,192,808 - 2,049,000.
        assert_eq!(ResNet::RESNET152.network().trained(), 58_143_808);
    }
}
