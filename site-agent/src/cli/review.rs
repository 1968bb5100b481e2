//! `wardround-site review`: where a finished study's models err on this site's own labelled rows.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_core::markup::Markup;
use wardround_learn::bundle::{ModelBundle, OutlierScore};
use wardround_learn::metrics::{Confusion, Undefined};

use super::bundle::{CohortImages, Place, images, read, ready, scale};
use super::failure::{Exit, Failure};
use super::gallery::{self, Chosen, MethodWord, explain_each, said_of_views};
use super::output::Output;
use super::site::HomeArgument;
use crate::explain::page::{
    Card, Heading, above, card, document, figures, missing, section, table,
};
use crate::explain::{
    Case, Explainer, Explanation, Lists, Summary, Suspects, Trust, confusion, label_suspects, sort,
};
use crate::predict::{Judged, judge, modelled, needs_own_rows};

/// The version of the file beside the page.
const FORMAT: u32 = 1;

/// Show where a study's models err on this site's own labelled images; nothing leaves
///
/// False positives, false negatives, rows close to the threshold, the most confident right ones and rows whose label
/// may be wrong, each with its image and what the model saw in it, in a folder that only you can look into. It
/// shows patients: it must not leave the hospital.
#[derive(Debug, Args)]
pub(super) struct Review {
    /// Model bundle of a finished study
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Study file: its cohort, labels and subgroups are taken from this site's own table
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
    /// Folder to write; it must not be there yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How maps are made: auto, cam or occlusion (see explain)
    #[arg(long, value_name = "METHOD", default_value = "auto", hide_possible_values = true)]
    method: MethodWord,
    /// Subgroup of the study: list false positives and false negatives of each of its levels as well
    #[arg(long, value_name = "SUBGROUP")]
    by: Option<String>,
    /// Show at most so many rows per list
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    #[command(flatten)]
    pub output: Output,
}

/// One modelled class of the review.
#[derive(Debug, Serialize)]
struct OfClass {
    class: String,
    threshold: f64,
    counts: Confusion,
    subgroups: Vec<OfLevel>,
    lists: ListsByName,
    /// Rows whose label may be wrong.
    label_suspects: SuspectsByName,
    /// The errors of each level of the subgroup that was asked for.
    by: Vec<ErrorsOfLevel>,
}

/// [`Suspects`] by the names of rows.
#[derive(Debug, Serialize)]
struct SuspectsByName {
    #[serde(flatten)]
    suspects: Suspects,
    rows: Vec<String>,
}

/// A level's errors, as [`ListsByName`].
#[derive(Debug, Serialize)]
struct ErrorsOfLevel {
    subgroup: String,
    level: String,
    false_positives: Vec<String>,
    false_negatives: Vec<String>,
}

/// The counts of a subgroup's level.
#[derive(Debug, Serialize)]
struct OfLevel {
    subgroup: String,
    level: String,
    counts: Confusion,
}

/// [`Lists`] by the names of rows.
#[derive(Debug, Serialize)]
struct ListsByName {
    false_positives: Vec<String>,
    false_negatives: Vec<String>,
    near_the_threshold: Vec<String>,
    true_positives: Vec<String>,
    true_negatives: Vec<String>,
    outliers: Vec<String>,
}

/// A row that is shown.
#[derive(Debug, Serialize)]
struct Line {
    row: String,
    class: String,
    label: String,
    probability: f64,
    #[serde(flatten)]
    explanation: Option<Summary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// The file beside the page.
#[derive(Debug, Serialize)]
struct Numbers {
    format: u32,
    study: String,
    target: String,
    bundle_digest: Digest,
    rows: usize,
    not_judged: usize,
    trust: Option<Trust>,
    classes: Vec<OfClass>,
    shown: Vec<Line>,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Done {
    page: PathBuf,
    numbers: PathBuf,
    rows: usize,
    not_judged: usize,
    shown: usize,
    trust: Option<Trust>,
}

/// The cohort, judged.
struct Reviewed<'a> {
    bundle: &'a ModelBundle,
    cohort: &'a CohortImages,
    judged: Vec<Judged>,
    /// At most so many rows per list.
    limit: usize,
    /// Which of the study's subgroups has lists of its own.
    by: Option<usize>,
}

/// A list of rows, as the page has it.
struct Part {
    model: usize,
    title: String,
    said: String,
    rows: Vec<usize>,
}

/// Everything that is listed for one of the models.
struct OfModel {
    lists: Lists,
    suspects: Suspects,
    /// Of each level of the subgroup that was asked for: its name and its lists.
    levels: Vec<(String, Lists)>,
}

impl Review {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let (bundle, digest) = read(&self.model)?;
        if let Some(sentence) = bundle.manifest.judged.sentence("image") {
            eprintln!("the study's {sentence}; here every image is judged by itself");
        }
        let place = Place::of(&at.home()?)?;
        let ready = ready(&bundle, &place)?;
        let cohort = CohortImages::of(&self.study, &bundle, at)?;
        let by = self.by.as_deref().map(|name| subgroup(&cohort, name)).transpose()?;
        let folder = gallery::folder(&self.out)?;

        let named = cohort.rows.iter().map(|(row, path)| (CohortImages::name(row), path.clone()));
        let subjects = images(&ready, named.collect(), &place)?;
        let own = match needs_own_rows(&bundle) {
            true => Some(scale(&bundle, &subjects, "their calls are as rough as that scale")?),
            false => None,
        };
        let judged = judge(&bundle, own.as_ref(), subjects);
        let limit = self.limit;
        let reviewed = Reviewed { bundle: &bundle, cohort: &cohort, judged, limit, by };
        let lists: Vec<OfModel> =
            (0..bundle.models.len()).map(|model| reviewed.of_model(model)).collect();
        let parts = reviewed.parts(&lists);

        let explainer = Explainer::new(&bundle, own.as_ref(), &ready, place.device)?;
        let wish = self.method.wish();
        for model in 0..bundle.models.len() {
            explainer.method(model, wish)?;
        }
        let shown = shown(&parts);
        let chosen =
            |&(model, row): &(usize, usize)| Chosen { path: cohort.rows[row].1.clone(), model };
        let chosen: Vec<Chosen> = shown.iter().map(chosen).collect();
        let explained = explain_each(&explainer, &chosen, wish)?;
        let trust = Trust::of(explained.iter().filter_map(|explained| explained.as_ref().ok()));
        let explained: BTreeMap<(usize, usize), Result<Explanation, String>> =
            shown.into_iter().zip(explained).collect();

        let page = reviewed.page(&parts, &explained, trust)?;
        let not_judged = reviewed.judged.iter().filter(|judged| judged.problem.is_some()).count();
        let rows = cohort.rows.len();
        let numbers = Numbers {
            format: FORMAT,
            study: bundle.manifest.study.clone(),
            target: bundle.manifest.target.clone(),
            bundle_digest: digest,
            rows,
            not_judged,
            trust,
            classes: (0..lists.len())
                .map(|model| reviewed.of_class(model, &lists[model]))
                .collect(),
            shown: explained.iter().map(|(at, explained)| reviewed.line(*at, explained)).collect(),
        };
        let (page, numbers) = gallery::write(&folder, "review", &page, &numbers)?;
        let shown = explained.values().filter(|explained| explained.is_ok()).count();
        let done = Done { page, numbers, rows, not_judged, shown, trust };
        self.output.print("review", &done, || done.text())?;
        Ok(if not_judged == rows { Exit::Failed } else { Exit::Done })
    }
}

impl Reviewed<'_> {
    /// The rows that are judged, for one of the models.
    fn cases(&self, model: usize) -> Vec<Case> {
        let class = self.bundle.manifest.models[model].class;
        let judged = self.judged.iter().enumerate();
        let case = |(row, judged): (usize, &Judged)| {
            let probability = *judged.probabilities.get(model)?;
            let is_class = self.cohort.rows[row].0.classes.has(class);
            let outlier = judged.unlike.filter(|said| said.outlier).map(|said| said.distance);
            Some(Case { row, is_class, probability, outlier })
        };
        judged.filter_map(case).collect()
    }

    fn of_model(&self, model: usize) -> OfModel {
        let (cases, threshold) = (self.cases(model), self.bundle.models[model].threshold);
        let of_level = |(level, name): (usize, String)| {
            let here = |case: &&Case| self.is_at(case.row, self.by, level);
            let cases: Vec<Case> = cases.iter().filter(here).copied().collect();
            (name, sort(&cases, threshold, self.limit))
        };
        let names = self.by.map(|by| self.cohort.study.subgroups[by].level_names());
        let names = names.unwrap_or_default().into_iter().enumerate();
        OfModel {
            lists: sort(&cases, threshold, self.limit),
            suspects: label_suspects(&cases, self.limit),
            levels: names.map(of_level).collect(),
        }
    }

    /// Whether a row is at a level of a subgroup.
    fn is_at(&self, row: usize, subgroup: Option<usize>, level: usize) -> bool {
        let levels = &self.cohort.rows[row].0.levels;
        let own = subgroup.and_then(|subgroup| levels.get(subgroup));
        own.is_some_and(|own| usize::from(*own) == level)
    }

    /// The lists in the page's order, model by model.
    fn parts(&self, lists: &[OfModel]) -> Vec<Part> {
        let has_distance = self.bundle.beside.outliers != OutlierScore::None;
        let mut parts = Vec::new();
        for (model, OfModel { lists, suspects, levels }) in lists.iter().enumerate() {
            let class = self.class(model);
            for (title, said, rows) in in_order(lists) {
                if title == OUTLIERS && !has_distance {
                    continue;
                }
                let title = format!("{title} \u{2013} {class}");
                parts.push(Part { model, title, said: said.to_owned(), rows: rows.to_vec() });
            }
            parts.push(Part {
                model,
                title: format!("Labels that may be wrong \u{2013} {class}"),
                said: said_of_suspects(suspects),
                rows: suspects.rows.clone(),
            });
            for (level, lists) in levels {
                let subgroup = self.by.map(|by| self.cohort.study.subgroups[by].name.as_str());
                let subgroup = subgroup.unwrap_or_default();
                for (title, said, rows) in in_order(lists).into_iter().take(2) {
                    let title = format!("{title} \u{2013} {class}, {subgroup}: {level}");
                    parts.push(Part { model, title, said: said.to_owned(), rows: rows.to_vec() });
                }
            }
        }
        parts
    }

    fn name(&self, row: usize) -> &str {
        &self.judged[row].id
    }

    fn class(&self, model: usize) -> &str {
        modelled(self.bundle)[model]
    }

    fn levels(&self, model: usize) -> Vec<OfLevel> {
        let (cases, threshold) = (self.cases(model), self.bundle.models[model].threshold);
        let of_subgroup = |(at, subgroup): (usize, &wardround_core::study::Subgroup)| {
            let names = subgroup.level_names().into_iter().enumerate();
            let of_level = |(level, name): (usize, String)| {
                let here = |case: &&Case| self.is_at(case.row, Some(at), level);
                let counts = confusion(cases.iter().filter(here), threshold);
                OfLevel { subgroup: subgroup.name.clone(), level: name, counts }
            };
            names.map(of_level).collect::<Vec<_>>()
        };
        self.cohort.study.subgroups.iter().enumerate().flat_map(of_subgroup).collect()
    }

    fn of_class(&self, model: usize, of_model: &OfModel) -> OfClass {
        let OfModel { lists, suspects, levels } = of_model;
        let threshold = self.bundle.models[model].threshold;
        let names = |rows: &[usize]| rows.iter().map(|&row| self.name(row).to_owned()).collect();
        OfClass {
            class: self.class(model).to_owned(),
            threshold,
            counts: confusion(&self.cases(model), threshold),
            subgroups: self.levels(model),
            lists: ListsByName {
                false_positives: names(&lists.false_positives),
                false_negatives: names(&lists.false_negatives),
                near_the_threshold: names(&lists.near),
                true_positives: names(&lists.true_positives),
                true_negatives: names(&lists.true_negatives),
                outliers: names(&lists.outliers),
            },
            label_suspects: SuspectsByName {
                suspects: suspects.clone(),
                rows: names(&suspects.rows),
            },
            by: levels
                .iter()
                .map(|(level, lists)| ErrorsOfLevel {
                    subgroup: self.by.map_or_else(String::new, |by| {
                        self.cohort.study.subgroups[by].name.clone()
                    }),
                    level: level.clone(),
                    false_positives: names(&lists.false_positives),
                    false_negatives: names(&lists.false_negatives),
                })
                .collect(),
        }
    }

    fn line(&self, (model, row): (usize, usize), explained: &Result<Explanation, String>) -> Line {
        let facts = self.cohort.facts(&self.cohort.rows[row].0);
        Line {
            row: self.name(row).to_owned(),
            class: self.class(model).to_owned(),
            label: facts.first().map(|(_, label)| label.clone()).unwrap_or_default(),
            probability: self.judged[row].probabilities[model],
            explanation: explained.as_ref().ok().map(Summary::of),
            problem: explained.as_ref().err().cloned(),
        }
    }

    fn page(
        &self,
        parts: &[Part],
        explained: &BTreeMap<(usize, usize), Result<Explanation, String>>,
        trust: Option<Trust>,
    ) -> Result<String, Failure> {
        let mut sections = Vec::new();
        for of_model in parts.chunk_by(|a, b| a.model == b.model) {
            let mut before = Vec::new();
            sections.extend(of_model.first().map(|part| self.counts(part.model)));
            for Part { model, title, said, rows } in of_model {
                let model = *model;
                let mut cards = Vec::new();
                for &row in rows {
                    let anchor = format!("class-{model}-row-{row}");
                    let name = self.name(row);
                    cards.push(match (explained.get(&(model, row)), before.contains(&row)) {
                        (Some(Ok(_)), true) => above(&anchor, name),
                        (Some(Ok(explanation)), false) => card(Card {
                            anchor: &anchor,
                            name,
                            class: self.class(model),
                            probability: self.judged[row].probabilities[model],
                            threshold: self.bundle.models[model].threshold,
                            facts: &self.cohort.facts(&self.cohort.rows[row].0),
                            explanation,
                        })?,
                        (Some(Err(problem)), _) => missing(name, problem),
                        (None, _) => continue,
                    });
                    before.push(row);
                }
                let said = match rows.as_slice() {
                    [] => "None.".to_owned(),
                    rows => format!("{} rows, {said}.", rows.len()),
                };
                sections.push(section(title, &said, cards));
            }
        }
        let mut said = self.cohort.said(self.bundle);
        said.extend(said_of_views(self.bundle));
        let problems = self.judged.iter().filter_map(|judged| {
            Some(format!("{} isn\u{2019}t judged: {}", judged.id, judged.problem.as_ref()?))
        });
        said.extend(problems);
        let study = format!("{}: {}", self.bundle.manifest.study, self.bundle.manifest.target);
        let heading =
            Heading { title: "Review of this site\u{2019}s own rows", study: &study, said: &said };
        Ok(document(heading, trust, sections)?)
    }

    /// How many rows were called what they are, all together and by subgroup.
    fn counts(&self, model: usize) -> Markup {
        let threshold = self.bundle.models[model].threshold;
        let all = confusion(&self.cases(model), threshold);
        let levels = self.levels(model);
        let of_levels = levels.iter().map(|OfLevel { subgroup, level, counts }| {
            row(&format!("{subgroup}: {level}"), counts)
        });
        let rows: Vec<[String; 8]> = [row("all", &all)].into_iter().chain(of_levels).collect();
        let caption = format!(
            "Rows by what they are and what they are called, from a probability of \
             {threshold:.3} on. Few rows say little: these are no figures to report."
        );
        let header = [
            "",
            "rows",
            "true positives",
            "false positives",
            "true negatives",
            "false negatives",
            "sensitivity",
            "specificity",
        ];
        let table = table(&caption, &header, rows.iter().map(<[String; 8]>::as_slice));
        figures(&format!("Counts \u{2013} {}", self.class(model)), table)
    }
}

impl Done {
    fn text(&self) -> String {
        let Self { page, rows, not_judged, shown, trust, .. } = self;
        let mut text = format!(
            "{rows} rows, {not_judged} of them not judged; {shown} images shown: {}\n",
            page.display()
        );
        if let Some(trust) = trust {
            text += &gallery::trust_text(trust);
        }
        text + gallery::STAYS_HERE
    }
}

/// The subgroup of the study that is called so.
fn subgroup(cohort: &CohortImages, name: &str) -> Result<usize, Failure> {
    let subgroups = &cohort.study.subgroups;
    subgroups.iter().position(|subgroup| subgroup.name == name).ok_or_else(|| {
        let known: Vec<&str> = subgroups.iter().map(|subgroup| subgroup.name.as_str()).collect();
        Failure::bad_input(match known.as_slice() {
            [] => format!("the study has no subgroups, so none is called '{name}'"),
            known => format!("the study has no subgroup '{name}'; it has {}", known.join(", ")),
        })
    })
}

/// Model and row of everything in a list, each once.
fn shown(parts: &[Part]) -> Vec<(usize, usize)> {
    let rows = |part: &Part| part.rows.iter().map(|&row| (part.model, row)).collect::<Vec<_>>();
    let mut all: Vec<_> = parts.iter().flat_map(rows).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// What is to be known of the rows whose label may be wrong.
fn said_of_suspects(suspects: &Suspects) -> String {
    let mean = |mean: Option<f64>| mean.map_or("\u{2013}".to_owned(), |mean| format!("{mean:.3}"));
    format!(
        "of {} that are as probable of the other class as is usual of rows labelled so (mean probability of the \
         class {}, of the others {}), the least probable label first. Models that were fitted to these rows bend \
         towards their labels, and fewer wrong ones are found; a model may err, too: look before you change a label",
        suspects.count,
        mean(suspects.class_threshold),
        mean(suspects.others_threshold)
    )
}

/// The title of the list that only bundles with a distance have.
const OUTLIERS: &str = "Outliers";

/// The lists with their titles and orders.
fn in_order(lists: &Lists) -> [(&'static str, &'static str, &[usize]); 6] {
    [
        (
            "False positives",
            "called the class and labelled otherwise, the most confident first",
            &lists.false_positives,
        ),
        (
            "False negatives",
            "labelled the class and not called so, the most confident first",
            &lists.false_negatives,
        ),
        ("Near the threshold", "right or wrong, the closest first", &lists.near),
        ("True positives", "rightly called, the most confident first", &lists.true_positives),
        ("True negatives", "rightly not called, the most confident first", &lists.true_negatives),
        (
            OUTLIERS,
            "unlike the rows that the model was fitted to, the farthest first",
            &lists.outliers,
        ),
    ]
}

fn row(name: &str, counts: &Confusion) -> [String; 8] {
    let Confusion { tp, fp, tn, fn_ } = *counts;
    let share = |share: Result<f64, Undefined>| {
        share.map_or("\u{2013}".to_owned(), |share| format!("{share:.3}"))
    };
    [
        name.to_owned(),
        (tp + fp + tn + fn_).to_string(),
        tp.to_string(),
        fp.to_string(),
        tn.to_string(),
        fn_.to_string(),
        share(counts.sensitivity()),
        share(counts.specificity()),
    ]
}
