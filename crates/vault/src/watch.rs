//! The directory in memory: which host is which tenant's, and which tenants are served.
//!
//! Invariant: at most [`POLL`] plus one query old. A gateway that cannot reach the directory for longer than
//! [`STALE_LIMIT`] serves nobody: a suspension that it did not hear of must not be outlived (fail closed).

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use carekeep_kernel::{Accent, TenantId};
use sqlx::{PgPool, Row};

use crate::{AccessError, sqlstate};

/// How often the directory is read when nothing is announced.
const POLL: Duration = Duration::from_millis(1_000);
/// How old the picture may get before nobody is served any more.
const STALE_LIMIT: Duration = Duration::from_secs(30);

/// What the edge needs to know of a tenant.
#[derive(Debug, Clone)]
pub struct TenantState {
    /// The tenant.
    pub id: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The colour of its brand, if it has one.
    pub accent: Option<Accent>,
    /// The region that holds its data.
    pub region: String,
    /// Whether it is served: not suspended, not half-made.
    pub active: bool,
    /// Migrations of its clinical schema.
    pub clinical_version: i32,
    /// Migrations of its operations schema.
    pub operations_version: i32,
}

/// One picture of the directory.
pub struct Snapshot {
    by_host: HashMap<String, Arc<TenantState>>,
    by_id: HashMap<TenantId, Arc<TenantState>>,
    taken: Instant,
}

impl Snapshot {
    /// The tenant of a normalised host name (lower case, no port).
    #[must_use]
    pub fn by_host(&self, host: &str) -> Option<&Arc<TenantState>> {
        self.by_host.get(host).filter(|_| self.is_fresh())
    }

    /// The tenant of an id.
    #[must_use]
    pub fn by_id(&self, tenant: TenantId) -> Option<&Arc<TenantState>> {
        self.by_id.get(&tenant).filter(|_| self.is_fresh())
    }

    /// Every tenant, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Arc<TenantState>> {
        self.by_id.values()
    }

    /// Whether the picture is recent enough to decide on.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.taken.elapsed() < STALE_LIMIT
    }
}

/// Keeps a [`Snapshot`] current until it is dropped.
pub struct DirectoryWatch {
    snapshot: ArcSwap<Snapshot>,
    pool: PgPool,
}

impl DirectoryWatch {
    pub(crate) async fn start(pool: PgPool) -> Result<Arc<Self>, AccessError> {
        let first = read(&pool).await?;
        let watch = Arc::new(Self { snapshot: ArcSwap::from_pointee(first), pool });
        tokio::spawn(follow(Arc::downgrade(&watch)));
        Ok(watch)
    }

    /// The present picture.
    #[must_use]
    pub fn now(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Reads the directory at once; for whoever has just changed it.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the directory does not answer.
    pub async fn refresh(&self) -> Result<(), AccessError> {
        let read = Arc::new(read(&self.pool).await?);
        self.snapshot.rcu(|present| Arc::clone(newer(present, &read)));
        Ok(())
    }
}

/// Whoever began to look earlier and was slower must not put an older picture over a newer one: a tenant that was suspended
/// meanwhile would be served again.
fn newer<'a>(present: &'a Arc<Snapshot>, read: &'a Arc<Snapshot>) -> &'a Arc<Snapshot> {
    if present.taken > read.taken { present } else { read }
}

async fn follow(watch: Weak<DirectoryWatch>) {
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(watch) = watch.upgrade() else { return };
        if let Err(error) = watch.refresh().await {
            tracing::warn!(error = %error, "the directory could not be read; serving from the last picture");
        }
    }
}

async fn read(pool: &PgPool) -> Result<Snapshot, AccessError> {
    let away = |error: sqlx::Error| AccessError::unavailable("directory", sqlstate(&error));
    let taken = Instant::now();
    let rows = sqlx::query(
        "SELECT t.id, t.slug, t.name, t.region, t.status = 'active', t.clinical_version, t.operations_version,
                array(SELECT h.host FROM directory.tenant_host h WHERE h.tenant = t.id), t.accent
         FROM directory.tenant t",
    )
    .fetch_all(pool)
    .await
    .map_err(away)?;
    let mut snapshot = Snapshot { by_host: HashMap::new(), by_id: HashMap::with_capacity(rows.len()), taken };
    for row in rows {
        let state = Arc::new(TenantState {
            id: TenantId::from_uuid(row.try_get(0).map_err(away)?),
            slug: row.try_get(1).map_err(away)?,
            name: row.try_get(2).map_err(away)?,
            region: row.try_get(3).map_err(away)?,
            active: row.try_get(4).map_err(away)?,
            clinical_version: row.try_get(5).map_err(away)?,
            operations_version: row.try_get(6).map_err(away)?,
            // A colour that nobody could read is none: the pages have the product's.
            accent: row.try_get::<Option<String>, _>(8).map_err(away)?.and_then(|text| text.parse().ok()),
        });
        for host in row.try_get::<Vec<String>, _>(7).map_err(away)? {
            snapshot.by_host.insert(host, Arc::clone(&state));
        }
        snapshot.by_id.insert(state.id, state);
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_that_was_begun_earlier_replaces_none_that_was_begun_later() {
        let begun = |taken| Arc::new(Snapshot { by_host: HashMap::new(), by_id: HashMap::new(), taken });
        let (first, second) = (Instant::now(), Instant::now() + POLL);
        let (older, later) = (begun(first), begun(second));
        assert!(Arc::ptr_eq(newer(&later, &older), &later), "the slower look loses");
        assert!(Arc::ptr_eq(newer(&older, &later), &later));
        assert!(!Arc::ptr_eq(newer(&older, &begun(first)), &older), "of two at once the last one counts");
    }
}
