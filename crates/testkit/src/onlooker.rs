//! Looking at what is stored, as the databases' superuser: whether a refused request left everything as it was.

use carekeep_kernel::{SessionId, TenantId};
use sqlx::{AssertSqlSafe, PgPool, Row};

use crate::Platform;

/// What a person can change, and what is kept of it. Left out are the ledger, which grows by refusals too, and what
/// limits guesses or waits for an answer: locks and ceremonies.
const OPERATIONS: &[&str] = &[
    "person",
    "role_grant",
    "password",
    "totp",
    "passkey",
    "recovery_code",
    "session",
    "invite",
    "device",
    "role_request",
    "notice",
    "account_recovery",
    "sign_in_settings",
    "oauth_client",
    "oauth_grant",
    "oauth_code",
    "oauth_token",
    "oauth_launch",
    "oauth_signing_key",
    "oauth_assertion",
    "identity_provider",
    "federated_account",
    "provisioned",
    "provisioning_token",
];
const CLINICAL: &[&str] = &["resource", "resource_version", "search_token", "care_relation"];
const DIRECTORY: &[&str] = &["partner", "tenant", "tenant_host", "tenant_login", "tenant_key"];

/// Sees everything and is seen by nobody; keeps its connections.
pub struct Onlooker {
    directory: PgPool,
    operations: PgPool,
    clinical: PgPool,
}

/// A value for all rows of some tables: equal when nothing was changed, added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint(Vec<String>);

impl Platform {
    /// Somebody who looks on.
    #[must_use]
    pub fn onlooker(&self) -> Onlooker {
        Onlooker {
            directory: self.superuser("directory"),
            operations: self.superuser("operations"),
            clinical: self.superuser("clinical"),
        }
    }
}

impl Onlooker {
    /// What is stored of these tenants' people and records.
    pub async fn tenants(&self, tenants: &[TenantId]) -> Fingerprint {
        let of = |tables: &[&str], tenants: &[TenantId]| -> Vec<String> {
            let schemas = tenants.iter().map(TenantId::schema);
            schemas.flat_map(|s| tables.iter().map(move |t| format!("{s}.{t}")).collect::<Vec<_>>()).collect()
        };
        let clinics = self.clinics(tenants).await;
        let (operations, clinical) = (of(OPERATIONS, tenants), of(CLINICAL, &clinics));
        let (mut seen, clinical) =
            tokio::join!(rows(&self.operations, &operations), rows(&self.clinical, &clinical));
        seen.extend(clinical);
        Fingerprint(seen)
    }

    /// Those that have records; the others have a ledger there and nothing else.
    async fn clinics(&self, tenants: &[TenantId]) -> Vec<TenantId> {
        let sql = "SELECT id FROM directory.tenant WHERE kind = 'clinic' AND id = ANY($1)";
        let ids: Vec<uuid::Uuid> = tenants.iter().map(TenantId::as_uuid).collect();
        let rows = sqlx::query(sql).bind(ids).fetch_all(&self.directory).await.unwrap();
        rows.iter().map(|row| TenantId::from_uuid(row.get(0))).collect()
    }

    /// What the directory of the platform holds.
    pub async fn directory(&self) -> Fingerprint {
        let tables: Vec<String> = DIRECTORY.iter().map(|table| format!("directory.{table}")).collect();
        Fingerprint(rows(&self.directory, &tables).await)
    }

    /// How many entries a tenant's ledger has.
    pub async fn audit_entries(&self, tenant: TenantId) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.audit_entry", tenant.schema());
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.clinical).await.unwrap().get(0)
    }

    /// How many ceremonies of passkeys are under way in a tenant.
    pub async fn ceremonies(&self, tenant: TenantId) -> i64 {
        let sql = format!("SELECT count(*) FROM {}.ceremony", tenant.schema());
        sqlx::query(AssertSqlSafe(sql)).fetch_one(&self.operations).await.unwrap().get(0)
    }

    /// Makes a session one of a single factor: no way of signing in gives an active one.
    pub async fn one_factor(&self, tenant: TenantId, session: SessionId) {
        let sql = format!("UPDATE {}.session SET aal = 1 WHERE id = $1", tenant.schema());
        sqlx::query(AssertSqlSafe(sql)).bind(session.as_uuid()).execute(&self.operations).await.unwrap();
    }
}

/// Number and sum of hashes of the rows of each table.
async fn rows(pool: &PgPool, tables: &[String]) -> Vec<String> {
    if tables.is_empty() {
        return Vec::new();
    }
    let one = |table: &String| {
        // A refused request is use of its session or token all the same.
        let row = match table.rsplit('.').next() {
            Some("session") => "to_jsonb(r) - 'last_seen_at'",
            Some("provisioning_token") => "to_jsonb(r) - 'last_used_at'",
            _ => "r",
        };
        format!(
            "SELECT '{table} ' || count(*) || ' ' || coalesce(sum(hashtextextended(({row})::text, 0)::numeric), 0)
             FROM {table} r"
        )
    };
    let sql = tables.iter().map(one).collect::<Vec<_>>().join(" UNION ALL ");
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
    let mut seen: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    seen.sort_unstable();
    seen
}
