//! In which tensor a file was cut off. Asked only after reading has failed: nothing is read by it, an error gets better by it.

use std::collections::BTreeMap;

use safetensors::tensor::TensorInfo;

use super::FormatError;
use super::pickle::Pickle;
use super::torch;

/// The format's own bound.
const MAX_HEADER_BYTES: usize = 100_000_000;

/// What begins a member of a zip archive, and how long that is without name and extra field.
const MEMBER: &[u8] = b"PK\x03\x04";
const MEMBER_BYTES: usize = 30;

/// The header of safetensors tells where each tensor ends.
pub(super) fn safetensors(bytes: &[u8]) -> Option<FormatError> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    if len > MAX_HEADER_BYTES {
        return None;
    }
    let Some((header, data)) = rest.split_at_checked(len) else {
        let what = "the header of safetensors".to_owned();
        return Some(FormatError::Truncated { what, expected: len, got: rest.len() });
    };
    let entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let mut tensors: Vec<(String, TensorInfo)> = entries
        .into_iter()
        .filter_map(|(name, info)| Some((name, serde_json::from_value(info).ok()?)))
        .collect();
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    tensors.into_iter().find_map(|(name, info)| {
        let (from, to) = info.data_offsets;
        let held = to.checked_sub(from)?;
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |n, &size| n.checked_mul(size));
        let what = format!("tensor `{name}` of shape {:?}", info.shape);
        if bits != held.checked_mul(8) {
            let message = format!("safetensors: {what} can't have {held} bytes");
            return Some(FormatError::Malformed(message));
        }
        let got = data.len().saturating_sub(from);
        (got < held).then_some(FormatError::Truncated { what, expected: held, got })
    })
}

/// A zip archive that has lost the list of members at its end: torch writes the pickle first, and then the storages as they are.
pub(super) fn zip(bytes: &[u8]) -> Option<FormatError> {
    let members = members(bytes);
    let is_pickle = |name: &&&str| **name == "data.pkl" || name.ends_with("/data.pkl");
    let pickle = *members.keys().find(is_pickle)?;
    let prefix = pickle.strip_suffix("data.pkl")?;
    let tensors = torch::tensors(&Pickle::read(&mut bytes.get(members[pickle]..)?).ok()?).ok()?;
    tensors.iter().find_map(|(_, tensor)| {
        let key = &tensor.storage.key;
        let expected = torch::bytes_of(&tensor.storage);
        let member = members.get(format!("{prefix}data/{key}").as_str());
        let got = member.map_or(0, |&start| bytes.len().saturating_sub(start));
        let what = torch::named(&tensors, key);
        (got < expected).then_some(FormatError::Truncated { what, expected, got })
    })
}

/// Names of the members and where their data begin.
fn members(bytes: &[u8]) -> BTreeMap<&str, usize> {
    let starts = bytes.windows(MEMBER.len()).enumerate().filter(|(_, four)| *four == MEMBER);
    starts
        .filter_map(|(at, _)| {
            let header = bytes.get(at..at + MEMBER_BYTES)?;
            let [name, extra] =
                [26, 28].map(|at| usize::from(u16::from_le_bytes([header[at], header[at + 1]])));
            let name = bytes.get(at + MEMBER_BYTES..at + MEMBER_BYTES + name)?;
            Some((str::from_utf8(name).ok()?, at + MEMBER_BYTES + name.len() + extra))
        })
        .collect()
}
