//! `wardround-site cache`: the features that are kept, and getting rid of them.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use wardround_core::ids::StudyId;
use wardround_core::study::{BackboneRule, Input, Study, WeightsRule};
use wardround_vision::features::{Content, Removal, Shelf, shelves};
use wardround_vision::{BackboneEntry, Digest, FeatureKey, Views};

use super::failure::{Exit, Failure};
use super::output::{Format, Output};
use super::site::{HomeArgument, running_studies};
use crate::config::SiteConfig;
use crate::features::{Altered, Ready, precision};

/// List the features that are kept at this site, or remove some; they can be computed again
#[derive(Debug, Args)]
pub(super) struct Cache {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what is kept: a line per backbone, weights, preprocessing, precision and augmentation
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Remove what no running study of this site needs
    ///
    /// What a process has open at that moment is left alone, and named. Features can be computed again
    /// from their images; of images that are gone, they can't.
    Prune {
        /// Only what wasn't used for so many days
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u32>,
        /// Only that of this backbone
        #[arg(long, value_name = "NAME")]
        backbone: Option<String>,
        /// Also what running studies need
        #[arg(long)]
        all: bool,
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// A cache as it is listed.
#[derive(Debug, Serialize)]
struct Listed {
    /// Its folder's name.
    folder: String,
    /// None for what an earlier version of this software has left.
    #[serde(flatten)]
    kept: Option<Kept>,
    bytes: u64,
    last_used: String,
    /// Running studies that need it.
    needed_by: Vec<String>,
}

/// What is kept in a cache.
#[derive(Debug, Serialize)]
struct Kept {
    #[serde(flatten)]
    key: FeatureKey,
    engine: String,
    /// Images, or altered copies of them.
    images: usize,
}

/// What became of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    Removed,
    WouldBeRemoved,
    /// A process has it open.
    InUse,
    /// A running study needs it.
    Needed,
}

#[derive(Debug, Serialize)]
struct Pruned {
    #[serde(flatten)]
    listed: Listed,
    fate: Fate,
}

impl Cache {
    pub(super) fn format(&self) -> Format {
        let (Action::List { output } | Action::Prune { output, .. }) = &self.action;
        output.format
    }

    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let home = at.home()?;
        let config = SiteConfig::load(&home)?;
        let shelves = shelves(&config.cache.join("features")).map_err(Failure::internal)?;
        let running = running_studies(&home)?;
        match self.action {
            Action::List { output } => {
                let all: Vec<Listed> =
                    shelves.iter().map(|shelf| Listed::of(shelf, &running)).collect();
                output.print("cache list", &all, || table(&all))?;
            }
            Action::Prune { older_than, backbone, all, dry_run, output } => {
                let chosen = Chosen { older_than, backbone };
                let mut pruned = Vec::new();
                for shelf in shelves.iter().filter(|shelf| chosen.holds(shelf)) {
                    let listed = Listed::of(shelf, &running);
                    let fate = match (listed.needed_by.is_empty() || all, dry_run) {
                        (false, _) => Fate::Needed,
                        (true, true) => Fate::WouldBeRemoved,
                        (true, false) => match shelf.remove().map_err(Failure::internal)? {
                            Removal::Removed => Fate::Removed,
                            Removal::InUse => Fate::InUse,
                        },
                    };
                    pruned.push(Pruned { listed, fate });
                }
                output.print("cache prune", &pruned, || report(&pruned))?;
            }
        }
        Ok(Exit::Done)
    }
}

/// Which caches are meant.
struct Chosen {
    older_than: Option<u32>,
    backbone: Option<String>,
}

impl Chosen {
    fn holds(&self, shelf: &Shelf) -> bool {
        let of_backbone = |name: &String| match &shelf.content {
            Content::Known { key, .. } => {
                let entry = BackboneEntry::find(name).map(|entry| entry.architecture().name());
                key.architecture == *name || Some(key.architecture.as_str()) == entry
            }
            Content::Outdated => false,
        };
        let is_older = |days: &u32| {
            let age = SystemTime::now().duration_since(shelf.last_used).unwrap_or_default();
            age >= Duration::from_secs(u64::from(*days) * 86_400)
        };
        self.backbone.as_ref().is_none_or(of_backbone)
            && self.older_than.as_ref().is_none_or(is_older)
    }
}

impl Listed {
    fn of(shelf: &Shelf, running: &[(StudyId, Study)]) -> Self {
        let last_used = OffsetDateTime::from(shelf.last_used).replace_nanosecond(0);
        let last_used = last_used.ok().and_then(|time| time.format(&Rfc3339).ok());
        let needed_by = match &shelf.content {
            Content::Known { key, .. } => {
                let needing = running.iter().filter(|(_, study)| needs(study, key));
                needing.map(|(id, _)| id.to_string()).collect()
            }
            Content::Outdated => Vec::new(),
        };
        let kept = match &shelf.content {
            Content::Known { key, engine, records } => {
                let (key, engine) = ((**key).clone(), engine.clone());
                Some(Kept { key, engine, images: *records })
            }
            Content::Outdated => None,
        };
        Self {
            folder: shelf.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            kept,
            bytes: shelf.bytes,
            last_used: last_used.unwrap_or_default(),
            needed_by,
        }
    }

    fn cells(&self) -> [String; 8] {
        let megabytes = format!("{:.1} MB", self.bytes as f64 / 1e6);
        let day = self.last_used.get(..10).unwrap_or_default().to_owned();
        let needed = self.needed_by.join(", ");
        let Some(Kept { key, images, .. }) = &self.kept else {
            let old = || "-".to_owned();
            return ["outdated".to_owned(), old(), old(), old(), old(), megabytes, day, needed];
        };
        let views = match &key.views {
            Views::Plain => String::new(),
            Views::Augmented(_) => " copies".to_owned(),
        };
        let preprocess = &key.preprocess;
        [
            key.architecture.clone(),
            hex::encode(&key.weights[..4]),
            format!("{} of {} px", preprocess.crop(), preprocess.shorter_side()),
            key.precision.to_string(),
            format!("{images}{views}"),
            megabytes,
            day,
            needed,
        ]
    }
}

/// Whether a study needs features of this key. What isn't known without fetching weights counts as needed.
fn needs(study: &Study, key: &FeatureKey) -> bool {
    let Input::Images { backbones, augmentation, .. } = &study.input else { return false };
    let altered = Altered::for_fitting(augmentation, study.seed);
    backbones.iter().any(|backbone| is_of(backbone, &altered, key))
}

fn is_of(backbone: &BackboneRule, altered: &Altered, key: &FeatureKey) -> bool {
    let Ok((entry, preprocess)) = Ready::named(backbone) else { return false };
    let weights = pinned(backbone, entry);
    entry.architecture().name() == key.architecture
        && preprocess == key.preprocess
        && precision(backbone.precision) == key.precision
        && match &key.views {
            Views::Plain => true,
            Views::Augmented(kept) => match altered {
                Altered::Copies { augmentation, .. } => augmentation == kept,
                Altered::Off => false,
            },
        }
        && weights.is_none_or(|digest| digest == key.weights)
}

fn pinned(rule: &BackboneRule, entry: &BackboneEntry) -> Option<[u8; 32]> {
    match (&rule.weights, entry.digest()) {
        (WeightsRule::Pinned { sha256, .. }, _) => Some(*sha256.as_bytes()),
        (WeightsRule::Shipped, Digest::Pinned(digest)) => Some(digest),
        (WeightsRule::Shipped, Digest::Unpinned) => None,
    }
}

fn table(all: &[Listed]) -> String {
    if all.is_empty() {
        return "no features are kept\n".to_owned();
    }
    let header = [
        "backbone",
        "weights",
        "preprocessing",
        "precision",
        "images",
        "size",
        "last used",
        "needed by",
    ];
    let rows = all.iter().map(Listed::cells);
    super::output::columns(std::iter::once(header.map(str::to_owned)).chain(rows))
}

fn report(pruned: &[Pruned]) -> String {
    if pruned.is_empty() {
        return "nothing to remove\n".to_owned();
    }
    let line = |Pruned { listed, fate }: &Pruned| {
        let fate = match fate {
            Fate::Removed => "removed".to_owned(),
            Fate::WouldBeRemoved => "would be removed".to_owned(),
            Fate::InUse => "kept: a process has it open".to_owned(),
            Fate::Needed => format!("kept: needed by {}", listed.needed_by.join(", ")),
        };
        let [backbone, weights, preprocess, precision, images, size, ..] = listed.cells();
        [fate, backbone, weights, preprocess, precision, images, size]
    };
    let mut text = super::output::columns(pruned.iter().map(line));
    let of = |fate| {
        let bytes = pruned.iter().filter(|p| p.fate == fate).map(|p| p.listed.bytes);
        bytes.sum::<u64>() as f64 / 1e6
    };
    let (freed, would) = (of(Fate::Removed), of(Fate::WouldBeRemoved));
    match would > 0.0 {
        true => text += &format!("{would:.1} MB would be freed\n"),
        false => text += &format!("{freed:.1} MB freed\n"),
    }
    text
}
