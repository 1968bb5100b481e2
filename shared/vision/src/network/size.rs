//! Sizes of all maps for one image size.

use super::{Network, Node, Padding, PoolKind, Scope};

impl Network {
    /// Height and width of every layer's result for an image of this size, without prefixes.
    ///
    /// # Errors
    /// The first layer that doesn't fit.
    pub(crate) fn sizes(&self, height: usize, width: usize) -> Result<Vec<(usize, usize)>, Misfit> {
        let mut sizes: Vec<(usize, usize)> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            match size(node, (height, width), &sizes) {
                Some((h, w)) if h > 0 && w > 0 => sizes.push((h, w)),
                _ => {
                    let layer = layer(node, sizes.len());
                    let reason = match node {
                        Node::Attention(_) | Node::MergePatches(_) => Reason::Division,
                        _ => Reason::TooSmall,
                    };
                    return Err(Misfit { height, width, layer, reason });
                }
            }
        }
        Ok(sizes)
    }

    /// Multiplications and additions of all convolutions, linear layers and attention for an image of this size, in FLOPs (two for
    /// each multiply-add).
    ///
    /// # Errors
    /// The image doesn't fit.
    pub fn flops(&self, height: usize, width: usize) -> Result<u64, Misfit> {
        let sizes = self.sizes(height, width)?;
        let mut multiply_adds = 0;
        for (i, node) in self.nodes().iter().enumerate() {
            let id = super::NodeId(i);
            let pixels = self.prefix(id) + sizes[i].0 * sizes[i].1;
            multiply_adds += match node {
                Node::Convolution(c) => pixels * c.shape().iter().product::<usize>(),
                Node::SqueezeExcite(s) => 2 * s.reduced * self.channels(id),
                Node::Attention(a) => {
                    let seen = match a.scope {
                        Scope::Global => pixels,
                        Scope::Window { side, .. } => side * side,
                    };
                    2 * pixels * seen * self.channels(id)
                }
                _ => 0,
            };
        }
        Ok(2 * multiply_adds as u64)
    }
}

fn size(node: &Node, image: (usize, usize), sizes: &[(usize, usize)]) -> Option<(usize, usize)> {
    let after = |(h, w): (usize, usize), padding: Padding, kernel, stride| {
        Some((padding.along(h, kernel, stride)?.1, padding.along(w, kernel, stride)?.1))
    };
    let of = |id: super::NodeId| sizes[id.0];
    match node {
        Node::Image => Some(image),
        Node::Convolution(c) => after(of(c.input), c.padding, c.kernel, c.stride),
        Node::Pool(p) => {
            debug_assert!(p.kind == PoolKind::Max || p.padding == 0, "no mean pool has a border");
            after(of(p.input), Padding::Even(p.padding), p.kernel, p.stride)
        }
        Node::MergePatches(input) => {
            let (h, w) = of(*input);
            (h % 2 == 0 && w % 2 == 0).then_some((h / 2, w / 2))
        }
        Node::Attention(a) => {
            let (h, w) = of(a.input);
            match a.scope {
                Scope::Window { side, .. } if h % side != 0 || w % side != 0 => None,
                _ => Some((h, w)),
            }
        }
        Node::Normalise(_) | Node::Concat(_) | Node::SqueezeExcite(_) | Node::Tokens(_) => {
            Some(of(node.inputs()[0]))
        }
    }
}

fn layer(node: &Node, index: usize) -> String {
    match node {
        Node::Convolution(c) => c.weight.clone(),
        Node::Normalise(n) => n.norm.name().to_owned(),
        Node::SqueezeExcite(s) => s.name.clone(),
        Node::Attention(super::Attention { scope: Scope::Window { bias, .. }, .. }) => bias.clone(),
        _ => format!("layer {index}"),
    }
}

/// An image of a size that the network can't take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an image of {width} x {height} pixels {reason} {layer}")]
pub struct Misfit {
    height: usize,
    width: usize,
    layer: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    TooSmall,
    Division,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooSmall => "is too small for",
            Self::Division => "isn't divided evenly by the windows of",
        })
    }
}
