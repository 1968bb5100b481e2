//! Studies that run: `submit`, `list`, `watch`, `wait`, `logs`, `abort`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use wardround_core::ids::StudyId;
use wardround_net::MAX_MESSAGE_BYTES;
use wardround_proto::v1;

use super::follow::{follow, outcome};
use super::progress::Screen;
use super::{events, file};
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, Format, envelope, moment, moment_value, table};

/// Bytes of a message that aren't the study file or the model.
const ROOM: usize = 64 << 10;

/// Start a study and print its id (leads)
#[derive(Debug, Args)]
pub struct Submit {
    /// The study file
    file: PathBuf,
    /// Your own word for this submission: the same word again gives the same study
    #[arg(long, value_name = "WORD")]
    token: Option<String>,
    /// The study that this one was cloned from
    #[arg(long, value_name = "ID")]
    parent: Option<StudyId>,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// List the studies
#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Follow a study until it ends (leads)
#[derive(Debug, Args)]
pub struct Watch {
    /// The study's id
    id: StudyId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Wait silently until a study ends; the exit code says how (leads)
#[derive(Debug, Args)]
pub struct Wait {
    /// The study's id
    id: StudyId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// What happened in a study so far (leads)
#[derive(Debug, Args)]
pub struct Logs {
    /// The study's id
    id: StudyId,
    /// Only what came after this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

/// Stop a study (leads)
#[derive(Debug, Args)]
pub struct Abort {
    /// The study's id
    id: StudyId,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Submit {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let (study_toml, study) = file::read(&self.file)?;
        let mut model = file::model(&self.file, &study)?;
        if model.len() + study_toml.len() > MAX_MESSAGE_BYTES - ROOM {
            // The coordinator may have it from the study that fitted it.
            model.clear();
        }
        let parent = self.parent.map(String::from).unwrap_or_default();
        let token = self.token.unwrap_or_default();
        let request = v1::SubmitStudyRequest { study_toml, token, parent, model };
        let reply = self
            .remote
            .within(async {
                Ok(self.remote.connect().await?.submit_study(request).await?.into_inner())
            })
            .await?;
        Ok(Answer::Data { data: json!({ "study": reply.study }), text: reply.study })
    }
}

impl List {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let studies = self.remote.studies().await?;
        let data: Vec<Value> = studies.iter().map(info_value).collect();
        let rows: Vec<Vec<String>> = studies
            .into_iter()
            .map(|s| {
                let (from, to) = (moment(s.submitted_ms), moment(s.ended_ms));
                vec![s.id, s.state, s.name, s.submitted_by, from, to, s.reason]
            })
            .collect();
        let header = ["study", "state", "name", "by", "submitted", "ended", "reason"];
        Ok(Answer::Data { data: data.into(), text: table(&header, &rows) })
    }
}

impl Watch {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let json = self.output.format == Format::Json;
        let mut screen = Screen::new();
        let watched = self
            .remote
            .within(async {
                let mut client = self.remote.connect().await?;
                follow(&mut client, self.id.as_str(), 0, |event| {
                    let shown = match json {
                        true => envelope("study watch", &event_value(event)),
                        false => screen.show(event),
                    };
                    shown.map_err(|error| Failure::internal(format!("the output: {error}")))
                })
                .await
            })
            .await;
        screen.close();
        outcome(&watched?)?;
        // Whoever may watch may not read every report; the study is done either way.
        if let Ok(report) = self.remote.report(&self.id).await {
            for alarm in report.evaluation.alarms() {
                match json {
                    true => {
                        let event =
                            json!({ "kind": "drift-alarm", "event": { "sentence": alarm } });
                        let shown = envelope("study watch", &event);
                        shown.map_err(|error| Failure::internal(format!("the output: {error}")))?;
                    }
                    false => println!("{alarm}"),
                }
            }
        }
        Ok(Answer::Said)
    }
}

impl Wait {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let info = self
            .remote
            .within(async {
                let mut client = self.remote.connect().await?;
                follow(&mut client, self.id.as_str(), 0, |_| Ok(())).await
            })
            .await?;
        outcome(&info)?;
        Ok(Answer::Data { data: info_value(&info), text: info.state })
    }
}

impl Logs {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let request =
            v1::WatchStudyRequest { study: self.id.to_string(), after: self.after, follow: false };
        let seen = self
            .remote
            .within(async {
                let mut client = self.remote.connect().await?;
                let mut stream = client.watch_study(request).await?.into_inner();
                let mut seen = Vec::new();
                while let Some(event) = stream.message().await? {
                    seen.push(event);
                }
                Ok(seen)
            })
            .await?;
        let data: Vec<Value> = seen.iter().map(event_value).collect();
        let lines: Vec<String> = seen
            .iter()
            .map(|e| format!("{} {} {}", e.sequence, moment(e.time_ms), events::line(e)))
            .collect();
        Ok(Answer::Data { data: data.into(), text: lines.join("\n") })
    }
}

impl Abort {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let request = v1::AbortStudyRequest { study: self.id.to_string() };
        self.remote
            .within(async {
                self.remote.connect().await?.abort_study(request).await?;
                Ok(())
            })
            .await?;
        eprintln!("study {} is aborted", self.id);
        Ok(Answer::Data { data: json!({ "aborted": self.id }), text: String::new() })
    }
}

fn info_value(info: &v1::StudyInfo) -> Value {
    json!({
        "study": info.id, "name": info.name, "state": info.state, "reason": info.reason,
        "submitted_by": info.submitted_by, "submitted": moment_value(info.submitted_ms),
        "ended": moment_value(info.ended_ms), "parent": info.parent,
    })
}

fn event_value(event: &v1::Event) -> Value {
    let what: Value = serde_json::from_str(&event.json).unwrap_or(Value::Null);
    json!({
        "number": event.sequence, "time": moment_value(event.time_ms), "kind": event.kind,
        "event": what,
    })
}
