//! The compiled CPU plan of a network: packed weights and fused steps, run over a few images in one arena.
//!
//! The whole backbone is one operation: planar images in, features and the wanted maps out. Inside, maps are NHWC (see
//! [`crate::kernels`]). An inverted bottleneck (expand, depthwise, project: Sandler et al., "MobileNetV2", CVPR 2018) is one step
//! that works in bands of rows small enough for the second-level cache; its wide maps never reach memory.

mod bottleneck;
mod crew;
mod dense;
mod excite;
mod layout;
mod pixel;
mod place;
mod plan;
mod pool;
mod product;
mod run;
mod schedule;
mod sequence;
mod times;
mod winograd;

pub(crate) use plan::Plan;
pub(crate) use schedule::Engine;
pub use times::StepTime;

#[cfg(test)]
mod tests;
