//! The buckets of one lane in this process.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    num::NonZeroU32,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use governor::{
    NotUntil, Quota, RateLimiter, clock,
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::keyed::DashMapStateStore,
};

use super::{Allowed, Denied, Lane, LaneLimit, LimitKey, LimiterConfig};

/// Time that only goes forward. Not the wall clock: a step of it must not open or block a limit.
pub trait Ticks: Send + Sync + 'static {
    /// Time since some fixed moment.
    fn elapsed(&self) -> Duration;
}

/// The machine's monotonic clock.
#[derive(Debug)]
pub struct MonotonicTicks(Instant);

impl Default for MonotonicTicks {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Ticks for MonotonicTicks {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Time that moves only when told to; for tests.
#[derive(Debug, Default)]
pub struct ManualTicks(AtomicU64);

impl ManualTicks {
    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Ticks for ManualTicks {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Clone)]
struct GovernorClock(Arc<dyn Ticks>);

impl fmt::Debug for GovernorClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GovernorClock")
    }
}

impl clock::Clock for GovernorClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Buckets = RateLimiter<LimitKey, DashMapStateStore<LimitKey>, GovernorClock, StateInformationMiddleware>;

/// What is to be told to Redis about a key, and what Redis said.
#[derive(Debug, Default, Clone, Copy)]
struct Shared {
    pending: u32,
    deny_until: Duration,
}

const SHARDS: usize = 32;
const CROWD: u64 = 4_096;

/// One lane.
pub(super) struct LaneState {
    lane: Lane,
    pub(super) limit: LaneLimit,
    pub(super) policy: http::HeaderValue,
    /// The size of a strict bucket.
    share: u32,
    full: Buckets,
    strict: Buckets,
    /// Empty when no Redis is configured.
    shared: Vec<Mutex<HashMap<LimitKey, Shared>>>,
    hasher: RandomState,
    clock: GovernorClock,
    max_keys: usize,
    crowded: AtomicBool,
}

impl LaneState {
    pub(super) fn new(lane: Lane, config: &LimiterConfig, ticks: &Arc<dyn Ticks>, shared: bool) -> Self {
        let limit = config.lane(lane);
        let clock = GovernorClock(Arc::clone(ticks));
        let share = limit.share(config.processes);
        let policy = format!("\"{}\";q={};w={}", lane.name(), limit.count, limit.window.as_secs().max(1));
        Self {
            lane,
            limit,
            policy: http::HeaderValue::try_from(policy)
                .unwrap_or_else(|_| http::HeaderValue::from_static("")),
            full: buckets(limit, &clock),
            share: share.count,
            strict: buckets(share, &clock),
            shared: (0..if shared { SHARDS } else { 0 }).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            clock,
            max_keys: config.max_keys,
            crowded: AtomicBool::new(false),
        }
    }

    /// The decision about `cost` at once, noted for the next settlement. What is denied costs nothing.
    ///
    /// What costs as much as the bucket or more takes all of it but one: the request itself may be counted in the same
    /// bucket, which then is never quite full.
    pub(super) fn check(
        &self,
        key: LimitKey,
        cost: u32,
        strict: bool,
        now: Duration,
    ) -> Result<Allowed, Denied> {
        let key = self.crowd(key);
        let cost = affordable(cost, self.limit.count);
        let Some(mut shard) = self.shard(&key) else { return self.decide(key, cost, strict) };
        let denied_until = shard.get(&key).map_or(Duration::ZERO, |shared| shared.deny_until);
        if denied_until > now {
            return Err(self.denied(denied_until - now));
        }
        let allowed = self.decide(key, cost, strict)?;
        let pending = &mut shard.entry(key).or_default().pending;
        *pending = pending.saturating_add(cost.get());
        Ok(allowed)
    }

    /// The local decision alone: Redis is asked by the caller.
    pub(super) fn check_unsettled(
        &self,
        key: LimitKey,
        strict: bool,
        now: Duration,
    ) -> Result<Allowed, Denied> {
        let key = self.crowd(key);
        let denied_until = self.shard(&key).and_then(|shard| shard.get(&key).map(|shared| shared.deny_until));
        match denied_until {
            Some(until) if until > now => Err(self.denied(until - now)),
            _ => self.decide(key, NonZeroU32::MIN, strict),
        }
    }

    /// The stricter bucket alone, for a request that has passed the full one.
    pub(super) fn check_strict(&self, key: LimitKey) -> Result<(), Denied> {
        self.strict.check_key(&self.crowd(key)).map(drop).map_err(|until| self.wait(&until))
    }

    fn decide(&self, key: LimitKey, cost: NonZeroU32, strict: bool) -> Result<Allowed, Denied> {
        let full = self.take(&self.full, key, cost)?;
        let (state, limit) = if strict {
            let share = self.share;
            let state = self.take(&self.strict, key, affordable(cost.get(), share))?;
            (state, share)
        } else {
            (full, self.limit.count)
        };
        let remaining = state.remaining_burst_capacity();
        let interval = state.quota().replenish_interval();
        Ok(Allowed { lane: self.lane, remaining, reset: interval * limit.saturating_sub(remaining) })
    }

    fn take(&self, buckets: &Buckets, key: LimitKey, cost: NonZeroU32) -> Result<StateSnapshot, Denied> {
        match buckets.check_key_n(&key, cost) {
            Ok(decision) => decision.map_err(|until| self.wait(&until)),
            // More than the bucket ever holds; [`affordable`] keeps it from being asked.
            Err(_) => Err(self.denied(self.limit.window)),
        }
    }

    fn wait(&self, until: &NotUntil<Duration>) -> Denied {
        self.denied(until.wait_time_from(clock::Clock::now(&self.clock)))
    }

    const fn denied(&self, wait: Duration) -> Denied {
        Denied { lane: self.lane, wait, limit: self.limit.count }
    }

    fn crowd(&self, key: LimitKey) -> LimitKey {
        if self.crowded.load(Ordering::Relaxed) {
            LimitKey::Crowd(u16::try_from(self.hasher.hash_one(key) % CROWD).unwrap_or(0))
        } else {
            key
        }
    }

    fn shard(&self, key: &LimitKey) -> Option<MutexGuard<'_, HashMap<LimitKey, Shared>>> {
        let number = usize::try_from(self.hasher.hash_one(key)).unwrap_or(0) % SHARDS;
        self.shared.get(number).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what was consumed since the last time, and forgets keys that nobody uses.
    pub(super) fn take_pending(&self, now: Duration) -> Vec<(LimitKey, u32)> {
        let mut taken = Vec::new();
        for shard in &self.shared {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|key, shared| {
                if shared.pending > 0 {
                    taken.push((*key, std::mem::take(&mut shared.pending)));
                    return true;
                }
                shared.deny_until > now
            });
        }
        taken
    }

    /// Redis says that a key is used up until then.
    pub(super) fn deny_until(&self, key: LimitKey, until: Duration) {
        if let Some(mut shard) = self.shard(&key) {
            shard.entry(key).or_default().deny_until = until;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.full.len()
    }

    /// Forgets full buckets; when there are still too many keys, strangers share buckets until there are not.
    pub(super) fn sweep(&self, routine: bool) {
        let over = self.full.len() > self.max_keys;
        if !over && !routine {
            self.crowded.store(false, Ordering::Relaxed);
            return;
        }
        for buckets in [&self.full, &self.strict] {
            buckets.retain_recent();
            buckets.shrink_to_fit();
        }
        self.crowded.store(self.full.len() > self.max_keys, Ordering::Relaxed);
    }
}

/// What `cost` takes of a bucket of `size`: what is larger takes all but one.
fn affordable(cost: u32, size: u32) -> NonZeroU32 {
    NonZeroU32::new(cost.min(size.saturating_sub(1))).unwrap_or(NonZeroU32::MIN)
}

fn buckets(limit: LaneLimit, clock: &GovernorClock) -> Buckets {
    let count = NonZeroU32::new(limit.count).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(limit.interval()).unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN));
    RateLimiter::dashmap_with_clock(quota.allow_burst(count), clock.clone())
        .with_middleware::<StateInformationMiddleware>()
}
