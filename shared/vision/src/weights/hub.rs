//! The Hugging Face hub: its cache on this machine first, then the hub itself.
//!
//! The environment decides as it does for Python's client: `HF_HOME` and `HF_HUB_CACHE` say where the cache is, `HF_HUB_OFFLINE` forbids
//! the network, `HF_ENDPOINT` names a mirror. A machine that was prepared for offline use, by either client, stays offline.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};

/// Digits of a commit.
const COMMIT: usize = 40;

/// How the hub is reached from here.
#[derive(Debug)]
pub(super) struct Hub {
    cache: PathBuf,
    network: Network,
}

#[derive(Debug, PartialEq, Eq)]
enum Network {
    /// `HF_HUB_OFFLINE` is set.
    Forbidden,
    /// The hub itself.
    Hub,
    /// A mirror.
    Mirror(String),
}

impl Hub {
    /// As the environment says. Where there is no home folder, as under a hardened service, the cache lies in `without_home`.
    pub(super) fn from_env(without_home: &Path) -> Self {
        Self::of(&|name| std::env::var_os(name), std::env::home_dir(), without_home)
    }

    fn of(
        variable: &dyn Fn(&str) -> Option<OsString>,
        home: Option<PathBuf>,
        without_home: &Path,
    ) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let cache = match (set("HF_HUB_CACHE"), set("HF_HOME"), home) {
            (Some(cache), ..) => cache.into(),
            (None, Some(home), _) => Path::new(&home).join("hub"),
            (None, None, Some(home)) => home.join(".cache/huggingface/hub"),
            (None, None, None) => without_home.to_owned(),
        };
        let text = |name| set(name).and_then(|value| value.into_string().ok());
        // Python's client takes these words for yes; whatever else is set is taken for it, too: the network is what asks for consent.
        let no = ["0", "false", "no", "off"];
        let is_offline = set("HF_HUB_OFFLINE").is_some_and(|value| {
            !no.iter().any(|no| value.to_string_lossy().eq_ignore_ascii_case(no))
        });
        let network = match (is_offline, text("HF_ENDPOINT")) {
            (true, _) => Network::Forbidden,
            (false, Some(mirror)) => Network::Mirror(mirror),
            (false, None) => Network::Hub,
        };
        Self { cache, network }
    }

    /// A file of a repository, from the cache or fetched into it; otherwise the reason in words.
    pub(super) fn fetch(&self, repo: &str, revision: &str, file: &str) -> Result<PathBuf, String> {
        let named = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
        let cache = Cache::new(self.cache.clone());
        if let Some(path) = cached(&cache, &named, revision, file) {
            return Ok(path);
        }
        let builder = ApiBuilder::from_cache(cache).with_progress(false);
        let builder = match &self.network {
            Network::Forbidden => return Err("HF_HUB_OFFLINE is set".to_owned()),
            Network::Hub => builder,
            Network::Mirror(endpoint) => builder.with_endpoint(endpoint.clone()),
        };
        let api = builder.build().map_err(|error| error.to_string())?;
        api.repo(named).get(file).map_err(|error| error.to_string())
    }
}

/// Python's client keeps no reference for a commit, as its snapshot has the commit's name; hf-hub looks only at references.
fn cached(cache: &Cache, named: &Repo, revision: &str, file: &str) -> Option<PathBuf> {
    let repo = cache.repo(named.clone());
    repo.get(file).or_else(|| {
        let is_commit =
            revision.len() == COMMIT && revision.bytes().all(|digit| digit.is_ascii_hexdigit());
        let path = repo.pointer_path(revision).join(file);
        (is_commit && path.is_file()).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn hub(variables: &[(&str, &str)], home: Option<&str>) -> Hub {
        let find = |name: &str| {
            variables.iter().find(|(own, _)| *own == name).map(|(_, value)| value.into())
        };
        Hub::of(&find, home.map(PathBuf::from), Path::new("/ours"))
    }

    #[test]
    fn the_environment_says_where_the_cache_is() {
        fn cache(variables: &[(&str, &str)], home: Option<&str>) -> PathBuf {
            hub(variables, home).cache
        }
        assert_eq!(cache(&[], None), Path::new("/ours"));
        assert_eq!(cache(&[], Some("/me")), Path::new("/me/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HF_HOME", "/hf")], Some("/me")), Path::new("/hf/hub"));
        let both = [("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/hub")];
        assert_eq!(cache(&both, Some("/me")), Path::new("/hub"));
        assert_eq!(cache(&[("HF_HOME", "")], None), Path::new("/ours"));
    }

    #[test]
    fn the_environment_says_whether_there_is_a_network() {
        fn network(variables: &[(&str, &str)]) -> Network {
            hub(variables, None).network
        }
        assert_eq!(network(&[]), Network::Hub);
        for no in ["", "0", "false", "OFF"] {
            assert_eq!(network(&[("HF_HUB_OFFLINE", no)]), Network::Hub, "{no}");
        }
        for yes in ["1", "TRUE", "yes"] {
            assert_eq!(network(&[("HF_HUB_OFFLINE", yes)]), Network::Forbidden, "{yes}");
        }
        let mirror = ("HF_ENDPOINT", "http://mirror");
        assert_eq!(network(&[mirror]), Network::Mirror("http://mirror".to_owned()));
        assert_eq!(network(&[mirror, ("HF_HUB_OFFLINE", "1")]), Network::Forbidden);
    }

    /// A cache with a file of the branch `main`, and one that lies only under its commit.
    fn prepared(cache: &Path) {
        let repo = cache.join("models--timm--tiny");
        for folder in ["refs", "snapshots/fedcba"] {
            fs::create_dir_all(repo.join(folder)).unwrap();
        }
        fs::write(repo.join("refs/main"), "fedcba").unwrap();
        fs::write(repo.join("snapshots/fedcba/model.safetensors"), b"main").unwrap();
        fs::create_dir(repo.join("snapshots").join(SHA)).unwrap();
        fs::write(repo.join("snapshots").join(SHA).join("model.safetensors"), b"commit").unwrap();
    }

    #[test]
    fn a_prepared_cache_needs_no_network() {
        let folder = tempfile::tempdir().unwrap();
        prepared(folder.path());
        let cache = ("HF_HUB_CACHE", folder.path().to_str().unwrap());
        // Nobody listens on port 1: were the hub asked, this would fail.
        for hub in [
            hub(&[cache, ("HF_HUB_OFFLINE", "1")], None),
            hub(&[cache, ("HF_ENDPOINT", "http://127.0.0.1:1")], None),
        ] {
            let read =
                |revision| fs::read(hub.fetch("timm/tiny", revision, "model.safetensors").unwrap());
            assert_eq!(read("main").unwrap(), b"main");
            assert_eq!(read(SHA).unwrap(), b"commit");
        }
    }

    #[test]
    fn what_is_not_in_the_cache_is_an_error_without_network() {
        let folder = tempfile::tempdir().unwrap();
        prepared(folder.path());
        let cache = ("HF_HUB_CACHE", folder.path().to_str().unwrap());
        let offline = hub(&[cache, ("HF_HUB_OFFLINE", "1")], None);
        for (revision, file) in
            [("main", "other.bin"), ("other", "model.safetensors"), ("fedcba", "model.safetensors")]
        {
            let error = offline.fetch("timm/tiny", revision, file).unwrap_err();
            assert_eq!(error, "HF_HUB_OFFLINE is set", "{revision}/{file}");
        }
        let unreachable = hub(&[cache, ("HF_ENDPOINT", "http://127.0.0.1:1")], None);
        assert!(unreachable.fetch("timm/tiny", "main", "other.bin").is_err());
    }
}
