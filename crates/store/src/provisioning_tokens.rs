//! Tokens of a tenant's identity provider.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, NewGrant, Store,
    entity::{notice, person, provisioning_token as token},
    notices::insert_notices,
    people::insert_grant,
};

impl Store {
    /// Adds a token with the account that acts with it, and tells of it; `false` when there are `most` live ones already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_provisioning_token(
        &self,
        new: token::Model,
        (account, grant): (person::Model, NewGrant),
        (most, told): (u64, Vec<notice::Model>),
    ) -> Answer<bool> {
        let transaction = self.begin().await?;
        // One at a time, or two at once would both find room.
        let founder = person::Entity::find().filter(person::Column::Founder.eq(true));
        founder.lock_exclusive().one(&transaction).await?;
        let live = token::Entity::find()
            .filter(token::Column::RevokedAt.is_null())
            .filter(token::Column::ExpiresAt.gt(new.created_at))
            .count(&transaction)
            .await?;
        if live >= most {
            transaction.rollback().await?;
            return Ok(false);
        }
        person::Entity::insert(account.into_active_model()).exec_without_returning(&transaction).await?;
        insert_grant(&transaction, grant.row()).await?;
        token::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await?;
        insert_notices(&transaction, told).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The tokens that were not revoked, the oldest first, 100 at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn provisioning_tokens(&self) -> Answer<Vec<token::Model>> {
        Ok(token::Entity::find()
            .filter(token::Column::RevokedAt.is_null())
            .order_by_asc(token::Column::Id)
            .limit(100)
            .all(&self.database)
            .await?)
    }

    /// Whether somebody made tokens that would still be good.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn made_provisioning_tokens(&self, by: PersonId, now: Timestamp) -> Answer<bool> {
        let live = token::Entity::find()
            .filter(token::Column::CreatedBy.eq(by.as_uuid()))
            .filter(token::Column::RevokedAt.is_null())
            .filter(token::Column::ExpiresAt.gt(OffsetDateTime::from(now)));
        Ok(live.one(&self.database).await?.is_some())
    }

    /// Revokes a token; the person of its account, if it was not revoked before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_provisioning_token(&self, id: Uuid, now: Timestamp) -> Answer<Option<Uuid>> {
        let revoked = token::Entity::update_many()
            .col_expr(token::Column::RevokedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(token::Column::Id.eq(id))
            .filter(token::Column::RevokedAt.is_null())
            .exec(&self.database)
            .await?;
        if revoked.rows_affected == 0 {
            return Ok(None);
        }
        let row = token::Entity::find_by_id(id).one(&self.database).await?;
        Ok(row.map(|row| row.person))
    }
}
