//! How much each lane allows.

use std::{fmt, time::Duration};

use super::Lane;

/// `count` at once, refilled evenly over `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimit {
    /// The size of the bucket, at least 1.
    pub count: u32,
    /// How long an empty bucket takes to fill.
    pub window: Duration,
}

impl LaneLimit {
    /// `count` per `seconds`.
    #[must_use]
    pub const fn per_seconds(count: u32, seconds: u64) -> Self {
        Self { count, window: Duration::from_secs(seconds) }
    }

    /// The time that one takes to refill, at least a microsecond.
    #[must_use]
    pub fn interval(&self) -> Duration {
        (self.window / self.count.max(1)).max(Duration::from_micros(1))
    }

    /// This limit for one of `processes`, used while Redis is away: same refill pace divided, smaller bucket.
    #[must_use]
    pub fn share(&self, processes: u32) -> Self {
        let processes = processes.max(2);
        let count = (self.count / processes).max(1);
        Self { count, window: self.interval() * processes * count }
    }
}

/// The limits of a process.
#[derive(Clone)]
pub struct LimiterConfig {
    /// All requests of an address. Default 400 per 8 s.
    pub address: LaneLimit,
    /// All requests to a tenant. Default 8,000 per 2 s.
    pub tenant: LaneLimit,
    /// All requests of a person, and all entries of their bundles. Default 400 per 8 s.
    pub principal: LaneLimit,
    /// Sign-in attempts of an address. Default 30 per 60 s.
    pub sign_in_address: LaneLimit,
    /// Sign-in attempts for an account. Default 10 per 600 s.
    pub sign_in_account: LaneLimit,
    /// Entries of the bundles of a service account. Default 20,000 per 20 s: the largest transaction fits into the bucket.
    pub bulk: LaneLimit,
    /// Codes that a tenant's identity provider is asked about. Default 600 per 60 s.
    pub provider: LaneLimit,
    /// How many processes share the limits; without Redis each takes this share, and never more than a half. Default 2.
    pub processes: u32,
    /// How often consumption is pushed to Redis. Default 100 ms.
    pub settle_every: Duration,
    /// Keys that a lane may hold in memory; beyond, strangers share buckets. Default 100,000.
    pub max_keys: usize,
    /// Keys the hashes in Redis; the same in all processes of a cell.
    pub secret: [u8; 32],
}

impl LimiterConfig {
    /// The default limits with the cell's secret.
    #[must_use]
    pub const fn new(secret: [u8; 32]) -> Self {
        Self {
            address: LaneLimit::per_seconds(400, 8),
            tenant: LaneLimit::per_seconds(8_000, 2),
            principal: LaneLimit::per_seconds(400, 8),
            sign_in_address: LaneLimit::per_seconds(30, 60),
            sign_in_account: LaneLimit::per_seconds(10, 600),
            bulk: LaneLimit::per_seconds(20_000, 20),
            provider: LaneLimit::per_seconds(600, 60),
            processes: 2,
            settle_every: Duration::from_millis(100),
            max_keys: 100_000,
            secret,
        }
    }

    /// The limit of a lane.
    #[must_use]
    pub const fn lane(&self, lane: Lane) -> LaneLimit {
        match lane {
            Lane::Address => self.address,
            Lane::Tenant => self.tenant,
            Lane::Principal => self.principal,
            Lane::SignInAddress => self.sign_in_address,
            Lane::SignInAccount => self.sign_in_account,
            Lane::Bulk => self.bulk,
            Lane::Provider => self.provider,
        }
    }
}

impl fmt::Debug for LimiterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Everything but the secret.
        f.debug_map().entries(Lane::ALL.map(|lane| (lane.name(), self.lane(lane)))).finish()
    }
}
