//! `audit history`: everything that was studied on the same target and sites.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::{Value, json};
use wardround_core::ids::StudyId;
use wardround_core::study::{Study, StudySites};
use wardround_proto::v1;

use super::difference::{Change, changes};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, moment, moment_value, table};

/// All studies of the same target and sites, also failed and aborted ones (leads and auditors)
///
/// Whoever looks at the same patients again and again finds something by chance: the list says who
/// submitted what and when, what changed in the study's file since the one before, how often
/// left-out sites were looked at, and which reports count other patients or cut them otherwise, so that
/// one less the other may tell few of them. It reads the file of every study, and the reports of those on this
/// target that asked all enrolled sites, which `wardround history` notes.
#[derive(Debug, Args)]
pub struct History {
    /// The study's id
    study: StudyId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl History {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let infos = self.remote.studies().await?;
        let mut all = Vec::new();
        for info in infos {
            let file = self.file(&info).await?;
            all.push(Entry { info, file });
        }
        let target = this(&all, &self.study)?.target.clone();
        for Entry { info, file } in &mut all {
            if let Ok(file) = file
                && file.target == target
                && file.sites == Sites::AllEnrolled
                && info.state == "done"
            {
                file.sites = self.sites(info).await?;
            }
        }
        let found = related(all, &self.study)?;
        Ok(Answer::Data { data: value(&self.study, &found), text: words(&self.study, &found) })
    }

    async fn file(&self, info: &v1::StudyInfo) -> Result<Result<File, String>, Failure> {
        let bytes = self.remote.fetch(&id(info)?, v1::Artefact::StudyFile).await?;
        Ok(match std::str::from_utf8(&bytes).map(Study::parse) {
            Ok(Ok(study)) => Ok(File::of(&study)),
            Ok(Err(mistakes)) => Err(mistakes.to_string()),
            Err(_) => Err("it is no text".to_owned()),
        })
    }

    /// The sites of a study that doesn't name them, from its report.
    async fn sites(&self, info: &v1::StudyInfo) -> Result<Sites, Failure> {
        let report = self.remote.fetch(&id(info)?, v1::Artefact::ReportJson).await?;
        Ok(Sites::of_report(&report).unwrap_or(Sites::AllEnrolled))
    }
}

fn id(info: &v1::StudyInfo) -> Result<StudyId, Failure> {
    StudyId::parse(&info.id)
        .map_err(|error| Failure::internal(format!("study '{}': {error}", info.id)))
}

/// What the file of the study in question says.
fn this<'a>(all: &'a [Entry], study: &StudyId) -> Result<&'a File, Failure> {
    let found = all.iter().find(|one| one.info.id == study.as_str());
    let found = found.ok_or_else(|| {
        Failure::bad_input(format!(
            "there is no study '{study}': `wardround study list` lists them"
        ))
    })?;
    found.file.as_ref().map_err(|why| {
        Failure::bad_input(format!(
            "the file of study {study} can't be read by this version: {why}"
        ))
    })
}

/// A study, and what its file says, or why it can't be read.
struct Entry {
    info: v1::StudyInfo,
    file: Result<File, String>,
}

/// What counts here of a study file.
#[derive(Debug, Clone)]
struct File {
    target: String,
    sites: Sites,
    leaves_sites_out: bool,
    parsed: Value,
}

/// What of a file says who is counted, and in which groups: reports that differ in it can be subtracted.
const WHO_IS_COUNTED: [&str; 3] = ["/cohort", "/patient", "/subgroups"];

/// The sites of a study.
#[derive(Debug, Clone, PartialEq)]
enum Sites {
    Known(BTreeSet<String>),
    /// All that were enrolled when it was submitted, and nothing tells which they were.
    AllEnrolled,
}

/// What [`related`] found.
struct Found {
    target: String,
    /// Studies of the same target and sites, by time.
    studies: Vec<Step>,
    /// Studies whose file can't be read, with why.
    unread: Vec<(String, String)>,
}

/// A study, and what changed since the one before; nothing of the first.
struct Step {
    info: v1::StudyInfo,
    file: File,
    changes: Option<Vec<Change>>,
}

impl File {
    fn of(study: &Study) -> Self {
        Self {
            target: study.target.column.clone(),
            sites: match &study.cohort.sites {
                StudySites::Enrolled => Sites::AllEnrolled,
                StudySites::Named(sites) => {
                    Sites::Known(sites.iter().map(ToString::to_string).collect())
                }
            },
            leaves_sites_out: study.validation.leave_one_site_out,
            parsed: serde_json::to_value(study).unwrap_or_default(),
        }
    }
}

impl Sites {
    /// Of a report of any format.
    fn of_report(bytes: &[u8]) -> Option<Self> {
        let report: Value = serde_json::from_slice(bytes).ok()?;
        let sites = report["cohort"]["sites"].as_array()?.iter();
        sites
            .map(|row| row["site"].as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Self::Known)
    }

    /// Whether they may have a site in common.
    fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => !a.is_disjoint(b),
            _ => true,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Known(sites) => sites.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            Self::AllEnrolled => "all enrolled".to_owned(),
        }
    }
}

/// The studies of the same target column with a site in common, by time.
fn related(mut all: Vec<Entry>, study: &StudyId) -> Result<Found, Failure> {
    all.sort_by_key(|one| one.info.submitted_ms);
    let File { target, sites, .. } = this(&all, study)?.clone();
    let (mut studies, mut unread): (Vec<Step>, Vec<_>) = (Vec::new(), Vec::new());
    for Entry { info, file } in all {
        match file {
            Err(why) => unread.push((info.id, why)),
            Ok(file) if file.target == target && file.sites.overlap(&sites) => {
                let before = studies.last().map(|step| &step.file.parsed);
                let changes = before.map(|before| changes(before, &file.parsed));
                studies.push(Step { info, file, changes });
            }
            Ok(_) => {}
        }
    }
    Ok(Found { target, studies, unread })
}

impl Found {
    /// Studies that judge left-out sites, and those of them that came to a report.
    fn looks_at_left_out_sites(&self) -> [usize; 2] {
        let asked = || self.studies.iter().filter(|step| step.file.leaves_sites_out);
        [asked().count(), asked().filter(|step| step.info.state == "done").count()]
    }

    /// Studies whose reports count others than this one's, or the same in other groups.
    fn counted_otherwise(&self, study: &str) -> Vec<&str> {
        let Some(this) = self.studies.iter().find(|step| step.info.id == study) else {
            return Vec::new();
        };
        let differs = |step: &&Step| {
            let (one, other) = (&this.file, &step.file);
            let parts = WHO_IS_COUNTED.iter();
            one.sites != other.sites || { parts }
                .any(|part| one.parsed.pointer(part) != other.parsed.pointer(part))
        };
        let done = self.studies.iter().filter(|step| step.info.state == "done");
        done.filter(differs).map(|step| step.info.id.as_str()).collect()
    }
}

fn value(study: &StudyId, found: &Found) -> Value {
    let [asked, done] = found.looks_at_left_out_sites();
    let studies = found.studies.iter().map(|step| {
        let info = &step.info;
        json!({
            "study": info.id, "name": info.name, "state": info.state, "reason": info.reason,
            "submitted_by": info.submitted_by, "submitted": moment_value(info.submitted_ms),
            "ended": moment_value(info.ended_ms), "parent": info.parent,
            "sites": match &step.file.sites {
                Sites::Known(sites) => json!(sites),
                Sites::AllEnrolled => Value::Null,
            },
            "leave_one_site_out": step.file.leaves_sites_out, "changes": step.changes,
        })
    });
    let unread = found.unread.iter().map(|(study, why)| json!({ "study": study, "why": why }));
    json!({
        "study": study, "target": found.target, "studies": studies.collect::<Vec<_>>(),
        "counted_otherwise": found.counted_otherwise(study.as_str()),
        "left_out_sites_asked_for": asked, "left_out_sites_judged": done,
        "unread": unread.collect::<Vec<_>>(),
    })
}

fn words(study: &StudyId, found: &Found) -> String {
    let head = ["study", "state", "by", "submitted", "ended", "left-out sites", "sites", "name"];
    let rows = found.studies.iter().map(|step| {
        let info = step.info.clone();
        let (from, to) = (moment(info.submitted_ms), moment(info.ended_ms));
        let left_out = if step.file.leaves_sites_out { "yes" } else { "no" };
        let sites = step.file.sites.words();
        vec![
            info.id,
            info.state,
            info.submitted_by,
            from,
            to,
            left_out.to_owned(),
            sites,
            info.name,
        ]
    });
    let [asked, done] = found.looks_at_left_out_sites();
    let count = found.studies.len();
    let mut parts = vec![
        format!("Studies of '{}' with a site in common, by time:", found.target),
        table(&head, &rows.collect::<Vec<_>>()),
        format!(
            "Left-out sites were asked for in {asked} of {count} studies and judged in {done}: each look that led to another \
             choice makes the next figure flatter the model."
        ),
    ];
    let otherwise = found.counted_otherwise(study.as_str());
    if !otherwise.is_empty() {
        parts.push(format!(
            "Reports that count other patients than {study}'s, or the same in other groups: {}. Each keeps small counts back, but one              less the other may tell few patients: whoever holds several reports should be someone who may see that.",
            otherwise.join(", ")
        ));
    }
    for step in &found.studies {
        let Some(changes) = &step.changes else { continue };
        let mut lines = vec![format!("{}, changed since the study before:", step.info.id)];
        lines.extend(changes.iter().map(|change| format!("  {}", change.words())));
        if changes.is_empty() {
            lines.push("  nothing".to_owned());
        }
        parts.push(lines.join("\n"));
    }
    for step in found.studies.iter().filter(|step| !step.info.reason.is_empty()) {
        parts.push(format!("{} is {}: {}", step.info.id, step.info.state, step.info.reason));
    }
    for (study, why) in &found.unread {
        parts.push(format!("the file of {study} can't be read by this version: {why}"));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, at: i64, state: &str, target: &str, sites: &[&str]) -> Entry {
        let info = v1::StudyInfo {
            id: id.into(),
            state: state.into(),
            submitted_ms: at,
            ..v1::StudyInfo::default()
        };
        let sites = match sites {
            [] => Sites::AllEnrolled,
            named => Sites::Known(named.iter().map(|&name| name.to_owned()).collect()),
        };
        let parsed = json!({ "validation": { "folds": at } });
        let file = File { target: target.into(), sites, leaves_sites_out: at > 1, parsed };
        Entry { info, file: Ok(file) }
    }

    #[test]
    fn only_the_same_target_and_sites_are_related() {
        let mut all = vec![
            entry("s4", 4, "aborted", "dx", &["b", "c"]),
            entry("s1", 1, "done", "dx", &["a", "b"]),
            entry("s2", 2, "failed", "dx", &[]),
            entry("s3", 3, "done", "sick", &["a"]),
            entry("s5", 5, "done", "dx", &["c"]),
            entry("s6", 6, "done", "dx", &["a"]),
        ];
        all.push(Entry { file: Err("1:1".into()), ..entry("s0", 0, "done", "dx", &["a"]) });
        let study = StudyId::parse("s1").unwrap();
        let found = related(all, &study).unwrap_or_else(|failure| panic!("{failure:?}"));
        let ids: Vec<&str> = found.studies.iter().map(|step| step.info.id.as_str()).collect();
        assert_eq!(ids, ["s1", "s2", "s4", "s6"]);
        assert!(found.studies[0].changes.is_none());
        let changed = found.studies[2].changes.as_ref().unwrap();
        assert_eq!(changed[0].words(), "validation.folds: 2 -> 4");
        // Of s2, s4 and s6, which leave sites out, one is done.
        assert_eq!(found.looks_at_left_out_sites(), [3, 1]);
        assert_eq!(found.unread, [("s0".to_owned(), "1:1".to_owned())]);
        // Of those that are done, s6 has one site less.
        assert_eq!(found.counted_otherwise("s1"), ["s6"]);
        assert!(found.counted_otherwise("s9").is_empty());
        let text = words(&study, &found);
        assert!(text.contains("in other groups: s6."), "{text}");
        assert!(text.contains("in 3 of 4 studies and judged in 1"), "{text}");
        assert!(text.contains("s6, changed since the study before:\n  validation.folds: 4 -> 6"));
        let none = related(Vec::new(), &study).err().unwrap();
        assert!(none.sentence.contains("there is no study 's1'"));
    }

    #[test]
    fn sites_are_read_from_reports_of_any_format() {
        let report = br#"{"format":3,"cohort":{"sites":[{"site":"b"},{"site":"a"}]}}"#;
        let sites = Sites::of_report(report).unwrap();
        assert_eq!(sites.words(), "a, b");
        assert_eq!(Sites::of_report(b"{}"), None);
    }
}
