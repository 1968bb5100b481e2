//! Where a network computes: by the compiled plan on the CPU, or by candle's operations on a GPU, with the CPU to fall back on.
//!
//! [`DeviceChoice`] is what a site asks for, [`look`] finds what there is, and [`load`] loads a backbone there. Whatever goes wrong on a
//! GPU is a [`Fault`], said once; the work goes on on the CPU. [`check`] holds a device to the CPU's features.

mod agreement;
mod check;
mod choice;
#[cfg(feature = "cuda")]
mod cuda;
mod fault;
mod gpu;
mod guarded;
mod memory;
mod quiet;

pub use agreement::Agreement;
pub use check::{Checked, check};
pub use choice::{DeviceChoice, UnknownDevice};
pub use fault::{Facts, Fault, Version};
pub use gpu::{Gpu, Place, built, look, offered};
pub use guarded::{Guarded, Say};
pub use memory::{CPU_BATCH, Free, batch};

use std::sync::Arc;

use candle_core::Tensor;

use crate::backbones::{Architecture, Backbone, BackboneEntry, load_architecture};
use crate::kernels::Level;
use crate::network::Network;
use crate::precision::Precision;
use crate::weights::{LocalWeights, StateDict, WeightsError, generated};

/// A backbone where it computes.
pub struct Loaded {
    /// The backbone. On a GPU it is a [`Guarded`] one.
    pub backbone: Arc<dyn Backbone>,
    /// Images to put through at a time.
    pub batch: usize,
}

/// What computes on this machine's CPU, in words: "cpu: compiled plan, AVX-512".
pub fn cpu_engine() -> String {
    let level = match Level::detect() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => "AVX-512",
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => "AVX2",
        Level::Portable => "portable code",
    };
    format!("cpu: compiled plan, {level}")
}

/// Loads a backbone at a place. `say` hears, in one sentence, when a GPU can't be used or fails later; the CPU computes then.
///
/// # Errors
/// The file can't be read, or doesn't hold the architecture's tensors. A device's faults are none.
pub fn load(
    place: &Place,
    entry: &BackboneEntry,
    weights: &LocalWeights,
    precision: Precision,
    side: usize,
    say: Say,
) -> Result<Loaded, WeightsError> {
    let state = StateDict::read(weights)?;
    load_state(place, entry.architecture(), state, weights.digest, precision, side, say)
}

fn load_state(
    place: &Place,
    architecture: &dyn Architecture,
    state: StateDict,
    digest: [u8; 32],
    precision: Precision,
    side: usize,
    say: Say,
) -> Result<Loaded, WeightsError> {
    let Place::Gpu(gpu) = place else {
        let backbone = load_architecture(architecture, state, digest, precision)?;
        return Ok(Loaded { backbone: Arc::from(backbone), batch: CPU_BATCH });
    };
    let cpu = load_architecture(architecture, state.clone(), digest, precision)?;
    let network = architecture.network();
    let batch = batch(gpu.free(), &network, side, precision);
    let opened = gpu.load(architecture, state, digest, precision);
    let proven = opened.and_then(|device| {
        let images = generated_images(2, &network, side);
        let (facts, place) = (gpu.facts().clone(), gpu.to_string());
        Guarded::proven(device, cpu.as_ref(), precision, &images, facts, place)
    });
    match proven {
        Ok(proven) => Ok(Loaded { backbone: Arc::new(proven.with_cpu(cpu, batch, say)), batch }),
        Err(fault) => {
            say(&fault.sentence(&gpu.to_string()));
            Ok(Loaded { backbone: Arc::from(cpu), batch: CPU_BATCH })
        }
    }
}

/// `[count, channels, side, side]`: as many different images as a network may see.
fn generated_images(count: usize, network: &Network, side: usize) -> Tensor {
    let images: Vec<Tensor> =
        (0..count).map(|n| generated::image(n, network.image_channels(), side, side)).collect();
    Tensor::cat(&images, 0).expect("all have the same shape")
}
