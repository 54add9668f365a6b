//! Unwrapped data keys, for a short while: what keeps the key service out of every read.
//!
//! Invariants: no key is served later than the time limit (at most 300 s, BARS K2) or more often than the use limit
//! after it was unwrapped; one unwrap at a time per key however many wait; an error is never remembered; after
//! [`KeyCache::forget`] or [`KeyCache::block`] no key unwrapped earlier is served, not even one that was on its way.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use carekeep_kernel::{Clock, TenantId, Timestamp};
use moka::{future::Cache, ops::compute::Op};

use crate::{DataKey, KeyError, KeyPurpose, KeyService, WrappedKey};

/// How long, how often and how many keys are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    ttl: Duration,
    max_uses: u64,
    capacity: u64,
}

impl CacheLimits {
    /// The longest a key may be kept: how long a key switched off at the service can still open data.
    pub const MAX_TTL: Duration = Duration::from_secs(300);

    /// Limits: each key for at most `ttl` and `max_uses`, `capacity` keys in all.
    ///
    /// # Errors
    /// [`KeyError::Refused`] for a `ttl` of zero or above 300 s, and for zero uses or capacity.
    pub fn new(ttl: Duration, max_uses: u64, capacity: u64) -> Result<Self, KeyError> {
        if ttl.is_zero() || ttl > Self::MAX_TTL || max_uses == 0 || capacity == 0 {
            let advice =
                "key cache limits: ttl 1 to 300 s, at least one use and one key: correct the configuration";
            return Err(KeyError::Refused(advice.into()));
        }
        Ok(Self { ttl, max_uses, capacity })
    }
}

impl Default for CacheLimits {
    /// 300 s, 10,000 uses (BARS K2), 16,384 keys.
    fn default() -> Self {
        Self { ttl: Self::MAX_TTL, max_uses: 10_000, capacity: 16_384 }
    }
}

/// Counters since the cache was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    /// Keys served without asking the service.
    pub hits: u64,
    /// Requests that found no servable key; many of them may share one unwrap.
    pub misses: u64,
    /// Unwraps asked of the service.
    pub unwraps: u64,
    /// Unwraps that the service refused or failed.
    pub failures: u64,
}

#[derive(Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    unwraps: AtomicU64,
    failures: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Slot {
    tenant: TenantId,
    purpose: KeyPurpose,
    generation: u32,
}

struct Entry {
    key: Arc<DataKey>,
    /// When the unwrap was asked for, so that the service's own time counts against the limit.
    asked_at: Timestamp,
    /// The number of switch-offs at that moment, see [`Switch::since`].
    asked_after: u64,
    uses: AtomicU64,
}

#[derive(Clone, Copy, Default)]
struct Switch {
    /// Keys asked for before this many switch-offs had happened are not served.
    since: u64,
    blocked: bool,
}

enum Served {
    Key(Arc<DataKey>),
    UsedUp,
    Stale,
}

/// The cache. One per process, shared by everybody; keys of one tenant never serve another.
pub struct KeyCache {
    service: Arc<dyn KeyService>,
    clock: Arc<dyn Clock>,
    limits: CacheLimits,
    entries: Cache<Slot, Arc<Entry>>,
    /// How many switch-offs there have been; the fast path compares this alone.
    switch_offs: AtomicU64,
    switches: RwLock<HashMap<TenantId, Switch>>,
    counters: Counters,
}

impl KeyCache {
    /// An empty cache in front of `service`.
    #[must_use]
    pub fn new(service: Arc<dyn KeyService>, clock: Arc<dyn Clock>, limits: CacheLimits) -> Self {
        Self {
            service,
            clock,
            limits,
            // The injected clock decides what is served; moka's own clock sees to it that idle keys leave memory too.
            entries: Cache::builder().max_capacity(limits.capacity).time_to_live(limits.ttl).build(),
            switch_offs: AtomicU64::new(0),
            switches: RwLock::default(),
            counters: Counters::default(),
        }
    }

    /// The data key that `wrapped` holds for `tenant`, from memory if it was unwrapped lately.
    ///
    /// # Errors
    /// What the service answers, and [`KeyError::Blocked`] while the tenant's kill switch is on.
    pub async fn get(&self, tenant: TenantId, wrapped: &WrappedKey) -> Result<Arc<DataKey>, KeyError> {
        let slot = Slot { tenant, purpose: wrapped.purpose, generation: wrapped.generation };
        if let Some(key) = self.lookup(slot).await? {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(key);
        }
        self.counters.misses.fetch_add(1, Ordering::Relaxed);
        // Boxed: it is rare, and would make the future of every read larger.
        Box::pin(self.unwrapped(slot, wrapped)).await
    }

    /// The key as the service unwraps it, shared by everybody who waits for it.
    async fn unwrapped(&self, slot: Slot, wrapped: &WrappedKey) -> Result<Arc<DataKey>, KeyError> {
        let mut tries = 0;
        while tries < 3 {
            let loading = self.entries.try_get_with(slot, self.load(slot, wrapped));
            let entry = loading.await.map_err(|shared| KeyError::clone(&shared))?;
            match self.serve(slot, &entry)? {
                Served::Key(key) => return Ok(key),
                // Every unwrap serves somebody, so a crowd larger than the use limit gets through without a bound.
                Served::UsedUp => {}
                // Slower than the time limit, or on its way when the kill switch was thrown: no storm of retries.
                Served::Stale => tries += 1,
            }
            self.drop_entry(slot, &entry).await;
        }
        let advice =
            "unwrapping took longer than the key cache's ttl, or the tenant was switched off meanwhile";
        Err(KeyError::Unavailable(advice.into()))
    }

    /// The key if it is in memory and may still be served; never asks the service. Counts as a use.
    ///
    /// # Errors
    /// [`KeyError::Blocked`] while the tenant's kill switch is on.
    pub async fn cached(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        generation: u32,
    ) -> Result<Option<Arc<DataKey>>, KeyError> {
        let key = self.lookup(Slot { tenant, purpose, generation }).await?;
        if key.is_some() {
            self.counters.hits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(key)
    }

    /// The kill switch of one tenant: drops its keys now. The next use asks the key service again.
    pub async fn forget(&self, tenant: TenantId) {
        self.switch_off(tenant, None);
        self.drop_where(|slot, _| slot.tenant == tenant).await;
    }

    /// As [`forget`](Self::forget), and refuses the tenant until [`unblock`](Self::unblock): for the time until
    /// the key service itself has noticed that the key is disabled (AWS KMS is eventually consistent).
    pub async fn block(&self, tenant: TenantId) {
        self.switch_off(tenant, Some(true));
        self.drop_where(|slot, _| slot.tenant == tenant).await;
    }

    /// Takes [`block`](Self::block) back.
    pub fn unblock(&self, tenant: TenantId) {
        self.switch_off(tenant, Some(false));
    }

    /// Wipes keys that may no longer be served. Call it now and then (every 30 s), so that idle keys leave memory.
    pub async fn sweep(&self) {
        let now = self.clock.now();
        let used_up = |entry: &Entry| entry.uses.load(Ordering::Relaxed) >= self.limits.max_uses;
        self.drop_where(|_, entry| self.is_late(entry, now) || used_up(entry)).await;
    }

    /// Counters since the cache was made.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.counters.hits),
            misses: read(&self.counters.misses),
            unwraps: read(&self.counters.unwraps),
            failures: read(&self.counters.failures),
        }
    }

    async fn lookup(&self, slot: Slot) -> Result<Option<Arc<DataKey>>, KeyError> {
        let Some(entry) = self.entries.get(&slot).await else {
            return self.check_switch(slot.tenant, u64::MAX).map(|_| None);
        };
        if let Served::Key(key) = self.serve(slot, &entry)? {
            return Ok(Some(key));
        }
        self.drop_entry(slot, &entry).await;
        Ok(None)
    }

    /// The entry's key, unless a limit or the kill switch says no.
    fn serve(&self, slot: Slot, entry: &Entry) -> Result<Served, KeyError> {
        if !self.check_switch(slot.tenant, entry.asked_after)? || self.is_late(entry, self.clock.now()) {
            return Ok(Served::Stale);
        }
        let earlier_uses = entry.uses.fetch_add(1, Ordering::Relaxed);
        let servable = earlier_uses < self.limits.max_uses;
        Ok(if servable { Served::Key(Arc::clone(&entry.key)) } else { Served::UsedUp })
    }

    fn is_late(&self, entry: &Entry, now: Timestamp) -> bool {
        // A clock set back must not lengthen a key's life.
        now < entry.asked_at || now.since(entry.asked_at) >= self.limits.ttl
    }

    async fn load(&self, slot: Slot, wrapped: &WrappedKey) -> Result<Arc<Entry>, KeyError> {
        let asked_after = self.switch_offs.load(Ordering::SeqCst);
        self.check_switch(slot.tenant, u64::MAX)?;
        let asked_at = self.clock.now();
        self.counters.unwraps.fetch_add(1, Ordering::Relaxed);
        let context = wrapped.context(slot.tenant);
        let unwrapped =
            self.service.unwrap(&wrapped.key, &wrapped.wrapped, &context).await.inspect_err(|_| {
                self.counters.failures.fetch_add(1, Ordering::Relaxed);
            })?;
        let key = Arc::new(DataKey::new(unwrapped));
        Ok(Arc::new(Entry { key, asked_at, asked_after, uses: AtomicU64::new(0) }))
    }

    /// Whether a key asked for after `asked_after` switch-offs may be served.
    fn check_switch(&self, tenant: TenantId, asked_after: u64) -> Result<bool, KeyError> {
        let switch_offs = self.switch_offs.load(Ordering::SeqCst);
        if switch_offs == 0 || asked_after == switch_offs {
            // Nobody was switched off since, so the tenant was not blocked when it was loaded and is not now.
            return Ok(true);
        }
        let switches = self.switches.read().unwrap_or_else(PoisonError::into_inner);
        let switch = switches.get(&tenant).copied().unwrap_or_default();
        if switch.blocked { Err(KeyError::Blocked) } else { Ok(asked_after >= switch.since) }
    }

    fn switch_off(&self, tenant: TenantId, block: Option<bool>) {
        let mut switches = self.switches.write().unwrap_or_else(PoisonError::into_inner);
        let switch = switches.entry(tenant).or_default();
        switch.since = self.switch_offs.load(Ordering::SeqCst) + 1;
        switch.blocked = block.unwrap_or(switch.blocked);
        // Counted last: whoever sees the new number finds the switch in place.
        self.switch_offs.store(switch.since, Ordering::SeqCst);
    }

    /// Drops this very entry; one that took its place meanwhile stays, so that a crowd causes one unwrap.
    async fn drop_entry(&self, slot: Slot, spent: &Arc<Entry>) {
        let remove = |current: Option<moka::Entry<Slot, Arc<Entry>>>| {
            let same = current.is_some_and(|current| Arc::ptr_eq(current.value(), spent));
            std::future::ready(if same { Op::Remove } else { Op::Nop })
        };
        self.entries.entry(slot).and_compute_with(remove).await;
    }

    async fn drop_where(&self, unwanted: impl Fn(&Slot, &Entry) -> bool) {
        let slots: Vec<Slot> = self
            .entries
            .iter()
            .filter(|(slot, entry)| unwanted(slot, entry))
            .map(|(slot, _)| *slot)
            .collect();
        for slot in slots {
            self.entries.invalidate(&slot).await;
        }
        // Moka drops values lazily; a wiped key is one that is gone from memory now.
        self.entries.run_pending_tasks().await;
    }
}
