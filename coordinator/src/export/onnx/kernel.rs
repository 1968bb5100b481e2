//! A support vector machine that is made of rows as standard operators, in double precision as it was fitted. The
//! squared distance of a row `z` to a vector `v` is `|z|^2 + |v|^2 - 2 z v`, so that all of them are one product.
//!
//! Source: ONNX's Operators.md (`MatMul`, `Gemm`, `Exp` and those of linear models, of set 17). `ai.onnx.ml` has an
//! `SVMRegressor`, whose vectors and coefficients are float32: a probability would be off by more than 1e-5.

use wardround_learn::findings::{MissingFeatures, OwnKernel};

use super::graph::{Graph, Value};
use super::messages::DataType;

/// The logit of a class, `[N, 1]` of doubles, for float32 rows.
pub(super) fn score(graph: &mut Graph, rows: &Value, model: &OwnKernel) -> Value {
    let (features, vectors) = (model.mean.len(), model.coefficients.len());
    let rows = graph.cast("features_double", rows, DataType::Double);
    // As `predict` does: what isn't finite is missing.
    let nan = graph.node("is_nan", "IsNaN", &[&rows], vec![]);
    let infinite = graph.node("is_infinite", "IsInf", &[&rows], vec![]);
    let missing = graph.node("missing", "Or", &[&nan, &infinite], vec![]);
    let mean = graph.initializer("mean", &[features], &model.mean);
    let fill = match model.missing {
        MissingFeatures::Filled => mean.clone(),
        MissingFeatures::Refused => graph.initializer("refused", &[1], &[f64::NAN]),
    };
    let rows = graph.node("filled", "Where", &[&missing, &fill, &rows], vec![]);
    let rows = graph.node("centred", "Sub", &[&rows, &mean], vec![]);
    let inverse = graph.initializer("inverse", &[features], &model.inverse);
    let rows = graph.node("standardised", "Mul", &[&rows, &inverse], vec![]);
    let scale = model.gamma / features as f64;
    let squares = graph.node("squares", "Mul", &[&rows, &rows], vec![]);
    let minus_scale = graph.initializer("minus_scale", &[features, 1], &vec![-scale; features]);
    let of_rows = graph.node("of_rows", "MatMul", &[&squares, &minus_scale], vec![]);
    let mut twice = vec![0.0; features * vectors];
    let mut of_vectors = Vec::with_capacity(vectors);
    for (at, vector) in model.vectors.chunks_exact(features).enumerate() {
        of_vectors.push(-scale * vector.iter().map(|v| v * v).sum::<f64>());
        for (j, v) in vector.iter().enumerate() {
            twice[j * vectors + at] = 2.0 * scale * v;
        }
    }
    let twice = graph.initializer("vectors", &[features, vectors], &twice);
    let of_vectors = graph.initializer("of_vectors", &[vectors], &of_vectors);
    let products = graph.node("products", "Gemm", &[&rows, &twice, &of_vectors], vec![]);
    let exponents = graph.node("exponents", "Add", &[&products, &of_rows], vec![]);
    let kernel = graph.node("kernel", "Exp", &[&exponents], vec![]);
    let coefficients = graph.initializer("coefficients", &[vectors, 1], &model.coefficients);
    let intercept = graph.initializer("intercept", &[1], &[model.intercept]);
    graph.node("score", "Gemm", &[&kernel, &coefficients, &intercept], vec![])
}

/// By how much a logit moves with each feature at most: the kernel of scale `s` is nowhere steeper than
/// `sqrt(2 s / e)`.
pub(super) fn slopes(model: &OwnKernel) -> Vec<f64> {
    let scale = model.gamma / model.mean.len() as f64;
    let steepest = (2.0 * scale / std::f64::consts::E).sqrt();
    let weight: f64 = model.coefficients.iter().map(|coefficient| coefficient.abs()).sum();
    model.inverse.iter().map(|inverse| inverse * steepest * weight).collect()
}
