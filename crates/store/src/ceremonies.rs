//! WebAuthn ceremonies.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use uuid::Uuid;

use crate::{Answer, Store, columns::Digest, entity::ceremony};

/// The most expired ceremonies that are deleted when one is added.
const SWEEP: u64 = 100;

impl Store {
    /// Adds a ceremony, and deletes expired ones: some more than it adds, so that what nobody finishes does not pile up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_ceremony(&self, new: ceremony::Model) -> Answer<()> {
        let expired = ceremony::Entity::find()
            .select_only()
            .column(ceremony::Column::Id)
            .filter(ceremony::Column::ExpiresAt.lt(new.created_at))
            .order_by_asc(ceremony::Column::ExpiresAt)
            .limit(SWEEP)
            .into_query();
        ceremony::Entity::delete_many()
            .filter(ceremony::Column::Id.in_subquery(expired))
            .exec(&self.database)
            .await?;
        ceremony::Entity::insert(new.into_active_model()).exec_without_returning(&self.database).await?;
        Ok(())
    }

    /// Takes a ceremony out, if it was begun with the token of this hash: of several callers one gets it, and nobody can
    /// use up somebody else's.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_ceremony(&self, id: Uuid, holder: &[u8; 32]) -> Answer<Option<ceremony::Model>> {
        let taken = ceremony::Entity::delete_by_id(id)
            .filter(ceremony::Column::Holder.eq(Digest(holder.to_vec())))
            .exec_with_returning(&self.database);
        Ok(taken.await?)
    }
}
