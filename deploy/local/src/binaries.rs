//! The two programs, built as this one was: same profile, same target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The programs of a federation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// `wardround`.
    pub coordinator: PathBuf,
    /// `wardround-site`.
    pub site: PathBuf,
}

impl Binaries {
    /// Builds both, which is quick when nothing changed; cargo's output is shown when it fails. Those in
    /// the folder `WARDROUND_BINARIES` are taken as they are when it is set.
    ///
    /// # Errors
    /// They can't be built, or aren't where cargo should have put them.
    pub fn build() -> Result<Self> {
        Self::built_by(&["build", "--package", "wardround", "--package", "wardround-site"])
    }

    /// As [`Binaries::build`], with the features that a test run of the whole workspace has: it has built them already, and other
    /// features would compile most dependencies again.
    ///
    /// # Errors
    /// As [`Binaries::build`].
    pub fn build_for_tests() -> Result<Self> {
        // Both programs have this test, and are built for it.
        Self::built_by(&["test", "--no-run", "--workspace", "--test", "cli_help"])
    }

    fn built_by(command: &[&str]) -> Result<Self> {
        if let Some(folder) = std::env::var_os("WARDROUND_BINARIES") {
            return Self::beside(Path::new(&folder));
        }
        let folder = folder(&std::env::current_exe().context("where is this program?")?)?;
        let (profile, target) = profile(&folder)?;
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(command)
            .args(["--quiet", "--profile", profile, "--target-dir"])
            .arg(target)
            .arg("--manifest-path")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"))
            .stdin(Stdio::null())
            .output()
            .context("cargo can't be started")?;
        if !output.status.success() {
            bail!("cargo build failed:\n{}", String::from_utf8_lossy(&output.stderr));
        }
        Self::beside(&folder)
    }

    /// Those in a folder.
    ///
    /// # Errors
    /// One isn't there.
    pub fn beside(folder: &Path) -> Result<Self> {
        let find = |name: &str| {
            let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            if path.is_file() { Ok(path) } else { bail!("{} isn't there", path.display()) }
        };
        Ok(Self { coordinator: find("wardround")?, site: find("wardround-site")? })
    }
}

/// The folder of a profile's programs; tests and examples lie one below.
fn folder(program: &Path) -> Result<PathBuf> {
    let folder = program.parent().context("a program lies in a folder")?;
    let below = folder.ends_with("deps") || folder.ends_with("examples");
    let folder = if below { folder.parent().context("deps lies in a folder")? } else { folder };
    Ok(folder.to_owned())
}

/// The profile and the target folder of a profile's folder.
fn profile(folder: &Path) -> Result<(&str, &Path)> {
    let name = folder.file_name().and_then(|name| name.to_str()).context("no profile's folder")?;
    let target = folder.parent().context("no target folder")?;
    Ok((if name == "debug" { "dev" } else { name }, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profile_and_target_come_from_the_programs_place() {
        for (program, expected) in [
            ("/w/target/debug/wardround-local", ("dev", "/w/target")),
            ("/w/target/debug/deps/e2e-0123", ("dev", "/w/target")),
            ("/w/target/release/examples/phantoms", ("release", "/w/target")),
            (
                "/w/target/aarch64-unknown-linux-gnu/ci/x",
                ("ci", "/w/target/aarch64-unknown-linux-gnu"),
            ),
        ] {
            let folder = folder(Path::new(program)).unwrap();
            assert_eq!(profile(&folder).unwrap(), (expected.0, Path::new(expected.1)));
        }
    }

    #[test]
    fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Binaries::beside(folder.path()).unwrap_err().to_string();
        assert!(error.contains("wardround") && error.ends_with("isn't there"), "{error}");
    }
}
