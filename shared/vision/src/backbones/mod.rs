//! Backbones: networks without their last layer, which turn an image into features.
//!
//! One file per architecture. Each describes its layers as a [`Network`]; [`Compiled`] runs any of them.

mod compiled;
mod efficientnet_lite;
mod registry;
mod resnet;

use candle_core::{Result, Tensor};

pub use compiled::{Compiled, load_backbone};
pub use efficientnet_lite::EfficientNetLite0;
pub use registry::{BackboneEntry, backbones};
pub use resnet::ResNet18;

use crate::network::{Network, Stage};

/// A network architecture: its name, its layers, and the spelling of its weights in other people's files.
pub trait Architecture: Send + Sync {
    /// timm's name.
    fn name(&self) -> &'static str;
    /// The layers.
    fn network(&self) -> Network;
    /// timm's name of a tensor that a weights file calls `key`; `key` itself when it already is timm's.
    fn timm_key(&self, key: &str) -> String {
        key.to_owned()
    }
}

/// A loaded network that turns images into features.
///
/// Images are normalised as the weights expect: f32, `[n, 3, height, width]`. An image's result doesn't depend on the others in
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
    /// The mean of the last map over its pixels, `[n, feature_dim]`.
    fn forward(&self, images: &Tensor) -> Result<Tensor>;
    /// The maps of the named stages, in the order asked for; an unknown name is an error.
    fn forward_stages(&self, images: &Tensor, stages: &[&str]) -> Result<Vec<Tensor>>;
}
