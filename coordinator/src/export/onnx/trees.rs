//! Forests and boosted trees as one `TreeEnsembleRegressor` each.
//!
//! Source: ONNX's Operators-ml.md (`TreeEnsembleRegressor` of `ai.onnx.ml` 3, with thresholds and leaves as
//! doubles; its sum comes out as float32).

use wardround_core::query::{Side, TreeOutput};
use wardround_learn::findings::{FinalTrees, OwnNode, OwnTree};

use super::graph::{Graph, Operators, Value, int, ints, string, strings, tensor};
use super::messages::{AttributeProto, DataType};

/// The probability of a class, `[N, 1]` of doubles, for float32 rows; NaN in a row is a missing feature.
pub(super) fn probability(graph: &mut Graph, rows: &Value, model: &FinalTrees) -> Value {
    let probability = match model.output {
        TreeOutput::Sum => {
            let sum = sum(graph, rows, model);
            graph.node("probability", "Sigmoid", &[&sum], vec![])
        }
        TreeOutput::Mean => mean(graph, rows, model),
    };
    judged(graph, rows, &probability)
}

/// Its logit.
pub(super) fn score(graph: &mut Graph, rows: &Value, model: &FinalTrees) -> Value {
    let score = match model.output {
        TreeOutput::Sum => sum(graph, rows, model),
        TreeOutput::Mean => {
            let mean = mean(graph, rows, model);
            let one = graph.initializer("one", &[1], &[1.0]);
            let rest = graph.node("rest", "Sub", &[&one, &mean], vec![]);
            let of_class = graph.node("log_of_class", "Log", &[&mean], vec![]);
            let of_rest = graph.node("log_of_rest", "Log", &[&rest], vec![]);
            graph.node("score_of_trees", "Sub", &[&of_class, &of_rest], vec![])
        }
    };
    judged(graph, rows, &score)
}

fn sum(graph: &mut Graph, rows: &Value, model: &FinalTrees) -> Value {
    let rows = graph.cast("features_double", rows, DataType::Double);
    let sum = graph.node_of(
        Operators::MachineLearning,
        "trees",
        "TreeEnsembleRegressor",
        &[&rows],
        attributes(model),
    );
    graph.cast("trees_double", &sum, DataType::Double)
}

/// The mean of a forest's trees, within the bounds of its logit, see `TreeOutput::logit`.
fn mean(graph: &mut Graph, rows: &Value, model: &FinalTrees) -> Value {
    let sum = sum(graph, rows, model);
    let count = graph.initializer("count", &[1], &[model.trees.len() as f64]);
    let mean = graph.node("mean_of_trees", "Div", &[&sum, &count], vec![]);
    let [least, most] =
        [0.0, 1.0].map(|mean| 1.0 / (1.0 + (-TreeOutput::Mean.logit(mean, 1)).exp()));
    let least = graph.initializer("least", &[], &[least]);
    let most = graph.initializer("most", &[], &[most]);
    graph.node("probability", "Clip", &[&mean, &least, &most], vec![])
}

/// NaN for the rows that `predict` refuses: trees would take infinite features for large ones.
fn judged(graph: &mut Graph, rows: &Value, value: &Value) -> Value {
    let rows = graph.cast("features_double", rows, DataType::Double);
    let infinite = graph.node("is_infinite", "IsInf", &[&rows], vec![]);
    let infinite = graph.cast("infinite", &infinite, DataType::Float);
    let axes = vec![ints("axes", [1]), int("keepdims", 1)];
    let infinite = graph.node("any_infinite", "ReduceMax", &[&infinite], axes);
    let infinite = graph.cast("refused_row", &infinite, DataType::Bool);
    let nan = graph.initializer("refused", &[1], &[f64::NAN]);
    graph.node("judged", "Where", &[&infinite, &nan, value], vec![])
}

/// The ensemble's columns, one entry per node or leaf.
#[derive(Default)]
struct Columns {
    tree: Vec<i64>,
    node: Vec<i64>,
    feature: Vec<i64>,
    mode: Vec<&'static str>,
    value: Vec<f64>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing_is_yes: Vec<i64>,
    leaf_tree: Vec<i64>,
    leaf_node: Vec<i64>,
    leaf: Vec<f64>,
}

fn attributes(model: &FinalTrees) -> Vec<AttributeProto> {
    let mut columns = Columns::default();
    for (tree, OwnTree(nodes)) in (0..).zip(&model.trees) {
        for (at, node) in (0..).zip(nodes) {
            columns.put(tree, at, node);
        }
    }
    let leaves = columns.leaf.len();
    vec![
        int("n_targets", 1),
        string("aggregate_function", "SUM"),
        string("post_transform", "NONE"),
        tensor("base_values_as_tensor", &[model.start]),
        ints("nodes_treeids", columns.tree),
        ints("nodes_nodeids", columns.node),
        ints("nodes_featureids", columns.feature),
        strings("nodes_modes", columns.mode),
        tensor("nodes_values_as_tensor", &columns.value),
        ints("nodes_truenodeids", columns.yes),
        ints("nodes_falsenodeids", columns.no),
        ints("nodes_missing_value_tracks_true", columns.missing_is_yes),
        ints("target_treeids", columns.leaf_tree),
        ints("target_nodeids", columns.leaf_node),
        ints("target_ids", std::iter::repeat_n(0, leaves)),
        tensor("target_weights_as_tensor", &columns.leaf),
    ]
}

impl Columns {
    fn put(&mut self, tree: i64, at: i64, node: &OwnNode) {
        self.tree.push(tree);
        self.node.push(at);
        // The question is whether the feature lies below the value.
        let (mode, feature, value, yes, no, missing) = match *node {
            OwnNode::Split { feature, below, missing, left } => {
                let (feature, left) = (i64::from(feature), i64::from(left));
                let missing = i64::from(missing == Side::Left);
                ("BRANCH_LT", feature, below, left, left + 1, missing)
            }
            OwnNode::Leaf { value } => {
                self.leaf_tree.push(tree);
                self.leaf_node.push(at);
                self.leaf.push(value);
                ("LEAF", 0, 0.0, 0, 0, 0)
            }
        };
        self.mode.push(mode);
        self.feature.push(feature);
        self.value.push(value);
        self.yes.push(yes);
        self.no.push(no);
        self.missing_is_yes.push(missing);
    }
}
