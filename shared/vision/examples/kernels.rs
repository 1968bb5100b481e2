//! GFLOP/s of the CPU kernels on the layers of well-known networks, at 1 and 2 threads (each thread has its own images).
//!
//! `cargo run --release -p wardround-vision --features bench --example kernels [-- FILTER [THREADS]]` prints the best of many short runs, and the share of what a
//! product within the first-level cache reaches in the same minute: other work on the machine lowers both. Winograd counts the
//! operations of the definition.

#[allow(
    dead_code,
    unused_imports,
    missing_docs,
    reason = "the kernels are private to the crate, and not all are run here"
)]
#[path = "../src/kernels/mod.rs"]
mod kernels;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use kernels::{
    Added, Aligned, Bands, Bf16, Dense, Epilogue, Extent, Grid, Level, PackedBf16,
    PackedConvolution, PackedDepthwise, PackedWinograd, PairLevel, Residual, convolve,
    convolve_bf16, depthwise_row, padded, winograd,
};

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let level = Level::detect();
    let wanted = std::env::args().nth(2).and_then(|threads| threads.parse().ok());
    for threads in [1, 2] {
        if wanted.is_some_and(|wanted: usize| wanted != threads) {
            continue;
        }
        println!("{level:?}, {threads} thread(s): GFLOP/s, share of the product in cache");
        let bench = Bench { level, threads, filter: &filter, peak: Bench::peak(level, threads) };
        println!("{:>8.1}  product in cache", bench.peak);
        for (channels, size) in [(64, 56), (128, 28), (256, 14), (512, 7)] {
            bench.winograd(channels, channels, size, if size == 7 { 8 } else { 1 });
        }
        for (channels, size) in [(256, 56), (512, 28), (128, 112), (512, 14)] {
            bench.winograd(channels, channels, size, 1);
        }
        bench.winograd(128, 32, 28, 1);
        for (inputs, outputs, size, kernel, stride, skip) in [
            (64, 64, 56, 3, 1, false),
            (128, 128, 28, 3, 1, false),
            (256, 256, 14, 3, 1, false),
            (512, 512, 7, 3, 1, false),
            (128, 128, 56, 3, 2, false),
            (64, 256, 56, 1, 1, true),
            (256, 64, 56, 1, 1, false),
            (128, 512, 28, 1, 1, true),
            (1024, 256, 14, 1, 1, false),
            (256, 1024, 14, 1, 1, true),
            (512, 2048, 7, 1, 1, true),
            (32, 16, 112, 1, 1, false),
            (16, 96, 112, 1, 1, false),
            (96, 24, 56, 1, 1, false),
            (24, 144, 56, 1, 1, false),
            (144, 40, 28, 1, 1, false),
            (40, 240, 28, 1, 1, false),
            (240, 80, 14, 1, 1, false),
            (80, 480, 14, 1, 1, false),
            (480, 112, 14, 1, 1, false),
            (112, 672, 14, 1, 1, false),
            (147, 64, 112, 1, 1, false),
            (27, 32, 112, 1, 1, false),
        ] {
            bench.dense((inputs, outputs), size, kernel, stride, skip);
            bench.dense_bf16((inputs, outputs), size, kernel, stride, skip);
        }
        for (channels, size, kernel, stride) in [
            (144, 56, 3, 1),
            (672, 14, 5, 1),
            (240, 28, 5, 1),
            (96, 112, 3, 2),
            (32, 112, 3, 1),
            (96, 56, 7, 1),
            (384, 14, 7, 1),
        ] {
            bench.depthwise(channels, size, kernel, stride);
        }
    }
}

struct Bench<'a> {
    level: Level,
    threads: usize,
    filter: &'a str,
    peak: f64,
}

impl Bench<'_> {
    fn winograd(&self, inputs: usize, outputs: usize, size: usize, images: usize) {
        let name = format!("winograd 3x3 {inputs}->{outputs} @{size} x{images}");
        let flops = images * size * size * outputs * inputs * 18;
        self.measure(&name, flops, || {
            let (weights, bias) = (noise(inputs * outputs * 9), noise(outputs));
            let dense = Dense { weights: &weights, bias: &bias[..outputs], inputs, taps: 9 };
            let packed = PackedWinograd::new(self.level, &dense);
            let grid = |channels: usize| {
                let row = size * channels;
                Grid { start: 0, pixel: channels, row, image: size * row }
            };
            let extent = Extent { input: (size, size), output: (size, size), border: (1, 1) };
            let bands = images * extent.bands();
            let input = noise(images * size * size * inputs);
            let mut output = Aligned::zeros(images * size * size * outputs);
            let mut scratch = Aligned::zeros(packed.scratch(bands * extent.tiles()));
            move || {
                let work = Bands {
                    extent,
                    bands: 0..bands,
                    input: (&input, grid(inputs)),
                    output: (&mut output, grid(outputs)),
                    added: Added::None,
                    epilogue: Epilogue::RELU,
                };
                winograd(&packed, work, &mut scratch);
            }
        });
    }

    fn dense(
        &self,
        (inputs, outputs): (usize, usize),
        size: usize,
        kernel: usize,
        stride: usize,
        skip: bool,
    ) {
        let with = if skip { " + skip" } else { "" };
        let name = format!("dense {kernel}x{kernel} s{stride} {inputs}->{outputs}{with} @{size}");
        let out = size / stride;
        self.measure(&name, out * out * inputs * outputs * kernel * kernel * 2, || {
            let taps = kernel * kernel;
            let (weights, bias) = (noise(inputs * outputs * taps), noise(outputs));
            let dense = Dense { weights: &weights, bias: &bias[..outputs], inputs, taps };
            let packed = PackedConvolution::new(self.level, &dense);
            let (from_pitch, to_pitch) = (padded(inputs), padded(outputs));
            let side = size + kernel - 1;
            let input = noise(side * side * from_pitch);
            let added = noise(if skip { out * out * to_pitch } else { 0 });
            let mut output = Aligned::zeros(out * out * to_pitch);
            let blocks = blocks(out, side, kernel, stride, (from_pitch, to_pitch), 4);
            move || {
                for (from, to) in &blocks {
                    let residual = if skip { Residual::Add(&added, to) } else { Residual::None };
                    convolve(&packed, &input, from, &mut output, to, residual, Epilogue::RELU);
                }
            }
        });
    }

    fn dense_bf16(
        &self,
        (inputs, outputs): (usize, usize),
        size: usize,
        kernel: usize,
        stride: usize,
        skip: bool,
    ) {
        let level = PairLevel::detect(self.level);
        let with = if skip { " + skip" } else { "" };
        let name =
            format!("bf16 {level:?} {kernel}x{kernel} s{stride} {inputs}->{outputs}{with} @{size}");
        let out = size / stride;
        self.measure(&name, out * out * inputs * outputs * kernel * kernel * 2, || {
            let taps = kernel * kernel;
            let (weights, bias) = (noise(inputs * outputs * taps), noise(outputs));
            let dense = Dense { weights: &weights, bias: &bias[..outputs], inputs, taps };
            let packed = PackedBf16::new(level, &dense);
            let (from_pitch, to_pitch) = (padded(inputs), padded(outputs));
            let side = size + kernel - 1;
            let input = brief(side * side * from_pitch);
            let added = noise(if skip { out * out * to_pitch } else { 0 });
            let mut output = Aligned::zeros(out * out * to_pitch);
            let blocks = blocks(out, side, kernel, stride, (from_pitch, to_pitch), 2);
            move || {
                for (from, to) in &blocks {
                    let residual = if skip { Residual::Add(&added, to) } else { Residual::None };
                    convolve_bf16(&packed, &input, from, &mut output, to, residual, Epilogue::RELU);
                }
            }
        });
    }

    fn depthwise(&self, channels: usize, size: usize, kernel: usize, stride: usize) {
        let name = format!("depthwise {kernel}x{kernel} s{stride} {channels} @{size}");
        let out = size / stride;
        self.measure(&name, out * out * channels * kernel * kernel * 2, || {
            let (weights, bias) = (noise(channels * kernel * kernel), noise(channels));
            let packed = PackedDepthwise::new(
                self.level,
                &weights[..channels * kernel * kernel],
                &bias[..channels],
                kernel,
                stride,
            );
            let row = (size + kernel) * padded(channels);
            let input = noise((size + kernel) * row);
            let mut output = Aligned::zeros(out * out * padded(channels));
            move || {
                for (y, line) in output.chunks_exact_mut(out * padded(channels)).enumerate() {
                    let mut rows = [0; 7];
                    for (ky, start) in rows[..kernel].iter_mut().enumerate() {
                        *start = (y * stride + ky) * row;
                    }
                    depthwise_row(&packed, &input, &rows[..kernel], line, Epilogue::RELU);
                }
            }
        });
    }

    /// What the machine gives at this moment: a product of 12 pixels x 32 channels, which stays in the first-level cache.
    fn peak(level: Level, threads: usize) -> f64 {
        let (inputs, outputs, pixels) = (128, 32, 84);
        let (weights, bias) = (noise(inputs * outputs), noise(outputs));
        let packed = PackedConvolution::new(
            level,
            &Dense { weights: &weights, bias: &bias[..outputs], inputs, taps: 1 },
        );
        best(threads, inputs * outputs * pixels * 2, || {
            let packed = &packed;
            let input = noise(pixels * (inputs + 16));
            let mut output = Aligned::zeros(pixels * outputs);
            let from: Vec<u32> = (0..pixels).map(|p| (p * (inputs + 16)) as u32).collect();
            let to: Vec<u32> = (0..pixels).map(|p| (p * outputs) as u32).collect();
            move || {
                convolve(packed, &input, &from, &mut output, &to, Residual::None, Epilogue::RELU)
            }
        })
    }

    fn measure<F: FnMut()>(&self, name: &str, flops: usize, make: impl Fn() -> F + Sync) {
        if name.contains(self.filter) {
            let speed = best(self.threads, flops, make);
            println!("{speed:>8.1}  {:>4.0} %  {name}", 100.0 * speed / self.peak);
        }
    }
}

/// The best of many short runs, in GFLOP/s of all threads together.
fn best<F: FnMut()>(threads: usize, flops: usize, make: impl Fn() -> F + Sync) -> f64 {
    let barrier = Barrier::new(threads);
    let thread = || {
        let mut run = make();
        run();
        let once = Instant::now();
        run();
        let repeats = (Duration::from_millis(1).as_nanos() / once.elapsed().as_nanos().max(1))
            .clamp(1, 10_000);
        let mut times = Vec::new();
        for _ in 0..200 {
            barrier.wait();
            let start = Instant::now();
            (0..repeats).for_each(|_| run());
            times.push(start.elapsed().as_secs_f64() / repeats as f64);
        }
        times
    };
    let times: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        workers.into_iter().map(|w| w.join().expect("a kernel doesn't panic")).collect()
    });
    let slowest = |run: usize| times.iter().map(|t| t[run]).fold(0.0, f64::max);
    let fastest = (0..times[0].len()).map(slowest).fold(f64::INFINITY, f64::min);
    (threads * flops) as f64 / fastest / 1e9
}

/// Offsets of blocks of pixels, as the engine makes them: each block reads 384 KiB of `bytes` long elements.
fn blocks(
    out: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    (from_pitch, to_pitch): (usize, usize),
    bytes: usize,
) -> Vec<(Vec<u32>, Vec<u32>)> {
    let block = ((384 << 10) / bytes / from_pitch).max(64);
    let starts = (0..out * out).step_by(block);
    starts
        .map(|first| {
            let pixels = first..(first + block).min(out * out);
            let from = (0..kernel * kernel).flat_map(|t| {
                pixels.clone().map(move |p| {
                    let (y, x) = (p / out * stride + t / kernel, p % out * stride + t % kernel);
                    ((y * side + x) * from_pitch) as u32
                })
            });
            (from.collect(), pixels.clone().map(|p| (p * to_pitch) as u32).collect())
        })
        .collect()
}

fn brief(len: usize) -> Vec<Bf16> {
    noise(len).iter().map(|&v| Bf16::round(v)).collect()
}

/// Numbers in [-1, 1) that look random.
fn noise(len: usize) -> Aligned {
    let mut values = Aligned::zeros(len);
    let mut state = 1u64;
    for value in values.iter_mut() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *value = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
    }
    values
}
