//! A weighted sum of standardised features as standard operators, in double precision as it was fitted: of
//! a feature with a large mean single precision would keep few digits of what is left without it.
//!
//! Source: ONNX's Operators.md (`IsNaN`, `IsInf`, `Where`, `Sub`, `Div`, `Gemm`, `Sigmoid`, `Softmax` of set 17).

use wardround_learn::bundle::LinearScorer;

use super::graph::{Graph, Value};
use super::messages::DataType;

/// Means and deviations over all sites' rows: what of [`FinalScaler`] needs no rows of a site.
///
/// [`FinalScaler`]: wardround_learn::findings::FinalScaler
pub(super) struct Scale<'a> {
    pub mean: &'a [f64],
    pub deviation: &'a [f64],
}

/// The logit of a class, or of a model of all classes its score, `[N, 1]` of doubles, for float32 rows.
pub(super) fn score(
    graph: &mut Graph,
    rows: &Value,
    scale: &Scale<'_>,
    model: &LinearScorer,
) -> Value {
    let features = model.weights.len();
    let rows = graph.cast("features_double", rows, DataType::Double);
    // As `predict` does: what isn't finite is missing.
    let nan = graph.node("is_nan", "IsNaN", &[&rows], vec![]);
    let infinite = graph.node("is_infinite", "IsInf", &[&rows], vec![]);
    let missing = graph.node("missing", "Or", &[&nan, &infinite], vec![]);
    // NaN for a model that refuses: an infinite number would become a sure 0 or 1.
    let fill = match model.fill.as_slice() {
        [] => graph.initializer("refused", &[1], &[f64::NAN]),
        fill => graph.initializer("fill", &[features], fill),
    };
    let rows = graph.node("filled", "Where", &[&missing, &fill, &rows], vec![]);
    let mean = graph.initializer("mean", &[features], scale.mean);
    let rows = graph.node("centred", "Sub", &[&rows, &mean], vec![]);
    let deviation = graph.initializer("deviation", &[features], scale.deviation);
    let rows = graph.node("standardised", "Div", &[&rows, &deviation], vec![]);
    let weights = graph.initializer("weights", &[features, 1], &model.weights);
    let intercept = graph.initializer("intercept", &[1], &[model.intercept]);
    graph.node("score", "Gemm", &[&rows, &weights, &intercept], vec![])
}
