//! Where this site computes.

use wardround_vision::device::{self, DeviceChoice};

/// A device that was looked for, once for the life of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What orders are given: the CPU, where no other device can be used.
    pub choice: DeviceChoice,
    /// Device and engine in words: "cpu: compiled plan, AVX-512", "cuda:0 (NVIDIA L4): candle".
    pub engine: String,
}

/// Looks for the device that a site's file asks for. Why the CPU stands in for it goes to the log, once.
pub fn settle(choice: DeviceChoice) -> Settled {
    let (place, why) = device::look(choice);
    let engine = place.to_string();
    match why {
        Some(why) => {
            tracing::warn!("{why}");
            Settled { choice: DeviceChoice::Cpu, engine }
        }
        None => Settled { choice, engine },
    }
}

impl Settled {
    /// In words, after the device failed in the middle of an extraction.
    pub fn fallen(&self) -> String {
        format!("{}, then {}", self.engine, device::cpu_engine())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_cannot_be_used_is_the_cpu() {
        let cpu = settle(DeviceChoice::Cpu);
        assert_eq!((cpu.choice, cpu.engine.as_str()), (DeviceChoice::Cpu, &*device::cpu_engine()));
        // No machine has so many.
        let none = settle(DeviceChoice::Cuda(99));
        assert_eq!(none, cpu);
        let gpu = Settled { choice: DeviceChoice::Cuda(0), engine: "cuda:0 (L4): candle".into() };
        assert!(gpu.fallen().starts_with("cuda:0 (L4): candle, then cpu: compiled plan, "));
    }
}
