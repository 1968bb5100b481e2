//! A bundle's file, and what is wrong with one that isn't a bundle.

use std::fs;
use std::path::Path;

use serde_json::Value;
use wardround_core::digest::Digest;
use wardround_learn::bundle::{BundleError, LARGEST_BUNDLE, ModelBundle};

use crate::archive::names;
use crate::cli::output::Failure;

/// Bytes of the number that a safetensors file starts with: the length of its header.
const LENGTH_BYTES: usize = 8;

/// Reads and checks a bundle; gives the digest of its bytes as well.
///
/// # Errors
/// The file can't be read or isn't a bundle; names the file and what is wrong with it.
pub fn read(path: &Path) -> Result<(ModelBundle, Digest), Failure> {
    let size = fs::metadata(path).map_err(|error| Failure::file(path, &error))?.len();
    let wrong = |what: String| Failure::bad_input(format!("{}: {what}", path.display()));
    if size > LARGEST_BUNDLE as u64 {
        return Err(wrong(format!(
            "a bundle has at most {LARGEST_BUNDLE} bytes, this file has {size}"
        )));
    }
    let bytes = fs::read(path).map_err(|error| Failure::file(path, &error))?;
    let bundle = ModelBundle::read(&bytes).map_err(|error| wrong(what_is_wrong(&bytes, &error)))?;
    Ok((bundle, Digest::of(&bytes)))
}

fn what_is_wrong(bytes: &[u8], error: &BundleError) -> String {
    let got = bytes.len();
    if bytes.is_empty() {
        return "the file is empty, expected a model bundle".to_owned();
    }
    if bytes.starts_with(b"PK") {
        return format!(
            "expected a model bundle, got a zip: if it is a study's archive, its entry {} is the bundle",
            names::MODEL
        );
    }
    match (error, whole_length(bytes)) {
        (BundleError::Safetensors(_), Whole::Bytes(expected)) if expected > got as u64 => {
            format!("the file is cut off: expected {expected} bytes, got {got}")
        }
        (BundleError::Safetensors(_), Whole::More(least)) => {
            format!(
                "the file is cut off in its header: expected more than {least} bytes, got {got}"
            )
        }
        (BundleError::Safetensors(_), _) => format!("expected a model bundle, but it is {error}"),
        _ => error.to_string(),
    }
}

/// How many bytes a safetensors file says that it has.
enum Whole {
    Bytes(u64),
    /// The header, which says it, goes on for so many bytes.
    More(u64),
    Unknown,
}

fn whole_length(bytes: &[u8]) -> Whole {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Whole::Unknown;
    };
    let length = u64::from_le_bytes(*length);
    if length > LARGEST_BUNDLE as u64 || rest.first().is_some_and(|first| *first != b'{') {
        return Whole::Unknown;
    }
    let start = LENGTH_BYTES as u64 + length;
    let Some(header) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
        return Whole::More(start);
    };
    let Ok(Value::Object(header)) = serde_json::from_slice(header) else { return Whole::Unknown };
    let end = |tensor: &Value| tensor["data_offsets"][1].as_u64();
    match header.values().filter_map(end).max() {
        Some(end) => Whole::Bytes(start.saturating_add(end)),
        None => Whole::Unknown,
    }
}
