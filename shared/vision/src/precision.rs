//! How exactly a backbone computes: a study's choice, part of the cache key and the report.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The numbers that go into a network's products. Sums are always kept in f32, and so are features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE 754 single precision.
    #[default]
    F32,
    /// bfloat16: the upper half of an f32. Faster where the machine has instructions for it.
    Bf16,
}

impl Precision {
    /// As a study file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_is_written_as_it_is_shown() {
        for precision in [Precision::F32, Precision::Bf16] {
            let written = serde_json::to_string(&precision).unwrap();
            assert_eq!(written, format!("\"{precision}\""));
            assert_eq!(serde_json::from_str::<Precision>(&written).unwrap(), precision);
        }
        assert!(serde_json::from_str::<Precision>("\"f16\"").is_err());
        assert_eq!(Precision::default(), Precision::F32);
    }
}
