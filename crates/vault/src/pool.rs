//! Connections to one tenant's schema. A connection belongs to one tenant for its whole life.
//!
//! - Opened on first use, closed when idle, inside one budget of connections for the process. Waiting is bounded, and
//!   fair: the budget is a FIFO semaphore, and a tenant never holds more than its own share.
//! - A lease goes back only when its holder says that it is done ([`Lease::give_back`]). A cancelled, failed or panicked
//!   holder closes the connection instead, so no session state ever reaches the next holder (BARS T3).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of a process's connections.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Connections of all tenants together. 1 to Postgres's `max_connections`.
    pub total: usize,
    /// Connections of one tenant.
    pub per_tenant: usize,
    /// How long a request waits for a connection before it is answered 503.
    pub wait: Duration,
    /// How long an unused connection stays open.
    pub idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { total: 200, per_tenant: 12, wait: Duration::from_secs(2), idle: Duration::from_secs(60) }
    }
}

/// The connections that a process may have open, over all tenants.
pub(crate) struct Budget {
    permits: Arc<Semaphore>,
    pools: Mutex<Vec<Weak<TenantPool>>>,
    limits: PoolLimits,
}

impl Budget {
    pub(crate) fn new(limits: PoolLimits) -> Arc<Self> {
        let budget = Arc::new(Self {
            permits: Arc::new(Semaphore::new(limits.total)),
            pools: Mutex::default(),
            limits,
        });
        tokio::spawn(sweep(Arc::downgrade(&budget)));
        budget
    }

    /// Closes connections that have been idle for longer than `age`; forgets pools that are gone.
    fn close_idle(&self, age: Duration) {
        lock(&self.pools).retain(|pool| match pool.upgrade() {
            Some(pool) => {
                lock(&pool.idle).retain(|connection| connection.since.elapsed() < age);
                true
            }
            None => false,
        });
    }

    /// A permit to open one more connection; makes room by closing somebody's idle one.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Some(permit);
        }
        let oldest = lock(&self.pools)
            .iter()
            .filter_map(Weak::upgrade)
            .filter_map(|pool| pool.oldest_idle().map(|since| (since, pool)))
            .min_by_key(|(since, _)| *since);
        if let Some((_, pool)) = oldest {
            drop(pool.take_oldest());
        }
        Arc::clone(&self.permits).acquire_owned().await.ok()
    }
}

async fn sweep(budget: Weak<Budget>) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        match budget.upgrade() {
            Some(budget) => budget.close_idle(budget.limits.idle),
            None => return,
        }
    }
}

struct Idle {
    connection: PgConnection,
    since: Instant,
    _budget: OwnedSemaphorePermit,
}

/// One tenant's connections to one database.
pub(crate) struct TenantPool {
    options: PgConnectOptions,
    idle: Mutex<Vec<Idle>>,
    slots: Arc<Semaphore>,
    budget: Arc<Budget>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::PoolTimedOut
}

impl TenantPool {
    pub(crate) fn new(options: PgConnectOptions, budget: &Arc<Budget>) -> Arc<Self> {
        let pool = Arc::new(Self {
            options,
            idle: Mutex::default(),
            slots: Arc::new(Semaphore::new(budget.limits.per_tenant)),
            budget: Arc::clone(budget),
        });
        lock(&budget.pools).push(Arc::downgrade(&pool));
        pool
    }

    /// A connection of this tenant, within the limit on waiting.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        tokio::time::timeout(self.budget.limits.wait, self.lease_unbounded())
            .await
            .map_err(|_| timed_out())?
    }

    async fn lease_unbounded(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        if let Some(idle) = lock(&self.idle).pop() {
            let held = Held { connection: idle.connection, _slot: slot, budget: idle._budget };
            return Ok(Lease { held: Some(held), pool: Arc::clone(self) });
        }
        let budget = self.budget.permit().await.ok_or(sqlx::Error::PoolClosed)?;
        let connection = PgConnection::connect_with(&self.options).await?;
        Ok(Lease { held: Some(Held { connection, _slot: slot, budget }), pool: Arc::clone(self) })
    }

    fn oldest_idle(&self) -> Option<Instant> {
        lock(&self.idle).first().map(|idle| idle.since)
    }

    fn take_oldest(&self) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        if idle.is_empty() { None } else { Some(idle.remove(0)) }
    }

    /// Closes what is idle; for a suspended tenant or a shutdown.
    pub(crate) fn clear(&self) {
        lock(&self.idle).clear();
    }
}

struct Held {
    connection: PgConnection,
    _slot: OwnedSemaphorePermit,
    budget: OwnedSemaphorePermit,
}

/// A connection in use.
pub(crate) struct Lease {
    held: Option<Held>,
    pool: Arc<TenantPool>,
}

impl Lease {
    /// The connection.
    pub(crate) fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.held.as_mut().map(|held| &mut held.connection).ok_or(sqlx::Error::PoolClosed)
    }

    /// Returns the connection for the next holder. Call it only after the last statement succeeded.
    pub(crate) fn give_back(mut self) {
        if let Some(held) = self.held.take() {
            let idle = Idle { connection: held.connection, since: Instant::now(), _budget: held.budget };
            lock(&self.pool.idle).push(idle);
        }
    }
}
