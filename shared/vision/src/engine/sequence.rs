//! Layers of transformers: sequences, attention, and Swin's merging of patches.

use super::crew::{Lists, Scratch, share};
use super::layout::Attend;
use super::run::{Context, Target};
use crate::kernels::{Group, PackedAttention, Windows, Wrapped, attention as attend, padded};
use crate::network::NodeId;

pub(super) fn tokens(
    input: NodeId,
    channels: usize,
    prefix: &[f32],
    positions: &[f32],
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    for image in 0..context.count {
        for (p, position) in positions.chunks_exact(channels).enumerate() {
            let token = match p.checked_sub(view.prefix) {
                None => &prefix[p * channels..],
                Some(patch) => &values[from.at(image * from.pixels() + patch)..],
            };
            let out = &mut buffer[view.at(image * view.pixels() + p)..][..channels];
            for ((out, token), position) in out.iter_mut().zip(token).zip(position) {
                *out = token + position;
            }
        }
    }
}

/// Each square's pixels, column by column.
pub(super) fn merge_patches(
    input: NodeId,
    channels: usize,
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    let pixels = context.count * view.pixels();
    let ranges = context.crew.cut(pixels, [1, usize::MAX], 20 * view.pitch);
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |_, (range, part)| {
        for (p, out) in range.zip(part.chunks_mut(view.pitch)) {
            let (image, at) = (p / view.pixels(), p % view.pixels());
            let (y, x) = (at / view.width, at % view.width);
            for (i, out) in
                out[view.offset..][..4 * channels].chunks_exact_mut(channels).enumerate()
            {
                let source = (2 * y + i % 2) * from.width + 2 * x + i / 2;
                let source = from.at(image * from.pixels() + source);
                out.copy_from_slice(&values[source..][..channels]);
            }
        }
    });
}

pub(super) fn attention(
    input: NodeId,
    output: NodeId,
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    match &context.layout.attentions[&output] {
        Attend::Global(packed) => global(input, packed, context, target),
        Attend::Window(packed, windows, side) => {
            windowed(input, packed, windows, *side, context, target);
        }
    }
}

fn global(input: NodeId, packed: &PackedAttention, context: &mut Context<'_>, target: Target<'_>) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    let pixels = view.pixels();
    let work = 2 * pixels * packed.channels();
    // A part's queries belong to one image.
    let mut ranges = Vec::new();
    for image in 0..context.count {
        let queries = context.crew.cut(pixels, [48, usize::MAX], work);
        ranges
            .extend(queries.into_iter().map(|q| image * pixels + q.start..image * pixels + q.end));
    }
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |scratch, (range, part)| {
        let Scratch { floats, lists, .. } = scratch;
        let Lists { from: keys, to, .. } = lists;
        let first = range.start / pixels * pixels;
        keys.clear();
        keys.extend((first..first + pixels).map(|p| from.at(p) as u32));
        to.clear();
        to.extend((0..range.len()).map(|p| view.at(p) as u32));
        floats.reserve(packed.scratch(pixels));
        let queries = range.start - first..range.end - first;
        let group = Group { from: keys, queries, to, wrapped: Wrapped::Nothing };
        attend(packed, &group, values, part, floats);
    });
}

/// Windows share rows of pixels, and a shifted one has rows at both ends of the map: a part is a row of windows, whose pixels are
/// collected in scratch memory before they are copied to their places.
fn windowed(
    input: NodeId,
    packed: &PackedAttention,
    windows: &Windows,
    side: usize,
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    let (columns, channels) = (view.width / side, packed.channels());
    let pitch = padded(channels);
    let mut lines: Vec<Option<&mut [f32]>> = buffer
        .chunks_exact_mut(view.width * view.pitch)
        .take(context.count * view.height)
        .map(Some)
        .collect();
    let mut parts = Vec::new();
    for image in 0..context.count {
        for row in 0..view.height / side {
            let lines: Vec<&mut [f32]> = windows
                .pixels(row * columns)
                .step_by(side)
                .map(|p| {
                    let line = lines[image * view.height + p / view.width].take();
                    line.expect("a line is in one row of windows")
                })
                .collect();
            parts.push((image, row, lines));
        }
    }
    context.crew.each(context.scratches, parts, |scratch, (image, row, mut lines)| {
        let Scratch { floats, lists, .. } = scratch;
        let Lists { from: keys, to, .. } = lists;
        let needed = packed.scratch(side * side);
        let results = side * side * pitch;
        floats.reserve(needed + results);
        let (results, floats) = floats.split_at_mut(results);
        to.clear();
        to.extend((0..side * side).map(|p| (p * pitch) as u32));
        for window in row * columns..(row + 1) * columns {
            keys.clear();
            let first = image * view.pixels();
            keys.extend(windows.pixels(window).map(|p| from.at(first + p) as u32));
            let wrapped = windows.wrapped(window);
            let group = Group { from: keys, queries: 0..side * side, to, wrapped };
            attend(packed, &group, values, results, floats);
            let results = results.chunks_exact(pitch);
            for (i, (pixel, result)) in windows.pixels(window).zip(results).enumerate() {
                lines[i / side][view.at(pixel % view.width)..][..channels]
                    .copy_from_slice(&result[..channels]);
            }
        }
    });
}
