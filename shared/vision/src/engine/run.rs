//! Runs a plan over one image.

use super::bottleneck;
use super::layout::Layout;
use super::plan::{Kind, Plan, Window};
use crate::kernels::{Aligned, Epilogue, PackedConvolution, Residual, convolve, padded};
use crate::network::{NodeId, Skip};

/// Bytes of input that a block of pixels may touch before the next panel of weights begins.
const BLOCK_BYTES: usize = 384 << 10;

/// All memory that a run needs; made once, used for one image after the other.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(super) slots: Vec<Aligned>,
    pub(super) scratch: Aligned,
    pub(super) lists: Lists,
}

/// Pixel offsets for the kernels.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) from: Vec<u32>,
    pub(super) to: Vec<u32>,
}

impl Arena {
    /// Memory for runs with this layout.
    pub(crate) fn new(layout: &Layout) -> Self {
        Self {
            slots: layout
                .capacities
                .iter()
                .map(|&len| Aligned::zeros(len + layout.zeros))
                .collect(),
            ..Self::default()
        }
    }
}

impl Plan {
    /// Runs over a planar image `[3][height][width]`. `pooled` takes the features; `maps` the wanted layers, each as
    /// `[channels][height][width]`.
    pub(crate) fn run(
        &self,
        layout: &Layout,
        arena: &mut Arena,
        image: &[f32],
        pooled: &mut [f32],
        maps: &mut [(NodeId, &mut [f32])],
    ) {
        for step in &self.steps {
            let slot = layout.slot(step.output);
            let mut output = std::mem::take(&mut arena.slots[slot]);
            let size = layout.size(step.output);
            match &step.kind {
                Kind::Stem { packed, window, epilogue } => {
                    let from = layout.size(self.network.image());
                    stem(arena, image, from, packed, *window, *epilogue, &mut output, size);
                }
                Kind::Dense { input, packed, window, skip, epilogue } => {
                    let Arena { slots, lists, .. } = arena;
                    let zeros = layout.capacities[layout.slot(*input)];
                    let map = Map {
                        values: &slots[layout.slot(*input)],
                        size: layout.size(*input),
                        zeros,
                    };
                    let residual = match skip {
                        Skip::None => Added::None,
                        Skip::Add(other) => Added::Map(&slots[layout.slot(*other)]),
                    };
                    dense(lists, &map, packed, *window, residual, *epilogue, &mut output, size);
                }
                Kind::Bottleneck(step) => bottleneck::run(step, layout, arena, &mut output),
                Kind::MaxPool { input, window } => {
                    let values = &arena.slots[layout.slot(*input)];
                    let width = padded(self.network.channels(*input));
                    max_pool(values, layout.size(*input), width, *window, &mut output, size);
                }
            }
            for (node, map) in maps.iter_mut().filter(|(node, _)| *node == step.output) {
                planar(&output, padded(self.network.channels(*node)), size, map);
            }
            if step.output == self.network.last() {
                mean(&output, padded(pooled.len()), size, pooled);
            }
            arena.slots[slot] = output;
        }
    }
}

/// A map in its buffer, and where the buffer's zeros begin.
struct Map<'a> {
    values: &'a [f32],
    size: (usize, usize),
    zeros: usize,
}

/// The second operand of an addition; its pixels lie as the output's do.
#[derive(Clone, Copy)]
enum Added<'a> {
    None,
    Map(&'a [f32]),
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call site; a struct would only repeat the names"
)]
fn dense(
    lists: &mut Lists,
    map: &Map<'_>,
    packed: &PackedConvolution,
    window: Window,
    added: Added<'_>,
    epilogue: Epilogue,
    output: &mut [f32],
    (oh, ow): (usize, usize),
) {
    let (h, w) = map.size;
    let pitch = padded(packed.inputs());
    let (top, left) = borders(window, (h, w));
    let block = (BLOCK_BYTES / size_of::<f32>() / pitch).max(64);
    for first in (0..oh * ow).step_by(block) {
        let pixels = first..(first + block).min(oh * ow);
        lists.from.clear();
        for ky in 0..window.kernel {
            for kx in 0..window.kernel {
                lists.from.extend(pixels.clone().map(|p| {
                    // Wraps below zero, and then isn't inside either.
                    let y = (p / ow * window.stride + ky).wrapping_sub(top);
                    let x = (p % ow * window.stride + kx).wrapping_sub(left);
                    if y < h && x < w { ((y * w + x) * pitch) as u32 } else { map.zeros as u32 }
                }));
            }
        }
        lists.to.clear();
        lists.to.extend(pixels.map(|p| (p * packed.width()) as u32));
        let residual = match added {
            Added::None => Residual::None,
            Added::Map(values) => Residual::Add(values, &lists.to),
        };
        convolve(packed, map.values, &lists.from, output, &lists.to, residual, epilogue);
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one call site; a struct would only repeat the names"
)]
fn stem(
    arena: &mut Arena,
    image: &[f32],
    (h, w): (usize, usize),
    packed: &PackedConvolution,
    window: Window,
    epilogue: Epilogue,
    output: &mut [f32],
    (oh, ow): (usize, usize),
) {
    let pitch = padded(packed.inputs());
    let kernel = window.kernel;
    let (top, left) = borders(window, (h, w));
    arena.scratch.reserve(ow * pitch);
    let Lists { from, to } = &mut arena.lists;
    from.clear();
    from.extend((0..ow).map(|x| (x * pitch) as u32));
    for y in 0..oh {
        for c in 0..3 {
            for ky in 0..kernel {
                let row = (y * window.stride + ky).wrapping_sub(top);
                let source = if row < h { &image[(c * h + row) * w..][..w] } else { &[] };
                for kx in 0..kernel {
                    let column = (c * kernel + ky) * kernel + kx;
                    for x in 0..ow {
                        let at = (x * window.stride + kx).wrapping_sub(left);
                        arena.scratch[x * pitch + column] = source.get(at).copied().unwrap_or(0.0);
                    }
                }
            }
        }
        to.clear();
        to.extend((y * ow..(y + 1) * ow).map(|p| (p * packed.width()) as u32));
        convolve(packed, &arena.scratch, from, output, to, Residual::None, epilogue);
    }
}

fn max_pool(
    values: &[f32],
    (h, w): (usize, usize),
    width: usize,
    window: Window,
    output: &mut [f32],
    (oh, ow): (usize, usize),
) {
    let (top, left) = borders(window, (h, w));
    for y in 0..oh {
        for x in 0..ow {
            let pixel = &mut output[(y * ow + x) * width..][..width];
            pixel.fill(f32::NEG_INFINITY);
            let rows = (y * window.stride).saturating_sub(top)
                ..(y * window.stride + window.kernel - top).min(h);
            for row in rows {
                let columns = (x * window.stride).saturating_sub(left)
                    ..(x * window.stride + window.kernel - left).min(w);
                for column in columns {
                    let from = &values[(row * w + column) * width..][..width];
                    for (m, &v) in pixel.iter_mut().zip(from) {
                        *m = m.max(v);
                    }
                }
            }
        }
    }
}

/// Pixels above and left of the first input pixel.
pub(super) fn borders(window: Window, (h, w): (usize, usize)) -> (usize, usize) {
    let along = |len| {
        let fits = window.padding.along(len, window.kernel, window.stride);
        fits.expect("the layout was made for this size").0
    };
    (along(h), along(w))
}

fn planar(values: &[f32], width: usize, (h, w): (usize, usize), map: &mut [f32]) {
    for (channel, plane) in map.chunks_exact_mut(h * w).enumerate() {
        for (pixel, out) in plane.iter_mut().enumerate() {
            *out = values[pixel * width + channel];
        }
    }
}

fn mean(values: &[f32], width: usize, (h, w): (usize, usize), pooled: &mut [f32]) {
    pooled.fill(0.0);
    for pixel in values.chunks_exact(width).take(h * w) {
        for (sum, value) in pooled.iter_mut().zip(pixel) {
            *sum += value;
        }
    }
    let scale = 1.0 / (h * w) as f32;
    for sum in pooled {
        *sum *= scale;
    }
}
