//! What names a key and what a wrapped key is bound to.

use std::{fmt, str::FromStr};

use carekeep_kernel::TenantId;
use serde::{Deserialize, Serialize};

/// The name of a tenant's key at its key service: an AWS key ARN, or `local:…` / `fake:…`. No secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyRef(pub String);

impl KeyRef {
    /// The text to store and to show.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for KeyRef {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// What a data key is for. One purpose's key opens nothing of another purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPurpose {
    /// Seals rows and blobs.
    Data,
    /// Makes blind index tokens.
    Index,
    /// Makes pseudonyms for the ledger and for research.
    Pseudonym,
    /// Seals credentials of the installation, for example database passwords and TOTP secrets.
    Credential,
    /// Seeds the signing key of ledger checkpoints.
    Ledger,
}

impl KeyPurpose {
    /// Every purpose, in the order a new tenant gets its keys.
    pub const ALL: [Self; 5] = [Self::Data, Self::Index, Self::Pseudonym, Self::Credential, Self::Ledger];

    /// The stored spelling; part of the encryption context, so it never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "index",
            Self::Pseudonym => "pseudonym",
            Self::Credential => "credential",
            Self::Ledger => "ledger",
        }
    }
}

impl fmt::Display for KeyPurpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyPurpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == text).ok_or_else(|| {
            format!("unknown key purpose {text:?}: use data, index, pseudonym, credential or ledger")
        })
    }
}

/// The encryption context: a wrapped key unwraps only under exactly the context it was made with. AWS KMS writes it to
/// CloudTrail, so it holds ids only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyContext {
    /// Whose key.
    pub tenant: TenantId,
    /// What for.
    pub purpose: KeyPurpose,
    /// Which generation; 1 is the first.
    pub generation: u32,
}

impl KeyContext {
    /// The context as AWS KMS takes it: name and value pairs.
    #[must_use]
    pub fn pairs(&self) -> [(&'static str, String); 3] {
        [
            ("tenant", self.tenant.to_string()),
            ("purpose", self.purpose.as_str().to_owned()),
            ("generation", self.generation.to_string()),
        ]
    }

    /// An injective encoding for key services that take associated data as bytes: the variable part comes last.
    pub(crate) fn encode(&self, service: &[u8; 16]) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.extend_from_slice(service);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(&self.generation.to_be_bytes());
        out.extend_from_slice(self.purpose.as_str().as_bytes());
        out
    }
}

/// A data key as the key service wrapped it: safe to store beside the data, useless without the service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wrapped(pub Vec<u8>);

impl fmt::Debug for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wrapped({} bytes)", self.0.len())
    }
}

/// One data key of a tenant, as the directory database stores it. Which tenant is the row's business: it is passed
/// separately when unwrapping, so that a row moved to another tenant does not unwrap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// The tenant's key at the key service.
    pub key: KeyRef,
    /// What the data key is for.
    pub purpose: KeyPurpose,
    /// Which generation it is; 1 is the first.
    pub generation: u32,
    /// The wrapped data key.
    pub wrapped: Wrapped,
}

impl WrappedKey {
    /// The context that unwraps it for `tenant`.
    #[must_use]
    pub const fn context(&self, tenant: TenantId) -> KeyContext {
        KeyContext { tenant, purpose: self.purpose, generation: self.generation }
    }
}
