//! Fetching sealed rows by id. Many are fetched in one round trip.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
};

use carekeep_kernel::{PersonId, ResourceId, TenantId, Timestamp};
use carekeep_policy::{Relation, ResourceKind};
use carekeep_pool::TenantPool;
use sqlx::{AssertSqlSafe, PgConnection, Row, postgres::PgRow};

use crate::{AccessError, Caller, config::moment, operations::STATEMENT_LIMIT, sealed::Sealed};

/// Runs database work under [`STATEMENT_LIMIT`].
pub(crate) async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, AccessError> {
    match tokio::time::timeout(STATEMENT_LIMIT, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(AccessError::records(&error)),
        Err(_) => Err(AccessError::unavailable("records", "statement limit")),
    }
}

/// The columns of a sealed row `r`, with what person `q.person` is to its patient at moment `$now`.
pub(crate) fn columns(person: &str, now: &str) -> String {
    format!(
        "r.id, r.kind, r.version, r.patient, r.last_updated, r.sealed, r.event_start,
         coalesce((SELECT bit_or(c.relation) FROM care_relation c
                   WHERE c.person = {person} AND c.patient = r.patient AND c.valid_from <= {now}
                     AND (c.valid_until IS NULL OR c.valid_until > {now})), 0::smallint)"
    )
}

/// Reads a row that was selected with [`columns`] on behalf of `viewer`, from column `first` on.
pub(crate) fn sealed(
    (tenant, viewer): (TenantId, PersonId),
    row: &PgRow,
    first: usize,
) -> Result<Sealed, sqlx::Error> {
    let kind: &str = row.try_get(first + 1)?;
    let unknown = || sqlx::Error::Decode("a resource kind that this binary does not know".into());
    Ok(Sealed {
        tenant,
        viewer,
        id: ResourceId::from_uuid(row.try_get(first)?),
        kind: kind.parse::<ResourceKind>().map_err(|_| unknown())?,
        version: u32::try_from(row.try_get::<i32, _>(first + 2)?).map_err(|_| unknown())?,
        patient: row.try_get::<Option<uuid::Uuid>, _>(first + 3)?.map(ResourceId::from_uuid),
        last_updated: row.try_get::<time::OffsetDateTime, _>(first + 4)?.into(),
        envelope: row.try_get(first + 5)?,
        event_start: row.try_get::<Option<time::OffsetDateTime>, _>(first + 6)?.map(Timestamp::from),
        relation: relation(row.try_get(first + 7)?),
    })
}

fn relation(bits: i16) -> Relation {
    Relation {
        care_team: bits & 1 != 0,
        assigned: bits & 2 != 0,
        appointment: bits & 4 != 0,
        proxy: bits & 8 != 0,
    }
}

/// One read: which resource, on whose behalf.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) id: ResourceId,
    pub(crate) person: PersonId,
    pub(crate) now: Timestamp,
}

#[derive(Clone)]
/// Fetches rows on the tenant's connections, many in one round trip.
pub(crate) struct Rows {
    tenant: TenantId,
    pool: Arc<TenantPool>,
    sql: &'static str,
}

impl Rows {
    pub(crate) fn new(tenant: TenantId, pool: Arc<TenantPool>) -> Self {
        static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
            // The arrays come by subqueries so that the planner cannot see how long they are: it would find each batch
            // cheaper than one of unknown length, and plan each anew, which costs more than running it.
            format!(
                "SELECT q.place, {}
                 FROM unnest((SELECT $1::uuid[]), (SELECT $2::uuid[])) WITH ORDINALITY AS q (id, person, place)
                 JOIN resource r ON r.id = q.id",
                columns("q.person", "$3")
            )
        });
        Self { tenant, pool, sql: SQL.as_str() }
    }

    pub(crate) async fn fetch(&self, wanted: &[Wanted]) -> Result<Vec<Option<Sealed>>, AccessError> {
        let mut lease = bounded(self.pool.lease()).await?;
        let rows =
            bounded(self.select(lease.connection().map_err(|e| AccessError::records(&e))?, wanted)).await?;
        lease.give_back();
        let mut found: Vec<Option<Sealed>> = wanted.iter().map(|_| None).collect();
        for row in rows {
            let place: i64 = row.try_get(0).map_err(|error| AccessError::records(&error))?;
            let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
            if let (Some(slot), Some(wanted)) = (found.get_mut(place), wanted.get(place)) {
                let sealed = sealed((self.tenant, wanted.person), &row, 1);
                *slot = Some(sealed.map_err(|error| AccessError::records(&error))?);
            }
        }
        Ok(found)
    }

    async fn select(
        &self,
        connection: &mut PgConnection,
        wanted: &[Wanted],
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        // All of a batch are decided at the moment of its newest member.
        let now = wanted.iter().map(|wanted| wanted.now).max().unwrap_or(Timestamp::from_micros(0));
        sqlx::query(self.sql)
            .bind(wanted.iter().map(|wanted| wanted.id.as_uuid()).collect::<Vec<_>>())
            .bind(wanted.iter().map(|wanted| wanted.person.as_uuid()).collect::<Vec<_>>())
            .bind(moment(now))
            .fetch_all(connection)
            .await
    }
}

/// Fetches an earlier version, or the present one, whichever carries the number.
pub(crate) async fn version(
    tenant: TenantId,
    pool: &Arc<TenantPool>,
    wanted: Wanted,
    version: u32,
) -> Result<Option<Sealed>, AccessError> {
    let filter = "r.version = $4";
    Ok(versions(tenant, pool, wanted, filter, i64::from(version)).await?.pop())
}

/// Which versions of a resource, newest first.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    /// Only versions before this one.
    pub before: Option<u32>,
    /// At most so many.
    pub limit: u32,
}

/// Fetches several versions, newest first.
pub(crate) async fn history(
    tenant: TenantId,
    pool: &Arc<TenantPool>,
    wanted: Wanted,
    which: Versions,
) -> Result<Vec<Sealed>, AccessError> {
    // A number of ours, and no text of anybody's.
    let before = which.before.map_or_else(|| "true".to_owned(), |before| format!("r.version < {before}"));
    let filter = format!("{before} ORDER BY r.version DESC LIMIT $4");
    versions(tenant, pool, wanted, &filter, i64::from(which.limit)).await
}

async fn versions(
    tenant: TenantId,
    pool: &Arc<TenantPool>,
    wanted: Wanted,
    filter: &str,
    argument: i64,
) -> Result<Vec<Sealed>, AccessError> {
    let sql = format!(
        "SELECT {} FROM (
           SELECT id, kind, version, patient, last_updated, sealed, event_start FROM resource WHERE id = $1
           UNION ALL
           SELECT id, kind, version, patient, last_updated, sealed, NULL::timestamptz FROM resource_version WHERE id = $1
         ) r WHERE {filter}",
        columns("$2", "$3")
    );
    let mut lease = bounded(pool.lease()).await?;
    let connection = lease.connection().map_err(|error| AccessError::records(&error))?;
    let rows = bounded(
        sqlx::query(AssertSqlSafe(sql))
            .bind(wanted.id.as_uuid())
            .bind(wanted.person.as_uuid())
            .bind(moment(wanted.now))
            .bind(argument)
            .fetch_all(connection),
    )
    .await?;
    lease.give_back();
    rows.iter()
        .map(|row| sealed((tenant, wanted.person), row, 0))
        .collect::<Result<_, _>>()
        .map_err(|e| AccessError::records(&e))
}

/// What the caller is to each of these patients; those that the caller has nothing to do with are left out.
pub(crate) async fn relations(
    pool: &Arc<TenantPool>,
    caller: &Caller,
    patients: &BTreeSet<ResourceId>,
) -> Result<BTreeMap<ResourceId, Relation>, AccessError> {
    let mut lease = bounded(pool.lease()).await?;
    let connection = lease.connection().map_err(|error| AccessError::records(&error))?;
    let rows = bounded(
        sqlx::query(
            "SELECT patient, bit_or(relation) FROM care_relation
             WHERE person = $1 AND patient = ANY($2) AND valid_from <= $3
               AND (valid_until IS NULL OR valid_until > $3) GROUP BY patient",
        )
        .bind(caller.person().as_uuid())
        .bind(patients.iter().map(ResourceId::as_uuid).collect::<Vec<_>>())
        .bind(moment(caller.now()))
        .fetch_all(connection),
    )
    .await?;
    lease.give_back();
    rows.iter()
        .map(|row| Ok((ResourceId::from_uuid(row.try_get(0)?), relation(row.try_get(1)?))))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| AccessError::records(&error))
}
