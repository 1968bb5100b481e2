//! The rows of features of all sites, for a study whose sites' owners allow that they leave
//! ([`wardround_core::study::Mode::FeatureRows`]): the same learners then run on them in one place.
//!
//! Patients come as numbers, so folds and draws are dealt by those and aren't the ones that the sites
//! would deal by their keys. Everything else is what the sites themselves would answer.

use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{Ask, Column, JudgedUnit, Labelling, RowPrecision, Schema, Weighting};
use wardround_core::study::{Family, Input, Study};

use super::asker::{Answer, Asker, slices};
use super::error::StudyError;
use super::event::{Observer, StudyEvent};
use super::machine_fits::{check_bundle, check_rows};
use super::profile;
use crate::cohort::Cohort;
use crate::findings::{Comparison, Findings, OwnSites};
use crate::rows::{Inputs, Patient, Rows, RowsBuilder, Storage};

/// Rows that came from all sites.
pub(crate) struct Gathered {
    /// One set per input of the study.
    pub cohort: Inputs<Rows>,
    /// Questions that they took.
    queries: u64,
    /// Of these, lines of a journal.
    answered: u64,
}

/// Asks every site for its rows.
pub(crate) async fn gather<C: Cohort>(
    cohort: &C,
    study: &Study,
    id: &StudyId,
    sites: &[SiteId],
    schemas: &[Schema],
    observer: &dyn Observer,
) -> Result<Gathered, StudyError> {
    observer.event(&StudyEvent::Phase { name: "rows of features", models: 0 });
    let folds = study.fold_plan();
    let precision = precision(study);
    let mut everywhere = Asker::new(cohort, observer, id, sites, &schemas[0], folds);
    let counts = everywhere.ask(Ask::Profile { split: vec![Column::Site] }).await?;
    let rows_by_site: Vec<u32> =
        profile::rows(&schemas[0], &counts)?.into_iter().map(|rows| rows as u32).collect();
    if study.classifiers.iter().any(|one| one.family() == Family::KernelSvm) {
        // Before any row leaves in vain.
        let rows = rows_by_site.iter().map(|&rows| u64::from(rows)).sum();
        check_rows(rows)?;
        let models = study.target.classes.modelled().len() as u64;
        schemas.iter().try_for_each(|schema| check_bundle(rows, schema.features, models))?;
    }
    let (mut queries, mut answered) = (everywhere.queries, everywhere.answered);
    let mut inputs = Vec::with_capacity(schemas.len());
    for (input, schema) in (0..).zip(schemas) {
        // Nobody says here where files may go.
        let mut builder = RowsBuilder::new(schema.clone()).kept(Storage::Memory);
        for (site, &rows) in sites.iter().zip(&rows_by_site) {
            let one = std::slice::from_ref(site);
            let mut asker = Asker::new(cohort, observer, id, one, schema, folds);
            asker.input = input;
            asker.queries = queries;
            for slice in slices(rows as usize, numbers_of_row(schema, precision)) {
                let rows = [slice.start as u32, slice.end as u32];
                let answer = asker.ask(Ask::FeatureRows { rows, precision }).await?;
                add(&mut builder, site, schema, precision, &answer).map_err(|why| {
                    StudyError::Unfit(format!("site {site} gave rows that don't fit: {why}"))
                })?;
            }
            queries = asker.queries;
            answered += asker.answered;
        }
        inputs.push(builder.build().map_err(|why| StudyError::Unfit(why.to_string()))?);
    }
    Ok(Gathered { cohort: Inputs(inputs), queries, answered })
}

/// How exactly a study needs rows.
pub(super) fn precision(study: &Study) -> RowPrecision {
    match &study.input {
        Input::Images { .. } => RowPrecision::Single,
        Input::Table(_) => RowPrecision::Double,
    }
}

/// Numbers of a row in an answer.
pub(super) fn numbers_of_row(schema: &Schema, precision: RowPrecision) -> u64 {
    let each = match precision {
        RowPrecision::Single => 1,
        RowPrecision::Double => 2,
    };
    let weight = match schema.weighting {
        Weighting::Equal => 0,
        Weighting::Given => 2,
    };
    let exam = u64::from(matches!(schema.judged, JudgedUnit::Exam(_)));
    2 + exam + schema.levels.len() as u64 + each * u64::from(schema.features) + weight
}

/// Reads an answer's rows; what doesn't fit is said in words.
fn add(
    builder: &mut RowsBuilder,
    site: &SiteId,
    schema: &Schema,
    precision: RowPrecision,
    answer: &Answer,
) -> Result<(), String> {
    let half = |bits: &i64| u32::try_from(*bits).map_err(|_| format!("{bits} as 32 bits"));
    let code = |code: &i64| u8::try_from(*code).map_err(|_| format!("{code} as a code"));
    let classes = |classes: &i64| match schema.labelling {
        Labelling::Single => code(classes).map(ClassSet::only),
        Labelling::Multi => Ok(ClassSet(classes.cast_unsigned())),
    };
    let d = schema.features as usize;
    let double = |halves: &[i64]| {
        let (upper, lower) = (half(&halves[0])?, half(&halves[1])?);
        Ok::<f64, String>(f64::from_bits(u64::from(upper) << 32 | u64::from(lower)))
    };
    let features: Vec<f64> = match precision {
        RowPrecision::Single => {
            let single = |bits| Ok(f64::from(f32::from_bits(half(bits)?)));
            answer.counts("features").iter().map(single).collect::<Result<_, String>>()?
        }
        RowPrecision::Double => {
            answer.counts("features").chunks_exact(2).map(double).collect::<Result<_, String>>()?
        }
    };
    let weights: Vec<f64> = match schema.weighting {
        Weighting::Equal => Vec::new(),
        Weighting::Given => {
            answer.counts("weights").chunks_exact(2).map(double).collect::<Result<_, String>>()?
        }
    };
    let exams = match schema.judged {
        JudgedUnit::Exam(_) => answer.counts("exams"),
        JudgedUnit::Row | JudgedUnit::Patient(_) => &[],
    };
    let columns = schema.levels.len();
    let all_levels: Vec<u8> =
        answer.counts("levels").iter().map(code).collect::<Result<_, String>>()?;
    let rows = answer.counts("patients").iter().zip(answer.counts("classes"));
    for (at, (number, set)) in rows.enumerate() {
        let (site, key) = (site.clone(), number.to_string());
        let patient = Patient { issuer: site.to_string(), site, key };
        let levels = &all_levels[at * columns..][..columns];
        builder
            .add(patient, classes(set)?, levels, &features[at * d..][..d])
            .map_err(|why| why.to_string())?;
        if let Some(&weight) = weights.get(at) {
            builder.weigh(weight);
        }
        if let Some(exam) = exams.get(at) {
            builder.of_exam(&exam.to_string());
        }
    }
    Ok(())
}

impl Gathered {
    /// What the study cost: questions to the sites, not those to the rows here.
    pub fn account(&self, findings: &mut Findings) {
        let cost = &mut findings.cost;
        (cost.queries, cost.fitting_queries) = (self.queries, 0);
        cost.queries_of_slowest_fit = self.queries;
        if let Comparison::Several(compared) = &mut findings.comparison {
            for classifier in &mut compared.classifiers {
                let cost = &mut classifier.cost;
                (cost.queries, cost.fitting_queries, cost.queries_of_slowest_fit) = (0, 0, 0);
                classifier.rounds = [self.answered + 1, self.answered];
            }
        }
        if let OwnSites::Asked { rounds, .. } = &mut findings.own_sites {
            *rounds = [self.answered + 1, self.answered];
        }
    }
}

/// Lets through what isn't about questions: those to rows in one place are no rounds.
pub(crate) struct Within<'a>(pub &'a dyn Observer);

impl Observer for Within<'_> {
    fn event(&self, event: &StudyEvent) {
        if !matches!(event, StudyEvent::Asked { .. }) {
            self.0.event(event);
        }
    }
}
