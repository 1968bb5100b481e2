//! Members' scores in one: the mean of their probabilities, or a logistic regression on their logits.
//!
//! Source: ONNX's Operators.md (`Sigmoid`, `MatMul`, `Greater`, `Where`, `Gemm` of set 17). `Clip` would turn the
//! NaN of a refused row into a number.

use wardround_core::query::{Combine, MEMBER_LIMIT};

use super::graph::{Graph, Value, int};

/// The probability of a class, `[N, 1]` of doubles, of its members' logits.
pub(super) fn probability(graph: &mut Graph, members: &[Value], combine: &Combine) -> Value {
    let count = members.len();
    match combine {
        Combine::MeanProbability => {
            let of_member = |member| graph.node("probability", "Sigmoid", &[member], vec![]);
            let members: Vec<Value> = members.iter().map(of_member).collect();
            let joined = joined(graph, "members", &members);
            let share = graph.initializer("share", &[count, 1], &vec![1.0 / count as f64; count]);
            graph.node("vote", "MatMul", &[&joined, &share], vec![])
        }
        Combine::Logits { weights, intercept } => {
            let joined = joined(graph, "member_logits", members);
            let most = graph.initializer("most_logit", &[1], &[MEMBER_LIMIT]);
            let least = graph.initializer("least_logit", &[1], &[-MEMBER_LIMIT]);
            let above = graph.node("above", "Greater", &[&joined, &most], vec![]);
            let joined = graph.node("not_above", "Where", &[&above, &most, &joined], vec![]);
            let below = graph.node("below", "Greater", &[&least, &joined], vec![]);
            let joined = graph.node("within", "Where", &[&below, &least, &joined], vec![]);
            let weights = graph.initializer("member_weights", &[count, 1], weights);
            let intercept = graph.initializer("member_intercept", &[1], &[*intercept]);
            let score = graph.node("stack", "Gemm", &[&joined, &weights, &intercept], vec![]);
            graph.node("stacked", "Sigmoid", &[&score], vec![])
        }
    }
}

fn joined(graph: &mut Graph, name: &str, columns: &[Value]) -> Value {
    let columns: Vec<&Value> = columns.iter().collect();
    graph.node(name, "Concat", &columns, vec![int("axis", 1)])
}
