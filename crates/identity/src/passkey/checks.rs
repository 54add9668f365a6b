//! What is checked beside webauthn-rs: flags that may not change, the counter of the *stored* record, frames.

use serde::Deserialize;

use super::{PasskeyRecord, Reason};

/// The flags and the counter of authenticator data (WebAuthn section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AuthenticatorFlags {
    present_and_verified: bool,
    backup_eligible: bool,
    pub(super) backup_state: bool,
    pub(super) counter: u32,
}

impl AuthenticatorFlags {
    /// Reads them: 32 bytes of hash, one byte of flags, four bytes of counter.
    pub(super) fn read(authenticator_data: &[u8]) -> Result<Self, Reason> {
        let Some((&[flags, c0, c1, c2, c3], _)) =
            authenticator_data.get(32..).and_then(<[u8]>::split_first_chunk::<5>)
        else {
            return Err(Reason::Malformed);
        };
        Ok(Self {
            present_and_verified: flags & 0b101 == 0b101,
            backup_eligible: flags & 0b1000 != 0,
            backup_state: flags & 0b1_0000 != 0,
            counter: u32::from_be_bytes([c0, c1, c2, c3]),
        })
    }

    /// Compares with the stored record. The record may be newer than the ceremony's copy of it.
    pub(super) fn check(self, record: &PasskeyRecord) -> Result<(), Reason> {
        if !self.present_and_verified {
            return Err(Reason::NotVerified);
        }
        if self.backup_eligible != record.backup_eligible || (self.backup_state && !self.backup_eligible) {
            return Err(Reason::BackupFlags);
        }
        if (self.counter > 0 || record.counter > 0) && self.counter <= record.counter {
            return Err(Reason::Counter);
        }
        Ok(())
    }
}

/// Refuses a ceremony of a page inside a page of somebody else, which webauthn-rs reads only from `crossOrigin`.
pub(super) fn refuse_frames(client_data_json: &[u8]) -> Result<(), Reason> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Frame {
        cross_origin: Option<bool>,
        top_origin: Option<serde_json::Value>,
    }
    let frame: Frame = serde_json::from_slice(client_data_json).map_err(|_| Reason::Malformed)?;
    if frame.cross_origin == Some(true) || frame.top_origin.is_some() { Err(Reason::Framed) } else { Ok(()) }
}
