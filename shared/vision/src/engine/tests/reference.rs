//! Every kind of layer by its definition, in f64 and one number at a time.

use crate::kernels::Bf16;
use crate::network::{
    Activation, Attention, Convolution, Grouping, Head, Network, Node, NodeId, Norm, Normalise,
    PixelNorm, Pool, PoolKind, Scope, Skip, SqueezeExcite, Tokens, affine, resample_positions,
};
use crate::precision::Precision;
use crate::weights::StateDict;

/// `[prefix + height * width][channels]`.
#[derive(Debug, Clone)]
pub(super) struct Map {
    pub(super) prefix: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) channels: usize,
    pub(super) values: Vec<f64>,
}

impl Map {
    fn new(prefix: usize, (h, w): (usize, usize), channels: usize) -> Self {
        Self { prefix, h, w, channels, values: vec![0.0; (prefix + h * w) * channels] }
    }

    fn pixels(&self) -> usize {
        self.prefix + self.h * self.w
    }

    fn pixel(&self, p: usize) -> &[f64] {
        &self.values[p * self.channels..][..self.channels]
    }

    /// `None` outside the image.
    fn at(&self, y: isize, x: isize) -> Option<&[f64]> {
        let inside = y >= 0 && x >= 0 && y < self.h as isize && x < self.w as isize;
        inside.then(|| self.pixel(self.prefix + y as usize * self.w + x as usize))
    }

    /// Without the prefix, `[channels][height][width]`.
    pub(super) fn planar(&self) -> Vec<f64> {
        let pixel = |c| (self.prefix..self.pixels()).map(move |p| self.pixel(p)[c]);
        (0..self.channels).flat_map(pixel).collect()
    }

    fn each_pixel(mut self, change: impl Fn(&mut [f64])) -> Self {
        self.values.chunks_exact_mut(self.channels).for_each(change);
        self
    }

    fn mean(&self) -> Vec<f64> {
        let pixels = (self.h * self.w) as f64;
        let sum = |c: usize| (self.prefix..self.pixels()).map(|p| self.pixel(p)[c]).sum::<f64>();
        (0..self.channels).map(|c| sum(c) / pixels).collect()
    }
}

/// Features, and the maps of all layers. In bfloat16 the products of dense convolutions are, except where the plan keeps f32: on few
/// channels, where an inverted bottleneck ends, and where it takes Winograd's way.
pub(super) fn run(
    network: &Network,
    state: &StateDict,
    image: &[f32],
    sizes: &[(usize, usize)],
    precision: Precision,
) -> (Vec<f64>, Vec<Map>) {
    let mut maps: Vec<Map> = Vec::new();
    for (i, node) in network.nodes().iter().enumerate() {
        let channels = network.channels(NodeId(i));
        let empty = Map::new(network.prefix(NodeId(i)), sizes[i], channels);
        let map = match node {
            Node::Image => planar_image(image, empty),
            Node::Convolution(c) => {
                let winograd = c.kernel == 3 && c.stride == 1 && c.inputs >= 32;
                let rounded = precision == Precision::Bf16
                    && c.grouping == Grouping::Dense
                    && c.inputs >= 48
                    && !winograd
                    && !is_projection(network, c);
                let number = if rounded { bf16 } else { |x| x };
                convolution(c, state, &maps, empty, number)
            }
            Node::Normalise(n) => normalise(n, state, maps[n.input.0].clone()),
            Node::Pool(pool) => pooling(pool, &maps[pool.input.0], empty),
            Node::Concat(inputs) => {
                let mut map = empty;
                map.values = (0..map.pixels())
                    .flat_map(|p| inputs.iter().flat_map(move |input| [(p, input)]))
                    .flat_map(|(p, input)| maps[input.0].pixel(p).to_vec())
                    .collect();
                map
            }
            Node::SqueezeExcite(s) => squeeze_excite(s, state, maps[s.input.0].clone()),
            Node::Tokens(t) => tokens(t, state, &maps[t.input.0], empty),
            Node::Attention(a) => attention(a, state, &maps[a.input.0], empty),
            Node::MergePatches(input) => merge_patches(&maps[input.0], empty),
        };
        maps.push(map);
    }
    let last = maps.last().unwrap();
    let features = match network.head() {
        Head::Mean => last.mean(),
        Head::ClassToken => last.pixel(0).to_vec(),
        Head::MeanThenLayerNorm { name, eps } => {
            let mut mean = last.mean();
            layer_norm(&mut mean, state, name, *eps);
            mean
        }
    };
    (features, maps)
}

fn values(state: &StateDict, name: String) -> Vec<f64> {
    state.values(&name).unwrap().iter().map(|&v| f64::from(v)).collect()
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Linear => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::Gelu => {
            0.5 * x * (1.0 + crate::kernels::reference::erf(x * std::f64::consts::FRAC_1_SQRT_2))
        }
    }
}

fn planar_image(image: &[f32], mut map: Map) -> Map {
    let pixels = map.pixels();
    for p in 0..pixels {
        for c in 0..map.channels {
            map.values[p * map.channels + c] = f64::from(image[c * pixels + p]);
        }
    }
    map
}

/// A 1x1 convolution behind a depthwise one, or behind its squeeze-and-excitation.
fn is_projection(network: &Network, c: &Convolution) -> bool {
    let node = |id: NodeId| &network.nodes()[id.0];
    let before = match node(c.input) {
        Node::SqueezeExcite(s) => node(s.input),
        before => before,
    };
    let depthwise = matches!(before, Node::Convolution(d) if d.grouping == Grouping::Depthwise);
    (c.kernel, c.stride) == (1, 1) && depthwise
}

/// The nearest bfloat16.
fn bf16(x: f64) -> f64 {
    f64::from(Bf16::round(x as f32).widen())
}

fn convolution(
    c: &Convolution,
    state: &StateDict,
    maps: &[Map],
    mut map: Map,
    number: fn(f64) -> f64,
) -> Map {
    let input = &maps[c.input.0];
    let weights = values(state, format!("{}.weight", c.weight));
    let bias = match c.norm {
        Norm::Bias | Norm::BiasAndBatch { .. } | Norm::BiasAndScale { .. } => {
            values(state, format!("{}.bias", c.weight))
        }
        Norm::Nothing | Norm::Batch { .. } => vec![0.0; c.outputs],
    };
    let (scale, shift) = match &c.norm {
        Norm::Batch { name, eps } | Norm::BiasAndBatch { name, eps } => {
            affine(name, *eps, state).unwrap()
        }
        Norm::BiasAndScale { gamma } => (values(state, gamma.clone()), vec![0.0; c.outputs]),
        Norm::Nothing | Norm::Bias => (vec![1.0; c.outputs], vec![0.0; c.outputs]),
    };
    let top = c.padding.along(input.h, c.kernel, c.stride).unwrap().0 as isize;
    let left = c.padding.along(input.w, c.kernel, c.stride).unwrap().0 as isize;
    let per_output = weights.len() / c.outputs;
    for p in 0..map.pixels() {
        let taps: Vec<Option<&[f64]>> = match p.checked_sub(map.prefix) {
            None => vec![Some(input.pixel(p))],
            Some(at) => {
                let (y, x) = ((at / map.w * c.stride) as isize, (at % map.w * c.stride) as isize);
                let k = c.kernel as isize;
                (0..k * k).map(|t| input.at(y + t / k - top, x + t % k - left)).collect()
            }
        };
        for o in 0..c.outputs {
            let mut sum = bias[o] * scale[o] + shift[o];
            for (k, weights) in weights[o * per_output..][..per_output]
                .chunks_exact(c.kernel * c.kernel)
                .enumerate()
            {
                let channel = if c.grouping == Grouping::Depthwise { o } else { k };
                for (tap, weight) in taps.iter().zip(weights) {
                    let pixel = tap.map_or(0.0, |pixel| pixel[channel]);
                    sum += number(weight * scale[o]) * number(pixel);
                }
            }
            if let Skip::Add(other) = c.skip {
                sum += maps[other.0].pixel(p)[o];
            }
            map.values[p * c.outputs + o] = activate(c.activation, sum);
        }
    }
    map
}

fn layer_norm(pixel: &mut [f64], state: &StateDict, name: &str, eps: f64) {
    let (gain, bias) =
        (values(state, format!("{name}.weight")), values(state, format!("{name}.bias")));
    let count = pixel.len() as f64;
    let mean = pixel.iter().sum::<f64>() / count;
    let variance = pixel.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    for (c, v) in pixel.iter_mut().enumerate() {
        *v = (*v - mean) / (variance + eps).sqrt() * gain[c] + bias[c];
    }
}

fn normalise(n: &Normalise, state: &StateDict, map: Map) -> Map {
    let map = match &n.norm {
        PixelNorm::Layer { name, eps } => map.each_pixel(|p| layer_norm(p, state, name, *eps)),
        PixelNorm::Batch { name, eps } => {
            let (scale, shift) = affine(name, *eps, state).unwrap();
            map.each_pixel(|p| {
                p.iter_mut().enumerate().for_each(|(c, v)| *v = *v * scale[c] + shift[c])
            })
        }
    };
    map.each_pixel(|p| p.iter_mut().for_each(|v| *v = activate(n.activation, *v)))
}

fn pooling(pool: &Pool, input: &Map, mut map: Map) -> Map {
    for p in 0..map.pixels() {
        let corner = |at: usize| (at * pool.stride) as isize - pool.padding as isize;
        let (y, x, k) = (corner(p / map.w), corner(p % map.w), pool.kernel as isize);
        let seen: Vec<&[f64]> = (0..k * k).filter_map(|t| input.at(y + t / k, x + t % k)).collect();
        for c in 0..map.channels {
            let channel = seen.iter().map(|pixel| pixel[c]);
            map.values[p * map.channels + c] = match pool.kind {
                PoolKind::Max => channel.fold(f64::NEG_INFINITY, f64::max),
                PoolKind::Mean => channel.sum::<f64>() / seen.len() as f64,
            };
        }
    }
    map
}

fn squeeze_excite(s: &SqueezeExcite, state: &StateDict, map: Map) -> Map {
    let linear = |part: &str, x: &[f64]| -> Vec<f64> {
        let weights = values(state, format!("{}.{part}.weight", s.name));
        let bias = values(state, format!("{}.{part}.bias", s.name));
        let row = |o: usize| &weights[o * x.len()..][..x.len()];
        (0..bias.len())
            .map(|o| bias[o] + row(o).iter().zip(x).map(|(w, x)| w * x).sum::<f64>())
            .collect()
    };
    let reduced: Vec<f64> =
        linear("conv_reduce", &map.mean()).into_iter().map(|v| activate(s.activation, v)).collect();
    let factors = linear("conv_expand", &reduced);
    map.each_pixel(|p| {
        p.iter_mut().zip(&factors).for_each(|(v, factor)| *v /= 1.0 + (-factor).exp());
    })
}

fn tokens(t: &Tokens, state: &StateDict, input: &Map, mut map: Map) -> Map {
    let learned = state.values(&t.position).unwrap();
    let positions = resample_positions(learned, t, input.channels, (input.h, input.w));
    map.values = t.prefix.iter().flat_map(|name| values(state, name.clone())).collect();
    map.values.extend(&input.values);
    for (value, position) in map.values.iter_mut().zip(positions) {
        *value += f64::from(position);
    }
    map
}

fn attention(a: &Attention, state: &StateDict, input: &Map, mut map: Map) -> Map {
    let (channels, pixels) = (map.channels, map.pixels());
    let width = channels / a.heads;
    let part = |p: usize, which: usize, head: usize| {
        &input.pixel(p)[which * channels + head * width..][..width]
    };
    let table = match &a.scope {
        Scope::Global => Vec::new(),
        Scope::Window { bias, .. } => values(state, bias.clone()),
    };
    // The score's addend for two pixels; `None`: they don't see each other.
    let addend = |p: usize, q: usize, head: usize| match a.scope {
        Scope::Global => Some(0.0),
        Scope::Window { side, shift, .. } => {
            // Where a pixel lies once the map is rolled: window, place in it, and whether it was carried over the edge.
            let along = |at: usize, len: usize| {
                let shift = if len == side { 0 } else { shift };
                let rolled = (at + len - shift) % len;
                (rolled / side, rolled % side, at < shift)
            };
            let ((pr, py, pa), (pc, px, pb)) = (along(p / map.w, map.h), along(p % map.w, map.w));
            let ((qr, qy, qa), (qc, qx, qb)) = (along(q / map.w, map.h), along(q % map.w, map.w));
            let row = (py + side - 1 - qy) * (2 * side - 1) + px + side - 1 - qx;
            let bias = table[row * a.heads + head];
            let apart = if (pa, pb) == (qa, qb) { 0.0 } else { -100.0 };
            ((pr, pc) == (qr, qc)).then_some(bias + apart)
        }
    };
    for (p, head) in (0..pixels).flat_map(|p| (0..a.heads).map(move |head| (p, head))) {
        let score = |q: usize| {
            let product: f64 =
                part(p, 0, head).iter().zip(part(q, 1, head)).map(|(q, k)| q * k).sum();
            addend(p, q, head).map(|add| (q, (product / (width as f64).sqrt() + add).exp()))
        };
        let shares: Vec<(usize, f64)> = (0..pixels).filter_map(score).collect();
        let total: f64 = shares.iter().map(|(_, share)| share).sum();
        for c in 0..width {
            let sum: f64 = shares.iter().map(|&(q, share)| share * part(q, 2, head)[c]).sum();
            map.values[p * channels + head * width + c] = sum / total;
        }
    }
    map
}

fn merge_patches(input: &Map, mut map: Map) -> Map {
    let square = |p: usize| {
        let (y, x) = (2 * (p / map.w) as isize, 2 * (p % map.w) as isize);
        [(y, x), (y + 1, x), (y, x + 1), (y + 1, x + 1)]
    };
    map.values = (0..map.pixels())
        .flat_map(square)
        .flat_map(|(y, x)| input.at(y, x).unwrap().to_vec())
        .collect();
    map
}
