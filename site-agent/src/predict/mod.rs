//! Using a finished study's models on this site's own images or rows. Nothing leaves the site.
//!
//! A [`ModelBundle`] says how features are made; [`rows`] makes those of a table, the backbone those
//! of images. [`judge`] turns them into probabilities with the arithmetic that the models were fitted
//! with.

mod table;
mod together;

use serde::Serialize;
use wardround_learn::bundle::{
    ModelBundle, OutlierSaid, OwnScale, PredictError, Scorer, predict, predict_at_site, spread,
};
use wardround_learn::findings::{FinalScaler, FourierScaler};

pub use self::table::{TableError, rows};
pub use self::together::{JudgedUnit, together};

/// Something to be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// What it is called: an image's path, a row's id.
    pub id: String,
    /// Its features, NaN where one is missing, or why there are none.
    pub features: Result<Vec<f64>, String>,
    /// Which exam or patient it is of; empty where nobody says.
    pub unit: String,
}

/// What the models say of a subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// What it is called.
    pub id: String,
    /// Which exam or patient it is of; empty where nobody says.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// The probability of each modelled class, in the bundle's order; empty when there is a problem.
    pub probabilities: Vec<f64>,
    /// How far an ensemble's members are from one voice, per modelled class: the standard deviation of
    /// their probabilities. Empty where no model is an ensemble.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spread: Vec<Option<f64>>,
    /// The classes that it is called, by their thresholds.
    pub classes: Vec<String>,
    /// The probability of each modelled class as the study recalibrated it, nothing where that couldn't be fitted; empty where it chose
    /// no recalibration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recalibrated: Vec<Option<f64>>,
    /// The classes that it may have: a conformal set. Left out where the bundle has no limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub possible: Option<Vec<String>>,
    /// How unlike it is to the rows that the models were fitted to. Left out where the bundle doesn't say it, or it misses a feature
    /// that none of those missed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlike: Option<OutlierSaid>,
    /// Why it isn't judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a bundle's models scale each site by its own rows.
pub fn needs_own_rows(bundle: &ModelBundle) -> bool {
    let all = bundle.models.iter().flat_map(|model| model.scorer.singles());
    let mut all = all.map(|scorer| match scorer {
        Scorer::Linear(model) => !matches!(model.scaler, FinalScaler::All { .. }),
        Scorer::Fourier(model) => !matches!(model.scaler, FourierScaler::All { .. }),
        Scorer::Trees(_) | Scorer::Ensemble(_) | Scorer::Kernel(_) => false,
    });
    all.any(|needs| needs)
}

/// The site's own scale from those subjects that have features.
///
/// # Errors
/// [`PredictError::TooFewRows`], or features of another number than the bundle's.
pub fn own_scale(bundle: &ModelBundle, subjects: &[Subject]) -> Result<OwnScale, PredictError> {
    let expected = bundle.manifest.features as usize;
    let mut all = Vec::new();
    for features in subjects.iter().filter_map(|subject| subject.features.as_ref().ok()) {
        if features.len() != expected {
            return Err(PredictError::Features { expected, got: features.len() });
        }
        all.extend_from_slice(features);
    }
    OwnScale::of(expected, &all)
}

/// Judges subjects, each by itself: a problem of one is no problem of another.
pub fn judge(bundle: &ModelBundle, own: Option<&OwnScale>, subjects: Vec<Subject>) -> Vec<Judged> {
    let judged = |features: &[f64]| match own {
        Some(own) => predict_at_site(bundle, own, features),
        None => predict(bundle, features),
    };
    let all = |features: &[f64]| {
        Ok((judged(features)?, spread(bundle, own, features)?, bundle.outlier(features)?))
    };
    let judge = |Subject { id, features, unit }: Subject| {
        let said = features
            .and_then(|features| all(&features).map_err(|error: PredictError| error.to_string()));
        match said {
            Ok((probabilities, spread, unlike)) => {
                let possible = bundle.possible_classes(&probabilities);
                let names =
                    |set: Vec<u8>| set.iter().map(|at| name(bundle, *at).to_owned()).collect();
                Judged {
                    id,
                    unit,
                    spread: if has_ensembles(bundle) { spread } else { vec![] },
                    classes: called(bundle, &probabilities),
                    recalibrated: bundle.recalibrated(&probabilities),
                    possible: possible.map(names),
                    unlike,
                    probabilities,
                    problem: None,
                }
            }
            Err(problem) => Judged {
                id,
                unit,
                probabilities: vec![],
                spread: vec![],
                classes: vec![],
                recalibrated: vec![],
                possible: None,
                unlike: None,
                problem: Some(problem),
            },
        }
    };
    subjects.into_iter().map(judge).collect()
}

/// Whether a bundle has an ensemble, whose members' spread is told beside the probability.
pub fn has_ensembles(bundle: &ModelBundle) -> bool {
    bundle.models.iter().any(|model| matches!(model.scorer, Scorer::Ensemble(_)))
}

/// The names of the modelled classes, in the bundle's order.
pub fn modelled(bundle: &ModelBundle) -> Vec<&str> {
    bundle.manifest.models.iter().map(|entry| name(bundle, entry.class)).collect()
}

/// The classes whose threshold is reached; else the class that no model is of, where there is one: the other
/// of two, or that of rows with none of several labels.
fn called(bundle: &ModelBundle, probabilities: &[f64]) -> Vec<String> {
    let models = bundle.manifest.models.iter().zip(&bundle.models).zip(probabilities);
    let reached: Vec<String> = models
        .filter(|((_, model), probability)| **probability >= model.threshold)
        .map(|((entry, _), _)| name(bundle, entry.class).to_owned())
        .collect();
    let is_modelled = |class: &u8| bundle.manifest.models.iter().any(|entry| entry.class == *class);
    let mut others = (0..).zip(&bundle.manifest.classes).filter(|(class, _)| !is_modelled(class));
    match (reached.is_empty(), others.next(), others.next()) {
        (true, Some((_, other)), None) => vec![other.clone()],
        _ => reached,
    }
}

fn name(bundle: &ModelBundle, class: u8) -> &str {
    bundle.manifest.classes.get(usize::from(class)).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use wardround_core::digest::Digest;
    use wardround_core::ids::SiteId;
    use wardround_core::study::{Balance, GridPoint, LinearPoint, Reduction, Standardise};
    use wardround_learn::bundle::{
        Beside, BesideEntry, BundleInput, BundleJudged, FORMAT, Learner, LinearMethod,
        LinearScorer, Manifest, MissingFeatures, Model, ModelEntry, Summary,
    };

    use super::*;

    /// A bundle of two features with weight 1 each, one model per class code.
    fn bundle_of(classes: &[&str], modelled: &[u8], scaler: &FinalScaler) -> ModelBundle {
        let figures = Summary {
            auc_within_sites: None,
            auc_one_list: None,
            sensitivity: None,
            specificity: None,
        };
        let entry = |&class: &u8| ModelEntry {
            class,
            learner: Learner::Linear {
                method: LinearMethod::Logistic,
                point: GridPoint::Linear(LinearPoint {
                    c: 1.0,
                    standardise: Standardise::All,
                    balance: Balance::None,
                    l1_ratio: 0.0,
                    reduce: Reduction::None,
                }),
                missing: MissingFeatures::Refused,
            },
            figures: figures.clone(),
        };
        let model = |&class: &u8| Model {
            threshold: 0.5,
            scorer: Scorer::Linear(LinearScorer {
                scaler: scaler.clone(),
                weights: vec![1.0, 1.0],
                intercept: -f64::from(class),
                fill: vec![],
            }),
        };
        ModelBundle {
            manifest: Manifest {
                format: FORMAT,
                software: "test".into(),
                study: "test".into(),
                study_digest: Digest::of(b"study"),
                target: "ill".into(),
                classes: classes.iter().map(|&class| class.to_owned()).collect(),
                input: BundleInput::Table {
                    features: vec!["a".into(), "b".into()],
                    table: serde_json::Value::Null,
                },
                features: 2,
                sites: vec![SiteId::parse("a").unwrap()],
                judged: BundleJudged::Row,
                models: modelled.iter().map(entry).collect(),
                beside: BesideEntry::default(),
            },
            models: modelled.iter().map(model).collect(),
            beside: Beside::default(),
        }
    }

    fn subject(features: Result<Vec<f64>, String>) -> Subject {
        Subject { id: "x".into(), features, unit: String::new() }
    }

    fn unit() -> FinalScaler {
        FinalScaler::All { mean: vec![0.0; 2], deviation: vec![1.0; 2] }
    }

    #[test]
    fn a_threshold_decides_the_class() {
        let bundle = bundle_of(&["healthy", "ill"], &[1], &unit());
        let subjects = vec![
            subject(Ok(vec![0.5, 0.5])),
            subject(Ok(vec![0.5, 0.4])),
            subject(Ok(vec![0.5])),
            subject(Ok(vec![f64::NAN, 1.0])),
            subject(Err("unreadable".into())),
        ];
        let judged = judge(&bundle, None, subjects);
        assert_eq!(
            (judged[0].probabilities[0], &judged[0].classes[..]),
            (0.5, &["ill".into()][..])
        );
        assert_eq!(judged[1].classes, ["healthy"]);
        for (at, problem) in [(2, "2 features"), (3, "feature 0"), (4, "unreadable")] {
            let judged = &judged[at];
            assert!(judged.problem.as_ref().unwrap().contains(problem), "{judged:?}");
            assert!(judged.probabilities.is_empty() && judged.classes.is_empty());
        }
    }

    #[test]
    fn several_classes_or_none_may_be_called() {
        let bundle = bundle_of(&["a", "b", "c"], &[0, 1, 2], &unit());
        assert_eq!(modelled(&bundle), ["a", "b", "c"]);
        let called = |x| judge(&bundle, None, vec![subject(Ok(vec![x, 0.0]))])[0].classes.clone();
        assert_eq!(called(1.5), ["a", "b"]);
        assert_eq!(called(-1.0), [""; 0]);
        let bundle = bundle_of(&["a", "b", "none of them"], &[0, 1], &unit());
        let called = |x| judge(&bundle, None, vec![subject(Ok(vec![x, 0.0]))])[0].classes.clone();
        assert_eq!(called(1.5), ["a", "b"]);
        assert_eq!(called(-1.0), ["none of them"]);
    }

    #[test]
    fn a_site_may_be_scaled_by_its_own_rows() {
        let bundle = bundle_of(&["healthy", "ill"], &[1], &FinalScaler::OwnSite);
        assert!(needs_own_rows(&bundle));
        assert!(!needs_own_rows(&bundle_of(&["healthy", "ill"], &[1], &unit())));
        let rows = vec![
            subject(Ok(vec![1.0, 5.0])),
            subject(Err("unreadable".into())),
            subject(Ok(vec![3.0, 5.0])),
        ];
        let without = judge(&bundle, None, rows.clone());
        assert!(without[0].problem.as_ref().unwrap().contains("rows of this site"));
        let own = own_scale(&bundle, &rows).unwrap();
        let judged = judge(&bundle, Some(&own), rows.clone());
        // Standardised: (-1, 0) and (1, 0); the second feature is constant.
        assert_eq!(judged[2].probabilities, [0.5]);
        assert!(judged[0].probabilities[0] < 0.2);
        assert_eq!(own_scale(&bundle, &rows[..2]), Err(PredictError::TooFewRows(1)));
    }
}
