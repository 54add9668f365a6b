//! sea-orm entities and repositories of the operations database. Can query; cannot open or mint.
//!
//! Invariants:
//! - No statement names a schema: a tenant's login has its own as `search_path`, and [`Store`] is made from the
//!   connections of exactly one tenant ([`carekeep_vault::Vault::operations`]).
//! - What works once is one statement that says whether it was first; such methods answer `bool`.
//! - A connection is leased for a statement or a transaction, never for a second one at the same time (`connection`).
//! - Rows hold ciphertexts and hashes, never what they stand for, and their `Debug` shows neither ([`columns`]).

mod ceremonies;
pub mod columns;
mod connection;
mod credentials;
mod devices;
mod enrolment;
pub mod entity;
mod error;
mod factors;
mod federation;
mod forget_apps;
mod invites;
mod membership;
mod notices;
mod oauth;
mod people;
mod provisioning;
mod provisioning_tokens;
mod recoveries;
mod role_requests;
mod sessions;
mod sign_in_settings;
mod softlocks;
mod staff;

use carekeep_kernel::{PersonId, TenantId};
use carekeep_vault::{AccessError, Vault};
use sea_orm::{EntityTrait, QuerySelect};

use crate::connection::{Connections, Transaction};

pub use credentials::Removed;
pub use devices::Confirmed;
pub use enrolment::{FactorChange, NewFactor, Written};
pub use error::StoreError;
pub use factors::FactorCount;
pub use federation::{Linked, Told};
pub use forget_apps::Over;
pub use membership::{Changed, NewGrant};
pub use oauth::{Granted, Once};
pub use people::{Member, Names};
pub use provisioning::Change;
pub use recoveries::Approval;
pub use role_requests::Decided;
pub use sign_in_settings::SignedOut;
pub use staff::{Compare, Staff, Which};

/// The answer of every method here.
pub type Answer<T> = Result<T, StoreError>;

/// One tenant's operations schema. Cheap to make and to clone: it shares the tenant's connections.
#[derive(Clone)]
pub struct Store {
    database: Connections,
}

impl Store {
    /// The store of a tenant that is served.
    ///
    /// # Errors
    /// As [`Vault::operations`].
    pub async fn open(vault: &Vault, tenant: TenantId) -> Result<Self, AccessError> {
        Ok(Self { database: Connections::new(vault.operations(tenant).await?) })
    }

    async fn begin(&self) -> Answer<Transaction> {
        Ok(self.database.begin().await?)
    }

    /// Begins a transaction that is alone with what belongs to a person; `None` when there is no such person.
    async fn begin_with(&self, person: PersonId) -> Answer<Option<(Transaction, entity::person::Model)>> {
        let transaction = self.begin().await?;
        let row =
            entity::person::Entity::find_by_id(person.as_uuid()).lock_exclusive().one(&transaction).await?;
        match row {
            Some(row) => Ok(Some((transaction, row))),
            None => {
                transaction.rollback().await?;
                Ok(None)
            }
        }
    }
}
