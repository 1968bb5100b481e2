//! The demo's output folder: made anew at each run, except what is costly to make again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Says that a folder is the demo's, so that nothing else is ever removed.
const MARKER: &str = ".wardround-demo";

/// What a run leaves and the next one removes. Weights, features and phantoms stay.
const OLD: [&str; 10] = [
    "coordinator",
    "people",
    "sites",
    "logs",
    "study.toml",
    "report.html",
    "report.json",
    "model.safetensors",
    "export.zip",
    "processes",
];

/// The folder.
#[derive(Debug)]
pub(super) struct OutFolder(PathBuf);

impl OutFolder {
    /// Makes it, or clears what an earlier run left in it.
    pub fn prepare(path: &Path) -> Result<Self> {
        let made = || format!("can't use {} for the output", path.display());
        fs::create_dir_all(path).with_context(made)?;
        let folder = fs::canonicalize(path).with_context(made)?;
        let marker = folder.join(MARKER);
        if !marker.exists() {
            if fs::read_dir(&folder).with_context(made)?.next().is_some() {
                bail!(
                    "{} holds something else: name an empty or new folder with --out",
                    path.display()
                );
            }
            fs::write(&marker, "This folder is made by `cargo demo`; it may be deleted.\n")
                .with_context(made)?;
        }
        if let Ok(ids) = fs::read_to_string(folder.join("processes")) {
            println!(
                "an earlier run was told to --keep its processes; if they still run, stop them: kill -TERM {}",
                ids.trim()
            );
        }
        for old in OLD {
            let old = folder.join(old);
            let removed =
                if old.is_dir() { fs::remove_dir_all(&old) } else { fs::remove_file(&old) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("can't remove {}", old.display()));
                }
                _ => {}
            }
        }
        for token in fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|e| e.path())) {
            if token.extension().is_some_and(|end| end == "token") {
                fs::remove_file(token)?;
            }
        }
        Ok(Self(folder))
    }

    pub fn folder(&self) -> &Path {
        &self.0
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_run_left_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let first = OutFolder::prepare(&out).unwrap();
        for name in ["report.html", "lead.token", "mine.txt"] {
            fs::write(first.path(name), "").unwrap();
        }
        fs::create_dir_all(first.path("sites/a")).unwrap();
        fs::create_dir_all(first.path("weights")).unwrap();
        let again = OutFolder::prepare(&out).unwrap();
        let here = |name: &str| again.path(name).exists();
        assert!(!here("report.html") && !here("lead.token") && !here("sites"));
        assert!(here("mine.txt") && here("weights"));
    }

    #[test]
    fn a_strange_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.html"), "precious").unwrap();
        let error = OutFolder::prepare(folder.path()).unwrap_err().to_string();
        assert!(error.contains("holds something else"), "{error}");
        assert!(folder.path().join("report.html").exists());
    }
}
