//! The activations in f64 by their definitions, for tests.

use super::Epilogue;

/// The error function: a series of terms of one sign (Abramowitz and Stegun, 7.1.6), so nothing cancels.
pub(crate) fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI
}

/// The activation of one number.
pub(crate) fn activation(epilogue: Epilogue, x: f64) -> f64 {
    let sigmoid = 1.0 / (1.0 + (-x).exp());
    match epilogue {
        Epilogue::Clamp { low, high } => x.max(f64::from(low)).min(f64::from(high)),
        Epilogue::Silu => x * sigmoid,
        Epilogue::Gelu => x / 2.0 * (1.0 + erf(x / 2f64.sqrt())),
        Epilogue::Sigmoid => sigmoid,
    }
}

#[test]
fn erf_is_what_tables_say() {
    for (x, want) in [
        (0.5, 0.520_499_877_813_046_5),
        (2.0, 0.995_322_265_018_952_7),
        (-4.0, -0.999_999_984_582_742_1),
    ] {
        assert!((erf(x) - want).abs() < 1e-14, "{} for {want}", erf(x));
    }
}
