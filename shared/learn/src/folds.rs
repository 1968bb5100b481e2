//! Dealing patients into folds, at the site, so that sites agree without talking.
//!
//! Stratified k-fold by patient (Kohavi 1995), with one departure: instead of shuffling, patients
//! are ranked by a pseudo-random function of the study's seed and dealt in turn, so that a
//! patient's fold depends on the patients of its own site and on nothing else, not on their order.
//!
//! Every (site, stratum, repeat) starts dealing at its own hashed fold. If all began at fold 0,
//! each stratum of one patient would land there, and fold 0 would be the largest at every site.

use wardround_core::ids::SiteId;
use wardround_core::query::FoldPlan;

/// A patient about to be dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Who issued the key.
    pub issuer: &'a str,
    /// The patient's key.
    pub key: &'a str,
    /// Within which group folds are balanced: see [`strata`].
    pub stratum: u8,
}

/// The fold of each patient of a site, in the order given. Every patient is in exactly one fold,
/// whatever the order; within a stratum, fold sizes differ by at most 1.
///
/// `plan.folds` must be at least 1, which [`wardround_core::query::Query::check`] guarantees.
pub fn deal(plan: &FoldPlan, repeat: u8, site: &SiteId, patients: &[Candidate<'_>]) -> Vec<u8> {
    let folds = u64::from(plan.folds);
    let rank = |patient: &Candidate<'_>| {
        let parts = [&[repeat], patient.issuer.as_bytes(), patient.key.as_bytes()];
        plan.seed.bits("folds", &parts)
    };
    let start = |stratum: u8| {
        let parts = [site.as_str().as_bytes(), &[stratum], &[repeat]];
        plan.seed.bits("first fold", &parts) % folds
    };
    let mut order: Vec<_> = patients
        .iter()
        .enumerate()
        .map(|(at, p)| (p.stratum, rank(p), p.issuer, p.key, at))
        .collect();
    order.sort_unstable();
    let mut dealt = vec![0; patients.len()];
    for stratum in order.chunk_by(|a, b| a.0 == b.0) {
        let first = start(stratum[0].0);
        for (turn, &(.., at)) in stratum.iter().enumerate() {
            dealt[at] = ((first + turn as u64) % folds) as u8;
        }
    }
    dealt
}

/// The stratum of each patient of a site: of the classes its rows have, the one that the fewest
/// patients of the site have; of equally rare ones the lowest code. `classes[i]` lists the classes
/// of patient i's rows (at least one), repetitions allowed.
pub fn strata(classes: &[Vec<u8>]) -> Vec<u8> {
    let mut patients_with = [0u32; 256];
    for of_patient in classes {
        let mut seen = [false; 256];
        for &class in of_patient {
            if !std::mem::replace(&mut seen[usize::from(class)], true) {
                patients_with[usize::from(class)] += 1;
            }
        }
    }
    let rarest = |of_patient: &Vec<u8>| {
        of_patient.iter().copied().min_by_key(|&c| (patients_with[usize::from(c)], c)).unwrap_or(0)
    };
    classes.iter().map(rarest).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wardround_core::seed::Seed;

    use super::*;

    fn site(text: &str) -> SiteId {
        SiteId::parse(text).unwrap()
    }

    fn plan(seed: u64, folds: u8) -> FoldPlan {
        FoldPlan { seed: Seed(seed), folds, repeats: 3 }
    }

    #[test]
    fn the_stratum_is_the_rarest_class() {
        let classes = [vec![0, 0, 1], vec![0, 2], vec![0], vec![1, 2], vec![0, 3, 3, 3, 3]];
        // Patients: 4 with class 0, 2 with 1, 2 with 2, 1 with 3; a tie goes to the lower code.
        assert_eq!(strata(&classes), [1, 2, 0, 1, 3]);
    }

    #[test]
    fn small_strata_dont_share_a_fold() {
        // 400 sites with one stratum of one patient each: the folds they land in are uniform.
        let mut landed = [0u32; 5];
        for at in 0..400 {
            let rare = [Candidate { issuer: "x", key: "1", stratum: 1 }];
            landed[usize::from(deal(&plan(3, 5), 0, &site(&format!("s{at}")), &rare)[0])] += 1;
        }
        // Chi-squared with 4 degrees of freedom: 18.5 is the 0.1 % point.
        let chi2: f64 = landed.iter().map(|&n| (f64::from(n) - 80.0).powi(2) / 80.0).sum();
        assert!(chi2 < 18.5, "{landed:?}");
        // The same within one site over strata and repeats.
        let mut landed = [0u32; 5];
        let rare: Vec<String> = (0..200).map(|i| i.to_string()).collect();
        let rare: Vec<Candidate> = (0..200u8)
            .map(|stratum| Candidate { issuer: "x", key: &rare[usize::from(stratum)], stratum })
            .collect();
        for repeat in 0..2 {
            let dealt = deal(&plan(3, 5), repeat, &site("one"), &rare);
            dealt.iter().for_each(|&fold| landed[usize::from(fold)] += 1);
        }
        let chi2: f64 = landed.iter().map(|&n| (f64::from(n) - 80.0).powi(2) / 80.0).sum();
        assert!(chi2 < 18.5, "{landed:?}");
    }

    #[test]
    fn repeats_and_seeds_deal_anew() {
        let keys: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let patients: Vec<Candidate> =
            keys.iter().map(|key| Candidate { issuer: "x", key, stratum: 0 }).collect();
        let first = deal(&plan(1, 5), 0, &site("a"), &patients);
        for other in [
            deal(&plan(1, 5), 1, &site("a"), &patients),
            deal(&plan(2, 5), 0, &site("a"), &patients),
        ] {
            let same = first.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(same < 45, "{same} of 100 patients in the same fold, 20 expected");
        }
    }

    proptest! {
        #[test]
        fn folds_are_balanced_and_know_no_order(
            seed: u64,
            folds in 2u8..10,
            repeat in 0u8..3,
            strata in prop::collection::vec(0u8..4, 1..120),
            rotation in 0usize..120,
        ) {
            let keys: Vec<String> = (0..strata.len()).map(|i| format!("p{i}")).collect();
            let patients: Vec<Candidate> = keys.iter().zip(&strata)
                .map(|(key, &stratum)| Candidate { issuer: "clinic", key, stratum }).collect();
            let dealt = deal(&plan(seed, folds), repeat, &site("a"), &patients);
            prop_assert!(dealt.iter().all(|&fold| fold < folds));
            for stratum in 0..4 {
                let sizes: Vec<usize> = (0..folds).map(|fold| {
                    dealt.iter().zip(&strata).filter(|&(&f, &s)| f == fold && s == stratum).count()
                }).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
            let by = rotation % patients.len();
            let mut rotated = patients.clone();
            rotated.rotate_left(by);
            let mut again = deal(&plan(seed, folds), repeat, &site("a"), &rotated);
            again.rotate_right(by);
            prop_assert_eq!(dealt, again);
        }
    }
}
