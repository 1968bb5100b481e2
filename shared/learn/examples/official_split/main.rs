//! Judges classifiers on a public set with an official split: tuned and fitted on `train` and `val`
//! only, across made-up hospitals, then judged once on `test`.
//!
//! ```text
//! cargo run --release -p wardround-learn --example official_split -- \
//!     MANIFEST.csv NAME=FEATURES.f32 [NAME=FEATURES.f32 ...] --hospitals 4 --seed 1 --format text
//! ```
//!
//! `MANIFEST.csv` has the columns `path`, `label` (0 or 1) and `split` (`train`, `val`, `test`); a
//! `FEATURES.f32` is what `wardround-vision`'s example `extract` writes of the folder of images.
//! Every classifier of [`CLASSIFIERS`] is a study of its own on every file of features: parameters
//! by nested cross-validation in five folds, threshold on out-of-fold scores. The marked row has the
//! largest nested AUC of `train` and `val`; the others are shown beside it. Each image counts as
//! a patient, since these sets name none.

mod fit;
mod judge;
mod set;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::time::Instant;

use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_learn::findings::{Figure, GridPoint, Interval};

use self::fit::{Rules, fit};
use self::judge::{OnTest, judge};
use self::set::OfficialSplit;

/// What is tried, as a study file has it under `[classifier]`.
const CLASSIFIERS: [(&str, &str); 6] = [
    ("logistic", "c = [1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1]"),
    ("linear-svm", "c = [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 1e-2]"),
    ("ridge", "alpha = [1e2, 3e2, 1e3, 3e3, 1e4, 3e4]"),
    ("lda", "shrinkage = [0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9]"),
    ("forest", "trees = [300]\nmin_patients = [2, 5, 10]"),
    ("boosting", "trees = [100, 300]\ndepth = [2, 4]\nrows = 0.8"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(std::env::args().skip(1))?;
    let read = |file: &str| std::fs::read(file).map_err(|error| format!("{file}: {error}"));
    let manifest = read(&options.manifest)?;
    let mut table = Table::default();
    for (name, file) in &options.features {
        let set = OfficialSplit::read(&manifest, &read(file)?)?;
        table.add(name, &set, &CLASSIFIERS, &options.rules)?;
    }
    table.mark()?;
    match options.format {
        Format::Text => table.print(),
        Format::Json => println!("{}", serde_json::to_string_pretty(&table)?),
    }
    Ok(())
}

struct Options {
    manifest: String,
    /// Name and file of each backbone's features.
    features: Vec<(String, String)>,
    rules: Rules,
    format: Format,
}

enum Format {
    Text,
    Json,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let manifest = args.next().ok_or("MANIFEST.csv is missing")?;
        let mut options = Self {
            manifest,
            features: Vec::new(),
            rules: Rules { hospitals: 4, seed: 1 },
            format: Format::Text,
        };
        while let Some(arg) = args.next() {
            if let Some((name, file)) = arg.split_once('=') {
                options.features.push((name.to_owned(), file.to_owned()));
                continue;
            }
            let value = args.next().ok_or(format!("{arg} has no value"))?;
            match (arg.as_str(), value.as_str()) {
                ("--hospitals", number) => options.rules.hospitals = number.parse()?,
                ("--seed", number) => options.rules.seed = number.parse()?,
                ("--format", "text") => options.format = Format::Text,
                ("--format", "json") => options.format = Format::Json,
                _ => return Err(format!("expected no {arg} {value}").into()),
            }
        }
        if options.features.is_empty() {
            return Err("NAME=FEATURES.f32 is missing".into());
        }
        Ok(options)
    }
}

#[derive(Default, Serialize)]
struct Table {
    /// Images of `train` and `val`.
    training_images: usize,
    test_images: usize,
    /// At how many made-up hospitals the training images lie.
    hospitals: usize,
    rows: Vec<Row>,
}

/// A classifier on a backbone's features.
#[derive(Serialize)]
struct Row {
    features: String,
    classifier: &'static str,
    /// Whether it has the largest nested AUC.
    chosen: bool,
    /// On `train` and `val`: what the choice goes by.
    nested_auc: Figure,
    point: GridPoint,
    threshold: f64,
    /// Of the model as a bundle: weights, scaler, threshold and all.
    model: Digest,
    test: OnTest,
}

impl Table {
    /// Fits and judges every classifier on a backbone's features.
    fn add(
        &mut self,
        features: &str,
        set: &OfficialSplit,
        classifiers: &[(&'static str, &str)],
        rules: &Rules,
    ) -> Result<(), Box<dyn Error>> {
        self.hospitals = rules.hospitals;
        (self.training_images, self.test_images) = (set.training.len(), set.test.len());
        for &(kind, parameters) in classifiers {
            let started = Instant::now();
            let classifier = format!("kind = \"{kind}\"\n{parameters}");
            let fitted = fit(&set.training, &classifier, rules)?;
            self.rows.push(Row {
                features: features.to_owned(),
                classifier: kind,
                chosen: false,
                test: judge(&fitted.model, &set.test)?,
                threshold: fitted.model.models[0].threshold,
                model: Digest::of(&fitted.model.write()?),
                point: fitted.point,
                nested_auc: fitted.nested_auc,
            });
            eprintln!("{features}, {kind}: {:.0} s", started.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Marks the first row with the largest nested AUC.
    fn mark(&mut self) -> Result<(), String> {
        let mut best: Option<(f64, usize)> = None;
        for (at, row) in self.rows.iter().enumerate() {
            let Figure::Known { value, .. } = row.nested_auc else {
                return Err(format!("{} has no nested AUC", row.classifier));
            };
            if best.is_none_or(|(most, _)| value > most) {
                best = Some((value, at));
            }
        }
        if let Some((_, at)) = best {
            self.rows[at].chosen = true;
        }
        Ok(())
    }

    fn print(&self) {
        println!(
            "Tuned and fitted on {} images of train and val at {} made-up hospitals, judged once \
             on {} of test.",
            self.training_images, self.hospitals, self.test_images
        );
        println!("* has the largest nested AUC of train and val. Intervals are of 95 %.\n");
        println!(
            "  {:20} {:10} {:21} {:21} {:21} {:21} parameters",
            "features", "classifier", "nested AUC", "test AUC", "accuracy", "accuracy at 1/2"
        );
        for row in &self.rows {
            println!(
                "{} {:20} {:10} {:21} {:21} {:21} {:21} {}, threshold {:.3}",
                if row.chosen { '*' } else { ' ' },
                row.features,
                row.classifier,
                text(&row.nested_auc),
                text(&row.test.auc),
                text(&row.test.accuracy),
                text(&row.test.accuracy_at_half),
                row.point.line(),
                row.threshold,
            );
        }
    }
}

fn text(figure: &Figure) -> String {
    match figure {
        Figure::Known { value, interval: Interval::Between { low, high } } => {
            format!("{value:.3} ({low:.3} to {high:.3})")
        }
        Figure::Known { value, interval: Interval::NotComputed } => format!("{value:.3}"),
        Figure::Undefined { reason } => format!("undefined ({reason})"),
    }
}
