//! One classifier's nested out-of-fold AUC under the study's bootstrap of the patients: what the
//! comparison of classifiers is made of.

use wardround_core::query::{Ask, Bins, MOST_REPLICATES, Pairs};
use wardround_core::seed::Seed;
use wardround_core::study::ChooseBy;

use super::asker::{Asker, slices};
use super::error::StudyError;
use super::judging::{Choices, Judging};
use super::scores::{Lists, Scoring};
use crate::cohort::Cohort;
use crate::metrics::ScoreHistogram;
use crate::metrics::ranking::roc_auc;

/// Draws of the patients.
pub(crate) const REPLICATES: u16 = 1000;

/// Bins of the logit where lists of all sites are compared: coarser than for figures, since every
/// replicate has a histogram of its own.
pub(crate) const BINS: Bins = Bins { half_width: 12.0, count: 256 };

/// AUCs under a bootstrap.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replicates {
    /// Per modelled class and replicate, mean over repeats: of the patients drawn, and of those that
    /// weren't; NaN where there was nothing to compare.
    pub targets: Vec<Vec<[f64; 2]>>,
}

/// Asks for them.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    judging: &Judging<'_>,
    choices: &[Choices],
    seed: Seed,
) -> Result<Replicates, StudyError> {
    let repeats = usize::from(judging.scoring.design.repeats);
    let lists = judging.nested_lists(choices);
    let pairs = match judging.choose_by {
        ChooseBy::WithinSites => Pairs::WithinSites,
        ChooseBy::OneList => Pairs::AllSites,
    };
    let of_list = aucs(asker, &lists, &judging.scoring, pairs, seed).await?;
    let mean = |lists: &[Vec<[f64; 2]>]| {
        let of_replicate = |at: usize| {
            let half = |half: usize| lists.iter().map(|list| list[at][half]).sum::<f64>();
            [0, 1].map(|side| half(side) / lists.len() as f64)
        };
        (0..usize::from(REPLICATES)).map(of_replicate).collect()
    };
    Ok(Replicates { targets: of_list.chunks_exact(repeats).map(mean).collect() })
}

/// AUCs of some lists under the study's draws, the same ones for every list: per list and replicate of the patients drawn, and of
/// those that weren't; NaN where there was nothing to compare.
pub(crate) async fn aucs<C: Cohort>(
    asker: &mut Asker<'_, C>,
    lists: &Lists,
    scoring: &Scoring<'_>,
    pairs: Pairs,
    seed: Seed,
) -> Result<Vec<Vec<[f64; 2]>>, StudyError> {
    const { assert!(REPLICATES <= MOST_REPLICATES) };
    let numbers = match pairs {
        Pairs::WithinSites => 1,
        Pairs::AllSites => BINS.count,
    };
    let seed = Seed(seed.bits("bootstrap of the patients", &[]));
    let each = 4 * u64::from(REPLICATES) * u64::from(numbers);
    // Per list and replicate.
    let mut aucs: Vec<[f64; 2]> = Vec::new();
    for slice in slices(lists.len(), each) {
        let (models, lists) = lists.slice(slice, scoring);
        let answer = asker
            .ask(Ask::Bootstrap {
                frame: scoring.frame.clone(),
                models,
                lists,
                bins: BINS,
                pairs,
                seed,
                replicates: REPLICATES,
            })
            .await?;
        aucs.extend(match pairs {
            Pairs::WithinSites => {
                let (won, pairs) = (answer.counts("won"), answer.counts("pairs"));
                let share = |(won, pairs): (&i64, &i64)| *won as f64 / (2.0 * *pairs as f64);
                let all: Vec<f64> = won.iter().zip(pairs).map(share).collect();
                all.as_chunks().0.to_vec()
            }
            Pairs::AllSites => {
                let bins = BINS.count as usize;
                let positives = answer.counts("positives").chunks_exact(bins);
                let negatives = answer.counts("negatives").chunks_exact(bins);
                let auc = |(positives, negatives)| -> Result<f64, StudyError> {
                    let histogram = ScoreHistogram::from_blocks(BINS, positives, negatives)?;
                    Ok(roc_auc(&histogram).unwrap_or(f64::NAN))
                };
                let all = positives.zip(negatives).map(auc).collect::<Result<Vec<f64>, _>>()?;
                all.as_chunks().0.to_vec()
            }
        });
    }
    Ok(aucs.chunks_exact(usize::from(REPLICATES)).map(<[_]>::to_vec).collect())
}
