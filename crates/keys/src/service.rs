//! The port to a key service, shaped like AWS KMS: keys never leave it, data keys come wrapped and bound to a context.

use std::{future::Future, ops::RangeInclusive, pin::Pin};

use carekeep_kernel::{TenantId, Timestamp};
use zeroize::Zeroizing;

use crate::{KeyContext, KeyError, KeyRef, Wrapped};

/// What every call gives back; boxed, so that [`KeyService`] is object-safe.
pub type KeyFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyError>> + Send + 'a>>;

/// How many days a deletion may wait (AWS KMS `ScheduleKeyDeletion`: 7 to 30).
pub const DELETION_WINDOW_DAYS: RangeInclusive<u32> = 7..=30;

/// What a key can be used for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Wraps and unwraps.
    Enabled,
    /// Refuses until enabled.
    Disabled,
    /// Refuses, and is destroyed at the moment given; cancelling leaves it disabled.
    PendingDeletion(Timestamp),
    /// Any other state a service may report (AWS: creating, importing, unavailable); refuses.
    Unusable,
}

/// What a service tells about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDescription {
    /// The key.
    pub key: KeyRef,
    /// Its state.
    pub state: KeyState,
}

/// A key service. One key per tenant; behaves alike for [`AwsKms`](crate::AwsKms), [`LocalKms`](crate::LocalKms) and
/// [`StrictFake`](crate::fake::StrictFake), which one contract suite checks.
pub trait KeyService: Send + Sync {
    /// Makes the tenant's key, or finds the one made before, also a disabled one.
    ///
    /// # Errors
    /// [`KeyError::PendingDeletion`] if the tenant's key is about to be destroyed.
    fn create_key(&self, tenant: TenantId) -> KeyFuture<'_, KeyRef>;

    /// A fresh data key, in the clear and wrapped under `key`, bound to `context`.
    fn generate_data_key<'a>(
        &'a self,
        key: &'a KeyRef,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, (Zeroizing<[u8; 32]>, Wrapped)>;

    /// The data key that `wrapped` holds.
    ///
    /// # Errors
    /// [`KeyError::WrongContext`] if it was made under another key or context, or changed.
    fn unwrap<'a>(
        &'a self,
        key: &'a KeyRef,
        wrapped: &'a Wrapped,
        context: &'a KeyContext,
    ) -> KeyFuture<'a, Zeroizing<[u8; 32]>>;

    /// Switches the key off. Data keys already unwrapped live on for at most the cache's time limit.
    fn disable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()>;

    /// Switches the key on again.
    fn enable<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()>;

    /// Destroys the key after `days` (7 to 30); it refuses from now on. Gives the moment of destruction.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for other numbers of days, [`KeyError::PendingDeletion`] if it is scheduled already.
    fn schedule_deletion<'a>(&'a self, key: &'a KeyRef, days: u32) -> KeyFuture<'a, Timestamp>;

    /// Takes a scheduled deletion back; the key is disabled afterwards.
    fn cancel_deletion<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, ()>;

    /// The state of a key.
    fn describe<'a>(&'a self, key: &'a KeyRef) -> KeyFuture<'a, KeyDescription>;
}

/// Refuses numbers of days outside the window, before any service is asked (moto, for one, accepts all).
pub(crate) fn check_window(days: u32) -> Result<(), KeyError> {
    if DELETION_WINDOW_DAYS.contains(&days) {
        return Ok(());
    }
    Err(KeyError::Refused(format!(
        "a deletion waits 7 to 30 days, not {days}: choose a number in that window"
    )))
}
