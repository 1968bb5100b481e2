//! From options to a connection: which coordinator, as whom, for how long.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tonic::transport::Channel;
use wardround_core::clock::{Clock as _, SystemClock};
use wardround_core::ids::StudyId;
use wardround_net::MAX_MESSAGE_BYTES;
use wardround_net::client::{Address, Endpoint};
use wardround_net::pki::{Enrolled, USER_LIFETIME, Wallet};
use wardround_proto::v1::{self, console_client::ConsoleClient};

use super::output::{Exit, Failure, Format};
use super::profile::Profile;
use crate::report::{ReadError, Report};

/// A client of the coordinator.
pub type Client = ConsoleClient<Channel>;

/// Which coordinator, as whom, and how the answer looks.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// The coordinator; left out: the one that the profile joined
    #[arg(long, value_name = "HOST:PORT", env = "WARDROUND_COORDINATOR", hide_env_values = true)]
    pub coordinator: Option<Address>,
    /// Whose key and certificate: a folder in ~/.config/wardround
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub profile: String,
    /// The profile's folder, wherever it lies
    #[arg(long, value_name = "DIR", env = "WARDROUND_PROFILE_DIR", hide_env_values = true)]
    pub profile_dir: Option<PathBuf>,
    /// Give up after this time with exit code 3; left out: never
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// How the answer looks.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// How the answer is written
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

impl Remote {
    /// The profile.
    ///
    /// # Errors
    /// Its name isn't one.
    pub fn profile(&self) -> Result<Profile, Failure> {
        match &self.profile_dir {
            Some(folder) => Ok(Profile::at(folder.clone())),
            None => Profile::named(&self.profile),
        }
    }

    /// The coordinator's address.
    ///
    /// # Errors
    /// Nobody said where it is.
    pub fn address(&self) -> Result<Address, Failure> {
        if let Some(address) = &self.coordinator {
            return Ok(address.clone());
        }
        self.profile()?.coordinator()?.ok_or_else(|| {
            Failure::bad_input(
                "which coordinator? say --coordinator HOST:PORT or set WARDROUND_COORDINATOR",
            )
        })
    }

    /// Connects as the profile's person. A certificate in its last third is renewed on the way.
    ///
    /// # Errors
    /// Nobody joined with the profile, or there is no connection.
    pub async fn connect(&self) -> Result<Client, Failure> {
        let profile = self.profile()?;
        if !profile.is_enrolled() {
            let sentence = format!(
                "nobody has joined with the profile in {}: `wardround user join` does",
                profile.folder().display()
            );
            return Err(Failure::new("identity", Exit::Connection, sentence));
        }
        let address = self.address()?;
        let wallet = profile.wallet()?;
        let enrolled = wallet.load()?;
        let client = client(&address, &enrolled);
        if is_old(&enrolled) {
            renew(client.clone(), &wallet, &enrolled).await;
        }
        Ok(client)
    }

    /// A file that a study left; leads and auditors may.
    ///
    /// # Errors
    /// There is no such study or file, no right to it, or no connection in time.
    pub async fn fetch(&self, study: &StudyId, artefact: v1::Artefact) -> Result<Vec<u8>, Failure> {
        let request = v1::FetchRequest { study: study.to_string(), artefact: artefact.into() };
        self.within(async {
            let mut parts = self.connect().await?.fetch(request).await?.into_inner();
            let mut bytes = Vec::new();
            while let Some(part) = parts.message().await? {
                bytes.extend(part.data);
            }
            Ok(bytes)
        })
        .await
    }

    /// Every study that this user may see.
    ///
    /// # Errors
    /// No connection in time.
    pub async fn studies(&self) -> Result<Vec<v1::StudyInfo>, Failure> {
        let request = v1::ListStudiesRequest {};
        self.within(async {
            Ok(self.connect().await?.list_studies(request).await?.into_inner().studies)
        })
        .await
    }

    /// A study's report, to be read by this program.
    ///
    /// # Errors
    /// As [`Remote::fetch`], and a report of another format.
    pub async fn report(&self, study: &StudyId) -> Result<Report, Failure> {
        let bytes = self.fetch(study, v1::Artefact::ReportJson).await?;
        read_report(&format!("the report of study {study}"), &bytes)
    }

    /// Runs something within the timeout.
    ///
    /// # Errors
    /// Its own, and a timeout.
    pub async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let Some(limit) = self.timeout else { return work.await };
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let sentence = format!("not done within {} s (--timeout)", limit.as_secs_f64());
            Err(Failure::new("timeout", Exit::Timeout, sentence))
        })
    }
}

/// Reads a `report.json`.
///
/// # Errors
/// It isn't one, or one of another format.
pub fn read_report(what: &str, bytes: &[u8]) -> Result<Report, Failure> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Failure::bad_input(format!("{what}: expected a report.json, got no text")))?;
    Report::from_json(text).map_err(|error| {
        let instead = match error {
            ReadError::Format(_) => {
                "; `wardround study report` gives it as it was written, and the version that wrote it reads it"
            }
            ReadError::Malformed(_) => "",
        };
        Failure::bad_input(format!("{what}: {error}{instead}"))
    })
}

fn client(address: &Address, enrolled: &Enrolled) -> Client {
    ConsoleClient::new(Endpoint::enrolled(address.clone(), enrolled).connect_lazy())
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

fn is_old(enrolled: &Enrolled) -> bool {
    let left = enrolled.me.not_after.since_ms(SystemClock.now());
    i128::from(left) < (USER_LIFETIME.as_millis() / 3) as i128
}

/// Renews the certificate; when that fails the old one still serves, and the command itself will
/// say what is wrong.
async fn renew(mut client: Client, wallet: &Wallet, enrolled: &Enrolled) {
    let renewed = async {
        let request = v1::RenewRequest { csr_der: wallet.request()? };
        let reply = client.renew_user(request).await?.into_inner();
        let fresh = wallet.accept(&reply.certificate_pem, &reply.ca_pem)?;
        enrolled.credentials.take_over(&fresh.credentials);
        Ok::<_, Failure>(())
    };
    if let Err(failure) = renewed.await {
        eprintln!("your certificate can't be renewed: {}", failure.sentence);
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time in seconds");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}
