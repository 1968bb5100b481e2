//! Multi-head attention (Vaswani et al., "Attention Is All You Need", 2017) among a group of pixels: all of a sequence, or one
//! window of a map with a bias by relative position (Liu et al., "Swin Transformer", ICCV 2021).
//!
//! For each head, keys (transposed) and values are packed into panels of the convolution's kernel; then, for a block of queries
//! at a time, one product gives the scores, which stay in the cache for the softmax, and a second one the weighted values. The
//! division by the softmax's sum comes last: a head's width is less than the number of keys. Scores are kept in units of ln 2, so
//! that the softmax needs powers of two only; the factor is in keys, bias and masks.
//!
//! A group names its pixels by offsets, so windows and their cyclic shift cost nothing.

use std::f32::consts::LOG2_E;
use std::ops::Range;

use super::convolve::{self, Job};
use super::epilogue::power_of_two;
use super::lanes::{Lanes, Portable};
use super::{Aligned, Epilogue, Level, padded};

/// Queries whose scores are in the cache at once.
const QUERIES: usize = 56;

/// Smaller powers of two are this one: times a value, a share that is really zero must not become a subnormal number, with which
/// many processors are slow.
const LEAST: f32 = -100.0;

/// The heads of an attention layer, and the bias of its windows.
#[derive(Debug)]
pub(crate) struct PackedAttention {
    level: Level,
    heads: usize,
    width: usize,
    bias: Bias,
}

#[derive(Debug)]
enum Bias {
    None,
    /// Rows of `padded(pixels)` floats.
    Window {
        pixels: usize,
        /// `[head][query][key]`.
        bias: Aligned,
        /// For each [`Wrapped`] but the first, `[query][key]`.
        masks: Vec<Aligned>,
    },
}

impl PackedAttention {
    /// `heads` of `width` channels each; everyone in a group looks at everyone.
    pub(crate) fn global(level: Level, heads: usize, width: usize) -> Self {
        assert!(heads > 0 && width > 0, "there are heads, and they have channels");
        Self { level, heads, width, bias: Bias::None }
    }

    /// Attention within square windows. `table` is the bias by relative position, `[(2 side - 1)^2][heads]`: row
    /// `(dy + side - 1) * (2 side - 1) + dx + side - 1` for a query dy below and dx right of its key.
    pub(crate) fn windowed(
        level: Level,
        heads: usize,
        width: usize,
        windows: &Windows,
        table: &[f32],
    ) -> Self {
        let side = windows.side;
        let (pixels, range) = (side * side, 2 * side - 1);
        assert_eq!(
            table.len(),
            range * range * heads,
            "one bias for each relative position and head"
        );
        let pitch = padded(pixels);
        let mut bias = Aligned::zeros(heads * pixels * pitch);
        for query in 0..pixels {
            for key in 0..pixels {
                let dy = query / side + side - 1 - key / side;
                let dx = query % side + side - 1 - key % side;
                for head in 0..heads {
                    bias[(head * pixels + query) * pitch + key] =
                        table[(dy * range + dx) * heads + head] * LOG2_E;
                }
            }
        }
        let masks = [Wrapped::Right, Wrapped::Below, Wrapped::Both].map(|wrapped| {
            let mut mask = Aligned::zeros(pixels * pitch);
            for query in 0..pixels {
                for key in 0..pixels {
                    if windows.part(wrapped, query) != windows.part(wrapped, key) {
                        mask[query * pitch + key] = -100.0 * LOG2_E;
                    }
                }
            }
            mask
        });
        Self {
            bias: Bias::Window { pixels, bias, masks: masks.into() },
            ..Self::global(level, heads, width)
        }
    }

    /// Channels of a pixel's result; its queries, keys and values together have three times as many.
    pub(crate) fn channels(&self) -> usize {
        self.heads * self.width
    }

    /// Floats of scratch for groups of `pixels`.
    pub(crate) fn scratch(&self, pixels: usize) -> usize {
        let (keys, width) = (padded(pixels), padded(self.width));
        // Keys, values, the start of both sums, scores, results that can't be written in place.
        self.width * keys + pixels * width + keys + width + QUERIES * keys + QUERIES * width
    }
}

/// Which neighbours in a shifted window aren't neighbours in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrapped {
    /// All are.
    Nothing,
    /// The last columns come from the map's other side.
    Right,
    /// The last rows do.
    Below,
    /// Both.
    Both,
}

/// A map cut into square windows, which begin `shift` pixels further right and down and wrap around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows {
    height: usize,
    width: usize,
    side: usize,
    /// Down and right.
    shift: (usize, usize),
}

impl Windows {
    /// Windows of a map whose height and width are multiples of `side`. Along an axis of one window nothing is shifted.
    pub(crate) fn new((height, width): (usize, usize), side: usize, shift: usize) -> Self {
        assert!(
            side > 0 && height.is_multiple_of(side) && width.is_multiple_of(side) && shift < side,
            "{height} x {width} pixels in windows of {side}, shifted by {shift}"
        );
        let along = |length| if length == side { 0 } else { shift };
        let shift = (along(height), along(width));
        Self { height, width, side, shift }
    }

    /// The pixels of a window, row by row, as positions in the row-major map.
    pub(crate) fn pixels(&self, window: usize) -> impl Iterator<Item = usize> + '_ {
        let columns = self.width / self.side;
        let (top, left) = (window / columns * self.side, window % columns * self.side);
        (0..self.side * self.side).map(move |p| {
            let y = (top + p / self.side + self.shift.0) % self.height;
            let x = (left + p % self.side + self.shift.1) % self.width;
            y * self.width + x
        })
    }

    /// What the shift wrapped around in a window.
    pub(crate) fn wrapped(&self, window: usize) -> Wrapped {
        let columns = self.width / self.side;
        let right = window % columns == columns - 1;
        let below = window / columns == self.height / self.side - 1;
        match (self.shift.1 > 0 && right, self.shift.0 > 0 && below) {
            (false, false) => Wrapped::Nothing,
            (true, false) => Wrapped::Right,
            (false, true) => Wrapped::Below,
            (true, true) => Wrapped::Both,
        }
    }

    /// Pixels of a window see each other if these are the same.
    fn part(&self, wrapped: Wrapped, pixel: usize) -> (bool, bool) {
        let (last_row, last_column) = (self.side - self.shift.0, self.side - self.shift.1);
        let right = matches!(wrapped, Wrapped::Right | Wrapped::Both);
        let below = matches!(wrapped, Wrapped::Below | Wrapped::Both);
        (below && pixel / self.side >= last_row, right && pixel % self.side >= last_column)
    }
}

/// Pixels that look at each other.
#[derive(Debug, Clone)]
pub(crate) struct Group<'a> {
    /// Where each pixel begins in the input: queries `[heads][width]`, keys, values.
    pub(crate) from: &'a [u32],
    /// Which of them are queries now; all are keys.
    pub(crate) queries: Range<usize>,
    /// Where the result of each query begins in the output: `[heads][width]`.
    pub(crate) to: &'a [u32],
    /// Which of them don't see each other; `Nothing` for global attention.
    pub(crate) wrapped: Wrapped,
}

/// softmax(q k' / sqrt(width) + bias + mask) v of every head, for the queries of one group. Groups, and queries of a group, are
/// independent: threads may share them, at the price of packing the keys once each. The output's padding isn't written.
///
/// # Panics
/// If an offset leaves its slice, a window's group has not as many pixels as the window, or `scratch` is smaller than
/// [`PackedAttention::scratch`].
pub(crate) fn attention(
    packed: &PackedAttention,
    group: &Group<'_>,
    input: &[f32],
    output: &mut [f32],
    scratch: &mut [f32],
) {
    let channels = packed.channels();
    let keys = group.from.len();
    assert!(
        group.queries.end <= keys && group.queries.start <= group.queries.end,
        "queries are among the pixels"
    );
    assert_eq!(group.to.len(), group.queries.len(), "one output offset for each query");
    if group.to.is_empty() {
        return;
    }
    convolve::check(group.from, 3 * channels, input.len());
    convolve::check(group.to, channels, output.len());
    let (pitch, padded_width) = (padded(keys), padded(packed.width));
    let needed = packed.scratch(keys);
    assert!(scratch.len() >= needed, "scratch of {} floats for {needed}", scratch.len());
    let (key_panels, rest) = scratch.split_at_mut(packed.width * pitch);
    let (value_panels, rest) = rest.split_at_mut(keys * padded_width);
    let (start, rest) = rest.split_at_mut(pitch);
    let (zeros, rest) = rest.split_at_mut(padded_width);
    let (scores, rest) = rest.split_at_mut(QUERIES * pitch);
    let results = &mut rest[..QUERIES * padded_width];
    // Keys that are padding get no share.
    start[..keys].fill(0.0);
    start[keys..].fill(f32::NEG_INFINITY);
    zeros.fill(0.0);
    let is_whole = packed.width == padded_width;
    let panel = convolve::panel(packed.level);
    for head in 0..packed.heads {
        let query_channel = head * packed.width;
        pack_keys(key_panels, group.from, &input[channels + query_channel..], packed.width, panel);
        pack_values(
            value_panels,
            group.from,
            &input[2 * channels + query_channel..],
            packed.width,
            panel,
        );
        // Blocks of nearly equal size: a short one would have low tiles.
        let blocks = group.to.len().div_ceil(QUERIES);
        for block in 0..blocks {
            let first = block * group.to.len() / blocks;
            let count = (block + 1) * group.to.len() / blocks - first;
            let queries = group.queries.start + first..group.queries.start + first + count;
            let mut from = [0u32; QUERIES];
            let mut to = [0u32; QUERIES];
            let mut added = [0u32; QUERIES];
            let mut values_to = [0u32; QUERIES];
            for i in 0..count {
                from[i] = group.from[queries.start + i] + query_channel as u32;
                to[i] = (i * pitch) as u32;
                values_to[i] = match is_whole {
                    true => group.to[first + i] + query_channel as u32,
                    false => (i * padded_width) as u32,
                };
            }
            let (bias, mask) = match &packed.bias {
                Bias::None => {
                    assert_eq!(group.wrapped, Wrapped::Nothing, "only windows are wrapped");
                    (std::ptr::null(), None)
                }
                Bias::Window { pixels, bias, masks } => {
                    assert_eq!(keys, *pixels, "a group is a window");
                    for (i, added) in added[..count].iter_mut().enumerate() {
                        *added = ((head * pixels + queries.start + i) * pitch) as u32;
                    }
                    let mask = match group.wrapped {
                        Wrapped::Nothing => None,
                        Wrapped::Right => Some(&masks[0]),
                        Wrapped::Below => Some(&masks[1]),
                        Wrapped::Both => Some(&masks[2]),
                    };
                    (bias.as_ptr(), mask.map(|mask| &mask[queries.start * pitch..]))
                }
            };
            let scoring = Job {
                taps: 1,
                inputs: packed.width,
                pixels: count,
                width: pitch,
                weights: key_panels.as_ptr(),
                bias: start.as_ptr(),
                input: input.as_ptr(),
                from: from.as_ptr(),
                output: scores.as_mut_ptr(),
                to: to.as_ptr(),
                added: bias,
                add: added.as_ptr(),
                epilogue: Epilogue::LINEAR,
            };
            let mut shares = [0.0; QUERIES];
            let weighing = Job {
                inputs: keys,
                width: padded_width,
                weights: value_panels.as_ptr(),
                bias: zeros.as_ptr(),
                input: scores.as_ptr(),
                from: to.as_ptr(),
                output: if is_whole { output.as_mut_ptr() } else { results.as_mut_ptr() },
                to: values_to.as_ptr(),
                added: std::ptr::null(),
                ..scoring
            };
            // SAFETY: queries are read at offsets that `check` proved to have three times `channels` floats behind them; scores and
            // results are written to scratch of QUERIES rows, or to offsets with `channels` floats behind them; panels, start and
            // zeros were made for these widths; bias and mask have a row of `pitch` floats for each query of the window; `level` was
            // detected on this machine or is portable.
            unsafe {
                convolve::run(packed.level, &scoring);
                softmax(packed.level, &mut scores[..count * pitch], pitch, keys, mask, &mut shares);
                convolve::run(packed.level, &weighing);
            }
            for i in 0..count {
                let result =
                    &mut output[group.to[first + i] as usize + query_channel..][..packed.width];
                if is_whole {
                    result.iter_mut().for_each(|x| *x *= shares[i]);
                } else {
                    let from = &results[i * padded_width..][..packed.width];
                    result.iter_mut().zip(from).for_each(|(x, y)| *x = y * shares[i]);
                }
            }
        }
    }
}

/// Keys as the weights of a product with queries: `[panel][channel][key]`, times what turns scores into powers of two.
fn pack_keys(panels: &mut [f32], from: &[u32], input: &[f32], width: usize, panel: usize) {
    let factor = LOG2_E / (width as f32).sqrt();
    let pitch = padded(from.len());
    for first in (0..pitch).step_by(panel) {
        let columns = panel.min(pitch - first);
        let packed = &mut panels[first * width..][..columns * width];
        let keys = &from[first.min(from.len())..from.len().min(first + columns)];
        if keys.len() < columns {
            packed.fill(0.0);
        }
        let row = |key: u32| &input[key as usize..][..width];
        // Four rows at a time become four columns; the compiler does a square of four in registers.
        let (fours, rest) = keys.as_chunks::<4>();
        for (four, keys) in fours.iter().enumerate() {
            let [a, b, c, d] = keys.map(|key| row(key).as_chunks::<4>());
            let rows = packed.chunks_exact_mut(4 * columns);
            for ((((rows, a), b), c), d) in rows.zip(a.0).zip(b.0).zip(c.0).zip(d.0) {
                for (i, row) in rows.chunks_exact_mut(columns).enumerate() {
                    let column = [a[i], b[i], c[i], d[i]].map(|x| x * factor);
                    row[4 * four..][..4].copy_from_slice(&column);
                }
            }
            let tails = [a.1, b.1, c.1, d.1];
            for (i, row) in packed.chunks_exact_mut(columns).skip(width / 4 * 4).enumerate() {
                row[4 * four..][..4].copy_from_slice(&tails.map(|tail| tail[i] * factor));
            }
        }
        for (column, &key) in rest.iter().enumerate() {
            for (packed, &x) in packed.chunks_exact_mut(columns).zip(row(key)) {
                packed[4 * fours.len() + column] = x * factor;
            }
        }
    }
}

/// Values as the weights of a product with shares: `[panel][key][channel]`.
fn pack_values(panels: &mut [f32], from: &[u32], input: &[f32], width: usize, panel: usize) {
    let pitch = padded(width);
    for first in (0..pitch).step_by(panel) {
        let columns = panel.min(pitch - first);
        let packed = &mut panels[first * from.len()..][..columns * from.len()];
        let real = first.min(width)..width.min(first + columns);
        for (row, &value) in packed.chunks_exact_mut(columns).zip(from) {
            let value = &input[value as usize..][real.clone()];
            if value.len() == columns {
                // Copies of known length; panels are multiples of eight.
                for (row, value) in
                    row.as_chunks_mut::<8>().0.iter_mut().zip(value.as_chunks::<8>().0)
                {
                    *row = *value;
                }
            } else {
                let (row, padding) = row.split_at_mut(value.len());
                row.copy_from_slice(value);
                padding.fill(0.0);
            }
        }
    }
}

/// Turns each row of `pitch` scores, the first `keys` of which count, into powers of two, and `shares` into one over their sums.
///
/// # Safety
/// `level` was detected on this machine or is portable; the mask has as many rows as there are scores.
unsafe fn softmax(
    level: Level,
    scores: &mut [f32],
    pitch: usize,
    keys: usize,
    mask: Option<&[f32]>,
    shares: &mut [f32],
) {
    let rows = scores.chunks_exact_mut(pitch).zip(shares).enumerate();
    for (i, (row, share)) in rows {
        let mask = mask.map_or(std::ptr::null(), |mask| mask[i * pitch..][..pitch].as_ptr());
        // SAFETY: row and mask hold `pitch` floats, which are whole registers for `keys`.
        *share = unsafe {
            match level {
                Level::Portable => portable(row.as_mut_ptr(), mask, keys),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(row.as_mut_ptr(), mask, keys),
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(row.as_mut_ptr(), mask, keys),
            }
        };
    }
}

/// One row of [`softmax`]; a null mask is none.
///
/// # Safety
/// The instructions of `V` exist, and `padded(keys)` floats may be read at `row` and `mask`, and written at `row`.
#[inline(always)]
unsafe fn softmax_body<V: Lanes>(row: *mut f32, mask: *const f32, keys: usize) -> f32 {
    // SAFETY: forwarded to the caller; COUNT divides LANE, to a multiple of which keys are padded.
    unsafe {
        let mut largest = V::splat(f32::NEG_INFINITY);
        for k in (0..keys).step_by(V::COUNT) {
            let mut x = V::load(row.add(k));
            if !mask.is_null() {
                x = x.add(V::load(mask.add(k)));
                x.store(row.add(k));
            }
            largest = largest.max(x);
        }
        let largest = V::splat(largest.largest());
        let mut sum = V::splat(0.0);
        for k in (0..keys).step_by(V::COUNT) {
            let x = V::splat(LEAST).max(V::load(row.add(k)).sub(largest));
            let power = power_of_two(x, 1.0);
            power.store(row.add(k));
            sum = sum.add(power);
        }
        1.0 / sum.sum()
    }
}

unsafe fn portable(row: *mut f32, mask: *const f32, keys: usize) -> f32 {
    // SAFETY: forwarded to the caller.
    unsafe { softmax_body::<Portable>(row, mask, keys) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(row: *mut f32, mask: *const f32, keys: usize) -> f32 {
    // SAFETY: forwarded to the caller.
    unsafe { softmax_body::<std::arch::x86_64::__m256>(row, mask, keys) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512(row: *mut f32, mask: *const f32, keys: usize) -> f32 {
    // SAFETY: forwarded to the caller.
    unsafe { softmax_body::<std::arch::x86_64::__m512>(row, mask, keys) }
}
