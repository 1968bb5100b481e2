//! Dense convolution of bfloat16 pixels: [`super::convolve`] with pairs of input channels in place of single ones. Sums, what is
//! added and results are f32.
//!
//! AVX-512 BF16 multiplies 16 pairs and adds both products to an f32 in one instruction. Weights are packed as
//! [panel][tap][pair of input channels][lane]; pairs don't straddle taps, and of an odd number of channels the last is paired with
//! zero. Levels without that instruction widen both halves and take two multiply-adds.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m512};
use std::mem::MaybeUninit;

use super::convolve::{check, fetch};
use super::lanes::{Lanes, Portable};
use super::{Aligned, Bf16, Dense, Epilogue, Level, Residual, epilogue, padded};

/// Registers of output channels in a panel.
const PANEL: usize = 2;

/// Below this many bytes of weights a tile visits all panels before the next tile; above, all tiles visit a panel.
const WEIGHTS_IN_CACHE: usize = 384 << 10;

/// How pairs are multiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PairLevel {
    /// Widened, in plain Rust.
    Portable,
    /// Widened, with AVX2 and FMA; AVX-512 without its bfloat16 instructions takes this way too.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With AVX-512 BF16.
    #[cfg(target_arch = "x86_64")]
    Native,
}

impl PairLevel {
    /// The best way for a plan of this level.
    pub(crate) fn detect(level: Level) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if level == Level::Avx512 && is_x86_feature_detected!("avx512bf16") {
                return Self::Native;
            }
            if level != Level::Portable && Level::available().contains(&Level::Avx2) {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// All ways that this machine can go, the best last.
    #[cfg(test)]
    pub(crate) fn available() -> Vec<Self> {
        let mut levels: Vec<_> = Level::available().into_iter().map(Self::detect).collect();
        levels.dedup();
        levels
    }

    fn lanes(self) -> usize {
        match self {
            Self::Portable => Level::Portable.lanes(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => Level::Avx2.lanes(),
            #[cfg(target_arch = "x86_64")]
            Self::Native => Level::Avx512.lanes(),
        }
    }
}

/// Weights rounded to bfloat16 and packed for one [`PairLevel`].
#[derive(Debug)]
pub(crate) struct PackedBf16 {
    level: PairLevel,
    taps: usize,
    inputs: usize,
    width: usize,
    weights: Vec<u32>,
    bias: Aligned,
}

impl PackedBf16 {
    /// Packs. The output has `padded(outputs)` channels, those beyond the last are zero before the activation.
    pub(crate) fn new(level: PairLevel, dense: &Dense<'_>) -> Self {
        let Dense { inputs, taps, .. } = *dense;
        let outputs = dense.bias.len();
        assert_eq!(
            dense.weights.len(),
            outputs * inputs * taps,
            "weights are [output][input][tap]"
        );
        let width = padded(outputs);
        let pairs = inputs.div_ceil(2);
        let panel = PANEL * level.lanes();
        let mut weights = vec![0; width * pairs * taps];
        for output in 0..outputs {
            let first = output / panel * panel;
            let columns = panel.min(width - first);
            let weight = |input: usize, tap: usize| {
                if input == inputs {
                    return Bf16::default();
                }
                Bf16::round(dense.weights[(output * inputs + input) * taps + tap])
            };
            for pair in 0..pairs {
                for tap in 0..taps {
                    weights
                        [first * pairs * taps + (tap * pairs + pair) * columns + output - first] =
                        Bf16::pair(weight(2 * pair, tap), weight(2 * pair + 1, tap));
                }
            }
        }
        let mut bias = Aligned::zeros(width);
        bias[..outputs].copy_from_slice(dense.bias);
        Self { level, taps, inputs, width, weights, bias }
    }

    /// Input channels, without padding.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// Multiply-adds for a pixel, padding included.
    pub(crate) fn multiply_adds(&self) -> usize {
        self.taps * self.inputs * self.width
    }

    /// What it was packed for.
    pub(crate) fn level(&self) -> PairLevel {
        self.level
    }
}

/// Convolves `to.len()` pixels: pixel p is written at `output[to[p]..]`, its tap t is read at `input[from[t * pixels + p]..]`.
/// Offsets count elements of their slice.
///
/// # Panics
/// If an offset leaves its slice, or the lists don't fit together.
pub(crate) fn convolve_bf16(
    packed: &PackedBf16,
    input: &[Bf16],
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
    unsafe {
        match packed.level {
            PairLevel::Portable => portable::run(&job),
            #[cfg(target_arch = "x86_64")]
            PairLevel::Avx2 => avx2::run(&job),
            #[cfg(target_arch = "x86_64")]
            PairLevel::Native => native::run(&job),
        }
    }
}

/// The checked arguments of [`convolve_bf16`].
struct Job {
    taps: usize,
    inputs: usize,
    pixels: usize,
    width: usize,
    weights: *const u32,
    bias: *const f32,
    input: *const Bf16,
    from: *const u32,
    output: *mut f32,
    to: *const u32,
    added: *const f32,
    add: *const u32,
    epilogue: Epilogue,
}

/// As many pairs of weights as `V` has lanes.
trait Pairs<V>: Copy {
    /// # Safety
    /// The instructions exist, and a pair for each lane may be read.
    unsafe fn load(from: *const u32) -> Self;
    /// `sum` plus, in each lane, both products with the pair at `x`.
    ///
    /// # Safety
    /// The instructions exist, and the pair may be read.
    unsafe fn dot(self, x: *const Bf16, sum: V) -> V;
}

/// The first and the second numbers of all pairs.
impl<V: Lanes> Pairs<V> for (V, V) {
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        // SAFETY: forwarded to the caller; words are as long as floats.
        unsafe { V::load(from.cast()).split() }
    }

    #[inline(always)]
    unsafe fn dot(self, x: *const Bf16, sum: V) -> V {
        // SAFETY: forwarded to the caller.
        unsafe {
            let pair = Bf16::pair(*x, *x.add(1));
            let (first, second) = V::splat(f32::from_bits(pair)).split();
            self.0.multiply_add(first, self.1.multiply_add(second, sum))
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::asm;
    use std::arch::x86_64::{__m512, _mm512_loadu_ps};

    use super::{Bf16, Pairs};

    /// Pairs for AVX-512 BF16, as the bits of floats.
    #[derive(Clone, Copy)]
    pub(super) struct Native(__m512);

    impl Pairs<__m512> for Native {
        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            // SAFETY: the caller vouches for AVX-512 and the pointer.
            Self(unsafe { _mm512_loadu_ps(from.cast()) })
        }

        #[inline(always)]
        unsafe fn dot(self, x: *const Bf16, sum: __m512) -> __m512 {
            // SAFETY: the caller vouches for AVX-512 BF16 and the pointer.
            unsafe { dot(self.0, x, sum) }
        }
    }

    /// One instruction that also broadcasts. With the intrinsic the compiler broadcasts the pairs of all rows before it multiplies the
    /// first, and there aren't enough registers for them and the sums.
    ///
    /// # Safety
    /// AVX-512 BF16 exists, and the pair at `x` may be read.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn dot(weights: __m512, x: *const Bf16, mut sum: __m512) -> __m512 {
        // SAFETY: the caller vouches for instructions and pointer; nothing but `sum` is changed.
        unsafe {
            asm!(
                "vdpbf16ps {sum}, {weights}, dword ptr [{x}]{{1to16}}",
                sum = inout(zmm_reg) sum,
                weights = in(zmm_reg) weights,
                x = in(reg) x,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        sum
    }
}

/// `M` pixels from `first`, `N` registers of output channels from `channel`.
///
/// # Safety
/// The job is checked, `first + M <= pixels`, `channel + N * COUNT <= width`, and `channel` starts a panel of N registers.
/// `finish` applies an epilogue from and to registers in memory.
#[inline(always)]
unsafe fn tile_body<V: Lanes, P: Pairs<V>, const M: usize, const N: usize>(
    job: &Job,
    first: usize,
    channel: usize,
    finish: unsafe fn(Epilogue, *const f32, *mut f32, usize),
) {
    // SAFETY: every pointer below is a checked offset of the job plus less than the channels that it was checked for; the last of
    // an odd number of channels is read alone.
    unsafe {
        fetch::<V, M, N>(job.output, job.to.add(first), channel);
        if !job.added.is_null() {
            fetch::<V, M, N>(job.added, job.add.add(first), channel);
        }
        let bias: [V; N] = std::array::from_fn(|n| V::load(job.bias.add(channel + n * V::COUNT)));
        let mut sums = [bias; M];
        let mut weights = job.weights.add(channel * job.inputs.div_ceil(2) * job.taps);
        for tap in 0..job.taps {
            let from = job.from.add(tap * job.pixels + first);
            let rows: [*const Bf16; M] =
                std::array::from_fn(|m| job.input.add(*from.add(m) as usize));
            for k in 0..job.inputs / 2 {
                let w: [P; N] = std::array::from_fn(|n| P::load(weights.add(n * V::COUNT)));
                weights = weights.add(N * V::COUNT);
                for m in 0..M {
                    let x = rows[m].add(2 * k);
                    for n in 0..N {
                        sums[m][n] = w[n].dot(x, sums[m][n]);
                    }
                }
            }
            if job.inputs % 2 == 1 {
                let w: [P; N] = std::array::from_fn(|n| P::load(weights.add(n * V::COUNT)));
                weights = weights.add(N * V::COUNT);
                for m in 0..M {
                    // One word: the processor doesn't forward two short stores to one load.
                    let pair = Bf16::pair(*rows[m].add(job.inputs - 1), Bf16::default());
                    let pair =
                        if cfg!(target_endian = "big") { pair.rotate_left(16) } else { pair };
                    for n in 0..N {
                        sums[m][n] = w[n].dot((&raw const pair).cast(), sums[m][n]);
                    }
                }
            }
        }
        store(job, first, channel, sums, finish);
    }
}

/// Adds, activates and stores a tile's sums.
///
/// # Safety
/// As [`tile_body`].
#[inline(always)]
unsafe fn store<V: Lanes, const M: usize, const N: usize>(
    job: &Job,
    first: usize,
    channel: usize,
    mut sums: [[V; N]; M],
    finish: unsafe fn(Epilogue, *const f32, *mut f32, usize),
) {
    // SAFETY: as in `tile_body`; the tile in memory holds M * N registers.
    unsafe {
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
    ($name:ident, $register:ty, $pairs:ty, $finish:path, $tallest:literal, [$($rows:literal)*] $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            $(#[target_feature(enable = $feature)])?
            unsafe fn tile<const M: usize, const N: usize>(job: &Job, first: usize, channel: usize) {
                // SAFETY: forwarded to the caller.
                unsafe { tile_body::<$register, $pairs, M, N>(job, first, channel, $finish) }
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
                if job.width * job.inputs * job.taps * size_of::<Bf16>() <= WEIGHTS_IN_CACHE {
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

level!(portable, Portable, (Portable, Portable), epilogue::portable::finish, 4, [4 3 2 1]);
#[cfg(target_arch = "x86_64")]
level!(avx2, __m256, (__m256, __m256), epilogue::avx2::finish, 4, [4 3 2 1], "avx2,fma");
#[cfg(target_arch = "x86_64")]
level!(native, __m512, x86::Native, epilogue::avx512::finish, 14, [14 13 12 11 10 9 8 7 6 5 4 3 2 1], "avx512f,avx512bf16");
