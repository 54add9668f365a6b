//! Connections to one tenant's schema. A connection belongs to one tenant for its whole life.
//!
//! - Opened on first use, closed when idle, inside one budget of connections for the process. Waiting is bounded and
//!   fair: when the budget is spent, a tenant that holds more than its share, or has had its turn, makes room for
//!   others; what it keeps goes to its own waiters without being opened anew.
//! - A tenant that has an idle connection to its other database does not wait for others: it closes that one and opens
//!   one here in its place.
//! - Nobody holds a lease of one pool while waiting for one of another: two tenants could wait for each other.
//! - A lease goes back only when its holder says that it is done ([`Lease::give_back`]). A cancelled, failed or panicked
//!   holder closes the connection instead, so no session state ever reaches the next holder (BARS T3).
//! - A connection that does not begin as the tenant's login with the tenant's `search_path` is not used: a login may
//!   change its own defaults (`ALTER ROLE`), and such a change must not outlive the connection that made it (BARS T2).
//! - After a holder failed, and after a rest, an idle connection is asked whether it lives before it is lent again: a
//!   restart of the server costs one request, not one per connection (BARS F2).

mod budget;

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, postgres::PgConnectOptions};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use budget::{Rest, Share, lock};

pub use budget::{Budget, PoolLimits, Tally};

pub(crate) struct Idle {
    connection: PgConnection,
    since: Instant,
    share: Share,
}

/// One tenant's connections to one database.
pub struct TenantPool {
    options: PgConnectOptions,
    schema: String,
    idle: Mutex<Vec<Idle>>,
    /// When a holder last failed or went away: what is idle since before is asked whether it lives.
    doubted: Mutex<Instant>,
    slots: Arc<Semaphore>,
    tally: Arc<Tally>,
    /// Tells one of those who wait because the budget is spent that a connection came back.
    returned: Notify,
}

/// How often whoever waits looks again what can be spared.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a connection may rest before it is asked whether it lives.
const REST: Duration = Duration::from_secs(5);
/// How long the answer may take.
const PING_LIMIT: Duration = Duration::from_millis(500);

fn timed_out() -> sqlx::Error {
    sqlx::Error::PoolTimedOut
}

/// What a lease is made from.
enum Found {
    Idle(Idle),
    /// Leave to open a connection.
    Leave(Share),
}

impl TenantPool {
    /// At most `limit` connections of the tenant with this tally. `schema` is the tenant's; the login in `options` must
    /// begin in it.
    #[must_use]
    pub fn new(options: PgConnectOptions, schema: String, limit: usize, tally: &Arc<Tally>) -> Arc<Self> {
        let pool = Arc::new(Self {
            options,
            schema,
            idle: Mutex::default(),
            doubted: Mutex::new(Instant::now()),
            slots: Arc::new(Semaphore::new(limit)),
            tally: Arc::clone(tally),
            returned: Notify::new(),
        });
        tally.add(&pool);
        pool
    }

    /// A connection of this tenant, within the limit on waiting.
    ///
    /// # Errors
    /// [`sqlx::Error::PoolTimedOut`] when none came free in time; when the server does not answer, or the login does not begin
    /// as it was provisioned.
    pub async fn lease(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        tokio::time::timeout(self.tally.budget().limits().wait, self.lease_unbounded())
            .await
            .map_err(|_| timed_out())?
    }

    async fn lease_unbounded(self: &Arc<Self>) -> Result<Lease, sqlx::Error> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let held = loop {
            match self.find().await? {
                Found::Idle(idle) => {
                    if let Some(Idle { connection, share, .. }) = self.living(idle).await {
                        break Held { connection, _slot: slot, share };
                    }
                }
                Found::Leave(share) => {
                    let mut connection = PgConnection::connect_with(&self.options).await?;
                    begins_as_provisioned(&mut connection, self.options.get_username(), &self.schema).await?;
                    break Held { connection, _slot: slot, share };
                }
            }
        };
        Ok(Lease { held: Some(held), pool: Arc::clone(self) })
    }

    async fn find(&self) -> Result<Found, sqlx::Error> {
        if let Some(idle) = self.take_newest() {
            return Ok(Found::Idle(idle));
        }
        match self.tally.try_share() {
            Some(share) => Ok(Found::Leave(share)),
            // Boxed, as everything that is rare on the way of a read.
            None => Box::pin(self.wait()).await,
        }
    }

    /// The first of: leave in its turn, a connection that came back, the place of one to the other database.
    async fn wait(&self) -> Result<Found, sqlx::Error> {
        // Counted before the look for what there is: what is given back later is seen by its giver.
        let _waiting = self.tally.wait();
        let mut share = pin!(self.tally.share());
        let mut made_room = self.tally.budget().make_room();
        loop {
            if let Some(idle) = self.take_newest() {
                return Ok(Found::Idle(idle));
            }
            if !made_room && let Some(found) = self.exchange() {
                return Ok(found);
            }
            tokio::select! {
                share = &mut share => return share.map(Found::Leave),
                () = self.returned.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => made_room = self.tally.budget().make_room(),
            }
        }
    }

    /// Closes an idle connection of the tenant to its other database, for one here in its place; unless its turn is over.
    fn exchange(&self) -> Option<Found> {
        let others = self.tally.pools().into_iter().filter(|pool| !std::ptr::eq(&**pool, self));
        let Idle { connection, share, .. } = others.into_iter().find_map(|pool| pool.take_oldest())?;
        drop(connection);
        (!self.tally.makes_room(&share)).then_some(Found::Leave(share))
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

    pub(crate) fn oldest_idle(&self) -> Option<Rest> {
        lock(&self.idle)
            .first()
            .map(|idle| Rest { since: idle.since, had_its_turn: idle.share.had_its_turn() })
    }

    pub(crate) fn take_oldest(&self) -> Option<Idle> {
        let mut idle = lock(&self.idle);
        if idle.is_empty() { None } else { Some(idle.remove(0)) }
    }

    /// Closes what has been idle for longer than `age`.
    pub(crate) fn close_idle(&self, age: Duration) {
        lock(&self.idle).retain(|idle| idle.since.elapsed() < age);
    }

    /// Closes what is idle; for a suspended tenant or a shutdown.
    pub fn clear(&self) {
        lock(&self.idle).clear();
    }
}

/// Checks who and where a new connection is. `role` and `schema` are hexadecimal with underscores: no quoting needed.
async fn begins_as_provisioned(
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
    share: Share,
}

/// A connection in use.
pub struct Lease {
    held: Option<Held>,
    pool: Arc<TenantPool>,
}

impl Lease {
    /// The connection.
    ///
    /// # Errors
    /// None while the lease is held; the type only lets a lease be given back once.
    pub fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.held.as_mut().map(|held| &mut held.connection).ok_or(sqlx::Error::PoolClosed)
    }

    /// Returns the connection for the next holder. Call it only after the last statement succeeded.
    pub fn give_back(mut self) {
        if let Some(held) = self.held.take() {
            let Held { connection, mut share, .. } = held;
            share.count_use();
            if !self.pool.tally.makes_room(&share) {
                lock(&self.pool.idle).push(Idle { connection, since: Instant::now(), share });
                self.pool.returned.notify_one();
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
