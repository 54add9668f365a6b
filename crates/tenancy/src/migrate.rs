//! Forward-only migrations of one schema, embedded in the binary.
//!
//! A schema's version is the number of migrations that it has had, kept in its own `schema_version` table. Each
//! migration runs in one transaction under an advisory lock of the schema, so that two runners cannot interleave and a
//! killed one leaves nothing half-done.

use std::time::Duration;

use carekeep_kernel::TenantKind;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::TenancyError;

/// A database of the cell, with its migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// The control plane's directory.
    Directory,
    /// People, sessions, schedules of each tenant.
    Operations,
    /// Sealed health records and the audit ledger of each clinic; the ledger alone of any other tenant.
    Clinical,
}

const DIRECTORY: &[&str] = &[
    include_str!("../migrations/directory/0001_directory.sql"),
    include_str!("../migrations/directory/0002_accent.sql"),
    include_str!("../migrations/directory/0003_kind.sql"),
];
const OPERATIONS: &[&str] = &[
    include_str!("../migrations/operations/0001_people.sql"),
    include_str!("../migrations/operations/0002_account_of_a_patient.sql"),
    include_str!("../migrations/operations/0003_role_request.sql"),
    include_str!("../migrations/operations/0004_oauth.sql"),
    include_str!("../migrations/operations/0005_launch.sql"),
    include_str!("../migrations/operations/0006_forget_apps.sql"),
    include_str!("../migrations/operations/0007_sign_in_settings.sql"),
    include_str!("../migrations/operations/0008_confirmed_devices.sql"),
    include_str!("../migrations/operations/0009_notice.sql"),
    include_str!("../migrations/operations/0010_account_recovery.sql"),
    include_str!("../migrations/operations/0011_forget_sessions.sql"),
    include_str!("../migrations/operations/0012_provisioning.sql"),
    include_str!("../migrations/operations/0014_devices_cleared.sql"),
    include_str!("../migrations/operations/0015_recovery_hold.sql"),
    include_str!("../migrations/operations/0016_passwords.sql"),
    include_str!("../migrations/operations/0017_federation.sql"),
    include_str!("../migrations/operations/0018_agreed_provider.sql"),
    include_str!("../migrations/operations/0019_kind.sql"),
    include_str!("../migrations/operations/0020_forget_notices_and_devices.sql"),
    include_str!("../migrations/operations/0021_recovery_identified.sql"),
];
const CLINICAL: &[&str] = &[include_str!("../migrations/clinical/0001_records.sql")];
/// In the place of [`CLINICAL`] for a tenant without health data.
const LEDGER: &[&str] = &[include_str!("../migrations/ledger/0001_ledger.sql")];

impl Database {
    /// Its name, used for the database, in messages and in the directory.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Operations => "operations",
            Self::Clinical => "clinical",
        }
    }

    const fn migrations(self, kind: TenantKind) -> &'static [&'static str] {
        match (self, kind) {
            (Self::Directory, _) => DIRECTORY,
            (Self::Operations, _) => OPERATIONS,
            (Self::Clinical, TenantKind::Clinic) => CLINICAL,
            (Self::Clinical, TenantKind::Partner | TenantKind::Platform) => LEDGER,
        }
    }

    /// The version that this binary expects of the schema of a tenant of this kind: how many migrations it knows.
    #[must_use]
    pub fn expected_version(self, kind: TenantKind) -> i32 {
        i32::try_from(self.migrations(kind).len()).unwrap_or(i32::MAX)
    }
}

/// Brings `schema` of `database` to the version that this binary expects for a tenant of this kind. `role` is the tenant's login
/// there; role and kind are unused for the directory. Returns the version reached. Safe to call again, and from several processes at once.
///
/// # Errors
/// [`TenancyError::Database`] when a statement fails; the schema is then at the last whole version.
pub async fn migrate_schema(
    connection: &mut PgConnection,
    (database, kind): (Database, TenantKind),
    schema: &str,
    role: &str,
) -> Result<i32, TenancyError> {
    let failed = TenancyError::database(database.name());
    let mut transaction = connection.begin().await.map_err(&failed)?;
    // A migration waits for nobody longer than this: reads of the tenant go on meanwhile (BARS T11).
    sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL lock_timeout = '{}ms'", LOCK_WAIT.as_millis())))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(format!("carekeep migrate {schema}"))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE IF NOT EXISTS {schema}.schema_version (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    ))).execute(&mut *transaction).await.map_err(&failed)?;
    let done: i32 =
        sqlx::query(AssertSqlSafe(format!("SELECT coalesce(max(version), 0) FROM {schema}.schema_version")))
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?
            .get(0);
    for (version, sql) in (1..).zip(database.migrations(kind)).filter(|(version, _)| *version > done) {
        let sql = sql.replace(":schema", schema).replace(":role", role).replace(":kind", kind.as_str());
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(&failed)?;
        sqlx::query(AssertSqlSafe(format!("INSERT INTO {schema}.schema_version (version) VALUES ($1)")))
            .bind(version)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
    }
    transaction.commit().await.map_err(&failed)?;
    Ok(done.max(database.expected_version(kind)))
}

/// How long a migration waits for a lock before it gives up and can be run again.
const LOCK_WAIT: Duration = Duration::from_secs(2);
