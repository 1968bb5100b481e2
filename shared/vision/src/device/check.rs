//! A device's self-check: features of generated images by a network with generated weights, beside the CPU's, and images a second.

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use super::quiet::quietly;
use super::{Agreement, CPU_BATCH, Place, batch, generated_images};
use crate::backbones::{Architecture, Backbone, OnCandle, load_architecture};
use crate::precision::Precision;
use crate::weights::generated;

/// The weights have no file.
const DIGEST: [u8; 32] = [0; 32];

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// What was checked.
    pub engine: String,
    /// Its images at a time.
    pub batch: usize,
    /// How near its features are to the f32 features that it is held to.
    pub agreement: Agreement,
    /// Whether that is near enough.
    pub agrees: bool,
    /// The bar, in words.
    pub bar: String,
    /// Its speed.
    pub images_per_s: f64,
    /// What it is held to.
    pub reference: String,
    /// The speed of that.
    pub reference_images_per_s: f64,
}

/// Checks a place: a GPU against the compiled plan, the plan against candle's own operations on the CPU. Each is measured for at least
/// `seconds`, and once.
///
/// # Errors
/// A sentence: what failed.
pub fn check(
    place: &Place,
    architecture: &dyn Architecture,
    side: usize,
    precision: Precision,
    seconds: Duration,
) -> Result<Checked, String> {
    let network = architecture.network();
    let state = generated::state(architecture, 1.0);
    let plan = |precision| {
        load_architecture(architecture, state.clone(), DIGEST, precision)
            .map_err(|error| error.to_string())
    };
    let (checked, batch, reference, reference_name, reference_batch) = match place {
        Place::Gpu(gpu) => {
            let device = gpu
                .load(architecture, state.clone(), DIGEST, precision)
                .map_err(|fault| fault.sentence(&gpu.to_string()))?;
            let batch = batch(gpu.free(), &network, side, precision);
            (device, batch, plan(Precision::F32)?, Place::Cpu.to_string(), CPU_BATCH)
        }
        Place::Cpu => {
            let candle =
                OnCandle::new(architecture, state.clone(), DIGEST, &Device::Cpu, DType::F32)
                    .map_err(|error| error.to_string())?;
            let name = "cpu: candle's own operations, f32".to_owned();
            (plan(precision)?, CPU_BATCH, Box::new(candle) as Box<dyn Backbone>, name, 1)
        }
    };
    let images = generated_images(2, &network, side);
    let check = || -> candle_core::Result<Checked> {
        let features = checked.forward(&images)?;
        let agreement = Agreement::of(&features, &reference.forward(&images)?)?;
        Ok(Checked {
            engine: place.to_string(),
            batch,
            agreement,
            agrees: agreement.suffices(precision),
            bar: Agreement::bar(precision),
            images_per_s: speed(checked.as_ref(), &images, batch, seconds)?,
            reference: reference_name,
            reference_images_per_s: speed(reference.as_ref(), &images, reference_batch, seconds)?,
        })
    };
    quietly(check)
}

/// Images a second, in batches of the first image over and over; one batch goes ahead.
fn speed(
    backbone: &dyn Backbone,
    images: &Tensor,
    batch: usize,
    at_least: Duration,
) -> candle_core::Result<f64> {
    let images = images.narrow(0, 0, 1)?.repeat((batch, 1, 1, 1))?;
    backbone.forward(&images)?;
    let (start, mut rounds) = (Instant::now(), 0);
    while rounds == 0 || start.elapsed() < at_least {
        backbone.forward(&images)?;
        rounds += 1;
    }
    Ok((rounds * batch) as f64 / start.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones::BackboneEntry;

    #[test]
    fn the_plan_is_held_to_candles_operations() {
        let architecture = BackboneEntry::find("resnet18").unwrap().architecture();
        let check = |precision| check(&Place::Cpu, architecture, 64, precision, Duration::ZERO);
        let checked = check(Precision::F32).unwrap();
        assert!(checked.agrees && checked.agreement.difference < 1e-4, "{checked:?}");
        assert!(checked.images_per_s > 0.0 && checked.reference_images_per_s > 0.0);
        assert!(
            checked.engine.starts_with("cpu: compiled plan")
                && checked.reference.contains("candle")
        );
        let half = check(Precision::Bf16).unwrap();
        assert!(half.agreement.difference > checked.agreement.difference, "{half:?}");
    }
}
