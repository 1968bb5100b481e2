//! Vision Transformer: A. Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021 (arXiv 2010.11929), and those who trained the
//! same layers otherwise: DeiT (H. Touvron et al., ICML 2021, arXiv 2012.12877; here without the distillation token), DINO (M. Caron et
//! al., ICCV 2021, arXiv 2104.14294) and DINOv2 (M. Oquab et al., TMLR 2024, arXiv 2304.07193), which adds factors to the branches.
//!
//! An image of another size than the one trained on gets a resampled position embedding, as with timm's `dynamic_img_size`; its
//! sides should be multiples of the patch, as pixels beyond the last whole patch aren't seen. Features are the class token after the
//! last norm.

use super::registry::{BackboneEntry, imagenet, inception};
use super::transformer::{Block, LayerScale};
use super::{Architecture, Licence, hugging_face};
use crate::image::Preprocess;
use crate::network::{Convolution, Head, Network, Node, Scope, Tokens};
use crate::weights::StateDict;

const EPS: f64 = 1e-6;
const BLOCKS: usize = 12;
/// Channels of a head.
const HEAD: usize = 64;

/// The family's weights.
pub(super) fn entries() -> Vec<BackboneEntry> {
    type Vit = VisionTransformer;
    // timm: floor(224 / crop_pct) with crop_pct = 0.9.
    let (inception, imagenet_224) = (inception(248, 224), imagenet(248, 224));
    // timm: the size trained on, whole; the paper's own evaluation and Hugging Face's: 256, of which 224.
    let (imagenet_518, imagenet_256) = (imagenet(518, 518), imagenet(256, 224));
    let apache = |architecture, pretrained, about, preprocess: &Preprocess| {
        BackboneEntry::timm(architecture, pretrained, Licence::Apache2, about, preprocess.clone())
    };
    let dino = |architecture, pretrained, about| {
        apache(architecture, pretrained, about, &imagenet_224).named(pretrained)
    };
    let deit =
        |architecture, pretrained, about| apache(architecture, pretrained, about, &imagenet_224);
    let [dinov2_small, dinov2_base] =
        ["vit_small_patch14_dinov2.lvd142m", "vit_base_patch14_dinov2.lvd142m"];
    vec![
        apache(
            &Vit::TINY,
            "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
            "ViT-Ti/16, ImageNet-21k, then ImageNet",
            &inception,
        ),
        apache(
            &Vit::SMALL,
            "vit_small_patch16_224.augreg_in21k_ft_in1k",
            "ViT-S/16, ImageNet-21k, then ImageNet",
            &inception,
        ),
        apache(
            &Vit::BASE,
            "vit_base_patch16_224.augreg2_in21k_ft_in1k",
            "ViT-B/16, ImageNet-21k, then ImageNet",
            &inception,
        ),
        dino(&Vit::SMALL, "vit_small_patch16_224.dino", "DINO ViT-S/16, ImageNet without labels"),
        dino(
            &Vit::SMALL_PATCH8,
            "vit_small_patch8_224.dino",
            "DINO ViT-S/8, ImageNet without labels",
        ),
        dino(&Vit::BASE, "vit_base_patch16_224.dino", "DINO ViT-B/16, ImageNet without labels"),
        dino(
            &Vit::BASE_PATCH8,
            "vit_base_patch8_224.dino",
            "DINO ViT-B/8, ImageNet without labels",
        ),
        deit(&Vit::DEIT_TINY, "deit_tiny_patch16_224.fb_in1k", "DeiT-Ti, ImageNet"),
        deit(&Vit::DEIT_SMALL, "deit_small_patch16_224.fb_in1k", "DeiT-S, ImageNet"),
        deit(&Vit::DEIT_BASE, "deit_base_patch16_224.fb_in1k", "DeiT-B, ImageNet"),
        apache(
            &Vit::DINOV2_SMALL,
            dinov2_small,
            "DINOv2 ViT-S/14, 142 million images without labels, at 518 pixels",
            &imagenet_518,
        ),
        apache(
            &Vit::DINOV2_SMALL,
            dinov2_small,
            "DINOv2 ViT-S/14, 142 million images without labels, at 224 pixels",
            &imagenet_256,
        )
        .named("vit_small_patch14_dinov2_224"),
        apache(
            &Vit::DINOV2_BASE,
            dinov2_base,
            "DINOv2 ViT-B/14, 142 million images without labels, at 518 pixels",
            &imagenet_518,
        ),
        apache(
            &Vit::DINOV2_BASE,
            dinov2_base,
            "DINOv2 ViT-B/14, 142 million images without labels, at 224 pixels",
            &imagenet_256,
        )
        .named("vit_base_patch14_dinov2_224"),
    ]
}

/// A vision transformer of twelve blocks: as many features as it is wide.
#[derive(Debug, Clone, Copy)]
pub struct VisionTransformer {
    name: &'static str,
    width: usize,
    /// Side of a patch, pixels.
    patch: usize,
    /// Side of the images trained on, pixels.
    image: usize,
    scale: LayerScale,
}

impl VisionTransformer {
    /// ViT-Ti/16, 192 features.
    pub const TINY: Self = Self::vit("vit_tiny_patch16_224", 192, 16);
    /// ViT-S/16, 384 features.
    pub const SMALL: Self = Self::vit("vit_small_patch16_224", 384, 16);
    /// ViT-S/8, 384 features.
    pub const SMALL_PATCH8: Self = Self::vit("vit_small_patch8_224", 384, 8);
    /// ViT-B/16, 768 features.
    pub const BASE: Self = Self::vit("vit_base_patch16_224", 768, 16);
    /// ViT-B/8, 768 features.
    pub const BASE_PATCH8: Self = Self::vit("vit_base_patch8_224", 768, 8);
    /// DeiT-Ti, 192 features.
    pub const DEIT_TINY: Self = Self::vit("deit_tiny_patch16_224", 192, 16);
    /// DeiT-S, 384 features.
    pub const DEIT_SMALL: Self = Self::vit("deit_small_patch16_224", 384, 16);
    /// DeiT-B, 768 features.
    pub const DEIT_BASE: Self = Self::vit("deit_base_patch16_224", 768, 16);
    /// DINOv2's ViT-S/14, 384 features.
    pub const DINOV2_SMALL: Self = Self::dinov2("vit_small_patch14_dinov2", 384);
    /// DINOv2's ViT-B/14, 768 features.
    pub const DINOV2_BASE: Self = Self::dinov2("vit_base_patch14_dinov2", 768);

    const fn vit(name: &'static str, width: usize, patch: usize) -> Self {
        Self { name, width, patch, image: 224, scale: LayerScale::Off }
    }

    const fn dinov2(name: &'static str, width: usize) -> Self {
        Self { name, width, patch: 14, image: 518, scale: LayerScale::Learned }
    }
}

impl Architecture for VisionTransformer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn network(&self) -> Network {
        let Self { width, patch, image, scale, .. } = *self;
        let mut network = Network::new(3);
        let patches = network.convolution(Convolution {
            kernel: patch,
            stride: patch,
            ..Convolution::new(network.image(), "patch_embed.proj", 3, width)
        });
        network.stage("patch_embed", patches);
        let mut x = network.push(Node::Tokens(Tokens {
            input: patches,
            prefix: vec!["cls_token".to_owned()],
            position: "pos_embed".to_owned(),
            grid: image / patch,
        }));
        for b in 0..BLOCKS {
            let name = format!("blocks.{b}");
            let heads = width / HEAD;
            let scope = Scope::Global;
            x = Block { name: name.clone(), width, heads, scope, eps: EPS, scale }
                .push(&mut network, x);
            network.stage(name, x);
        }
        let normed = network.layer_norm(x, "norm", EPS);
        network.stage("norm", normed);
        network.set_head(Head::ClassToken);
        network
    }
    /// Besides timm's names, which DeiT, DINO and DINOv2 publish too, Hugging Face's, `vit.encoder.layer.3.output.dense.weight`.
    fn adapt(&self, state: StateDict) -> StateDict {
        let mut state = state.renamed(timm_key);
        for b in 0..BLOCKS {
            hugging_face::merge_attention(&mut state, &format!("blocks.{b}"));
        }
        state
    }
}

/// Tensors and layers outside the blocks: Hugging Face's name and timm's.
const OUTER_KEYS: [(&str, &str); 6] = [
    ("embeddings.cls_token", "cls_token"),
    ("embeddings.position_embeddings", "pos_embed"),
    ("embeddings.patch_embeddings.projection.weight", "patch_embed.proj.weight"),
    ("embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
    ("layernorm.weight", "norm.weight"),
    ("layernorm.bias", "norm.bias"),
];

/// timm's name of what Hugging Face calls `key`, as a model of its own or within one that classifies.
fn timm_key(key: &str) -> Option<String> {
    let whole = ["vit.", "deit.", "dinov2."];
    let key = whole.iter().find_map(|prefix| key.strip_prefix(prefix)).unwrap_or(key);
    if let Some((_, timm)) = OUTER_KEYS.iter().find(|(other, _)| *other == key) {
        return Some((*timm).to_owned());
    }
    let (block, rest) = key.strip_prefix("encoder.layer.")?.split_once('.')?;
    Some(format!("blocks.{block}.{}", hugging_face::block_key(rest)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_hugging_face_become_timms() {
        for (other, timm) in [
            ("vit.embeddings.cls_token", "cls_token"),
            ("deit.embeddings.position_embeddings", "pos_embed"),
            ("embeddings.patch_embeddings.projection.bias", "patch_embed.proj.bias"),
            ("encoder.layer.3.layernorm_before.bias", "blocks.3.norm1.bias"),
            ("vit.encoder.layer.11.attention.attention.key.weight", "blocks.11.attn.k.weight"),
            ("encoder.layer.0.attention.output.dense.weight", "blocks.0.attn.proj.weight"),
            ("encoder.layer.0.output.dense.weight", "blocks.0.mlp.fc2.weight"),
            ("dinov2.encoder.layer.1.layer_scale2.lambda1", "blocks.1.ls2.gamma"),
            ("blocks.1.mlp.fc1.weight", "blocks.1.mlp.fc1.weight"),
            ("encoder.layer.0.crossattention.weight", "encoder.layer.0.crossattention.weight"),
        ] {
            assert_eq!(timm_key(other).as_deref().unwrap_or(other), timm);
        }
    }

    #[test]
    fn stages_are_timms() {
        let network = VisionTransformer::DINOV2_SMALL.network();
        let got: Vec<_> = network.stages().iter().map(|s| (s.name.as_str(), s.reduction)).collect();
        assert_eq!(got.len(), 14);
        assert_eq!(
            [got[0], got[12], got[13]],
            [("patch_embed", 14), ("blocks.11", 14), ("norm", 14)]
        );
        assert!(network.stages().iter().all(|stage| stage.channels == 384));
    }
}
