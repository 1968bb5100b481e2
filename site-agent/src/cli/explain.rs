//! `wardround-site explain`: what in images of this site speaks for and against a finished study's model.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use wardround_core::digest::Digest;
use wardround_learn::bundle::{ModelBundle, OwnScale};

use super::bundle::{CohortImages, Place, images, read, ready, scale};
use super::failure::{Exit, Failure};
use super::gallery::{self, Chosen, MethodWord, explain_each, said_of_views};
use super::output::Output;
use super::site::HomeArgument;
use crate::explain::page::{Card, Heading, card, document, section};
use crate::explain::{Explainer, Explanation, Summary, Trust};
use crate::features::Ready;
use crate::predict::{Judged, judge, modelled, needs_own_rows};

/// The version of the file beside the page.
const FORMAT: u32 = 1;

/// Show what in this site's own images speaks for and against a class; nothing leaves
///
/// Writes a page and a file of its numbers into a folder that only you can look into. Both show patients:
/// they must not leave the hospital.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Model bundle of a finished study
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// Images to explain
    #[arg(value_name = "IMAGES", required_unless_present = "study")]
    images: Vec<PathBuf>,
    /// Study file: explain this site's rows of its cohort, instead of images on the command line
    #[arg(long, value_name = "FILE", conflicts_with = "images")]
    study: Option<PathBuf>,
    /// Folder to write; it must not be there yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How maps are made: cam is exact and needs a linear model on a backbone that takes a mean over its
    /// last map, occlusion works for every model and takes 170 times as long, auto takes cam where it can
    #[arg(long, value_name = "METHOD", default_value = "auto", hide_possible_values = true)]
    method: MethodWord,
    /// Class to explain; each image's most probable one when left out
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Explain at most so many, the first ones
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    pub output: Output,
}

/// What is to be explained.
struct Sources {
    /// What each image is called, and its file.
    images: Vec<(String, PathBuf)>,
    /// Of each, what the cohort knows.
    facts: Vec<Vec<(String, String)>>,
    /// Sentences about all of them.
    said: Vec<String>,
}

/// An image's line in the file beside the page.
#[derive(Debug, Serialize)]
struct Line {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f64>,
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
    trust: Option<Trust>,
    images: Vec<Line>,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Done {
    page: PathBuf,
    numbers: PathBuf,
    explained: usize,
    images: usize,
    trust: Option<Trust>,
}

impl Explain {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let (bundle, digest) = read(&self.model)?;
        let place = Place::of(&at.home()?)?;
        let class = self.class.as_deref().map(|name| model_of(&bundle, name)).transpose()?;
        let ready = ready(&bundle, &place)?;
        let sources = self.sources(&bundle, at)?;
        let folder = gallery::folder(&self.out)?;

        let (judged, own) = self.judged(&bundle, &ready, &place, &sources)?;
        let explainer = Explainer::new(&bundle, own.as_ref(), &ready, place.device)?;
        let wish = self.method.wish();
        for model in 0..bundle.models.len() {
            explainer.method(model, wish)?;
        }
        let usable: Vec<usize> =
            (0..judged.len()).filter(|&at| judged[at].problem.is_none()).collect();
        let model = |at: usize| class.unwrap_or_else(|| most_probable(&judged[at]));
        let chosen = |&at: &usize| Chosen { path: sources.images[at].1.clone(), model: model(at) };
        let chosen: Vec<Chosen> = usable.iter().map(chosen).collect();
        let explained = explain_each(&explainer, &chosen, wish)?;

        let mut of_image: Vec<Option<Result<Explanation, String>>> =
            judged.iter().map(|_| None).collect();
        for (at, explanation) in usable.into_iter().zip(explained) {
            of_image[at] = Some(explanation);
        }
        let good = of_image.iter().flatten().filter_map(|explanation| explanation.as_ref().ok());
        let trust = Trust::of(good);
        let (mut cards, mut lines) = (Vec::new(), Vec::new());
        for (at, (judged, explanation)) in judged.iter().zip(&of_image).enumerate() {
            let model = model_if_any(judged, class);
            let line = line(&bundle, judged, model, explanation.as_ref());
            if let (Some(Ok(explanation)), Some(class), Some(probability)) =
                (explanation, &line.class, line.probability)
            {
                cards.push(card(Card {
                    anchor: &format!("image-{at}"),
                    name: &judged.id,
                    class,
                    probability,
                    threshold: line.threshold.unwrap_or_default(),
                    facts: &sources.facts[at],
                    explanation,
                })?);
            }
            lines.push(line);
        }
        let (explained, images) = (cards.len(), lines.len());
        let mut said = sources.said;
        said.extend(said_of_views(&bundle));
        said.extend(lines.iter().filter_map(|line| {
            Some(format!("{} isn\u{2019}t explained: {}", line.id, line.problem.as_ref()?))
        }));
        let study = format!("{}: {}", bundle.manifest.study, bundle.manifest.target);
        let heading = Heading { title: "Explained images", study: &study, said: &said };
        let sentence = format!("{explained} of {images} images, in the order given.");
        let page = document(heading, trust, [section("Images", &sentence, cards)])?;
        let numbers = Numbers {
            format: FORMAT,
            study: bundle.manifest.study.clone(),
            target: bundle.manifest.target.clone(),
            bundle_digest: digest,
            trust,
            images: lines,
        };
        let (page, numbers) = gallery::write(&folder, "explanations", &page, &numbers)?;
        let done = Done { page, numbers, explained, images, trust };
        self.output.print("explain", &done, || done.text())?;
        Ok(if explained == 0 { Exit::Failed } else { Exit::Done })
    }

    fn sources(&self, bundle: &ModelBundle, at: &HomeArgument) -> Result<Sources, Failure> {
        let Some(file) = &self.study else {
            if needs_own_rows(bundle) {
                return Err(Failure::bad_input(
                    "the models scale this site by its own rows: explain rows of a cohort with \
                     --study",
                ));
            }
            let named = |path: &PathBuf| (path.display().to_string(), path.clone());
            let images: Vec<_> = self.images.iter().take(self.limit).map(named).collect();
            let facts = vec![vec![]; images.len()];
            let left_out = self.images.len() - images.len();
            return Ok(Sources { images, facts, said: left_out_sentence(left_out) });
        };
        let cohort = CohortImages::of(file, bundle, at)?;
        let mut said = cohort.said(bundle);
        said.extend(left_out_sentence(cohort.rows.len().saturating_sub(self.limit)));
        let facts = cohort.rows.iter().map(|(row, _)| cohort.facts(row)).collect();
        let named = |(row, path): &(_, PathBuf)| (CohortImages::name(row), path.clone());
        Ok(Sources { images: cohort.rows.iter().map(named).collect(), facts, said })
    }

    /// What the models say of the first images. All rows of the site are put through the network only where their scale is needed.
    fn judged(
        &self,
        bundle: &ModelBundle,
        ready: &Ready,
        place: &Place,
        sources: &Sources,
    ) -> Result<(Vec<Judged>, Option<OwnScale>), Failure> {
        let needed = match needs_own_rows(bundle) {
            true => sources.images.len(),
            false => self.limit.min(sources.images.len()),
        };
        let mut subjects = images(ready, sources.images[..needed].to_vec(), place)?;
        let own = match needs_own_rows(bundle) {
            true => Some(scale(bundle, &subjects, "the maps are as rough as that scale")?),
            false => None,
        };
        subjects.truncate(self.limit);
        Ok((judge(bundle, own.as_ref(), subjects), own))
    }
}

impl Done {
    fn text(&self) -> String {
        let Self { page, explained, images, trust, .. } = self;
        let mut text = format!("{explained} of {images} images explained: {}\n", page.display());
        if let Some(trust) = trust {
            text += &gallery::trust_text(trust);
        }
        text + gallery::STAYS_HERE
    }
}

/// The place of a class among the bundle's models.
fn model_of(bundle: &ModelBundle, class: &str) -> Result<usize, Failure> {
    let classes = modelled(bundle);
    classes.iter().position(|known| *known == class).ok_or_else(|| {
        let known = classes.join(", ");
        Failure::bad_input(format!("the bundle has no model of '{class}'; it has {known}"))
    })
}

/// The first model of the largest probability.
fn most_probable(judged: &Judged) -> usize {
    let all = judged.probabilities.iter().enumerate();
    let most = all.fold((0, f64::NEG_INFINITY), |most, (model, &probability)| {
        if probability > most.1 { (model, probability) } else { most }
    });
    most.0
}

fn model_if_any(judged: &Judged, class: Option<usize>) -> Option<usize> {
    judged.problem.is_none().then(|| class.unwrap_or_else(|| most_probable(judged)))
}

fn line(
    bundle: &ModelBundle,
    judged: &Judged,
    model: Option<usize>,
    explanation: Option<&Result<Explanation, String>>,
) -> Line {
    let problem = match explanation {
        Some(Err(problem)) => Some(problem.clone()),
        _ => judged.problem.clone(),
    };
    Line {
        id: judged.id.clone(),
        class: model.map(|model| modelled(bundle)[model].to_owned()),
        probability: model.and_then(|model| judged.probabilities.get(model).copied()),
        threshold: model.map(|model| bundle.models[model].threshold),
        explanation: explanation.and_then(|explanation| explanation.as_ref().ok()).map(Summary::of),
        problem,
    }
}

fn left_out_sentence(left_out: usize) -> Vec<String> {
    match left_out {
        0 => vec![],
        more => vec![format!("{more} more images are left out; --limit takes more of them.")],
    }
}
