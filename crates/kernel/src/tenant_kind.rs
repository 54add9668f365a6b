//! What a tenant is for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Whose people a tenant has. It is decided when the tenant is made and never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum TenantKind {
    /// A clinic or group of clinics: patients, those who care for them, and those who run it. The only kind with health data.
    #[default]
    Clinic,
    /// The people of a partner, who look after the clinics of that partner.
    Partner,
    /// The people of the platform, who look after all clinics. There is one at most.
    Platform,
}

/// A name that is no kind of tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is of the kind clinic, partner or platform")]
pub struct TenantKindError;

impl TenantKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Clinic, Self::Partner, Self::Platform];

    /// The stable name, as stored and as used in policies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clinic => "clinic",
            Self::Partner => "partner",
            Self::Platform => "platform",
        }
    }
}

impl fmt::Display for TenantKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TenantKind {
    type Err = TenantKindError;

    fn from_str(text: &str) -> Result<Self, TenantKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(TenantKindError)
    }
}

/// At which tenants a route is there. Elsewhere it is answered like a path that nobody serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offered {
    /// At clinics: whatever has to do with patients or with what serves them.
    #[default]
    AtClinics,
    /// At every tenant: what people need for themselves and for each other.
    Everywhere,
    /// Where the people of the platform and of partners are.
    BeyondClinics,
}

impl Offered {
    /// Whether it is there at a tenant of this kind.
    #[must_use]
    pub const fn at(self, kind: TenantKind) -> bool {
        match self {
            Self::AtClinics => matches!(kind, TenantKind::Clinic),
            Self::Everywhere => true,
            Self::BeyondClinics => !matches!(kind, TenantKind::Clinic),
        }
    }
}
