//! 3x3 convolutions by Winograd's algorithm, in bands of tiles.

use super::crew::share;
use super::layout::View;
use super::plan::Winograd;
use super::run::{Context, Target, borders};
use crate::kernels::{Added, Bands, Extent, Grid, TILE, winograd};
use crate::network::Skip;

/// Tiles that a part has at least, if there are enough: the weights are read once for all of them.
const LEAST_TILES: usize = 28;

pub(super) fn run(step: &Winograd, context: &mut Context<'_>, target: Target<'_>) {
    let Target { view, buffer } = target;
    let (from, values) = context.map(step.input);
    let residual = match step.skip {
        Skip::None => None,
        Skip::Add(other) => Some(context.map(other)),
    };
    let extent = Extent {
        input: (from.height, from.width),
        output: (view.height, view.width),
        border: borders(step.window, (from.height, from.width)),
    };
    let (per_image, tiles) = (extent.bands(), extent.tiles());
    let bands = context.count * per_image;
    let least = LEAST_TILES.div_ceil(tiles);
    let work = tiles * step.packed.multiply_adds();
    let ranges = context.crew.cut(bands, [least, usize::MAX], work);
    let first =
        |band: usize| band / per_image * view.pixels() + band % per_image * TILE * view.width;
    let pixels = ranges.iter().map(|bands| first(bands.start)..first(bands.end)).collect();
    let parts = ranges.iter().cloned().zip(share(pixels, view.pitch, buffer)).collect();
    context.crew.each(context.scratches, parts, |scratch, (bands, (pixels, part))| {
        let scratch = &mut scratch.floats;
        scratch.reserve(step.packed.scratch(bands.len() * tiles));
        let added = match residual {
            None => Added::None,
            // The plan made sure that both maps have the same pitch and begin with their pixels.
            Some((other, values)) => Added::Map(&values[other.at(pixels.start)..]),
        };
        let work = Bands {
            extent,
            bands,
            input: (values, grid(&from)),
            output: (part, grid(&view)),
            added,
            epilogue: step.epilogue,
        };
        winograd(&step.packed, work, scratch);
    });
}

fn grid(view: &View) -> Grid {
    let row = view.width * view.pitch;
    Grid { start: view.offset, pixel: view.pitch, row, image: view.pixels() * view.pitch }
}
