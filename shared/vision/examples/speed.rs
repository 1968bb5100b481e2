//! Images per second of a backbone with generated weights, as one line of JSON.
//!
//!     cargo run --release -p wardround-vision --example speed -- BACKBONE [--batch N] [--threads N] [--precision f32|bf16] [--seconds S] [--layers]
//!
//! By default batches of 16, one thread per processor, f32, 5 seconds. `--layers` prints the time of every step of the compiled plan instead,
//! for a batch that goes through together, the fastest of several runs.

use std::error::Error;
use std::time::Instant;

use candle_core::{Device, Tensor};
use wardround_vision::backbones::{Architecture, Backbone, Compiled};
use wardround_vision::weights::{Parameter, StateDict};
use wardround_vision::{BackboneEntry, Precision};

struct Options {
    backbone: String,
    batch: usize,
    threads: usize,
    precision: Precision,
    seconds: f64,
    layers: bool,
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options {
        backbone: String::new(),
        batch: 16,
        threads: std::thread::available_parallelism()?.get(),
        precision: Precision::F32,
        seconds: 5.0,
        layers: false,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--batch" => options.batch = value()?.parse()?,
            "--threads" => options.threads = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--precision" => {
                options.precision = serde_json::from_value(value()?.into())
                    .map_err(|_| "--precision is f32 or bf16")?;
            }
            "--layers" => options.layers = true,
            name if !name.starts_with('-') => name.clone_into(&mut options.backbone),
            _ => return Err(format!("unknown option {argument}").into()),
        }
    }
    if options.backbone.is_empty() || options.batch == 0 {
        return Err(
            "usage: speed BACKBONE [--batch N] [--threads N] [--precision f32|bf16] [--seconds S] [--layers]".into()
        );
    }
    Ok(options)
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = options()?;
    let entry = BackboneEntry::find(&options.backbone)
        .ok_or_else(|| format!("no backbone `{}`", options.backbone))?;
    let architecture = entry.architecture();
    let state = generated(architecture);
    let backbone =
        Compiled::with_threads(architecture, state, [0; 32], options.precision, options.threads)?;
    let shape = (
        options.batch,
        architecture.network().image_channels(),
        entry.input_size,
        entry.input_size,
    );
    let images = noise(1, shape.0 * shape.1 * shape.2 * shape.3);
    let images = Tensor::from_vec(images, shape, &Device::Cpu)?;
    if options.layers {
        for step in backbone.step_times(&images, options.seconds)? {
            println!("{:9.3} ms {:7.1} GFLOP/s  {}", step.milliseconds, step.gflops, step.name);
        }
        return Ok(());
    }
    backbone.forward(&images)?;
    // The fastest batch too: on a machine with other work the mean says little.
    let (start, mut batches, mut fastest) = (Instant::now(), 0u32, f64::INFINITY);
    while batches == 0 || start.elapsed().as_secs_f64() < options.seconds {
        let begun = Instant::now();
        backbone.forward(&images)?;
        fastest = fastest.min(begun.elapsed().as_secs_f64());
        batches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let batch = options.batch as f64;
    println!(
        "{}",
        serde_json::json!({
            "backbone": options.backbone,
            "batch": options.batch,
            "threads": options.threads,
            "precision": options.precision,
            "images_per_second": batch * f64::from(batches) / seconds,
            "best_images_per_second": batch / fastest,
        })
    );
    Ok(())
}

/// Weights that keep maps near 1.
fn generated(architecture: &dyn Architecture) -> StateDict {
    let parameter = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
        let mut values = noise(i as u64, shape.iter().product());
        let fan_in: usize = shape.iter().skip(1).product();
        for v in &mut values {
            *v = match name.rsplit('.').next() {
                Some("running_var") => 1.0 + v.abs(),
                Some("weight") if shape.len() == 1 => 1.0 + *v / 2.0,
                _ if shape.len() > 1 => *v * (6.0 / fan_in as f32).sqrt(),
                _ => *v / 4.0,
            };
        }
        (name, Parameter { shape, values })
    };
    architecture.network().parameters().into_iter().enumerate().map(parameter).collect()
}

/// Numbers in [-1, 1) that look random.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}
