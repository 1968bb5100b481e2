//! Trees as columns of numbers, one entry per node: what a bundle's file keeps of them.

use std::collections::BTreeMap;

use wardround_core::query::{Side, TreeOutput, check_shape};

use crate::findings::{FinalTrees, OwnNode, OwnTree};

/// The columns' names. `start`: what is added to the sum. `nodes`: of each tree, how many. Then per node:
/// `feature` (-1 for a leaf), `value` (of a leaf; of a split, below which value rows go left),
/// `missing` (1: rows that miss the feature go right) and `left` (index of the left child in its tree).
pub(super) const COLUMNS: [&str; 6] = ["start", "nodes", "feature", "value", "missing", "left"];

pub(super) type Columns = BTreeMap<&'static str, Vec<f64>>;

/// Most trees and most nodes of a tree that are read.
const MOST_TREES: usize = 1 << 16;
const MOST_NODES: usize = 1 << 20;

/// The columns of trees.
pub(super) fn columns(trees: &FinalTrees) -> Columns {
    let mut columns: Columns = COLUMNS.into_iter().map(|name| (name, Vec::new())).collect();
    let mut put = |name, value| columns.entry(name).or_default().push(value);
    put("start", trees.start);
    for OwnTree(nodes) in &trees.trees {
        put("nodes", nodes.len() as f64);
        for node in nodes {
            let [feature, value, missing, left] = match *node {
                OwnNode::Leaf { value } => [-1.0, value, 0.0, 0.0],
                OwnNode::Split { feature, below, missing, left } => {
                    let right = f64::from(u8::from(missing == Side::Right));
                    [f64::from(feature), below, right, f64::from(left)]
                }
            };
            put("feature", feature);
            put("value", value);
            put("missing", missing);
            put("left", left);
        }
    }
    columns
}

/// Trees from columns that may hold anything.
pub(super) fn from_columns(output: TreeOutput, columns: &Columns) -> Result<FinalTrees, String> {
    let of = |name: &str| columns.get(name).map_or(&[][..], Vec::as_slice);
    let whole = |name: &str, value: f64, most: usize| {
        let fits = value.fract() == 0.0 && (0.0..=most as f64).contains(&value);
        fits.then_some(value as usize)
            .ok_or_else(|| format!("{name} of trees holds {value}, expected 0 to {most}"))
    };
    let [start] = of("start") else {
        return Err(format!("start of trees holds {} numbers", of("start").len()));
    };
    let counts = of("nodes");
    if counts.len() > MOST_TREES {
        return Err(format!("{} trees, at most {MOST_TREES} are read", counts.len()));
    }
    let (mut trees, mut at) = (Vec::with_capacity(counts.len()), 0usize);
    let [features, values, missing, lefts] = ["feature", "value", "missing", "left"].map(of);
    for &count in counts {
        let end = at + whole("nodes", count, MOST_NODES)?;
        let range = at..end;
        at = end;
        let parts = [features, values, missing, lefts].map(|column| column.get(range.clone()));
        let [Some(features), Some(values), Some(missing), Some(lefts)] = parts else {
            return Err(format!("{} nodes of trees, expected {end} or more", features.len()));
        };
        let mut nodes = Vec::with_capacity(features.len());
        for (((&feature, &value), &missing), &left) in
            features.iter().zip(values).zip(missing).zip(lefts)
        {
            nodes.push(if feature == -1.0 {
                OwnNode::Leaf { value }
            } else {
                OwnNode::Split {
                    feature: whole("feature", feature, u32::MAX as usize)? as u32,
                    below: value,
                    missing: match whole("missing", missing, 1)? {
                        0 => Side::Left,
                        _ => Side::Right,
                    },
                    left: whole("left", left, MOST_NODES)? as u32,
                }
            });
        }
        trees.push(OwnTree(nodes));
    }
    if [features, values, missing, lefts].iter().any(|column| column.len() != at) {
        return Err(format!("expected {at} nodes of trees, got {}", features.len()));
    }
    Ok(FinalTrees { output, start: *start, trees })
}

/// Whether every tree ends and says something finite.
pub(super) fn check(model: &FinalTrees, features: usize) -> Result<(), String> {
    if model.trees.is_empty() || !model.start.is_finite() {
        return Err(format!("{} trees from a start of {}", model.trees.len(), model.start));
    }
    for (at, tree) in model.trees.iter().enumerate() {
        check_tree(tree, features).map_err(|what| format!("tree {}: {what}", at + 1))?;
    }
    Ok(())
}

fn check_tree(OwnTree(nodes): &OwnTree, features: usize) -> Result<(), String> {
    check_shape(nodes.iter().map(|node| match node {
        OwnNode::Split { left, .. } => Some(*left),
        OwnNode::Leaf { .. } => None,
    }))?;
    for (at, node) in nodes.iter().enumerate() {
        match *node {
            OwnNode::Leaf { value } if !value.is_finite() => {
                return Err(format!("leaf {at} is {value}"));
            }
            OwnNode::Split { feature, below, .. }
                if feature as usize >= features || !below.is_finite() =>
            {
                let what = format!("feature {feature} of {features} at {below}");
                return Err(format!("node {at} splits {what}"));
            }
            OwnNode::Leaf { .. } | OwnNode::Split { .. } => {}
        }
    }
    Ok(())
}
