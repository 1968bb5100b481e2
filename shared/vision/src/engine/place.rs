//! Where maps lie in one another: a concatenation's operands are written straight into its buffer.
//!
//! A dense block (Huang et al., "Densely Connected Convolutional Networks", CVPR 2017) is one wide buffer into which each layer
//! writes its channels; the concatenations in between are the buffer's first channels.

use crate::kernels::LANE;
use crate::network::{Network, Node, NodeId, Skip};

use super::plan::{Kind, Step, Winograd};

/// The node whose buffer holds a node's map, and the map's first channel in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) owner: NodeId,
    pub(super) channel: usize,
}

/// A home for every node; its own buffer unless it can lie in a concatenation's.
pub(super) fn homes(network: &Network, steps: &[Step]) -> Vec<Home> {
    let nodes = network.nodes().len();
    let mut homes: Vec<Home> = (0..nodes).map(|i| Home { owner: NodeId(i), channel: 0 }).collect();
    let is_away = |homes: &[Home], id: NodeId| homes[id.0].owner != id;

    let mut concats: Vec<(NodeId, Vec<NodeId>)> = (0..nodes)
        .map(NodeId)
        .filter(|&id| matches!(network.nodes()[id.0], Node::Concat(_)))
        .map(|id| (id, operands(network, id)))
        .collect();
    // The widest first: it holds the others.
    concats.sort_by_key(|(id, _)| std::cmp::Reverse(network.channels(*id)));
    for (at, (root, leaves)) in concats.iter().enumerate() {
        if is_away(&homes, *root) {
            continue;
        }
        let mut channel: usize = 0;
        for (i, &leaf) in leaves.iter().enumerate() {
            let channels = network.channels(leaf);
            let aligned = channel.is_multiple_of(LANE)
                && (channels.is_multiple_of(LANE) || i + 1 == leaves.len());
            let once = leaves.iter().filter(|&&other| other == leaf).count() == 1;
            let made = steps.iter().any(|step| step.output == leaf);
            if aligned && once && made && !is_away(&homes, leaf) {
                homes[leaf.0] = Home { owner: *root, channel };
            }
            channel += channels;
        }
        for (other, inner) in &concats[at + 1..] {
            if leaves.starts_with(inner)
                && network.channels(*other).is_multiple_of(LANE)
                && !is_away(&homes, *other)
            {
                homes[other.0] = Home { owner: *root, channel: 0 };
            }
        }
    }
    // No step may read and write one buffer.
    for step in steps {
        let owner = homes[step.output.0].owner;
        if owner != step.output
            && !matches!(network.nodes()[step.output.0], Node::Concat(_))
            && step.inputs(network).iter().any(|input| homes[input.0].owner == owner)
        {
            homes[step.output.0] = Home { owner: step.output, channel: 0 };
        }
    }
    // Winograd's kernel adds a map whose pixels lie as the output's do.
    for step in steps {
        if let Kind::Winograd(Winograd { skip: Skip::Add(other), .. }) = &step.kind {
            for id in [step.output, *other] {
                homes[id.0] = Home { owner: id, channel: 0 };
            }
        }
    }
    homes
}

/// The operands of a concatenation, with those of nested concatenations in their place.
pub(super) fn operands(network: &Network, id: NodeId) -> Vec<NodeId> {
    match &network.nodes()[id.0] {
        Node::Concat(inputs) => inputs.iter().flat_map(|&input| operands(network, input)).collect(),
        _ => vec![id],
    }
}
