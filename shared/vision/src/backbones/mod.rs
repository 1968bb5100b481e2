//! Backbones: networks without their last layer, which turn an image into features.
//!
//! One file per family. Each describes its layers as a [`Network`]; [`Compiled`] runs any of them.

mod compiled;
mod convnext;
mod densenet;
mod efficientnet;
mod hugging_face;
mod inverted;
mod licence;
mod mobilenet_v2;
mod on_candle;
mod registry;
mod resnet;
mod swin;
mod transformer;
mod vgg;
mod vit;

use candle_core::{Result, Tensor};

pub use compiled::{Compiled, StepTime};
pub use convnext::ConvNext;
pub use densenet::DenseNet;
pub use efficientnet::EfficientNet;
pub use licence::Licence;
pub use mobilenet_v2::MobileNetV2;
pub use on_candle::OnCandle;
pub use registry::{BackboneEntry, backbones};
pub use resnet::ResNet;
pub use swin::SwinTransformer;
pub use vgg::Vgg;
pub use vit::VisionTransformer;

use crate::network::{Network, NodeId, Stage};
use crate::precision::Precision;
use crate::weights::{LocalWeights, StateDict, WeightsError};

/// A network architecture: its name, its layers, and the form of its weights in other people's files.
pub trait Architecture: Send + Sync {
    /// timm's name.
    fn name(&self) -> &'static str;
    /// The layers.
    fn network(&self) -> Network;
    /// The tensors of a weights file under timm's names and in timm's shapes, whichever known form they have in the file. What isn't
    /// recognised stays as it is; whether all is there is checked afterwards.
    fn adapt(&self, state: StateDict) -> StateDict {
        state
    }
}

/// A loaded network that turns images into features.
///
/// Images are normalised as the weights expect: f32, `[n, channels, height, width]`. An image's result doesn't depend on the others in
/// its batch.
pub trait Backbone: Send + Sync {
    /// The architecture, timm's name.
    fn name(&self) -> &str;
    /// Features per image.
    fn feature_dim(&self) -> usize;
    /// Named stages, in order.
    fn stages(&self) -> &[Stage];
    /// SHA-256 of the weights file.
    fn weights_digest(&self) -> [u8; 32];
    /// The last map, `[n, feature_dim, h, w]`.
    fn forward_features(&self, images: &Tensor) -> Result<Tensor>;
    /// What the network's head makes of the last map, `[n, feature_dim]`.
    fn forward(&self, images: &Tensor) -> Result<Tensor>;
    /// The maps of the named stages, in the order asked for; an unknown name is an error.
    fn forward_stages(&self, images: &Tensor, stages: &[&str]) -> Result<Vec<Tensor>>;
}

/// Reads a weights file, checks it against its digest and the architecture's tensors, and compiles it for this machine's CPU.
///
/// # Errors
/// The file can't be read, or doesn't hold the architecture's tensors.
pub fn load_backbone(
    entry: &BackboneEntry,
    weights: &LocalWeights,
    precision: Precision,
) -> std::result::Result<Box<dyn Backbone>, WeightsError> {
    load_architecture(entry.architecture(), StateDict::read(weights)?, weights.digest, precision)
}

/// The same from tensors that were read already, for an architecture that may have no entry.
///
/// # Errors
/// A tensor is missing, has another shape or holds a value that isn't finite.
pub fn load_architecture(
    architecture: &dyn Architecture,
    state: StateDict,
    digest: [u8; 32],
    precision: Precision,
) -> std::result::Result<Box<dyn Backbone>, WeightsError> {
    Ok(Box::new(Compiled::new(architecture, state, digest, precision)?))
}

/// The layers of the named stages.
fn stage_nodes(backbone: &dyn Backbone, stages: &[&str]) -> Result<Vec<NodeId>> {
    let node = |wanted: &&str| {
        let known = backbone.stages().iter().find(|stage| stage.name == *wanted);
        known.map(|stage| stage.node).ok_or_else(|| {
            let names: Vec<_> = backbone.stages().iter().map(|s| s.name.as_str()).collect();
            candle_core::Error::Msg(format!(
                "{} has no stage `{wanted}`; it has {}",
                backbone.name(),
                names.join(", ")
            ))
        })
    };
    stages.iter().map(node).collect()
}
