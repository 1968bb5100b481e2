//! scikit-image's way to a smaller square, as torchxrayvision prepares its images: a Gaussian of standard deviation
//! (reduction - 1) / 2, then linear interpolation, all outside the picture counted as zero.
//!
//! Source: scikit-image `skimage/transform/_warps.py` (`resize` with mode `constant`), SciPy `ndimage` (`gaussian_filter` cut off at
//! four standard deviations, `zoom` on a grid). Both steps are linear along each axis, so here they are one; sums are f64, where SciPy
//! rounds to f32 between steps.

use super::Picture;

/// Standard deviations after which the Gaussian is cut off.
const TRUNCATE: f64 = 4.0;

/// One colour of the picture's central square, resized to `side` x `side`, on the scale 0..255; `zero` is the value outside.
pub(super) fn smoothed_square(
    picture: &Picture,
    channel: usize,
    side: usize,
    zero: f64,
) -> Vec<f64> {
    let (w, h) = (picture.width, picture.height);
    let length = w.min(h);
    let (left, top) = (w / 2 - length / 2, h / 2 - length / 2);
    let windows = windows(length, side);
    let value = |row: usize, column: usize| {
        f64::from(picture.rgb[3 * (w * (top + row) + left + column) + channel])
    };
    let mut across = vec![0f64; length * side];
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    for (row, out) in across.chunks_exact_mut(side).enumerate() {
        let line: Vec<f64> = (0..length).map(|column| value(row, column)).collect();
        for &v in &line {
            (least, most) = (least.min(v), most.max(v));
        }
        for (out, window) in out.iter_mut().zip(&windows) {
            let pixels = line[window.first..].iter().zip(&window.weights);
            *out = pixels.map(|(v, weight)| (v - zero) * weight).sum();
        }
    }
    let mut result = Vec::with_capacity(side * side);
    for window in &windows {
        let mut sums = vec![0f64; side];
        let lines = across[window.first * side..].chunks_exact(side);
        for (line, weight) in lines.zip(&window.weights) {
            for (sum, v) in sums.iter_mut().zip(line) {
                *sum += v * weight;
            }
        }
        // The border may pull a pixel out of the picture's range; scikit-image clips it.
        result.extend(sums.iter().map(|sum| (sum + zero).clamp(least, most)));
    }
    result
}

/// The source pixels of one output position and their weights.
struct Window {
    first: usize,
    weights: Vec<f64>,
}

fn windows(input: usize, output: usize) -> Vec<Window> {
    let reduction = input as f64 / output as f64;
    let gaussian = gaussian(((reduction - 1.0) / 2.0).max(0.0));
    let radius = gaussian.len() / 2;
    let position = |out: usize| (out as f64 + 0.5) * reduction - 0.5;
    (0..output)
        .map(|out| {
            let left = position(out).floor();
            let share = position(out) - left;
            // Smoothed pixels left and right of the position that lie within the picture.
            let pixels = [(left, 1.0 - share), (left + 1.0, share)];
            let pixels: Vec<(usize, f64)> = pixels
                .into_iter()
                .filter(|(at, _)| (0.0..input as f64).contains(at))
                .map(|(at, share)| (at as usize, share))
                .collect();
            let first = pixels.iter().map(|(at, _)| at.saturating_sub(radius)).min().unwrap_or(0);
            let end = pixels.iter().map(|(at, _)| (at + radius + 1).min(input)).max().unwrap_or(0);
            let mut weights = vec![0.0; end - first];
            for (at, share) in pixels {
                for (tap, weight) in gaussian.iter().enumerate() {
                    if let Some(source) = (at + tap).checked_sub(radius)
                        && source < input
                    {
                        weights[source - first] += share * weight;
                    }
                }
            }
            Window { first, weights }
        })
        .collect()
}

/// Weights from -radius to radius, of sum 1.
fn gaussian(deviation: f64) -> Vec<f64> {
    if deviation < 1e-15 {
        return vec![1.0];
    }
    let radius = (TRUNCATE * deviation + 0.5) as i64;
    let weights: Vec<f64> =
        (-radius..=radius).map(|x| (-0.5 * (x * x) as f64 / deviation.powi(2)).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_of_the_same_size_stays_as_it_is() {
        let rgb: Vec<u8> = (0..3 * 5 * 4).map(|i| (i * 37 % 256) as u8).collect();
        let picture = Picture::from_rgb(5, 4, rgb.clone()).unwrap();
        let square = smoothed_square(&picture, 1, 4, 127.5);
        for (at, value) in square.iter().enumerate() {
            assert_eq!(*value, f64::from(rgb[3 * (5 * (at / 4) + at % 4) + 1]));
        }
    }
}
