//! The background task: settles with Redis, notices when it goes and comes, and keeps memory bounded.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{
    Lane, LimitKey, Limiter,
    redis_link::{Consumed, LinkError, RedisLink},
};
use crate::edge::shutdown::Shutdown;

/// Ticks between two asks whether Redis is there when there is nothing to settle.
const PING_TICKS: u32 = 10;
/// Ticks between two routine sweeps of the buckets.
const SWEEP_TICKS: u32 = 100;

pub(super) struct Settlement {
    limiter: Arc<Limiter>,
    every: Duration,
}

impl Settlement {
    pub(super) const fn new(limiter: Arc<Limiter>, every: Duration) -> Self {
        Self { limiter, every }
    }

    pub(super) async fn run(self, mut shutdown: Shutdown) {
        let mut tick = 0_u32;
        loop {
            tick = tick.wrapping_add(1);
            self.settle(tick).await;
            for lane in &self.limiter.lanes {
                lane.sweep(tick.is_multiple_of(SWEEP_TICKS));
            }
            tokio::select! {
                biased;
                () = shutdown.fired() => return,
                () = tokio::time::sleep(self.every) => {}
            }
        }
    }

    async fn settle(&self, tick: u32) {
        let limiter = &self.limiter;
        let Some(link) = &limiter.link else { return };
        let (owners, consumed) = self.collect();
        let result = if consumed.is_empty() {
            if !limiter.is_degraded() && !tick.is_multiple_of(PING_TICKS) {
                return;
            }
            link.ping().await
        } else {
            self.push(link, &owners, &consumed).await
        };
        let was = limiter.degraded.swap(result.is_err(), Ordering::Relaxed);
        announce(was, result.err().as_ref());
    }

    fn collect(&self) -> (Vec<(Lane, LimitKey)>, Vec<Consumed>) {
        let now = self.limiter.ticks.elapsed();
        let mut owners = Vec::new();
        let mut consumed = Vec::new();
        for lane in Lane::ALL {
            let state = self.limiter.state(lane);
            for (key, cost) in state.take_pending(now) {
                owners.push((lane, key));
                consumed.push(Consumed { key: self.limiter.redis_key(lane, key), limit: state.limit, cost });
            }
        }
        (owners, consumed)
    }

    async fn push(
        &self,
        link: &RedisLink,
        owners: &[(Lane, LimitKey)],
        consumed: &[Consumed],
    ) -> Result<(), LinkError> {
        let waits = link.settle(consumed).await?;
        let now = self.limiter.ticks.elapsed();
        for ((lane, key), wait) in owners.iter().zip(waits) {
            if !wait.is_zero() {
                self.limiter.state(*lane).deny_until(*key, now + wait);
            }
        }
        Ok(())
    }
}

/// Says when Redis goes and when it comes back, not every time in between.
fn announce(was_degraded: bool, error: Option<&LinkError>) {
    match error {
        // What was consumed meanwhile is lost to Redis; the stricter local limits have stood in for it.
        Some(error) if !was_degraded => {
            tracing::warn!(reason = kind(error), "rate limits: Redis is gone, limits are stricter");
        }
        None if was_degraded => tracing::info!("rate limits: Redis answers, limits are shared"),
        _ => {}
    }
}

const fn kind(error: &LinkError) -> &'static str {
    match error {
        LinkError::Redis(_) => "refused",
        LinkError::Slow => "slow",
    }
}
