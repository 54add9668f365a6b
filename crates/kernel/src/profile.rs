//! What kind of installation this is. Conveniences of a developer's machine are refused everywhere else.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The kind of installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A developer's machine: demo people, a self-made certificate, the local key service.
    Dev,
    /// Real patients. Demo people and the local key service are refused.
    Production,
}

impl Profile {
    /// Whether conveniences that are unsafe with real patients may be used.
    #[must_use]
    pub const fn allows_dev_conveniences(self) -> bool {
        matches!(self, Self::Dev)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dev => "dev",
            Self::Production => "production",
        })
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dev" => Ok(Self::Dev),
            "production" => Ok(Self::Production),
            other => Err(format!("unknown profile {other:?}: use \"dev\" or \"production\"")),
        }
    }
}
