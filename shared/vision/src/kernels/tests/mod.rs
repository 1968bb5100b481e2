//! Every kernel and level against the definition in f64, over odd shapes, with canaries around what may be written.

mod attention;
mod convolve;
mod rows;
mod winograd;

/// Stands where nothing may be written.
const CANARY: f32 = -12_345.5;

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

/// A dense convolution of one image by the definition, in f64.
struct Reference<'a> {
    /// `[output][input][tap]`.
    weights: &'a [f32],
    bias: &'a [f32],
    kernel: usize,
    stride: usize,
    /// Height and width of the input.
    size: (usize, usize),
    /// Rows above and columns left of it.
    border: (usize, usize),
}

impl Reference<'_> {
    /// The sum of one output channel at one output pixel, before residual and activation; `input` gives a pixel's channel.
    fn sum(
        &self,
        output: usize,
        y: usize,
        x: usize,
        input: impl Fn(usize, usize, usize) -> f32,
    ) -> f64 {
        let taps = self.kernel * self.kernel;
        let inputs = self.weights.len() / self.bias.len() / taps;
        let mut sum = f64::from(self.bias[output]);
        for tap in 0..taps {
            let y = (y * self.stride + tap / self.kernel).wrapping_sub(self.border.0);
            let x = (x * self.stride + tap % self.kernel).wrapping_sub(self.border.1);
            if y < self.size.0 && x < self.size.1 {
                for i in 0..inputs {
                    let weight = self.weights[(output * inputs + i) * taps + tap];
                    sum += f64::from(weight) * f64::from(input(y, x, i));
                }
            }
        }
        sum
    }
}
