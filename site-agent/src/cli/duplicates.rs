//! `wardround-site duplicates`: copies of images among a study's rows at this site.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use wardround_core::study::Input;
use wardround_vision::{Picture, read_picture};

use super::bundle::CohortImages;
use super::failure::{Exit, Failure};
use super::gallery;
use super::output::{Output, columns};
use super::progress::Screen;
use super::site::{HomeArgument, me_or_unnamed, study};
use crate::config::SiteConfig;
use crate::data::{Inspection, Reason};
use crate::duplicates::page::{Named, card, summary, words};
use crate::duplicates::{Alike, Compared, Group, Harm, folds, groups, look};
use crate::explain::page::{Heading, frame, section};

/// The version of the file beside the page.
const FORMAT: u32 = 1;

/// At most so many images of a group are shown or printed.
const MOST_SHOWN: usize = 8;

/// Find copies of images among a study's rows at this site; nothing leaves
///
/// Exact copies (the same pixels in another file) and near ones: encoded anew, resized, brighter or darker,
/// another contrast. A copy under another patient falls into another fold: models are then judged on images
/// that they were fitted to. Copies with several labels are mistakes of labels. Ends with 1 when there are copies
/// under several patients.
#[derive(Debug, Args)]
pub(super) struct Duplicates {
    /// Study file: its cohort, patients and labels are taken from this site's own table
    #[arg(long, value_name = "FILE")]
    study: PathBuf,
    /// Folder to write a page with the images to; it must not be there yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show and print at most so many groups of a kind
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    #[command(flatten)]
    pub output: Output,
}

/// What was found; the file beside the page has the same.
#[derive(Debug, Serialize)]
struct Found {
    format: u32,
    study: String,
    /// What a patient key names: "patient", "lesion".
    unit: String,
    /// Rows whose images were compared.
    rows: usize,
    /// Rows with the same file as another, which take no part in any study.
    set_aside: SetAside,
    /// Images that can't be read any more.
    unreadable: Vec<String>,
    counts: Vec<Counts>,
    groups: Vec<OfGroup>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PathBuf>,
}

/// Rows that are set aside because another row has the same file.
#[derive(Debug, Default, Serialize)]
struct SetAside {
    several_patients: usize,
    several_labels: usize,
    one_patient: usize,
}

/// The groups of a kind, counted.
#[derive(Debug, Serialize)]
struct Counts {
    harm: Harm,
    groups: usize,
    rows: usize,
    /// Groups with rows in several folds of the study's first deal.
    in_several_folds: usize,
    /// Groups with several labels.
    with_several_labels: usize,
}

/// A group.
#[derive(Debug, Serialize)]
struct OfGroup {
    harm: Harm,
    patients: usize,
    labels: usize,
    folds: usize,
    rows: Vec<OfRow>,
}

/// A row of a group.
#[derive(Debug, Serialize)]
struct OfRow {
    row: String,
    label: String,
    /// From 1.
    fold: u8,
    file: String,
    alike: Alike,
}

impl Duplicates {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let study = study(&self.study)?;
        if !matches!(study.input, Input::Images { .. }) {
            return Err(Failure::bad_input(format!(
                "{}: its rows are a table's, not images",
                self.study.display()
            )));
        }
        let config = SiteConfig::load(&at.home()?)?;
        let found = CohortImages::survey(&study, at)?;
        let set_aside = SetAside::of(&found);
        let issuer = found.issuer.clone();
        let cohort = CohortImages::usable(study, found, &config)?;
        let folder = self.out.as_deref().map(gallery::folder).transpose()?;

        let paths: Vec<&Path> = cohort.rows.iter().map(|(_, path)| path.as_path()).collect();
        let screen = Screen::default();
        let threads = config.data.image_threads.count();
        let total = paths.len() as u64;
        let prints = look(&paths, threads, &|done| screen.count("looking at images", done, total));
        let unreadable = prints.iter().filter_map(|print| print.as_ref().err()).cloned().collect();
        let rows: Vec<_> = cohort.rows.iter().map(|(row, _)| row).collect();
        let folds = folds(&cohort.study, &me_or_unnamed(&at.home()?)?, &issuer, &rows);
        let compared: Vec<Compared> = rows
            .iter()
            .zip(prints)
            .zip(folds)
            .enumerate()
            .filter_map(|(at, ((row, print), fold))| {
                let (patient, classes) = (row.patient.clone(), row.classes);
                Some(Compared { row: at, patient, classes, fold, print: print.ok()? })
            })
            .collect();
        let rows = compared.len();
        let groups = groups(compared, &|done| screen.count("comparing images", done, 16));

        let place = Place { cohort: &cohort, images: &config.data.images };
        let mut found = Found {
            format: FORMAT,
            study: cohort.study.name.clone(),
            unit: cohort.study.patient.unit.clone(),
            rows,
            set_aside,
            unreadable,
            counts: HARMS.map(|harm| Counts::of(harm, &groups)).into(),
            groups: groups.iter().map(|group| place.group(group)).collect(),
            page: None,
        };
        if let Some(folder) = folder {
            let page = place.page(&groups, &found, self.limit)?;
            let (page, _) = gallery::write(&folder, "duplicates", &page, &found)?;
            found.page = Some(page);
        }
        self.output.print("duplicates", &found, || found.text(&groups, &place, self.limit))?;
        Ok(if found.counts[0].groups > 0 { Exit::Failed } else { Exit::Done })
    }
}

/// All kinds, the worst first.
const HARMS: [Harm; 3] = [Harm::SeveralPatients, Harm::SeveralLabels, Harm::None];

/// Where rows get their names from.
struct Place<'a> {
    cohort: &'a CohortImages,
    images: &'a Path,
}

impl Place<'_> {
    fn named(&self, group: &Group) -> Vec<Named> {
        let named = |(compared, _): &(Compared, Alike)| {
            let (row, path) = &self.cohort.rows[compared.row];
            let file = path.strip_prefix(self.images).unwrap_or(path);
            Named {
                row: CohortImages::name(row),
                label: self.cohort.label(row),
                file: file.display().to_string(),
            }
        };
        group.members.iter().map(named).collect()
    }

    fn group(&self, group: &Group) -> OfGroup {
        let rows = group.members.iter().zip(self.named(group));
        let row = |((compared, alike), named): (&(Compared, Alike), Named)| {
            let Named { row, label, file } = named;
            OfRow { row, label, file, fold: compared.fold + 1, alike: *alike }
        };
        OfGroup {
            harm: group.harm(),
            patients: group.patients(),
            labels: group.labels(),
            folds: group.folds(),
            rows: rows.map(row).collect(),
        }
    }

    fn page(&self, groups: &[Group], found: &Found, limit: usize) -> Result<String, Failure> {
        let mut sections = Vec::new();
        for harm in HARMS {
            let mut cards = Vec::new();
            for (number, group) in of(groups, harm).take(limit).enumerate() {
                let members = &group.members[..group.members.len().min(MOST_SHOWN)];
                let picture = |(compared, _): &(Compared, Alike)| -> Result<Picture, String> {
                    let path = &self.cohort.rows[compared.row].1;
                    read_picture(path).map_err(|error| error.to_string())
                };
                let pictures: Vec<_> = members.iter().map(picture).collect();
                cards.push(card(number + 1, group, &self.named(group), &pictures)?);
            }
            let all = of(groups, harm).count();
            let said = match all {
                0 => "None.".to_owned(),
                all => format!("{} of {all} groups. {}", cards.len(), what_it_does(harm)),
            };
            sections.push(section(title(harm), &said, cards));
        }
        let said = [
            found.compared(),
            "Two images whose perceptual hashes differ by at most 31 of 256 bits count as copies, and \
             whatever is a copy of one of them belongs to the group. Look at a group before you change a \
             label or a key: images of one kind can be alike."
                .to_owned(),
        ];
        let heading = Heading { title: "Copies of images", study: &found.study, said: &said };
        Ok(frame(heading, sections))
    }
}

impl SetAside {
    fn of(found: &Inspection) -> Self {
        let mut counts = Self::default();
        for reason in found.set_aside.iter().flat_map(|row| &row.reasons) {
            match reason {
                Reason::ImageOfSeveralPatients { .. } => counts.several_patients += 1,
                Reason::ImageWithSeveralLabels { .. } => counts.several_labels += 1,
                Reason::DuplicateImage { .. } => counts.one_patient += 1,
                _ => {}
            }
        }
        counts
    }
}

impl Counts {
    fn of(harm: Harm, groups: &[Group]) -> Self {
        let with = |is: &dyn Fn(&Group) -> bool| of(groups, harm).filter(|group| is(group)).count();
        Self {
            harm,
            groups: of(groups, harm).count(),
            rows: of(groups, harm).map(|group| group.members.len()).sum(),
            in_several_folds: with(&|group| group.folds() > 1),
            with_several_labels: with(&|group| group.labels() > 1),
        }
    }
}

impl Found {
    /// What was compared, in sentences.
    fn compared(&self) -> String {
        let SetAside { several_patients, several_labels, one_patient } = self.set_aside;
        let mut said = format!("The images of {} rows were compared with each other.", self.rows);
        if several_patients + several_labels + one_patient > 0 {
            let _ = write!(
                said,
                " Rows that list a file again take no part in studies and aren\u{2019}t counted here: \
                 {several_patients} with a file of several {unit}s, {several_labels} with a file with \
                 several labels, {one_patient} with a file of the same {unit}.",
                unit = self.unit
            );
        }
        said
    }

    fn text(&self, groups: &[Group], place: &Place<'_>, limit: usize) -> String {
        let mut text = format!("study: {}\n{}\n", self.study, self.compared());
        for unreadable in &self.unreadable {
            let _ = writeln!(text, "not compared: {unreadable}");
        }
        let header = ["", "groups", "rows", "in several folds", "with several labels"];
        let numbers = self.counts.iter().map(|counts| {
            let Counts { harm, groups, rows, in_several_folds, with_several_labels } = counts;
            let numbers = [groups, rows, in_several_folds, with_several_labels];
            let [a, b, c, d] = numbers.map(|number| number.to_string());
            [title(*harm).to_lowercase(), a, b, c, d]
        });
        text += "\n";
        text += &columns([header.map(str::to_owned)].into_iter().chain(numbers));
        for harm in [Harm::SeveralPatients, Harm::SeveralLabels] {
            let all = of(groups, harm).count();
            if all == 0 {
                continue;
            }
            let _ = writeln!(text, "\n{}. {}", title(harm), what_it_does(harm));
            for group in of(groups, harm).take(limit) {
                let _ = writeln!(text, "  {}", summary(group));
                let rows = group.members.iter().zip(place.named(group));
                let lines = rows.take(MOST_SHOWN).map(|((row, alike), named)| {
                    let Named { row: name, label, file } = named;
                    let fold = format!("fold {}", row.fold + 1);
                    ["   ".to_owned(), name, label, fold, file, words(*alike)]
                });
                text += &columns(lines);
                let more = group.members.len().saturating_sub(MOST_SHOWN);
                if more > 0 {
                    let _ = writeln!(text, "    and {more} more rows");
                }
            }
            if all > limit {
                let _ = writeln!(text, "  and {} more groups; --limit shows more", all - limit);
            }
        }
        if let Some(page) = &self.page {
            let _ = writeln!(text, "\n{}", page.display());
            text += gallery::STAYS_HERE;
        }
        text
    }
}

fn of(groups: &[Group], harm: Harm) -> impl Iterator<Item = &Group> {
    groups.iter().filter(move |group| group.harm() == harm)
}

fn title(harm: Harm) -> &'static str {
    match harm {
        Harm::SeveralPatients => "Copies under several patients",
        Harm::SeveralLabels => "Copies of one patient with several labels",
        Harm::None => "Copies of one patient with one label",
    }
}

fn what_it_does(harm: Harm) -> &'static str {
    match harm {
        Harm::SeveralPatients => {
            "Where they are in several folds a model is judged on images that it was fitted to; one \
             patient may have two keys, or an image stand under the wrong one."
        }
        Harm::SeveralLabels => "At most one of the labels is right.",
        Harm::None => "Folds keep a patient together: they do no harm.",
    }
}
