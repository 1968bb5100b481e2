//! A state dict: float tensors by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use safetensors::{Dtype, SafeTensors};

use super::{FormatError, LocalWeights, WeightsError};
use super::{torch, torn};
use crate::backbones::Architecture;
use crate::network::Network;

/// How many unknown names an error shows.
const SHOWN: usize = 4;

/// A float tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Its values in row-major order.
    pub values: Vec<f32>,
}

/// Tensors by name. Integer tensors (batch counters and the like) are left out when a file is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StateDict(BTreeMap<String, Parameter>);

impl StateDict {
    /// Reads safetensors, a zip checkpoint or a legacy checkpoint; which one it is, the first bytes tell.
    ///
    /// # Errors
    /// The file can't be read, is of another kind, cut off, or holds something else than tensors.
    pub fn read(weights: &LocalWeights) -> Result<Self, WeightsError> {
        let path = &weights.path;
        let bytes =
            fs::read(path).map_err(|source| WeightsError::Io { path: path.clone(), source })?;
        Self::parse(&bytes).map_err(|source| WeightsError::Format { path: path.clone(), source })
    }

    /// Reads from memory.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        if torch::is_zip(bytes) {
            torch::read_zip(bytes).map(Self)
        } else if torch::is_legacy(bytes) {
            torch::read_legacy(bytes).map(Self)
        } else if bytes.get(8) == Some(&b'{') {
            read_safetensors(bytes).map(Self)
        } else {
            Err(FormatError::Unknown)
        }
    }

    /// Names and shapes, by name.
    pub fn shapes(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.0.iter().map(|(name, parameter)| (name.as_str(), parameter.shape.as_slice()))
    }

    /// A tensor of this name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }

    /// Removes a tensor.
    pub fn take(&mut self, name: &str) -> Option<Parameter> {
        self.0.remove(name)
    }

    /// Adds a tensor, in place of one of this name.
    pub fn insert(&mut self, name: impl Into<String>, parameter: Parameter) {
        self.0.insert(name.into(), parameter);
    }

    /// The same tensors under other names; `None` keeps a name.
    #[must_use]
    pub fn renamed(self, new_name: impl Fn(&str) -> Option<String>) -> Self {
        let rename = |(name, parameter): (String, _)| (new_name(&name).unwrap_or(name), parameter);
        Self(self.0.into_iter().map(rename).collect())
    }

    /// Gives a tensor another shape, in which its values lie in the same order. One that is missing, or has another number of
    /// values, is left for the check of names and shapes to complain of.
    pub fn reshape(&mut self, name: &str, shape: &[usize]) {
        if let Some(parameter) = self.0.get_mut(name)
            && parameter.shape.iter().product::<usize>() == shape.iter().product::<usize>()
        {
            parameter.shape = shape.to_vec();
        }
    }

    /// Puts tensors one after the other along their first axis, as one tensor called `whole`. If one is missing or their other axes
    /// differ, all are left as they are.
    pub fn merge(&mut self, parts: &[String], whole: impl Into<String>) {
        let Some(found) = parts.iter().map(|name| self.0.get(name)).collect::<Option<Vec<_>>>()
        else {
            return;
        };
        let Some((_, rest)) = found.first().and_then(|first| first.shape.split_first()) else {
            return;
        };
        if found.iter().any(|part| part.shape.get(1..) != Some(rest)) {
            return;
        }
        let rows = found.iter().map(|part| part.shape[0]).sum();
        let shape = [&[rows], rest].concat();
        let values = found.iter().flat_map(|part| part.values.iter().copied()).collect();
        for name in parts {
            self.0.remove(name);
        }
        self.0.insert(whole.into(), Parameter { shape, values });
    }

    /// The same tensors in the architecture's own form, checked against its network.
    pub(crate) fn named_as(
        self,
        architecture: &dyn Architecture,
        network: &Network,
    ) -> Result<Self, WeightsError> {
        let state = architecture.adapt(self);
        state.check(&network.parameters())?;
        Ok(state)
    }

    /// Checks that all parameters are here, with their shapes and finite values.
    pub(crate) fn check(&self, parameters: &[(String, Vec<usize>)]) -> Result<(), WeightsError> {
        let mut missing = parameters.iter().filter(|(name, _)| !self.0.contains_key(name));
        if let Some((tensor, expected)) = missing.next() {
            let known: BTreeSet<&str> = parameters.iter().map(|(name, _)| name.as_str()).collect();
            let names = self.0.keys().map(String::as_str);
            let unknown: Vec<&str> = names.filter(|name| !known.contains(name)).collect();
            return Err(WeightsError::Missing {
                tensor: tensor.clone(),
                expected: expected.clone(),
                others: missing.count(),
                unknown: describe(self, &unknown),
            });
        }
        let mut misshaped = parameters.iter().filter(|(name, shape)| self.0[name].shape != *shape);
        if let Some((tensor, expected)) = misshaped.next() {
            return Err(WeightsError::Shape {
                tensor: tensor.clone(),
                expected: expected.clone(),
                got: self.0[tensor].shape.clone(),
                others: misshaped.count(),
            });
        }
        for (tensor, _) in parameters {
            if let Some(index) = self.0[tensor].values.iter().position(|v| !v.is_finite()) {
                return Err(WeightsError::NotFinite { tensor: tensor.clone(), index });
            }
        }
        Ok(())
    }

    /// Values of a tensor that [`StateDict::check`] has seen.
    pub(crate) fn values(&self, tensor: &str) -> Result<&[f32], WeightsError> {
        self.0.get(tensor).map(|p| p.values.as_slice()).ok_or_else(|| WeightsError::Missing {
            tensor: tensor.to_owned(),
            expected: Vec::new(),
            others: 0,
            unknown: describe(self, &[]),
        })
    }
}

impl FromIterator<(String, Parameter)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Parameter)>>(parameters: I) -> Self {
        Self(parameters.into_iter().collect())
    }
}

fn describe(state: &StateDict, unknown: &[&str]) -> String {
    if unknown.is_empty() {
        return format!("{} tensors, all of them known", state.0.len());
    }
    let shown: Vec<String> = unknown
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}` {:?}", state.0[*name].shape))
        .collect();
    let more = if unknown.len() > SHOWN {
        format!(" and {} more", unknown.len() - SHOWN)
    } else {
        String::new()
    };
    format!("tensors that this architecture does not know: {}{more}", shown.join(", "))
}

fn read_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Parameter>, FormatError> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let broken = || FormatError::Malformed(format!("safetensors: {error}"));
        torn::safetensors(bytes).unwrap_or_else(broken)
    })?;
    let mut parameters = BTreeMap::new();
    for (name, view) in file.tensors() {
        let element = match view.dtype() {
            Dtype::F32 => Element::F32,
            Dtype::F64 => Element::F64,
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::Bf16,
            _ => continue,
        };
        let values =
            view.data().chunks_exact(element.size()).map(|bytes| element.read(bytes)).collect();
        parameters.insert(name, Parameter { shape: view.shape().to_vec(), values });
    }
    Ok(parameters)
}

/// Floating-point elements, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F64,
    F16,
    Bf16,
}

impl Element {
    /// Bytes.
    pub(super) fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// The value of `size` bytes.
    pub(super) fn read(self, bytes: &[u8]) -> f32 {
        let mut raw = [0; 8];
        raw[..bytes.len()].copy_from_slice(bytes);
        let raw = u64::from_le_bytes(raw);
        match self {
            Self::F32 => f32::from_bits(raw as u32),
            Self::F64 => f64::from_bits(raw) as f32,
            Self::Bf16 => f32::from_bits((raw as u32) << 16),
            Self::F16 => half(raw as u16),
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f32.powi(-24)),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(Element::F16.read(&u16::to_le_bytes(bits)), value);
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(Element::Bf16.read(&[0x80, 0x3f]), 1.0);
        assert_eq!(Element::F64.read(&0.5f64.to_le_bytes()), 0.5);
    }

    #[test]
    fn wrong_tensors_are_named_with_both_shapes() {
        let state: StateDict =
            [("a".to_owned(), Parameter { shape: vec![2], values: vec![1.0, f32::NAN] })]
                .into_iter()
                .collect();
        let error = state.check(&[("a".into(), vec![3, 1])]).unwrap_err().to_string();
        assert_eq!(error, "tensor `a` has shape [2], expected [3, 1]");
        let several = [("c".into(), vec![1]), ("d".into(), vec![]), ("a".into(), vec![3])];
        let error = state.check(&several).unwrap_err().to_string();
        assert!(error.contains("`c` of shape [1] is missing, and so is one other;"), "{error}");
        let error = state.check(&[("b".into(), vec![3])]).unwrap_err().to_string();
        assert!(error.contains("`b` of shape [3]") && error.contains("`a` [2]"), "{error}");
        let error = state.check(&[("a".into(), vec![2])]).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("index 1"), "{error}");
    }

    #[test]
    fn tensors_are_renamed_reshaped_and_merged_only_where_they_fit() {
        let parameter = |shape: &[usize], values: &[f32]| Parameter {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let names = |names: [&str; 2]| names.map(str::to_owned);
        let state: StateDict = [
            ("q".to_owned(), parameter(&[1, 2], &[1.0, 2.0])),
            ("k".to_owned(), parameter(&[2, 2], &[3.0, 4.0, 5.0, 6.0])),
            ("bias".to_owned(), parameter(&[2], &[7.0, 8.0])),
        ]
        .into_iter()
        .collect();
        let mut state = state.renamed(|name| (name == "bias").then(|| "b".to_owned()));
        state.reshape("b", &[2, 1, 1]);
        assert_eq!(state.get("b"), Some(&parameter(&[2, 1, 1], &[7.0, 8.0])));
        state.reshape("b", &[3]);
        assert_eq!(state.get("b").unwrap().shape, [2, 1, 1]);
        let before = state.clone();
        state.merge(&names(["q", "v"]), "qv");
        state.merge(&names(["q", "b"]), "qb");
        assert_eq!(state, before);
        state.merge(&names(["q", "k"]), "qk");
        let whole = parameter(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!((state.take("qk"), state.get("q"), state.get("k")), (Some(whole), None, None));
    }

    #[test]
    fn safetensors_are_read_and_a_cut_is_seen() {
        let data: Vec<u8> = [1.0f32, -2.0, 3.5].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = safetensors::tensor::TensorView::new(Dtype::F32, vec![3, 1], &data).unwrap();
        let bytes = safetensors::serialize([("w", view)], None).unwrap();
        let state = StateDict::parse(&bytes).unwrap();
        assert_eq!(state.shapes().collect::<Vec<_>>(), [("w", [3usize, 1].as_slice())]);
        assert_eq!(state.values("w").unwrap(), [1.0, -2.0, 3.5]);
        assert!(StateDict::parse(&bytes[..bytes.len() - 1]).is_err());
    }

    /// `conv.weight` of shape [4, 2, 3, 3], and `conv.bias`, whose last value is infinite; in every container.
    #[test]
    fn wrong_tensors_are_named_whatever_the_container() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
        for file in ["wrong.safetensors", "wrong-zip.pth", "wrong-legacy.pth"] {
            let state = StateDict::parse(&fs::read(format!("{folder}{file}")).unwrap()).unwrap();
            let error = |name: &str, weight: &[usize]| {
                let bias = (format!("{name}.bias"), vec![4]);
                let parameters = [(format!("{name}.weight"), weight.to_vec()), bias];
                state.check(&parameters).unwrap_err().to_string()
            };
            assert_eq!(
                error("conv", &[4, 2, 3, 3]),
                "tensor `conv.bias` holds a value that is not finite at index 3",
                "{file}"
            );
            assert_eq!(
                error("conv", &[4, 2, 1, 1]),
                "tensor `conv.weight` has shape [4, 2, 3, 3], expected [4, 2, 1, 1]",
                "{file}"
            );
            assert_eq!(
                error("stem", &[4, 2, 3, 3]),
                "tensor `stem.weight` of shape [4, 2, 3, 3] is missing, and so is one other; the file has tensors that this \
                 architecture does not know: `conv.bias` [4], `conv.weight` [4, 2, 3, 3]",
                "{file}"
            );
        }
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [b"".as_slice(), b"hello", b"\x89PNG\r\n\x1a\n0000"] {
            assert!(matches!(StateDict::parse(bytes), Err(FormatError::Unknown)));
        }
    }
}
