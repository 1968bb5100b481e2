//! A backbone on a device that may fail, before one on the CPU that doesn't.
//!
//! Memory that runs out halves the batch; any other fault, and memory that runs out with a single image, hands the batch and all later
//! ones to the CPU. Nothing is lost, and who asked for features notices nothing but the sentence.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{Result, Tensor};

use super::quiet::quietly;
use super::{Agreement, Facts, Fault};
use crate::backbones::Backbone;
use crate::network::Stage;
use crate::precision::Precision;

/// Hears one sentence for the log.
pub type Say = Box<dyn Fn(&str) + Send + Sync>;

/// A backbone on a device, with the CPU's to fall back on.
pub struct Guarded {
    at: Mutex<At>,
    cpu: Box<dyn Backbone>,
    facts: Facts,
    place: String,
    say: Say,
}

/// Where the next batch computes.
enum At {
    Device {
        backbone: Box<dyn Backbone>,
        /// Images that fit at once.
        limit: usize,
    },
    Cpu,
}

/// A device's backbone whose features are the CPU's.
pub struct Proven {
    device: Box<dyn Backbone>,
    facts: Facts,
    place: String,
}

impl Guarded {
    /// Puts `images` through both, so that no device that computes something else fills a cache.
    ///
    /// # Errors
    /// What goes wrong on the device; [`Fault::Disagrees`].
    pub fn proven(
        device: Box<dyn Backbone>,
        cpu: &dyn Backbone,
        precision: Precision,
        images: &Tensor,
        facts: Facts,
        place: String,
    ) -> std::result::Result<Proven, Fault> {
        let proof = || Agreement::of(&device.forward(images)?, &cpu.forward(images)?);
        let agreement = quietly(proof).map_err(|text| Fault::of(&text, &facts))?;
        match agreement.suffices(precision) {
            true => Ok(Proven { device, facts, place }),
            false => Err(Fault::Disagrees(format!(
                "difference {:.1e}, cosine {:.5}; {} has the {}",
                agreement.difference,
                agreement.cosine,
                precision,
                Agreement::bar(precision)
            ))),
        }
    }

    /// Whether the device is still in use.
    pub fn is_on_device(&self) -> bool {
        matches!(*self.at(), At::Device { .. })
    }

    fn at(&self) -> MutexGuard<'_, At> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, images: &Tensor, ask: Ask<'_>) -> Result<Vec<Tensor>> {
        let mut at = self.at();
        if let At::Device { backbone, limit } = &mut *at {
            match in_parts(backbone.as_ref(), limit, images, ask, &self.facts) {
                Ok(outputs) => return Ok(outputs),
                Err(fault) => {
                    // Its memory goes with it.
                    *at = At::Cpu;
                    (self.say)(&fault.sentence(&self.place));
                }
            }
        }
        drop(at);
        ask(self.cpu.as_ref(), images)
    }
}

impl Proven {
    /// With the CPU's backbone, batches of up to `limit` images, and who hears of a fault.
    pub fn with_cpu(self, cpu: Box<dyn Backbone>, limit: usize, say: Say) -> Guarded {
        let at = At::Device { backbone: self.device, limit: limit.max(1) };
        Guarded { at: Mutex::new(at), cpu, facts: self.facts, place: self.place, say }
    }
}

/// What is asked of a backbone for a batch: outputs whose first axis is the images.
type Ask<'a> = &'a dyn Fn(&dyn Backbone, &Tensor) -> Result<Vec<Tensor>>;

/// Runs a batch in parts of up to `limit` images, which is halved when memory runs out.
fn in_parts(
    backbone: &dyn Backbone,
    limit: &mut usize,
    images: &Tensor,
    ask: Ask<'_>,
    facts: &Facts,
) -> std::result::Result<Vec<Tensor>, Fault> {
    let fault = |text: String| Fault::of(&text, facts);
    let count = quietly(|| images.dim(0)).map_err(fault)?;
    let (mut parts, mut start) = (Vec::new(), 0);
    while start < count {
        let take = (*limit).min(count - start);
        match quietly(|| ask(backbone, &images.narrow(0, start, take)?.contiguous()?)) {
            Ok(outputs) => {
                parts.push(outputs);
                start += take;
            }
            Err(text) => match fault(text) {
                Fault::OutOfMemory if take > 1 => *limit = take / 2,
                fault => return Err(fault),
            },
        }
    }
    let outputs = parts.first().map_or(0, Vec::len);
    let joined = (0..outputs).map(|at| {
        let parts: Vec<&Tensor> = parts.iter().map(|part| &part[at]).collect();
        Tensor::cat(&parts, 0)
    });
    quietly(|| joined.collect::<Result<_>>()).map_err(fault)
}

impl Backbone for Guarded {
    fn name(&self) -> &str {
        self.cpu.name()
    }

    fn feature_dim(&self) -> usize {
        self.cpu.feature_dim()
    }

    fn stages(&self) -> &[Stage] {
        self.cpu.stages()
    }

    fn weights_digest(&self) -> [u8; 32] {
        self.cpu.weights_digest()
    }

    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        let outputs =
            self.run(images, &|backbone, part| Ok(vec![backbone.forward_features(part)?]));
        Ok(outputs?.remove(0))
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let outputs = self.run(images, &|backbone, part| Ok(vec![backbone.forward(part)?]));
        Ok(outputs?.remove(0))
    }

    fn forward_stages(&self, images: &Tensor, stages: &[&str]) -> Result<Vec<Tensor>> {
        self.run(images, &|backbone, part| backbone.forward_stages(part, stages))
    }
}

#[cfg(test)]
#[path = "guarded_tests.rs"]
mod tests;
