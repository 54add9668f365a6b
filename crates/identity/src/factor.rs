//! What a person proves who they are with, and how strong the proof is.

use carekeep_kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FactorKind {
    /// Something known. One factor.
    Password,
    /// A time-based one-time code (RFC 6238). One factor.
    Totp,
    /// A WebAuthn credential used with user verification: possession and knowledge or biometry at once. Two factors.
    Passkey,
    /// A look-up secret (NIST SP 800-63B-4 section 3.1.2), for when the second factor is lost. One factor.
    RecoveryCode,
    /// What the tenant's identity provider says. Two factors where it says so in the tenant's terms, otherwise one; never a
    /// fresh one.
    Federated,
}

/// Authentication assurance level of a session (NIST SP 800-63B-4 section 2). Ordered: more is stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aal {
    /// Nothing that counts has been proven: for example only an invitation link was opened.
    None,
    /// One factor.
    One,
    /// Two factors. What every route with clinical data asks for.
    Two,
}

/// When a factor was last proven in a session; step-up looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactorTime {
    /// Which factor.
    pub kind: FactorKind,
    /// When it was proven.
    pub at: Timestamp,
}
