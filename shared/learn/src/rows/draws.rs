//! Random draws keyed by patient: the same at every site, whoever asks, without talking.

use wardround_core::seed::Seed;

use super::site::SitePatient;

/// A uniform number in [0, 1) from a patient's own 64 bits and the number of a draw (SplitMix64's
/// finaliser: Steele et al., OOPSLA 2014). A keyed hash per draw would cost more than the tree.
pub(super) fn uniform(patient: u64, draw: u32) -> f64 {
    let mut x = patient.wrapping_add((u64::from(draw) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// A Poisson draw of mean 1 by inversion.
pub(super) fn poisson(u: f64) -> u8 {
    // e^-1, and what every further count adds: e^-1 / k!.
    let (mut term, mut below, mut count) = (0.367_879_441_171_442_33, 0.0, 0u8);
    loop {
        below += term;
        if u < below || count == 20 {
            return count;
        }
        count += 1;
        term /= f64::from(count);
    }
}

/// The 64 bits of each patient that a seed draws by.
pub(super) fn bits_of_patients(seed: Seed, patients: &[SitePatient]) -> Vec<u64> {
    let of_patient = |patient: &SitePatient| {
        let parts = [patient.issuer.as_bytes(), patient.key.as_bytes()];
        seed.bits("patients of a tree", &parts)
    };
    patients.iter().map(of_patient).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_mean_one_and_their_own_variance() {
        let draws: Vec<f64> = (0..4000u64)
            .flat_map(|patient| {
                let bits = Seed(5).bits("p", &[&patient.to_le_bytes()]);
                (0..5).map(move |draw| f64::from(poisson(uniform(bits, draw))))
            })
            .collect();
        let n = draws.len() as f64;
        let mean = draws.iter().sum::<f64>() / n;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        assert!((mean - 1.0).abs() < 0.03 && (variance - 1.0).abs() < 0.06, "{mean} {variance}");
        assert_eq!((poisson(0.0), poisson(0.36), poisson(0.37), poisson(1.0)), (0, 0, 1, 20));
    }
}
