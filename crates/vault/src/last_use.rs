//! When each session was last used, as this process knows it.
//!
//! The row learns of a use at most every [`NOTE_EVERY`], and of the last one a while after it: much earlier than any session is
//! idle for too long, so that it ends at the second at every process. In between this process remembers. A use that is lost with
//! the process that saw it ends the session that much early; late it never does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use carekeep_kernel::Timestamp;

/// A use is written down when the last one that was is this old.
const NOTE_EVERY: Duration = Duration::from_secs(30);

/// Longer than any session may be idle.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The last use of one session: microseconds of [`Timestamp`]. One of which nothing is known was used at the epoch.
#[derive(Debug, Default)]
pub(crate) struct LastUse {
    seen: AtomicI64,
    noted: AtomicI64,
    /// Whether somebody will [`LastUse::settle`] it.
    awaited: AtomicBool,
}

impl LastUse {
    /// Takes over what the row says.
    pub(crate) fn read(&self, noted: Timestamp) {
        self.seen.fetch_max(noted.as_micros(), Relaxed);
        self.noted.fetch_max(noted.as_micros(), Relaxed);
    }

    pub(crate) fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.seen.load(Relaxed))
    }

    /// Remembers a use.
    pub(crate) fn used(&self, now: Timestamp) {
        self.seen.fetch_max(now.as_micros(), Relaxed);
    }

    /// Whether a use at `now` is to be written down; said to one caller only.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        let noted = self.noted.load(Relaxed);
        now.since(Timestamp::from_micros(noted)) >= NOTE_EVERY
            && self.noted.compare_exchange(noted, now.as_micros(), Relaxed, Relaxed).is_ok()
    }

    /// Whether the caller is to settle it later: said to one caller only, until that one does.
    pub(crate) fn awaits(&self) -> bool {
        // Most requests of a session in use find it so: they only look.
        !self.awaited.load(Relaxed) && !self.awaited.swap(true, Relaxed)
    }

    /// The last use, if it was not written down yet: now it is.
    pub(crate) fn settle(&self) -> Option<Timestamp> {
        self.awaited.store(false, Relaxed);
        let seen = self.at();
        let noted = self.noted.fetch_max(seen.as_micros(), Relaxed);
        (noted < seen.as_micros()).then_some(seen)
    }
}

/// The last uses of a tenant's sessions, by token hash.
#[derive(Clone)]
pub(crate) struct LastUses(moka::sync::Cache<[u8; 32], Arc<LastUse>>);

impl LastUses {
    pub(crate) fn new(capacity: u64) -> Self {
        Self(moka::sync::Cache::builder().max_capacity(capacity).time_to_idle(REMEMBERED).build())
    }

    pub(crate) fn of(&self, token_hash: [u8; 32]) -> Arc<LastUse> {
        self.0.get_with(token_hash, Arc::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

    fn after(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_use_is_remembered_at_once_and_written_down_every_half_minute() {
        let last = LastUse::default();
        last.read(START);
        last.used(after(29));
        assert_eq!((last.at(), last.is_due(after(29))), (after(29), false));
        assert!(last.is_due(after(30)));
        assert!(!last.is_due(after(30)), "said to one caller only");
        assert!(last.is_due(after(60)));
        last.used(after(60));
        last.read(after(10));
        assert_eq!(last.at(), after(60), "an older row changes nothing");
    }

    #[test]
    fn the_last_use_is_settled_once_by_one_caller() {
        let last = LastUse::default();
        last.read(START);
        last.used(after(20));
        assert!(last.awaits());
        assert!(!last.awaits(), "one is enough");
        last.used(after(25));
        assert_eq!(last.settle(), Some(after(25)));
        assert!(last.awaits(), "a later one is settled anew");
        assert_eq!(last.settle(), None, "nothing happened since");
        assert!(!last.is_due(after(54)) && last.is_due(after(55)));
    }
}
