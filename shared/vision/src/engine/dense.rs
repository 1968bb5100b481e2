//! Dense convolutions of maps and of the planar image.

use std::ops::Range;

use super::crew::{Lists, Scratch, share};
use super::layout::View;
use super::pixel::Norm;
use super::plan::{Dense, Prepare, Window};
use super::product::Product;
use super::run::{Context, Target, borders, covered};
use crate::kernels::{
    Epilogue, Level, PackedConvolution, Residual, add_pixels, convolve, padded, scale_channels,
};
use crate::network::Skip;

/// Bytes of input that a block of pixels may touch before the next panel of weights begins.
const BLOCK_BYTES: usize = 384 << 10;

/// Weights beyond this don't stay in the second-level cache, and a block should be large enough to pay for reading them.
const WEIGHTS_IN_CACHE: usize = 512 << 10;

pub(super) fn run(d: &Dense, context: &mut Context<'_>, target: Target<'_>) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(d.input);
    let zeros = context.layout.capacities[from.slot];
    let residual = match d.skip {
        Skip::None => None,
        Skip::Add(other) => Some(context.map(other)),
    };
    let factors = match d.prepare {
        Prepare::Scale(node) => Some(context.map(node)),
        _ => None,
    };
    let pitch = padded(d.product.inputs());
    // Rounded, a pixel lies in scratch memory once for every tap; prepared, also as it was before.
    let prepared = match d.prepare {
        Prepare::Nothing => 0,
        _ => size_of::<f32>(),
    };
    let bytes = match d.product {
        Product::F32(_) => size_of::<f32>(),
        Product::Bf16(_) => d.product.number() * d.window.kernel.pow(2) + prepared,
    };
    let most = (BLOCK_BYTES / bytes / pitch).max(64);
    let work = d.product.multiply_adds();
    let least = if d.product.bytes() > WEIGHTS_IN_CACHE { 28 } else { 14 };
    let (pixels, level) = (context.count * view.pixels(), context.level);
    let ranges = context.crew.cut(pixels, [least, most], work);
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |scratch, (range, part)| {
        let Scratch { floats, lists, rounded } = scratch;
        let Lists { from: sources, to, add } = lists;
        sources.clear();
        let input = match &d.prepare {
            Prepare::Nothing => {
                offsets(d.window, &from, &view, range.clone(), zeros, sources);
                values
            }
            prepare => {
                floats.reserve((range.len() + 1) * pitch);
                sources.extend((0..range.len()).map(|p| (p * pitch) as u32));
                let block = Block { from: &from, values, to: &view, range: range.clone(), pitch };
                match (prepare, factors) {
                    (Prepare::Normalise(norm), _) => {
                        let source = (&values[from.at(range.start)..], from.pitch);
                        norm.run(range.len(), source, (floats, pitch));
                    }
                    (Prepare::NormaliseAndPool(norm, window), _) => {
                        block.normalise_and_pool(norm, *window, level, floats);
                    }
                    (_, Some((factor, factors))) => {
                        let of = |image| &factors[factor.at(image)..][..pitch];
                        block.scale(of, level, floats);
                    }
                    _ => unreachable!("every preparation has its operands"),
                }
                floats
            }
        };
        to.clear();
        to.extend((0..range.len()).map(|p| view.at(p) as u32));
        add.clear();
        let residual = match residual {
            None => Residual::None,
            Some((other, values)) => {
                add.extend(range.clone().map(|p| other.at(p) as u32));
                Residual::Add(values, add)
            }
        };
        d.product.run(input, sources, part, to, residual, d.epilogue, rounded);
    });
}

/// Pixels that are packed into scratch memory, a pitch apart.
struct Block<'a> {
    from: &'a View,
    values: &'a [f32],
    to: &'a View,
    range: Range<usize>,
    pitch: usize,
}

impl Block<'_> {
    fn scale<'f>(&self, factors: impl Fn(usize) -> &'f [f32], level: Level, packed: &mut [f32]) {
        let Self { from, values, to, range, pitch } = self;
        let per_image = to.pixels();
        let mut p = range.start;
        while p < range.end {
            let image = p / per_image;
            let end = range.end.min((image + 1) * per_image);
            let out = &mut packed[(p - range.start) * pitch..];
            let source = &values[from.at(p)..];
            scale_channels(level, factors(image), end - p, source, from.pitch, out, *pitch);
            p = end;
        }
    }

    fn normalise_and_pool(&self, norm: &Norm, window: Window, level: Level, packed: &mut [f32]) {
        let Self { from, values, to, range, pitch } = self;
        let (top, left) = borders(window, (from.height, from.width));
        let mut line = vec![0f32; window.kernel * pitch];
        for (p, sums) in range.clone().zip(packed.chunks_exact_mut(*pitch)) {
            let (image, at) = (p / to.pixels(), p % to.pixels());
            let rows = covered(window, top, from.height, at / to.width);
            let columns = covered(window, left, from.width, at % to.width);
            let scale = 1.0 / (rows.len() * columns.len()) as f32;
            sums.fill(0.0);
            for row in rows {
                let first = image * from.pixels() + row * from.width + columns.start;
                let source = (&values[from.at(first)..], from.pitch);
                norm.run(columns.len(), source, (&mut line, *pitch));
                add_pixels(level, columns.len(), &line, *pitch, sums);
            }
            sums.iter_mut().for_each(|sum| *sum *= scale);
        }
    }
}

/// For each tap and each output pixel, where the input pixel begins.
fn offsets(
    window: Window,
    from: &View,
    to: &View,
    pixels: Range<usize>,
    zeros: usize,
    list: &mut Vec<u32>,
) {
    if window.kernel == 1 && window.stride == 1 && from.pixels() == to.pixels() {
        list.extend(pixels.map(|p| from.at(p) as u32));
        return;
    }
    let (h, w) = (from.height, from.width);
    let (top, left) = borders(window, (h, w));
    let per_image = to.pixels();
    for ky in 0..window.kernel {
        for kx in 0..window.kernel {
            let mut p = pixels.start;
            while p < pixels.end {
                // One row of output pixels, or what of it lies in the range.
                let (image, at) = (p / per_image, p % per_image);
                let (y, first) = (at / to.width, at % to.width);
                let count = (to.width - first).min(pixels.end - p);
                // Wraps below zero, and then isn't inside either.
                let row = (y * window.stride + ky).wrapping_sub(top);
                if row < h {
                    let start = image * from.pixels() + row * w;
                    list.extend((first..first + count).map(|x| {
                        let column = (x * window.stride + kx).wrapping_sub(left);
                        if column < w { from.at(start + column) as u32 } else { zeros as u32 }
                    }));
                } else {
                    list.extend(std::iter::repeat_n(zeros as u32, count));
                }
                p += count;
            }
        }
    }
}

/// The planar images as a map.
pub(super) fn image(context: &mut Context<'_>, channels: usize, target: Target<'_>) {
    let Target { view, buffer } = target;
    let plane = view.height * view.width;
    for (i, image) in context.images.chunks_exact(channels * plane).enumerate() {
        for p in 0..plane {
            let pixel = &mut buffer[view.at(i * plane + p)..][..channels];
            for (channel, value) in pixel.iter_mut().enumerate() {
                *value = image[channel * plane + p];
            }
        }
    }
}

/// A convolution of the planar images, in bands of output rows: the input rows of a band are brought into NHWC order with their
/// borders of zeros, so that each row of the kernel is one run of floats.
pub(super) fn stem(
    context: &mut Context<'_>,
    (h, w): (usize, usize),
    packed: &PackedConvolution,
    window: Window,
    epilogue: Epilogue,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let Window { kernel, stride, .. } = window;
    let channels = packed.inputs() / kernel;
    let (top, left) = borders(window, (h, w));
    // Pixels of an input row, as far as any window reaches.
    let row = ((view.width - 1) * stride + kernel).max(left + w);
    let bytes = stride * row * channels * size_of::<f32>();
    let most = (BLOCK_BYTES / bytes).max(1);
    let images = context.images;
    let work = view.width * packed.multiply_adds();
    // Bands don't straddle images.
    let mut ranges = Vec::new();
    for image in 0..context.count {
        let rows = context.crew.cut(view.height, [1, most], work);
        ranges.extend(rows.into_iter().map(|rows| {
            let first = image * view.height;
            (first + rows.start) * view.width..(first + rows.end) * view.width
        }));
    }
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |scratch, (range, part)| {
        let Scratch { floats, lists, .. } = scratch;
        let lines = range.start / view.width..range.end / view.width;
        let (image, first) = (lines.start / view.height, lines.start % view.height);
        let image = &images[image * channels * h * w..][..channels * h * w];
        let needed = (lines.len() - 1) * stride + kernel;
        floats.reserve(needed * row * channels);
        for (r, strip) in floats.chunks_exact_mut(row * channels).take(needed).enumerate() {
            let y = (first * stride + r).wrapping_sub(top);
            if y >= h {
                strip.fill(0.0);
                continue;
            }
            strip[..left * channels].fill(0.0);
            strip[(left + w) * channels..].fill(0.0);
            let inside = &mut strip[left * channels..][..w * channels];
            for c in 0..channels {
                let line = &image[(c * h + y) * w..][..w];
                for (pixel, &value) in inside.chunks_exact_mut(channels).zip(line) {
                    pixel[c] = value;
                }
            }
        }
        let Lists { from, to, .. } = lists;
        from.clear();
        for ky in 0..kernel {
            for r in 0..lines.len() {
                let start = (r * stride + ky) * row;
                from.extend((0..view.width).map(|x| ((start + x * stride) * channels) as u32));
            }
        }
        to.clear();
        to.extend((0..range.len()).map(|p| view.at(p) as u32));
        convolve(packed, floats, from, part, to, Residual::None, epilogue);
    });
}
