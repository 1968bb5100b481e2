//! Names in Hugging Face's files, whose transformer blocks are timm's with queries, keys and values apart.

use crate::weights::StateDict;

/// Layers of a block: Hugging Face's name and timm's.
const LAYERS: [(&str, &str); 18] = [
    ("layernorm_before", "norm1"),
    ("norm1", "norm1"),
    ("attention.attention.query", "attn.q"),
    ("attention.attention.key", "attn.k"),
    ("attention.attention.value", "attn.v"),
    ("attention.self.query", "attn.q"),
    ("attention.self.key", "attn.k"),
    ("attention.self.value", "attn.v"),
    ("attention.self", "attn"),
    ("attention.output.dense", "attn.proj"),
    ("layer_scale1", "ls1"),
    ("layernorm_after", "norm2"),
    ("norm2", "norm2"),
    ("intermediate.dense", "mlp.fc1"),
    ("output.dense", "mlp.fc2"),
    ("mlp.fc1", "mlp.fc1"),
    ("mlp.fc2", "mlp.fc2"),
    ("layer_scale2", "ls2"),
];

/// timm's name of a block's tensor, without the block's own prefix.
pub(super) fn block_key(key: &str) -> Option<String> {
    let (layer, part) = key.rsplit_once('.')?;
    let (_, timm) = LAYERS.iter().find(|(other, _)| *other == layer)?;
    let part = if part == "lambda1" { "gamma" } else { part };
    Some(format!("{timm}.{part}"))
}

/// Puts the queries, keys and values of a block into one tensor, which timm calls `qkv`.
pub(super) fn merge_attention(state: &mut StateDict, block: &str) {
    for part in ["weight", "bias"] {
        let parts = ["q", "k", "v"].map(|each| format!("{block}.attn.{each}.{part}"));
        state.merge(&parts, format!("{block}.attn.qkv.{part}"));
    }
}
