//! A profile: who this person is at which coordinator. A folder with the key and certificates of
//! [`Wallet`] and `profile.toml` with the coordinator's address.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wardround_net::client::Address;
use wardround_net::pki::Wallet;

use super::output::Failure;
use crate::service::os;

/// A profile's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    format: u32,
    coordinator: String,
}

impl Profile {
    /// The profile in a folder.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The profile of a name, in the person's settings folder.
    ///
    /// # Errors
    /// The name isn't one, or there is no settings folder.
    pub fn named(name: &str) -> Result<Self, Failure> {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if name.is_empty() || !plain {
            let what = "a profile's name holds letters, digits, '-' and '_'";
            return Err(Failure::bad_input(format!("{what}; '{name}' doesn't fit")));
        }
        let settings = os::settings_folder()
            .ok_or_else(|| Failure::bad_input("there is no home folder: say --profile-dir DIR"))?;
        Ok(Self { folder: settings.join("wardround").join(name) })
    }

    /// Its folder.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Whether somebody joined with it.
    pub fn is_enrolled(&self) -> bool {
        self.folder.join("identity.pem").exists()
    }

    /// Its keys; the folder is made when it isn't there.
    ///
    /// # Errors
    /// The folder can't be made.
    pub fn wallet(&self) -> Result<Wallet, Failure> {
        Ok(Wallet::open(&self.folder)?)
    }

    /// The coordinator it was joined at.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub fn coordinator(&self) -> Result<Option<Address>, Failure> {
        let path = self.folder.join("profile.toml");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::file(&path, &error)),
        };
        let wrong = |what: String| Failure::bad_input(format!("{}: {what}", path.display()));
        let settings: Settings = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if settings.format != 1 {
            return Err(wrong(format!("format {} is newer than this program", settings.format)));
        }
        settings.coordinator.parse().map(Some).map_err(|error| wrong(format!("{error}")))
    }

    /// Remembers the coordinator.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn remember(&self, coordinator: &Address) -> Result<(), Failure> {
        let path = self.folder.join("profile.toml");
        let settings = Settings { format: 1, coordinator: coordinator.to_string() };
        let text = toml::to_string(&settings).map_err(|e| Failure::internal(e.to_string()))?;
        os::write_private(&path, &text).map_err(|error| Failure::file(&path, &error))
    }
}
