//! WebAuthn ceremonies.

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use uuid::Uuid;

use crate::{Answer, Store, columns::Digest, entity::ceremony};

impl Store {
    /// Adds a ceremony.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_ceremony(&self, new: ceremony::Model) -> Answer<()> {
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
