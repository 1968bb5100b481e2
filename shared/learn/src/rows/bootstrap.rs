//! How lists rank under bootstraps of the patients. (Poisson bootstrap: Hanley and MacGibbon, Comput.
//! Methods Programs Biomed. 2006;83:57; Chamandy et al., 2012. Every patient's count is drawn by
//! itself, so sites draw without talking.)

use rayon::prelude::*;
use wardround_core::query::{Ask, Bins, Frame, Model, Pairs, ScoreList};
use wardround_core::seed::Seed;

use super::draws::{poisson, uniform};
use super::scores::{Scored, together};
use super::site::Seen;
use crate::cohort::CohortError;
use crate::metrics::ScoreHistogram;
use crate::metrics::ranking::RowPairs;

/// What is judged in a list: a row, an exam or a patient.
struct Hit {
    patient: usize,
    bin: usize,
    positive: bool,
}

/// [`Ask::Bootstrap`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Frame,
    models: &[Model],
    lists: &[ScoreList],
    bins: &Bins,
    pairs: Pairs,
    seed: Seed,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let mut blocks = vec![Vec::new(); 2];
    for (_, lists) in together(seen, lists) {
        let scored = Scored::new(seen, frame, models, lists)?;
        let of_lists = of_lists(seen, &scored, lists, bins, pairs, seed);
        blocks.iter_mut().zip(of_lists).for_each(|(block, more)| block.extend(more));
    }
    Ok(blocks)
}

/// The blocks of some lists.
fn of_lists(
    seen: &Seen<'_>,
    scored: &Scored,
    lists: &[ScoreList],
    bins: &Bins,
    pairs: Pairs,
    seed: Seed,
) -> Vec<Vec<i64>> {
    let Ask::Bootstrap { replicates, .. } = seen.query.ask else { return Vec::new() };
    let hits: Vec<Vec<Hit>> =
        lists.iter().enumerate().map(|(at, list)| hits(seen, scored, at, list, bins)).collect();
    let bits = seen.rows.patient_bits(seed);
    let of_list = |hits: &Vec<Hit>, draws: &[u8]| {
        let drawn = histogram(hits, bins, |patient| u64::from(draws[patient]));
        let left = histogram(hits, bins, |patient| u64::from(draws[patient] == 0));
        let halves = [drawn, left];
        let all = |of: fn(&ScoreHistogram) -> Vec<i64>| halves.iter().flat_map(of).collect();
        match pairs {
            Pairs::AllSites => {
                (all(|half| whole(half.positives())), all(|half| whole(half.negatives())))
            }
            Pairs::WithinSites => {
                (all(|half| vec![compared(half).0]), all(|half| vec![compared(half).1]))
            }
        }
    };
    // Replicate by replicate, so that never more draws are held than there are threads.
    let of_replicate = |replicate: u32| -> Vec<(Vec<i64>, Vec<i64>)> {
        let draws: Vec<u8> = bits.iter().map(|bits| poisson(uniform(*bits, replicate))).collect();
        hits.iter().map(|hits| of_list(hits, &draws)).collect()
    };
    let by_replicate: Vec<_> =
        (0..u32::from(replicates)).into_par_iter().map(of_replicate).collect();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for list in 0..lists.len() {
        for replicate in &by_replicate {
            first.extend_from_slice(&replicate[list].0);
            second.extend_from_slice(&replicate[list].1);
        }
    }
    vec![first, second]
}

fn hits(
    seen: &Seen<'_>,
    scored: &Scored,
    at: usize,
    ScoreList { class, .. }: &ScoreList,
    bins: &Bins,
) -> Vec<Hit> {
    let of_patient = |(patient, units): (usize, Vec<(usize, f64)>)| {
        units.into_iter().map(move |(unit, logit)| Hit {
            patient,
            bin: bins.index(logit),
            positive: seen.units().classes[unit].has(*class),
        })
    };
    scored.list(at).into_iter().enumerate().flat_map(of_patient).collect()
}

/// Rows by bin, each as often as its patient counts.
fn histogram(hits: &[Hit], bins: &Bins, count: impl Fn(usize) -> u64) -> ScoreHistogram {
    let mut histogram = ScoreHistogram::empty(*bins);
    for Hit { patient, bin, positive } in hits {
        histogram.add_rows(*bin, *positive, count(*patient));
    }
    histogram
}

/// Pairs that the positive row won, twice, and tied, once; all pairs. A site's are far fewer than 2^62.
fn compared(histogram: &ScoreHistogram) -> (i64, i64) {
    let RowPairs { won_twice, all } = RowPairs::of(histogram);
    (won_twice as i64, all as i64)
}

fn whole(counts: &[u64]) -> Vec<i64> {
    counts.iter().map(|&count| count as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_those_of_every_two_rows_as_often_as_both_were_drawn() {
        let uniform = |what: &str, at: usize| Seed(9).uniform(what, &[&at.to_le_bytes()]);
        let hit = |at: usize| Hit {
            patient: at / 2,
            bin: (6.0 * uniform("bin", at)) as usize,
            positive: uniform("class", at) < 0.4,
        };
        let hits: Vec<Hit> = (0..40).map(hit).collect();
        let count = |patient: usize| (3.0 * uniform("draw", patient)) as u64;
        let bins = Bins { half_width: 1.0, count: 6 };
        let (mut won, mut pairs) = (0, 0);
        for positive in hits.iter().filter(|hit| hit.positive) {
            for negative in hits.iter().filter(|hit| !hit.positive) {
                let times = (count(positive.patient) * count(negative.patient)) as i64;
                pairs += times;
                won += times * (positive.bin.cmp(&negative.bin) as i64 + 1);
            }
        }
        assert!(pairs > 100 && won > 0 && won < 2 * pairs);
        assert_eq!(compared(&histogram(&hits, &bins, count)), (won, pairs));
    }
}
