//! How unlike rows are to the training rows of a study's models: a measure of each outer fold's training set, taken of the fold's
//! own rows, and the measure of all rows, for whoever uses the final model.
//!
//! Every row's distance is by a measure that it had no part in, so what the histogram says of training rows holds for new rows that
//! are like them. The final measure has a fold's rows more than each of those; its distances are those of the folds' all but that.

use rayon::prelude::*;
use wardround_core::query::{
    Ask, Column, DISTANCE_BINS, DistanceTerm, FoldSet, GramTerm, Measure, RowSet, Scaler, SiteSet,
};
use wardround_core::study::Study;

use super::asker::Asker;
use super::common::Common;
use super::error::StudyError;
use super::frame::Standard;
use super::training_sums::sums_of;
use crate::closed_form::Sums;
use crate::cohort::Cohort;
use crate::distance::{Means, in_own_units, measure};
use crate::findings::{MeansOf, MeasuredOutliers, Outliers};

/// Asks for the sums of the outer folds' training sets, and for the distances of their rows.
pub(super) async fn ask<C: Cohort>(
    asker: &mut Asker<'_, C>,
    study: &Study,
    common: &mut Common,
) -> Result<Outliers, StudyError> {
    let (frame, rows) = (common.frame.clone(), common.rows);
    let patients = common.profile.all.patients;
    let means = Means::of(asker.schema.labelling, &common.profile.all.patients_by_class);
    let folds = study.validation.folds;
    let all = RowSet { repeat: 0, folds: FoldSet::all(folds), sites: SiteSet::All };
    let sets = (0..folds).map(|fold| RowSet { folds: all.folds.without(fold), ..all }).chain([all]);
    let (cells, _) = common.cells(asker).await?;
    let standards: Vec<Standard> = sets.clone().map(|rows| cells.standard(&rows)).collect();
    let any_missing = cells.any_missing();
    let terms: Vec<GramTerm> = sets
        .zip(&standards)
        .map(|(rows, standard)| {
            let fill = standard.fill(any_missing);
            GramTerm { rows, scaler: Scaler::Folded, fill }
        })
        .collect();
    let sums = sums_of(asker, &frame, rows, &terms).await?;
    let of_set = |((sums, standard), term): ((&Sums, &Standard), &GramTerm)| {
        // Folds are dealt evenly.
        let share = standard.rows as f64 / rows.max(1) as f64;
        measure(sums, standard, means, (share * patients as f64) as u64, term.fill.clone())
    };
    let measures: Option<Vec<Measure>> =
        sums.par_iter().zip(&standards).zip(&terms).map(of_set).collect();
    let Some(mut measures) = measures else {
        let reason = "no feature varies in a fold's training rows".to_owned();
        return Ok(Outliers::Undefined { reason });
    };
    let last = measures.pop().expect("the set of all rows is the last");
    let terms: Vec<DistanceTerm> = (0..)
        .zip(measures)
        .map(|(fold, measure)| DistanceTerm {
            rows: RowSet { folds: FoldSet::only(fold), ..all },
            measure,
        })
        .collect();
    let split = vec![Column::Site];
    let answer =
        asker.ask(Ask::Distances { frame: frame.clone(), terms, split, bins: DISTANCE_BINS });
    let answer = answer.await?;
    let of_site = |counts: &[i64]| counts.iter().map(|count| (*count).max(0) as u64).collect();
    let by_site = answer.counts("rows").chunks_exact(DISTANCE_BINS.count as usize).map(of_site);
    Ok(Outliers::Measured(MeasuredOutliers {
        measure: in_own_units(&last, &frame),
        means: match means {
            Means::ByClass => MeansOf::Classes,
            Means::OfAll => MeansOf::AllRows,
        },
        bins: DISTANCE_BINS,
        by_site: by_site.collect(),
    }))
}
