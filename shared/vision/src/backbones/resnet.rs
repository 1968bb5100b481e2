//! ResNet-18: K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv 1512.03385).
//!
//! Names are torchvision's, which are timm's too. Batch norm epsilon 1e-5, symmetric padding.

use super::Architecture;
use crate::network::{
    Activation, Convolution, Network, Node, NodeId, Norm, Padding, Pool, PoolKind, Skip,
};

const EPS: f64 = 1e-5;
const STEM: usize = 64;

/// Basic blocks and channels of the four layers; from the second on, a layer halves the map.
const LAYERS: [(usize, usize); 4] = [(2, 64), (2, 128), (2, 256), (2, 512)];

/// ResNet-18, 512 features.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResNet18;

impl Architecture for ResNet18 {
    fn name(&self) -> &'static str {
        "resnet18"
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
        for (l, (blocks, outputs)) in LAYERS.into_iter().enumerate() {
            for b in 0..blocks {
                let stride = if l > 0 && b == 0 { 2 } else { 1 };
                x = basic_block(
                    &mut network,
                    x,
                    &format!("layer{}.{b}", l + 1),
                    [channels, outputs],
                    stride,
                );
                channels = outputs;
            }
            network.stage(format!("layer{}", l + 1), x);
        }
        network
    }
}

/// Two 3x3 convolutions and the shortcut, which is a 1x1 convolution where shapes differ.
fn basic_block(
    network: &mut Network,
    input: NodeId,
    name: &str,
    channels: [usize; 2],
    stride: usize,
) -> NodeId {
    let outputs = channels[1];
    let shortcut = if stride == 1 && channels[0] == outputs {
        input
    } else {
        let [weight, norm] = [format!("{name}.downsample.0"), format!("{name}.downsample.1")];
        network.convolution(Convolution {
            activation: Activation::Linear,
            ..convolution(input, &weight, &norm, channels, 1, stride)
        })
    };
    let x = network.convolution(convolution(
        input,
        &format!("{name}.conv1"),
        &format!("{name}.bn1"),
        channels,
        3,
        stride,
    ));
    network.convolution(Convolution {
        skip: Skip::Add(shortcut),
        ..convolution(x, &format!("{name}.conv2"), &format!("{name}.bn2"), [outputs, outputs], 3, 1)
    })
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
        let parameters = ResNet18.network().parameters();
        let count: usize = parameters
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        // torchvision's resnet18 without fc: 11,689,512 - 513,000.
        assert_eq!(count, 11_176_512);
        assert!(parameters.contains(&("layer2.0.downsample.0.weight".into(), vec![128, 64, 1, 1])));
    }
}
