//! Following a study over connections that drop and a coordinator that restarts: what was shown
//! isn't shown again, what happened meanwhile is made up for.

use wardround_net::retry::{Policy, Retry, Transient as _};
use wardround_proto::problem::{Problem, ProblemCode};
use wardround_proto::v1;

use crate::cli::connect::Client;
use crate::cli::output::{Exit, Failure};

/// Follows a study until it is over and says how it ended. Only the first connection must work.
///
/// # Errors
/// No connection at first, a refusal, or what `show` says.
pub async fn follow(
    client: &mut Client,
    study: &str,
    after: u64,
    mut show: impl FnMut(&v1::Event) -> Result<(), Failure>,
) -> Result<v1::StudyInfo, Failure> {
    let mut after = after;
    let mut retry = Retry::new(Policy::PATIENT);
    let mut connected = false;
    let mut told = false;
    loop {
        let followed = async {
            let request = v1::WatchStudyRequest { study: study.to_owned(), after, follow: true };
            let mut events = client.watch_study(request).await?.into_inner();
            connected = true;
            if told {
                eprintln!("connected again");
                told = false;
            }
            while let Some(event) = events.message().await? {
                retry.reset();
                after = after.max(event.sequence);
                show(&event)?;
            }
            info(client, study).await
        };
        match followed.await {
            Ok(info) if is_over(&info.state) => return Ok(info),
            // The stream ended before the study did: the coordinator is stopping.
            Ok(_) => {}
            Err(Ended::Said(failure)) => return Err(failure),
            Err(Ended::Call(status)) if connected && status.is_transient() => {
                if !told {
                    let failure = Failure::from(status);
                    eprintln!("{}; trying again, the study goes on meanwhile", failure.sentence);
                    told = true;
                }
            }
            Err(Ended::Call(status)) => return Err(status.into()),
        }
        let delay = retry.next_delay().unwrap_or(Policy::PATIENT.longest);
        tokio::time::sleep(delay).await;
    }
}

/// A study as the coordinator lists it.
///
/// # Errors
/// The call fails, or there is no such study.
pub async fn info(client: &mut Client, study: &str) -> Result<v1::StudyInfo, Ended> {
    let studies = client.list_studies(v1::ListStudiesRequest {}).await?.into_inner().studies;
    studies.into_iter().find(|info| info.id == study).ok_or_else(|| {
        let sentence = format!("there is no study {study}; `wardround study list` shows them");
        Ended::Said(Problem::new(ProblemCode::NotFound, sentence).into())
    })
}

/// The end of a study that is over, as a command's end.
///
/// # Errors
/// The study failed or was aborted.
pub fn outcome(info: &v1::StudyInfo) -> Result<(), Failure> {
    match info.state.as_str() {
        "done" => Ok(()),
        state => {
            let reason = if info.reason.is_empty() { "no reason was kept" } else { &info.reason };
            let sentence = format!("study {} {state}: {reason}", info.id);
            Err(Failure::new("study-failed", Exit::StudyFailed, sentence))
        }
    }
}

/// Why following stopped: a call failed, which may be worth another try, or it is final.
pub enum Ended {
    /// A call failed.
    Call(tonic::Status),
    /// Final.
    Said(Failure),
}

impl From<tonic::Status> for Ended {
    fn from(status: tonic::Status) -> Self {
        Ended::Call(status)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Ended::Said(failure)
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Call(status) => status.into(),
            Ended::Said(failure) => failure,
        }
    }
}

fn is_over(state: &str) -> bool {
    matches!(state, "done" | "failed" | "aborted")
}
