//! Shares a batch of images out among threads, and keeps the memory for the next batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::crew::{Arena, Crew};
use super::layout::Layout;
use super::plan::Plan;
use crate::kernels::Team;
use crate::network::{Misfit, NodeId};

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
        // Whole images, one for each member at a time, as long as that keeps all of them busy; what is left, together.
        let members = self.team.size();
        let singles = count / members * members;
        let layout = self.layout(1, size)?;
        if singles > 0 {
            let parts = out[..singles * total]
                .chunks_exact_mut(total)
                .zip(images.chunks_exact(each))
                .collect();
            let mut arenas: Vec<Option<Arena>> = (0..members).map(|_| None).collect();
            self.team.each(&mut arenas, parts, |arena, (out, image)| {
                let arena = arena.get_or_insert_with(|| self.arena(&layout, 1));
                self.plan.run(&layout, arena, Crew::Alone, image, wanted, out);
            });
            for arena in arenas.into_iter().flatten() {
                self.keep(&layout, arena);
            }
        }
        if singles < count {
            let layout = self.layout(count - singles, size)?;
            let mut arena = self.arena(&layout, members);
            let (images, out) = (&images[singles * each..], &mut out[singles * total..]);
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
