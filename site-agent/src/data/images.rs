//! Image paths of a manifest and the files behind them.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use wardround_core::digest::Digest;

/// Looks at an image file: the digest of its bytes, or why it is unusable.
pub type Look<'a> = &'a (dyn Fn(&Path) -> Result<Digest, String> + Sync);

/// Reads and decodes an image file.
///
/// # Errors
/// Why it can't be read or decoded.
pub fn look(path: &Path) -> Result<Digest, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match wardround_vision::decode_picture(&bytes, &path.display().to_string()) {
        Ok(_) => Ok(Digest::of(&bytes)),
        Err(error) => Err(error.to_string()),
    }
}

/// The file that a manifest's cell names, if it lies in the folder. The path is judged by its text:
/// a link that the owner put into the folder is the owner's business.
pub fn inside(folder: &Path, cell: &str) -> Option<PathBuf> {
    let path = Path::new(cell);
    let path = path.strip_prefix(folder).unwrap_or(path);
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir if clean.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!clean.as_os_str().is_empty()).then(|| folder.join(clean))
}

/// Looks at files on several threads; results in the order of the paths.
pub(super) fn look_at_all(
    paths: &[PathBuf],
    look: Look<'_>,
    threads: usize,
) -> Vec<Result<Digest, String>> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::with_capacity(paths.len()));
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, paths.len().max(1)) {
            scope.spawn(|| {
                let mut own = Vec::new();
                while let Some((at, path)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    paths.get(at).map(|path| (at, path))
                } {
                    own.push((at, look(path)));
                }
                found.lock().expect("no thread panics while it holds the list").extend(own);
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics while it holds the list");
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_folder() {
        let folder = Path::new("/data/images");
        for (cell, file) in [
            ("a.png", Some("/data/images/a.png")),
            ("./x/../a b.png", Some("/data/images/a b.png")),
            ("/data/images/x/a.png", Some("/data/images/x/a.png")),
            ("../a.png", None),
            ("x/../../images2/a.png", None),
            ("/etc/passwd", None),
            ("/data/images/../secret.png", None),
            (".", None),
        ] {
            assert_eq!(inside(folder, cell), file.map(PathBuf::from), "{cell}");
        }
    }

    #[test]
    fn results_come_in_the_order_of_the_paths() {
        let paths: Vec<PathBuf> = (0..50).map(|at| PathBuf::from(at.to_string())).collect();
        let look = |path: &Path| match path.to_str().unwrap().parse::<u32>().unwrap() {
            odd if odd % 2 == 1 => Err(odd.to_string()),
            even => Ok(Digest::of(&even.to_le_bytes())),
        };
        for threads in [0, 1, 4] {
            let found = look_at_all(&paths, &look, threads);
            assert_eq!(found, paths.iter().map(|path| look(path)).collect::<Vec<_>>());
        }
        assert_eq!(look_at_all(&[], &look, 3), []);
    }

    #[test]
    fn a_file_that_is_no_image_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        assert!(look(&path).unwrap_err().contains("a.png"));
        fs::write(&path, b"no image").unwrap();
        assert!(look(&path).unwrap_err().contains("a.png"));
    }
}
