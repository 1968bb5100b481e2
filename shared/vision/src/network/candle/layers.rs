//! One function for each kind of layer. Maps are `[n, channels, h, w]`, sequences `[n, prefix + h w, channels]`.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::network::position::resample_positions;
use crate::network::{
    Activation, Attention, Convolution, Grouping, Normalise, Padding, PixelNorm, Pool, PoolKind,
    Scope, Skip, SqueezeExcite, Tokens,
};

pub(super) fn convolution(
    c: &Convolution,
    tensors: &[Tensor],
    inputs: &[Tensor],
) -> Result<Tensor> {
    let (weights, bias) = (&tensors[0], &tensors[1]);
    let x = &inputs[0];
    let mut y = if x.rank() == 3 {
        // A sequence: every token on its own.
        x.broadcast_matmul(&weights.reshape((c.outputs, c.inputs))?.t()?)?.broadcast_add(bias)?
    } else {
        let shape = (c.outputs, (), c.kernel, c.kernel);
        let groups = match c.grouping {
            Grouping::Dense => 1,
            Grouping::Depthwise => c.outputs,
        };
        let mut x = x.clone();
        for axis in [2, 3] {
            let len = x.dim(axis)?;
            let (before, output) = c.padding.along(len, c.kernel, c.stride).ok_or_else(|| {
                candle_core::Error::Msg(format!(
                    "{}: the kernel doesn't fit {len} pixels",
                    c.weight
                ))
            })?;
            let after = match c.padding {
                Padding::Same => ((output - 1) * c.stride + c.kernel).saturating_sub(len + before),
                Padding::Even(border) => border,
            };
            x = x.pad_with_zeros(axis, before, after)?;
        }
        let bias = bias.reshape((1, c.outputs, 1, 1))?;
        x.conv2d(&weights.reshape(shape)?, 0, c.stride, 1, groups)?.broadcast_add(&bias)?
    };
    if let Skip::Add(_) = c.skip {
        y = (y + &inputs[1])?;
    }
    activate(c.activation, &y)
}

pub(super) fn normalise(n: &Normalise, tensors: &[Tensor], x: &Tensor) -> Result<Tensor> {
    let y = match &n.norm {
        PixelNorm::Batch { .. } => x.broadcast_mul(&tensors[0])?.broadcast_add(&tensors[1])?,
        PixelNorm::Layer { eps, .. } if x.rank() == 3 => {
            over_channels(x, &tensors[0], &tensors[1], *eps)?
        }
        PixelNorm::Layer { eps, .. } => {
            let pixels = x.permute((0, 2, 3, 1))?;
            over_channels(&pixels, &tensors[0], &tensors[1], *eps)?.permute((0, 3, 1, 2))?
        }
    };
    activate(n.activation, &y)?.contiguous()
}

/// Layer norm over the last axis; sums in f32 whatever the number type.
pub(super) fn over_channels(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let dtype = x.dtype();
    let x = x.to_dtype(DType::F32)?;
    let x = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let deviation = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    x.broadcast_div(&deviation)?.to_dtype(dtype)?.broadcast_mul(weight)?.broadcast_add(bias)
}

pub(super) fn pooling(pool: &Pool, x: &Tensor) -> Result<Tensor> {
    match pool.kind {
        PoolKind::Mean => x.avg_pool2d_with_stride(pool.kernel, pool.stride),
        PoolKind::Max => {
            // Zeros are right as a border only where nothing is negative.
            let lowest = x.flatten_all()?.min(D::Minus1)?;
            let x = x.broadcast_sub(&lowest)?;
            let x = x.pad_with_zeros(2, pool.padding, pool.padding)?.pad_with_zeros(
                3,
                pool.padding,
                pool.padding,
            )?;
            x.max_pool2d_with_stride(pool.kernel, pool.stride)?.broadcast_add(&lowest)
        }
    }
}

pub(super) fn squeeze_excite(s: &SqueezeExcite, tensors: &[Tensor], x: &Tensor) -> Result<Tensor> {
    let linear =
        |x: &Tensor, at: usize| x.matmul(&tensors[at].t()?)?.broadcast_add(&tensors[at + 1]);
    let mean = x.flatten_from(2)?.mean(2)?;
    let gate = linear(&activate(s.activation, &linear(&mean, 0)?)?, 2)?;
    // sigmoid(x) = (1 + tanh(x / 2)) / 2
    let gate = (((gate * 0.5)?.tanh()? + 1.0)? * 0.5)?;
    x.broadcast_mul(&gate.unsqueeze(2)?.unsqueeze(3)?)
}

pub(super) fn sequence(
    t: &Tokens,
    tensors: &[Tensor],
    x: &Tensor,
    size: (usize, usize),
) -> Result<Tensor> {
    let (n, channels, _, _) = x.dims4()?;
    let mut tokens = Vec::new();
    for token in &tensors[1..] {
        tokens.push(token.broadcast_as((n, 1, channels))?.contiguous()?);
    }
    tokens.push(x.flatten_from(2)?.transpose(1, 2)?.contiguous()?);
    let position = &tensors[0];
    let position = if size == (t.grid, t.grid) {
        position.clone()
    } else {
        let all = position.squeeze(0)?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
        let values = resample_positions(&all.flatten_all()?.to_vec1()?, t, channels, size);
        Tensor::from_vec(values, (1, t.prefix.len() + size.0 * size.1, channels), &Device::Cpu)?
            .to_dtype(x.dtype())?
            .to_device(x.device())?
    };
    Tensor::cat(&tokens, 1)?.broadcast_add(&position)
}

pub(super) fn attention(a: &Attention, tensors: &[Tensor], x: &Tensor) -> Result<Tensor> {
    match &a.scope {
        Scope::Global => heads(x, a.heads, None),
        Scope::Window { side, shift, .. } => {
            let (n, channels, h, w) = x.dims4()?;
            let (rows, columns, side) = (h / side, w / side, *side);
            // Along an axis of one window there is nothing to shift across.
            let along = |windows: usize| if windows == 1 { 0 } else { *shift };
            let shift = [along(rows), along(columns)];
            let [down, right] = shift.map(|shift| shift as i32);
            let x = x.permute((0, 2, 3, 1))?.roll(-down, 1)?.roll(-right, 2)?;
            let windows = x
                .reshape(&[n, rows, side, columns, side, channels])?
                .permute([0, 1, 3, 2, 4, 5])?
                .reshape((n * rows * columns, side * side, channels))?;
            let index = relative_positions(side);
            let index =
                Tensor::from_vec(index, side.pow(4), &Device::Cpu)?.to_device(x.device())?;
            let bias = tensors[0].index_select(&index, 0)?.t()?.contiguous()?;
            let bias = bias.reshape((1, a.heads, side * side, side * side))?;
            let mask = Tensor::from_vec(
                window_masks(rows, columns, side, shift),
                (rows * columns, 1, side * side, side * side),
                &Device::Cpu,
            )?;
            let mask = mask.to_dtype(x.dtype())?.to_device(x.device())?.repeat((n, 1, 1, 1))?;
            heads(&windows, a.heads, Some(&bias.broadcast_add(&mask)?))?
                .reshape(&[n, rows, columns, side, side, channels / 3])?
                .permute([0, 1, 3, 2, 4, 5])?
                .reshape((n, h, w, channels / 3))?
                .roll(down, 1)?
                .roll(right, 2)?
                .permute((0, 3, 1, 2))?
                .contiguous()
        }
    }
}

/// Attention within each of `[n, tokens, 3 channels]`; `bias` is added to the scores.
fn heads(x: &Tensor, heads: usize, bias: Option<&Tensor>) -> Result<Tensor> {
    let (n, tokens, channels) = x.dims3()?;
    let width = channels / 3 / heads;
    let parts = x.reshape(&[n, tokens, 3, heads, width])?.permute([2, 0, 3, 1, 4])?.contiguous()?;
    let (q, k, v) = (parts.get(0)?, parts.get(1)?, parts.get(2)?);
    let mut scores = ((q * (width as f64).powf(-0.5))?.matmul(&k.t()?)?).to_dtype(DType::F32)?;
    if let Some(bias) = bias {
        scores = scores.broadcast_add(&bias.to_dtype(DType::F32)?)?;
    }
    let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
    let shares = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?.to_dtype(x.dtype())?;
    shares.matmul(&v)?.transpose(1, 2)?.reshape((n, tokens, channels / 3))
}

pub(super) fn merge_patches(x: &Tensor) -> Result<Tensor> {
    let (n, channels, h, w) = x.dims4()?;
    // timm reads a square column by column.
    x.reshape(&[n, channels, h / 2, 2, w / 2, 2])?.permute([0, 5, 3, 1, 2, 4])?.reshape((
        n,
        4 * channels,
        h / 2,
        w / 2,
    ))
}

fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Linear => Ok(x.clone()),
        Activation::Relu => x.relu(),
        Activation::Relu6 => x.clamp(0f32, 6f32),
        Activation::Silu => x.silu(),
        Activation::Gelu => x.gelu_erf(),
    }
}

/// For each pair of pixels of a window, the row of the bias table: that of `(dy + side - 1) * (2 side - 1) + dx + side - 1`.
fn relative_positions(side: usize) -> Vec<u32> {
    let mut rows = Vec::with_capacity(side.pow(4));
    for (a, b) in (0..side * side).flat_map(|a| (0..side * side).map(move |b| (a, b))) {
        let dy = a / side + side - 1 - b / side;
        let dx = a % side + side - 1 - b % side;
        rows.push((dy * (2 * side - 1) + dx) as u32);
    }
    rows
}

/// For each window and pair of its pixels, what is added to their score: 0 if they are neighbours in the image, -100 if the shift
/// wrapped one of them around.
fn window_masks(rows: usize, columns: usize, side: usize, shift: [usize; 2]) -> Vec<f32> {
    // Only in the last row and column of windows is anything wrapped around: the last `shift` of their pixels.
    let part = |window: usize, windows: usize, pixel: usize, shift: usize| {
        usize::from(window + 1 == windows && pixel >= side - shift)
    };
    let mut masks = Vec::with_capacity(rows * columns * side.pow(4));
    for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
        let region = |p: usize| {
            (part(row, rows, p / side, shift[0]), part(column, columns, p % side, shift[1]))
        };
        for a in 0..side * side {
            masks.extend(
                (0..side * side).map(|b| if region(a) == region(b) { 0.0 } else { -100.0 }),
            );
        }
    }
    masks
}
