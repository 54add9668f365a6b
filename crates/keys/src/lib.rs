//! Key services, envelopes, blind indexes. The one place that does cryptography on stored data.
//!
//! ```text
//! key service (one key per tenant)  --unwrap-->  data key of (tenant, purpose, generation)   [KeyCache, <= 5 min]
//! data key + random salt            --HKDF---->  record key + key commitment                 [seal / open]
//! record key + AAD                  --GCM----->  the bytes in the row
//! ```
//!
//! Invariants: a ciphertext opens only under the tenant, the purpose, the generation and the place it was sealed for;
//! plaintext keys have no `Debug`, `Clone` or `Serialize` and are wiped on drop; nothing here falls back to
//! plaintext. The crate knows no SQL. `docs/adr/0003-envelope.md` argues the construction.

mod aad;
mod aws;
mod blind;
mod cache;
#[cfg(test)]
mod commitment_tests;
mod context;
mod envelope;
mod error;
pub mod fake;
mod lifecycle;
mod local;
pub mod planner;
mod pseudonym;
mod secret;
mod service;
mod signing;
mod wrapping;

pub use aad::Aad;
pub use aws::{AwsKms, AwsKmsOptions, StaticCredentials};
pub use blind::BlindIndexKey;
pub use cache::{CacheLimits, CacheStats, KeyCache};
pub use context::{KeyContext, KeyPurpose, KeyRef, Wrapped, WrappedKey};
pub use envelope::{FORMAT_V1, OVERHEAD, SALT_LEN, generation, open, open_in_place, seal};
pub use error::{EnvelopeError, KeyError};
pub use local::LocalKms;
pub use pseudonym::PseudonymKey;
pub use secret::DataKey;
pub use service::{DELETION_WINDOW_DAYS, KeyDescription, KeyFuture, KeyService, KeyState};
pub use signing::{SigningKey, VerifyingKey};
