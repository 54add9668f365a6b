//! One audit entry: who did what to which resources of which patients, why, and with which outcome.
//!
//! Invariant: the canonical encoding is a bijection. Two different entries have different bytes, and bytes that no
//! [`Entry::encode`] would write are refused; so the hash of the bytes is a hash of the meaning.
//!
//! Nothing in here is PHI in the clear: people and resources are ids, patients are pseudonyms, and whatever could tell
//! more (address, query text) is in [`SealedDetail`], opaque to this crate.

mod codec;

use std::fmt;

use carekeep_kernel::{DeviceId, EntryId, PersonId, ResourceId, SessionId, TenantId, Timestamp};

pub use codec::{EntryError, EntryRef};

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Outcome {
    /// The gate said yes; written before anything is disclosed or changed.
    Permitted = 1,
    /// The gate said no.
    Denied = 2,
    /// There is no such thing, or none that the caller may see.
    NotFound = 3,
    /// The request itself was wrong.
    Invalid = 4,
    /// Something broke after the decision.
    Failed = 5,
    /// A permitted action has ended as asked.
    Completed = 6,
    /// Part of a transaction that was undone.
    RolledBack = 7,
}

impl Outcome {
    const ALL: [Self; 7] = [
        Self::Permitted,
        Self::Denied,
        Self::NotFound,
        Self::Invalid,
        Self::Failed,
        Self::Completed,
        Self::RolledBack,
    ];

    const fn code(self) -> u8 {
        self as u8
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.code() == code)
    }
}

/// Who acted, and how sure we were of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The person or service account; none before sign-in.
    pub person: Option<PersonId>,
    /// The session that the request came in.
    pub session: Option<SessionId>,
    /// Roles that the decision was made on, in the order given.
    pub roles: Vec<String>,
    /// Authenticator assurance level (NIST SP 800-63B): 0 (nobody signed in) to 3.
    pub aal: u8,
    /// The device, once known.
    pub device: Option<DeviceId>,
}

/// A resource that the request touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResourceRef {
    /// The resource.
    pub id: ResourceId,
    /// Its version that was read or written; none when no version was reached.
    pub version: Option<u64>,
}

/// The sensitive part of an entry (address, user agent, query text), sealed by the vault. Opaque here, and hashed as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedDetail(pub Vec<u8>);

impl fmt::Debug for SealedDetail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedDetail({} bytes)", self.0.len())
    }
}

/// One entry of a tenant's audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the encoding; [`Entry::VERSION`] is the only one that is written and read.
    pub version: u8,
    /// The tenant whose log this is; hashed, so an entry cannot move to another log.
    pub tenant: TenantId,
    /// Position in the log from 0; hashed, so entries cannot change places.
    pub index: u64,
    /// Id of the entry.
    pub id: EntryId,
    /// When the decision was made.
    pub at: Timestamp,
    /// The request that it belongs to, as in logs and in the database's application name.
    pub request: Option<[u8; 16]>,
    /// Who acted.
    pub actor: Actor,
    /// The action as the policy calls it.
    pub action: String,
    /// Type of the resource, such as `Patient`.
    pub kind: String,
    /// Resources touched or returned; for a search all that it disclosed.
    pub resources: Vec<ResourceRef>,
    /// Pseudonyms of every patient whose data was disclosed or changed.
    pub patients: Vec<[u8; 16]>,
    /// Purpose of use, such as `TREAT`.
    pub purpose: String,
    /// The consent that the decision rested on.
    pub consent: Option<ResourceId>,
    /// Whether the caller broke the glass (emergency access).
    pub break_glass: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// Ids of the policies that decided.
    pub policies: Vec<String>,
    /// Digest of the policy set that decided.
    pub policy_digest: [u8; 32],
    /// The sealed sensitive part.
    pub detail: Option<SealedDetail>,
}

impl Entry {
    /// The version of the encoding that this build writes and reads.
    pub const VERSION: u8 = 1;

    /// The canonical bytes: what is stored and hashed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The entry that `bytes` encode.
    ///
    /// # Errors
    /// When the version is unknown or the bytes are not exactly what [`Entry::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        EntryRef::parse(bytes).map(|view| view.to_entry())
    }
}
