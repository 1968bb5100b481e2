//! PIL's resampling of 8-bit images, bit for bit.
//!
//! Source: Pillow `src/libImaging/Resample.c`: an antialiased filter (its support grows with the reduction), horizontal pass, then
//! vertical pass, each in 22-bit fixed point and rounded to 8 bits.

use std::ops::Range;

use super::{Interpolation, Picture};

const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The part `columns` x `rows` of `picture` resized to `width` x `height`; RGB, row by row. Only the part is computed.
pub(super) fn resize_part(
    picture: &Picture,
    [width, height]: [usize; 2],
    columns: Range<usize>,
    rows: Range<usize>,
    interpolation: Interpolation,
) -> Vec<u8> {
    let across = windows(picture.width, width, columns, interpolation);
    let mut down = windows(picture.height, height, rows, interpolation);
    let first = down.iter().map(|window| window.first).min().unwrap_or(0);
    let last = down.iter().map(|window| window.first + window.weights.len()).max().unwrap_or(0);
    for window in &mut down {
        window.first -= first;
    }
    let source = &picture.rgb[3 * picture.width * first..3 * picture.width * last];
    let pitch = 3 * across.len();

    let is_same =
        |windows: &[Window], from, to| from == to && windows.iter().all(|w| !w.weights.is_empty());
    let mut narrowed = vec![0u8; pitch * (last - first)];
    let keep = is_same(&across, picture.width, width);
    for (row, out) in source.chunks_exact(3 * picture.width).zip(narrowed.chunks_exact_mut(pitch)) {
        for (window, out) in across.iter().zip(out.chunks_exact_mut(3)) {
            if keep {
                out.copy_from_slice(&row[3 * window.center..][..3]);
                continue;
            }
            let mut sums = [1i32 << (PRECISION_BITS - 1); 3];
            let pixels = row[3 * window.first..].chunks_exact(3);
            for (pixel, &weight) in pixels.zip(&window.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = clip(sum);
            }
        }
    }

    let keep = is_same(&down, picture.height, height);
    let mut result = Vec::with_capacity(pitch * down.len());
    let mut sums = vec![0i32; pitch];
    for window in &down {
        if keep {
            result.extend_from_slice(&narrowed[pitch * (window.center - first)..][..pitch]);
            continue;
        }
        sums.fill(1 << (PRECISION_BITS - 1));
        let lines = narrowed[pitch * window.first..].chunks_exact(pitch);
        for (line, &weight) in lines.zip(&window.weights) {
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum += i32::from(value) * weight;
            }
        }
        result.extend(sums.iter().map(|&sum| clip(sum)));
    }
    result
}

/// The source pixels of one output position and their weights.
struct Window {
    first: usize,
    weights: Vec<i32>,
    /// The output position itself, where nothing is resized.
    center: usize,
}

fn windows(
    input: usize,
    output: usize,
    wanted: Range<usize>,
    interpolation: Interpolation,
) -> Vec<Window> {
    let scale = input as f64 / output as f64;
    let filter_scale = scale.max(1.0);
    let support = interpolation.support() * filter_scale;
    wanted
        .map(|position| {
            let center = (position as f64 + 0.5) * scale;
            // C's conversion to int truncates; below zero PIL clamps anyway.
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let weights: Vec<f64> = (first..end)
                .map(|x| interpolation.filter((x as f64 - center + 0.5) * (1.0 / filter_scale)))
                .collect();
            let sum: f64 = weights.iter().sum();
            let weights = weights
                .iter()
                .map(|&weight| {
                    let weight = if sum == 0.0 { weight } else { weight / sum }
                        * f64::from(1 << PRECISION_BITS);
                    // C truncates after adding a half away from zero.
                    (weight + 0.5f64.copysign(weight)) as i32
                })
                .collect();
            Window { first, weights, center: position }
        })
        .collect()
}

fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

impl Interpolation {
    /// Source pixels on either side that matter when nothing is reduced.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Smoothed => {
                unreachable!("PIL has no such filter; the caller takes the other way")
            }
        }
    }

    fn filter(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic => {
                const A: f64 = -0.5;
                if x < 1.0 {
                    ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    (((x - 5.0) * x + 8.0) * x - 4.0) * A
                } else {
                    0.0
                }
            }
            Self::Smoothed => unreachable!("it has no support"),
        }
    }
}
