//! Who works on a step, and the memory in which they do.

use std::ops::Range;

use super::layout::Layout;
use super::product::Rounded;
use crate::kernels::{Aligned, Team};

/// Parts of a step for each member of a team: a late member costs a part of the step, not half of it.
const PARTS_PER_MEMBER: usize = 4;

/// A part below this many multiply-adds isn't worth its share of the start and end.
const SMALLEST_PART: usize = 400_000;

/// All memory that a run needs; made once, used for one batch after the other.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    pub(super) slots: Vec<Aligned>,
    pub(super) scratches: Vec<Scratch>,
}

/// A member's own memory.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) floats: Aligned,
    pub(super) rounded: Rounded,
    pub(super) lists: Lists,
}

/// Pixel offsets for the kernels.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) from: Vec<u32>,
    pub(super) to: Vec<u32>,
    pub(super) add: Vec<u32>,
}

impl Arena {
    /// Memory for runs with this layout by so many members.
    pub(crate) fn new(layout: &Layout, members: usize) -> Self {
        let slot = |&len: &usize| Aligned::zeros(len + layout.zeros);
        Self {
            slots: layout.capacities.iter().map(slot).collect(),
            scratches: (0..members).map(|_| Scratch::default()).collect(),
        }
    }
}

/// Who works on a step.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Crew<'a> {
    /// The calling thread.
    Alone,
    /// All of these.
    Together(&'a Team),
}

impl Crew<'_> {
    /// Members.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Alone => 1,
            Self::Together(team) => team.size(),
        }
    }

    /// Does all parts of a step.
    pub(super) fn each<P: Send>(
        self,
        scratches: &mut [Scratch],
        parts: Vec<P>,
        work: impl Fn(&mut Scratch, P) + Sync,
    ) {
        match self {
            Self::Alone => parts.into_iter().for_each(|part| work(&mut scratches[0], part)),
            Self::Together(team) => team.each(scratches, parts, work),
        }
    }

    /// Cuts `items` of so many multiply-adds each into nearly equal runs of at most `most` and, where there are enough, at least
    /// `least` items.
    pub(super) fn cut(
        self,
        items: usize,
        [least, most]: [usize; 2],
        multiply_adds: usize,
    ) -> Vec<Range<usize>> {
        let for_cache = items.div_ceil(most.max(1));
        let parts = match self {
            Self::Alone => for_cache,
            Self::Together(team) => {
                let worthwhile = items.saturating_mul(multiply_adds) / SMALLEST_PART;
                let wanted = (team.size() * PARTS_PER_MEMBER)
                    .min(worthwhile)
                    .min((items / least.max(1)).max(team.size()));
                for_cache.max(wanted)
            }
        };
        let parts = parts.clamp(1, items.max(1));
        (0..parts).map(|p| p * items / parts..(p + 1) * items / parts).collect()
    }
}

/// The runs of pixels with their part of a map's buffer.
pub(super) fn share(
    ranges: Vec<Range<usize>>,
    pitch: usize,
    buffer: &mut [f32],
) -> Vec<(Range<usize>, &mut [f32])> {
    let mut rest = buffer;
    let mut begun = 0;
    ranges
        .into_iter()
        .map(|range| {
            let (part, others) =
                std::mem::take(&mut rest).split_at_mut((range.end - begun) * pitch);
            rest = others;
            begun = range.end;
            (range, part)
        })
        .collect()
}
