//! VGG: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015
//! (arXiv 1409.1556), without and with batch norm.
//!
//! Names are timm's; of torchvision's files the two linear layers `classifier.0` and `classifier.3` become the convolutions
//! `pre_logits.fc1` and `pre_logits.fc2`. Features are what comes out of these (4,096), so an image must be 224 pixels high and wide
//! at least; timm stretches smaller maps, we refuse the image. Stages are the pools, whose maps timm names by the layer before, and
//! the last convolution.

use super::registry::{BackboneEntry, imagenet};
use super::{Architecture, Licence};
use crate::network::{
    Activation, Convolution, Network, Node, NodeId, Norm, Padding, Pool, PoolKind,
};
use crate::weights::StateDict;

const EPS: f64 = 1e-5;

/// Channels of the five runs of convolutions; each run ends in a pool that halves the map.
const WIDTHS: [usize; 5] = [64, 128, 256, 512, 512];

/// Side of the last map for an image of 224 x 224.
const LAST: usize = 7;
const FEATURES: usize = 4096;

/// Linear layers in torchvision's files, their names here and their kernels.
const LINEAR: [(&str, &str, usize); 2] =
    [("classifier.0", "pre_logits.fc1", LAST), ("classifier.3", "pre_logits.fc2", 1)];

/// A VGG by its depth and norm; 4,096 features.
#[derive(Debug)]
pub struct Vgg {
    name: &'static str,
    repeats: [usize; 5],
    norm: VggNorm,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum VggNorm {
    Nothing,
    Batch,
}

#[allow(missing_docs)] // The names say it.
impl Vgg {
    pub const VGG11: Self = Self::new("vgg11", [1, 1, 2, 2, 2], VggNorm::Nothing);
    pub const VGG13: Self = Self::new("vgg13", [2, 2, 2, 2, 2], VggNorm::Nothing);
    pub const VGG16: Self = Self::new("vgg16", [2, 2, 3, 3, 3], VggNorm::Nothing);
    pub const VGG19: Self = Self::new("vgg19", [2, 2, 4, 4, 4], VggNorm::Nothing);
    pub const VGG11_BN: Self = Self::new("vgg11_bn", [1, 1, 2, 2, 2], VggNorm::Batch);
    pub const VGG13_BN: Self = Self::new("vgg13_bn", [2, 2, 2, 2, 2], VggNorm::Batch);
    pub const VGG16_BN: Self = Self::new("vgg16_bn", [2, 2, 3, 3, 3], VggNorm::Batch);
    pub const VGG19_BN: Self = Self::new("vgg19_bn", [2, 2, 4, 4, 4], VggNorm::Batch);

    const fn new(name: &'static str, repeats: [usize; 5], norm: VggNorm) -> Self {
        Self { name, repeats, norm }
    }
}

/// The family's weights: torchvision's, on ImageNet.
pub(super) fn entries() -> Vec<BackboneEntry> {
    let torchvision = |architecture, pretrained, about| {
        let preprocess = imagenet(256, 224).bilinear();
        BackboneEntry::timm(architecture, pretrained, Licence::Bsd3, about, preprocess)
    };
    vec![
        torchvision(&Vgg::VGG11, "vgg11.tv_in1k", "VGG-11, ImageNet"),
        torchvision(&Vgg::VGG13, "vgg13.tv_in1k", "VGG-13, ImageNet"),
        torchvision(&Vgg::VGG16, "vgg16.tv_in1k", "VGG-16, ImageNet"),
        torchvision(&Vgg::VGG19, "vgg19.tv_in1k", "VGG-19, ImageNet"),
        torchvision(&Vgg::VGG11_BN, "vgg11_bn.tv_in1k", "VGG-11 with batch norm, ImageNet"),
        torchvision(&Vgg::VGG13_BN, "vgg13_bn.tv_in1k", "VGG-13 with batch norm, ImageNet"),
        torchvision(&Vgg::VGG16_BN, "vgg16_bn.tv_in1k", "VGG-16 with batch norm, ImageNet"),
        torchvision(&Vgg::VGG19_BN, "vgg19_bn.tv_in1k", "VGG-19 with batch norm, ImageNet"),
    ]
}

impl Architecture for Vgg {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let mut network = Network::new(3);
        let mut x = network.image();
        let mut channels = 3;
        // timm numbers convolutions, norms, activations and pools alike.
        let mut number = 0;
        for (run, (&repeats, width)) in self.repeats.iter().zip(WIDTHS).enumerate() {
            for _ in 0..repeats {
                let norm = match self.norm {
                    VggNorm::Nothing => Norm::Bias,
                    VggNorm::Batch => {
                        Norm::BiasAndBatch { name: format!("features.{}", number + 1), eps: EPS }
                    }
                };
                x = network.convolution(Convolution {
                    norm,
                    kernel: 3,
                    padding: Padding::Even(1),
                    activation: Activation::Relu,
                    ..Convolution::new(x, format!("features.{number}"), channels, width)
                });
                channels = width;
                number += if self.norm == VggNorm::Batch { 3 } else { 2 };
            }
            if run + 1 == WIDTHS.len() {
                network.stage(format!("features.{}", number - 1), x);
            }
            x = network.push(Node::Pool(Pool {
                input: x,
                kind: PoolKind::Max,
                kernel: 2,
                stride: 2,
                padding: 0,
            }));
            network.stage(format!("features.{number}"), x);
            number += 1;
        }
        for (_, name, kernel) in LINEAR {
            x = linear(&mut network, x, name, kernel, channels);
            channels = FEATURES;
        }
        network
    }

    fn adapt(&self, state: StateDict) -> StateDict {
        let mut state = state.renamed(|key| {
            let (_, part) = key.rsplit_once('.')?;
            let (_, timm, _) = LINEAR.iter().find(|(torchvision, ..)| {
                key.strip_suffix(part).is_some_and(|k| k.trim_end_matches('.') == *torchvision)
            })?;
            Some(format!("{timm}.{part}"))
        });
        let mut inputs = WIDTHS[WIDTHS.len() - 1];
        for (_, name, kernel) in LINEAR {
            state.reshape(&format!("{name}.weight"), &[FEATURES, inputs, kernel, kernel]);
            inputs = FEATURES;
        }
        state
    }
}

/// A linear layer over a window, as a convolution without border.
fn linear(
    network: &mut Network,
    input: NodeId,
    name: &str,
    kernel: usize,
    inputs: usize,
) -> NodeId {
    network.convolution(Convolution {
        kernel,
        activation: Activation::Relu,
        ..Convolution::new(input, name, inputs, FEATURES)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Parameter;

    #[test]
    fn parameters_are_torchvisions() {
        // torchvision's vgg16 and vgg16_bn without classifier.6: 138,357,544 and 138,365,992, less 4,097,000.
        assert_eq!(Vgg::VGG16.network().trained(), 134_260_544);
        assert_eq!(Vgg::VGG16_BN.network().trained(), 134_268_992);
        let stages = |vgg: Vgg| -> Vec<String> {
            vgg.network().stages().iter().map(|stage| stage.name.clone()).collect()
        };
        let plain = [4, 9, 16, 23, 29, 30].map(|number| format!("features.{number}"));
        assert_eq!(stages(Vgg::VGG16), plain);
        assert_eq!(stages(Vgg::VGG16_BN).last().unwrap(), "features.43");
    }

    #[test]
    fn torchvisions_linear_layers_become_convolutions() {
        let state: StateDict = [
            ("classifier.0.weight", vec![4096, 512 * 49]),
            ("classifier.0.bias", vec![4096]),
            ("classifier.3.weight", vec![4096, 4096]),
            ("classifier.6.weight", vec![10, 4096]),
            ("features.0.weight", vec![64, 3, 3, 3]),
        ]
        .into_iter()
        .map(|(name, shape)| {
            let values = vec![0.0; shape.iter().product()];
            (name.to_owned(), Parameter { shape, values })
        })
        .collect();
        let adapted = Vgg::VGG16.adapt(state);
        let shapes: Vec<_> = adapted.shapes().map(|(name, shape)| (name, shape.to_vec())).collect();
        assert_eq!(
            shapes,
            [
                ("classifier.6.weight", vec![10, 4096]),
                ("features.0.weight", vec![64, 3, 3, 3]),
                ("pre_logits.fc1.bias", vec![4096]),
                ("pre_logits.fc1.weight", vec![4096, 512, 7, 7]),
                ("pre_logits.fc2.weight", vec![4096, 4096, 1, 1]),
            ]
        );
    }
}
