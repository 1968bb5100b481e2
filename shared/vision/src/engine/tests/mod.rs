//! The plan against a plain f64 reference: random networks of every kind of layer, odd shapes, every level of instructions.

mod reference;

use proptest::prelude::*;

use super::crew::{Arena, Crew};
use super::layout::Layout;
use super::{Engine, Plan};
use crate::kernels::{Level, Team};
use crate::network::{
    Activation, Attention, Convolution, Form, Grouping, Head, Network, Node, NodeId, Norm,
    Normalise, Padding, PixelNorm, Pool, PoolKind, Scope, Skip, SqueezeExcite, Tokens,
};
use crate::precision::Precision;
use crate::weights::{Parameter, StateDict};

/// A network as numbers: a layer that can't follow the ones before it is left out.
#[derive(Debug, Clone)]
struct Case {
    grey: bool,
    size: (usize, usize),
    images: usize,
    layers: Vec<Layer>,
    head: u8,
    seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct Layer {
    kind: Kind,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    activation: Activation,
    norm: u8,
    skip: bool,
    /// How far back other operands are looked for.
    back: usize,
    stage: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Dense,
    Pointwise,
    Depthwise,
    InvertedBottleneck,
    DenseBlock,
    Normalise,
    Pool,
    MeanPool,
    Concat,
    SqueezeExcite,
    Tokens,
    Attention,
    MergePatches,
}

fn layers() -> impl Strategy<Value = Layer> {
    use Kind::*;
    let kind = prop_oneof![
        Just(Dense),
        Just(Pointwise),
        Just(Depthwise),
        Just(InvertedBottleneck),
        Just(DenseBlock),
        Just(Normalise),
        Just(Pool),
        Just(MeanPool),
        Just(Concat),
        Just(SqueezeExcite),
        Just(Tokens),
        Just(Attention),
        Just(MergePatches)
    ];
    let activation = prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::Silu),
        Just(Activation::Gelu)
    ];
    let outputs = prop_oneof![1..70usize, Just(16), Just(32), Just(48), Just(512)];
    let kernel = prop_oneof![Just(1usize), Just(2), Just(3), Just(3), Just(4), Just(5), Just(7)];
    let padding = prop_oneof![
        Just(Padding::Same),
        Just(Padding::Even(0)),
        (0..4usize).prop_map(Padding::Even)
    ];
    (
        (kind, outputs, kernel, 1..4usize, padding),
        (activation, 0..5u8, any::<bool>(), 1..6usize, proptest::bool::weighted(0.2)),
    )
        .prop_map(
            |((kind, outputs, kernel, stride, padding), (activation, norm, skip, back, stage))| {
                let padding = match padding {
                    Padding::Even(border) => Padding::Even(border.min(kernel / 2)),
                    Padding::Same => Padding::Same,
                };
                Layer {
                    kind,
                    outputs,
                    kernel,
                    stride,
                    padding,
                    activation,
                    norm,
                    skip,
                    back,
                    stage,
                }
            },
        )
}

fn cases() -> impl Strategy<Value = Case> {
    (
        (any::<bool>(), (1..20usize, 1..20usize), 1..4usize),
        (proptest::collection::vec(layers(), 1..7), 0..3u8, any::<u64>()),
    )
        .prop_map(|((grey, size, images), (layers, head, seed))| Case {
            grey,
            size,
            images,
            layers,
            head,
            seed,
        })
}

/// Builds a network layer by layer.
struct Builder {
    network: Network,
    image: (usize, usize),
    names: usize,
}

impl Builder {
    fn name(&mut self, what: &str) -> String {
        self.names += 1;
        format!("{what}{}", self.names)
    }

    fn norm(&mut self, which: u8) -> Norm {
        let eps = 1e-3;
        match which {
            0 => Norm::Nothing,
            1 => Norm::Bias,
            2 => Norm::Batch { name: self.name("norm"), eps },
            3 => Norm::BiasAndBatch { name: self.name("norm"), eps },
            _ => Norm::BiasAndScale { gamma: self.name("gamma") },
        }
    }

    /// An earlier map of the same shape as this one.
    fn alike(&self, like: NodeId, back: usize) -> Option<NodeId> {
        let sizes = self.network.sizes(self.image.0, self.image.1).unwrap();
        let shape = |id: NodeId| (sizes[id.0], self.network.channels(id), self.network.prefix(id));
        (0..=like.0).rev().map(NodeId).filter(|&id| shape(id) == shape(like)).nth(back - 1)
    }

    /// Appends the layer unless it doesn't fit.
    fn try_push(&mut self, node: Node) -> Option<NodeId> {
        let before = self.network.clone();
        let id = self.network.push(node);
        if self.network.sizes(self.image.0, self.image.1).is_ok() {
            return Some(id);
        }
        self.network = before;
        None
    }

    fn convolution(&mut self, input: NodeId, layer: &Layer, outputs: usize) -> Convolution {
        let weight = self.name("conv");
        Convolution {
            norm: self.norm(layer.norm),
            activation: layer.activation,
            ..Convolution::new(input, weight, self.network.channels(input), outputs)
        }
    }

    fn normalise(&mut self, input: NodeId, layer: &Layer) -> Option<NodeId> {
        let (name, eps) = (self.name("norm"), 1e-2);
        let norm = if layer.norm < 3 {
            PixelNorm::Batch { name, eps }
        } else {
            PixelNorm::Layer { name, eps }
        };
        self.try_push(Node::Normalise(Normalise { input, norm, activation: layer.activation }))
    }

    fn layer(&mut self, layer: &Layer) -> Option<NodeId> {
        let last = self.network.last();
        let channels = self.network.channels(last);
        let sequence = self.network.prefix(last) > 0;
        let size = *self.network.sizes(self.image.0, self.image.1).unwrap().last().unwrap();
        match layer.kind {
            Kind::Pointwise => {
                let c = self.convolution(last, layer, layer.outputs);
                let id =
                    self.try_push(Node::Convolution(Convolution { form: Form::Matrix, ..c }))?;
                self.residual(id, layer);
                Some(id)
            }
            Kind::Normalise => self.normalise(last, layer),
            Kind::Attention => {
                let heads = 1 + layer.back % 3;
                let width = 1 + layer.outputs % 20;
                let qkv = self.convolution(last, layer, 3 * heads * width);
                let input = self.try_push(Node::Convolution(qkv))?;
                let sides: Vec<usize> = (1..=size.0.min(size.1))
                    .filter(|s| size.0.is_multiple_of(*s) && size.1.is_multiple_of(*s) && *s <= 7)
                    .collect();
                let scope = if sequence || layer.skip || sides.is_empty() {
                    Scope::Global
                } else {
                    let side = sides[layer.outputs % sides.len()];
                    let shift = if layer.stage { 0 } else { side / 2 };
                    Scope::Window { side, shift, bias: self.name("table") }
                };
                self.try_push(Node::Attention(Attention { input, heads, scope }))
            }
            _ if sequence => None,
            Kind::Dense | Kind::Depthwise => {
                let depthwise = matches!(layer.kind, Kind::Depthwise);
                let outputs = if depthwise { channels } else { layer.outputs };
                let c = Convolution {
                    kernel: layer.kernel,
                    stride: layer.stride,
                    padding: layer.padding,
                    grouping: if depthwise { Grouping::Depthwise } else { Grouping::Dense },
                    ..self.convolution(last, layer, outputs)
                };
                let id = self.try_push(Node::Convolution(c))?;
                self.residual(id, layer);
                Some(id)
            }
            Kind::InvertedBottleneck => {
                let wide = self.convolution(last, layer, layer.outputs);
                self.try_push(Node::Convolution(wide))?;
                self.layer(&Layer { kind: Kind::Depthwise, skip: false, ..*layer })?;
                if layer.skip {
                    self.layer(&Layer { kind: Kind::SqueezeExcite, ..*layer })?;
                }
                let narrow = Layer { kind: Kind::Pointwise, outputs: channels, ..*layer };
                self.layer(&Layer { stride: 1, ..narrow })
            }
            Kind::DenseBlock => {
                let mut all = vec![last];
                for _ in 0..layer.back {
                    let joined = self.try_push(Node::Concat(all.clone()))?;
                    self.normalise(joined, &Layer { norm: 0, ..*layer })?;
                    self.layer(&Layer { kind: Kind::Pointwise, skip: false, ..*layer })?;
                    let outputs = 16 * (1 + layer.outputs % 3);
                    let c = Convolution {
                        kernel: 3,
                        padding: Padding::Even(1),
                        ..self.convolution(self.network.last(), layer, outputs)
                    };
                    all.push(self.try_push(Node::Convolution(c))?);
                }
                self.try_push(Node::Concat(all))
            }
            Kind::Pool | Kind::MeanPool => {
                let (kind, padding) = match layer.kind {
                    Kind::Pool => (PoolKind::Max, (layer.kernel - 1) / 2),
                    _ => (PoolKind::Mean, 0),
                };
                let (kernel, stride) = (layer.kernel, layer.stride);
                self.try_push(Node::Pool(Pool { input: last, kind, kernel, stride, padding }))
            }
            Kind::Concat => {
                let sizes = self.network.sizes(self.image.0, self.image.1).unwrap();
                let operands = (0..sizes.len()).rev().filter(|&i| sizes[i] == size);
                let operands: Vec<NodeId> = operands.take(layer.back).map(NodeId).collect();
                self.try_push(Node::Concat(operands))
            }
            Kind::SqueezeExcite => {
                let name = self.name("se");
                let (reduced, activation) = (1 + layer.back * 5, layer.activation);
                self.try_push(Node::SqueezeExcite(SqueezeExcite {
                    input: last,
                    name,
                    reduced,
                    activation,
                }))
            }
            Kind::Tokens => {
                let prefix = (0..layer.back % 3).map(|_| self.name("token")).collect();
                let position = self.name("position");
                let grid = 1 + layer.kernel;
                self.try_push(Node::Tokens(Tokens { input: last, prefix, position, grid }))
            }
            Kind::MergePatches => self.try_push(Node::MergePatches(last)),
        }
    }

    fn residual(&mut self, id: NodeId, layer: &Layer) {
        if layer.skip
            && let Some(other) = self.alike(id, layer.back + 1)
        {
            self.network.edit(id, |node| {
                if let Node::Convolution(c) = node {
                    c.skip = Skip::Add(other);
                }
            });
        }
    }
}

fn network(case: &Case) -> Network {
    let network = Network::new(if case.grey { 1 } else { 3 });
    let mut builder = Builder { network, image: case.size, names: 0 };
    for layer in &case.layers {
        let before = builder.network.clone();
        match builder.layer(layer) {
            Some(id) if layer.stage => {
                let stage = builder.name("stage");
                builder.network.stage(stage, id);
            }
            Some(_) => {}
            None => builder.network = before,
        }
    }
    let head = match case.head {
        0 => Head::Mean,
        1 => Head::MeanThenLayerNorm { name: "head".into(), eps: 1e-2 },
        _ if builder.network.prefix(builder.network.last()) > 0 => Head::ClassToken,
        _ => Head::Mean,
    };
    builder.network.set_head(head);
    builder.network
}

/// Numbers in [-1, 1) that look random.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

/// Weights that keep maps near 1.
fn state(network: &Network, seed: u64) -> StateDict {
    let parameter = |(i, (name, shape)): (usize, (String, Vec<usize>))| {
        let mut values = noise(seed ^ (i as u64) << 32, shape.iter().product());
        let fan_in: usize = shape.iter().skip(1).product();
        for v in &mut values {
            *v = match name.rsplit('.').next() {
                Some("running_var") => 1.0 + v.abs(),
                Some("weight") if shape.len() == 1 => 1.0 + *v / 2.0,
                _ if shape.len() > 1 => *v * (3.0 / fan_in as f32).sqrt(),
                _ => *v,
            };
        }
        (name, Parameter { shape, values })
    };
    network.parameters().into_iter().enumerate().map(parameter).collect()
}

/// Largest difference to the reference, relative to the largest number. A sum that lies next to the middle between two bfloat16 may
/// be rounded to the other one.
fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-4,
        Precision::Bf16 => 2e-2,
    }
}

fn close(got: &[f32], want: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let largest = want.iter().fold(1e-2, |m: f64, v| m.max(v.abs()));
    prop_assert_eq!(got.len(), want.len());
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let near = (f64::from(*got) - want).abs() <= tolerance * largest;
        prop_assert!(near, "{got} for {want} at {i}, largest {largest}");
    }
    Ok(())
}

/// What the plan makes of `images`, run twice in one arena, so that leftovers of the first run would show in the second.
fn run(
    plan: &Plan,
    layout: &Layout,
    crew: Crew<'_>,
    images: &[f32],
    wanted: &[NodeId],
    total: usize,
) -> Vec<f32> {
    let mut arena = Arena::new(layout, crew.size());
    let mut out = vec![f32::NAN; layout.images * total];
    let other: Vec<f32> = images.iter().map(|v| 3.0 - v).collect();
    for images in [&other, images] {
        plan.run(layout, &mut arena, crew, images, wanted, &mut out);
        for (slot, &capacity) in arena.slots.iter().zip(&layout.capacities) {
            assert!(
                slot[capacity..].iter().all(|&v| v == 0.0),
                "the zeros behind a map were overwritten"
            );
        }
    }
    out
}

fn check(case: &Case, network: &Network, team: &Team) -> Result<(), TestCaseError> {
    let (h, w) = case.size;
    let sizes = network.sizes(h, w).unwrap();
    let state = state(network, case.seed);
    let each = network.image_channels() * h * w;
    let images = noise(case.seed ^ 1, case.images * each);
    let mut wanted: Vec<NodeId> = network.stages().iter().map(|stage| stage.node).collect();
    wanted.push(network.last());
    let reference = |precision| -> Vec<_> {
        let images = images.chunks_exact(each);
        images.map(|image| reference::run(network, &state, image, &sizes, precision)).collect()
    };
    let precisions = [Precision::F32, Precision::Bf16].map(|p| (p, reference(p)));
    let len = |id: &NodeId| network.channels(*id) * sizes[id.0].0 * sizes[id.0].1;
    let total = network.features() + wanted.iter().map(len).sum::<usize>();
    let ways = Level::available();
    let ways = ways.iter().flat_map(|level| precisions.iter().map(move |p| (*level, p)));
    for (level, (precision, references)) in ways {
        let plan = Plan::compile(network.clone(), &state, level, *precision).unwrap();
        let one = Layout::new(&plan, 1, h, w).unwrap();
        let all = Layout::new(&plan, case.images, h, w).unwrap();
        // Cut at every place where images that came one by one go on together.
        let split = (case.seed >> 7) as usize % (plan.steps.len() + 1);
        let cut = Layout::with_split(&plan, case.images, h, w, split).unwrap();
        let alone: Vec<f32> = images
            .chunks_exact(each)
            .flat_map(|image| run(&plan, &one, Crew::Alone, image, &wanted, total))
            .collect();
        let together = run(&plan, &all, Crew::Together(team), &images, &wanted, total);
        prop_assert_eq!(&alone, &together, "whoever works on it, the result is the same");
        let in_group = run(&plan, &cut, Crew::Alone, &images, &wanted, total);
        prop_assert_eq!(&alone, &in_group, "an image's result doesn't depend on the others");
        for (image, (features, maps)) in alone.chunks_exact(total).zip(references) {
            let tolerance = tolerance(*precision);
            close(&image[..features.len()], features, tolerance)?;
            let mut start = features.len();
            for id in &wanted {
                close(&image[start..start + len(id)], &maps[id.0].planar(), tolerance)?;
                start += len(id);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn every_level_computes_what_the_definition_says(case in cases()) {
        static TEAM: std::sync::OnceLock<Team> = std::sync::OnceLock::new();
        check(&case, &network(&case), TEAM.get_or_init(|| Team::new(3)))?;
    }
}

/// A stem and one layer.
fn small() -> Network {
    let mut network = Network::new(3);
    let stem = Convolution { kernel: 3, ..Convolution::new(network.image(), "stem", 3, 4) };
    let x = network.convolution(Convolution { padding: Padding::Same, ..stem });
    network.convolution(Convolution { kernel: 5, ..Convolution::new(x, "test", 4, 3) });
    network
}

#[test]
fn bfloat16_changes_what_has_many_inputs_and_nothing_else() {
    let features = |inputs: usize, precision| {
        let mut network = Network::new(3);
        let x = network.convolution(Convolution::new(network.image(), "few", 3, inputs));
        network.convolution(Convolution::new(x, "many", inputs, 24));
        let plan = Plan::compile(network.clone(), &state(&network, 5), Level::detect(), precision)
            .unwrap();
        let mut out = [0.0; 24];
        let engine = Engine::new(plan, std::sync::Arc::new(Team::new(1)));
        engine.run(&noise(9, 3 * 35), (5, 7), &[], &mut out).unwrap();
        out
    };
    assert_eq!(features(47, Precision::F32), features(47, Precision::Bf16));
    let (full, half) = (features(64, Precision::F32), features(64, Precision::Bf16));
    assert_ne!(full, half);
    let largest = full.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(full.iter().zip(half).all(|(a, b)| (a - b).abs() < 1e-2 * largest));
}

#[test]
fn an_image_that_is_too_small_is_refused_by_layer() {
    assert_eq!(
        small().sizes(2, 9).unwrap_err().to_string(),
        "an image of 9 x 2 pixels is too small for test"
    );
}

#[test]
fn batches_of_any_size_and_images_of_other_sizes_follow_each_other() {
    let network = small();
    let state = state(&network, 3);
    let plan = Plan::compile(network, &state, Level::detect(), Precision::F32).unwrap();
    let engine = Engine::new(plan, std::sync::Arc::new(Team::new(2)));
    for (h, w) in [(9, 8), (6, 11), (9, 8)] {
        let images = noise(7, 5 * 3 * h * w);
        let mut single = [0.0; 5 * 3];
        for (image, out) in images.chunks_exact(3 * h * w).zip(single.chunks_exact_mut(3)) {
            engine.run(image, (h, w), &[], out).unwrap();
        }
        for count in 0..=5 {
            let mut out = vec![0.0; count * 3];
            engine.run(&images[..count * 3 * h * w], (h, w), &[], &mut out).unwrap();
            assert_eq!(out, single[..count * 3]);
        }
    }
    assert!(engine.run(&noise(1, 3 * 4 * 4), (4, 4), &[], &mut [0.0; 3]).is_err());
}
