//! Maxima and means over windows.

use super::crew::share;
use super::plan::Window;
use super::run::{Context, Target, borders, covered};
use crate::network::{NodeId, PoolKind};

pub(super) fn run(
    input: NodeId,
    channels: usize,
    kind: PoolKind,
    window: Window,
    context: &mut Context<'_>,
    target: Target<'_>,
) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(input);
    let (top, left) = borders(window, (from.height, from.width));
    let work = window.kernel * window.kernel * view.pitch;
    let pixels = context.count * view.pixels();
    let ranges = context.crew.cut(pixels, [1, usize::MAX], work);
    let parts = share(ranges, view.pitch, buffer);
    context.crew.each(context.scratches, parts, |_, (range, part)| {
        for (p, out) in range.zip(part.chunks_mut(view.pitch)) {
            let (image, at) = (p / view.pixels(), p % view.pixels());
            let rows = covered(window, top, from.height, at / view.width);
            let columns = covered(window, left, from.width, at % view.width);
            let count = rows.len() * columns.len();
            let out = &mut out[view.offset..][..channels];
            let sources = rows.flat_map(|row| {
                columns
                    .clone()
                    .map(move |column| from.at(image * from.pixels() + row * from.width + column))
            });
            match kind {
                PoolKind::Max => {
                    out.fill(f32::NEG_INFINITY);
                    for source in sources {
                        for (largest, &value) in out.iter_mut().zip(&values[source..]) {
                            *largest = largest.max(value);
                        }
                    }
                }
                PoolKind::Mean => {
                    out.fill(0.0);
                    for source in sources {
                        for (sum, value) in out.iter_mut().zip(&values[source..]) {
                            *sum += value;
                        }
                    }
                    let scale = 1.0 / count as f32;
                    out.iter_mut().for_each(|sum| *sum *= scale);
                }
            }
        }
    });
}
