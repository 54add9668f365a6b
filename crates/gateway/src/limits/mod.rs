//! Rate limits: per address, tenant, person and sign-in account, in this process and across processes (CAPABILITIES O1).
//!
//! The local limiter (`governor`, GCRA) decides every request without I/O. What it let through is pushed to Redis about
//! every 100 ms, where one GCRA per key counts for all processes; an answer "used up until T" makes this process deny that
//! key until T. So several processes together may overshoot by what each lets through in 100 ms and by its burst, and pay
//! it back afterwards: the long-run rate holds. Sign-in lanes ask Redis at once.
//!
//! Invariant: without Redis the limits get stricter (a share of each, see [`LimiterConfig::processes`]), never open, and they
//! come back by themselves. Redis holds only keyed hashes.

mod config;
mod global;
mod lane;
mod local;
mod redis_link;

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::hmac;
use carekeep_kernel::{PersonId, TenantId};

pub use config::{LaneLimit, LimiterConfig};
pub use lane::{Allowed, Denied, Lane, LimitKey};
pub use local::{ManualTicks, MonotonicTicks, Ticks};

use self::{global::Settlement, local::LaneState, redis_link::RedisLink};
use crate::edge::{client::counted_block, shutdown::Shutdown};

/// All limits of one process. Cheap to share.
pub struct Limiter {
    lanes: [LaneState; Lane::COUNT],
    degraded: AtomicBool,
    link: Option<RedisLink>,
    secret: hmac::Key,
    ticks: Arc<dyn Ticks>,
    denials: [AtomicU64; Lane::COUNT],
}

impl fmt::Debug for Limiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").field("degraded", &self.is_degraded()).finish_non_exhaustive()
    }
}

impl Limiter {
    /// Starts the limits and their background task, which ends with `shutdown`. `redis` is the Redis that all processes of
    /// the cell share, or `None` for a single process. Starts degraded until Redis has answered once.
    ///
    /// Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(
        config: &LimiterConfig,
        redis: Option<redis::Client>,
        ticks: Arc<dyn Ticks>,
        shutdown: Shutdown,
    ) -> Arc<Self> {
        let shared = redis.is_some();
        let limiter = Arc::new(Self {
            lanes: Lane::ALL.map(|lane| LaneState::new(lane, config, &ticks, shared)),
            degraded: AtomicBool::new(shared),
            link: redis.map(RedisLink::new),
            secret: hmac::Key::new(hmac::HMAC_SHA256, &config.secret),
            ticks,
            denials: Default::default(),
        });
        tokio::spawn(Settlement::new(Arc::clone(&limiter), config.settle_every).run(shutdown));
        limiter
    }

    /// Takes one from a bucket, without I/O.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check(&self, lane: Lane, key: LimitKey) -> Result<Allowed, Denied> {
        self.check_many(lane, key, 1)
    }

    /// Takes `cost` from a bucket, all or nothing, without I/O. What costs as much as the bucket
    /// holds, or more, takes all of it but one.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check_many(&self, lane: Lane, key: LimitKey, cost: u32) -> Result<Allowed, Denied> {
        let result = self.state(lane).check(key, cost, self.is_degraded(), self.ticks.elapsed());
        self.counted(result)
    }

    /// Takes one from the bucket of a client address (IPv6: of its /64).
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check_address(&self, address: IpAddr) -> Result<Allowed, Denied> {
        self.check(Lane::Address, LimitKey::Address(counted_block(address)))
    }

    /// Takes one from the bucket of a tenant.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check_tenant(&self, tenant: TenantId) -> Result<Allowed, Denied> {
        self.check(Lane::Tenant, LimitKey::Tenant(tenant))
    }

    /// Takes one from the bucket of a signed-in person or service account.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check_principal(&self, person: PersonId) -> Result<Allowed, Denied> {
        self.check(Lane::Principal, LimitKey::Principal(person))
    }

    /// Takes one from the bucket of the questions to a tenant's identity provider.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub fn check_provider(&self, tenant: TenantId) -> Result<Allowed, Denied> {
        self.check(Lane::Provider, LimitKey::Tenant(tenant))
    }

    /// One attempt to sign in, reset or enrol: counted per address and per account, in Redis at once, so that trying at
    /// several processes gains nothing. `login` is what the person typed; only a keyed hash of it is kept.
    ///
    /// Without Redis, or when it takes longer than 150 ms, the stricter local limit decides.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub async fn check_sign_in(
        &self,
        address: IpAddr,
        tenant: TenantId,
        login: &str,
    ) -> Result<Allowed, Denied> {
        self.check_sign_in_address(address).await?;
        self.check_now(Lane::SignInAccount, self.account_key(tenant, login)).await
    }

    /// One attempt to sign in that names nobody, as with a passkey: counted per address, as [`Limiter::check_sign_in`] does.
    ///
    /// # Errors
    /// [`Denied`] with the time to wait.
    pub async fn check_sign_in_address(&self, address: IpAddr) -> Result<Allowed, Denied> {
        self.check_now(Lane::SignInAddress, LimitKey::Address(counted_block(address))).await
    }

    /// The key of an account: a keyed hash of tenant and login, case ignored.
    #[must_use]
    pub fn account_key(&self, tenant: TenantId, login: &str) -> LimitKey {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(b"account");
        context.update(tenant.as_bytes());
        context.update(login.trim().to_lowercase().as_bytes());
        LimitKey::Account(first16(context.sign().as_ref()))
    }

    /// Whether Redis is out of reach, so that the stricter limits apply.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.degraded.load(Ordering::Relaxed)
    }

    /// How often a lane has denied.
    #[must_use]
    pub fn denials(&self, lane: Lane) -> u64 {
        self.denials[lane.index()].load(Ordering::Relaxed)
    }

    /// The keys that a lane holds in memory now.
    #[must_use]
    pub fn keys(&self, lane: Lane) -> usize {
        self.state(lane).len()
    }

    /// The value of `RateLimit-Policy` for the lanes that every request passes
    /// (draft-ietf-httpapi-ratelimit-headers-10, section 3).
    #[must_use]
    pub fn policy(&self, lane: Lane) -> http::HeaderValue {
        self.state(lane).policy.clone()
    }

    async fn check_now(&self, lane: Lane, key: LimitKey) -> Result<Allowed, Denied> {
        let state = self.state(lane);
        let now = self.ticks.elapsed();
        let local = self.counted(state.check_unsettled(key, self.is_degraded(), now))?;
        let Some(link) = &self.link else { return Ok(local) };
        if self.is_degraded() {
            return Ok(local);
        }
        match link.take_one(&self.redis_key(lane, key), state.limit, Duration::from_millis(150)).await {
            Ok(None) => Ok(local),
            Ok(Some(wait)) => self.counted(Err(Denied { lane, wait, limit: state.limit.count })),
            Err(_) => {
                self.degraded.store(true, Ordering::Relaxed);
                self.counted(state.check_strict(key).map(|()| local))
            }
        }
    }

    fn counted<T>(&self, result: Result<T, Denied>) -> Result<T, Denied> {
        if let Err(denied) = &result {
            self.denials[denied.lane.index()].fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    fn state(&self, lane: Lane) -> &LaneState {
        &self.lanes[lane.index()]
    }

    /// `ck:rl:<lane>:<hash>`; the hash is keyed, because an address could be guessed from a plain one.
    fn redis_key(&self, lane: Lane, key: LimitKey) -> String {
        let mut context = hmac::Context::with_key(&self.secret);
        context.update(lane.name().as_bytes());
        key.feed(|bytes| context.update(bytes));
        let hash = first16(context.sign().as_ref());
        format!("ck:rl:{}:{:032x}", lane.name(), u128::from_be_bytes(hash))
    }
}

fn first16(tag: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&tag[..16]);
    out
}

#[cfg(test)]
mod tests;
