//! An architecture with its weights, in candle's own operations.

use candle_core::{DType, Device, Result, Tensor};

use super::{Architecture, Backbone, stage_nodes};
use crate::network::Stage;
use crate::network::candle::{CandleNetwork, LoadError};
use crate::weights::{StateDict, WeightsError};

/// A network on any device that candle knows.
pub struct OnCandle {
    name: &'static str,
    digest: [u8; 32],
    network: CandleNetwork,
}

impl OnCandle {
    /// Moves the weights to a device. The state dict may use any key form that the architecture knows.
    ///
    /// # Errors
    /// A tensor is missing, has another shape or holds a value that isn't finite; or the device has no room.
    pub fn new(
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
        device: &Device,
        dtype: DType,
    ) -> std::result::Result<Self, LoadError> {
        let network = architecture.network();
        let state = state.named_as(architecture, &network)?;
        let network = CandleNetwork::new(network, &state, device, dtype)?;
        Ok(Self { name: architecture.name(), digest, network })
    }

    /// On the CPU, in f32.
    ///
    /// # Errors
    /// As [`OnCandle::new`]'s.
    pub fn on_cpu(
        architecture: &dyn Architecture,
        state: StateDict,
        digest: [u8; 32],
    ) -> std::result::Result<Self, WeightsError> {
        Self::new(architecture, state, digest, &Device::Cpu, DType::F32).map_err(
            |error| match error {
                LoadError::Weights(error) => error,
                LoadError::Device(error) => unreachable!("the CPU takes every tensor: {error}"),
            },
        )
    }
}

impl Backbone for OnCandle {
    fn name(&self) -> &str {
        self.name
    }

    fn feature_dim(&self) -> usize {
        self.network.network().features()
    }

    fn stages(&self) -> &[Stage] {
        self.network.network().stages()
    }

    fn weights_digest(&self) -> [u8; 32] {
        self.digest
    }

    fn forward_features(&self, images: &Tensor) -> Result<Tensor> {
        let last = self.network.network().last();
        Ok(self.network.forward(images, &[last])?.maps.remove(0))
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self.network.forward(images, &[])?.features)
    }

    fn forward_stages(&self, images: &Tensor, stages: &[&str]) -> Result<Vec<Tensor>> {
        Ok(self.network.forward(images, &stage_nodes(self, stages)?)?.maps)
    }
}
