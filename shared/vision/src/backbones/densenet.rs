//! DenseNet: G. Huang, Z. Liu, L. van der Maaten, K. Weinberger, "Densely Connected Convolutional Networks", CVPR 2017
//! (arXiv 1608.06993); bottleneck layers and halving transitions (DenseNet-BC).
//!
//! Names are torchvision's, which are timm's too; old files spell a layer's parts `norm.1` and `conv.1`. torchxrayvision's
//! DenseNet-121 (J. P. Cohen et al., "TorchXRayVision: A library of chest X-ray datasets and models", MIDL 2022) is the same network
//! of one channel. Batch norm epsilon 1e-5; the last norm is followed by ReLU.

use super::registry::{BackboneEntry, imagenet};
use super::{Architecture, Licence};
use crate::image::{Colour, Interpolation, Preprocess};
use crate::network::{
    Activation, Convolution, Network, Node, NodeId, Norm, Normalise, Padding, PixelNorm, Pool,
    PoolKind,
};
use crate::weights::{StateDict, WeightsSource};

const EPS: f64 = 1e-5;

/// Channels of a layer's 1x1 convolution, in units of its growth.
const BOTTLENECK: usize = 4;

/// A DenseNet by its layers.
#[derive(Debug)]
pub struct DenseNet {
    name: &'static str,
    image_channels: usize,
    /// Channels after the stem.
    stem: usize,
    /// Channels that each layer adds.
    growth: usize,
    /// Layers of the four blocks.
    layers: [usize; 4],
}

impl DenseNet {
    /// 1,024 features.
    pub const DENSENET121: Self = Self::new("densenet121", 64, 32, [6, 12, 24, 16]);
    /// 2,208 features.
    pub const DENSENET161: Self = Self::new("densenet161", 96, 48, [6, 12, 36, 24]);
    /// 1,664 features.
    pub const DENSENET169: Self = Self::new("densenet169", 64, 32, [6, 12, 32, 32]);
    /// 1,920 features.
    pub const DENSENET201: Self = Self::new("densenet201", 64, 32, [6, 12, 48, 32]);
    /// torchxrayvision's DenseNet-121 for grey images; 1,024 features.
    pub const XRAY_DENSENET121: Self =
        Self { name: "xrv_densenet121", image_channels: 1, ..Self::DENSENET121 };

    const fn new(name: &'static str, stem: usize, growth: usize, layers: [usize; 4]) -> Self {
        Self { name, image_channels: 3, stem, growth, layers }
    }
}

/// The family's weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let apache = |architecture, pretrained, about| {
        BackboneEntry::timm(architecture, pretrained, Licence::Apache2, about, imagenet(256, 224))
    };
    vec![
        apache(&DenseNet::DENSENET121, "densenet121.ra_in1k", "DenseNet-121, ImageNet"),
        apache(&DenseNet::DENSENET161, "densenet161.tv_in1k", "DenseNet-161, ImageNet"),
        apache(&DenseNet::DENSENET169, "densenet169.tv_in1k", "DenseNet-169, ImageNet"),
        apache(&DenseNet::DENSENET201, "densenet201.tv_in1k", "DenseNet-201, ImageNet"),
        BackboneEntry::new(
            &DenseNet::XRAY_DENSENET121,
            // Published as a pickled module, which `tools/convert_xrv.py` turns into this file.
            WeightsSource::Placed { file: "densenet121-res224-all.safetensors".to_owned() },
            Licence::Apache2,
            "DenseNet-121, seven sets of chest X-rays (torchxrayvision); made by tools/convert_xrv.py",
            xray(),
        ),
    ]
}

/// torchxrayvision's: the central square to 224 x 224 grey pixels from -1024 to 1024.
fn xray() -> Preprocess {
    Preprocess {
        shorter_side: 224,
        crop: 224,
        interpolation: Interpolation::Smoothed,
        mean: [0.5; 3],
        std: [1.0 / 2048.0; 3],
        colour: Colour::Grey,
    }
}

impl Architecture for DenseNet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let mut network = Network::new(self.image_channels);
        let image = network.image();
        let stem = network.convolution(Convolution {
            norm: batch("features.norm0"),
            kernel: 7,
            stride: 2,
            padding: Padding::Even(3),
            activation: Activation::Relu,
            ..Convolution::new(image, "features.conv0", self.image_channels, self.stem)
        });
        let mut x = network.push(Node::Pool(Pool {
            input: stem,
            kind: PoolKind::Max,
            kernel: 3,
            stride: 2,
            padding: 1,
        }));
        network.stage("features.pool0", x);
        for (b, &layers) in self.layers.iter().enumerate() {
            let name = format!("features.denseblock{}", b + 1);
            x = self.block(&mut network, x, &name, layers);
            network.stage(name, x);
            if b + 1 < self.layers.len() {
                x = transition(&mut network, x, &format!("features.transition{}", b + 1));
            }
        }
        let last = normalise(&mut network, x, "features.norm5");
        network.stage("features.norm5", last);
        network
    }

    fn adapt(&self, state: StateDict) -> StateDict {
        state.renamed(new_key)
    }
}

impl DenseNet {
    /// Every layer reads all that went before it in the block, and adds its own channels.
    fn block(&self, network: &mut Network, input: NodeId, name: &str, layers: usize) -> NodeId {
        let mut parts = vec![input];
        let mut x = input;
        for layer in 1..=layers {
            let name = format!("{name}.denselayer{layer}");
            let channels = network.channels(x);
            let normed = normalise(network, x, &format!("{name}.norm1"));
            let wide = BOTTLENECK * self.growth;
            let narrow = network.convolution(Convolution {
                norm: batch(&format!("{name}.norm2")),
                activation: Activation::Relu,
                ..Convolution::new(normed, format!("{name}.conv1"), channels, wide)
            });
            parts.push(network.convolution(Convolution {
                norm: Norm::Nothing,
                kernel: 3,
                padding: Padding::Even(1),
                ..Convolution::new(narrow, format!("{name}.conv2"), wide, self.growth)
            }));
            x = network.push(Node::Concat(parts.clone()));
        }
        x
    }
}

/// Half the channels, half the height and width.
fn transition(network: &mut Network, input: NodeId, name: &str) -> NodeId {
    let channels = network.channels(input);
    let normed = normalise(network, input, &format!("{name}.norm"));
    let narrow = network.convolution(Convolution {
        norm: Norm::Nothing,
        ..Convolution::new(normed, format!("{name}.conv"), channels, channels / 2)
    });
    network.push(Node::Pool(Pool {
        input: narrow,
        kind: PoolKind::Mean,
        kernel: 2,
        stride: 2,
        padding: 0,
    }))
}

/// Batch norm and ReLU before a convolution.
fn normalise(network: &mut Network, input: NodeId, name: &str) -> NodeId {
    let norm = PixelNorm::Batch { name: name.to_owned(), eps: EPS };
    network.push(Node::Normalise(Normalise { input, norm, activation: Activation::Relu }))
}

fn batch(name: &str) -> Norm {
    Norm::Batch { name: name.to_owned(), eps: EPS }
}

/// `denselayer1.norm.2.bias` is now `denselayer1.norm2.bias`.
fn new_key(key: &str) -> Option<String> {
    if !key.contains(".denselayer") {
        return None;
    }
    let (kind, number) = [("norm", 1), ("norm", 2), ("conv", 1), ("conv", 2)]
        .into_iter()
        .find(|(kind, number)| key.contains(&format!(".{kind}.{number}.")))?;
    Some(key.replace(&format!(".{kind}.{number}."), &format!(".{kind}{number}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_torchvisions() {
        // torchvision's densenet121 without classifier: 7,978,856 - 1,025,000; densenet161: 28,681,000 - 2,209,000.
        assert_eq!(DenseNet::DENSENET121.network().trained(), 6_953_856);
        assert_eq!(DenseNet::DENSENET161.network().trained(), 26_472_000);
        assert_eq!(DenseNet::DENSENET161.network().features(), 2208);
    }

    #[test]
    fn old_keys_become_new_ones() {
        for (old, new) in [
            (
                "features.denseblock1.denselayer2.norm.1.running_mean",
                "features.denseblock1.denselayer2.norm1.running_mean",
            ),
            (
                "features.denseblock4.denselayer16.conv.2.weight",
                "features.denseblock4.denselayer16.conv2.weight",
            ),
        ] {
            assert_eq!(new_key(old).as_deref(), Some(new));
            assert_eq!(new_key(new), None);
        }
        assert_eq!(new_key("features.transition1.norm.weight"), None);
    }
}
