//! What goes wrong with a GPU, told from what its libraries say.
//!
//! candle hands on errors as text, and cudarc panics where a library or a function of it is missing, so the text is what there is to
//! go by. CUDA's names of errors are fixed since version 3 (<https://docs.nvidia.com/cuda/cuda-driver-api>).

use std::fmt;

/// A version of CUDA or a compute capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What is known of a machine and this build, as far as it could be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The newest CUDA that the driver knows.
    pub driver: Option<Version>,
    /// The CUDA that this program was built with.
    pub build: Option<Version>,
    /// The GPU's compute capability.
    pub capability: Option<Version>,
    /// The oldest compute capability that this program was built for.
    pub built_for: Option<Version>,
}

impl Facts {
    fn is_driver_old(&self) -> bool {
        matches!((self.driver, self.build), (Some(driver), Some(build)) if driver < build)
    }

    fn is_gpu_old(&self) -> bool {
        matches!((self.capability, self.built_for), (Some(has), Some(needs)) if has < needs)
    }
}

/// Why a GPU can't be used, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This program was built without this feature.
    NotBuilt(&'static str),
    /// There is no driver.
    NoDriver,
    /// There is a driver, and no such GPU.
    NoDevice,
    /// The driver is older than what this program was built with.
    OldDriver(Facts),
    /// This program was built for newer GPUs.
    OldGpu(Facts),
    /// A library of CUDA's isn't there.
    NoLibrary(String),
    /// Its memory doesn't suffice: somebody else has it, or the network is too large.
    OutOfMemory,
    /// Its features aren't the CPU's.
    Disagrees(String),
    /// Something else, in its own words.
    Failed(String),
}

impl Fault {
    /// What an error text means.
    pub fn of(text: &str, facts: &Facts) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if let Some(library) = quoted_after(text, "Unable to dynamically load the \"") {
            return match library {
                "cuda" | "nvcuda" => Self::NoDriver,
                library => Self::NoLibrary(library.to_owned()),
            };
        }
        if has(&OUT_OF_MEMORY) {
            return Self::OutOfMemory;
        }
        if has(&["CUDA_ERROR_STUB_LIBRARY"]) {
            return Self::NoDriver;
        }
        if has(&["CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"]) {
            return Self::NoDevice;
        }
        if has(&OLD_DRIVER) {
            return Self::OldDriver(facts.clone());
        }
        // Kernels that the build doesn't hold for this GPU are missing under several names.
        if has(&["CUDA_ERROR_NO_BINARY_FOR_GPU"]) || has(&MISSING_KERNEL) && facts.is_gpu_old() {
            return Self::OldGpu(facts.clone());
        }
        match facts.is_driver_old() {
            true if has(&MISSING_KERNEL) => Self::OldDriver(facts.clone()),
            _ => Self::Failed(first_line(text)),
        }
    }

    /// One sentence for the log: what happened at a place, and what happens now.
    pub fn sentence(&self, place: &str) -> String {
        format!("{place} isn't used: {self}; the CPU computes instead")
    }
}

const OUT_OF_MEMORY: [&str; 6] = [
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CURAND_STATUS_ALLOCATION_FAILED",
    "kIOGPUCommandBufferCallbackErrorOutOfMemory",
    "Insufficient Memory",
];

const OLD_DRIVER: [&str; 5] = [
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    "CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH",
    // The driver lacks a function that came with a later one.
    "undefined symbol: cu",
];

const MISSING_KERNEL: [&str; 4] = [
    "CUDA_ERROR_INVALID_PTX",
    "CUDA_ERROR_NOT_FOUND",
    "missing kernel",
    "CUDA_ERROR_INVALID_IMAGE",
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: Option<Version>| match version {
            Some(version) => version.to_string(),
            None => "of an unknown version".to_owned(),
        };
        match self {
            Self::NotBuilt(feature) => {
                write!(f, "this program was built without the feature `{feature}`")
            }
            Self::NoDriver => f.write_str("no NVIDIA driver was found (libcuda)"),
            Self::NoDevice => f.write_str("the driver knows no such GPU"),
            Self::OldDriver(facts) => write!(
                f,
                "the driver knows CUDA {} and this program was built with CUDA {}; a newer driver helps",
                version(facts.driver),
                version(facts.build)
            ),
            Self::OldGpu(facts) => write!(
                f,
                "it has compute capability {} and this program was built for {} and newer",
                version(facts.capability),
                version(facts.built_for)
            ),
            Self::NoLibrary(library) => {
                write!(
                    f,
                    "CUDA's library {library} wasn't found; LD_LIBRARY_PATH names where it lies"
                )
            }
            Self::OutOfMemory => f.write_str("its memory is taken, or too small for this network"),
            Self::Disagrees(how) => write!(f, "its features aren't the CPU's ({how})"),
            Self::Failed(text) => write!(f, "it failed ({text})"),
        }
    }
}

fn quoted_after<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    rest.split('"').next()
}

/// Backtraces and long lists stay out of a log line.
fn first_line(text: &str) -> String {
    let line =
        text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("without a word");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(driver: u32, capability: u32) -> Facts {
        Facts {
            driver: Some(Version(12, driver)),
            build: Some(Version(12, 8)),
            capability: Some(Version(capability, 5)),
            built_for: Some(Version(8, 0)),
        }
    }

    #[test]
    fn faults_are_told_from_what_libraries_say() {
        let (new, old_driver, old_gpu) = (facts(8, 9), facts(2, 9), facts(8, 7));
        let library = |name: &str| {
            format!(
                "Unable to dynamically load the \"{name}\" shared library - searched for library names: [\"lib{name}.so\", \
                 \"lib{name}64.so\"]. Ensure that `LD_LIBRARY_PATH` has the correct path to the installed library."
            )
        };
        let of = |text: &str| Fault::of(text, &new);
        assert_eq!(of(&library("cuda")), Fault::NoDriver);
        assert_eq!(of(&library("cublas")), Fault::NoLibrary("cublas".into()));
        assert_eq!(
            of("DriverError(CUDA_ERROR_NO_DEVICE, \"no CUDA-capable device is detected\")"),
            Fault::NoDevice
        );
        assert_eq!(
            of("DriverError(CUDA_ERROR_INVALID_DEVICE, \"invalid device ordinal\")"),
            Fault::NoDevice
        );
        for text in [
            "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")",
            "CublasError(CUBLAS_STATUS_ALLOC_FAILED)",
            "CudnnError(CUDNN_STATUS_ALLOC_FAILED)",
            "Caused GPU Error (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        ] {
            assert_eq!(of(text), Fault::OutOfMemory, "{text}");
        }
        let ptx = "DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, \"the provided PTX was compiled with an unsupported \
                   toolchain.\") when loading conv";
        assert_eq!(Fault::of(ptx, &old_driver), Fault::OldDriver(old_driver.clone()));
        let binary = "DriverError(CUDA_ERROR_NO_BINARY_FOR_GPU, \"no kernel image is available for execution on the device\")";
        assert_eq!(Fault::of(binary, &old_gpu), Fault::OldGpu(old_gpu.clone()));
        let image = "DriverError(CUDA_ERROR_INVALID_PTX, \"a PTX JIT compilation failed\") when loading cast";
        assert_eq!(Fault::of(image, &old_gpu), Fault::OldGpu(old_gpu));
        assert_eq!(Fault::of(image, &old_driver), Fault::OldDriver(old_driver));
        assert!(matches!(of(image), Fault::Failed(_)));
        let lost = "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")\n   0: candle";
        assert_eq!(of(lost), Fault::Failed(lost.lines().next().unwrap().into()));
        assert_eq!(of(""), Fault::Failed("without a word".into()));
        assert_eq!(of(&"ä".repeat(400)), Fault::Failed("ä".repeat(300) + "..."));
    }

    #[test]
    fn one_sentence_names_both_versions() {
        let said = Fault::OldDriver(facts(2, 9)).sentence("cuda:0 (Tesla T4)");
        let expected = "cuda:0 (Tesla T4) isn't used: the driver knows CUDA 12.2 and this program was built with CUDA 12.8; a newer \
                        driver helps; the CPU computes instead";
        assert_eq!(said, expected);
        let said = Fault::OldGpu(facts(8, 7)).to_string();
        assert_eq!(
            said,
            "it has compute capability 7.5 and this program was built for 8.0 and newer"
        );
    }
}
