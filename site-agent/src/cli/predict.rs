//! `wardround-site predict`: a finished study's models on this site's own images or rows.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use wardround_core::digest::Digest;
use wardround_learn::bundle::{
    BundleInput, BundleJudged, ConformalEntry, ModelBundle, OutlierEntry, OutlierSaid,
    OutlierScore, Recalibration,
};

use super::bundle::{Place, images, read, ready, scale};
use super::failure::{Exit, Failure};
use super::output::{Format, envelope, say};
use super::site::HomeArgument;
use crate::data::Manifest;
use crate::predict::{
    Judged, JudgedUnit, Subject, has_ensembles, judge, modelled, needs_own_rows, rows, together,
};

/// What to do where there are few own rows.
const MORE_ROWS: &str = "better give more of them with --scale-from";

/// Apply a study's model bundle to this site's own images or rows; nothing leaves
///
/// Weights and preprocessing are those that the bundle names, checked by digest. A row that can't be
/// judged has a problem instead of a probability; ends with 1 when none could be. Where the study judged
/// exams or patients, a table with their column is judged exam by exam (or patient by patient) as well.
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// Model bundle of a finished study
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Images to judge
    #[arg(value_name = "IMAGES", required_unless_present = "manifest")]
    images: Vec<PathBuf>,
    /// Table (CSV) of rows to judge, instead of images on the command line
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    manifest: Option<PathBuf>,
    /// Column of the table with the images' paths, for models of images
    #[arg(long, value_name = "NAME", default_value = "path")]
    image_column: String,
    /// Folder where the table's image paths start; the table's own when left out
    #[arg(long, value_name = "DIR")]
    image_folder: Option<PathBuf>,
    /// Column of the table that names a row in the output; its path or line when left out
    #[arg(long, value_name = "NAME")]
    id_column: Option<String>,
    /// Column of the table with the exams or patients that the study judged; the study's own when left out
    #[arg(long, value_name = "NAME")]
    unit_column: Option<String>,
    /// Table of this site's rows to take mean and deviation from, for models that scale each site by
    /// itself; the rows to judge when left out
    #[arg(long, value_name = "FILE")]
    scale_from: Option<PathBuf>,
    /// How to print the result: csv, or json in an envelope with a version
    #[arg(long, value_name = "FORMAT", default_value = "csv", hide_possible_values = true)]
    format: Printed,
}

/// How predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Printed {
    Csv,
    Json,
}

impl Predict {
    pub(super) fn format(&self) -> Format {
        match self.format {
            Printed::Csv => Format::Text,
            Printed::Json => Format::Json,
        }
    }

    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let (bundle, digest) = read(&self.model)?;
        let place = Place::of(&at.home()?)?;
        let subjects = match &self.manifest {
            Some(file) => self.rows_of(&bundle, file, &place)?,
            None => match &bundle.manifest.input {
                BundleInput::Images { .. } => {
                    let named = |path: &PathBuf| (path.display().to_string(), path.clone());
                    let named = self.images.iter().map(named).collect();
                    images(&ready(&bundle, &place)?, named, &place)?
                }
                BundleInput::Table { .. } => {
                    return Err(Failure::bad_input(
                        "the bundle's models are for the rows of a table: give one with --manifest",
                    ));
                }
            },
        };
        let own = match (needs_own_rows(&bundle), &self.scale_from) {
            (false, _) => None,
            (true, None) => Some(scale(&bundle, &subjects, MORE_ROWS)?),
            (true, Some(file)) => {
                Some(scale(&bundle, &self.rows_of(&bundle, file, &place)?, MORE_ROWS)?)
            }
        };
        let judged = judge(&bundle, own.as_ref(), subjects);
        let units = together(&bundle, &judged);
        if units.is_empty() {
            of_what(&bundle);
        }
        let problems = judged.iter().filter(|judged| judged.problem.is_some()).count();
        match self.format {
            Printed::Csv => say(&csv(&bundle, &judged, &units)?)?,
            Printed::Json => say(&self.json(&bundle, digest, &judged, &units)?)?,
        }
        notes(&bundle, &judged).iter().for_each(|note| eprintln!("{note}"));
        if problems > 0 {
            eprintln!("{problems} of {} couldn't be judged; their problem says why", judged.len());
        }
        Ok(if problems == judged.len() { Exit::Failed } else { Exit::Done })
    }

    /// The rows of a table as subjects, with features of their own or of their images.
    fn rows_of(
        &self,
        bundle: &ModelBundle,
        file: &Path,
        place: &Place,
    ) -> Result<Vec<Subject>, Failure> {
        let manifest = Manifest::read(file)?;
        let column = |name: &str| {
            manifest.column(name).ok_or_else(|| {
                let known = manifest.columns().join(", ");
                let file = file.display();
                Failure::bad_input(format!("{file} has no column '{name}'; it has {known}"))
            })
        };
        let id = self.id_column.as_deref().map(&column).transpose()?;
        let unit = match (&bundle.manifest.judged, &self.unit_column) {
            (BundleJudged::Row, Some(_)) => {
                return Err(Failure::bad_input(
                    "--unit-column is for models of exams or patients, and these are judged row by row",
                ));
            }
            (BundleJudged::Row, None) => None,
            (BundleJudged::Together { .. }, Some(name)) => Some(column(name)?),
            (BundleJudged::Together { column, .. }, None) => {
                manifest.column(place.columns.header(column))
            }
        };
        if let BundleInput::Table { .. } = bundle.manifest.input {
            return rows(bundle, &manifest, &place.columns, id, unit).map_err(Failure::bad_input);
        }
        let path = column(&self.image_column)?;
        let beside = file.parent().unwrap_or(Path::new(""));
        let folder = self.image_folder.as_deref().unwrap_or(beside);
        let named = |line: &crate::data::Line| {
            let name = line.cells[id.unwrap_or(path)].clone();
            (name, folder.join(&line.cells[path]))
        };
        let ragged = manifest.ragged().iter().map(|&(line, cells)| Subject {
            id: format!("line {line}"),
            features: Err(format!("{cells} cells, the header has {}", manifest.columns().len())),
            unit: String::new(),
        });
        let named = manifest.lines().iter().map(named).collect();
        let mut subjects = images(&ready(bundle, place)?, named, place)?;
        if let Some(unit) = unit {
            for (subject, line) in subjects.iter_mut().zip(manifest.lines()) {
                subject.unit.clone_from(&line.cells[unit]);
            }
        }
        subjects.extend(ragged);
        Ok(subjects)
    }

    fn json(
        &self,
        bundle: &ModelBundle,
        digest: Digest,
        judged: &[Judged],
        units: &[JudgedUnit],
    ) -> Result<String, Failure> {
        let thresholds: Vec<f64> = bundle.models.iter().map(|model| model.threshold).collect();
        let mut data = json!({
            "study": bundle.manifest.study,
            "target": bundle.manifest.target,
            "bundle_digest": digest,
            "modelled": modelled(bundle),
            "thresholds": thresholds,
            "conformal": bundle.manifest.beside.conformal,
            "recalibration": bundle.manifest.beside.recalibration,
            "outliers": bundle.manifest.beside.outliers,
            "rows": judged,
        });
        if let BundleJudged::Together { .. } = bundle.manifest.judged {
            data["judged"] = json!(bundle.manifest.judged);
            data["units"] = json!(units);
        }
        envelope("predict", &data)
    }
}

/// Says what figures and thresholds are of, where rows aren't put together.
fn of_what(bundle: &ModelBundle) {
    let row = match bundle.manifest.input {
        BundleInput::Images { .. } => "image",
        BundleInput::Table { .. } => "row",
    };
    if let (Some(sentence), BundleJudged::Together { name, .. }) =
        (bundle.manifest.judged.sentence(row), &bundle.manifest.judged)
    {
        eprintln!(
            "the study's {sentence}; here every {row} is judged by itself: a table (--manifest) whose \
             --unit-column says which {name} a {row} is of gives those as well"
        );
    }
}

/// One line per row: id, a probability per modelled class, of ensembles their members' spread, the classes by threshold; as far as the
/// bundle has them recalibrated probabilities, the classes that the row may have, and how unlike it is; the problem; where rows are
/// put together, their unit's key, number of rows, probabilities and classes.
fn csv(bundle: &ModelBundle, judged: &[Judged], units: &[JudgedUnit]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let classes = modelled(bundle);
    let probability = match classes.as_slice() {
        [_] => vec!["probability".to_owned()],
        classes => classes.iter().map(|class| format!("probability of {class}")).collect(),
    };
    let mut header = vec!["id".to_owned()];
    header.extend(probability);
    let spread = match classes.as_slice() {
        _ if !has_ensembles(bundle) => vec![],
        [_] => vec!["spread of members".to_owned()],
        classes => classes.iter().map(|class| format!("spread of members on {class}")).collect(),
    };
    header.extend(spread.clone());
    let beside = &bundle.manifest.beside;
    let recalibrated: Vec<String> = match classes.as_slice() {
        _ if beside.recalibration.is_off() => vec![],
        [_] => vec!["recalibrated".to_owned()],
        classes => classes.iter().map(|class| format!("recalibrated for {class}")).collect(),
    };
    let has_sets = beside.conformal != ConformalEntry::None;
    let has_distance = matches!(beside.outliers, OutlierEntry::Mahalanobis { .. });
    header.push("class".to_owned());
    header.extend(recalibrated.clone());
    header.extend(has_sets.then(|| "possible classes".to_owned()));
    if has_distance {
        header.extend(UNLIKE.map(str::to_owned));
    }
    header.push("problem".to_owned());
    if let (BundleJudged::Together { name, .. }, [_, ..]) = (&bundle.manifest.judged, units) {
        let of_unit = header[1..=classes.len()].iter().map(|what| format!("{name}: {what}"));
        let of_unit: Vec<String> = of_unit.collect();
        header.extend([name.clone(), format!("{name}: rows")]);
        header.extend(of_unit);
        header.push(format!("{name}: class"));
    }
    writer.write_record(&header).map_err(Failure::internal)?;
    let decimal = |value: &Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
    for one in judged {
        let Judged { id, unit, probabilities, spread: of_row, .. } = one;
        let mut record = vec![id.clone()];
        match probabilities.as_slice() {
            [] => record.extend(vec![String::new(); classes.len()]),
            all => record.extend(all.iter().map(|p| format!("{p:.6}"))),
        }
        match of_row.as_slice() {
            [] => record.extend(vec![String::new(); spread.len()]),
            all => record.extend(all.iter().map(decimal)),
        }
        record.push(one.classes.join(";"));
        match one.recalibrated.as_slice() {
            [] => record.extend(vec![String::new(); recalibrated.len()]),
            all => record.extend(all.iter().map(decimal)),
        }
        if has_sets {
            record.push(possible(one));
        }
        if has_distance {
            record.extend(unlike(one));
        }
        record.push(one.problem.clone().unwrap_or_default());
        if !units.is_empty() {
            let of_unit = units.binary_search_by(|of| of.key.as_str().cmp(unit)).ok();
            record.push(unit.clone());
            match of_unit.map(|at| &units[at]) {
                Some(of) if !of.probabilities.is_empty() => {
                    record.push(of.rows.to_string());
                    record.extend(of.probabilities.iter().map(|p| format!("{p:.6}")));
                    record.push(of.classes.join(";"));
                }
                Some(_) | None => record.extend(vec![String::new(); classes.len() + 2]),
            }
        }
        writer.write_record(&record).map_err(Failure::internal)?;
    }
    let bytes = writer.into_inner().map_err(Failure::internal)?;
    String::from_utf8(bytes).map_err(Failure::internal)
}

/// How unlike a row is to those that the models were fitted to.
const UNLIKE: [&str; 3] = ["distance", "distance percentile", "outlier"];

/// The classes that a row may have; a row that is unlike all of them has none.
fn possible(judged: &Judged) -> String {
    match judged.possible.as_deref() {
        None => String::new(),
        Some([]) => "none".to_owned(),
        Some(classes) => classes.join(";"),
    }
}

fn unlike(judged: &Judged) -> [String; 3] {
    match judged.unlike {
        None => [const { String::new() }; 3],
        Some(OutlierSaid { distance, percentile, outlier }) => [
            format!("{distance:.3}"),
            format!("{percentile:.1}"),
            if outlier { "yes" } else { "no" }.to_owned(),
        ],
    }
}

/// What a person should know about what stands beside the probabilities.
fn notes(bundle: &ModelBundle, judged: &[Judged]) -> Vec<String> {
    let beside = &bundle.manifest.beside;
    let mut notes = Vec::new();
    let outliers = judged.iter().filter_map(|one| one.unlike).filter(|one| one.outlier).count();
    if let (OutlierScore::Measured { steps, .. }, 1..) = (&bundle.beside.outliers, outliers) {
        let share = steps.last().map_or(0.0, |(_, share)| 100.0 * share);
        notes.push(format!(
            "{outliers} of {} are outliers: farther from the training rows than {share:.1} % of those; don't rely on \
             what is said of them",
            judged.len()
        ));
    }
    if let OutlierEntry::Undefined { reason } = &beside.outliers {
        notes.push(format!("no distance to the training rows: {reason}"));
    }
    if bundle.beside.recalibration.contains(&Recalibration::Undefined) {
        let word = beside.recalibration.word();
        notes.push(format!("a class has no recalibrated probability: {word} couldn't be fitted; the report says why"));
    }
    notes
}
