//! A tenant's own database logins and keys, got the way the vault gets them: for tests that play an attacker inside.

use carekeep_kernel::TenantId;
use carekeep_keys::{DataKey, KeyPurpose, KeyRef, Wrapped, WrappedKey};
use carekeep_tenancy::Database;
use carekeep_vault::login_aad;
use sqlx::{Row, postgres::PgConnectOptions};

use crate::Platform;

impl Platform {
    /// The newest data key of a purpose, unwrapped.
    pub async fn data_key(&self, tenant: TenantId, purpose: KeyPurpose) -> DataKey {
        let row = sqlx::query(
            "SELECT generation, key_ref, wrapped FROM directory.tenant_key
             WHERE tenant = $1 AND purpose = $2 ORDER BY generation DESC LIMIT 1",
        )
        .bind(tenant.as_uuid())
        .bind(purpose.as_str())
        .fetch_one(&self.gateway_directory())
        .await
        .unwrap();
        let wrapped = WrappedKey {
            key: KeyRef(row.get(1)),
            purpose,
            generation: u32::try_from(row.get::<i32, _>(0)).unwrap(),
            wrapped: Wrapped(row.get(2)),
        };
        let plain = self.kms.unwrap(&wrapped.key, &wrapped.wrapped, &wrapped.context(tenant)).await.unwrap();
        DataKey::new(plain)
    }

    /// The tenant's login in its clinical or operations database, password and all.
    pub async fn tenant_login(&self, tenant: TenantId, database: Database) -> PgConnectOptions {
        let row = sqlx::query(
            "SELECT role, sealed_password FROM directory.tenant_login WHERE tenant = $1 AND database = $2",
        )
        .bind(tenant.as_uuid())
        .bind(database.name())
        .fetch_one(&self.gateway_directory())
        .await
        .unwrap();
        let key = self.data_key(tenant, KeyPurpose::Credential).await;
        let sealed: Vec<u8> = row.get(1);
        let password = carekeep_keys::open(&key, &login_aad(tenant, database.name()), &sealed).unwrap();
        let endpoint = match database {
            Database::Clinical => &self.endpoints.clinical,
            Database::Operations | Database::Directory => &self.endpoints.operations,
        };
        let password = std::str::from_utf8(&password).unwrap();
        endpoint.options().username(row.get(0)).password(password)
    }
}
