//! Attention of sequences and windows.

use proptest::prelude::*;

use super::super::{Group, Level, PackedAttention, Windows, Wrapped, attention};
use super::{CANARY, noise};

#[derive(Debug, Clone)]
struct Case {
    heads: usize,
    width: usize,
    /// Beyond a pixel's channels.
    gaps: (usize, usize),
    /// How far apart scores are.
    contrast: f32,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let width = prop_oneof![Just(16usize), Just(32), Just(64), 1..40usize];
    let contrast = prop_oneof![Just(0.1f32), Just(1.0), Just(8.0)];
    (1..4usize, width, (0..20usize, 0..20usize), contrast, any::<u64>()).prop_map(
        |(heads, width, gaps, contrast, seed)| Case { heads, width, gaps, contrast, seed },
    )
}

impl Case {
    fn channels(&self) -> usize {
        self.heads * self.width
    }

    fn pitches(&self) -> (usize, usize) {
        (3 * self.channels() + self.gaps.0, self.channels() + self.gaps.1)
    }

    fn input(&self, pixels: usize) -> Vec<f32> {
        noise(self.seed, pixels * self.pitches().0).iter().map(|x| x * self.contrast).collect()
    }

    /// The result of one query among `pixels` by the definition; `bias` for each key is added to its score.
    fn result(
        &self,
        input: &[f32],
        pixels: &[usize],
        query: usize,
        head: usize,
        bias: impl Fn(usize) -> f64,
    ) -> Vec<f64> {
        let (pitch, _) = self.pitches();
        let part = |pixel: usize, part: usize, c: usize| {
            f64::from(input[pixel * pitch + part * self.channels() + head * self.width + c])
        };
        let scores: Vec<f64> = pixels
            .iter()
            .enumerate()
            .map(|(k, &key)| {
                let product: f64 =
                    (0..self.width).map(|c| part(query, 0, c) * part(key, 1, c)).sum();
                product / (self.width as f64).sqrt() + bias(k)
            })
            .collect();
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
        let sum: f64 = shares.iter().sum();
        (0..self.width)
            .map(|c| {
                pixels.iter().zip(&shares).map(|(&key, share)| share / sum * part(key, 2, c)).sum()
            })
            .collect()
    }

    fn compare(&self, got: &[f32], want: &[f64]) -> Result<(), TestCaseError> {
        for (got, want) in got.iter().zip(want) {
            let error = (f64::from(*got) - want).abs();
            // Scores of contrast 8 reach hundreds, whose last place is 3e-5.
            prop_assert!(
                error <= f64::from(3e-6 * self.contrast.powi(3).max(1.0)),
                "{got} for {want}"
            );
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_sequence_sees_itself(case in cases(), pixels in 1..130usize, split in 0..100usize) {
        let (from_pitch, to_pitch) = case.pitches();
        let input = case.input(pixels);
        let all: Vec<usize> = (0..pixels).collect();
        let from: Vec<u32> = all.iter().map(|p| (p * from_pitch) as u32).collect();
        let to: Vec<u32> = all.iter().map(|p| (p * to_pitch) as u32).collect();
        let cut = split * pixels / 100;
        for level in Level::available() {
            let packed = PackedAttention::global(level, case.heads, case.width);
            let mut output = vec![CANARY; pixels * to_pitch];
            let mut scratch = vec![f32::NAN; packed.scratch(pixels)];
            for queries in [0..cut, cut..pixels] {
                let group = Group { from: &from, to: &to[queries.clone()], queries, wrapped: Wrapped::Nothing };
                attention(&packed, &group, &input, &mut output, &mut scratch);
            }
            for query in [0, cut, pixels - 1] {
                let row = &output[query * to_pitch..][..to_pitch];
                for head in 0..case.heads {
                    let want = case.result(&input, &all, query, head, |_| 0.0);
                    case.compare(&row[head * case.width..][..case.width], &want)?;
                }
                prop_assert!(row[case.channels()..].iter().all(|&x| x == CANARY));
            }
        }
    }

    #[test]
    fn a_window_sees_itself_with_bias_and_mask(
        case in cases(), (rows, columns) in (1..4usize, 1..4usize), side in 1..8usize, shift in 0..8usize,
    ) {
        let (h, w, shift) = (rows * side, columns * side, shift % side);
        let windows = Windows::new((h, w), side, shift);
        let [down, right] = [rows, columns].map(|windows| if windows > 1 { shift } else { 0 });
        let (from_pitch, to_pitch) = case.pitches();
        let input = case.input(h * w);
        let range = 2 * side - 1;
        let table = noise(case.seed ^ 1, range * range * case.heads);
        for level in Level::available() {
            let packed = PackedAttention::windowed(level, case.heads, case.width, &windows, &table);
            let mut output = vec![CANARY; h * w * to_pitch];
            let mut scratch = vec![f32::NAN; packed.scratch(side * side)];
            for window in 0..rows * columns {
                let pixels: Vec<usize> = windows.pixels(window).collect();
                let from: Vec<u32> = pixels.iter().map(|p| (p * from_pitch) as u32).collect();
                let to: Vec<u32> = pixels.iter().map(|p| (p * to_pitch) as u32).collect();
                let group = Group { from: &from, queries: 0..pixels.len(), to: &to, wrapped: windows.wrapped(window) };
                attention(&packed, &group, &input, &mut output, &mut scratch);
            }
            // The definition: the map rolled up and left by the shift, cut into windows; a pixel that the roll took round the map's
            // edge doesn't see one that it didn't.
            for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
                if (y * 7 + x) % 5 != 0 {
                    continue;
                }
                let place = |y: usize, x: usize| ((y + h - down) % h, (x + w - right) % w);
                let (ry, rx) = place(y, x);
                let keys: Vec<(usize, usize)> = (0..h).flat_map(|y| (0..w).map(move |x| (y, x)))
                    .filter(|&(ky, kx)| {
                        let (ky, kx) = place(ky, kx);
                        (ky / side, kx / side) == (ry / side, rx / side)
                    })
                    .collect();
                let pixels: Vec<usize> = keys.iter().map(|(y, x)| y * w + x).collect();
                for head in 0..case.heads {
                    let bias = |k: usize| {
                        let (ky, kx) = place(keys[k].0, keys[k].1);
                        let row = (ry + side - 1 - ky) * range + rx + side - 1 - kx;
                        let is_neighbour = ((y < down) == (keys[k].0 < down)) && ((x < right) == (keys[k].1 < right));
                        let mask = if is_neighbour { 0.0 } else { -100.0 };
                        f64::from(table[row * case.heads + head]) + mask
                    };
                    let want = case.result(&input, &pixels, y * w + x, head, bias);
                    let row = &output[(y * w + x) * to_pitch..][..to_pitch];
                    case.compare(&row[head * case.width..][..case.width], &want)?;
                    prop_assert!(row[case.channels()..].iter().all(|&x| x == CANARY));
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "leaves a buffer")]
fn a_pixel_beyond_the_input_is_refused() {
    let packed = PackedAttention::global(Level::Portable, 2, 4);
    let group = Group { from: &[0, 24], queries: 0..1, to: &[0], wrapped: Wrapped::Nothing };
    let mut scratch = vec![0.0; packed.scratch(2)];
    attention(&packed, &group, &[0.0; 47], &mut [0.0; 8], &mut scratch);
}
