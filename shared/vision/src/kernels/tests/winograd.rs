//! Winograd over bands of tiles.

use proptest::prelude::*;

use super::super::reference::activation;
use super::super::winograd::{Added, Bands, Extent, Grid, PackedWinograd, winograd};
use super::super::{Dense, Epilogue, Level, padded};
use super::{CANARY, Reference, noise};

#[derive(Debug, Clone)]
struct Case {
    extent: Extent,
    images: usize,
    channels: (usize, usize),
    /// Start, and what each pitch has beyond what it must.
    from: [usize; 4],
    to: [usize; 4],
    /// Where the bands are split into two calls, in percent.
    split: usize,
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
    let size = || (1..20usize, 1..20usize);
    let gaps =
        || (0..40usize, 0..40usize, 0..40usize, 0..40usize).prop_map(|(a, b, c, d)| [a, b, c, d]);
    (
        (size(), size(), (0..3usize, 0..3usize), 1..4usize),
        (1..80usize, 1..80usize),
        (gaps(), gaps(), 0..101usize, any::<bool>(), epilogue, any::<u64>()),
    )
        .prop_map(
            |(
                (input, output, border, images),
                channels,
                (from, to, split, added, epilogue, seed),
            )| Case {
                extent: Extent { input, output, border },
                images,
                channels,
                from,
                to,
                split,
                added,
                epilogue,
                seed,
            },
        )
}

fn grid((h, w): (usize, usize), channels: usize, gaps: [usize; 4]) -> Grid {
    let pixel = channels + gaps[1];
    let row = w * pixel + gaps[2];
    Grid { start: gaps[0], pixel, row, image: h * row + gaps[3] }
}

fn run(level: Level, case: &Case) -> Result<(), TestCaseError> {
    let Case { extent, images, channels: (inputs, outputs), epilogue, seed, .. } = *case;
    let (weights, bias) = (noise(seed, outputs * inputs * 9), noise(seed ^ 1, outputs));
    let dense = Dense { weights: &weights, bias: &bias, inputs, taps: 9 };
    let packed = PackedWinograd::new(level, &dense);
    let from = grid(extent.input, padded(inputs), case.from);
    let to = grid(extent.output, padded(outputs), case.to);
    let input = noise(seed ^ 2, from.start + images * from.image);
    let added = noise(seed ^ 3, to.start + images * to.image);
    let mut output = vec![CANARY; added.len()];

    let per_image = extent.bands();
    let split = images * per_image * case.split / 100;
    for bands in [0..split, split..images * per_image] {
        let needed = packed.scratch(bands.len() * extent.tiles());
        let mut scratch = vec![CANARY; needed + 64];
        let piece = bands.start / per_image * to.image + bands.start % per_image * 4 * to.row;
        let work = Bands {
            extent,
            bands,
            input: (&input, from),
            output: (&mut output[piece..], to),
            added: if case.added { Added::Map(&added[piece..]) } else { Added::None },
            epilogue,
        };
        winograd(&packed, work, &mut scratch[..needed]);
        prop_assert!(scratch[needed..].iter().all(|&v| v == CANARY), "wrote behind the scratch");
    }

    let reference = Reference {
        weights: &weights,
        bias: &bias,
        kernel: 3,
        stride: 1,
        size: extent.input,
        border: extent.border,
    };
    let (mut wanted, mut largest) = (Vec::new(), 1e-3f64);
    for image in 0..images {
        for (y, x) in (0..extent.output.0).flat_map(|y| (0..extent.output.1).map(move |x| (y, x))) {
            let at = to.start + image * to.image + y * to.row + x * to.pixel;
            for c in 0..outputs {
                let read = |y: usize, x: usize, i: usize| {
                    input[from.start + image * from.image + y * from.row + x * from.pixel + i]
                };
                let residual = if case.added { f64::from(added[at + c]) } else { 0.0 };
                let want = reference.sum(c, y, x, read) + residual;
                largest = largest.max(want.abs());
                wanted.push((at + c, activation(epilogue, want)));
            }
            // What lies in the padding is nobody's business.
            output[at + outputs..at + padded(outputs)].fill(CANARY);
        }
    }
    for (at, want) in wanted {
        let got = f64::from(std::mem::replace(&mut output[at], CANARY));
        prop_assert!(
            (got - want).abs() <= 3e-5 * largest,
            "{level:?}: {got} for {want} of {largest}"
        );
    }
    prop_assert!(
        output.iter().all(|&v| v == CANARY),
        "{level:?} wrote outside the output's pixels"
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_level_computes_what_the_definition_says(case in cases()) {
        for level in Level::available() {
            run(level, &case)?;
        }
    }
}

fn small(extent: Extent) -> (PackedWinograd, Grid) {
    let dense = Dense { weights: &[0.5; 9], bias: &[0.0], inputs: 1, taps: 9 };
    (PackedWinograd::new(Level::Portable, &dense), grid(extent.output, 16, [0; 4]))
}

const EXTENT: Extent = Extent { input: (5, 5), output: (5, 5), border: (1, 1) };

#[test]
#[should_panic(expected = "the input maps leave their buffer")]
fn a_short_input_is_refused() {
    let (packed, grid) = small(EXTENT);
    let (input, mut output) = ([0.0; 399], [0.0; 400]);
    let mut scratch = vec![0.0; packed.scratch(4)];
    let (output, added) = ((&mut output[..], grid), Added::None);
    let epilogue = Epilogue::RELU6;
    let work =
        Bands { extent: EXTENT, bands: 0..2, input: (&input, grid), output, added, epilogue };
    winograd(&packed, work, &mut scratch);
}

#[test]
#[should_panic(expected = "the output maps leave their buffer")]
fn a_short_output_is_refused() {
    let (packed, grid) = small(EXTENT);
    let (input, mut output) = ([0.0; 400], [0.0; 399]);
    let mut scratch = vec![0.0; packed.scratch(4)];
    let (output, added) = ((&mut output[..], grid), Added::None);
    let epilogue = Epilogue::RELU6;
    let work =
        Bands { extent: EXTENT, bands: 0..2, input: (&input, grid), output, added, epilogue };
    winograd(&packed, work, &mut scratch);
}
