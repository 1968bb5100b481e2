//! Sizes of all maps for one image size, and the few buffers in which they take turns.

use std::collections::BTreeMap;

use super::plan::{Kind, Plan};
use crate::kernels::{LANE, Level, PackedAttention, Windows, padded};
use crate::network::{Attention, Misfit, NodeId, Scope, resample_positions};

/// Where each layer's map lives while it is needed.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Images that go through together.
    pub(super) images: usize,
    /// Steps before this one run image by image, and their maps hold one image; from it on a map holds all of them.
    pub(super) split: usize,
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

/// A map in its buffer: pixel p begins at `offset + p * pitch`, and the images' pixels are counted on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) slot: usize,
    pub(super) offset: usize,
    pub(super) pitch: usize,
    pub(super) prefix: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Whether the buffer holds all images, or one after the other.
    pub(super) holds_all: bool,
}

impl View {
    /// Floats before an image in the buffer.
    pub(super) fn before(&self, image: usize) -> usize {
        if self.holds_all { image * self.pixels() * self.pitch } else { 0 }
    }

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
        let split = split(plan, &plan.network.sizes(height, width)?, images);
        Self::with_split(plan, images, height, width, split)
    }

    /// The same with a chosen `split`.
    pub(super) fn with_split(
        plan: &Plan,
        images: usize,
        height: usize,
        width: usize,
        split: usize,
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
            let holds_all = last_use[home.owner.0] >= split;
            let slot = *slots[home.owner.0].get_or_insert_with(|| {
                // The last one freed is the likeliest to be in the cache. A map that gathers images must outlive the steps
                // before it, which run again.
                let reused = if s < split && holds_all { None } else { free.pop() };
                reused.unwrap_or_else(|| {
                    capacities.push(0);
                    capacities.len() - 1
                })
            });
            let (prefix, offset) = (network.prefix(id), home.channel);
            let view = View { slot, offset, pitch, prefix, height, width, holds_all };
            let held = if holds_all { images } else { 1 };
            capacities[slot] = capacities[slot].max(held * view.pixels() * pitch);
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
        Ok(Self { images, split, sizes, prefixes, views, capacities, zeros, positions, attentions })
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

/// The step from which on several images go through together. Image by image, maps stay in the cache but weights are read again and
/// again; together it is the other way round, and maps become smaller and weights larger on the way.
fn split(plan: &Plan, sizes: &[(usize, usize)], images: usize) -> usize {
    if images == 1 {
        return 0;
    }
    let bytes = |id: NodeId| {
        let (h, w) = sizes[id.0];
        4 * h * w * padded(plan.network.channels(id))
    };
    let costs: Vec<[usize; 2]> = plan
        .steps
        .iter()
        .map(|step| {
            let weights = step.weight_bytes();
            let maps = step.inputs(&plan.network).into_iter().chain([step.output]).map(bytes);
            [weights, weights / images + maps.sum::<usize>()]
        })
        .collect();
    let mut cost: usize = costs.iter().map(|[_, together]| together).sum();
    let mut best = (cost, 0);
    for (s, [single, together]) in costs.iter().enumerate() {
        cost = cost + single - together;
        best = best.min((cost, s + 1));
    }
    best.1
}

/// Floats from one pixel to the next. A multiple of 2 KiB would map every pixel to the same few sets of the first-level cache, so
/// that gets a cache line more.
fn pitch(channels: usize) -> usize {
    let width = padded(channels);
    if width.is_multiple_of(512) { width + LANE } else { width }
}
