//! Dense 3x3 convolution of stride 1 by Winograd's F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", CVPR 2016, section 4.3): 36 products where the definition needs 144.
//!
//! A tile is 4x4 output pixels and the 6x6 input pixels under them. Its input is transformed into 36 frequencies, which meet
//! the transformed weights in 36 matrix products (tiles x output channels, summed over input channels) of the same
//! kernel that [`super::convolve`] runs; their results are transformed back, and get bias, residual and activation, on the way to
//! the output. Output channels pass in groups of [`GROUP`], so that the products of a group stay in the cache.
//!
//! The transforms add numbers of different size: the error is about ten times that of the definition (1e-5 of the largest output).

use std::ops::Range;

use super::convolve::{Dense, PackedConvolution, Residual, convolve};
use super::epilogue::{Clamp, Curve, Gelu, Sigmoid, Silu};
use super::lanes::{Lanes, Portable};
use super::{Aligned, Epilogue, LANE, Level, padded};

/// Output pixels along a side of a tile.
pub(crate) const TILE: usize = 4;

/// Input pixels along a side of a tile.
const WINDOW: usize = TILE + 2;

const FREQUENCIES: usize = WINDOW * WINDOW;

/// Output channels that are multiplied and transformed back together.
const GROUP: usize = 32;

/// Floats between rows of the scratch beyond its channels, so that no rows lie a power of two apart.
const GAP: usize = LANE;

/// Tiles that share one pass over the weights, at most. With 28 the weights of 512 channels cost a quarter of the speed, and fewer
/// channels gain nothing from their shorter scratch.
const PASS: usize = 64;

/// Transformed weights packed for one [`Level`].
#[derive(Debug)]
pub(crate) struct PackedWinograd {
    level: Level,
    inputs: usize,
    width: usize,
    /// `[group][frequency]`: matrices of inputs x at most [`GROUP`] outputs.
    products: Vec<PackedConvolution>,
    bias: Aligned,
    /// Stands for an input pixel outside the map.
    zeros: Aligned,
}

impl PackedWinograd {
    /// Transforms and packs the weights of a 3x3 convolution. They take 4 times the memory of the definition's.
    pub(crate) fn new(level: Level, dense: &Dense<'_>) -> Self {
        let Dense { inputs, taps, .. } = *dense;
        let outputs = dense.bias.len();
        assert_eq!(taps, 9, "the kernel is 3x3");
        assert_eq!(
            dense.weights.len(),
            outputs * inputs * taps,
            "weights are [output][input][tap]"
        );
        let width = padded(outputs);
        let mut products = Vec::new();
        let mut frequencies = vec![0.0; FREQUENCIES * GROUP * inputs];
        for first in (0..outputs).step_by(GROUP) {
            let group = GROUP.min(outputs - first);
            for (at, kernel) in dense.weights[first * inputs * 9..][..group * inputs * 9]
                .chunks_exact(9)
                .enumerate()
            {
                for (f, value) in transformed(kernel).into_iter().enumerate() {
                    frequencies[f * group * inputs + at] = value;
                }
            }
            products.extend(
                frequencies[..FREQUENCIES * group * inputs].chunks_exact(group * inputs).map(
                    |weights| {
                        let bias = &[0.0; GROUP][..group];
                        PackedConvolution::new(level, &Dense { weights, bias, inputs, taps: 1 })
                    },
                ),
            );
        }
        let mut bias = Aligned::zeros(width);
        bias[..outputs].copy_from_slice(dense.bias);
        Self { level, inputs, width, products, bias, zeros: Aligned::zeros(padded(inputs)) }
    }

    /// Channels written for each pixel, padding included.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Multiply-adds for a tile, padding included, without the transforms.
    pub(crate) fn multiply_adds(&self) -> usize {
        FREQUENCIES * self.inputs * self.width
    }

    /// Floats of scratch that [`winograd`] needs for this many tiles.
    pub(crate) fn scratch(&self, tiles: usize) -> usize {
        let pass = pass(tiles);
        FREQUENCIES * (plane(pass, self.input_pitch()) + plane(pass, self.group_pitch()))
    }

    fn input_pitch(&self) -> usize {
        padded(self.inputs) + GAP
    }

    fn group_pitch(&self) -> usize {
        self.width.min(GROUP) + GAP
    }
}

/// G g G^T, in f64 since it happens once.
fn transformed(kernel: &[f32]) -> [f32; FREQUENCIES] {
    const G: [[f64; 3]; WINDOW] = [
        [1.0 / 4.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
        [0.0, 0.0, 1.0],
    ];
    std::array::from_fn(|f| {
        let (row, column) = (G[f / WINDOW], G[f % WINDOW]);
        let sum: f64 = (0..9).map(|t| row[t / 3] * f64::from(kernel[t]) * column[t % 3]).sum();
        sum as f32
    })
}

/// Where the pixels of a batch of maps lie in a buffer. All in floats; each pitch spans at least what it steps over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    /// The first pixel.
    pub(crate) start: usize,
    /// From a pixel to the next of its row.
    pub(crate) pixel: usize,
    /// From a row to the next.
    pub(crate) row: usize,
    /// From an image to the next.
    pub(crate) image: usize,
}

/// Sizes of the maps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// Height and width of each input map.
    pub(crate) input: (usize, usize),
    /// Height and width of each output map.
    pub(crate) output: (usize, usize),
    /// Rows above and columns left of the input that the first output pixel's kernel covers.
    pub(crate) border: (usize, usize),
}

impl Extent {
    /// Bands of [`TILE`] output rows in an image; the last may be lower.
    pub(crate) fn bands(&self) -> usize {
        self.output.0.div_ceil(TILE)
    }

    /// Tiles in a band.
    pub(crate) fn tiles(&self) -> usize {
        self.output.1.div_ceil(TILE)
    }
}

/// What is added to the sums before their activation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Added<'a> {
    /// Nothing.
    None,
    /// A map whose pixels lie as the output's do.
    Map(&'a [f32]),
}

/// Bands of [`TILE`] output rows to convolve, counted through all images of the batch (see [`Extent::bands`]).
pub(crate) struct Bands<'a> {
    pub(crate) extent: Extent,
    pub(crate) bands: Range<usize>,
    /// Whole images, from the first of the batch.
    pub(crate) input: (&'a [f32], Grid),
    /// Starts at the first row of the first band, and so does what is added: several calls with their own pieces of the output
    /// may run at the same time.
    pub(crate) output: (&'a mut [f32], Grid),
    pub(crate) added: Added<'a>,
    pub(crate) epilogue: Epilogue,
}

/// Convolves.
///
/// # Panics
/// If a map leaves its slice, or the scratch is shorter than [`PackedWinograd::scratch`] of the bands' tiles.
pub(crate) fn winograd(packed: &PackedWinograd, work: Bands<'_>, scratch: &mut [f32]) {
    let Bands { extent, bands, input: (input, from), output: (output, to), added, epilogue } = work;
    if bands.is_empty() || extent.tiles() == 0 {
        return;
    }
    let channels = padded(packed.inputs);
    let (h, w) = extent.input;
    let (oh, ow) = extent.output;
    let place = |band: usize| (band / extent.bands(), band % extent.bands() * TILE);
    let (first, last) = (place(bands.start), place(bands.end - 1));
    if h > 0 && w > 0 {
        let end = from.end((last.0, h - 1, w - 1), channels);
        assert!(end.is_some_and(|end| end <= input.len()), "the input maps leave their buffer");
    }
    assert!(
        first.0 == last.0 || to.row.checked_mul(oh).is_some_and(|rows| rows <= to.image),
        "output images overlap"
    );
    let before = first.0 * to.image + first.1 * to.row;
    let end = to.end((last.0, oh.min(last.1 + TILE) - 1, ow - 1), packed.width);
    let end = end.map(|end| end - before);
    assert!(end.is_some_and(|end| end <= output.len()), "the output maps leave their buffer");
    let added = match added {
        Added::None => std::ptr::null(),
        Added::Map(map) => {
            assert!(end.is_some_and(|end| end <= map.len()), "the added maps leave their buffer");
            map.as_ptr()
        }
    };

    let tiles = bands.start * extent.tiles()..bands.end * extent.tiles();
    let pass = pass(tiles.len());
    let (input_pitch, group_pitch) = (packed.input_pitch(), packed.group_pitch());
    let (spread, products) = scratch.split_at_mut(FREQUENCIES * plane(pass, input_pitch));
    let spread_rows: [u32; PASS] = std::array::from_fn(|t| (t * input_pitch) as u32);
    let product_rows: [u32; PASS] = std::array::from_fn(|t| (t * group_pitch) as u32);
    // A tile's image, and its first output row and column.
    let corner = |tile: usize| {
        let (image, y) = place(tile / extent.tiles());
        (image, y, tile % extent.tiles() * TILE)
    };
    for start in tiles.clone().step_by(pass) {
        let count = pass.min(tiles.end - start);
        let (spread_plane, product_plane) = (plane(count, input_pitch), plane(count, group_pitch));
        let spread = &mut spread[..FREQUENCIES * spread_plane];
        let products = &mut products[..FREQUENCIES * product_plane];
        for t in 0..count {
            let (image, y, x) = corner(start + t);
            let pixel = |f: usize| {
                // Wraps below zero, and then isn't inside either.
                let y = (y + f / WINDOW).wrapping_sub(extent.border.0);
                let x = (x + f % WINDOW).wrapping_sub(extent.border.1);
                if y < h && x < w {
                    input[from.at(image, y, x)..].as_ptr()
                } else {
                    packed.zeros.as_ptr()
                }
            };
            let forward = Forward {
                pixels: std::array::from_fn(pixel),
                channels,
                spread: spread[t * input_pitch..].as_mut_ptr(),
                plane: spread_plane,
            };
            // SAFETY: each pixel lies before the end that was checked, or is a run of zeros of this length; a tile's row holds
            // `channels` in each of the planes that `spread` was cut to; `level` was detected on this machine or is portable.
            unsafe {
                match packed.level {
                    Level::Portable => portable::forward(&forward),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx2 => avx2::forward(&forward),
                    #[cfg(target_arch = "x86_64")]
                    Level::Avx512 => avx512::forward(&forward),
                }
            }
        }
        for (group, matrices) in packed.products.chunks_exact(FREQUENCIES).enumerate() {
            for (f, matrix) in matrices.iter().enumerate() {
                convolve(
                    matrix,
                    &spread[f * spread_plane..][..spread_plane],
                    &spread_rows[..count],
                    &mut products[f * product_plane..][..product_plane],
                    &product_rows[..count],
                    Residual::None,
                    Epilogue::LINEAR,
                );
            }
            let channel = group * GROUP;
            for t in 0..count {
                let (image, y, x) = corner(start + t);
                let at = to.at(image, y, x) - before + channel;
                let backward = Backward {
                    products: products[t * group_pitch..].as_ptr(),
                    plane: product_plane,
                    channels: GROUP.min(packed.width - channel),
                    bias: packed.bias[channel..].as_ptr(),
                    output: output[at..].as_mut_ptr(),
                    added: if added.is_null() { added } else { added.wrapping_add(at) },
                    row: to.row,
                    pixel: to.pixel,
                    rows: TILE.min(oh - y),
                    columns: TILE.min(ow - x),
                    epilogue,
                };
                // SAFETY: the tile's rows and columns are cut to the map, whose last pixel was checked against output and
                // added; a tile's row holds the group's channels in each of the planes; `level` as above.
                unsafe {
                    match packed.level {
                        Level::Portable => portable::backward(&backward),
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx2 => avx2::backward(&backward),
                        #[cfg(target_arch = "x86_64")]
                        Level::Avx512 => avx512::backward(&backward),
                    }
                }
            }
        }
    }
}

impl Grid {
    fn at(&self, image: usize, y: usize, x: usize) -> usize {
        self.start + image * self.image + y * self.row + x * self.pixel
    }

    /// Where `channels` of a pixel end, unless that is beyond all numbers.
    fn end(&self, (image, y, x): (usize, usize, usize), channels: usize) -> Option<usize> {
        let image = image.checked_mul(self.image)?;
        let y = y.checked_mul(self.row)?;
        let x = x.checked_mul(self.pixel)?;
        self.start.checked_add(image)?.checked_add(y)?.checked_add(x)?.checked_add(channels)
    }
}

/// Tiles in each pass of nearly equal passes.
fn pass(tiles: usize) -> usize {
    tiles.div_ceil(tiles.div_ceil(PASS).max(1))
}

/// Floats of one frequency of `tiles` tiles: an odd number of cache lines, since a tile's frequencies are written together.
fn plane(tiles: usize, pitch: usize) -> usize {
    ((tiles * pitch / LANE) | 1) * LANE
}

/// One tile on its way to the frequencies.
struct Forward {
    pixels: [*const f32; FREQUENCIES],
    channels: usize,
    spread: *mut f32,
    plane: usize,
}

/// One tile on its way back.
struct Backward {
    products: *const f32,
    plane: usize,
    channels: usize,
    bias: *const f32,
    output: *mut f32,
    /// Null when nothing is added.
    added: *const f32,
    row: usize,
    pixel: usize,
    rows: usize,
    columns: usize,
    epilogue: Epilogue,
}

/// B^T d for one row or column d.
///
/// # Safety
/// The instructions of `V` exist on this machine.
#[inline(always)]
unsafe fn to_frequencies<V: Lanes>(d: [V; WINDOW]) -> [V; WINDOW] {
    // SAFETY: forwarded to the caller.
    unsafe {
        let times = |factor: f32, x: V, sum: V| x.multiply_add(V::splat(factor), sum);
        let (even, odd) = (times(-4.0, d[2], d[4]), times(-4.0, d[1], d[3]));
        let (far, near) = (times(-1.0, d[2], d[4]), times(-1.0, d[1], d[3]));
        [
            times(4.0, d[0], times(-5.0, d[2], d[4])),
            even.add(odd),
            times(-1.0, odd, even),
            times(2.0, near, far),
            times(-2.0, near, far),
            times(4.0, d[1], times(-5.0, d[3], d[5])),
        ]
    }
}

/// A^T m for one row or column m.
///
/// # Safety
/// The instructions of `V` exist on this machine.
#[inline(always)]
unsafe fn from_frequencies<V: Lanes>(m: [V; WINDOW]) -> [V; TILE] {
    // SAFETY: forwarded to the caller.
    unsafe {
        let times = |factor: f32, x: V, sum: V| x.multiply_add(V::splat(factor), sum);
        let (s1, d1) = (m[1].add(m[2]), times(-1.0, m[2], m[1]));
        let (s2, d2) = (m[3].add(m[4]), times(-1.0, m[4], m[3]));
        [m[0].add(s1).add(s2), times(2.0, d2, d1), times(4.0, s2, s1), times(8.0, d2, d1).add(m[5])]
    }
}

/// B^T d B for all channels.
///
/// # Safety
/// The instructions of `V` exist; `channels` floats may be read at each pixel and written in each plane of `spread`.
#[inline(always)]
unsafe fn forward_body<V: Lanes>(job: &Forward) {
    // SAFETY: forwarded to the caller; `channel` is below `channels`, a multiple of every register's length.
    unsafe {
        for channel in (0..job.channels).step_by(V::COUNT) {
            let mut rows = [[V::splat(0.0); WINDOW]; WINDOW];
            for x in 0..WINDOW {
                let load = |y: usize| V::load(job.pixels[y * WINDOW + x].add(channel));
                let column = [load(0), load(1), load(2), load(3), load(4), load(5)];
                for (row, value) in rows.iter_mut().zip(to_frequencies(column)) {
                    row[x] = value;
                }
            }
            for (y, row) in rows.into_iter().enumerate() {
                for (x, value) in to_frequencies(row).into_iter().enumerate() {
                    value.store(job.spread.add((y * WINDOW + x) * job.plane + channel));
                }
            }
        }
    }
}

/// A^T m A for all channels, bias, what is added, activation.
///
/// # Safety
/// The instructions of `V` exist; `channels` floats may be read at the bias and in each plane of the products, and written (and read, if
/// not null) at the first `columns` pixels of the first `rows` rows.
#[inline(always)]
unsafe fn backward_body<V: Lanes>(job: &Backward, curve: &impl Curve<V>) {
    // SAFETY: forwarded to the caller; `channel` is below `channels`, a multiple of every register's length.
    unsafe {
        for channel in (0..job.channels).step_by(V::COUNT) {
            let mut rows = [[V::splat(0.0); WINDOW]; TILE];
            for x in 0..WINDOW {
                let load =
                    |y: usize| V::load(job.products.add((y * WINDOW + x) * job.plane + channel));
                let column = [load(0), load(1), load(2), load(3), load(4), load(5)];
                for (row, value) in rows.iter_mut().zip(from_frequencies(column)) {
                    row[x] = value;
                }
            }
            let bias = V::load(job.bias.add(channel));
            for (y, row) in rows.into_iter().enumerate().take(job.rows) {
                for (x, value) in from_frequencies(row).into_iter().enumerate() {
                    if x >= job.columns {
                        break;
                    }
                    let at = y * job.row + x * job.pixel + channel;
                    let mut sum = value.add(bias);
                    if !job.added.is_null() {
                        sum = sum.add(V::load(job.added.add(at)));
                    }
                    curve.apply(sum).store(job.output.add(at));
                }
            }
        }
    }
}

macro_rules! level {
    ($name:ident, $register:ty $(, $feature:literal)?) => {
        mod $name {
            use super::*;

            /// # Safety
            /// As [`forward_body`].
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn forward(job: &Forward) {
                // SAFETY: forwarded to the caller.
                unsafe { forward_body::<$register>(job) }
            }

            /// # Safety
            /// As [`backward_body`].
            $(#[target_feature(enable = $feature)])?
            pub(super) unsafe fn backward(job: &Backward) {
                // SAFETY: forwarded to the caller.
                unsafe {
                    match job.epilogue {
                        Epilogue::Clamp { low, high } => {
                            let clamp = Clamp { low: <$register>::splat(low), high: <$register>::splat(high) };
                            backward_body::<$register>(job, &clamp);
                        }
                        Epilogue::Silu => backward_body::<$register>(job, &Silu),
                        Epilogue::Gelu => backward_body::<$register>(job, &Gelu),
                        Epilogue::Sigmoid => backward_body::<$register>(job, &Sigmoid),
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
