//! A study applied to a manifest: which rows take part, and *all* problems at once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::query::MOST_ROW_WEIGHT;
use wardround_core::read::nearest;
use wardround_core::study::{
    Classes, ExamKey, Filter, Input, Levels, Missing, Negative, RowWeights, SecondReader, Study,
    Subgroup, Table,
};

use super::cohort::{Cohort, CohortRow, Incomplete, RowInput, SetAside, Unusable};
use super::images::{Look, inside, look_at_all};
use super::manifest::{Line, Manifest};
use super::reason::{Obstacle, Reason};
use super::{keys, table};
use crate::config::Columns;

/// What a study is applied to.
#[derive(Clone, Copy)]
pub struct SiteData<'a> {
    /// The table of rows.
    pub manifest: &'a Manifest,
    /// What the manifest calls a study's columns.
    pub columns: &'a Columns,
    /// The folder that image paths are relative to.
    pub images: &'a Path,
    /// Who issues the patient keys.
    pub issuer: &'a str,
    /// How an image is looked at: [`super::look`], or one that knows digests already.
    pub look: Look<'a>,
    /// Threads that look at images.
    pub threads: usize,
}

/// Everything found.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// Who issues the patient keys.
    pub issuer: String,
    /// Rows of the manifest.
    pub lines: usize,
    /// What keeps the whole site from taking part; with one, `rows` may be incomplete.
    pub obstacles: Vec<Obstacle>,
    /// Rows that take part, in the manifest's order.
    pub rows: Vec<CohortRow>,
    /// Rows with problems, in the manifest's order.
    pub set_aside: Vec<SetAside>,
    /// Rows left out for missing values, as the study says.
    pub incomplete: Vec<Incomplete>,
    /// What may be wrong, though no row is.
    pub warnings: Vec<String>,
    /// How many rows didn't pass the study's filters.
    pub filtered_out: usize,
}

impl Inspection {
    /// The share of rows with problems among those that passed the filters, 0 to 1.
    pub fn problem_share(&self) -> f64 {
        self.set_aside.len() as f64 / (self.lines - self.filtered_out).max(1) as f64
    }

    /// Why the site can't take part, if so; `allowed` is the site's `problem_share`.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn usable(&self, allowed: f64) -> Result<(), Unusable> {
        if !self.obstacles.is_empty() {
            return Err(Unusable::Obstacles(self.obstacles.clone()));
        }
        let problems = self.set_aside.len();
        let share = self.problem_share();
        if let Some(first) = self.set_aside.first().filter(|_| share > allowed) {
            return Err(Unusable::TooManyProblems {
                problems,
                rows: self.lines - self.filtered_out,
                percent: 100.0 * share,
                allowed: 100.0 * allowed,
                line: first.line,
                first: first.reasons.iter().map(Reason::to_string).collect::<Vec<_>>().join("; "),
            });
        }
        if self.rows.is_empty() {
            return Err(Unusable::Empty {
                lines: self.lines,
                filtered_out: self.filtered_out,
                problems,
                incomplete: self.incomplete.len(),
            });
        }
        Ok(())
    }

    /// The cohort; `allowed` is the site's `problem_share`.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn cohort(self, allowed: f64) -> Result<Cohort, Unusable> {
        self.usable(allowed)?;
        let Self { issuer, rows, set_aside, incomplete, warnings, filtered_out, .. } = self;
        Ok(Cohort { issuer, rows, set_aside, incomplete, warnings, filtered_out })
    }
}

/// Applies a study.
pub fn inspect(study: &Study, data: &SiteData<'_>) -> Inspection {
    let mut resolved = Resolver { data, obstacles: Vec::new() };
    let places = Places::of(study, &mut resolved);
    let mut obstacles = resolved.obstacles;
    let images = match &study.input {
        Input::Images { .. } if !data.images.is_dir() => {
            obstacles.push(Obstacle::NoImagesFolder { path: data.images.to_owned() });
            None
        }
        Input::Images { .. } => Some(data.images),
        Input::Table(_) => None,
    };

    let mut filtered_out = 0;
    let mut drafts: Vec<Draft> = Vec::new();
    let mut seen: HashMap<&[String], u64> = HashMap::new();
    for line in data.manifest.lines() {
        if !places.filters.iter().all(|(filter, place)| passes(filter, cell(line, *place))) {
            filtered_out += 1;
            continue;
        }
        let mut draft = Draft::of(study, line, &places, images);
        let first = *seen.entry(line.cells.as_slice()).or_insert(line.number);
        if first != line.number {
            // Nothing else about it is news.
            draft.reasons = vec![Reason::DuplicateRow { first }];
        }
        drafts.push(draft);
    }
    let warnings = warnings(study, data, &places, &drafts);
    see_exams(&mut drafts);
    see_images(&mut drafts, data);

    let mut found = Inspection {
        issuer: data.issuer.to_owned(),
        lines: data.manifest.lines().len() + data.manifest.ragged().len(),
        obstacles,
        rows: Vec::new(),
        set_aside: Vec::new(),
        incomplete: Vec::new(),
        warnings,
        filtered_out,
    };
    let columns = data.manifest.columns().len();
    found.set_aside.extend(data.manifest.ragged().iter().map(|&(line, cells)| SetAside {
        line,
        patient: String::new(),
        reasons: vec![Reason::Ragged { cells, columns }],
    }));
    for draft in drafts {
        draft.sort_into(&mut found);
    }
    found.set_aside.sort_by_key(|row| row.line);
    if found.obstacles.is_empty() {
        found.warnings.extend(empty_classes(study, &found.rows));
    }
    found
}

/// Finds columns in the manifest, and notes those that aren't there.
struct Resolver<'a> {
    data: &'a SiteData<'a>,
    obstacles: Vec<Obstacle>,
}

impl Resolver<'_> {
    fn place(&mut self, column: &str, purpose: &str) -> Option<usize> {
        let header = self.data.columns.header(column);
        let place = self.data.manifest.column(header);
        let known = |o: &Obstacle| matches!(o, Obstacle::MissingColumn { column: missing, .. } if missing == column);
        if place.is_none() && !self.obstacles.iter().any(known) {
            let headers = self.data.manifest.columns();
            let near = nearest(header, headers.iter().map(String::as_str));
            let hint = match (near, headers) {
                (Some(near), _) => format!("did you mean '{near}'? "),
                (None, [only]) if only.contains([';', '\t']) => {
                    "its header is one cell; is it separated by commas? ".to_owned()
                }
                _ => String::new(),
            };
            self.obstacles.push(Obstacle::MissingColumn {
                column: column.to_owned(),
                header: header.to_owned(),
                purpose: purpose.to_owned(),
                hint,
            });
        }
        place
    }
}

/// Where a study's columns stand in the manifest; `None` where one is missing.
struct Places<'s> {
    filters: Vec<(&'s Filter, Option<usize>)>,
    label: Option<usize>,
    key: Option<usize>,
    exam: ExamPlace,
    second: SecondPlace,
    weight: WeightPlace<'s>,
    subgroups: Vec<(&'s Subgroup, Option<usize>)>,
    input: InputPlaces<'s>,
}

enum ExamPlace {
    /// Exams aren't judged.
    None,
    /// By a column, which may be missing.
    Column(Option<usize>),
}

enum SecondPlace {
    /// Nobody read rows again.
    None,
    /// By a column, which may be missing.
    Column(Option<usize>),
}

enum WeightPlace<'s> {
    /// All rows count the same.
    Equal,
    /// By a column, which may be missing.
    Column(&'s str, Option<usize>),
}

enum InputPlaces<'s> {
    Images(Option<usize>),
    Table { table: &'s Table, numeric: Vec<Option<usize>>, categorical: Vec<Option<usize>> },
}

impl<'s> Places<'s> {
    fn of(study: &'s Study, resolver: &mut Resolver<'_>) -> Self {
        let label = resolver.place(&study.target.column, "as the label");
        let key = resolver.place(&study.patient.key, "as the patient key");
        let exam = match &study.patient.exam {
            ExamKey::None => ExamPlace::None,
            ExamKey::Column(column) => {
                ExamPlace::Column(resolver.place(column, "as the exam's key"))
            }
        };
        let second = match &study.target.second_reader {
            SecondReader::None => SecondPlace::None,
            SecondReader::Column(column) => {
                SecondPlace::Column(resolver.place(column, "as the second reader's label"))
            }
        };
        let filters = study.cohort.filters.iter().map(|filter| {
            let (Filter::Keep { column, .. } | Filter::Range { column, .. }) = filter;
            (filter, resolver.place(column, "for a filter"))
        });
        let filters = filters.collect();
        let weight = match &study.cohort.weight {
            RowWeights::Equal => WeightPlace::Equal,
            RowWeights::Column(column) => {
                WeightPlace::Column(column, resolver.place(column, "as the rows' weight"))
            }
        };
        let subgroups = study.subgroups.iter().map(|subgroup| {
            (
                subgroup,
                resolver.place(&subgroup.column, &format!("for the subgroup {}", subgroup.name)),
            )
        });
        let subgroups = subgroups.collect();
        let input = match &study.input {
            Input::Images { column, .. } => {
                InputPlaces::Images(resolver.place(column, "as the image's path"))
            }
            Input::Table(table) => {
                let mut feature = |column: &String| resolver.place(column, "as a feature");
                let numeric = table.numeric.iter().map(&mut feature).collect();
                let categorical = table.categorical.iter().map(|c| feature(&c.column)).collect();
                InputPlaces::Table { table, numeric, categorical }
            }
        };
        Self { filters, label, key, exam, second, weight, subgroups, input }
    }
}

/// A row on its way into the cohort.
struct Draft<'m> {
    line: u64,
    patient: &'m str,
    exam: &'m str,
    label: &'m str,
    classes: Option<ClassSet>,
    /// What a second reader said, or none of the study's labels.
    second: Result<ClassSet, &'m str>,
    weight: f64,
    levels: Vec<u8>,
    input: Option<RowInput>,
    /// The image's file; its digest is looked for later.
    image: Option<PathBuf>,
    missing: Vec<String>,
    reasons: Vec<Reason>,
}

impl<'m> Draft<'m> {
    fn of(study: &Study, line: &'m Line, places: &Places<'_>, images: Option<&Path>) -> Self {
        let mut reasons = Vec::new();
        let (label, patient) = (cell(line, places.label), cell(line, places.key));
        let classes = study.target.classes.of_cell(label);
        match (label, classes) {
            _ if places.label.is_none() => {}
            ("", _) => reasons.push(Reason::NoLabel),
            (label, None) => reasons.push(Reason::UnknownLabel(label.to_owned())),
            (_, Some(_)) => {}
        }
        if patient.is_empty() && places.key.is_some() {
            reasons.push(Reason::NoPatient);
        }
        let second = match places.second {
            SecondPlace::None | SecondPlace::Column(None) => Ok(ClassSet::default()),
            SecondPlace::Column(place) => match cell(line, place) {
                "" => Ok(ClassSet::default()),
                label => study.target.classes.of_cell(label).ok_or(label),
            },
        };
        let exam = match places.exam {
            ExamPlace::None | ExamPlace::Column(None) => "",
            ExamPlace::Column(place) => {
                let exam = cell(line, place);
                if exam.is_empty() {
                    reasons.push(Reason::NoExam);
                }
                exam
            }
        };
        let levels =
            places.subgroups.iter().map(|(group, place)| group.level(cell(line, *place))).collect();
        let mut draft = Self {
            line: line.number,
            patient,
            exam,
            label,
            classes,
            second,
            weight: 1.0,
            levels,
            input: None,
            image: None,
            missing: Vec::new(),
            reasons,
        };
        if let WeightPlace::Column(column, Some(place)) = places.weight {
            draft.weigh(column, cell(line, Some(place)));
        }
        match &places.input {
            InputPlaces::Images(place) => draft.find_image(line, *place, images),
            InputPlaces::Table { table, numeric, categorical } => {
                draft.read_table(line, table, numeric, categorical);
            }
        }
        draft
    }

    fn weigh(&mut self, column: &str, value: &str) {
        match value.parse::<f64>() {
            Ok(weight) if (0.0..=MOST_ROW_WEIGHT).contains(&weight) => self.weight = weight,
            _ => self
                .reasons
                .push(Reason::NotAWeight { column: column.to_owned(), value: value.to_owned() }),
        }
    }

    fn find_image(&mut self, line: &Line, place: Option<usize>, images: Option<&Path>) {
        let (Some(_), Some(folder)) = (place, images) else { return };
        match (cell(line, place), inside(folder, cell(line, place))) {
            ("", _) => self.reasons.push(Reason::NoPath),
            (path, None) => self.reasons.push(Reason::PathLeaves(path.to_owned())),
            (_, Some(file)) => self.image = Some(file),
        }
    }

    fn read_table(
        &mut self,
        line: &Line,
        table: &Table,
        numeric: &[Option<usize>],
        categorical: &[Option<usize>],
    ) {
        if numeric.iter().chain(categorical).any(Option::is_none) {
            return;
        }
        let cells = |places: &[Option<usize>]| -> Vec<&str> {
            places.iter().map(|place| cell(line, *place)).collect()
        };
        match table::read(table, &cells(numeric), &cells(categorical)) {
            Ok(row) => {
                if table.missing == Missing::Drop {
                    self.missing = row.missing;
                }
                self.input = Some(RowInput::Table(row.features));
            }
            Err(wrong) => self.reasons.extend(wrong),
        }
    }

    fn sort_into(self, found: &mut Inspection) {
        let (line, patient, levels) = (self.line, self.patient.to_owned(), self.levels);
        let (weight, exam) = (self.weight, self.exam.to_owned());
        let second = self.second.unwrap_or_default();
        if !self.reasons.is_empty() {
            found.set_aside.push(SetAside { line, patient, reasons: self.reasons });
        } else if !self.missing.is_empty() {
            let columns = self.missing;
            found.incomplete.push(Incomplete { line, patient, columns, levels });
        } else if let (Some(classes), Some(input), false) =
            (self.classes, self.input, patient.is_empty())
        {
            found.rows.push(CohortRow {
                line,
                patient,
                exam,
                classes,
                second,
                weight,
                levels,
                input,
            });
        }
    }
}

fn cell(line: &Line, place: Option<usize>) -> &str {
    place.and_then(|at| line.cells.get(at)).map_or("", String::as_str)
}

/// Whether a row passes; a filter whose column is missing is an obstacle, not a row's fault.
fn passes(filter: &Filter, cell: &str) -> bool {
    match filter {
        Filter::Keep { values, .. } => values.iter().any(|value| value == cell),
        Filter::Range { min, max, .. } => {
            cell.parse::<f64>().is_ok_and(|number| (*min..=*max).contains(&number))
        }
    }
}

/// Exams that are listed for several patients: none of their rows counts.
fn see_exams(drafts: &mut [Draft<'_>]) {
    let mut rows_of: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, draft) in drafts.iter().enumerate() {
        if !draft.exam.is_empty() && !draft.patient.is_empty() {
            rows_of.entry(draft.exam).or_default().push(at);
        }
    }
    for (exam, rows) in rows_of {
        let owners: Vec<(&str, u64)> =
            rows.iter().map(|&at| (drafts[at].patient, drafts[at].line)).collect();
        for &at in &rows {
            let patient = drafts[at].patient;
            let others = owners.iter().filter(|(other, _)| *other != patient);
            let lines: Vec<u64> = others.map(|(_, line)| *line).collect();
            if !lines.is_empty() && !is_duplicate(&drafts[at]) {
                let exam = exam.to_owned();
                drafts[at].reasons.push(Reason::ExamOfSeveralPatients { exam, lines });
            }
        }
    }
}

fn is_duplicate(draft: &Draft<'_>) -> bool {
    matches!(draft.reasons.as_slice(), [Reason::DuplicateRow { .. }])
}

/// Reads every image that a draft names, and finds those that several rows share.
fn see_images(drafts: &mut [Draft<'_>], data: &SiteData<'_>) {
    let mut paths: Vec<PathBuf> = drafts
        .iter()
        .filter(|draft| !is_duplicate(draft))
        .filter_map(|draft| draft.image.clone())
        .collect();
    paths.sort();
    paths.dedup();
    let seen = look_at_all(&paths, data.look, data.threads);
    let mut rows_of: BTreeMap<Digest, Vec<usize>> = BTreeMap::new();
    for (at, draft) in drafts.iter_mut().enumerate() {
        if is_duplicate(draft) {
            continue;
        }
        let Some(path) = draft.image.take() else { continue };
        match paths.binary_search(&path).ok().and_then(|place| seen.get(place)) {
            Some(Ok(digest)) => {
                rows_of.entry(*digest).or_default().push(at);
                draft.input = Some(RowInput::Image { path, digest: *digest });
            }
            Some(Err(why)) => draft.reasons.push(Reason::Unreadable(why.clone())),
            None => {}
        }
    }
    for rows in rows_of.values().filter(|rows| rows.len() > 1) {
        contradictions(drafts, rows);
    }
}

/// Rows with the same image: none of them counts when they contradict each other, else the first.
fn contradictions(drafts: &mut [Draft<'_>], rows: &[usize]) {
    let differ = |of: &dyn Fn(&Draft<'_>) -> String| {
        let texts: Vec<String> =
            rows.iter().map(|&at| of(&drafts[at])).filter(|text| !text.is_empty()).collect();
        texts.iter().any(|text| *text != texts[0])
    };
    let patients = differ(&|draft| draft.patient.to_owned());
    let labels = differ(&|draft| draft.label.to_owned());
    let first = drafts[rows[0]].line;
    for &at in rows {
        let others = rows.iter().filter(|&&other| other != at);
        let lines: Vec<u64> = others.map(|&other| drafts[other].line).collect();
        let reasons = &mut drafts[at].reasons;
        if patients {
            reasons.push(Reason::ImageOfSeveralPatients { lines: lines.clone() });
        }
        if labels {
            reasons.push(Reason::ImageWithSeveralLabels { lines });
        }
        if !patients && !labels && at != rows[0] {
            reasons.push(Reason::DuplicateImage { first });
        }
    }
}

fn warnings(
    study: &Study,
    data: &SiteData<'_>,
    places: &Places<'_>,
    drafts: &[Draft<'_>],
) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(keys::warnings(
        data.columns.header(&study.patient.key),
        drafts.iter().map(|draft| draft.patient),
    ));
    found.extend(nearly_positive(study, drafts));
    found.extend(unknown_second(drafts));
    for (subgroup, place) in &places.subgroups {
        if place.is_some() {
            let cells = data.manifest.lines().iter().map(|line| cell(line, *place));
            found.extend(unknown_levels(subgroup, cells));
        }
    }
    found
}

/// Labels that count as negative only because they are spelt unlike a positive one.
fn nearly_positive(study: &Study, drafts: &[Draft<'_>]) -> Vec<String> {
    let (positive, separator) = match &study.target.classes {
        Classes::Binary { positive, negative: Negative::Rest } => (positive, None),
        Classes::AnyOf { labels, separator, negative: Negative::Rest } => (labels, Some(separator)),
        _ => return Vec::new(),
    };
    let alike = |a: &str, b: &str| {
        let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
        a.eq_ignore_ascii_case(b) || numbers.is_some_and(|(a, b)| a == b)
    };
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let labels = drafts.iter().flat_map(|draft| match separator {
        None => vec![draft.label],
        Some(separator) => draft.label.split(separator.as_str()).map(str::trim).collect(),
    });
    for label in labels.filter(|label| !positive.iter().any(|p| p == label)) {
        if let Some(positive) = positive.iter().find(|positive| alike(positive, label)) {
            *counts.entry((label, positive)).or_default() += 1;
        }
    }
    let text = |((label, positive), rows): ((&str, &str), usize)| {
        format!(
            "{rows} rows with the label '{label}' count as negative; the positive one is '{positive}'"
        )
    };
    counts.into_iter().map(text).collect()
}

/// Labels of a second reader that the study doesn't know: such rows count as read once.
fn unknown_second(drafts: &[Draft<'_>]) -> Option<String> {
    let unknown: Vec<&str> = drafts.iter().filter_map(|draft| draft.second.err()).collect();
    let first = unknown.first()?;
    let count = unknown.len();
    Some(format!(
        "{count} rows count as read once, since the study doesn't know the second reader's label ('{first}')"
    ))
}

/// Values of a subgroup's column that fall into 'unknown', with counts.
fn unknown_levels<'c>(subgroup: &Subgroup, cells: impl Iterator<Item = &'c str>) -> Option<String> {
    let unknown = match &subgroup.levels {
        Levels::Values { values } => values.len(),
        Levels::Bands { edges } => edges.len(),
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for cell in cells {
        let named_so = cell.is_empty() || cell.eq_ignore_ascii_case("unknown");
        if !named_so && usize::from(subgroup.level(cell)) == unknown {
            *counts.entry(cell).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return None;
    }
    let rows: usize = counts.values().sum();
    let mut listed: Vec<(&str, usize)> = counts.into_iter().collect();
    listed.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    let shown: Vec<String> =
        listed.iter().take(10).map(|(value, rows)| format!("'{value}' ({rows})")).collect();
    let more = if listed.len() > 10 { ", ..." } else { "" };
    Some(format!(
        "subgroup {}: {rows} rows count as unknown because of their value: {}{more}",
        subgroup.name,
        shown.join(", ")
    ))
}

fn empty_classes(study: &Study, rows: &[CohortRow]) -> Vec<String> {
    let names = (0..).zip(study.target.classes.names());
    names
        .filter(|(class, _)| !rows.iter().any(|row| row.classes.has(*class)))
        .map(|(_, name)| format!("no row of the class '{name}'"))
        .collect()
}
