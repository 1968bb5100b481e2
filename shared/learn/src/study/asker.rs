//! Asks a study's questions: fills in what all of them share, checks and counts the answers, and
//! goes to a coarser scale where the fixed point overflows.

use std::collections::BTreeSet;

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Ask, Column, FoldPlan, Mark, Marked, Query, Schema, ScoreOf};
use wardround_core::sum::{Sum, SumError, unit};

use super::error::StudyError;
use super::event::{Observer, StudyEvent};
use crate::cohort::{Cohort, CohortError, Heard, Purpose};

/// Bytes of an answer above which a question is asked in slices.
pub(crate) const SLICE_BYTES: u64 = 256 << 20;

/// Binary places by which a scale is made coarser.
const COARSER: u8 = 6;

/// Asks the questions of one study.
pub(crate) struct Asker<'a, C> {
    pub cohort: &'a C,
    pub observer: &'a dyn Observer,
    pub study: &'a StudyId,
    pub sites: &'a [SiteId],
    pub schema: &'a Schema,
    /// What rows' classes are.
    pub classes: ClassesOf<'a>,
    /// The input whose rows are asked for.
    pub input: u8,
    pub folds: FoldPlan,
    /// Questions asked; one that a cohort with a memory answers again from it counts once.
    pub queries: u64,
    /// Of these, answered: the lines of a journal.
    pub answered: u64,
    /// Every question with its purpose.
    pub asked: BTreeSet<(Digest, Option<Purpose>)>,
}

/// What rows' classes are.
#[derive(Clone, Copy)]
pub(crate) enum ClassesOf<'a> {
    /// The study's target.
    Target,
    /// Marks.
    Marks {
        marks: &'a [Mark],
        scores: ScoreOf,
        /// What rows look like without them.
        plain: &'a Schema,
    },
}

/// A question with its answer; of a marked one, the question that it stands for.
pub(crate) struct Answer {
    pub query: Query,
    pub sum: Sum,
}

/// The answer to a question whose sum a journal need not keep.
pub(crate) enum Recalled {
    /// Nothing is to be settled.
    Kept(Answer),
    /// To be settled by what is decided by it.
    Passing(Answer),
    /// What was decided by it.
    Decided(Vec<u8>),
}

impl<'a, C> Asker<'a, C> {
    /// Nothing was asked yet; questions are about the first input.
    pub fn new(
        cohort: &'a C,
        observer: &'a dyn Observer,
        study: &'a StudyId,
        sites: &'a [SiteId],
        schema: &'a Schema,
        folds: FoldPlan,
    ) -> Self {
        let (input, queries, answered, asked) = (0, 0, 0, BTreeSet::new());
        let classes = ClassesOf::Target;
        Self {
            cohort,
            observer,
            study,
            sites,
            schema,
            classes,
            input,
            folds,
            queries,
            answered,
            asked,
        }
    }

    /// One that asks about marks instead of the target; it counts on, and is to be taken back. `schema` is that of marked rows.
    pub fn marked<'b>(
        &mut self,
        schema: &'b Schema,
        marks: &'b [Mark],
        scores: ScoreOf,
    ) -> Asker<'b, C>
    where
        'a: 'b,
    {
        Asker {
            cohort: self.cohort,
            observer: self.observer,
            study: self.study,
            sites: self.sites,
            schema,
            classes: ClassesOf::Marks { marks, scores, plain: self.schema },
            input: self.input,
            folds: self.folds,
            queries: self.queries,
            answered: self.answered,
            asked: std::mem::take(&mut self.asked),
        }
    }

    /// Goes on counting where a marked one ended.
    pub fn take_back(&mut self, marked: Asker<'_, C>) {
        (self.queries, self.answered, self.asked) = (marked.queries, marked.answered, marked.asked);
    }

    /// Number of cells of a split.
    pub fn cells(&self, split: &[Column]) -> usize {
        let of = |column: &Column| match column {
            Column::Site => self.sites.len(),
            Column::Fold { .. } => usize::from(self.folds.folds),
            Column::Subgroup(at) => usize::from(self.schema.levels[usize::from(*at)]),
            Column::Class => usize::from(self.schema.classes),
        };
        split.iter().map(of).product()
    }
}

impl<C: Cohort> Asker<'_, C> {
    /// Asks one question.
    pub async fn ask(&mut self, ask: Ask) -> Result<Answer, StudyError> {
        let (query, new) = self.question(ask, None)?;
        let sum = self.cohort.sum(&query).await?;
        self.answered += new;
        answer(query, sum)
    }

    /// Asks one question whose answer is large beside what is decided by it.
    pub async fn ask_or_recall(
        &mut self,
        ask: Ask,
        purpose: &Purpose,
    ) -> Result<Recalled, StudyError> {
        let (query, new) = self.question(ask, Some(*purpose))?;
        let heard = self.cohort.sum_or_decision(&query, purpose).await?;
        self.answered += new;
        Ok(match heard {
            Heard::Kept(sum) => Recalled::Kept(answer(query, sum)?),
            Heard::Passing(sum) => Recalled::Passing(answer(query, sum)?),
            Heard::Decided(decision) => Recalled::Decided(decision),
        })
    }

    /// Says what was decided by an answer that came as [`Recalled::Passing`].
    pub fn settle(
        &self,
        query: &Digest,
        purpose: &Purpose,
        decision: &[u8],
    ) -> Result<(), StudyError> {
        Ok(self.cohort.settle(query, purpose, decision)?)
    }

    /// A question, and 1 if it wasn't asked before.
    fn question(&mut self, ask: Ask, purpose: Option<Purpose>) -> Result<(Query, u64), StudyError> {
        let (schema, ask) = match self.classes {
            ClassesOf::Marks { marks, scores, plain } => match ask {
                // Classes have no part in it.
                Ask::Gram { .. } => (plain, ask),
                ask => {
                    let marked = Marked { marks: marks.to_vec(), scores, ask: Box::new(ask) };
                    (plain, Ask::Marked(marked))
                }
            },
            ClassesOf::Target => (self.schema, ask),
        };
        let query = Query {
            study: self.study.clone(),
            sites: self.sites.to_vec(),
            schema: schema.clone(),
            input: self.input,
            folds: self.folds,
            ask,
        };
        query.check()?;
        let new = u64::from(self.asked.insert((query.digest(), purpose)));
        self.queries += new;
        self.observer.event(&StudyEvent::Asked { query: self.queries, name: query.name() });
        Ok((query, new))
    }

    /// Asks a question at the finest scale, from `finest` down to `coarsest` binary places, that
    /// stays in range.
    pub async fn ask_at(
        &mut self,
        finest: u8,
        coarsest: u8,
        ask: impl Fn(u8) -> Ask,
    ) -> Result<Answer, StudyError> {
        let mut bits = finest.max(coarsest);
        loop {
            let asked = ask(bits);
            let phase = phase(&asked);
            match self.ask(asked).await {
                Err(StudyError::Cohort(CohortError::Sum(source @ SumError::OutOfRange { .. }))) => {
                    if bits == coarsest {
                        return Err(StudyError::OutOfRange { phase, source });
                    }
                    bits = bits.saturating_sub(COARSER).max(coarsest);
                    self.observer.event(&StudyEvent::Coarser { name: phase, bits });
                }
                other => return other,
            }
        }
    }
}

fn answer(query: Query, sum: Sum) -> Result<Answer, StudyError> {
    sum.check(&query).map_err(StudyError::Answer)?;
    if sum.sites != query.sites {
        return Err(StudyError::OtherSites { expected: list(&query.sites), got: list(&sum.sites) });
    }
    let query = match query.ask {
        Ask::Marked(_) => query.stands_for().into_owned(),
        _ => query,
    };
    Ok(Answer { query, sum })
}

impl Answer {
    /// A block of whole numbers.
    pub fn counts(&self, block: &'static str) -> &[i64] {
        self.sum.counts(&self.query, block).expect("the caller names a block of its own question")
    }

    /// A block of fractions.
    pub fn values(&self, block: &'static str) -> Vec<f64> {
        self.sum.values(&self.query, block).expect("the caller names a block of its own question")
    }

    /// Binary places of a block.
    pub fn bits(&self, block: &'static str) -> u8 {
        let layout = self.query.layout();
        let spec = layout.iter().find(|spec| spec.name == block);
        spec.expect("the caller names a block of its own question").bits
    }

    /// The value of a block's last binary place.
    pub fn unit(&self, block: &'static str) -> f64 {
        unit(self.bits(block))
    }
}

/// The finest scale at which sums below `bound` stay in range, with a reserve of `reserve` places.
pub(crate) fn finest_bits(bound: f64, reserve: u8) -> u8 {
    let mut needed = 0;
    while needed < 62 && (1u64 << needed) as f64 <= bound {
        needed += 1;
    }
    62u8.saturating_sub(needed).saturating_sub(reserve)
}

/// The scale of sums of products of standardised features over some rows: adding up n doubles near 1 leaves an
/// error of n^1.5 2^-53, and finer places would say nothing.
pub(crate) fn bits_of_products(rows: f64) -> u8 {
    let needed = 62 - finest_bits(rows, 0);
    53u8.saturating_sub(needed + needed / 2)
}

/// Cuts `count` things of `numbers_each` numbers into slices whose answers stay below
/// [`SLICE_BYTES`].
pub(crate) fn slices(
    count: usize,
    numbers_each: u64,
) -> impl Iterator<Item = std::ops::Range<usize>> {
    let per_slice = (SLICE_BYTES / (8 * numbers_each.max(1))).clamp(1, 1 << 30) as usize;
    (0..count).step_by(per_slice).map(move |first| first..(first + per_slice).min(count))
}

fn phase(ask: &Ask) -> &'static str {
    match ask {
        Ask::Profile { .. } => "profile",
        Ask::Agreement { .. } => "agreement of readers",
        Ask::Moments { .. } => "moments",
        Ask::Gram { .. } => "gram",
        Ask::Logistic { .. } | Ask::Softmax { .. } => "logistic regression",
        Ask::SquaredHinge { .. } | Ask::FourierHinge { .. } => "support vector machine",
        Ask::Scores { .. } => "scores",
        Ask::Placements { .. } => "placements",
        Ask::Bootstrap { .. } => "bootstrap",
        Ask::Resampled { .. } => "resampling",
        Ask::Calls { .. } => "calls by class",
        Ask::Grid { .. } => "grid",
        Ask::ClassGram { .. } => "class gram",
        Ask::Trees { .. } => "trees",
        Ask::FeatureRows { .. } => "rows of features",
        Ask::Stack { .. } => "stacking",
        Ask::OwnSite { .. } => "own sites",
        Ask::OwnModels => "own models",
        Ask::MarksAllowed { .. } => "shortcuts",
        Ask::Marked(_) => "marks",
        Ask::OwnForests { .. } => "own forests",
        Ask::Distances { .. } => "distances",
    }
}

fn list(sites: &[SiteId]) -> String {
    sites.iter().map(SiteId::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_leave_room_for_the_bound() {
        assert_eq!(finest_bits(0.5, 0), 62);
        assert_eq!(finest_bits(1.0, 0), 61);
        assert_eq!(finest_bits(8019.0, 0), 49);
        assert_eq!(finest_bits(8019.0, 9), 40);
        assert_eq!(finest_bits(f64::MAX, 0), 0);
    }

    #[test]
    fn products_are_as_fine_as_doubles_add_up() {
        assert_eq!(bits_of_products(1.0), 52);
        assert_eq!(bits_of_products(303.0), 40);
        assert_eq!(bits_of_products(8019.0), 34);
        assert_eq!(bits_of_products(1e300), 0);
    }

    #[test]
    fn slices_cover_everything_once() {
        let ranges: Vec<_> = slices(10, SLICE_BYTES / 24).collect();
        assert_eq!(ranges, [0..3, 3..6, 6..9, 9..10]);
        assert_eq!(slices(0, 1).count(), 0);
        assert_eq!(slices(2, u64::MAX / 8).collect::<Vec<_>>(), [0..1, 1..2]);
    }
}
