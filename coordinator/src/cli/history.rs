//! `wardround history`: who did what and when.

use clap::Args;
use serde_json::{Value, json};
use wardround_proto::v1;

use super::connect::{Output, Remote};
use super::output::{Answer, Failure, moment, moment_value, table};

/// Who did what and when
#[derive(Debug, Args)]
pub struct History {
    /// Only what came after this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl History {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let deeds = self.remote.within(self.deeds()).await?;
        let data: Vec<Value> = deeds
            .iter()
            .map(|deed| {
                json!({
                    "number": deed.sequence, "time": moment_value(deed.time_ms),
                    "who": deed.who, "what": deed.what, "subject": deed.subject,
                })
            })
            .collect();
        let rows: Vec<Vec<String>> = deeds
            .into_iter()
            .map(|deed| {
                let number = deed.sequence.to_string();
                vec![number, moment(deed.time_ms), deed.who, deed.what, deed.subject]
            })
            .collect();
        let text = table(&["number", "time", "who", "what", "subject"], &rows);
        Ok(Answer::Data { data: data.into(), text })
    }

    async fn deeds(&self) -> Result<Vec<v1::Deed>, Failure> {
        let mut client = self.remote.connect().await?;
        let mut deeds: Vec<v1::Deed> = Vec::new();
        loop {
            let after = deeds.last().map_or(self.after, |deed| deed.sequence);
            let page = client.history(v1::HistoryRequest { after }).await?.into_inner().deeds;
            if page.is_empty() {
                return Ok(deeds);
            }
            deeds.extend(page);
        }
    }
}
