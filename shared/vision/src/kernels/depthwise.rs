//! Depthwise convolution: every channel has its own kernel, so the channels of a pixel are the vector.
//!
//! One call makes one row of output pixels. The caller hands over the input rows, whose left and right borders are zeros in
//! the buffer, so no kernel knows about padding. Up to 7 output pixels stay in registers (7 divides every row length of a
//! 224 pixel network); each row of kernel weights is loaded once for them.

use super::epilogue::{Clamp, Curve, Gelu, Sigmoid, Silu};
use super::lanes::{Lanes, Portable};
use super::{Aligned, Epilogue, Level, padded};

/// Output pixels in registers at once.
const PIXELS: usize = 7;

/// Weights packed for one [`Level`]: `[tap][channel]`.
#[derive(Debug)]
pub(crate) struct PackedDepthwise {
    level: Level,
    kernel: usize,
    stride: usize,
    width: usize,
    weights: Aligned,
    bias: Aligned,
}

impl PackedDepthwise {
    /// Packs `[channel][tap]` weights of a square kernel, batch norm already folded in.
    pub(crate) fn new(
        level: Level,
        weights: &[f32],
        bias: &[f32],
        kernel: usize,
        stride: usize,
    ) -> Self {
        let (channels, taps) = (bias.len(), kernel * kernel);
        assert_eq!(weights.len(), channels * taps, "weights are [channel][tap]");
        let width = padded(channels);
        let mut packed = Aligned::zeros(taps * width);
        for channel in 0..channels {
            for tap in 0..taps {
                packed[tap * width + channel] = weights[channel * taps + tap];
            }
        }
        let mut padded_bias = Aligned::zeros(width);
        padded_bias[..channels].copy_from_slice(bias);
        Self { level, kernel, stride, width, weights: packed, bias: padded_bias }
    }

    /// Channels of a pixel, padding included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Kernel height and width.
    pub(crate) fn kernel(&self) -> usize {
        self.kernel
    }

    /// Step between output pixels, in input pixels.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}

/// Makes one row of `output.len() / width` pixels. Kernel row y reads `input[rows[y]..]`, which begins at the first tap of the
/// first output pixel and holds `(pixels - 1) * stride + kernel` pixels.
///
/// # Panics
/// If a row leaves the input.
pub(crate) fn depthwise_row(
    packed: &PackedDepthwise,
    input: &[f32],
    rows: &[usize],
    output: &mut [f32],
    epilogue: Epilogue,
) {
    let pixels = output.len() / packed.width;
    if pixels == 0 {
        return;
    }
    assert_eq!(rows.len(), packed.kernel, "one input row for each row of the kernel");
    let reach = ((pixels - 1) * packed.stride + packed.kernel) * packed.width;
    for &row in rows {
        assert!(
            row.checked_add(reach).is_some_and(|end| end <= input.len()),
            "a row leaves the input"
        );
    }
    let job = Job {
        kernel: packed.kernel,
        stride: packed.stride,
        width: packed.width,
        weights: packed.weights.as_ptr(),
        bias: packed.bias.as_ptr(),
        input: input.as_ptr(),
        rows,
        output: output.as_mut_ptr(),
        pixels,
        epilogue,
    };
    // SAFETY: each row was checked for all pixels and taps; the output holds `pixels` pixels; `new` built weights and bias for
    // this kernel and width; `level` was detected on this machine or is portable.
    unsafe {
        match packed.level {
            Level::Portable => portable::run(&job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::run(&job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::run(&job),
        }
    }
}

struct Job<'a> {
    kernel: usize,
    stride: usize,
    width: usize,
    weights: *const f32,
    bias: *const f32,
    input: *const f32,
    rows: &'a [usize],
    output: *mut f32,
    pixels: usize,
    epilogue: Epilogue,
}

/// `X` output pixels from `first` of a `K` x `K` kernel with stride `S`, all channels.
///
/// # Safety
/// The job is checked, and `first + X <= pixels`.
#[inline(always)]
unsafe fn pixels_body<V: Lanes, const K: usize, const S: usize, const X: usize>(
    job: &Job<'_>,
    first: usize,
    curve: &impl Curve<V>,
) {
    // SAFETY: pixel (first + x) * S + kx of each row lies within the reach that was checked; channels are below `width`.
    unsafe {
        for channel in (0..job.width).step_by(V::COUNT) {
            let mut sums = [V::load(job.bias.add(channel)); X];
            for (y, row) in job.rows.iter().enumerate() {
                let weights = job.weights.add(y * K * job.width + channel);
                let weights: [V; K] = std::array::from_fn(|x| V::load(weights.add(x * job.width)));
                let pixel = job.input.add(row + first * S * job.width + channel);
                // Each input pixel is loaded once, for every output pixel that it reaches.
                unrolled!(i < (X - 1) * S + K, {
                    let input = V::load(pixel.add(i * job.width));
                    unrolled!(x < X, {
                        if i >= x * S && i - x * S < K {
                            sums[x] = input.multiply_add(weights[i - x * S], sums[x]);
                        }
                    });
                });
            }
            unrolled!(x < X, {
                curve.apply(sums[x]).store(job.output.add((first + x) * job.width + channel));
            });
        }
    }
}

/// One output pixel at a time, for kernels and strides without a body of their own.
///
/// # Safety
/// The job is checked.
#[inline(always)]
unsafe fn any_body<V: Lanes>(job: &Job<'_>, curve: &impl Curve<V>) {
    // SAFETY: as in `pixels_body`.
    unsafe {
        for x in 0..job.pixels {
            for channel in (0..job.width).step_by(V::COUNT) {
                let mut sum = V::load(job.bias.add(channel));
                for (y, row) in job.rows.iter().enumerate() {
                    for kx in 0..job.kernel {
                        let weight =
                            V::load(job.weights.add((y * job.kernel + kx) * job.width + channel));
                        let pixel = V::load(
                            job.input.add(row + (x * job.stride + kx) * job.width + channel),
                        );
                        sum = pixel.multiply_add(weight, sum);
                    }
                }
                curve.apply(sum).store(job.output.add(x * job.width + channel));
            }
        }
    }
}

macro_rules! level {
    ($name:ident, $register:ty $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn pixels<const K: usize, const S: usize, const X: usize>(
                job: &Job<'_>,
                first: usize,
                curve: &impl Curve<$register>,
            ) {
                // SAFETY: forwarded to the caller.
                unsafe { pixels_body::<$register, K, S, X>(job, first, curve) }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn row<const K: usize, const S: usize>(job: &Job<'_>, curve: &impl Curve<$register>) {
                let mut first = 0;
                // SAFETY: every call leaves `first` at or below `pixels`.
                unsafe {
                    while first + PIXELS <= job.pixels {
                        pixels::<K, S, PIXELS>(job, first, curve);
                        first += PIXELS;
                    }
                    while first + 2 <= job.pixels {
                        pixels::<K, S, 2>(job, first, curve);
                        first += 2;
                    }
                    if first < job.pixels {
                        pixels::<K, S, 1>(job, first, curve);
                    }
                }
            }

            $(#[target_feature(enable = $feature)])?
            unsafe fn kernel(job: &Job<'_>, curve: &impl Curve<$register>) {
                // SAFETY: forwarded to the caller.
                unsafe {
                    match (job.kernel, job.stride) {
                        (3, 1) => row::<3, 1>(job, curve),
                        (3, 2) => row::<3, 2>(job, curve),
                        (5, 1) => row::<5, 1>(job, curve),
                        (5, 2) => row::<5, 2>(job, curve),
                        (7, 1) => row::<7, 1>(job, curve),
                        _ => any_body::<$register>(job, curve),
                    }
                }
            }

            /// # Safety
            /// The features of this level exist, the job is checked.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn run(job: &Job<'_>) {
                // SAFETY: forwarded to the caller.
                unsafe {
                    match job.epilogue {
                        Epilogue::Clamp { low, high } => {
                            kernel(job, &Clamp { low: <$register>::splat(low), high: <$register>::splat(high) });
                        }
                        Epilogue::Silu => kernel(job, &Silu),
                        // No network has these behind a depthwise convolution.
                        Epilogue::Gelu => any_body::<$register>(job, &Gelu),
                        Epilogue::Sigmoid => any_body::<$register>(job, &Sigmoid),
                    }
                }
            }
        }
    };
}

level!(portable, Portable);
#[cfg(target_arch = "x86_64")]
level!(avx2, std::arch::x86_64::__m256, "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(avx512, std::arch::x86_64::__m512, "avx512f");
