//! The fused inverted bottleneck: expand, depthwise and project over bands of rows.
//!
//! The expanded rows that a band needs lie in a ring of `(band - 1) * stride + kernel` rows, each with its border of zeros, so the
//! rows that two bands share are expanded once. Ring and depthwise output together stay within [`BAND_BYTES`].

use std::ops::Range;

use super::crew::{Lists, Scratch, share};
use super::layout::View;
use super::plan::{Bottleneck, Narrow, Widen, Window};
use super::product::Rounded;
use super::run::{Context, Target, borders};
use crate::kernels::{Epilogue, Level, Residual, activate, depthwise_row};
use crate::network::Skip;

/// Scratch of a band; about half of a second-level cache.
const BAND_BYTES: usize = 448 << 10;

/// What all parts of a step share.
struct Job<'a> {
    step: &'a Bottleneck,
    from: View,
    input: &'a [f32],
    /// Height and width of the depthwise layer's map.
    middle: (usize, usize),
    skip: Option<(View, &'a [f32])>,
    to: View,
    level: Level,
}

pub(super) fn run(step: &Bottleneck, context: &mut Context<'_>, target: Target<'_>) {
    let Target { view, buffer } = target;
    let (from, input) = context.map(step.input);
    let (Narrow::Keep(skip) | Narrow::Project(_, skip, _)) = step.narrow;
    let skip = match skip {
        Skip::None => None,
        Skip::Add(other) => Some(context.map(other)),
    };
    let middle = context.layout.size(step.middle);
    let job = Job { step, from, input, middle, skip, to: view, level: context.level };
    let (oh, ow) = middle;
    let mut work = step.depthwise.kernel().pow(2) * step.depthwise.width();
    if let Widen::Expand(product, _) = &step.widen {
        work += product.multiply_adds() * step.depthwise.stride().pow(2);
    }
    if let Narrow::Project(product, ..) = &step.narrow {
        work += product.multiply_adds();
    }
    let mut ranges = Vec::new();
    for image in 0..context.count {
        let rows = context.crew.cut(oh, [4, usize::MAX], work * ow);
        ranges.extend(
            rows.into_iter().map(|r| (image * oh + r.start) * ow..(image * oh + r.end) * ow),
        );
    }
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |scratch, (pixels, part)| {
        let lines = pixels.start / ow..pixels.end / ow;
        let first = lines.start % oh;
        job.rows(lines.start / oh, first..first + lines.len(), scratch, part);
    });
}

impl Job<'_> {
    /// Output rows `wanted` of an image; `part` begins with the first.
    fn rows(&self, image: usize, wanted: Range<usize>, scratch: &mut Scratch, part: &mut [f32]) {
        let Self { step, from, to, .. } = self;
        let Scratch { floats, lists, rounded } = scratch;
        let (h, w) = (from.height, from.width);
        let ow = self.middle.1;
        let (kernel, stride, wide) =
            (step.depthwise.kernel(), step.depthwise.stride(), step.depthwise.width());
        let (top, left) = borders(Window { kernel, stride, padding: step.padding }, (h, w));
        let row = ((ow - 1) * stride + kernel).max(left + w) * wide;
        let band = band(wanted.len(), kernel, stride, row, ow * wide);
        let ring = (band - 1) * stride + kernel;

        // The ring, one row of zeros for what lies above and below the image, the band's depthwise output.
        let zero_row = ring * row;
        let middle = zero_row + row;
        floats.reserve(middle + band * ow * wide);
        let (rows, narrowed) = floats.split_at_mut(middle);
        for slot in rows[..zero_row].chunks_exact_mut(row) {
            slot[..left * wide].fill(0.0);
            slot[left * wide + w * wide..].fill(0.0);
        }
        rows[zero_row..].fill(0.0);

        let mut expanded = 0;
        for y in wanted.clone().step_by(band) {
            let end = (y + band).min(wanted.end);
            let needed = ((end - 1) * stride + kernel).saturating_sub(top).min(h);
            // Rows that a stride larger than the kernel leaves out aren't needed.
            expanded = expanded.max((y * stride).saturating_sub(top));
            if expanded < needed {
                self.widen((lists, rounded), image, expanded..needed, rows, |r| {
                    (r % ring) * row + left * wide
                });
                expanded = needed;
            }
            let pixels = (y - wanted.start) * ow..(end - wanted.start) * ow;
            // The depthwise rows may go straight into a map without gaps.
            let direct = matches!(step.narrow, Narrow::Keep(_)) && to.pitch == wide;
            let made = if direct {
                &mut part[pixels.start * wide..pixels.end * wide]
            } else {
                &mut narrowed[..pixels.len() * wide]
            };
            let with_skip = matches!(step.narrow, Narrow::Keep(Skip::Add(_)));
            let epilogue = if with_skip { Epilogue::LINEAR } else { step.epilogue };
            let mut taps = vec![zero_row; kernel];
            for (line, out) in (y..end).zip(made.chunks_exact_mut(ow * wide)) {
                for (ky, tap) in taps.iter_mut().enumerate() {
                    let r = (line * stride + ky).wrapping_sub(top);
                    *tap = if r < h { (r % ring) * row } else { zero_row };
                }
                depthwise_row(&step.depthwise, rows, &taps, out, epilogue);
            }
            let first = (image * self.middle.0 + wanted.start) * ow;
            match &step.narrow {
                Narrow::Keep(_) => {
                    if !direct {
                        for (p, pixel) in pixels.clone().zip(narrowed.chunks_exact(wide)) {
                            let channels = wide.min(to.pitch - to.offset);
                            part[to.at(p)..][..channels].copy_from_slice(&pixel[..channels]);
                        }
                    }
                    if let Some((other, values)) = self.skip {
                        for p in pixels {
                            let out = &mut part[to.at(p)..][..wide];
                            for (out, value) in out.iter_mut().zip(&values[other.at(first + p)..]) {
                                *out += value;
                            }
                            activate(self.level, step.epilogue, out);
                        }
                    }
                }
                Narrow::Project(product, _, epilogue) => {
                    let Lists { from, to: targets, add } = &mut *lists;
                    from.clear();
                    from.extend((0..pixels.len()).map(|p| (p * wide) as u32));
                    targets.clear();
                    targets.extend(pixels.clone().map(|p| to.at(p) as u32));
                    add.clear();
                    let residual = match self.skip {
                        None => Residual::None,
                        Some((other, values)) => {
                            add.extend(pixels.clone().map(|p| other.at(first + p) as u32));
                            Residual::Add(values, add)
                        }
                    };
                    product.run(narrowed, from, part, targets, residual, *epilogue, rounded);
                }
            }
        }
    }

    /// Brings input rows into the ring.
    fn widen(
        &self,
        (lists, rounded): (&mut Lists, &mut Rounded),
        image: usize,
        wanted: Range<usize>,
        rows: &mut [f32],
        place: impl Fn(usize) -> usize,
    ) {
        let Self { step, from, input, .. } = self;
        let wide = step.depthwise.width();
        let w = from.width;
        let first = image * from.pixels();
        match &step.widen {
            Widen::Copy => {
                for r in wanted {
                    let line = &mut rows[place(r)..][..w * wide];
                    let start = first + r * w;
                    if from.pitch == wide {
                        line.copy_from_slice(&input[from.at(start)..][..w * wide]);
                    } else {
                        for (x, pixel) in line.chunks_exact_mut(wide).enumerate() {
                            pixel.copy_from_slice(&input[from.at(start + x)..][..wide]);
                        }
                    }
                }
            }
            Widen::Expand(product, epilogue) => {
                lists.from.clear();
                let pixels = first + wanted.start * w..first + wanted.end * w;
                lists.from.extend(pixels.map(|p| from.at(p) as u32));
                lists.to.clear();
                for r in wanted {
                    let start = place(r);
                    lists.to.extend((0..w).map(|x| (start + x * wide) as u32));
                }
                let Lists { from, to, .. } = lists;
                product.run(input, from, rows, to, Residual::None, *epilogue, rounded);
            }
        }
    }
}

/// Output rows of a band: as many as fit, all bands nearly equal.
fn band(rows: usize, kernel: usize, stride: usize, row: usize, out_row: usize) -> usize {
    let bytes =
        |band: usize| (((band - 1) * stride + kernel) * row + band * out_row) * size_of::<f32>();
    let most = (1..=rows).take_while(|&band| bytes(band) <= BAND_BYTES).last().unwrap_or(1);
    rows.div_ceil(rows.div_ceil(most))
}
