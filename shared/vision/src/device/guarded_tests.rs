use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::Device;

use super::*;

/// How a made-up device behaves: what becomes of call number n, from 1, with so many images.
type Behaviour = Box<dyn Fn(usize, usize) -> Result<f64> + Send + Sync>;

/// Features are the sum of an image's pixels, times what the behaviour says.
struct Made {
    behaviour: Behaviour,
    calls: Arc<AtomicUsize>,
}

impl Backbone for Made {
    fn name(&self) -> &str {
        "made"
    }
    fn feature_dim(&self) -> usize {
        1
    }
    fn stages(&self) -> &[Stage] {
        &[]
    }
    fn weights_digest(&self) -> [u8; 32] {
        [7; 32]
    }
    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        self.forward(images)?.unsqueeze(2)?.unsqueeze(3)
    }
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let factor = (self.behaviour)(call, images.dim(0)?)?;
        images.flatten_from(1)?.sum_keepdim(1)? * factor
    }
    fn forward_stages(&self, images: &Tensor, _: &[&str]) -> Result<Vec<Tensor>> {
        Ok(vec![self.forward_features(images)?, self.forward_features(images)?])
    }
}

fn made(
    behaviour: impl Fn(usize, usize) -> Result<f64> + Send + Sync + 'static,
) -> (Box<Made>, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    (Box::new(Made { behaviour: Box::new(behaviour), calls: calls.clone() }), calls)
}

fn error(text: &str) -> candle_core::Error {
    candle_core::Error::Msg(text.to_owned())
}

fn images(count: usize) -> Tensor {
    Tensor::arange(0f32, 4.0 * count as f32, &Device::Cpu)
        .unwrap()
        .reshape((count, 1, 2, 2))
        .unwrap()
}

/// What the CPU makes of them.
fn expected(count: usize) -> Vec<Vec<f32>> {
    (0..count).map(|n| vec![16.0 * n as f32 + 6.0]).collect()
}

fn proof(device: Box<Made>) -> std::result::Result<Proven, Fault> {
    let cpu = made(|_, _| Ok(1.0)).0;
    let (precision, place) = (Precision::F32, "cuda:0 (Made)".to_owned());
    Guarded::proven(device, cpu.as_ref(), precision, &images(2), Facts::default(), place)
}

struct Tried {
    guarded: Guarded,
    device: Arc<AtomicUsize>,
    cpu: Arc<AtomicUsize>,
    said: Arc<Mutex<Vec<String>>>,
}

/// With batches of up to 8 images; the first call is the proof's.
fn guarded(behaviour: impl Fn(usize, usize) -> Result<f64> + Send + Sync + 'static) -> Tried {
    let (made_device, device) = made(behaviour);
    let (made_cpu, cpu) = made(|_, _| Ok(1.0));
    let said = Arc::new(Mutex::new(Vec::new()));
    let hear = said.clone();
    let say: Say = Box::new(move |text| hear.lock().unwrap().push(text.to_owned()));
    let guarded =
        proof(made_device).unwrap_or_else(|fault| panic!("{fault}")).with_cpu(made_cpu, 8, say);
    Tried { guarded, device, cpu, said }
}

#[test]
fn a_device_that_fails_at_once_or_computes_something_else_is_not_taken() {
    let fault = |behaviour: Behaviour| {
        proof(Box::new(Made { behaviour, calls: Arc::default() })).err().unwrap()
    };
    let memory = fault(Box::new(|_, _| {
        Err(error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")"))
    }));
    assert_eq!(memory, Fault::OutOfMemory);
    let library = fault(Box::new(|_, _| {
        panic!("Unable to dynamically load the \"curand\" shared library - searched for")
    }));
    assert_eq!(library, Fault::NoLibrary("curand".into()));
    let other = fault(Box::new(|_, _| Ok(1.001)));
    assert!(other.to_string().contains("difference 1.0e-3"), "{other}");
    assert!(matches!(fault(Box::new(|_, _| Ok(f64::NAN))), Fault::Disagrees(_)));
    assert!(proof(made(|_, _| Ok(1.00005)).0).is_ok());
}

#[test]
fn a_device_that_works_is_all_there_is() {
    let Tried { guarded, device, cpu, said } = guarded(|_, _| Ok(1.0));
    for count in [1, 8, 20] {
        assert_eq!(
            guarded.forward(&images(count)).unwrap().to_vec2::<f32>().unwrap(),
            expected(count)
        );
    }
    assert_eq!(device.load(Ordering::SeqCst), 1 + 1 + 1 + 3);
    assert_eq!((cpu.load(Ordering::SeqCst), guarded.is_on_device()), (0, true));
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn a_device_that_fails_midway_loses_nothing() {
    let failing = |call, _| match call {
        // The proof, and two batches; the third fails in its second part.
        1..=4 => Ok(1.0),
        _ => Err(error(
            "DriverError(CUDA_ERROR_ECC_UNCORRECTABLE, \"uncorrectable ECC error encountered\")",
        )),
    };
    let Tried { guarded, device, cpu, said } = guarded(failing);
    for count in [8, 3, 12, 9, 2] {
        assert_eq!(
            guarded.forward(&images(count)).unwrap().to_vec2::<f32>().unwrap(),
            expected(count)
        );
    }
    assert_eq!((device.load(Ordering::SeqCst), cpu.load(Ordering::SeqCst)), (5, 3));
    assert!(!guarded.is_on_device());
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("cuda:0 (Made) isn't used: it failed (DriverError(CUDA_ERROR_ECC"),
        "{said:?}"
    );
    assert!(said[0].ends_with("the CPU computes instead"));
}

#[test]
fn memory_that_runs_out_halves_the_batch() {
    let tight = |_, count| match count {
        0..=3 => Ok(1.0),
        _ => Err(error("CublasError(CUBLAS_STATUS_ALLOC_FAILED)")),
    };
    let Tried { guarded, device, cpu, said } = guarded(tight);
    assert_eq!(guarded.forward(&images(8)).unwrap().to_vec2::<f32>().unwrap(), expected(8));
    // The proof; 8 and 4 fail; then four of 2, and from now on 2 at once.
    assert_eq!(device.load(Ordering::SeqCst), 1 + 2 + 4);
    assert_eq!(guarded.forward(&images(5)).unwrap().to_vec2::<f32>().unwrap(), expected(5));
    assert_eq!(device.load(Ordering::SeqCst), 7 + 3);
    assert_eq!((cpu.load(Ordering::SeqCst), guarded.is_on_device()), (0, true));
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn memory_that_suffices_for_no_image_is_a_fault() {
    let full = |call, _| match call {
        1 => Ok(1.0),
        _ => Err(error("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")")),
    };
    let Tried { guarded, device, cpu, said } = guarded(full);
    assert_eq!(guarded.forward(&images(8)).unwrap().to_vec2::<f32>().unwrap(), expected(8));
    // 8, 4, 2, 1.
    assert_eq!((device.load(Ordering::SeqCst), cpu.load(Ordering::SeqCst)), (1 + 4, 1));
    assert!(said.lock().unwrap()[0].contains("its memory is taken"));
}

#[test]
fn maps_come_the_same_way() {
    let Tried { guarded, .. } = guarded(|call, _| match call {
        1..=3 => Ok(1.0),
        _ => Err(error("lost")),
    });
    let maps = guarded.forward_stages(&images(20), &["a", "b"]).unwrap();
    assert_eq!(maps.len(), 2);
    for map in maps {
        assert_eq!(map.dims(), [20, 1, 1, 1]);
        assert_eq!(map.reshape((20, 1)).unwrap().to_vec2::<f32>().unwrap(), expected(20));
    }
    assert_eq!(guarded.forward_features(&images(2)).unwrap().dims(), [2, 1, 1, 1]);
    assert_eq!(
        (guarded.name(), guarded.weights_digest(), guarded.feature_dim()),
        ("made", [7; 32], 1)
    );
}
