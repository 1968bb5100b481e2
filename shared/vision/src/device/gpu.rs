//! What GPUs this machine and this build have between them.

use std::fmt;

use candle_core::{DType, Device};

use super::quiet::quietly;
use super::{DeviceChoice, Facts, Fault, Free, cpu_engine};
use crate::backbones::{Architecture, Backbone, OnCandle};
use crate::network::candle::LoadError;
use crate::precision::Precision;
use crate::weights::StateDict;

/// Where networks compute.
#[derive(Debug, Clone)]
pub enum Place {
    /// On the CPU.
    Cpu,
    /// On a GPU that answers.
    Gpu(Gpu),
}

/// A GPU that answers.
#[derive(Debug, Clone)]
pub struct Gpu {
    device: Device,
    choice: DeviceChoice,
    name: String,
    free: Free,
    facts: Facts,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str(&cpu_engine()),
            Self::Gpu(gpu) => write!(f, "{gpu}: candle"),
        }
    }
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.choice, self.name)
    }
}

impl Gpu {
    /// The name that chooses it.
    pub fn choice(&self) -> DeviceChoice {
        self.choice
    }

    /// Its free memory when it was found.
    pub fn free(&self) -> Free {
        self.free
    }

    /// Its versions and this build's.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Loads a network onto it.
    ///
    /// # Errors
    /// Whatever goes wrong there.
    pub fn load(
        &self,
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
        precision: Precision,
    ) -> Result<Box<dyn Backbone>, Fault> {
        let dtype = match precision {
            Precision::F32 => DType::F32,
            Precision::Bf16 => DType::BF16,
        };
        let load = || -> Result<_, LoadError> {
            let network = OnCandle::new(architecture, state, digest, &self.device, dtype)?;
            Ok(Box::new(network) as Box<dyn Backbone>)
        };
        quietly(load).map_err(|text| Fault::of(&text, &self.facts))
    }
}

/// The features for GPUs that this program was built with.
pub fn built() -> Vec<&'static str> {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("metal", cfg!(feature = "metal")),
    ];
    all.into_iter().filter(|(_, is_built)| *is_built).map(|(name, _)| name).collect()
}

/// The GPUs that a choice may mean in this build, in the order in which they are tried.
fn candidates(choice: DeviceChoice) -> Vec<DeviceChoice> {
    match choice {
        DeviceChoice::Cpu => vec![],
        DeviceChoice::Auto => {
            let all = [
                (DeviceChoice::Cuda(0), cfg!(feature = "cuda")),
                (DeviceChoice::Metal, cfg!(feature = "metal")),
            ];
            all.into_iter().filter(|(_, is_built)| *is_built).map(|(choice, _)| choice).collect()
        }
        one => vec![one],
    }
}

/// Finds the place that a choice means. Where that was to be a GPU and is the CPU, the sentence says why.
pub fn look(choice: DeviceChoice) -> (Place, Option<String>) {
    let mut first = None;
    for candidate in candidates(choice) {
        match open(candidate) {
            Ok(gpu) => return (Place::Gpu(gpu), None),
            Err(fault) => {
                first.get_or_insert(fault.sentence(&candidate.to_string()));
            }
        }
    }
    (Place::Cpu, first)
}

/// Every GPU that this build may use, and what is wrong with it; of NVIDIA's as many as there are, and at least the first.
pub fn offered() -> Vec<(DeviceChoice, Result<Gpu, Fault>)> {
    let mut all = Vec::new();
    if cfg!(feature = "cuda") {
        for number in 0.. {
            let opened = open(DeviceChoice::Cuda(number));
            // One that is busy or too old doesn't hide those behind it.
            let is_last =
                matches!(opened, Err(Fault::NoDevice | Fault::NoDriver | Fault::NoLibrary(_)))
                    || number == 63;
            if number == 0 || !matches!(opened, Err(Fault::NoDevice)) {
                all.push((DeviceChoice::Cuda(number), opened));
            }
            if is_last {
                break;
            }
        }
    }
    if cfg!(feature = "metal") {
        all.push((DeviceChoice::Metal, open(DeviceChoice::Metal)));
    }
    all
}

/// Opens one GPU.
fn open(choice: DeviceChoice) -> Result<Gpu, Fault> {
    match choice {
        DeviceChoice::Cuda(number) => cuda(number),
        DeviceChoice::Metal => metal(),
        DeviceChoice::Auto | DeviceChoice::Cpu => Err(Fault::NoDevice),
    }
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Gpu, Fault> {
    Err(Fault::NotBuilt("cuda"))
}

#[cfg(feature = "cuda")]
fn cuda(number: usize) -> Result<Gpu, Fault> {
    use super::cuda;

    let mut facts = cuda::facts();
    let fault = |text: String, facts: &Facts| Fault::of(&text, facts);
    let device = quietly(|| Device::new_cuda(number)).map_err(|text| fault(text, &facts))?;
    let about = quietly(|| cuda::about(&device)).map_err(|text| fault(text, &facts))?;
    facts.capability = Some(about.capability);
    let choice = DeviceChoice::Cuda(number);
    Ok(Gpu { device, choice, name: about.name, free: Free::Bytes(about.free), facts })
}

#[cfg(not(feature = "metal"))]
fn metal() -> Result<Gpu, Fault> {
    Err(Fault::NotBuilt("metal"))
}

#[cfg(feature = "metal")]
fn metal() -> Result<Gpu, Fault> {
    let facts = Facts::default();
    let device = quietly(|| Device::new_metal(0)).map_err(|text| Fault::of(&text, &facts))?;
    let name = "Apple GPU".to_owned();
    Ok(Gpu { device, choice: DeviceChoice::Metal, name, free: Free::Unknown, facts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_needs_no_explanation() {
        let (place, why) = look(DeviceChoice::Cpu);
        assert!(matches!(place, Place::Cpu) && why.is_none());
        assert!(place.to_string().starts_with("cpu: compiled plan, "));
    }

    #[cfg(not(any(feature = "cuda", feature = "metal")))]
    #[test]
    fn a_build_without_gpus_says_so_only_when_one_is_asked_for() {
        assert!(matches!(look(DeviceChoice::Auto), (Place::Cpu, None)));
        for choice in [DeviceChoice::Cuda(1), DeviceChoice::Metal] {
            let (place, why) = look(choice);
            let why = why.unwrap();
            assert!(matches!(place, Place::Cpu));
            assert!(
                why.starts_with(&format!("{choice} isn't used: this program was built without")),
                "{why}"
            );
        }
        assert!(built().is_empty());
    }
}
