//! What can go wrong with keys and envelopes. Messages carry ids and advice, never key or record bytes.

use crate::KeyRef;

/// A key service refused or could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The service did not answer in time, throttled, or failed inside. The only error worth trying again.
    #[error(
        "key service unavailable ({0}): answer 503, try again later; check its address, credentials and quota"
    )]
    Unavailable(String),
    /// The key is switched off.
    #[error("key {0} is disabled: enable it at the key service to give this tenant its data back")]
    Disabled(KeyRef),
    /// The key waits for its destruction.
    #[error(
        "key {0} is pending deletion: cancel the deletion and enable the key before its window ends, or the tenant's data is lost"
    )]
    PendingDeletion(KeyRef),
    /// No such key: never made, destroyed, or in another account or region.
    #[error(
        "key {0} does not exist: check account, region and key reference; a destroyed key cannot be restored"
    )]
    NotFound(KeyRef),
    /// The wrapped key was made by another key or under another context, or was changed.
    #[error(
        "wrapped key does not belong to this key and context, or was changed: restore its row from a backup"
    )]
    WrongContext,
    /// The tenant's kill switch is on in this process.
    #[error(
        "the tenant's keys are switched off by an operator: run `carekeep keys unblock` when the incident is over"
    )]
    Blocked,
    /// The service refuses, and will refuse again until somebody changes something.
    #[error("key service refused: {0}")]
    Refused(String),
    /// The one-machine key service was asked for in a production profile.
    #[error(
        "the local key service keeps keys in files and is refused in profile \"production\": configure keys.provider = \"aws\""
    )]
    LocalInProduction,
    /// A file of the local key service cannot be used.
    #[error("local key service: {0}")]
    Storage(String),
}

impl KeyError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// An envelope could not be sealed or opened. Every one of them means: no plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Shorter than an envelope of an empty text.
    #[error("envelope is cut short ({0} bytes): restore the row from a backup")]
    Truncated(usize),
    /// The first byte names no format of this version.
    #[error(
        "envelope has unknown format 0x{0:02x}: it was written by a newer version or is no envelope; upgrade or restore the row"
    )]
    UnknownFormat(u8),
    /// The key commitment does not fit: another key, another generation, or a changed header.
    #[error(
        "envelope was sealed under another key, or its header was changed: check tenant and generation of the data key"
    )]
    WrongKey,
    /// The tag does not fit: the content was changed or belongs to another place.
    #[error(
        "envelope was changed or moved from another row, column, version or tenant: treat as tampering, restore the row"
    )]
    Tampered,
    /// A name in the associated data is longer than 65,535 bytes.
    #[error("name of {0} bytes in the associated data: at most 65,535; shorten the table, column or kind")]
    NameTooLong(usize),
    /// The plaintext is too long for one AES-GCM message (64 GiB).
    #[error("plaintext of {0} bytes is too long for one envelope: store it as chunks")]
    TooLong(usize),
}
