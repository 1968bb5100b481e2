//! Licences under which weights are published.

use std::fmt;

use serde::{Serialize, Serializer};

/// The licence of a weights file. Displayed and serialised as its SPDX identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence {
    /// Apache License 2.0.
    Apache2,
    /// BSD 3-clause.
    Bsd3,
    /// MIT.
    Mit,
    /// Creative Commons Attribution-NonCommercial 4.0: no commercial use, and whether a hospital's use is one, its lawyers say.
    CcByNc4,
}

impl Licence {
    /// SPDX identifier.
    pub fn spdx(self) -> &'static str {
        match self {
            Self::Apache2 => "Apache-2.0",
            Self::Bsd3 => "BSD-3-Clause",
            Self::Mit => "MIT",
            Self::CcByNc4 => "CC-BY-NC-4.0",
        }
    }

    /// Whether the weights may be used commercially. Those that may not are never what a backbone's plain name stands for.
    pub fn is_commercial_use_allowed(self) -> bool {
        match self {
            Self::Apache2 | Self::Bsd3 | Self::Mit => true,
            Self::CcByNc4 => false,
        }
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.spdx())
    }
}

impl Serialize for Licence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.spdx())
    }
}
