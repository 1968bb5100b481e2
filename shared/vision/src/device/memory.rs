//! How many images go through a network at a time.

use crate::network::{Grouping, Network, Node, NodeId, Scope};
use crate::precision::Precision;

/// On the CPU: enough for every thread, and little to wait for.
pub const CPU_BATCH: usize = 8;

/// On a device whose memory can't be asked.
const UNKNOWN: usize = 8;

/// More gains nothing that was worth its memory on the host.
const MOST: usize = 64;

/// A device's free memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Free {
    /// So many bytes.
    Bytes(u64),
    /// It can't be asked.
    Unknown,
}

/// Images at a time for a network on a device, for images of `side x side` pixels: a power of two from 1 to 64. Half of what the weights
/// leave free stays free: others use the device too, and allocators don't give all back at once.
pub fn batch(free: Free, network: &Network, side: usize, precision: Precision) -> usize {
    let Free::Bytes(free) = free else { return UNKNOWN };
    let bytes = match precision {
        Precision::F32 => 4,
        Precision::Bf16 => 2,
    };
    let weights = bytes * network.trained() as u64;
    let Some(image) = image_elements(network, side) else { return 1 };
    let fit = free.saturating_sub(weights) / 2 / (bytes * image).max(1);
    let fit = usize::try_from(fit).unwrap_or(MOST).clamp(1, MOST);
    1 << fit.ilog2()
}

/// Numbers that are alive at once for one image, at most: results that are still to be read, and what the layer that runs needs beside
/// them. A dense convolution without cuDNN lays out its kernel's pixels; every layer may copy its inputs and its result.
fn image_elements(network: &Network, side: usize) -> Option<u64> {
    let sizes = network.sizes(side, side).ok()?;
    let pixels = |i: usize| network.prefix(NodeId(i)) + sizes[i].0 * sizes[i].1;
    let elements = |i: usize| pixels(i) * network.channels(NodeId(i));
    let mut last_read: Vec<usize> = (0..sizes.len()).collect();
    for (i, node) in network.nodes().iter().enumerate() {
        node.inputs().iter().for_each(|input| last_read[input.0] = i);
    }
    let most = network.nodes().iter().enumerate().map(|(i, node)| {
        let alive: usize = (0..=i).filter(|&at| last_read[at] >= i).map(elements).sum();
        let copies = elements(i) + node.inputs().iter().map(|id| elements(id.0)).sum::<usize>();
        let more = match node {
            Node::Convolution(c) => match c.grouping {
                Grouping::Dense => pixels(i) * c.inputs * c.kernel * c.kernel,
                Grouping::Depthwise => 0,
            },
            // Scores in f32, what is added to them, their exponentials and shares.
            Node::Attention(a) => match a.scope {
                Scope::Global => 4 * a.heads * pixels(i) * pixels(i),
                Scope::Window { side, .. } => 4 * a.heads * pixels(i) * side * side,
            },
            _ => 0,
        };
        alive + copies + more
    });
    most.max().map(|most| most as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones::{BackboneEntry, backbones};

    const GIB: u64 = 1 << 30;

    fn network(name: &str) -> Network {
        BackboneEntry::find(name).unwrap().architecture().network()
    }

    #[test]
    fn a_batch_fits_into_half_of_the_free_memory() {
        let resnet = network("resnet50");
        let of = |free| batch(free, &resnet, 224, Precision::F32);
        assert_eq!(of(Free::Unknown), 8);
        assert_eq!(of(Free::Bytes(0)), 1);
        assert_eq!(of(Free::Bytes(80 * GIB)), 64);
        let sizes: Vec<usize> = (26..36).map(|bits| of(Free::Bytes(1 << bits))).collect();
        assert!(sizes.is_sorted() && sizes.iter().all(|size| size.is_power_of_two()), "{sizes:?}");
        assert!(sizes.iter().collect::<std::collections::BTreeSet<_>>().len() > 3, "{sizes:?}");
        let half = batch(Free::Bytes(GIB), &resnet, 224, Precision::Bf16);
        assert!(half > of(Free::Bytes(GIB)));
    }

    #[test]
    fn larger_networks_and_images_get_smaller_batches() {
        let of = |name, side| batch(Free::Bytes(2 * GIB), &network(name), side, Precision::F32);
        assert!(of("vgg16", 224) < of("resnet18", 224));
        assert!(of("resnet18", 448) < of("resnet18", 224));
        for entry in backbones() {
            let network = entry.architecture().network();
            let elements = image_elements(&network, entry.input_size).unwrap();
            let image = (network.image_channels() * entry.input_size.pow(2)) as u64;
            // Half a GiB in f32 for one image would be a defect of the rule.
            assert!(elements > image && elements < GIB / 8, "{}: {elements}", entry.name);
        }
    }
}
