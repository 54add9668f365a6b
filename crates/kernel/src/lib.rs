//! The words everybody in Carekeep shares: typed ids, time, randomness, profiles, searchable values.
//!
//! Invariant: no I/O and no global state. Time and randomness are *injected* ([`Clock`], [`Random`]), so that a
//! test can stop the one and seed the other.

pub mod clock;
pub mod colour;
pub mod id;
pub mod index;
pub mod profile;
pub mod random;
pub mod tenant_kind;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use colour::{Accent, AccentError};
pub use id::{
    CredentialId, DeviceId, EntryId, IdError, InviteId, PartnerId, PersonId, ResourceId, SessionId, TenantId,
};
pub use profile::Profile;
pub use random::{OsRandom, Random, SeededRandom};
pub use tenant_kind::{Offered, TenantKind, TenantKindError};
