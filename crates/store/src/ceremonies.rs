//! WebAuthn ceremonies.

use sea_orm::{EntityTrait, IntoActiveModel};
use uuid::Uuid;

use crate::{Answer, Store, entity::ceremony};

impl Store {
    /// Adds a ceremony.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_ceremony(&self, new: ceremony::Model) -> Answer<()> {
        ceremony::Entity::insert(new.into_active_model()).exec_without_returning(&self.database).await?;
        Ok(())
    }

    /// Takes a ceremony out: of several callers one gets it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_ceremony(&self, id: Uuid) -> Answer<Option<ceremony::Model>> {
        Ok(ceremony::Entity::delete_by_id(id).exec_with_returning(&self.database).await?)
    }
}
