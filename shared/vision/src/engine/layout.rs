//! Sizes of all maps for one image size, and the few buffers in which they take turns.

use std::collections::BTreeMap;

use super::plan::{Kind, Plan};
use crate::kernels::{LANE, Level, PackedAttention, Windows, padded};
use crate::network::{Attention, Misfit, NodeId, Scope, resample_positions};

/// Where each layer's map lives while it is needed.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Images that go through together: a map holds them one after the other.
    pub(super) images: usize,
    /// Height and width of every layer's map.
    sizes: Vec<(usize, usize)>,
    /// Tokens before each layer's pixels.
    prefixes: Vec<usize>,
    /// For each layer that is left by a step.
    views: Vec<Place>,
    /// Floats of each buffer, without the zeros at its end.
    pub(super) capacities: Vec<usize>,
    /// Zeros after each buffer, which stand for pixels outside the image.
    pub(super) zeros: usize,
    /// Position embeddings for this image size, by the layer that adds them.
    pub(super) positions: BTreeMap<NodeId, Vec<f32>>,
    /// Attention for this image size, by its layer.
    pub(super) attentions: BTreeMap<NodeId, Attend>,
}

/// Who looks at whom.
#[derive(Debug)]
pub(super) enum Attend {
    Global(PackedAttention),
    Window(PackedAttention, Windows, usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Nowhere,
    At(View),
}

/// A map in its buffer: pixel p of image i begins at `offset + (i * pixels + p) * pitch`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) slot: usize,
    pub(super) offset: usize,
    pub(super) pitch: usize,
    pub(super) prefix: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl View {
    /// Pixels of an image, the prefix among them.
    pub(super) fn pixels(&self) -> usize {
        self.prefix + self.height * self.width
    }

    /// Where a pixel's channels begin; the images' pixels are counted on.
    pub(super) fn at(&self, pixel: usize) -> usize {
        self.offset + pixel * self.pitch
    }
}

impl Layout {
    /// Lays out `plan` for so many images of this size at a time.
    pub(crate) fn new(
        plan: &Plan,
        images: usize,
        height: usize,
        width: usize,
    ) -> Result<Self, Misfit> {
        let network = &plan.network;
        let sizes = network.sizes(height, width)?;
        let owner = |id: NodeId| plan.homes[id.0].owner;
        let mut last_use = vec![0; sizes.len()];
        for (s, step) in plan.steps.iter().enumerate() {
            for id in step.inputs(network).into_iter().chain([step.output]) {
                last_use[owner(id).0] = s;
            }
        }
        let mut slots: Vec<Option<usize>> = vec![None; sizes.len()];
        let mut views = vec![Place::Nowhere; sizes.len()];
        let mut capacities: Vec<usize> = Vec::new();
        let mut free: Vec<usize> = Vec::new();
        let (mut positions, mut attentions) = (BTreeMap::new(), BTreeMap::new());
        for (s, step) in plan.steps.iter().enumerate() {
            let (home, id) = (plan.homes[step.output.0], step.output);
            let pitch = pitch(network.channels(home.owner));
            let (height, width) = if plan.factors_only[id.0] { (1, 1) } else { sizes[id.0] };
            let slot = *slots[home.owner.0].get_or_insert_with(|| {
                // The last one freed is the likeliest to be in the cache.
                free.pop().unwrap_or_else(|| {
                    capacities.push(0);
                    capacities.len() - 1
                })
            });
            let (prefix, offset) = (network.prefix(id), home.channel);
            let view = View { slot, offset, pitch, prefix, height, width };
            capacities[slot] = capacities[slot].max(images * view.pixels() * pitch);
            views[id.0] = Place::At(view);
            if let Kind::Tokens { tokens, positions: learned, .. } = &step.kind {
                let channels = network.channels(id);
                positions.insert(id, resample_positions(learned, tokens, channels, sizes[id.0]));
            }
            if let Kind::Attention { attention, table } = &step.kind {
                let width = network.channels(id) / attention.heads;
                let attend = Attend::new(plan.level, attention, width, table, sizes[id.0]);
                attentions.insert(id, attend);
            }
            let ended = |id: &NodeId| last_use[id.0] == s;
            let mut owners: Vec<NodeId> =
                step.inputs(network).into_iter().chain([id]).map(owner).filter(ended).collect();
            owners.sort_unstable();
            owners.dedup();
            free.extend(owners.iter().filter_map(|owner| slots[owner.0]));
        }
        let zeros =
            (0..sizes.len()).map(|i| padded(network.channels(NodeId(i)))).max().unwrap_or(0);
        let prefixes = (0..sizes.len()).map(|i| network.prefix(NodeId(i))).collect();
        Ok(Self { images, sizes, prefixes, views, capacities, zeros, positions, attentions })
    }

    /// The map of a layer that a step reads or leaves.
    pub(super) fn view(&self, node: NodeId) -> View {
        match self.views[node.0] {
            Place::At(view) => view,
            Place::Nowhere => unreachable!("steps read and leave only layers with a buffer"),
        }
    }

    /// Pixels of a layer's map, the prefix among them.
    pub(super) fn pixels(&self, node: NodeId) -> usize {
        let (height, width) = self.sizes[node.0];
        self.prefixes[node.0] + height * width
    }

    /// Height and width of a layer's map.
    pub(crate) fn size(&self, node: NodeId) -> (usize, usize) {
        self.sizes[node.0]
    }
}

impl Attend {
    fn new(
        level: Level,
        attention: &Attention,
        width: usize,
        table: &[f32],
        size: (usize, usize),
    ) -> Self {
        let heads = attention.heads;
        match attention.scope {
            Scope::Global => Self::Global(PackedAttention::global(level, heads, width)),
            Scope::Window { side, shift, .. } => {
                let windows = Windows::new(size, side, shift);
                let packed = PackedAttention::windowed(level, heads, width, &windows, table);
                Self::Window(packed, windows, side)
            }
        }
    }
}

/// Floats from one pixel to the next. A multiple of 2 KiB would map every pixel to the same few sets of the first-level cache, so
/// that gets a cache line more.
fn pitch(channels: usize) -> usize {
    let width = padded(channels);
    if width.is_multiple_of(512) { width + LANE } else { width }
}
