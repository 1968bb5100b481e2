//! Dense and depthwise convolutions of f32 and bfloat16 maps.

use proptest::prelude::*;

use super::super::reference::activation;
use super::super::{
    Bf16, Dense, Epilogue, Level, PackedBf16, PackedConvolution, PackedDepthwise, PairLevel,
    Residual, convolve, convolve_bf16, depthwise_row, gather, padded,
};
use super::{CANARY, Reference, noise};

#[derive(Debug, Clone)]
struct Case {
    size: (usize, usize),
    channels: (usize, usize),
    kernel: usize,
    stride: usize,
    border: usize,
    /// What input and output pixels have beyond their channels, and where they start.
    gaps: [usize; 3],
    added: bool,
    epilogue: Epilogue,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let epilogue = prop_oneof![
        Just(Epilogue::LINEAR),
        Just(Epilogue::RELU),
        Just(Epilogue::RELU6),
        Just(Epilogue::Silu),
        Just(Epilogue::Gelu),
        Just(Epilogue::Sigmoid),
    ];
    (
        (1..13usize, 1..13usize),
        (1..70usize, 1..90usize),
        (prop_oneof![Just(1usize), Just(2), Just(3), Just(5), Just(7)], 1..4usize, 0..4usize),
        (0..40usize, 0..40usize, 0..40usize),
        (any::<bool>(), epilogue, any::<u64>()),
    )
        .prop_map(
            |(size, channels, (kernel, stride, border), gaps, (added, epilogue, seed))| Case {
                size,
                channels,
                kernel,
                stride,
                border: border.min(kernel / 2),
                gaps: [gaps.0, gaps.1, gaps.2],
                added,
                epilogue,
                seed,
            },
        )
}

impl Case {
    fn outputs(&self) -> Option<(usize, usize)> {
        let along =
            |n: usize| Some((n + 2 * self.border).checked_sub(self.kernel)? / self.stride + 1);
        Some((along(self.size.0)?, along(self.size.1)?))
    }
}

/// What is compared: where a number lies in the output, its value, its sum before the activation.
type Wanted = Vec<(usize, f64)>;

fn close(output: &[f32], wanted: &Wanted, name: &str) -> Result<(), TestCaseError> {
    let largest = wanted.iter().fold(1e-3f64, |m, (_, v)| m.max(v.abs()));
    for &(at, want) in wanted {
        let got = f64::from(output[at]);
        let bound = 2e-5 * largest.max(1.0);
        prop_assert!((got - want).abs() <= bound, "{name}: {got} for {want} of {largest}");
    }
    Ok(())
}

fn untouched(
    output: &[f32],
    pixels: &[u32],
    width: usize,
    name: &str,
) -> Result<(), TestCaseError> {
    let mut output = output.to_vec();
    for &to in pixels {
        output[to as usize..][..width].fill(CANARY);
    }
    prop_assert!(output.iter().all(|&v| v == CANARY), "{name} wrote outside the output's pixels");
    Ok(())
}

fn rounded(values: &[f32]) -> (Vec<Bf16>, Vec<f32>) {
    let short: Vec<Bf16> = values.iter().map(|&v| Bf16::round(v)).collect();
    let long = short.iter().map(|v| v.widen()).collect();
    (short, long)
}

fn dense(case: &Case) -> Result<(), TestCaseError> {
    let Case { size: (h, w), channels: (inputs, outputs), kernel, stride, border, .. } = *case;
    let Some((oh, ow)) = case.outputs() else { return Ok(()) };
    let (taps, seed) = (kernel * kernel, case.seed);
    let (weights, bias) = (noise(seed, outputs * inputs * taps), noise(seed ^ 1, outputs));
    // Nothing behind the last input pixel's channels, and then a run of zeros for the border.
    let (from_pitch, to_pitch) = (inputs + case.gaps[0], padded(outputs) + case.gaps[1]);
    let zeros = case.gaps[2] + (h * w - 1) * from_pitch + inputs;
    let mut input = noise(seed ^ 2, zeros + inputs);
    input[zeros..].fill(0.0);
    let mut from = Vec::new();
    for tap in 0..taps {
        for p in 0..oh * ow {
            let y = (p / ow * stride + tap / kernel).wrapping_sub(border);
            let x = (p % ow * stride + tap % kernel).wrapping_sub(border);
            let inside = y < h && x < w;
            from.push(if inside { case.gaps[2] + (y * w + x) * from_pitch } else { zeros } as u32);
        }
    }
    // Pixels in reverse, so that places and order differ.
    let to: Vec<u32> = (0..oh * ow).rev().map(|p| (case.gaps[2] + p * to_pitch) as u32).collect();
    let len = to[0] as usize + padded(outputs);
    let added = noise(seed ^ 3, len);

    let wanted = |weights: &[f32], input: &[f32], added: &[f32]| -> Wanted {
        let size = (h, w);
        let reference =
            Reference { weights, bias: &bias, kernel, stride, size, border: (border, border) };
        let read = |y, x, i| input[case.gaps[2] + (y * w + x) * from_pitch + i];
        let each = (0..oh * ow).flat_map(|p| (0..outputs).map(move |c| (p, c)));
        each.map(|(p, c)| {
            let at = to[p] as usize + c;
            let residual = if case.added { f64::from(added[at]) } else { 0.0 };
            let sum = reference.sum(c, p / ow, p % ow, read) + residual;
            (at, activation(case.epilogue, sum))
        })
        .collect()
    };

    let dense = Dense { weights: &weights, bias: &bias, inputs, taps };
    let want = wanted(&weights, &input, &added);
    for level in Level::available() {
        let mut output = vec![CANARY; len];
        let packed = PackedConvolution::new(level, &dense);
        let residual = if case.added { Residual::Add(&added[..], &to) } else { Residual::None };
        convolve(&packed, &input, &from, &mut output, &to, residual, case.epilogue);
        close(&output, &want, &format!("{level:?}"))?;
        untouched(&output, &to, padded(outputs), &format!("{level:?}"))?;
    }

    let (short_input, long_input) = rounded(&input);
    let want = wanted(&rounded(&weights).1, &long_input, &added);
    for level in PairLevel::available() {
        let packed = PackedBf16::new(level, &dense);
        let name = format!("{level:?}");
        let mut output = vec![CANARY; len];
        let residual = if case.added { Residual::Add(&added[..], &to) } else { Residual::None };
        convolve_bf16(&packed, &short_input, &from, &mut output, &to, residual, case.epilogue);
        close(&output, &want, &name)?;
        untouched(&output, &to, padded(outputs), &name)?;
    }
    Ok(())
}

fn depthwise(case: &Case) -> Result<(), TestCaseError> {
    let Case { channels: (channels, _), kernel, stride, .. } = *case;
    let pixels = case.size.1;
    let (width, taps, seed) = (padded(channels), kernel * kernel, case.seed);
    let (weights, bias) = (noise(seed, channels * taps), noise(seed ^ 1, channels));
    let row = ((pixels - 1) * stride + kernel) * width;
    // Rows in reverse, the last one up to the end of the input.
    let rows: Vec<usize> = (0..kernel).rev().map(|y| case.gaps[2] + y * row).collect();
    let input = noise(seed ^ 2, case.gaps[2] + kernel * row);
    let wanted = |input: &[f32]| -> Wanted {
        let each = (0..pixels).flat_map(|x| (0..channels).map(move |c| (x, c)));
        each.map(|(x, c)| {
            let mut sum = f64::from(bias[c]);
            for tap in 0..taps {
                let pixel = rows[tap / kernel] + (x * stride + tap % kernel) * width;
                sum += f64::from(weights[c * taps + tap]) * f64::from(input[pixel + c]);
            }
            (x * width + c, activation(case.epilogue, sum))
        })
        .collect()
    };
    let want = wanted(&input);
    let len = pixels * width;
    for level in Level::available() {
        let packed = PackedDepthwise::new(level, &weights, &bias, kernel, stride);
        let mut output = vec![CANARY; len + 64];
        depthwise_row(&packed, &input, &rows, &mut output[..len], case.epilogue);
        close(&output, &want, &format!("{level:?}"))?;
        prop_assert!(output[len..].iter().all(|&v| v == CANARY), "{level:?} wrote behind the row");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn dense_layers_compute_what_the_definition_says(case in cases()) {
        dense(&case)?;
    }

    #[test]
    fn depthwise_layers_compute_what_the_definition_says(case in cases()) {
        depthwise(&case)?;
    }

    #[test]
    fn every_level_gathers_and_rounds_to_the_nearest(
        bits in proptest::collection::vec(any::<u32>(), 64),
        from in proptest::collection::vec(0..32u32, 0..9),
    ) {
        let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
        for level in PairLevel::available() {
            let mut short = vec![Bf16::default(); from.len() * 32];
            gather(level, 32, &values, &from, &mut short);
            for (pixel, &from) in short.chunks_exact(32).zip(&from) {
                for (got, &value) in pixel.iter().zip(&values[from as usize..]) {
                    let (got, want) = (got.widen(), nearest(value));
                    prop_assert_eq!(value.is_nan(), got.is_nan());
                    let tiny = value.abs() < f32::MIN_POSITIVE && got == 0.0;
                    prop_assert!(
                        value.is_nan() || tiny || got.to_bits() == want.to_bits(),
                        "{:?}: {} for {}", level, got, value
                    );
                }
            }
        }
    }
}

/// The nearest bfloat16 by looking at both neighbours.
fn nearest(value: f32) -> f32 {
    let below = f32::from_bits(value.to_bits() & 0xffff_0000);
    // A NaN of all ones has nothing above it; what NaN becomes is not looked at here.
    let above = f32::from_bits((value.to_bits() & 0xffff_0000).wrapping_add(0x1_0000));
    // The step is the same on both sides; beyond the largest finite number it leads to infinity.
    let rest = value.to_bits() & 0xffff;
    let even = below.to_bits() >> 16 & 1 == 0;
    if rest < 0x8000 || rest == 0x8000 && even { below } else { above }
}

#[test]
fn the_rounding_is_the_known_one() {
    // 1 + 2^-8 lies between two; 1 + 3 * 2^-8 too, and there the even one is above.
    for (value, want) in [
        (1.0, 0x3f80u32),
        (1.003_906_3, 0x3f80),
        (1.003_907, 0x3f81),
        (1.011_718_8, 0x3f82),
        (f32::MAX, 0x7f80),
        (f32::NEG_INFINITY, 0xff80),
    ] {
        assert_eq!(Bf16::round(value).widen().to_bits() >> 16, want, "{value}");
    }
    assert!(Bf16::round(f32::from_bits(0x7f80_0001)).widen().is_nan());
}

#[test]
#[should_panic(expected = "leaves a buffer of 9")]
fn an_offset_behind_the_input_is_refused() {
    let dense = Dense { weights: &[1.0; 3], bias: &[0.0], inputs: 3, taps: 1 };
    let packed = PackedBf16::new(PairLevel::Portable, &dense);
    let mut output = [0.0f32; 32];
    let input = [Bf16::default(); 9];
    convolve_bf16(
        &packed,
        &input,
        &[6, 7],
        &mut output,
        &[0, 16],
        Residual::None,
        Epilogue::LINEAR,
    );
}
