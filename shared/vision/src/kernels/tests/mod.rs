//! Every kernel and level against the definition in f64, over odd shapes, with canaries around what may be written.

mod attention;
mod rows;

/// Stands where nothing may be written.
const CANARY: f32 = -12_345.5;

/// Numbers in [-1, 1) that look random.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
