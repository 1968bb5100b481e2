//! A weighted sum of random Fourier features as standard operators, in double precision as it was fitted. The
//! frequencies, which Wardround draws from a seed, are written out as a matrix.
//!
//! Source: ONNX's Operators.md (`MatMul`, `Cos`, `Sin`, `Concat` and those of linear models, of set 17).

use wardround_learn::findings::{FourierScaler, MissingFeatures, OwnFourier};
use wardround_learn::fourier::Fourier;

use super::graph::{Graph, Value, int};
use super::messages::DataType;

/// The logit of a class, `[N, 1]` of doubles, for float32 rows.
pub(super) fn score(
    graph: &mut Graph,
    rows: &Value,
    (mean, inverse): (&[f64], &[f64]),
    model: &OwnFourier,
) -> Value {
    let (features, components) = (mean.len(), model.weights.len());
    let rows = graph.cast("features_double", rows, DataType::Double);
    // As `predict` does: what isn't finite is missing.
    let nan = graph.node("is_nan", "IsNaN", &[&rows], vec![]);
    let infinite = graph.node("is_infinite", "IsInf", &[&rows], vec![]);
    let missing = graph.node("missing", "Or", &[&nan, &infinite], vec![]);
    let mean = graph.initializer("mean", &[features], mean);
    let fill = match model.missing {
        MissingFeatures::Filled => mean.clone(),
        MissingFeatures::Refused => graph.initializer("refused", &[1], &[f64::NAN]),
    };
    let rows = graph.node("filled", "Where", &[&missing, &fill, &rows], vec![]);
    let rows = graph.node("centred", "Sub", &[&rows, &mean], vec![]);
    let inverse = graph.initializer("inverse", &[features], inverse);
    let rows = graph.node("standardised", "Mul", &[&rows, &inverse], vec![]);
    let frequencies = frequencies(model, features).matrix();
    let frequencies = graph.initializer("frequencies", &[features, components / 2], &frequencies);
    let angles = graph.node("angles", "MatMul", &[&rows, &frequencies], vec![]);
    let cosines = graph.node("cosines", "Cos", &[&angles], vec![]);
    let sines = graph.node("sines", "Sin", &[&angles], vec![]);
    let mapped = graph.node("mapped", "Concat", &[&cosines, &sines], vec![int("axis", 1)]);
    let root = (components as f64 / 2.0).sqrt();
    let weights: Vec<f64> = model.weights.iter().map(|weight| weight / root).collect();
    let weights = graph.initializer("weights", &[components, 1], &weights);
    let intercept = graph.initializer("intercept", &[1], &[model.intercept]);
    graph.node("score", "Gemm", &[&mapped, &weights, &intercept], vec![])
}

/// By how much a logit moves with each feature at most: a frequency's cosine and sine of weights `a` and
/// `b` move by its length times the angle at most.
pub(super) fn slopes(model: &OwnFourier) -> Vec<f64> {
    let FourierScaler::All { inverse, .. } = &model.scaler else { return Vec::new() };
    let count = model.weights.len() / 2;
    let (cosines, sines) = model.weights.split_at(count);
    let root = (count as f64).sqrt();
    let lengths: Vec<f64> = cosines.iter().zip(sines).map(|(a, b)| a.hypot(*b) / root).collect();
    let matrix = frequencies(model, inverse.len()).matrix();
    let of_feature = |(frequencies, inverse): (&[f64], &f64)| {
        let by_frequency = frequencies.iter().zip(&lengths);
        inverse * by_frequency.map(|(frequency, length)| frequency.abs() * length).sum::<f64>()
    };
    matrix.chunks_exact(count).zip(inverse).map(of_feature).collect()
}

fn frequencies(model: &OwnFourier, features: usize) -> Fourier {
    Fourier::new(model.seed, features, model.weights.len(), model.gamma)
}
