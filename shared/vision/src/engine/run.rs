//! Runs a plan over a few images.

use super::crew::{Arena, Crew, Scratch};
use super::layout::{Layout, View};
use super::pixel::Norm;
use super::plan::{Kind, PackedHead, Plan, Step, Window};
use super::{bottleneck, dense, excite, pool, sequence, winograd};
use crate::kernels::{Aligned, Level, add_pixels, padded};
use crate::network::{NodeId, Padding};

/// What all steps of a run share.
#[derive(Clone, Copy)]
struct Run<'a> {
    layout: &'a Layout,
    crew: Crew<'a>,
    images: &'a [f32],
    wanted: &'a [NodeId],
}

/// What a step works with.
pub(super) struct Context<'a> {
    pub(super) layout: &'a Layout,
    /// All buffers but the one that the step writes.
    pub(super) slots: &'a [Aligned],
    pub(super) scratches: &'a mut [Scratch],
    pub(super) crew: Crew<'a>,
    pub(super) level: Level,
    /// The first of the images that the step works on, and how many.
    pub(super) first: usize,
    pub(super) count: usize,
    /// These images, each `[channels][height][width]`.
    pub(super) images: &'a [f32],
}

/// The map that a step writes: its view, and its buffer, from the first image that the step works on, without the zeros at the end.
pub(super) struct Target<'a> {
    pub(super) view: View,
    pub(super) buffer: &'a mut [f32],
}

impl<'a> Context<'a> {
    /// A layer's map, which begins with the first image that the step works on, and its buffer.
    pub(super) fn map(&self, node: NodeId) -> (View, &'a [f32]) {
        let mut view = self.layout.view(node);
        view.offset += view.before(self.first);
        (view, &self.slots[view.slot])
    }
}

impl Plan {
    /// Runs over as many planar images `[channels][height][width]` as the layout is for. For each image `out` takes the features and
    /// then the wanted maps, each `[channels][height][width]`.
    pub(crate) fn run(
        &self,
        layout: &Layout,
        arena: &mut Arena,
        crew: Crew<'_>,
        images: &[f32],
        wanted: &[NodeId],
        out: &mut [f32],
    ) {
        self.run_watched(layout, arena, crew, images, wanted, out, &mut |_| {});
    }

    /// As [`Plan::run`], and calls `watch` with the index of every step that has ended, for one image or for all.
    #[expect(clippy::too_many_arguments, reason = "those of `run` and one more")]
    pub(crate) fn run_watched(
        &self,
        layout: &Layout,
        arena: &mut Arena,
        crew: Crew<'_>,
        images: &[f32],
        wanted: &[NodeId],
        out: &mut [f32],
        watch: &mut dyn FnMut(usize),
    ) {
        let run = Run { layout, crew, images, wanted };
        for image in 0..layout.images {
            for step in 0..layout.split {
                self.step(&run, step, arena, image, 1, out);
                watch(step);
            }
        }
        for step in layout.split..self.steps.len() {
            self.step(&run, step, arena, 0, layout.images, out);
            watch(step);
        }
    }

    /// A step for `count` images.
    fn step(
        &self,
        run: &Run<'_>,
        step: usize,
        arena: &mut Arena,
        first: usize,
        count: usize,
        out: &mut [f32],
    ) {
        let Run { layout, crew, images, wanted } = *run;
        let step = &self.steps[step];
        let Arena { slots, scratches } = arena;
        let view = layout.view(step.output);
        let mut buffer = std::mem::take(&mut slots[view.slot]);
        let level = self.level;
        let each = images.len() / layout.images;
        let images = &images[first * each..][..count * each];
        let mut context = Context { layout, slots, scratches, crew, level, first, count, images };
        let held = view.before(first)..layout.capacities[view.slot];
        self.compute(step, &mut context, Target { view, buffer: &mut buffer[held.clone()] });
        let (map, total) = (&buffer[held], out.len() / layout.images);
        for (i, out) in out.chunks_exact_mut(total).skip(first).take(count).enumerate() {
            let mut start = self.network.features();
            for &node in wanted {
                let (h, w) = layout.size(node);
                let len = self.network.channels(node) * h * w;
                if node == step.output {
                    planar(map, &view, i, &mut out[start..start + len]);
                }
                start += len;
            }
            if step.output == self.network.last() {
                self.head(map, &view, i, &mut out[..self.network.features()]);
            }
        }
        slots[view.slot] = buffer;
    }

    fn compute(&self, step: &Step, context: &mut Context<'_>, target: Target<'_>) {
        let channels = |node: NodeId| self.network.channels(node);
        match &step.kind {
            Kind::Image => dense::image(context, channels(step.output), target),
            Kind::Stem { packed, window, epilogue } => {
                let size = context.layout.size(self.network.image());
                dense::stem(context, size, packed, *window, *epilogue, target);
            }
            Kind::Dense(d) => dense::run(d, context, target),
            Kind::Winograd(w) => winograd::run(w, context, target),
            Kind::Bottleneck(b) => bottleneck::run(b, context, target),
            Kind::Pool { input, kind, window } => {
                pool::run(*input, channels(*input), *kind, *window, context, target);
            }
            Kind::Normalise { input, norm } => normalise(*input, norm, context, target),
            Kind::SqueezeExcite(s) => {
                excite::run(s, self.factors_only[step.output.0], context, target);
            }
            Kind::Join(operands) => self.join(operands, step.output, context, target),
            Kind::Tokens { prefix, .. } => {
                let positions = &context.layout.positions[&step.output];
                let [input] = step.inputs(&self.network)[..] else {
                    unreachable!("tokens have one input")
                };
                sequence::tokens(input, channels(input), prefix, positions, context, target);
            }
            Kind::Attention { attention, .. } => {
                sequence::attention(attention.input, step.output, context, target);
            }
            Kind::MergePatches(input) => {
                sequence::merge_patches(*input, channels(*input), context, target);
            }
        }
    }

    fn join(
        &self,
        operands: &[NodeId],
        output: NodeId,
        context: &mut Context<'_>,
        target: Target<'_>,
    ) {
        let home = self.homes[output.0];
        let Target { view, buffer } = target;
        let mut channel = 0;
        for &operand in operands {
            let width = self.network.channels(operand);
            let here = self.homes[operand.0];
            if here.owner != home.owner {
                let (from, values) = context.map(operand);
                for pixel in 0..context.count * view.pixels() {
                    buffer[view.at(pixel) + channel..][..width]
                        .copy_from_slice(&values[from.at(pixel)..][..width]);
                }
            }
            channel += width;
        }
    }

    fn head(&self, values: &[f32], view: &View, image: usize, features: &mut [f32]) {
        let first = image * view.pixels();
        match &self.head {
            PackedHead::ClassToken => {
                features.copy_from_slice(&values[view.at(first)..][..features.len()]);
            }
            PackedHead::Mean => {
                let mean = self.mean(values, view, image, features.len());
                features.copy_from_slice(&mean[..features.len()]);
            }
            PackedHead::MeanThenNorm(norm) => {
                let mean = self.mean(values, view, image, features.len());
                let mut out = vec![0f32; norm.width()];
                norm.run(1, (&mean, 0), (&mut out, 0));
                features.copy_from_slice(&out[..features.len()]);
            }
        }
    }

    /// The mean of an image's pixels, without the prefix; as many channels as the padded map has.
    fn mean(&self, values: &[f32], view: &View, image: usize, channels: usize) -> Vec<f32> {
        let mut sums = vec![0f32; padded(channels)];
        let first = image * view.pixels() + view.prefix;
        let pixels = view.height * view.width;
        add_pixels(self.level, pixels, &values[view.at(first)..], view.pitch, &mut sums);
        let scale = 1.0 / pixels as f32;
        sums.iter_mut().for_each(|sum| *sum *= scale);
        sums
    }
}

/// An image's map without the prefix, as `[channels][height][width]`.
fn planar(values: &[f32], view: &View, image: usize, map: &mut [f32]) {
    let pixels = view.height * view.width;
    let first = image * view.pixels() + view.prefix;
    for (channel, plane) in map.chunks_exact_mut(pixels).enumerate() {
        for (pixel, out) in plane.iter_mut().enumerate() {
            *out = values[view.at(first + pixel) + channel];
        }
    }
}

fn normalise(input: NodeId, norm: &Norm, context: &mut Context<'_>, target: Target<'_>) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    let pixels = context.count * view.pixels();
    let ranges = context.crew.cut(pixels, [1, usize::MAX], 20 * view.pitch);
    let parts = super::crew::share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |_, (range, part)| {
        let (from, to) = ((&values[from.at(range.start)..], from.pitch), &mut part[view.offset..]);
        norm.run(range.len(), from, (to, view.pitch));
    });
}

/// Pixels above and left of the first input pixel.
pub(super) fn borders(window: Window, (h, w): (usize, usize)) -> (usize, usize) {
    let along = |len| {
        let fits = window.padding.along(len, window.kernel, window.stride);
        fits.expect("the layout was made for this size").0
    };
    (along(h), along(w))
}

/// For each output pixel of one axis, the input pixels that its window covers.
pub(super) fn covered(
    window: Window,
    before: usize,
    len: usize,
    at: usize,
) -> std::ops::Range<usize> {
    debug_assert!(matches!(window.padding, Padding::Even(_)), "pools have even borders");
    (at * window.stride).saturating_sub(before)
        ..(at * window.stride + window.kernel - before).min(len)
}
