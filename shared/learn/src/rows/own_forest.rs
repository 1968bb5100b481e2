//! Forests of a site's own rows: the site runs the loop that grows forests over all sites
//! ([`crate::trees::lockstep`]) with itself as the whole cohort, and gives the trees away.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wardround_core::query::{Cuts, Frame, OwnForestTerm, Query, RowSet, SiteSet};
use wardround_core::study::ColumnSample;
use wardround_core::sum::Sum;

use super::site::{Seen, SiteRows};
use crate::cohort::{Cohort, CohortError};
use crate::study::StudyError;
use crate::study::asker::Asker;
use crate::study::event::Silent;
use crate::trees::cuts::Binned;
use crate::trees::grow::Rules;
use crate::trees::lockstep::{Kind, TreeFit, fit_all};

/// A site that is its own cohort.
struct Alone<'a>(&'a SiteRows);

impl Cohort for Alone<'_> {
    async fn sum(&self, query: &Query) -> Result<Sum, CohortError> {
        let blocks = self.0.answer(query, 0, &|| true)?;
        Ok(Sum { query: query.digest(), sites: vec![self.0.id.clone()], blocks })
    }
}

/// [`wardround_core::query::Ask::OwnForests`].
pub(super) fn answer(
    seen: &Seen<'_>,
    frame: &Arc<Frame>,
    cuts: &[Cuts],
    terms: &[OwnForestTerm],
    bits: u8,
) -> Result<Vec<Vec<i64>>, CohortError> {
    let (site, sites) = (usize::from(seen.site), seen.query.sites.len());
    let binned: Vec<Arc<Binned>> = cuts
        .iter()
        .map(|Cuts(cuts)| {
            Arc::new(Binned { cuts: cuts.clone(), rows_by_class: Vec::new(), rows: 0 })
        })
        .collect();
    let of_this = |term: &&OwnForestTerm| term.rows.sites.contains(seen.site);
    let mut fits: Vec<TreeFit> =
        terms.iter().filter(of_this).map(|term| fit(term, site, &binned, bits)).collect();
    grow(seen, frame, &mut fits)?;

    let mut fits = fits.iter();
    let mut patients = vec![0; terms.len() * sites];
    let mut nodes = Vec::with_capacity(seen.query.numbers() as usize - patients.len());
    for (at, term) in terms.iter().enumerate() {
        let own = if of_this(&term) { fits.next() } else { None };
        for slot in 0..sites {
            let start = nodes.len();
            if let Some(fit) = own.filter(|_| slot == site) {
                patients[at * sites + site] = patients_of(seen, &term.rows);
                for tree in fit.model(fit.trees.len()).trees {
                    let complete = tree.complete(term.numbers_per_tree());
                    nodes.extend(complete.map_err(CohortError::Unfit)?);
                }
            }
            nodes.resize(start + term.numbers_per_site(), 0);
        }
    }
    Ok(vec![patients, nodes])
}

fn fit(term: &OwnForestTerm, site: usize, binned: &[Arc<Binned>], bits: u8) -> TreeFit {
    let binned = binned[term.cuts as usize].clone();
    TreeFit {
        // Of the sites, the only one that is asked.
        rows: RowSet { sites: SiteSet::All, ..term.rows },
        class: term.class,
        weights: term.weights,
        rules: Rules {
            depth: term.depth,
            leaves: term.leaves,
            min_patients: term.min_patients,
            min_weight: 0.0,
            l2: 0.0,
            rate: 1.0,
            bits,
        },
        candidates: Arc::new((0..binned.cuts.len() as u32).collect()),
        binned,
        columns: ColumnSample::AtMost(term.columns),
        seed: term.seed,
        kind: Kind::Forest,
        first: site as u32 * term.trees,
        count: term.trees,
        trees: Vec::new(),
        rounds: 0,
    }
}

fn grow(seen: &Seen<'_>, frame: &Arc<Frame>, fits: &mut [TreeFit]) -> Result<(), CohortError> {
    let (alone, query) = (Alone(seen.rows), seen.query);
    let sites = [seen.rows.id.clone()];
    let (study, schema) = (&query.study, &query.schema);
    let mut asker = Asker::new(&alone, &Silent, study, &sites, schema, query.folds);
    asker.input = query.input;
    let growing = pin!(fit_all(&mut asker, frame, 0, fits, 0));
    match growing.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(_)) => Ok(()),
        Poll::Ready(Err(StudyError::Cohort(error))) => Err(error),
        Poll::Ready(Err(error)) => Err(CohortError::Unfit(error.to_string())),
        Poll::Pending => unreachable!("a site answers itself at once"),
    }
}

fn patients_of(seen: &Seen<'_>, rows: &RowSet) -> i64 {
    let selected = seen.selected(rows);
    let is_in = |rows: &std::ops::Range<usize>| selected.binary_search(&rows.start).is_ok();
    seen.rows.patients.iter().filter(|patient| is_in(&patient.rows)).count() as i64
}
