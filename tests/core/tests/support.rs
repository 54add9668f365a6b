//! Small words for the tests here.

use carekeep_kernel::{
    ResourceId, TenantId,
    index::{ClearColumns, IndexValue, ParamId, Scope},
};
use carekeep_keys::{KeyPurpose, SigningKey};
use carekeep_ledger::{
    Ed25519Verifier, Entry, KeyKind, LeafHash, VerifierSet,
    export::Writer,
    origin_of,
    verify::{LogReport, Remembered, Trust, verify_export},
};
use carekeep_policy::{Projection, ResourceKind};
use carekeep_testkit::Platform;
use carekeep_vault::{
    AccessError, Caller, Change, Draft, OrderBy, Permit, Plain, Planned, RecordQuery, Sealed, Vault,
    Versions, catalogue,
};
use sqlx::{AssertSqlSafe, PgPool, Row};

/// A new resource with a body that is easy to find again.
pub(crate) fn draft(
    platform: &Platform,
    kind: ResourceKind,
    patient: Option<ResourceId>,
    text: &str,
) -> Draft {
    let id = ResourceId::generate(&*platform.clock, &*platform.random);
    Draft {
        kind,
        id,
        patient: if kind == ResourceKind::Patient { Some(id) } else { patient },
        base: 0,
        at: platform.clock.now(),
        body: Plain::new(text.as_bytes().to_vec()),
        values: vec![
            IndexValue { param: ParamId(1), scope: Scope::Tenant, text: format!("n:{text}") },
            IndexValue { param: ParamId(2), scope: Scope::Patient, text: "c:e11".to_owned() },
        ],
        clear: ClearColumns {
            status: Some("final".to_owned()),
            categories: vec!["http://x|lab".to_owned(), "lab".to_owned()],
            event_start: Some(1_000_000),
            event_end: Some(2_000_000),
        },
    }
}

/// Permits and writes.
pub(crate) async fn write(vault: &Vault, caller: &Caller, planned: Vec<Planned>) -> Result<(), AccessError> {
    let changes: Vec<Change> = vault.permit_changes(caller, planned).await?;
    vault.commit(caller, changes).await
}

/// Reads as the API does, and gives the body as text.
pub(crate) async fn read(
    vault: &Vault,
    caller: &Caller,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<String, AccessError> {
    let (sealed, permit) = vault.read::<catalogue::Read>(caller, kind, id).await?;
    let phi = sealed.open(permit)?;
    Ok(String::from_utf8(phi.expose().body.to_vec()).unwrap())
}

/// Opens what a permit allows, as text.
pub(crate) fn open<A: catalogue::Opens>(sealed: Sealed, permit: Permit<A>) -> Result<String, AccessError> {
    Ok(String::from_utf8(sealed.open(permit)?.expose().body.to_vec()).unwrap())
}

/// Reads a version by its number.
pub(crate) async fn version_read(
    vault: &Vault,
    caller: &Caller,
    about: (ResourceKind, ResourceId),
    version: u32,
) -> Result<String, AccessError> {
    let sealed = vault.fetch_version::<catalogue::VersionRead>(caller, about, version).await?;
    let permit = vault.permit::<catalogue::VersionRead>(caller, &sealed).await?;
    open(sealed, permit)
}

/// Reads all versions, newest first, with their numbers.
pub(crate) async fn history(
    vault: &Vault,
    caller: &Caller,
    about: (ResourceKind, ResourceId),
) -> Result<Vec<(u32, String)>, AccessError> {
    let sealed = vault.fetch_history::<catalogue::History>(caller, about, NEWEST).await?;
    let permitted = vault.permit_all::<catalogue::History>(caller, sealed).await?;
    permitted.into_iter().map(|(sealed, permit)| Ok((sealed.version(), open(sealed, permit)?))).collect()
}

/// The newest versions, as many as any test here makes.
pub(crate) const NEWEST: Versions = Versions { before: None, limit: 50 };

/// A search of one kind with nothing else asked for.
pub(crate) fn query(kind: ResourceKind) -> RecordQuery {
    RecordQuery {
        kind,
        ids: None,
        patients: None,
        clear: Vec::new(),
        // What asks for nothing in particular is answered under every projection.
        shown_by: Projection::ALL.to_vec(),
        terms: Vec::new(),
        order: OrderBy::LastUpdated,
        descending: true,
        count: 100,
        after: None,
        asked: "test".to_owned(),
    }
}

/// The condition "is called".
pub(crate) fn named(text: &str) -> Vec<Vec<IndexValue>> {
    vec![vec![IndexValue { param: ParamId(1), scope: Scope::Tenant, text: format!("n:{text}") }]]
}

/// Searches, and gives id, version and body of everything found.
pub(crate) async fn search(
    vault: &Vault,
    caller: &Caller,
    query: &RecordQuery,
) -> Result<Vec<(ResourceId, u32, String)>, AccessError> {
    let page = vault.find(caller, query).await?;
    let open = |(sealed, permit): (Sealed, Permit<catalogue::Search>)| {
        Ok((sealed.id(), sealed.version(), open(sealed, permit)?))
    };
    page.found.into_iter().map(open).collect()
}

/// The audit entries of a tenant from `first` on, in order.
pub(crate) async fn entries(platform: &Platform, tenant: TenantId, first: i64) -> Vec<Entry> {
    let pool = platform.superuser("clinical");
    let entries = entries_in(&pool, tenant, first).await;
    pool.close().await;
    entries
}

/// As [`entries`], on connections that are at hand.
pub(crate) async fn entries_in(pool: &PgPool, tenant: TenantId, first: i64) -> Vec<Entry> {
    let sql = format!("SELECT entry FROM {}.audit_entry WHERE idx >= $1 ORDER BY idx", tenant.schema());
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(first).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| Entry::decode(row.get(0)).unwrap()).collect()
}

/// Takes a tenant's ledger out of the database and verifies it as an outsider would: with the public key only.
pub(crate) async fn verify_ledger(
    platform: &Platform,
    tenant: TenantId,
    remembered: &[Remembered],
) -> LogReport {
    let seed = platform.data_key(tenant, KeyPurpose::Ledger).await;
    let public = SigningKey::derive(&seed, tenant).unwrap().verifying_key().0;
    let verifier = Ed25519Verifier::new(&origin_of(tenant), KeyKind::Log, public).unwrap();
    let mut writer = Writer::new(Vec::new()).unwrap();
    writer.log(tenant).unwrap();
    let (schema, pool) = (tenant.schema(), platform.superuser("clinical"));
    let notes = format!("SELECT note FROM {schema}.audit_checkpoint ORDER BY size, at");
    for row in sqlx::query(AssertSqlSafe(notes)).fetch_all(&pool).await.unwrap() {
        writer.checkpoint(row.get(0)).unwrap();
    }
    let rows = format!("SELECT idx, leaf, entry FROM {schema}.audit_entry ORDER BY idx");
    for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&pool).await.unwrap() {
        let index = u64::try_from(row.get::<i64, _>(0)).unwrap();
        let leaf = LeafHash::from_bytes(row.get::<Vec<u8>, _>(1).try_into().unwrap());
        writer.entry(index, leaf, row.get(2)).unwrap();
    }
    pool.close().await;
    let trust =
        Trust { log_keys: VerifierSet::new([verifier]), remembered: remembered.to_vec(), ..Trust::default() };
    let report = verify_export(&writer.finish().unwrap()[..], &trust).unwrap();
    assert!(report.is_clean(), "the ledger does not verify: {:?}", report.findings);
    report.logs.into_iter().next().unwrap()
}

/// Runs statements as the superuser.
pub(crate) async fn as_superuser(platform: &Platform, database: &str, sql: impl Into<String>) {
    let pool = platform.superuser(database);
    sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(&pool).await.unwrap();
    pool.close().await;
}

/// One number as the superuser sees it.
pub(crate) async fn count(platform: &Platform, database: &str, sql: impl Into<String>) -> i64 {
    let pool = platform.superuser(database);
    let number = sqlx::query(AssertSqlSafe(sql.into())).fetch_one(&pool).await.unwrap().get(0);
    pool.close().await;
    number
}
