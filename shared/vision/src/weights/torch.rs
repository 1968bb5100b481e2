//! torch checkpoints in both containers. Source: torch `torch/serialization.py`.
//!
//! Legacy: pickles of a magic number, a protocol number, the writer's byte order, the state dict and the storage keys, then each
//! storage as its length and its elements. Zip: `<name>/data.pkl` and one member `<name>/data/<key>` per storage.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use super::pickle::{Kind, Pickle, Storage, Tensor, Value};
use super::state::Element;
use super::{FormatError, Parameter, torn};

/// `MAGIC_NUMBER = 0x1950a86a20f9469cfc6c` as LONG1.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const LEGACY_PROTOCOL: i64 = 1001;

/// Keys under which training scripts put the state dict.
const WRAPPERS: [&str; 3] = ["state_dict", "model", "model_state_dict"];

/// No state dict's pickle is larger: about 100 bytes per tensor.
const MAX_PICKLE_BYTES: u64 = 64 << 20;

pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x80, 0x02, 0x8a, 10]) && bytes[4..].starts_with(&MAGIC)
}

pub(super) fn read_legacy(mut bytes: &[u8]) -> Result<BTreeMap<String, Parameter>, FormatError> {
    let rest = &mut bytes;
    if Pickle::read(rest)?.value != Value::Long(MAGIC.to_vec()) {
        return Err(FormatError::Unknown);
    }
    if Pickle::read(rest)?.value != Value::Int(LEGACY_PROTOCOL) {
        return Err(FormatError::Malformed("an unknown version of the legacy format".to_owned()));
    }
    let system = Pickle::read(rest)?;
    let little = (Value::Text("little_endian".to_owned()), Value::Bool(true));
    if !system.pairs(&system.value).is_some_and(|pairs| pairs.contains(&little)) {
        return Err(FormatError::Malformed("written on a big-endian machine".to_owned()));
    }
    let tensors = tensors(&Pickle::read(rest)?)?;
    let kinds: HashMap<&str, &Storage> =
        tensors.iter().map(|(_, tensor)| (tensor.storage.key.as_str(), &tensor.storage)).collect();
    let keys = Pickle::read(rest)?;
    let mut storages = HashMap::new();
    for key in keys.items(&keys.value).unwrap_or_default() {
        let Value::Text(key) = key else {
            return Err(FormatError::Malformed("a storage key is no text".to_owned()));
        };
        // Without a tensor its element size is unknown, and with it where the next storage begins.
        let storage = *kinds.get(key.as_str()).ok_or_else(|| {
            FormatError::Malformed(format!("storage `{key}` belongs to no tensor"))
        })?;
        let what = || named(&tensors, key);
        let [len, data] = [8, bytes_of(storage)].map(|len| {
            let truncated = FormatError::Truncated { what: what(), expected: len, got: rest.len() };
            let taken = rest.split_at_checked(len).ok_or(truncated);
            taken.map(|(taken, behind)| {
                *rest = behind;
                taken
            })
        });
        if len? != (storage.elements as u64).to_le_bytes() {
            return Err(FormatError::Malformed(format!(
                "{} has another length in its header",
                what()
            )));
        }
        storages.insert(key.clone(), data?);
    }
    parameters(&tensors, |storage| storages.get(&storage.key).copied())
}

pub(super) fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Parameter>, FormatError> {
    let broken = |error: &dyn std::fmt::Display| FormatError::Malformed(format!("zip: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| torn::zip(bytes).unwrap_or_else(|| broken(&error)))?;
    let pickle =
        archive.file_names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"));
    let Some(pickle) = pickle.map(str::to_owned) else {
        return Err(FormatError::Malformed(
            "zip: no data.pkl inside; not a torch checkpoint".to_owned(),
        ));
    };
    let prefix = pickle.trim_end_matches("data.pkl").to_owned();
    let mut member = |name: &str, limit: u64| -> Result<Vec<u8>, FormatError> {
        let file = archive.by_name(name).map_err(|error| broken(&format!("{name}: {error}")))?;
        let mut data = Vec::new();
        file.take(limit)
            .read_to_end(&mut data)
            .map_err(|error| broken(&format!("{name}: {error}")))?;
        Ok(data)
    };
    if member(&format!("{prefix}byteorder"), 16).is_ok_and(|order| order != b"little") {
        return Err(FormatError::Malformed("written on a big-endian machine".to_owned()));
    }
    let data = member(&pickle, MAX_PICKLE_BYTES)?;
    let tensors = tensors(&Pickle::read(&mut data.as_slice())?)?;
    let mut storages: HashMap<String, Vec<u8>> = HashMap::new();
    for (_, tensor) in &tensors {
        let key = &tensor.storage.key;
        if storages.contains_key(key) {
            continue;
        }
        let expected = bytes_of(&tensor.storage);
        let data = member(&format!("{prefix}data/{key}"), expected as u64)?;
        if data.len() < expected {
            let what = named(&tensors, key);
            return Err(FormatError::Truncated { what, expected, got: data.len() });
        }
        storages.insert(key.clone(), data);
    }
    parameters(&tensors, |storage| storages.get(&storage.key).map(Vec::as_slice))
}

/// "tensor `conv.weight` of shape [64, 3, 7, 7]", for an error about its storage.
pub(super) fn named(tensors: &[(String, Tensor)], key: &str) -> String {
    let found = tensors.iter().find(|(_, tensor)| tensor.storage.key == key);
    match found {
        Some((name, tensor)) => format!("tensor `{name}` of shape {:?}", tensor.shape),
        None => format!("storage `{key}`"),
    }
}

/// Bytes of a storage.
pub(super) fn bytes_of(storage: &Storage) -> usize {
    storage.elements.saturating_mul(size(storage.kind))
}

/// The tensors of a state dict, which may be wrapped once.
pub(super) fn tensors(pickle: &Pickle) -> Result<Vec<(String, Tensor)>, FormatError> {
    let direct = |value: &Value| -> Vec<(String, Tensor)> {
        pickle
            .pairs(value)
            .unwrap_or_default()
            .iter()
            .filter_map(|pair| match pair {
                (Value::Text(name), Value::Tensor(tensor)) => Some((name.clone(), tensor.clone())),
                _ => None,
            })
            .collect()
    };
    let found = direct(&pickle.value);
    if !found.is_empty() {
        return Ok(found);
    }
    for (key, value) in pickle.pairs(&pickle.value).unwrap_or_default() {
        if let Value::Text(key) = key
            && WRAPPERS.contains(&key.as_str())
        {
            let found = direct(value);
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Err(FormatError::Malformed("no tensors inside; expected a state dict".to_owned()))
}

fn size(kind: Kind) -> usize {
    element(kind).map_or_else(|bytes| bytes, Element::size)
}

/// The float type, or an integer's bytes.
fn element(kind: Kind) -> Result<Element, usize> {
    match kind {
        Kind::F16 => Ok(Element::F16),
        Kind::Bf16 => Ok(Element::Bf16),
        Kind::F32 => Ok(Element::F32),
        Kind::F64 => Ok(Element::F64),
        Kind::Integer(bytes) => Err(bytes),
    }
}

fn parameters<'a>(
    tensors: &[(String, Tensor)],
    data: impl Fn(&Storage) -> Option<&'a [u8]>,
) -> Result<BTreeMap<String, Parameter>, FormatError> {
    let mut parameters = BTreeMap::new();
    for (name, tensor) in tensors {
        let Ok(element) = element(tensor.storage.kind) else { continue };
        let bytes = data(&tensor.storage).ok_or_else(|| {
            FormatError::Malformed(format!("tensor `{name}` has no storage in the file"))
        })?;
        let values =
            gather(name, tensor, |i| element.read(&bytes[i * element.size()..][..element.size()]))?;
        parameters.insert(name.clone(), Parameter { shape: tensor.shape.clone(), values });
    }
    Ok(parameters)
}

/// Elements in row-major order, whatever the strides.
fn gather(
    name: &str,
    tensor: &Tensor,
    read: impl Fn(usize) -> f32,
) -> Result<Vec<f32>, FormatError> {
    let Tensor { storage, offset, shape, strides } = tensor;
    let outside = || FormatError::OutOfStorage {
        tensor: name.to_owned(),
        shape: shape.clone(),
        strides: strides.clone(),
        offset: *offset,
        elements: storage.elements,
    };
    let count =
        shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(outside)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let last = shape
        .iter()
        .zip(strides)
        .try_fold(*offset, |last, (size, stride)| {
            last.checked_add((size - 1).checked_mul(*stride)?)
        })
        .ok_or_else(outside)?;
    // A state dict's tensors don't repeat elements, so a small file can't ask for much memory.
    if last >= storage.elements || count > storage.elements {
        return Err(outside());
    }
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut at = *offset;
    for _ in 0..count {
        values.push(read(at));
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= shape[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    Ok(values)
}
