//! Connections to one tenant's schema. A connection belongs to one tenant for its whole life.
//!
//! - Opened on first use, closed when idle, inside one budget of connections for the process. Waiting is bounded and
//!   fair: when the budget is spent, a tenant that holds more than its share, or has had its turn, makes room for
//!   others; what it keeps goes to its own waiters without being opened anew.
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
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

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
    /// How many wait for a permit, over all tenants.
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

    fn try_permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.permits).try_acquire_owned().ok()
    }

    /// How many connections a tenant may keep while others wait.
    fn share(&self) -> usize {
        let busy = |pool: &Arc<TenantPool>| {
            pool.held.load(Ordering::SeqCst) > 0 || pool.waiting.load(Ordering::SeqCst) > 0
        };
        let active = lock(&self.pools).iter().filter_map(Weak::upgrade).filter(busy).count();
        (self.limits.total / active.max(1)).max(1)
    }

    /// Closes the idle connection that can best be spared, if any: of whoever has more than a share, or rested.
    fn make_room(&self) {
        let share = self.share();
        let pools: Vec<_> = lock(&self.pools).iter().filter_map(Weak::upgrade).collect();
        let spare = pools
            .into_iter()
            .filter_map(|pool| pool.oldest_idle().map(|since| (since, pool)))
            .filter(|(since, pool)| pool.held.load(Ordering::SeqCst) > share || since.elapsed() > SPARE_AFTER)
            .min_by_key(|(since, _)| *since);
        if let Some((_, pool)) = spare {
            drop(pool.take_oldest());
        }
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

/// A connection's part of the budget, counted for its tenant as long as it exists.
struct Share {
    _permit: OwnedSemaphorePermit,
    held: Arc<AtomicUsize>,
}

impl Share {
    fn new(permit: OwnedSemaphorePermit, held: &Arc<AtomicUsize>) -> Self {
        held.fetch_add(1, Ordering::SeqCst);
        Self { _permit: permit, held: Arc::clone(held) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Idle {
    connection: PgConnection,
    since: Instant,
    /// How often it was lent.
    uses: u32,
    share: Share,
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
    /// Connections that exist: lent, idle or being opened.
    held: Arc<AtomicUsize>,
    /// How many wait for a connection because the budget is spent.
    waiting: AtomicUsize,
    /// Tells one of them that a connection came back.
    returned: Notify,
}

/// How often a connection is lent before it makes room for a tenant that waits.
const TURN: u32 = 64;
/// After how long an idle connection is spared for a tenant that waits.
const SPARE_AFTER: Duration = Duration::from_millis(300);
/// How often whoever waits looks again what can be spared.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
            held: Arc::default(),
            waiting: AtomicUsize::new(0),
            returned: Notify::new(),
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
        let share = loop {
            while let Some(idle) = self.take_newest() {
                if let Some(Idle { connection, uses, share, .. }) = self.living(idle).await {
                    let held = Held { connection, _slot: slot, uses, share };
                    return Ok(Lease { held: Some(held), pool: Arc::clone(self) });
                }
            }
            if let Some(share) = self.share_of_budget().await {
                break share;
            }
        };
        let mut connection = PgConnection::connect_with(&self.options).await?;
        begins_as_provisioned(&mut connection, self.options.get_username(), &self.schema).await?;
        Ok(Lease { held: Some(Held { connection, _slot: slot, uses: 0, share }), pool: Arc::clone(self) })
    }

    /// Leave to open one more connection; `None` when it is worth looking for an idle one again.
    async fn share_of_budget(&self) -> Option<Share> {
        if let Some(permit) = self.budget.try_permit() {
            return Some(Share::new(permit, &self.held));
        }
        // Counted before the look for what can be spared: what is given back later is seen by its giver.
        let _own = Waiting::new(&self.waiting);
        let _all = Waiting::new(&self.budget.waiting);
        self.budget.make_room();
        tokio::select! {
            permit = Arc::clone(&self.budget.permits).acquire_owned() => {
                permit.ok().map(|permit| Share::new(permit, &self.held))
            }
            () = self.returned.notified() => None,
            () = tokio::time::sleep(LOOK_AGAIN) => None,
        }
    }

    /// Whether a connection that was lent `uses` times is for another tenant now.
    fn makes_room(&self, uses: u32) -> bool {
        let others = self.budget.waiting.load(Ordering::SeqCst) > self.waiting.load(Ordering::SeqCst);
        others
            && self.budget.permits.available_permits() == 0
            && (uses >= TURN || self.held.load(Ordering::SeqCst) > self.budget.share())
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
    uses: u32,
    share: Share,
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
            let Held { connection, uses, share, .. } = held;
            let uses = uses.saturating_add(1);
            if self.pool.makes_room(uses) {
                return;
            }
            lock(&self.pool.idle).push(Idle { connection, since: Instant::now(), uses, share });
            self.pool.returned.notify_one();
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
