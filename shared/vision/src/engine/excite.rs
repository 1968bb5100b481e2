//! Squeeze-and-excitation: the factors, and their product with the map where no later step takes it over.

use super::crew::share;
use super::plan::PackedSqueezeExcite;
use super::run::{Context, Target};
use crate::kernels::{Epilogue, Residual, add_pixels, convolve, scale_channels};

/// Pixels whose sum is one part: the same whoever works on it, so that the result is too.
const CHUNK: usize = 256;

pub(super) fn run(
    s: &PackedSqueezeExcite,
    factors_only: bool,
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(s.input);
    let images = context.count;
    let (level, width) = (context.level, s.expand.width());
    let chunks = from.pixels().div_ceil(CHUNK);
    let mut sums = vec![0f32; images * chunks * width];
    let parts: Vec<_> = sums.chunks_exact_mut(width).enumerate().collect();
    context.crew.each(context.scratches, parts, |_, (i, sums)| {
        let (image, chunk) = (i / chunks, i % chunks);
        let pixels = chunk * CHUNK..((chunk + 1) * CHUNK).min(from.pixels());
        let first = from.at(image * from.pixels() + pixels.start);
        add_pixels(level, pixels.len(), &values[first..], from.pitch, sums);
    });

    let scale = 1.0 / from.pixels() as f32;
    let mut means = vec![0f32; images * width];
    for (mean, sums) in means.chunks_exact_mut(width).zip(sums.chunks_exact(chunks * width)) {
        for sums in sums.chunks_exact(width) {
            for (mean, sum) in mean.iter_mut().zip(sums) {
                *mean += sum * scale;
            }
        }
    }
    let every = |pitch: usize| (0..images).map(|i| (i * pitch) as u32).collect::<Vec<_>>();
    let between = s.reduce.width();
    let mut reduced = vec![0f32; images * between];
    let (wide, narrow) = (every(width), every(between));
    convolve(&s.reduce, &means, &wide, &mut reduced, &narrow, Residual::None, s.epilogue);
    let mut factors = means;
    let sigmoid = Epilogue::Sigmoid;
    convolve(&s.expand, &reduced, &narrow, &mut factors, &wide, Residual::None, sigmoid);

    if factors_only {
        for (i, factors) in factors.chunks_exact(width).enumerate() {
            buffer[view.at(i)..][..width].copy_from_slice(factors);
        }
        return;
    }
    let ranges = context.crew.cut(images * view.pixels(), [1, usize::MAX], 2 * view.pitch);
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |_, (range, part)| {
        let mut p = range.start;
        while p < range.end {
            let image = p / view.pixels();
            let end = range.end.min((image + 1) * view.pixels());
            let out = &mut part[view.at(p - range.start)..];
            let (factors, source) = (&factors[image * width..][..width], &values[from.at(p)..]);
            scale_channels(level, factors, end - p, source, from.pitch, out, view.pitch);
            p = end;
        }
    });
}
