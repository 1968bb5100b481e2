//! How long each step takes.

use std::time::Instant;

use super::crew::{Arena, Crew};
use super::plan::{Bottleneck, Dense, Kind, Narrow, Step, Widen};
use super::product::Product;
use super::schedule::Engine;
use crate::network::{Misfit, Network, Node, Scope};

/// A step of a compiled plan.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTime {
    /// What it does, and the layer whose map it leaves.
    pub name: String,
    /// The fastest of several runs.
    pub milliseconds: f64,
    /// Floating-point operations of its convolutions, padding included, by that time, in units of 10^9 per second.
    pub gflops: f64,
}

impl Engine {
    /// The time of every step for images that go through together.
    pub(crate) fn step_times(
        &self,
        count: usize,
        images: &[f32],
        size: (usize, usize),
        seconds: f64,
    ) -> Result<Vec<StepTime>, Misfit> {
        let (plan, layout) = (self.plan(), self.layout(count, size)?);
        let crew = Crew::Together(self.team());
        let mut arena = Arena::new(&layout, crew.size());
        let mut best = vec![f64::INFINITY; plan.steps.len()];
        let mut out = vec![0.0; count * plan.network.features()];
        let start = Instant::now();
        for run in 0.. {
            let mut last = Instant::now();
            let mut taken = vec![0.0; best.len()];
            plan.run_watched(&layout, &mut arena, crew, images, &[], &mut out, &mut |step| {
                let now = Instant::now();
                taken[step] += (now - last).as_secs_f64();
                last = now;
            });
            // The first run fetches memory from the system.
            if run > 0 {
                best.iter_mut().zip(&taken).for_each(|(best, taken)| *best = best.min(*taken));
            }
            if run > 0 && start.elapsed().as_secs_f64() > seconds {
                break;
            }
        }
        let time = |(step, seconds): (&Step, f64)| {
            let pixels = |id| count * layout.pixels(id);
            let operations = 2 * multiply_adds(step, &pixels);
            StepTime {
                name: name(step, plan.network()),
                milliseconds: seconds * 1e3,
                gflops: operations as f64 / seconds / 1e9,
            }
        };
        Ok(plan.steps.iter().zip(best).map(time).collect())
    }
}

fn multiply_adds(step: &Step, pixels: &dyn Fn(crate::network::NodeId) -> usize) -> usize {
    let dense = |product: &Product, at| product.multiply_adds() * pixels(at);
    match &step.kind {
        Kind::Stem { packed, .. } => packed.multiply_adds() * pixels(step.output),
        Kind::Dense(Dense { product, .. }) => dense(product, step.output),
        // As the definition counts, so that the figure compares with others.
        Kind::Winograd(w) => 9 * w.inputs * w.packed.width() * pixels(step.output),
        Kind::Bottleneck(Bottleneck { input, middle, widen, depthwise, narrow, .. }) => {
            let widened = match widen {
                Widen::Copy => 0,
                Widen::Expand(product, _) => dense(product, *input),
            };
            let narrowed = match narrow {
                Narrow::Keep(_) => 0,
                Narrow::Project(product, ..) => dense(product, *middle),
            };
            widened + depthwise.kernel().pow(2) * depthwise.width() * pixels(*middle) + narrowed
        }
        _ => 0,
    }
}

fn name(step: &Step, network: &Network) -> String {
    let kind = match &step.kind {
        Kind::Image => "image",
        Kind::Stem { .. } => "stem",
        Kind::Dense(_) => "dense",
        Kind::Winograd(_) => "winograd",
        Kind::Bottleneck(_) => "bottleneck",
        Kind::Pool { .. } => "pool",
        Kind::Normalise { .. } => "normalise",
        Kind::SqueezeExcite(_) => "squeeze-excite",
        Kind::Join(_) => "join",
        Kind::Tokens { .. } => "tokens",
        Kind::Attention { attention, .. } => match attention.scope {
            Scope::Global => "attention",
            Scope::Window { .. } => "window attention",
        },
        Kind::MergePatches(_) => "merge patches",
    };
    match &network.nodes()[step.output.0] {
        Node::Convolution(c) => {
            format!(
                "{kind} {} ({}x{} s{}, {} to {})",
                c.weight, c.kernel, c.kernel, c.stride, c.inputs, c.outputs
            )
        }
        _ => format!("{kind} (layer {})", step.output.0),
    }
}
