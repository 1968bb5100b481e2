//! The rows of `tests/golden/make_logistic.py`, for unit tests.

/// A number in [-1, 1) from two indices and a salt.
fn noise(i: u64, j: u64, salt: u64) -> f64 {
    let mut h = (i * 1_000_003 + j * 8191 + salt * 131 + 12345) & 0xffff_ffff;
    for _ in 0..3 {
        h = (h * 1_664_525 + 1_013_904_223) & 0xffff_ffff;
        h ^= h >> 15;
    }
    h as f64 / f64::from(1u32 << 31) - 1.0
}

/// Class and features of each row.
pub(crate) fn rows(n: usize, d: usize, sites: usize, salt: u64) -> Vec<(u8, Vec<f64>)> {
    let mut rows = Vec::new();
    for patient in 0..n {
        let site = patient % sites;
        for image in 0..if patient % 3 == 0 { 2 } else { 1 } {
            let at = (patient * 2 + image) as u64;
            let x: Vec<f64> = (0..d).map(|j| noise(at, j as u64, salt)).collect();
            let logit = 1.5 * x[0] - 1.2 * x[d / 2] + 0.8 * x[d - 1] - 0.4 + 0.5 * site as f64;
            let draw = (noise(patient as u64, 0, salt + 1) + 1.0) / 2.0;
            let class = u8::from(draw < 1.0 / (1.0 + (-2.0 * logit).exp()));
            let own = |(j, x): (usize, &f64)| {
                let own_site = 0.3 * site as f64 * noise(j as u64, site as u64, 3);
                10f64.powi(j as i32 % 5 - 2) * (x + 3.0 + own_site)
            };
            rows.push((class, x.iter().enumerate().map(own).collect()));
        }
    }
    rows
}

/// Features alone.
pub(crate) fn features(n: usize, d: usize, sites: usize, salt: u64) -> Vec<Vec<f64>> {
    rows(n, d, sites, salt).into_iter().map(|(_, x)| x).collect()
}
