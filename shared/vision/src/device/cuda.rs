//! What CUDA says of itself and a GPU.

use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::cuda_backend::kernels;
use candle_core::{Device, Result};

use super::quiet::quietly;
use super::{Facts, Version};

/// What is known of a GPU.
pub(super) struct About {
    pub(super) name: String,
    pub(super) capability: Version,
    /// Bytes.
    pub(super) free: u64,
}

/// The driver's version and this build's.
///
/// # Errors
/// The driver isn't there.
pub(super) fn facts() -> std::result::Result<Facts, String> {
    let driver = quietly(|| {
        let mut version = 0;
        #[expect(
            unsafe_code,
            reason = "cudarc has no safe call for it; the driver writes one number, and needs no context for that"
        )]
        let status = unsafe { sys::cuDriverGetVersion(&mut version) };
        status.result().map(|()| version)
    })?;
    let built_for = built_for(kernels::CONV.ptx());
    let build = version(i64::from(sys::CUDA_VERSION));
    Ok(Facts { driver: version(i64::from(driver)), build, capability: None, built_for })
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
        assert_eq!(built_for(".version 9.0\n.target sm_75\n"), Some(Version(7, 5)));
        assert_eq!(built_for(".target sm_100a\n"), Some(Version(10, 0)));
        assert_eq!(built_for("nothing"), None);
        assert!(built_for(kernels::CONV.ptx()).is_some());
    }
}
