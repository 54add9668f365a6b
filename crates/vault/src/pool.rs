//! Connections to one tenant's schema. A connection belongs to one tenant for its whole life.
//!
//! - Opened on first use, closed when idle, inside one budget of connections for the process. Waiting is bounded, and
//!   fair: the budget is a FIFO semaphore, and a tenant never holds more than its own share.
//! - A lease goes back only when its holder says that it is done ([`Lease::give_back`]). A cancelled, failed or panicked
//!   holder closes the connection instead, so no session state ever reaches the next holder (BARS T3).
//! - A connection that does not begin as the tenant's login with the tenant's `search_path` is not used: a login may
//!   change its own defaults (`ALTER ROLE`), and such a change must not outlive the connection that made it (BARS T2).
//! - After a holder failed, and after a rest, an idle connection is asked whether it lives before it is lent again: a
//!   restart of the server costs one request, not one per connection (BARS F2).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};
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
    /// How many wait for a permit: whoever gives a connection back makes room for them instead of keeping it idle.
    waiting: AtomicUsize,
    pools: Mutex<Vec<Weak<TenantPool>>>,
    limits: PoolLimits,
}

/// Counted among the waiting until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Budget {
    pub(crate) fn new(limits: PoolLimits) -> Arc<Self> {
        let budget = Arc::new(Self {
            permits: Arc::new(Semaphore::new(limits.total)),
            waiting: AtomicUsize::new(0),
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
        // Counted before the look for idle ones: what is given back after the look is then closed by its giver.
        let _waiting = Waiting::new(&self.waiting);
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

    /// Whether somebody waits whom no free permit is on its way to.
    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0 && self.permits.available_permits() == 0
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
    schema: String,
    idle: Mutex<Vec<Idle>>,
    /// When a holder last failed or went away: what is idle since before is asked whether it lives.
    doubted: Mutex<Instant>,
    slots: Arc<Semaphore>,
    budget: Arc<Budget>,
}

/// How long a connection may rest before it is asked whether it lives.
const REST: Duration = Duration::from_secs(5);
/// How long the answer may take.
const PING_LIMIT: Duration = Duration::from_millis(500);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timed_out() -> sqlx::Error {
    sqlx::Error::PoolTimedOut
}

impl TenantPool {
    /// `schema` is the tenant's; the login in `options` must begin in it.
    pub(crate) fn new(options: PgConnectOptions, schema: String, budget: &Arc<Budget>) -> Arc<Self> {
        let pool = Arc::new(Self {
            options,
            schema,
            idle: Mutex::default(),
            doubted: Mutex::new(Instant::now()),
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
        while let Some(idle) = self.take_newest() {
            if let Some(idle) = self.living(idle).await {
                let held = Held { connection: idle.connection, _slot: slot, budget: idle._budget };
                return Ok(Lease { held: Some(held), pool: Arc::clone(self) });
            }
        }
        let budget = self.budget.permit().await.ok_or(sqlx::Error::PoolClosed)?;
        let mut connection = PgConnection::connect_with(&self.options).await?;
        begins_as_provisioned(&mut connection, self.options.get_username(), &self.schema).await?;
        Ok(Lease { held: Some(Held { connection, _slot: slot, budget }), pool: Arc::clone(self) })
    }

    /// The connection, if it can be lent. One that is dead has company: then all that are idle are closed.
    async fn living(&self, mut idle: Idle) -> Option<Idle> {
        if idle.since > *lock(&self.doubted) && idle.since.elapsed() < REST {
            return Some(idle);
        }
        if matches!(tokio::time::timeout(PING_LIMIT, idle.connection.ping()).await, Ok(Ok(()))) {
            return Some(idle);
        }
        self.clear();
        None
    }

    fn take_newest(&self) -> Option<Idle> {
        lock(&self.idle).pop()
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

/// Checks who and where a new connection is. `role` and `schema` are hexadecimal with underscores: no quoting needed.
pub(crate) async fn begins_as_provisioned(
    connection: &mut PgConnection,
    role: &str,
    schema: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "SELECT current_user = '{role}' AND session_user = '{role}'
            AND pg_catalog.current_setting('search_path') = '{schema}, pg_temp'"
    );
    let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(connection).await?;
    if row.try_get::<bool, _>(0)? {
        return Ok(());
    }
    tracing::error!(
        role,
        "a tenant's login does not begin in its schema: create the tenant again to restore it"
    );
    Err(sqlx::Error::Configuration("the login's defaults were changed".into()))
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
            if self.pool.budget.is_wanted() {
                drop(self.pool.take_oldest());
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.held.is_some() {
            *lock(&self.pool.doubted) = Instant::now();
        }
    }
}
