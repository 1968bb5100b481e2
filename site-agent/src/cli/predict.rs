//! `wardround-site predict`: a finished study's models on this site's own images or rows.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use wardround_core::digest::Digest;
use wardround_learn::bundle::{BundleInput, ModelBundle};

use super::bundle::{Place, images, read, ready, scale};
use super::failure::{Exit, Failure};
use super::output::{Format, envelope, say};
use super::site::HomeArgument;
use crate::data::Manifest;
use crate::predict::{Judged, Subject, has_ensembles, judge, modelled, needs_own_rows, rows};

/// What to do where there are few own rows.
const MORE_ROWS: &str = "better give more of them with --scale-from";

/// Apply a study's model bundle to this site's own images or rows; nothing leaves
///
/// Weights and preprocessing are those that the bundle names, checked by digest. A row that can't be
/// judged has a problem instead of a probability; ends with 1 when none could be.
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
        let problems = judged.iter().filter(|judged| judged.problem.is_some()).count();
        match self.format {
            Printed::Csv => say(&csv(&bundle, &judged)?)?,
            Printed::Json => say(&self.json(&bundle, digest, &judged)?)?,
        }
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
        if let BundleInput::Table { .. } = bundle.manifest.input {
            return rows(bundle, &manifest, &place.columns, id).map_err(Failure::bad_input);
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
        });
        let named = manifest.lines().iter().map(named).collect();
        let mut subjects = images(&ready(bundle, place)?, named, place)?;
        subjects.extend(ragged);
        Ok(subjects)
    }

    fn json(
        &self,
        bundle: &ModelBundle,
        digest: Digest,
        judged: &[Judged],
    ) -> Result<String, Failure> {
        let thresholds: Vec<f64> = bundle.models.iter().map(|model| model.threshold).collect();
        let data = json!({
            "study": bundle.manifest.study,
            "target": bundle.manifest.target,
            "bundle_digest": digest,
            "modelled": modelled(bundle),
            "thresholds": thresholds,
            "rows": judged,
        });
        envelope("predict", &data)
    }
}

/// One line per row: id, a probability per modelled class, of ensembles their members' spread, the classes by
/// threshold, the problem.
fn csv(bundle: &ModelBundle, judged: &[Judged]) -> Result<String, Failure> {
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
    header.extend(["class".to_owned(), "problem".to_owned()]);
    writer.write_record(&header).map_err(Failure::internal)?;
    for Judged { id, probabilities, spread: of_row, classes: called, problem } in judged {
        let mut record = vec![id.clone()];
        match probabilities.as_slice() {
            [] => record.extend(vec![String::new(); classes.len()]),
            all => record.extend(all.iter().map(|p| format!("{p:.6}"))),
        }
        match of_row.as_slice() {
            [] => record.extend(vec![String::new(); spread.len()]),
            all => {
                let text =
                    |spread: &Option<f64>| spread.map_or(String::new(), |s| format!("{s:.6}"));
                record.extend(all.iter().map(text));
            }
        }
        record.extend([called.join(";"), problem.clone().unwrap_or_default()]);
        writer.write_record(&record).map_err(Failure::internal)?;
    }
    let bytes = writer.into_inner().map_err(Failure::internal)?;
    String::from_utf8(bytes).map_err(Failure::internal)
}
