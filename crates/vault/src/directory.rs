//! What the vault reads of the directory when it opens a tenant: wrapped keys and sealed logins.

use carekeep_kernel::TenantId;
use carekeep_keys::{KeyPurpose, KeyRef, Wrapped, WrappedKey};
use sqlx::{PgPool, Row, postgres::PgRow};

use crate::AccessError;

/// A login of the tenant, its password still sealed.
pub(crate) struct SealedLogin {
    pub(crate) database: String,
    pub(crate) role: String,
    pub(crate) sealed_password: Vec<u8>,
}

fn away(error: &sqlx::Error) -> AccessError {
    AccessError::unavailable("directory", crate::sqlstate(error))
}

/// The newest generation and all earlier ones of each of the tenant's keys.
pub(crate) async fn keys(directory: &PgPool, tenant: TenantId) -> Result<Vec<WrappedKey>, AccessError> {
    let rows = sqlx::query(
        "SELECT purpose, generation, key_ref, wrapped FROM directory.tenant_key WHERE tenant = $1
         ORDER BY purpose, generation",
    )
    .bind(tenant.as_uuid())
    .fetch_all(directory)
    .await
    .map_err(|error| away(&error))?;
    rows.iter().map(wrapped_key).collect()
}

fn wrapped_key(row: &PgRow) -> Result<WrappedKey, AccessError> {
    let read = || -> Result<(String, i32, String, Vec<u8>), sqlx::Error> {
        Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?))
    };
    let (purpose, generation, key, wrapped) = read().map_err(|error| away(&error))?;
    let malformed = || AccessError::unavailable("keys", "a key row of the directory is malformed");
    Ok(WrappedKey {
        key: KeyRef::from(key),
        purpose: purpose.parse::<KeyPurpose>().map_err(|_| malformed())?,
        generation: u32::try_from(generation).map_err(|_| malformed())?,
        wrapped: Wrapped(wrapped),
    })
}

/// The tenant's logins.
pub(crate) async fn logins(directory: &PgPool, tenant: TenantId) -> Result<Vec<SealedLogin>, AccessError> {
    let rows =
        sqlx::query("SELECT database, role, sealed_password FROM directory.tenant_login WHERE tenant = $1")
            .bind(tenant.as_uuid())
            .fetch_all(directory)
            .await
            .map_err(|error| away(&error))?;
    rows.iter()
        .map(|row| {
            Ok(SealedLogin {
                database: row.try_get(0)?,
                role: row.try_get(1)?,
                sealed_password: row.try_get(2)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(|error| away(&error))
}
