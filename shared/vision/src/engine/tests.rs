//! The plan against a plain f64 reference, over odd shapes and every level of instructions.

use proptest::prelude::*;

use super::{Arena, Layout, Plan};
use crate::kernels::Level;
use crate::kernels::reference::erf;
use crate::network::{
    Activation, Convolution, Grouping, Network, Node, NodeId, Padding, Pool, PoolKind, Skip,
};
use crate::weights::{Parameter, StateDict};

/// A stem, optionally an expansion, the layer under test, optionally a projection.
#[derive(Debug, Clone)]
struct Case {
    size: (usize, usize),
    stem: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    /// `None`: depthwise.
    outputs: Option<usize>,
    expand: Option<usize>,
    project: Option<usize>,
    pool: bool,
    skip: bool,
    activation: Activation,
    seed: u64,
}

fn cases() -> impl Strategy<Value = Case> {
    let kernel = prop_oneof![Just(1usize), Just(2), Just(3), Just(5), Just(7)];
    let activation = prop_oneof![
        Just(Activation::Linear),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::Silu),
        Just(Activation::Gelu)
    ];
    (
        (1..20usize, 1..20usize, 1..40usize, kernel, 1..4usize, any::<bool>(), 0..4usize),
        (
            proptest::option::of(1..70usize),
            proptest::option::of(1..50usize),
            proptest::option::of(1..70usize),
        ),
        (any::<bool>(), any::<bool>(), activation, any::<u64>()),
    )
        .prop_map(
            |(
                (h, w, stem, kernel, stride, same, border),
                (outputs, expand, project),
                (pool, skip, activation, seed),
            )| {
                let padding =
                    if same { Padding::Same } else { Padding::Even(border.min(kernel / 2)) };
                Case {
                    size: (h, w),
                    stem,
                    kernel,
                    stride,
                    padding,
                    outputs,
                    expand,
                    project,
                    pool,
                    skip,
                    activation,
                    seed,
                }
            },
        )
}

fn network(case: &Case) -> Network {
    let mut network = Network::new(3);
    let layer = |input, name: &str, inputs, outputs| Convolution {
        padding: Padding::Same,
        activation: case.activation,
        ..Convolution::new(input, name, inputs, outputs)
    };
    let image = network.image();
    let mut x =
        network.convolution(Convolution { kernel: 3, ..layer(image, "stem", 3, case.stem) });
    let mut channels = case.stem;
    if case.pool {
        x = network.push(Node::Pool(Pool {
            input: x,
            kind: PoolKind::Max,
            kernel: 3,
            stride: 2,
            padding: 1,
        }));
    }
    if let Some(wide) = case.expand {
        x = network.convolution(layer(x, "expand", channels, wide));
        channels = wide;
    }
    let outputs = case.outputs.unwrap_or(channels);
    let grouping = if case.outputs.is_some() { Grouping::Dense } else { Grouping::Depthwise };
    let (kernel, stride, padding) = (case.kernel, case.stride, case.padding);
    let under_test =
        Convolution { kernel, stride, padding, grouping, ..layer(x, "test", channels, outputs) };
    x = network.convolution(under_test);
    if let Some(narrow) = case.project {
        x = network.convolution(layer(x, "project", outputs, narrow));
    }
    if case.skip {
        let channels = network.channels(x);
        let add = Convolution { skip: Skip::Add(x), ..layer(x, "last", channels, channels) };
        network.convolution(add);
    }
    network
}

/// Numbers in [-1, 1) that look random.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn state(network: &Network, seed: u64) -> StateDict {
    network
        .parameters()
        .into_iter()
        .enumerate()
        .map(|(i, (name, shape))| {
            let values = noise(seed ^ (i as u64) << 32, shape.iter().product());
            (name, Parameter { shape, values })
        })
        .collect()
}

/// The last map, `[channels][h][w]`, by the definition.
fn reference(
    network: &Network,
    state: &StateDict,
    image: &[f32],
    sizes: &[(usize, usize)],
) -> Vec<f64> {
    let mut maps: Vec<Vec<f64>> = Vec::new();
    for (i, node) in network.nodes().iter().enumerate() {
        let (oh, ow) = sizes[i];
        let channels = network.channels(NodeId(i));
        let mut map = vec![0f64; channels * oh * ow];
        match node {
            Node::Image => map = image.iter().map(|&v| f64::from(v)).collect(),
            Node::Pool(Pool { input, kernel, stride, padding, .. }) => {
                let (h, w) = sizes[input.0];
                for (at, out) in map.iter_mut().enumerate() {
                    let (c, y, x) = (at / (oh * ow), at / ow % oh, at % ow);
                    *out = f64::NEG_INFINITY;
                    for (ky, kx) in (0..*kernel).flat_map(|ky| (0..*kernel).map(move |kx| (ky, kx)))
                    {
                        let (sy, sx) = (
                            (y * stride + ky).wrapping_sub(*padding),
                            (x * stride + kx).wrapping_sub(*padding),
                        );
                        if sy < h && sx < w {
                            *out = out.max(maps[input.0][(c * h + sy) * w + sx]);
                        }
                    }
                }
            }
            Node::Convolution(c) => {
                let (h, w) = sizes[c.input.0];
                let top = c.padding.along(h, c.kernel, c.stride).unwrap().0;
                let left = c.padding.along(w, c.kernel, c.stride).unwrap().0;
                let weights = state.values(&format!("{}.weight", c.weight)).unwrap();
                let bias = state.values(&format!("{}.bias", c.weight)).unwrap();
                for (at, out) in map.iter_mut().enumerate() {
                    let (o, y, x) = (at / (oh * ow), at / ow % oh, at % ow);
                    let inputs = match c.grouping {
                        Grouping::Dense => 0..c.inputs,
                        Grouping::Depthwise => o..o + 1,
                    };
                    let mut sum = f64::from(bias[o]);
                    for (k, i) in inputs.clone().enumerate() {
                        for (ky, kx) in
                            (0..c.kernel).flat_map(|ky| (0..c.kernel).map(move |kx| (ky, kx)))
                        {
                            let (sy, sx) = (
                                (y * c.stride + ky).wrapping_sub(top),
                                (x * c.stride + kx).wrapping_sub(left),
                            );
                            if sy < h && sx < w {
                                let weight = weights
                                    [((o * inputs.len() + k) * c.kernel + ky) * c.kernel + kx];
                                sum += f64::from(weight) * maps[c.input.0][(i * h + sy) * w + sx];
                            }
                        }
                    }
                    if let Skip::Add(other) = c.skip {
                        sum += maps[other.0][at];
                    }
                    *out = match c.activation {
                        Activation::Linear => sum,
                        Activation::Relu => sum.max(0.0),
                        Activation::Relu6 => sum.clamp(0.0, 6.0),
                        Activation::Silu => sum / (1.0 + (-sum).exp()),
                        Activation::Gelu => sum / 2.0 * (1.0 + erf(sum / 2f64.sqrt())),
                    };
                }
            }
            _ => unreachable!("not among the cases"),
        }
        maps.push(map);
    }
    maps.pop().unwrap()
}

/// Runs twice in one arena, so that leftovers of the first run would show in the second.
fn run(plan: &Plan, layout: &Layout, image: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let last = plan.network().last();
    let channels = plan.network().channels(last);
    let (h, w) = layout.size(last);
    let (mut pooled, mut map) = (vec![0.0; channels], vec![0.0; channels * h * w]);
    let mut arena = Arena::new(layout);
    let other: Vec<f32> = image.iter().map(|v| 3.0 - v).collect();
    for image in [&other, image] {
        plan.run(layout, &mut arena, image, &mut pooled, &mut [(last, &mut map)]);
        for (slot, &capacity) in arena.slots.iter().zip(&layout.capacities) {
            assert!(
                slot[capacity..].iter().all(|&v| v == 0.0),
                "the zeros behind a map were overwritten"
            );
        }
    }
    (pooled, map)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_level_computes_what_the_definition_says(case in cases()) {
        let network = network(&case);
        let (h, w) = case.size;
        let Ok(sizes) = network.sizes(h, w) else { return Ok(()) };
        let state = state(&network, case.seed);
        let image = noise(case.seed ^ 1, 3 * h * w);
        let expected = reference(&network, &state, &image, &sizes);
        let largest = expected.iter().fold(1e-3, |m: f64, v| m.max(v.abs()));
        for level in Level::available() {
            let plan = Plan::compile(network.clone(), &state, level).unwrap();
            let layout = Layout::new(&plan, h, w).unwrap();
            let (pooled, map) = run(&plan, &layout, &image);
            for (got, want) in map.iter().zip(&expected) {
                prop_assert!((f64::from(*got) - want).abs() <= 2e-5 * largest, "{level:?}: {got} for {want}");
            }
            for (c, got) in pooled.iter().enumerate() {
                let plane = map.len() / pooled.len();
                let want: f64 = expected[c * plane..][..plane].iter().sum::<f64>() / plane as f64;
                prop_assert!((f64::from(*got) - want).abs() <= 2e-5 * largest, "{level:?}: mean {got} for {want}");
            }
        }
    }
}

#[test]
fn an_image_that_is_too_small_is_refused_by_layer() {
    let case = Case {
        size: (2, 9),
        stem: 4,
        kernel: 5,
        stride: 1,
        padding: Padding::Even(0),
        outputs: Some(3),
        expand: None,
        project: None,
        pool: false,
        skip: false,
        activation: Activation::Relu,
        seed: 0,
    };
    let network = network(&case);
    assert_eq!(
        network.sizes(2, 9).unwrap_err().to_string(),
        "an image of 9 x 2 pixels is too small for test"
    );
}
