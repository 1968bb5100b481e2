//! Sizes of all maps for one image size, and the few buffers in which they take turns.

use super::plan::Plan;
use crate::kernels::padded;
use crate::network::{Misfit, NodeId};

/// Where each layer's map lives while it is needed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layout {
    /// Height and width of every layer's map.
    pub(super) sizes: Vec<(usize, usize)>,
    /// Buffer of every layer's map; fused layers and the image have none.
    slots: Vec<Slot>,
    /// Floats of each buffer, without the zeros at its end.
    pub(super) capacities: Vec<usize>,
    /// Zeros after each buffer, which stand for pixels outside the image.
    pub(super) zeros: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Slot {
    Nowhere,
    Buffer(usize),
}

impl Layout {
    /// Lays out `plan` for images of this size.
    pub(crate) fn new(plan: &Plan, height: usize, width: usize) -> Result<Self, Misfit> {
        let network = &plan.network;
        let sizes = network.sizes(height, width)?;
        let mut last_read = vec![0; sizes.len()];
        for (s, step) in plan.steps.iter().enumerate() {
            for input in step.inputs(network) {
                last_read[input.0] = s;
            }
        }
        let mut slots = vec![Slot::Nowhere; sizes.len()];
        let mut capacities: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        for (s, step) in plan.steps.iter().enumerate() {
            let (h, w) = sizes[step.output.0];
            let len = h * w * padded(network.channels(step.output));
            // The last one freed is the likeliest to be in the cache.
            let slot = free.pop().unwrap_or_else(|| {
                capacities.push(0);
                capacities.len() - 1
            });
            capacities[slot] = capacities[slot].max(len);
            slots[step.output.0] = Slot::Buffer(slot);
            let mut inputs = step.inputs(network);
            inputs.dedup();
            for input in inputs {
                if let Slot::Buffer(slot) = slots[input.0]
                    && last_read[input.0] == s
                {
                    free.push(slot);
                }
            }
        }
        let zeros =
            (0..sizes.len()).map(|i| padded(network.channels(NodeId(i)))).max().unwrap_or(0);
        Ok(Self { sizes, slots, capacities, zeros })
    }

    /// The buffer of a layer that a step reads or leaves.
    pub(super) fn slot(&self, node: NodeId) -> usize {
        match self.slots[node.0] {
            Slot::Buffer(slot) => slot,
            Slot::Nowhere => unreachable!("steps read and leave only layers with a buffer"),
        }
    }

    /// Height and width of a layer's map.
    pub(crate) fn size(&self, node: NodeId) -> (usize, usize) {
        self.sizes[node.0]
    }
}
