//! Dense convolution as implicit GEMM: pixels x output channels, summed over kernel taps and input channels.
//!
//! A tile of up to 14 pixels x 2 registers of output channels stays in registers for the whole sum (28 of AVX-512's 32
//! registers; 6 x 2 with AVX2). Weights are packed once into panels of that width, [panel][tap][input channel][lane]. Bias is
//! the start of the sum; residual and activation are applied before the only store.

use std::mem::MaybeUninit;

use super::lanes::{Lanes, Portable};
use super::{Aligned, Epilogue, Level, epilogue, padded};

/// Registers of output channels in a panel.
const PANEL: usize = 2;

/// Below this many bytes of weights a tile visits all panels before the next tile; above, all tiles visit a panel.
const WEIGHTS_IN_CACHE: usize = 384 << 10;

/// Weights of a dense convolution, in the file's order, with batch norm already folded in.
pub(crate) struct Dense<'a> {
    /// `[output][input][tap]`, a tap is a row-major position in the kernel.
    pub(crate) weights: &'a [f32],
    /// One for each output channel.
    pub(crate) bias: &'a [f32],
    /// Input channels.
    pub(crate) inputs: usize,
    /// Kernel height x kernel width.
    pub(crate) taps: usize,
}

/// Weights packed for one [`Level`].
#[derive(Debug)]
pub(crate) struct PackedConvolution {
    level: Level,
    taps: usize,
    inputs: usize,
    width: usize,
    weights: Aligned,
    bias: Aligned,
}

impl PackedConvolution {
    /// Packs. The output has `padded(outputs)` channels, those beyond the last are zero before the activation.
    pub(crate) fn new(level: Level, dense: &Dense<'_>) -> Self {
        let Dense { inputs, taps, .. } = *dense;
        let outputs = dense.bias.len();
        assert_eq!(
            dense.weights.len(),
            outputs * inputs * taps,
            "weights are [output][input][tap]"
        );
        let width = padded(outputs);
        let panel = panel(level);
        let mut weights = Aligned::zeros(width * inputs * taps);
        for output in 0..outputs {
            let first = output / panel * panel;
            let columns = panel.min(width - first);
            for input in 0..inputs {
                for tap in 0..taps {
                    weights[first * inputs * taps + (tap * inputs + input) * columns + output
                        - first] = dense.weights[(output * inputs + input) * taps + tap];
                }
            }
        }
        let mut bias = Aligned::zeros(width);
        bias[..outputs].copy_from_slice(dense.bias);
        Self { level, taps, inputs, width, weights, bias }
    }

    /// Channels written for each pixel, padding included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Input channels, without padding.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Multiply-adds for a pixel, padding included.
    pub(crate) fn multiply_adds(&self) -> usize {
        self.taps * self.inputs * self.width
    }
}

/// What is added to a convolution's sum before its activation.
#[derive(Clone, Copy)]
pub(crate) enum Residual<'a> {
    /// Nothing.
    None,
    /// The pixels at these offsets, `width` channels each.
    Add(&'a [f32], &'a [u32]),
}

/// Convolves `to.len()` pixels: pixel p is written at `output[to[p]..]`, its tap t is read at `input[from[t * pixels + p]..]`.
///
/// # Panics
/// If an offset leaves its slice, or the lists don't fit together.
pub(crate) fn convolve(
    packed: &PackedConvolution,
    input: &[f32],
    from: &[u32],
    output: &mut [f32],
    to: &[u32],
    residual: Residual<'_>,
    epilogue: Epilogue,
) {
    let pixels = to.len();
    if pixels == 0 {
        return;
    }
    assert_eq!(from.len(), pixels * packed.taps, "one input offset for each tap and pixel");
    check(from, packed.inputs, input.len());
    check(to, packed.width, output.len());
    let (added, add) = match residual {
        Residual::None => (std::ptr::null(), to.as_ptr()),
        Residual::Add(added, add) => {
            assert_eq!(add.len(), pixels, "one residual offset for each pixel");
            check(add, packed.width, added.len());
            (added.as_ptr(), add.as_ptr())
        }
    };
    let job = Job {
        taps: packed.taps,
        inputs: packed.inputs,
        pixels,
        width: packed.width,
        weights: packed.weights.as_ptr(),
        bias: packed.bias.as_ptr(),
        input: input.as_ptr(),
        from: from.as_ptr(),
        output: output.as_mut_ptr(),
        to: to.as_ptr(),
        added,
        add,
        epilogue,
    };
    // SAFETY: `check` proved that every offset plus the channels read or written there stays inside its slice; `new` built
    // weights and bias for exactly these taps, inputs and width; `level` was detected on this machine or is portable.
    unsafe { run(packed.level, &job) }
}

/// # Safety
/// The job is checked, its weights are in panels for this level, and the level was detected on this machine or is portable.
pub(super) unsafe fn run(level: Level, job: &Job) {
    // SAFETY: forwarded to the caller.
    unsafe {
        match level {
            Level::Portable => portable::run(job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::run(job),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::run(job),
        }
    }
}

/// Output channels of a panel; the last one may have fewer.
pub(super) fn panel(level: Level) -> usize {
    PANEL * level.lanes()
}

impl Level {
    /// Floats in a register.
    pub(super) fn lanes(self) -> usize {
        match self {
            Self::Portable => Portable::COUNT,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => 8,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => 16,
        }
    }
}

/// Panics unless `channels` floats follow each offset in `len` floats.
pub(super) fn check(offsets: &[u32], channels: usize, len: usize) {
    let last = offsets.iter().copied().max().unwrap_or(0);
    assert!(
        last as usize + channels <= len,
        "offset {last} + {channels} channels leaves a buffer of {len}"
    );
}

/// The checked arguments of [`convolve`]; `added` is null when there is no residual.
pub(super) struct Job {
    pub(super) taps: usize,
    pub(super) inputs: usize,
    pub(super) pixels: usize,
    pub(super) width: usize,
    pub(super) weights: *const f32,
    pub(super) bias: *const f32,
    pub(super) input: *const f32,
    pub(super) from: *const u32,
    pub(super) output: *mut f32,
    pub(super) to: *const u32,
    pub(super) added: *const f32,
    pub(super) add: *const u32,
    pub(super) epilogue: Epilogue,
}

/// Asks for the cache lines that a tile will write or add, so that they arrive while it sums.
///
/// # Safety
/// `offsets` holds `M` numbers, each of which plus `channel` plus N registers stays in the allocation of `pixels`.
#[inline(always)]
pub(super) unsafe fn fetch<V: Lanes, const M: usize, const N: usize>(
    pixels: *const f32,
    offsets: *const u32,
    channel: usize,
) {
    for m in 0..M {
        // SAFETY: forwarded to the caller.
        unsafe {
            let pixel = pixels.add(*offsets.add(m) as usize + channel);
            for n in (0..N * V::COUNT).step_by(super::LANE) {
                V::prefetch(pixel.add(n));
            }
        }
    }
}

/// `M` pixels from `first`, `N` registers of output channels from `channel`.
///
/// # Safety
/// The job is checked, `first + M <= pixels`, `channel + N * COUNT <= width`, and `channel` starts a panel of N registers.
/// `finish` applies an epilogue from and to registers in memory.
#[inline(always)]
unsafe fn tile_body<V: Lanes, const M: usize, const N: usize>(
    job: &Job,
    first: usize,
    channel: usize,
    finish: unsafe fn(Epilogue, *const f32, *mut f32, usize),
) {
    // SAFETY: every pointer below is a checked offset of the job plus less than the channels that it was checked for.
    unsafe {
        fetch::<V, M, N>(job.output, job.to.add(first), channel);
        if !job.added.is_null() {
            fetch::<V, M, N>(job.added, job.add.add(first), channel);
        }
        let bias: [V; N] = std::array::from_fn(|n| V::load(job.bias.add(channel + n * V::COUNT)));
        let mut sums = [bias; M];
        let mut weights = job.weights.add(channel * job.inputs * job.taps);
        for tap in 0..job.taps {
            let from = job.from.add(tap * job.pixels + first);
            let rows: [*const f32; M] =
                std::array::from_fn(|m| job.input.add(*from.add(m) as usize));
            for k in 0..job.inputs {
                let w: [V; N] = std::array::from_fn(|n| V::load(weights.add(n * V::COUNT)));
                weights = weights.add(N * V::COUNT);
                for m in 0..M {
                    let x = V::splat(*rows[m].add(k));
                    for n in 0..N {
                        sums[m][n] = x.multiply_add(w[n], sums[m][n]);
                    }
                }
            }
        }
        if !job.added.is_null() {
            unrolled!(m < M, {
                let added = job.added.add(*job.add.add(first + m) as usize + channel);
                for (n, sum) in sums[m].iter_mut().enumerate() {
                    *sum = sum.add(V::load(added.add(n * V::COUNT)));
                }
            });
        }
        if let Epilogue::Clamp { low, high } = job.epilogue {
            let (low, high) = (V::splat(low), V::splat(high));
            unrolled!(m < M, {
                let to = job.output.add(*job.to.add(first + m) as usize + channel);
                for (n, sum) in sums[m].iter().enumerate() {
                    sum.clamp(low, high).store(to.add(n * V::COUNT));
                }
            });
        } else {
            let mut tile = MaybeUninit::<[[V; N]; M]>::uninit();
            let tile = tile.as_mut_ptr().cast::<f32>();
            unrolled!(m < M, {
                for (n, sum) in sums[m].iter().enumerate() {
                    sum.store(tile.add((m * N + n) * V::COUNT));
                }
            });
            finish(job.epilogue, tile, tile, M * N);
            for m in 0..M {
                let to = job.output.add(*job.to.add(first + m) as usize + channel);
                for n in 0..N {
                    V::load(tile.add((m * N + n) * V::COUNT)).store(to.add(n * V::COUNT));
                }
            }
        }
    }
}

/// The loops over tiles, compiled once for each level; `$rows` are the tile heights, the tallest first.
macro_rules! level {
    ($name:ident, $register:ty, $tallest:literal, [$($rows:literal)*] $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn tile<const M: usize, const N: usize>(job: &Job, first: usize, channel: usize) {
                // SAFETY: forwarded to the caller.
                unsafe { tile_body::<$register, M, N>(job, first, channel, epilogue::$name::finish) }
            }

            /// # Safety
            /// The features of this level exist, the job is checked.
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn run(job: &Job) {
                let tiles = job.pixels.div_ceil($tallest);
                let panel = PANEL * <$register>::COUNT;
                // Tiles of nearly equal height: a short last tile would do the work of a tall one.
                let start = |t: usize| t * job.pixels / tiles;
                // SAFETY: tiles split 0..pixels, panels split 0..width; a last panel of one register was packed as such.
                let one = |t: usize, channel: usize| unsafe {
                    let first = start(t);
                    let rows = start(t + 1) - first;
                    match (rows, channel + panel <= job.width) {
                        $(($rows, true) => tile::<$rows, PANEL>(job, first, channel),
                        ($rows, false) => tile::<$rows, 1>(job, first, channel),)*
                        _ => unreachable!("a tile has between 1 and {} pixels", $tallest),
                    }
                };
                if job.width * job.inputs * job.taps * size_of::<f32>() <= WEIGHTS_IN_CACHE {
                    for t in 0..tiles {
                        for channel in (0..job.width).step_by(panel) {
                            one(t, channel);
                        }
                    }
                } else {
                    for channel in (0..job.width).step_by(panel) {
                        for t in 0..tiles {
                            one(t, channel);
                        }
                    }
                }
            }
        }
    };
}

level!(portable, Portable, 4, [4 3 2 1]);
#[cfg(target_arch = "x86_64")]
level!(avx2, std::arch::x86_64::__m256, 6, [6 5 4 3 2 1], "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(avx512, std::arch::x86_64::__m512, 14, [14 13 12 11 10 9 8 7 6 5 4 3 2 1], "avx512f");
