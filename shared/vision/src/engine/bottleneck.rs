//! The fused inverted bottleneck: expand, depthwise and project over bands of rows.
//!
//! The expanded rows that a band needs lie in a ring of `(band - 1) * stride + kernel` rows, each with its border of zeros, so the
//! rows that two bands share are expanded once. Ring and depthwise output together stay within [`BAND_BYTES`].

use super::layout::Layout;
use super::plan::{Bottleneck, Narrow, Widen, Window};
use super::run::{Arena, Lists, borders};
use crate::kernels::{Residual, convolve, depthwise_row};
use crate::network::Skip;

/// Scratch of a band; about half of a second-level cache.
const BAND_BYTES: usize = 448 << 10;

pub(super) fn run(step: &Bottleneck, layout: &Layout, arena: &mut Arena, output: &mut [f32]) {
    let Arena { slots, scratch, lists } = arena;
    let input = &slots[layout.slot(step.input)];
    let (h, w) = layout.size(step.input);
    let (oh, ow) = layout.size(step.middle);
    let (kernel, stride, wide) =
        (step.depthwise.kernel(), step.depthwise.stride(), step.depthwise.width());
    let (top, left) = borders(Window { kernel, stride, padding: step.padding }, (h, w));
    let row = ((ow - 1) * stride + kernel).max(left + w) * wide;
    let band = band(oh, kernel, stride, row, ow * wide);
    let ring = (band - 1) * stride + kernel;

    // The ring, one row of zeros for what lies above and below the image, the band's depthwise output.
    let zero_row = ring * row;
    let middle = zero_row + row;
    scratch.reserve(middle + band * ow * wide);
    let (rows, narrowed) = scratch.split_at_mut(middle);
    for slot in rows[..zero_row].chunks_exact_mut(row) {
        slot[..left * wide].fill(0.0);
        slot[(left + w) * wide..].fill(0.0);
    }
    rows[zero_row..].fill(0.0);

    let mut expanded = 0;
    for y in (0..oh).step_by(band) {
        let end = (y + band).min(oh);
        let needed = ((end - 1) * stride + kernel).saturating_sub(top).min(h);
        if expanded < needed {
            widen(step, lists, input, w, expanded..needed, rows, |r| {
                (r % ring) * row + left * wide
            });
            expanded = needed;
        }
        let made = match step.narrow {
            Narrow::Keep => &mut output[y * ow * wide..end * ow * wide],
            Narrow::Project(..) => &mut narrowed[..(end - y) * ow * wide],
        };
        let mut taps = vec![zero_row; kernel];
        for (line, out) in (y..end).zip(made.chunks_exact_mut(ow * wide)) {
            for (ky, tap) in taps.iter_mut().enumerate() {
                let r = (line * stride + ky).wrapping_sub(top);
                *tap = if r < h { (r % ring) * row } else { zero_row };
            }
            depthwise_row(&step.depthwise, rows, &taps, out, step.epilogue);
        }
        if let Narrow::Project(packed, skip, epilogue) = &step.narrow {
            let Lists { from, to } = &mut *lists;
            from.clear();
            from.extend((0..(end - y) * ow).map(|p| (p * wide) as u32));
            to.clear();
            to.extend((y * ow..end * ow).map(|p| (p * packed.width()) as u32));
            let residual = match skip {
                Skip::None => Residual::None,
                Skip::Add(other) => Residual::Add(&slots[layout.slot(*other)], to),
            };
            convolve(packed, narrowed, from, output, to, residual, *epilogue);
        }
    }
}

/// Output rows of a band: as many as fit, all bands nearly equal.
fn band(oh: usize, kernel: usize, stride: usize, row: usize, out_row: usize) -> usize {
    let bytes =
        |band: usize| (((band - 1) * stride + kernel) * row + band * out_row) * size_of::<f32>();
    let most = (1..=oh).take_while(|&band| bytes(band) <= BAND_BYTES).last().unwrap_or(1);
    oh.div_ceil(oh.div_ceil(most))
}

fn widen(
    step: &Bottleneck,
    lists: &mut Lists,
    input: &[f32],
    w: usize,
    wanted: std::ops::Range<usize>,
    rows: &mut [f32],
    place: impl Fn(usize) -> usize,
) {
    let wide = step.depthwise.width();
    match &step.widen {
        Widen::Copy => {
            for r in wanted {
                rows[place(r)..][..w * wide].copy_from_slice(&input[r * w * wide..][..w * wide]);
            }
        }
        Widen::Expand(packed, epilogue) => {
            let pitch = crate::kernels::padded(packed.inputs());
            lists.from.clear();
            lists.from.extend((wanted.start * w..wanted.end * w).map(|p| (p * pitch) as u32));
            lists.to.clear();
            for r in wanted {
                let start = place(r);
                lists.to.extend((0..w).map(|x| (start + x * wide) as u32));
            }
            convolve(packed, input, &lists.from, rows, &lists.to, Residual::None, *epilogue);
        }
    }
}
