//! How many connections a process may have open, and which of its tenants has them.
//!
//! Counted are the connections of both of a tenant's pools: fairness is between tenants, however they use what they have.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::TenantPool;

/// Limits of a process's connections.
#[derive(Debug, Clone, Copy)]
pub struct PoolLimits {
    /// Connections of all tenants together, to the operations and the clinical database. A tenant in use has at least one
    /// to each: with fewer than two for every tenant in use, connections are opened and closed all the time.
    pub total: usize,
    /// Connections of one tenant to the clinical database.
    pub per_tenant: usize,
    /// How long a request waits for a connection before it is answered 503.
    pub wait: Duration,
    /// How long an unused connection stays open.
    pub idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { total: 400, per_tenant: 12, wait: Duration::from_secs(2), idle: Duration::from_secs(60) }
    }
}

/// After how long an idle connection is spared for a tenant that waits.
const SPARE_AFTER: Duration = Duration::from_millis(300);
/// How long a tenant keeps a place when there are fewer places than tenants, and others wait: so long or so many uses, and
/// in any case some, or all that the processors do is to open connections.
const TURN: Duration = Duration::from_millis(250);
const MOST_USES: u32 = 64;
const FEWEST_USES: u32 = 8;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The connections that a process may have open, over all tenants.
pub struct Budget {
    permits: Arc<Semaphore>,
    /// How many wait for a permit, over all tenants.
    waiting: AtomicUsize,
    tenants: Mutex<Vec<Weak<Tally>>>,
    limits: PoolLimits,
}

/// Counted among the waiting until dropped.
pub(crate) struct Waiting<'a>([&'a AtomicUsize; 2]);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for counter in self.0 {
            counter.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Budget {
    /// A budget of its own, which closes what rests for too long. Needs a running tokio runtime.
    #[must_use]
    pub fn new(limits: PoolLimits) -> Arc<Self> {
        let budget = Arc::new(Self {
            permits: Arc::new(Semaphore::new(limits.total)),
            waiting: AtomicUsize::new(0),
            tenants: Mutex::default(),
            limits,
        });
        tokio::spawn(sweep(Arc::downgrade(&budget)));
        budget
    }

    pub(crate) const fn limits(&self) -> &PoolLimits {
        &self.limits
    }

    /// A tenant that holds nothing yet.
    #[must_use]
    pub fn tenant(self: &Arc<Self>) -> Arc<Tally> {
        let tally = Arc::new(Tally {
            budget: Arc::clone(self),
            held: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            line: tokio::sync::Mutex::default(),
            pools: Mutex::default(),
        });
        lock(&self.tenants).push(Arc::downgrade(&tally));
        tally
    }

    fn tenants(&self) -> Vec<Arc<Tally>> {
        lock(&self.tenants).iter().filter_map(Weak::upgrade).collect()
    }

    /// Closes connections that have been idle for longer than `age`; forgets tenants that are gone.
    fn close_idle(&self, age: Duration) {
        lock(&self.tenants).retain(|tenant| tenant.strong_count() > 0);
        for pool in self.tenants().iter().flat_map(|tenant| tenant.pools()) {
            pool.close_idle(age);
        }
    }

    fn fair(&self) -> Fair {
        let active = self.tenants().iter().filter(|tenant| tenant.is_active()).count();
        Fair { share: (self.limits.total / active.max(1)).max(1), crowded: active > self.limits.total }
    }

    /// Closes the idle connection that can best be spared: rested, or of whoever makes room for others. Answers whether there
    /// was one; its place goes to whoever waits longest.
    pub(crate) fn make_room(&self) -> bool {
        let fair = self.fair();
        let spare = self
            .tenants()
            .into_iter()
            .filter_map(|tenant| {
                let (rest, pool) = tenant.longest_idle()?;
                let spared =
                    rest.since.elapsed() > SPARE_AFTER || fair.spares(tenant.held(), rest.had_its_turn);
                spared.then_some((rest.since, pool))
            })
            .min_by_key(|(since, _)| *since);
        spare.is_some_and(|(_, pool)| pool.take_oldest().is_some())
    }
}

/// What a tenant may keep while others wait.
struct Fair {
    /// So many connections.
    share: usize,
    /// There are fewer connections than tenants: they take turns.
    crowded: bool,
}

impl Fair {
    const fn spares(&self, held: usize, had_its_turn: bool) -> bool {
        held > self.share || (self.crowded && had_its_turn)
    }
}

/// An idle connection, as seen from outside of its pool.
pub(crate) struct Rest {
    pub(crate) since: Instant,
    pub(crate) had_its_turn: bool,
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

/// What one tenant has of the budget, over its pools.
pub struct Tally {
    budget: Arc<Budget>,
    /// Connections that exist: lent, idle or being opened.
    held: AtomicUsize,
    /// How many wait for a connection because the budget is spent.
    waiting: AtomicUsize,
    /// Of those who wait one stands in line for the budget: the line is one of tenants, whatever each of them asks for.
    line: tokio::sync::Mutex<()>,
    pools: Mutex<Vec<Weak<TenantPool>>>,
}

impl Tally {
    pub(crate) const fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn add(&self, pool: &Arc<TenantPool>) {
        lock(&self.pools).push(Arc::downgrade(pool));
    }

    pub(crate) fn pools(&self) -> Vec<Arc<TenantPool>> {
        lock(&self.pools).iter().filter_map(Weak::upgrade).collect()
    }

    fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    fn is_active(&self) -> bool {
        self.held() > 0 || self.waiting.load(Ordering::SeqCst) > 0
    }

    fn longest_idle(&self) -> Option<(Rest, Arc<TenantPool>)> {
        let idle = self.pools().into_iter().filter_map(|pool| pool.oldest_idle().map(|rest| (rest, pool)));
        idle.min_by_key(|(rest, _)| rest.since)
    }

    /// Counts somebody of this tenant among the waiting.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        let counters = [&self.waiting, &self.budget.waiting];
        for counter in counters {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Waiting(counters)
    }

    /// Leave to open one more connection, if nobody has to wait for it.
    pub(crate) fn try_share(self: &Arc<Self>) -> Option<Share> {
        let permit = Arc::clone(&self.budget.permits).try_acquire_owned().ok()?;
        Some(Share::new(permit, self))
    }

    /// Leave to open one more connection, in turn.
    pub(crate) async fn share(self: &Arc<Self>) -> Result<Share, sqlx::Error> {
        let _first = self.line.lock().await;
        let permit = Arc::clone(&self.budget.permits).acquire_owned().await;
        Ok(Share::new(permit.map_err(|_| sqlx::Error::PoolClosed)?, self))
    }

    /// Whether the place of a connection is for another tenant now.
    pub(crate) fn makes_room(&self, share: &Share) -> bool {
        let others = self.budget.waiting.load(Ordering::SeqCst) > self.waiting.load(Ordering::SeqCst);
        others
            && self.budget.permits.available_permits() == 0
            && self.budget.fair().spares(self.held(), share.had_its_turn())
    }
}

/// A connection's part of the budget, counted for its tenant as long as it exists.
pub(crate) struct Share {
    _permit: OwnedSemaphorePermit,
    tally: Arc<Tally>,
    since: Instant,
    uses: u32,
}

impl Share {
    pub(crate) const fn count_use(&mut self) {
        self.uses = self.uses.saturating_add(1);
    }

    pub(crate) fn had_its_turn(&self) -> bool {
        self.uses >= MOST_USES || (self.uses >= FEWEST_USES && self.since.elapsed() > TURN)
    }

    fn new(permit: OwnedSemaphorePermit, tally: &Arc<Tally>) -> Self {
        tally.held.fetch_add(1, Ordering::SeqCst);
        Self { _permit: permit, tally: Arc::clone(tally), since: Instant::now(), uses: 0 }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.tally.held.fetch_sub(1, Ordering::SeqCst);
    }
}
