//! Figures by two columns at once, of the classifier that was chosen: the levels of every subgroup column at each site, and the
//! intersections that a study names. The nested lists are asked for again, split by both columns; nothing is fitted.

use wardround_core::query::{Column, ScoreList};
use wardround_core::study::{BySite, Study};

use super::asker::Asker;
use super::error::StudyError;
use super::repeats;
use super::scores::{ask_placements, ask_scores, with_their_models};
use super::single::Nested;
use crate::cohort::Cohort;
use crate::findings::{ColumnSpread, Crossed, CrossedRows, Figures, TargetFindings};
use crate::metrics::judge::{CellSums, Part, figures};
use crate::metrics::registry::CROSSED;
use crate::metrics::{PlacementSums, ScoreCell};

/// The tables that a study asks for.
pub(crate) fn tables(study: &Study) -> Vec<(CrossedRows, u8)> {
    let sites = match study.fairness.by_site {
        BySite::Off => 0..0,
        // A study has at most 64.
        BySite::On => 0..study.subgroups.len() as u8,
    };
    let by_site = sites.map(|column| (CrossedRows::Sites, column));
    let pairs = study.fairness.intersections.iter();
    by_site.chain(pairs.map(|&[row, column]| (CrossedRows::Subgroup(row), column))).collect()
}

/// The split of a table.
pub(crate) fn split((rows, column): (CrossedRows, u8)) -> [Column; 2] {
    let rows = match rows {
        CrossedRows::Sites => Column::Site,
        CrossedRows::Subgroup(at) => Column::Subgroup(at),
    };
    [rows, Column::Subgroup(column)]
}

/// Asks for all tables and puts them into the findings; `rows` are those of all sites.
pub(crate) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    nested: &Nested,
    targets: &mut [TargetFindings],
    rows: u64,
) -> Result<(), StudyError> {
    let (frame, repeats) = (&nested.frame, usize::from(asker.folds.repeats));
    // Folds are called at thresholds of their own, so each is a list.
    let folds: Vec<ScoreList> = (nested.lists.iter())
        .flat_map(|list| {
            let alone = |part| ScoreList { class: list.class, parts: vec![part] };
            list.parts.iter().map(move |part| alone(*part))
        })
        .collect();
    for table in tables(study) {
        let split = split(table);
        let width = asker.cells(&split[1..]);
        let of = |slice| with_their_models(&nested.models, &folds, slice);
        let scores = ask_scores(asker, (frame, rows), &split, folds.len(), of).await?;
        let (mut by_list, mut left) = (Vec::new(), scores.into_iter());
        for list in &nested.lists {
            by_list.push(left.by_ref().take(list.parts.len()).collect::<Vec<_>>());
        }
        let together = by_list.iter().map(|folds| merged(folds)).collect::<Result<Vec<_>, _>>()?;
        let of = |slice| with_their_models(&nested.models, &nested.lists, slice);
        let placements = ask_placements(asker, (frame, rows), &split, &together, of).await?;
        let lists: Vec<Vec<Figures>> = (by_list.iter().zip(&nested.thresholds).zip(&placements))
            .map(|((folds, thresholds), placements)| {
                let cells = placements.iter().enumerate();
                cells.map(|(at, placed)| cell(folds, thresholds, at, *placed)).collect()
            })
            .collect::<Result<_, StudyError>>()?;
        for (target, lists) in targets.iter_mut().zip(lists.chunks_exact(repeats)) {
            let cells: Vec<Figures> = (0..lists[0].len())
                .map(|at| {
                    let of_repeats: Vec<Figures> =
                        lists.iter().map(|list| list[at].clone()).collect();
                    trimmed(repeats::figures(&of_repeats))
                })
                .collect();
            target.nested.judged.crossed.push(Crossed {
                rows: table.0,
                column: table.1,
                cells: cells.chunks(width.max(1)).map(<[_]>::to_vec).collect(),
                spread: ColumnSpread { metrics: Vec::new() },
            });
        }
    }
    Ok(())
}

/// Each cell over all folds.
fn merged(folds: &[Vec<ScoreCell>]) -> Result<Vec<ScoreCell>, StudyError> {
    let cells = folds.first().map_or(0, Vec::len);
    let of_cell = |at: usize| ScoreCell::merged(folds.iter().map(|fold| &fold[at]));
    Ok((0..cells).map(of_cell).collect::<Result<_, _>>()?)
}

/// A cell's figures, each fold called at its own threshold.
fn cell(
    folds: &[Vec<ScoreCell>],
    thresholds: &[crate::metrics::Threshold],
    at: usize,
    placements: PlacementSums,
) -> Result<Figures, StudyError> {
    let part = |(fold, &threshold): (&Vec<ScoreCell>, &crate::metrics::Threshold)| Part {
        cell: fold[at].clone(),
        threshold,
    };
    let parts = folds.iter().zip(thresholds).map(part).collect();
    Ok(figures(&CellSums { parts, placements })?)
}

/// What is kept of them.
fn trimmed(mut figures: Figures) -> Figures {
    figures.more.retain(|named| CROSSED.contains(&named.name.as_str()));
    Figures { roc: Vec::new(), reliability: Vec::new(), ..figures }
}
