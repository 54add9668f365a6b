//! The life of a key at the services that live in this process: pure, over a given moment.
//!
//! Mirrors AWS KMS: enabled <-> disabled -> pending deletion -> destroyed; cancelling a deletion leaves it disabled.

use std::time::Duration;

use carekeep_kernel::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{KeyError, KeyRef, KeyState, service::check_window};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lifecycle {
    Enabled,
    Disabled,
    /// Destroyed at this moment.
    Pending(Timestamp),
}

impl Lifecycle {
    pub(crate) fn is_destroyed(self, now: Timestamp) -> bool {
        matches!(self, Self::Pending(due) if now >= due)
    }

    pub(crate) const fn state(self) -> KeyState {
        match self {
            Self::Enabled => KeyState::Enabled,
            Self::Disabled => KeyState::Disabled,
            Self::Pending(due) => KeyState::PendingDeletion(due),
        }
    }

    /// Refuses any use but that of an enabled key.
    pub(crate) fn check_usable(self, key: &KeyRef) -> Result<(), KeyError> {
        match self {
            Self::Enabled => Ok(()),
            Self::Disabled => Err(KeyError::Disabled(key.clone())),
            Self::Pending(_) => Err(KeyError::PendingDeletion(key.clone())),
        }
    }

    /// Refuses what a key that waits for its destruction refuses.
    pub(crate) fn check_not_pending(self, key: &KeyRef) -> Result<(), KeyError> {
        if matches!(self, Self::Pending(_)) { Err(KeyError::PendingDeletion(key.clone())) } else { Ok(()) }
    }

    pub(crate) fn switch(&mut self, key: &KeyRef, on: bool) -> Result<(), KeyError> {
        self.check_not_pending(key)?;
        *self = if on { Self::Enabled } else { Self::Disabled };
        Ok(())
    }

    pub(crate) fn schedule(
        &mut self,
        key: &KeyRef,
        days: u32,
        now: Timestamp,
    ) -> Result<Timestamp, KeyError> {
        check_window(days)?;
        self.check_not_pending(key)?;
        let due = now + Duration::from_secs(u64::from(days) * 86_400);
        *self = Self::Pending(due);
        Ok(due)
    }

    pub(crate) fn cancel(&mut self, key: &KeyRef) -> Result<(), KeyError> {
        if !matches!(self, Self::Pending(_)) {
            return Err(KeyError::Refused(format!(
                "key {key} is not pending deletion: there is nothing to cancel"
            )));
        }
        *self = Self::Disabled;
        Ok(())
    }
}

pub(crate) fn nothing_to_cancel(key: &KeyRef) -> KeyError {
    KeyError::Refused(format!("key {key} is not pending deletion: there is nothing to cancel"))
}
