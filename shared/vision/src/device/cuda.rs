//! What CUDA says of itself and a GPU.

use std::process::Command;

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::cuda_backend::kernels;
use candle_core::{Device, Result};

use super::{Facts, Version};

/// What is known of a GPU.
pub(super) struct About {
    pub(super) name: String,
    pub(super) capability: Version,
    /// Bytes.
    pub(super) free: u64,
}

/// What the driver knows of CUDA, as far as NVIDIA's own tool says, and this build's version.
pub(super) fn facts() -> Facts {
    let built_for = built_for(kernels::CONV.ptx());
    let build = version(i64::from(sys::CUDA_VERSION));
    Facts { driver: driver(), build, capability: None, built_for }
}

/// The tool comes with every driver; cudarc has no safe call for the same number.
fn driver() -> Option<Version> {
    let output = Command::new("nvidia-smi").output().ok()?;
    newest_cuda(&String::from_utf8_lossy(&output.stdout))
}

/// From the table's head, "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2 |".
fn newest_cuda(table: &str) -> Option<Version> {
    let (_, rest) = table.split_once("CUDA Version:")?;
    let (major, minor) = rest.split_whitespace().next()?.split_once('.')?;
    Some(Version(major.parse().ok()?, minor.parse().ok()?))
}

/// A GPU's name, capability and free memory.
///
/// # Errors
/// It doesn't answer.
pub(super) fn about(device: &Device) -> Result<About> {
    let stream = device.as_cuda_device()?.cuda_stream();
    let context = stream.context();
    let wrap = candle_core::Error::wrap;
    let (major, minor) = context.compute_capability().map_err(wrap)?;
    let (free, _) = context.mem_get_info().map_err(wrap)?;
    Ok(About {
        name: context.name().map_err(wrap)?,
        capability: Version(major.unsigned_abs(), minor.unsigned_abs()),
        free: free as u64,
    })
}

/// 12080 is 12.8.
fn version(number: i64) -> Option<Version> {
    let number = u32::try_from(number).ok().filter(|&number| number > 0)?;
    Some(Version(number / 1000, number % 1000 / 10))
}

/// The GPU that kernels were compiled for: `.target sm_90` or `.target sm_90a` is 9.0.
fn built_for(ptx: &str) -> Option<Version> {
    let target = ptx.split(".target sm_").nth(1)?;
    let end = target.find(|c: char| !c.is_ascii_digit()).unwrap_or(target.len());
    let number: u32 = target[..end].parse().ok()?;
    Some(Version(number / 10, number % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version(12080), Some(Version(12, 8)));
        assert_eq!(version(13000), Some(Version(13, 0)));
        assert_eq!(version(0), None);
        let head =
            "| NVIDIA-SMI 535.104.05   Driver Version: 535.104.05   CUDA Version: 12.2     |";
        assert_eq!(newest_cuda(head), Some(Version(12, 2)));
        assert_eq!(newest_cuda("NVIDIA-SMI has failed"), None);
        assert_eq!(built_for(".version 9.0\n.target sm_75\n"), Some(Version(7, 5)));
        assert_eq!(built_for(".target sm_100a\n"), Some(Version(10, 0)));
        assert_eq!(built_for("nothing"), None);
        assert!(built_for(kernels::CONV.ptx()).is_some());
    }
}
