//! Kernels over rows of channels: layer norm, scale and shift, gates, sums of pixels.

use proptest::prelude::*;

use super::super::reference::activation;
use super::super::{
    Epilogue, Level, PackedAffine, PackedLayerNorm, add_pixels, affine, layer_norm, padded,
    scale_channels,
};
use super::{CANARY, noise};

/// Rows with gaps between them.
#[derive(Debug, Clone)]
struct Case {
    pixels: usize,
    channels: usize,
    /// Beyond a row's padded channels.
    gaps: (usize, usize),
    /// What the mean of a row is away from zero.
    offset: f32,
    epilogue: Epilogue,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let epilogue = prop_oneof![
        Just(Epilogue::LINEAR),
        Just(Epilogue::RELU),
        Just(Epilogue::Silu),
        Just(Epilogue::Gelu),
        Just(Epilogue::Sigmoid)
    ];
    let offset = prop_oneof![Just(0.0), Just(3.0), Just(-200.0)];
    (0..9usize, 1..300usize, (0..40usize, 0..40usize), offset, epilogue, any::<u64>()).prop_map(
        |(pixels, channels, gaps, offset, epilogue, seed)| Case {
            pixels,
            channels,
            gaps,
            offset,
            epilogue,
            seed,
        },
    )
}

impl Case {
    fn pitches(&self) -> (usize, usize) {
        (padded(self.channels) + self.gaps.0, padded(self.channels) + self.gaps.1)
    }

    /// Real channels as wanted, and noise wherever nothing counts.
    fn input(&self) -> Vec<f32> {
        let (pitch, _) = self.pitches();
        let mut input = noise(self.seed, self.pixels * pitch);
        for row in input.chunks_exact_mut(pitch) {
            row[..self.channels].iter_mut().for_each(|x| *x += self.offset);
        }
        input
    }

    /// Compares a written output with what each row should be, its padding with `padding`, and the rest with the canary.
    fn compare(
        &self,
        output: &[f32],
        padding: impl Fn(f32) -> bool,
        tolerance: f64,
        want: impl Fn(usize, usize) -> f64,
    ) -> Result<(), TestCaseError> {
        let (_, pitch) = self.pitches();
        for (p, row) in output.chunks_exact(pitch).enumerate() {
            for (c, &got) in row.iter().enumerate() {
                if c < self.channels {
                    let want = want(p, c);
                    let error = (f64::from(got) - want).abs();
                    prop_assert!(
                        error <= tolerance * want.abs().max(1.0),
                        "{got} for {want} at {p}, {c}"
                    );
                } else if c < padded(self.channels) {
                    prop_assert!(padding(got), "padding became {got}");
                } else {
                    prop_assert_eq!(got, CANARY);
                }
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn layer_norm_is_what_the_definition_says(case in cases()) {
        let (from, to) = case.pitches();
        let (weight, bias) = (noise(case.seed ^ 1, case.channels), noise(case.seed ^ 2, case.channels));
        let (input, eps) = (case.input(), 1e-5);
        let statistics: Vec<(f64, f64)> = input.chunks_exact(from).map(|row| {
            let row = &row[..case.channels];
            let n = row.len() as f64;
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
            (mean, 1.0 / (variance + eps).sqrt())
        }).collect();
        // A mean of -200 in f32 has an error of 1e-5, which counts the more, the less a row varies.
        let steepest = statistics.iter().map(|&(_, factor)| factor).fold(1.0, f64::max);
        let tolerance = 2e-6 + 1e-6 * f64::from(case.offset.abs()) * steepest;
        for level in Level::available() {
            let packed = PackedLayerNorm::new(level, &weight, &bias, eps);
            let mut output = vec![CANARY; case.pixels * to];
            layer_norm(&packed, case.pixels, &input, from, &mut output, to);
            case.compare(&output, |x| x == 0.0, tolerance, |p, c| {
                let (mean, factor) = statistics[p];
                let normal = (f64::from(input[p * from + c]) - mean) * factor;
                normal * f64::from(weight[c]) + f64::from(bias[c])
            })?;
        }
    }

    #[test]
    fn scale_and_shift_are_what_the_definition_says(case in cases()) {
        let (from, to) = case.pitches();
        let (scale, shift) = (noise(case.seed ^ 1, case.channels), noise(case.seed ^ 2, case.channels));
        let input = case.input();
        for level in Level::available() {
            let packed = PackedAffine::new(level, &scale, &shift);
            let mut output = vec![CANARY; case.pixels * to];
            affine(&packed, case.epilogue, case.pixels, &input, from, &mut output, to);
            let zero = activation(case.epilogue, 0.0);
            case.compare(&output, |x| (f64::from(x) - zero).abs() < 1e-7, 2e-5, |p, c| {
                let x = f64::from(input[p * from + c]) * f64::from(scale[c]) + f64::from(shift[c]);
                activation(case.epilogue, x)
            })?;
        }
    }

    #[test]
    fn a_gate_multiplies_every_pixel(case in cases()) {
        let (from, to) = case.pitches();
        let mut gate = noise(case.seed ^ 1, padded(case.channels));
        gate[case.channels..].fill(0.5);
        let mut input = case.input();
        for row in input.chunks_exact_mut(from) {
            row[case.channels..].fill(0.0);
        }
        for level in Level::available() {
            let mut output = vec![CANARY; case.pixels * to];
            scale_channels(level, &gate, case.pixels, &input, from, &mut output, to);
            case.compare(&output, |x| x == 0.0, 1e-6, |p, c| {
                f64::from(input[p * from + c]) * f64::from(gate[c])
            })?;
        }
    }

    #[test]
    fn pixels_add_up(case in cases()) {
        let (from, _) = case.pitches();
        let input = case.input();
        let width = padded(case.channels);
        for level in Level::available() {
            let mut sums = noise(case.seed ^ 1, width);
            let before = sums.clone();
            add_pixels(level, case.pixels, &input, from, &mut sums);
            for (c, &got) in sums.iter().enumerate() {
                let want = f64::from(before[c])
                    + (0..case.pixels).map(|p| f64::from(input[p * from + c])).sum::<f64>();
                prop_assert!((f64::from(got) - want).abs() <= 1e-6 * want.abs().max(1.0), "{got} for {want}");
            }
        }
    }
}

#[test]
#[should_panic(expected = "3 rows of 32 floats, 40 apart, don't fit in 111")]
fn a_row_that_leaves_its_slice_is_refused() {
    let packed = PackedLayerNorm::new(Level::Portable, &[1.0; 20], &[0.0; 20], 1e-5);
    layer_norm(&packed, 3, &[0.0; 111], 40, &mut [0.0; 200], 40);
}
