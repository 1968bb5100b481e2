//! An architecture with its weights, compiled for the CPU. To candle the whole backbone is one operation.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout as TensorLayout, Result, Shape, Tensor};

use super::{Architecture, Backbone, stage_nodes};
pub use crate::engine::StepTime;
use crate::engine::{Engine, Plan};
use crate::kernels::{Level, Team};
use crate::network::{Network, NodeId, Stage};
use crate::precision::Precision;
use crate::weights::{StateDict, WeightsError};

/// A network compiled for this machine's best instructions. Its memory goes with it.
pub struct Compiled {
    name: &'static str,
    digest: [u8; 32],
    engine: Engine,
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
        precision: Precision,
    ) -> std::result::Result<Self, WeightsError> {
        Self::for_team(architecture, state, digest, precision, Team::shared())
    }

    /// Compiles for so many threads of its own, which wait when there is nothing to do; otherwise as [`Compiled::new`], whose
    /// backbones share one thread per processor.
    ///
    /// # Errors
    /// As [`Compiled::new`]'s.
    pub fn with_threads(
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
        precision: Precision,
        threads: usize,
    ) -> std::result::Result<Self, WeightsError> {
        Self::for_team(architecture, state, digest, precision, Arc::new(Team::new(threads)))
    }

    fn for_team(
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
        precision: Precision,
        team: Arc<Team>,
    ) -> std::result::Result<Self, WeightsError> {
        let network = architecture.network();
        let state = state.named_as(architecture, &network)?;
        let plan = Plan::compile(network, &state, Level::detect(), precision)?;
        Ok(Self { name: architecture.name(), digest, engine: Engine::new(plan, team) })
    }

    /// The time of every step of the plan for a batch `[n, channels, h, w]` that goes through together, the fastest of as many runs as
    /// fit into `seconds`. For tuning.
    ///
    /// # Errors
    /// An image size that doesn't fit the network.
    pub fn step_times(&self, images: &Tensor, seconds: f64) -> Result<Vec<StepTime>> {
        let (n, _, h, w) = images.dims4()?;
        let values = images.flatten_all()?.to_vec1::<f32>()?;
        let times = self.engine.step_times(n, &values, (h, w), seconds);
        times.map_err(candle_core::Error::wrap)
    }

    fn network(&self) -> &Network {
        self.engine.plan().network()
    }

    /// Pooled features and the wanted maps of every image.
    fn outputs(&self, images: &Tensor, nodes: &[NodeId]) -> Result<(Tensor, Vec<Tensor>)> {
        let (n, channels, h, w) = images.dims4()?;
        let network = self.network();
        if channels != network.image_channels() {
            return Err(candle_core::Error::Msg(format!(
                "{}: images have {} channels, not {channels}",
                self.name,
                network.image_channels()
            )));
        }
        let layout = self.engine.layout(1, (h, w)).map_err(candle_core::Error::wrap)?;
        let features = self.feature_dim();
        let shapes: Vec<(usize, usize, usize)> = nodes
            .iter()
            .map(|&node| {
                let (h, w) = layout.size(node);
                (network.channels(node), h, w)
            })
            .collect();
        let total = features + shapes.iter().map(|(c, h, w)| c * h * w).sum::<usize>();
        let all = images.apply_op1_no_bwd(&Run { backbone: self, nodes, total })?;
        let mut maps = Vec::with_capacity(nodes.len());
        let mut start = features;
        for (c, h, w) in shapes {
            maps.push(all.narrow(1, start, c * h * w)?.reshape((n, c, h, w))?);
            start += c * h * w;
        }
        Ok((all.narrow(1, 0, features)?, maps))
    }
}

impl Backbone for Compiled {
    fn name(&self) -> &str {
        self.name
    }

    fn feature_dim(&self) -> usize {
        self.network().features()
    }

    fn stages(&self) -> &[Stage] {
        self.network().stages()
    }

    fn weights_digest(&self) -> [u8; 32] {
        self.digest
    }

    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        let (_, mut maps) = self.outputs(images, &[self.network().last()])?;
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
    nodes: &'a [NodeId],
    total: usize,
}

impl CustomOp1 for Run<'_> {
    fn name(&self) -> &'static str {
        "backbone"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &TensorLayout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f32>()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("images must be contiguous")
        };
        let [n, _, h, w] = layout.dims()[..] else { candle_core::bail!("images have four axes") };
        let mut all = vec![0f32; n * self.total];
        self.backbone
            .engine
            .run(&values[start..end], (h, w), self.nodes, &mut all)
            .map_err(candle_core::Error::wrap)?;
        Ok((CpuStorage::F32(all), Shape::from((n, self.total))))
    }
}
