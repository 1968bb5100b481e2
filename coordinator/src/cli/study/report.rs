//! `study report`: a finished study's report in the form that a reader needs.

use std::path::{Path, PathBuf};

use clap::Args;
use wardround_core::ids::StudyId;
use wardround_proto::v1;

use super::file::write_new;
use super::statements;
use crate::cli::connect::Remote;
use crate::cli::output::{Answer, Failure, Format};
use crate::report;

/// A study's report (leads and auditors)
#[derive(Debug, Args)]
pub struct Report {
    /// The study's id
    id: StudyId,
    /// Which form of the report
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
    /// Write to a new file instead of stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write CSV tables into a folder instead: figures, gaps, cohort, calls, roc, calibration
    ///
    /// One line per number or point; what is withheld has an empty cell and the reason. The report
    /// itself is written as well where --out says to which file.
    #[arg(long, value_name = "FOLDER")]
    csv: Option<PathBuf>,
    /// Write a model card in Markdown to a new file instead
    ///
    /// It has the sections of Mitchell and others (2019); what a report can't know, such as the
    /// intended use, is marked for the study's lead to fill in.
    #[arg(long, value_name = "FILE")]
    model_card: Option<PathBuf>,
    /// Put in what only people can write: intended use, approvals, limitations and the like
    ///
    /// A TOML file as `wardround study statements` writes it. Page, JSON and model card show the texts, and the checklists
    /// (TRIPOD+AI, CLAIM, STARD-AI) say what is still missing.
    #[arg(long, value_name = "FILE")]
    statements: Option<PathBuf>,
    /// A copy for readers outside the consortium: every site has a number for its name, the same in
    /// every copy
    ///
    /// The numbers don't follow the alphabet. Devices, and digests by which names could be guessed,
    /// are left out. Names in free texts are found where they are written as the site's id is.
    #[arg(long)]
    pseudonymise_sites: bool,
    #[command(flatten)]
    remote: Remote,
}

/// A form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// The result table
    Text,
    /// report.json, with its own schema; errors come in the usual envelope
    Json,
    /// The page for browsers and print
    Html,
}

impl Report {
    /// How errors look.
    pub fn output_format(&self) -> Format {
        if self.format == Form::Json { Format::Json } else { Format::Text }
    }

    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        if !self.is_made_here() {
            let bytes = self.remote.fetch(&self.id, self.artefact()).await?;
            return self.answer(bytes);
        }
        let statements = self.statements.as_deref().map(statements::read).transpose()?;
        let mut report = self.remote.report(&self.id).await?;
        if let Some(statements) = statements {
            statements::tell_missing(&statements);
            report.statements = statements;
        }
        if self.pseudonymise_sites {
            report = self.copy(&report)?;
        }
        if let Some(folder) = &self.csv {
            write_tables(folder, &report)?;
        }
        if let Some(path) = &self.model_card {
            write_new(path, report.to_model_card().as_bytes())?;
        }
        if (self.csv.is_some() || self.model_card.is_some()) && self.out.is_none() {
            return Ok(Answer::Said);
        }
        self.answer(self.form_of(&report))
    }

    /// Whether this program makes something of report.json that the coordinator doesn't keep.
    fn is_made_here(&self) -> bool {
        self.pseudonymise_sites
            || self.statements.is_some()
            || self.csv.is_some()
            || self.model_card.is_some()
    }

    fn answer(&self, bytes: Vec<u8>) -> Result<Answer, Failure> {
        match &self.out {
            None => Ok(Answer::File(bytes)),
            Some(path) => {
                write_new(path, &bytes)?;
                Ok(Answer::Said)
            }
        }
    }

    fn copy(&self, report: &report::Report) -> Result<report::Report, Failure> {
        let copy = report.with_sites_pseudonymised();
        let copy =
            copy.map_err(|error| Failure::bad_input(format!("no copy can be made: {error}")))?;
        eprintln!(
            "read '{}' and the copy's other free texts before you hand it on: a site's name is found where it is \
             written as its id",
            copy.study.name
        );
        for (field, word) in report.hints_at_sites(&copy) {
            eprintln!(
                "the statement '{field}' has the word '{word}', a part of a site's id: write it otherwise if it tells \
                 which hospital is meant"
            );
        }
        Ok(copy)
    }

    fn artefact(&self) -> v1::Artefact {
        match self.format {
            Form::Text => v1::Artefact::ReportText,
            Form::Json => v1::Artefact::ReportJson,
            Form::Html => v1::Artefact::ReportHtml,
        }
    }

    fn form_of(&self, report: &report::Report) -> Vec<u8> {
        match self.format {
            Form::Text => report.to_text(),
            Form::Json => report.to_json(),
            Form::Html => report.to_html(),
        }
        .into_bytes()
    }
}

/// Writes the tables; none of them may be there already.
fn write_tables(folder: &Path, report: &report::Report) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, &error))?;
    let files = report.to_csv();
    let there = files.iter().map(|file| folder.join(file.name)).find(|path| path.exists());
    if let Some(path) = there {
        return Err(Failure::bad_input(format!(
            "{} is there already: say a folder without these tables",
            path.display()
        )));
    }
    files.iter().try_for_each(|file| write_new(&folder.join(file.name), &file.bytes))
}
