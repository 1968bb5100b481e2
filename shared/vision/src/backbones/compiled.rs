//! An architecture with its weights, compiled for the CPU. To candle the whole backbone is one operation.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout as TensorLayout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::{Architecture, Backbone, stage_nodes};
use crate::engine::{Arena, Layout, Plan};
use crate::kernels::Level;
use crate::network::{NodeId, Stage};
use crate::weights::{StateDict, WeightsError};

/// A network compiled for this machine's best instructions. Its memory goes with it.
pub struct Compiled {
    name: &'static str,
    digest: [u8; 32],
    plan: Plan,
    /// Arenas of finished images, for the next ones of the same size.
    arenas: Mutex<Vec<(Layout, Arena)>>,
}

impl Compiled {
    /// Compiles. The state dict may use any key form that the architecture knows.
    ///
    /// # Errors
    /// A tensor is missing, has another shape or holds a value that isn't finite.
    pub fn new(
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
    ) -> std::result::Result<Self, WeightsError> {
        let network = architecture.network();
        let state = state.named_as(architecture, &network)?;
        let plan = Plan::compile(network, &state, Level::detect())?;
        Ok(Self { name: architecture.name(), digest, plan, arenas: Mutex::new(Vec::new()) })
    }

    /// Pooled features and the wanted maps of every image.
    fn outputs(&self, images: &Tensor, nodes: &[NodeId]) -> Result<(Tensor, Vec<Tensor>)> {
        let (n, channels, h, w) = images.dims4()?;
        if channels != self.plan.network().image_channels() {
            return Err(candle_core::Error::Msg(format!(
                "{}: images have {} channels, not {channels}",
                self.name,
                self.plan.network().image_channels()
            )));
        }
        let layout = Layout::new(&self.plan, h, w).map_err(candle_core::Error::wrap)?;
        let network = self.plan.network();
        let features = self.feature_dim();
        let shapes: Vec<(usize, usize, usize)> = nodes
            .iter()
            .map(|&node| {
                let (h, w) = layout.size(node);
                (network.channels(node), h, w)
            })
            .collect();
        let total = features + shapes.iter().map(|(c, h, w)| c * h * w).sum::<usize>();
        let all = images.apply_op1_no_bwd(&Run { backbone: self, layout, nodes, total })?;
        let mut maps = Vec::with_capacity(nodes.len());
        let mut start = features;
        for (c, h, w) in shapes {
            maps.push(all.narrow(1, start, c * h * w)?.reshape((n, c, h, w))?);
            start += c * h * w;
        }
        Ok((all.narrow(1, 0, features)?, maps))
    }

    fn arena(&self, layout: &Layout) -> Arena {
        let mut arenas = self.arenas.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        arenas.retain(|(made_for, _)| made_for == layout);
        arenas.pop().map_or_else(|| Arena::new(layout), |(_, arena)| arena)
    }

    fn give_back(&self, layout: &Layout, arena: Arena) {
        self.arenas
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push((layout.clone(), arena));
    }
}

impl Backbone for Compiled {
    fn name(&self) -> &str {
        self.name
    }

    fn feature_dim(&self) -> usize {
        self.plan.network().features()
    }

    fn stages(&self) -> &[Stage] {
        self.plan.network().stages()
    }

    fn weights_digest(&self) -> [u8; 32] {
        self.digest
    }

    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        let (_, mut maps) = self.outputs(images, &[self.plan.network().last()])?;
        Ok(maps.remove(0))
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.outputs(images, &[])?.0)
    }

    fn forward_stages(&self, images: &Tensor, stages: &[&str]) -> Result<Vec<Tensor>> {
        let nodes = stage_nodes(self, stages)?;
        Ok(self.outputs(images, &nodes)?.1)
    }
}

/// The whole backbone as one candle operation: `[n, channels, h, w]` in, `[n, features and maps]` out.
struct Run<'a> {
    backbone: &'a Compiled,
    layout: Layout,
    nodes: &'a [NodeId],
    total: usize,
}

impl CustomOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "backbone"
    }

    /// One image per worker: no step waits for another image's, and results don't depend on the batch.
    fn cpu_fwd(&self, storage: &CpuStorage, layout: &TensorLayout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("images must be contiguous")
        };
        let n = layout.dims()[0];
        let features = self.backbone.feature_dim();
        let plan = &self.backbone.plan;
        let mut all = vec![0f32; n * self.total];
        all.par_chunks_mut(self.total)
            .zip(values[start..end].par_chunks((end - start) / n.max(1)))
            .for_each(|(out, image)| {
                let mut arena = self.backbone.arena(&self.layout);
                let (pooled, mut rest) = out.split_at_mut(features);
                let mut maps = Vec::with_capacity(self.nodes.len());
                for &node in self.nodes {
                    let (h, w) = self.layout.size(node);
                    let (map, others) = rest.split_at_mut(plan.network().channels(node) * h * w);
                    maps.push((node, map));
                    rest = others;
                }
                plan.run(&self.layout, &mut arena, image, pooled, &mut maps);
                self.backbone.give_back(&self.layout, arena);
            });
        Ok((CpuStorage::F32(all), Shape::from((n, self.total))))
    }
}
