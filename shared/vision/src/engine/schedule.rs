//! Shares a batch of images out among threads, and keeps the memory for the next batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::crew::{Arena, Crew};
use super::layout::Layout;
use super::plan::Plan;
use crate::kernels::Team;
use crate::network::{Misfit, NodeId};

/// Images that a member takes at a time, at most.
const GROUP: usize = 4;

/// A plan, the team that runs it, and memory.
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    team: Arc<Team>,
    kept: Mutex<Kept>,
}

/// Layouts and memory of earlier batches, all for one image size.
#[derive(Debug, Default)]
struct Kept {
    size: (usize, usize),
    layouts: Vec<Arc<Layout>>,
    arenas: Vec<(Arc<Layout>, Arena)>,
}

impl Engine {
    pub(crate) fn new(plan: Plan, team: Arc<Team>) -> Self {
        Self { plan, team, kept: Mutex::default() }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The layout for so many images of this size.
    pub(crate) fn layout(
        &self,
        images: usize,
        size: (usize, usize),
    ) -> Result<Arc<Layout>, Misfit> {
        let mut kept = self.kept();
        if kept.size != size {
            *kept = Kept { size, ..Kept::default() };
        }
        if let Some(layout) = kept.layouts.iter().find(|layout| layout.images == images) {
            return Ok(Arc::clone(layout));
        }
        let layout = Arc::new(Layout::new(&self.plan, images, size.0, size.1)?);
        kept.layouts.push(Arc::clone(&layout));
        Ok(layout)
    }

    /// Runs over any number of planar images `[channels][height][width]`. For each image `out` takes the features and then the
    /// wanted maps, each `[channels][height][width]`. An image's result doesn't depend on the others.
    ///
    /// # Errors
    /// The image size doesn't fit the network.
    pub(crate) fn run(
        &self,
        images: &[f32],
        size: (usize, usize),
        wanted: &[NodeId],
        out: &mut [f32],
    ) -> Result<(), Misfit> {
        let each = self.plan.network.image_channels() * size.0 * size.1;
        let count = images.len() / each;
        if count == 0 {
            return Ok(());
        }
        let total = out.len() / count;
        // Whole images, a few for each member at a time, as long as that keeps all of them busy; what is left, together.
        let members = self.team.size();
        let whole = count / members * members;
        if whole > 0 {
            let groups = (whole / members).div_ceil(GROUP) * members;
            let first = |group: usize| group * whole / groups;
            let mut parts = Vec::with_capacity(groups);
            let mut rest = &mut out[..whole * total];
            for images_of_group in (0..groups).map(|group| first(group)..first(group + 1)) {
                let len = images_of_group.len();
                let (part, others) = std::mem::take(&mut rest).split_at_mut(len * total);
                rest = others;
                let images = &images[images_of_group.start * each..][..len * each];
                parts.push((self.layout(len, size)?, images, part));
            }
            let mut nothing = vec![(); members];
            self.team.each(&mut nothing, parts, |(), (layout, images, out)| {
                let mut arena = self.arena(&layout, 1);
                self.plan.run(&layout, &mut arena, Crew::Alone, images, wanted, out);
                self.keep(&layout, arena);
            });
        }
        if whole < count {
            let layout = self.layout(count - whole, size)?;
            let mut arena = self.arena(&layout, members);
            let (images, out) = (&images[whole * each..], &mut out[whole * total..]);
            self.plan.run(&layout, &mut arena, Crew::Together(&self.team), images, wanted, out);
            self.keep(&layout, arena);
        }
        Ok(())
    }

    pub(super) fn team(&self) -> &Team {
        &self.team
    }

    fn arena(&self, layout: &Arc<Layout>, members: usize) -> Arena {
        let mut kept = self.kept();
        let fits = |(made_for, arena): &(Arc<Layout>, Arena)| {
            Arc::ptr_eq(made_for, layout) && arena.scratches.len() == members
        };
        match kept.arenas.iter().position(fits) {
            Some(at) => kept.arenas.swap_remove(at).1,
            None => Arena::new(layout, members),
        }
    }

    fn keep(&self, layout: &Arc<Layout>, arena: Arena) {
        let mut kept = self.kept();
        // Another size may have come in meanwhile.
        if kept.layouts.iter().any(|known| Arc::ptr_eq(known, layout)) {
            kept.arenas.push((Arc::clone(layout), arena));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
