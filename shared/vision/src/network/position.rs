//! A learned position embedding for another number of patches.
//!
//! Source: timm's `resample_abs_pos_embed`, which is torch's bicubic interpolation with antialiasing: Keys's kernel with a = -1/2,
//! widened where the grid shrinks, weights normalised at the borders.

use super::Tokens;

/// The embedding of `[prefix + grid * grid][channels]` as `[prefix + height * width][channels]`.
pub(crate) fn resample_positions(
    values: &[f32],
    tokens: &Tokens,
    channels: usize,
    (height, width): (usize, usize),
) -> Vec<f32> {
    let grid = tokens.grid;
    let (prefix, square) = values.split_at(tokens.prefix.len() * channels);
    if (height, width) == (grid, grid) {
        return values.to_vec();
    }
    let (down, across) = (weights(grid, height), weights(grid, width));
    let mut narrowed = vec![0f64; grid * width * channels];
    for (pixel, out) in narrowed.chunks_exact_mut(channels).enumerate() {
        let (y, x) = (pixel / width, pixel % width);
        let (first, weights) = &across[x];
        for (i, weight) in weights.iter().enumerate() {
            let from = &square[(y * grid + first + i) * channels..][..channels];
            for (sum, &value) in out.iter_mut().zip(from) {
                *sum += weight * f64::from(value);
            }
        }
    }
    let mut result = prefix.to_vec();
    let mut sums = vec![0f64; channels];
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        sums.fill(0.0);
        let (first, weights) = &down[y];
        for (i, weight) in weights.iter().enumerate() {
            let from = &narrowed[((first + i) * width + x) * channels..][..channels];
            for (sum, &value) in sums.iter_mut().zip(from) {
                *sum += weight * value;
            }
        }
        result.extend(sums.iter().map(|&sum| sum as f32));
    }
    result
}

/// For each output position the first input position that counts, and the weights from there on.
fn weights(input: usize, output: usize) -> Vec<(usize, Vec<f64>)> {
    let scale = input as f64 / output as f64;
    let widened = scale.max(1.0);
    let support = 2.0 * widened;
    (0..output)
        .map(|position| {
            let center = (position as f64 + 0.5) * scale;
            let first = (center - support + 0.5).max(0.0) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let weights: Vec<f64> =
                (first..end).map(|x| keys((x as f64 - center + 0.5) / widened)).collect();
            let sum: f64 = weights.iter().sum();
            (first, weights.iter().map(|weight| weight / sum).collect())
        })
        .collect()
}

fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
