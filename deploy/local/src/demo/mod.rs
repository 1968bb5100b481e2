//! `cargo demo`: a federation from nothing to a report, watched.

mod folder;
mod source;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Parser;
use wardround_core::ids::{Role, SiteId, StudyId};
use wardround_core::study::{Matrix, Study};

use crate::binaries::Binaries;
use crate::federation::{Federation, LOOSE, SiteSettings};
use crate::process::Nursery;
use crate::studies;

use folder::OutFolder;
use source::Source;

/// The person who submits the study.
const LEAD: &str = "lead";

/// A whole federation on this machine: one coordinator, some hospitals, a study, a report
///
/// Without --data it draws phantom radiographs (synthetic) for four hospitals.
#[derive(Debug, Clone, Parser)]
#[command(name = "cargo demo", max_term_width = 100)]
pub struct Options {
    /// A folder with images and their manifest.csv; images are used in place
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The list of images or rows; DIR/manifest.csv when left out
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// The column that names each row's hospital; `site` or `hospital` when left out, and without
    /// such a column rows are dealt by patient
    #[arg(long, value_name = "NAME")]
    pub site_column: Option<String>,
    /// The study file; when left out, one that fits the data
    #[arg(long, value_name = "FILE")]
    pub study: Option<PathBuf>,
    /// Where everything goes
    #[arg(long, value_name = "DIR", default_value = "demo-out")]
    pub out: PathBuf,
    /// How many hospitals, where the data don't say
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub sites: u16,
    /// Leave the federation running, and say how to use it
    #[arg(long)]
    pub keep: bool,
}

/// A hospital before it joins.
#[derive(Debug, Clone)]
struct Hospital {
    site: SiteId,
    manifest: PathBuf,
    images: PathBuf,
    about: String,
}

impl Options {
    /// Runs the demo; children are in the nursery.
    ///
    /// # Errors
    /// What went wrong, for people.
    pub fn run(&self, nursery: &Nursery) -> Result<()> {
        let started = Instant::now();
        let source = Source::of(self)?;
        let out = OutFolder::prepare(&self.out)?;
        say("building wardround and wardround-site");
        let binaries = Binaries::build()?;
        let source = source.prepare(self, &out)?;
        let study = Study::parse(&source.study)
            .map_err(|mistakes| anyhow::anyhow!("the study file has mistakes:\n{mistakes}"))?;
        let study_file = out.path("study.toml");
        std::fs::write(&study_file, &source.study)?;
        say(&format!("the study is {}: {}", source.origin, study.name));

        say("starting a coordinator; enrolling an operator, a lead and the hospitals");
        let mut federation =
            Federation::start(out.folder(), binaries, nursery.clone(), "Demo consortium")?;
        federation.enrol_person(LEAD, Role::Lead)?;
        let own_data = self.data.is_some() || self.manifest.is_some();
        // What the study asks of owners, and no more.
        let mut policy = LOOSE.to_owned();
        if study.validation.matrix == Matrix::On {
            policy.push_str("own_model = \"allowed\"\n");
        }
        // In a small set that is dealt to hospitals one patient often has most of a class's images.
        if own_data {
            policy.push_str("dominance = 1.0\n");
        }
        for hospital in &source.hospitals {
            let settings = SiteSettings {
                manifest: hospital.manifest.clone(),
                images: hospital.images.clone(),
                policy: policy.clone(),
                columns: String::new(),
                weights: out.path("weights"),
                cache: out.path("features").join(hospital.site.as_str()),
                synthetic: !own_data,
            };
            federation.enrol_site(&hospital.site, &settings)?;
            federation.start_site(&hospital.site)?;
            println!("   {}: {}", hospital.site, hospital.about);
        }
        federation.wait_for_sites()?;

        let id = federation.submit(LEAD, &study_file).or_else(|error| {
            let sentences = grave_sentences(&federation)?;
            bail!("{error:#}\nthe logs in {}", sentences)
        })?;
        say(&format!("study {id} is submitted"));
        watch(&federation, &id)?;
        show_results(&federation, &id, &out)?;
        println!("\n{:.0} s in all", started.elapsed().as_secs_f64());
        if self.keep { keep(federation, &out) } else { stop(federation) }
    }
}

/// Follows a study with the lead's own command, which draws bars and lines.
fn watch(federation: &Federation, id: &StudyId) -> Result<()> {
    let command = federation.as_person(LEAD, &["study", "watch", id.as_str()]);
    let status = federation.nursery().show("study watch", command)?;
    if status.success() {
        return Ok(());
    }
    bail!("the study didn't finish; the logs in {}", grave_sentences(federation)?)
}

/// What the processes complained about. (The coordinator hears codes only; the sentences are in the sites' own logs.)
fn grave_sentences(federation: &Federation) -> Result<String> {
    let folder = federation.folder().join("logs");
    let mut sentences = format!("{} say:", folder.display());
    for log in std::fs::read_dir(&folder)? {
        let log = log?.path();
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        let grave = |line: &&str| line.contains("ERROR") || line.contains("WARN");
        let lines: Vec<&str> = text.lines().filter(grave).collect();
        for line in &lines[lines.len().saturating_sub(4)..] {
            let name = log.file_stem().unwrap_or_default().to_string_lossy();
            sentences.push_str(&format!("\n{name}: {line}"));
        }
    }
    Ok(sentences)
}

/// Prints the result table and fetches every file that a study leaves.
fn show_results(federation: &Federation, id: &StudyId, out: &OutFolder) -> Result<()> {
    println!("\n{}", federation.ask(LEAD, &["study", "report", id.as_str()])?);
    let fetch = |arguments: &[&str], name: &str| -> Result<()> {
        let mut command = federation.as_person(LEAD, arguments);
        command.arg("--out").arg(out.path(name));
        federation.nursery().run(&arguments[..2].join(" "), command).map(|_| ())
    };
    let id = id.as_str();
    fetch(&["study", "report", id, "--format", "html"], "report.html")?;
    fetch(&["study", "report", id, "--format", "json"], "report.json")?;
    fetch(&["study", "export", id, "--bundle"], "model.safetensors")?;
    fetch(&["study", "export", id], "export.zip")?;
    say("everything is here");
    for (name, what) in [
        ("report.html", "the report, for a browser or print"),
        ("report.json", "the same for programs"),
        ("model.safetensors", "the model, for `wardround-site predict`"),
        ("export.zip", "the archive, for `wardround study verify` and `replay`"),
        ("study.toml", "the study"),
        ("sites", "each hospital's home; what left it is in its ledger/"),
        ("logs", "what every process said"),
    ] {
        println!("   {:<36} {what}", out.path(name).display());
    }
    Ok(())
}

fn stop(federation: Federation) -> Result<()> {
    drop(federation);
    Ok(())
}

/// Lets the processes live on and says how to use them.
fn keep(federation: Federation, out: &OutFolder) -> Result<()> {
    let ids: Vec<String> =
        federation.nursery().release().iter().map(|id| format!("-{id}")).collect();
    let ids = ids.join(" ");
    std::fs::write(out.path("processes"), format!("{ids}\n"))?;
    let programs = std::env::current_exe()?;
    let programs = programs.parent().context("this program lies in a folder")?;
    say("the federation goes on running; use it with");
    println!("   export PATH={}:$PATH", programs.display());
    println!("   export WARDROUND_COORDINATOR={}", federation.address());
    println!("   export WARDROUND_PROFILE_DIR={}", federation.profile(LEAD).display());
    println!("   wardround study list");
    println!("   wardround study submit {}", out.path("study.toml").display());
    println!("   wardround-site --home {}/NAME egress list", out.path("sites").display());
    println!("and stop it with");
    println!("   kill -TERM {ids}");
    Ok(())
}

fn say(line: &str) {
    println!("\n-- {line}");
}

/// A command line without the one leading `--` that cargo aliases tempt people to write.
pub fn arguments(given: impl Iterator<Item = String>) -> Vec<String> {
    let mut arguments: Vec<String> = given.collect();
    if arguments.get(1).is_some_and(|first| first == "--") {
        arguments.remove(1);
    }
    arguments
}

/// The study for phantoms and this many hospitals.
fn phantom_study(sites: u16) -> (String, &'static str) {
    match sites {
        0..4 => (
            studies::for_few_sites(studies::PHANTOM),
            "the shipped one for phantoms, without left-out hospitals (that takes four) and with all of them as its quorum",
        ),
        4.. => (
            studies::PHANTOM.to_owned(),
            "the shipped one for phantoms (deploy/studies/phantom.toml)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wardround_core::study::Quorum;

    use super::*;

    #[test]
    fn one_leading_pair_of_dashes_is_tolerated() {
        let of = |words: &[&str]| arguments(words.iter().map(|w| (*w).to_owned()));
        assert_eq!(of(&["demo", "--", "--sites", "5"]), ["demo", "--sites", "5"]);
        assert_eq!(of(&["demo", "--keep"]), ["demo", "--keep"]);
        assert_eq!(of(&["demo"]), ["demo"]);
        let options =
            Options::try_parse_from(of(&["demo", "--", "--sites", "5", "--keep"])).unwrap();
        assert!(options.keep && options.sites == 5 && options.out == Path::new("demo-out"));
        assert!(Options::try_parse_from(["demo", "--sites", "0"]).is_err());
    }

    #[test]
    fn few_hospitals_leave_none_out() {
        let study = |sites| Study::parse(&phantom_study(sites).0).unwrap();
        let leaves_out = |sites| study(sites).validation.leave_one_site_out;
        assert!(!leaves_out(3) && leaves_out(4));
        assert_eq!(study(2).federation.quorum, Quorum::All);
    }
}
