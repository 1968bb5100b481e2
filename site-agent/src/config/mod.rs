//! What a site's owner writes down: `site.toml` and the folder it lies in.

mod file;
mod home;

use std::fs;
use std::io;
use std::path::PathBuf;

pub use file::{Columns, CoordinatorConfig, DataConfig, Issuer, SiteConfig, Threads};
pub use home::Home;

use wardround_core::study::Mistakes;

/// Why `site.toml` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file isn't there or can't be read.
    #[error("can't read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file has mistakes.
    #[error("{path} has mistakes:\n{mistakes}", path = path.display())]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
}

impl SiteConfig {
    /// Reads `site.toml` of a home folder.
    ///
    /// # Errors
    /// [`ConfigError`]: unreadable, or every mistake with line and column.
    pub fn load(home: &Home) -> Result<Self, ConfigError> {
        let path = home.site_file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(ConfigError::Read { path, source }),
        };
        Self::parse(&text, home).map_err(|mistakes| ConfigError::Mistakes { path, mistakes })
    }
}
