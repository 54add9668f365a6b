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
use carekeep_kernel::{Accent, PartnerId, TenantId, TenantKind, Timestamp};
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::{AccessError, Authorized, Vault, catalogue::ListClinics, sqlstate};

/// How often the directory is read when nothing is announced.
const POLL: Duration = Duration::from_millis(1_000);
/// How old the picture may get before nobody is served any more.
const STALE_LIMIT: Duration = Duration::from_secs(30);

/// What the edge needs to know of a tenant.
#[derive(Debug, Clone)]
pub struct TenantState {
    /// The tenant.
    pub id: TenantId,
    /// What it is for.
    pub kind: TenantKind,
    /// Its partner, by id and short name; the platform's own tenant has none.
    pub partner: Option<(PartnerId, String)>,
    /// Its short name.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// The colour of its brand, if it has one.
    pub accent: Option<Accent>,
    /// The region that holds its data.
    pub region: String,
    /// Its host names.
    pub hosts: Vec<String>,
    /// `provisioning`, `active` or `suspended`.
    pub status: String,
    /// Whether it is served: not suspended, not half-made.
    pub active: bool,
    /// When it was made.
    pub created: Timestamp,
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

    /// The clinics that the people of a tenant look after, by id and so the oldest first: the platform's all, a partner's those
    /// of the partner, a clinic's none.
    fn looked_after_by(&self, tenant: &TenantState) -> Vec<Arc<TenantState>> {
        let partner = |state: &TenantState| state.partner.as_ref().map(|(id, _)| *id);
        let theirs = |clinic: &&Arc<TenantState>| {
            clinic.kind == TenantKind::Clinic
                && match tenant.kind {
                    TenantKind::Clinic => false,
                    TenantKind::Partner => partner(clinic).is_some() && partner(clinic) == partner(tenant),
                    TenantKind::Platform => true,
                }
        };
        let mut clinics: Vec<_> = self.tenants().filter(theirs).cloned().collect();
        clinics.sort_unstable_by_key(|clinic| clinic.id);
        clinics
    }
}

impl Vault {
    /// The clinics that the people of the actor's tenant look after, as the directory has them, by id. Nothing of what is inside.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the directory was not heard of lately.
    pub fn clinics(&self, leave: Authorized<ListClinics>) -> Result<Vec<Arc<TenantState>>, AccessError> {
        let snapshot = self.directory().now();
        let tenant = snapshot
            .by_id(leave.spend())
            .ok_or_else(|| AccessError::unavailable("directory", "no recent entry of this tenant"))?;
        Ok(snapshot.looked_after_by(tenant))
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
                array(SELECT h.host FROM directory.tenant_host h WHERE h.tenant = t.id ORDER BY h.host), t.accent,
                t.kind, t.partner, p.slug, t.status, t.created_at
         FROM directory.tenant t LEFT JOIN directory.partner p ON p.id = t.partner",
    )
    .fetch_all(pool)
    .await
    .map_err(away)?;
    let mut snapshot = Snapshot { by_host: HashMap::new(), by_id: HashMap::with_capacity(rows.len()), taken };
    for row in rows {
        let Some(state) = decode(&row).map_err(away)?.map(Arc::new) else { continue };
        for host in &state.hosts {
            snapshot.by_host.insert(host.clone(), Arc::clone(&state));
        }
        snapshot.by_id.insert(state.id, state);
    }
    Ok(snapshot)
}

/// A tenant of a kind that this binary does not know is none: it is not served as one that it knows.
fn decode(row: &PgRow) -> Result<Option<TenantState>, sqlx::Error> {
    let Ok(kind) = row.try_get::<String, _>(9)?.parse::<TenantKind>() else { return Ok(None) };
    let partner: Option<uuid::Uuid> = row.try_get(10)?;
    let partner_slug: Option<String> = row.try_get(11)?;
    Ok(Some(TenantState {
        id: TenantId::from_uuid(row.try_get(0)?),
        kind,
        partner: partner.map(PartnerId::from_uuid).zip(partner_slug),
        slug: row.try_get(1)?,
        name: row.try_get(2)?,
        region: row.try_get(3)?,
        hosts: row.try_get(7)?,
        status: row.try_get(12)?,
        active: row.try_get(4)?,
        created: Timestamp::from(row.try_get::<time::OffsetDateTime, _>(13)?),
        clinical_version: row.try_get(5)?,
        operations_version: row.try_get(6)?,
        // A colour that nobody could read is none: the pages have the product's.
        accent: row.try_get::<Option<String>, _>(8)?.and_then(|text| text.parse().ok()),
    }))
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
