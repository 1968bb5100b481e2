//! The device that a site's file asks for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a site wants its networks to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum DeviceChoice {
    /// On the first GPU that this program was built for and that works, else on the CPU.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On NVIDIA's GPU of this number, from 0.
    Cuda(usize),
    /// On Apple's GPU.
    Metal,
}

/// A word that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no device; write auto, cpu, cuda, cuda:1 (the second GPU, and so on) or metal")]
pub struct UnknownDevice(String);

impl FromStr for DeviceChoice {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Self, UnknownDevice> {
        let unknown = || UnknownDevice(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            "metal" => Ok(Self::Metal),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                // No sign, and no more GPUs than a machine can have.
                let is_short = (1..=3).contains(&number.len());
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                match number.parse() {
                    Ok(number) if is_short && is_number => Ok(Self::Cuda(number)),
                    _ => Err(unknown()),
                }
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(number) => f.pad(&format!("cuda:{number}")),
            Self::Metal => f.pad("metal"),
        }
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = UnknownDevice;

    fn try_from(text: String) -> Result<Self, UnknownDevice> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written() {
        use DeviceChoice::*;
        for choice in [Auto, Cpu, Cuda(0), Cuda(12), Metal] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
            let written = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<DeviceChoice>(&written).unwrap(), choice);
        }
        assert_eq!("cuda".parse(), Ok(Cuda(0)));
        for wrong in
            ["", "CUDA", "gpu", "cuda:", "cuda:-1", "cuda:+1", "cuda:1000", "cuda:x", "metal:0"]
        {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("auto, cpu, cuda, cuda:1"), "{error}");
        }
    }
}
