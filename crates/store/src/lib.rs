//! sea-orm entities and repositories of the operations database. Can query; cannot open or mint.
//!
//! Invariants:
//! - No statement names a schema: a tenant's login has its own as `search_path`, and [`Store`] is made from the
//!   connections of exactly one tenant ([`carekeep_vault::Vault::operations`]).
//! - What works once is one statement that says whether it was first; such methods answer `bool`.
//! - Rows hold ciphertexts and hashes, never what they stand for, and their `Debug` shows neither ([`columns`]).

mod ceremonies;
pub mod columns;
mod credentials;
pub mod entity;
mod error;
mod invites;
mod people;
mod sessions;
mod softlocks;

use carekeep_kernel::{PersonId, TenantId};
use carekeep_vault::{AccessError, Vault};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, EntityTrait, QuerySelect, SqlxPostgresConnector,
    TransactionTrait,
};

pub use error::StoreError;
pub use people::{Member, Names, NewGrant};

/// The answer of every method here.
pub type Answer<T> = Result<T, StoreError>;

/// One tenant's operations schema. Cheap to make and to clone: it shares the tenant's connections.
#[derive(Clone)]
pub struct Store {
    database: DatabaseConnection,
}

impl Store {
    /// The store of a tenant that is served.
    ///
    /// # Errors
    /// As [`Vault::operations`].
    pub async fn open(vault: &Vault, tenant: TenantId) -> Result<Self, AccessError> {
        let pool = vault.operations(tenant).await?;
        Ok(Self { database: SqlxPostgresConnector::from_sqlx_postgres_pool(pool) })
    }

    async fn begin(&self) -> Answer<DatabaseTransaction> {
        Ok(self.database.begin().await?)
    }

    /// Begins a transaction that is alone with what belongs to a person; `None` when there is no such person.
    async fn begin_with(
        &self,
        person: PersonId,
    ) -> Answer<Option<(DatabaseTransaction, entity::person::Model)>> {
        let transaction = self.begin().await?;
        let row =
            entity::person::Entity::find_by_id(person.as_uuid()).lock_exclusive().one(&transaction).await?;
        Ok(row.map(|row| (transaction, row)))
    }
}
