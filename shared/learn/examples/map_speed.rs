//! How fast rows are mapped to random Fourier features: `cargo run --release --example map_speed`.

use std::time::Instant;

use wardround_core::seed::Seed;
use wardround_learn::fourier::Fourier;

fn main() {
    for (features, components) in [(18, 4096), (1280, 1024), (1280, 4096), (2048, 16384)] {
        let map = Fourier::new(Seed(1), features, components, 1.0);
        let row: Vec<f64> = (0..features).map(|k| (k % 7) as f64 - 3.0).collect();
        let mut out = vec![0.0; components];
        let started = Instant::now();
        let rows = 4000;
        (0..rows).for_each(|_| map.map(std::hint::black_box(&row), &mut out));
        let each = started.elapsed().as_secs_f64() / f64::from(rows);
        println!("{features} features to {components}: {:.1} us per row", each * 1e6);
    }
}
