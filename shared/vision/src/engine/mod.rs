//! The compiled CPU plan of a network: packed weights and fused steps, run image by image in one arena.
//!
//! The whole backbone is one operation: a planar image in, features and the wanted maps out. Inside, maps are NHWC (see
//! [`crate::kernels`]). An inverted bottleneck (expand, depthwise, project: Sandler et al., "MobileNetV2", CVPR 2018) is one step
//! that works in bands of rows small enough for the second-level cache; its wide maps never reach memory.

mod bottleneck;
mod layout;
mod plan;
mod run;

pub(crate) use layout::Layout;
pub(crate) use plan::Plan;
pub(crate) use run::Arena;

#[cfg(test)]
mod tests;
