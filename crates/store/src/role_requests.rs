//! Roles that one person asks for and another decides on.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Answer, NewGrant, Store, entity::role_request, people::insert_grant};

impl Store {
    /// Adds a request; `false` when there is an open one for the same role of the same person. One that has expired makes
    /// way.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_role_request(&self, new: role_request::Model) -> Answer<bool> {
        role_request::Entity::update_many()
            .col_expr(role_request::Column::DecidedAt, Expr::value(new.requested_at))
            .col_expr(role_request::Column::Approved, Expr::value(false))
            .filter(role_request::Column::Person.eq(new.person))
            .filter(role_request::Column::Role.eq(new.role.as_str()))
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.lte(new.requested_at))
            .exec(&self.database)
            .await?;
        let open = OnConflict::new().do_nothing().to_owned();
        let added = role_request::Entity::insert(new.into_active_model())
            .on_conflict(open)
            .try_insert()
            .exec_without_returning(&self.database)
            .await?;
        Ok(matches!(added, TryInsertResult::Inserted(1)))
    }

    /// The requests that nobody decided on yet, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn role_requests(&self, now: Timestamp, limit: u64) -> Answer<Vec<role_request::Model>> {
        Ok(role_request::Entity::find()
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.gt(OffsetDateTime::from(now)))
            .order_by_asc(role_request::Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// A request.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn role_request(&self, id: Uuid) -> Answer<Option<role_request::Model>> {
        Ok(role_request::Entity::find_by_id(id).one(&self.database).await?)
    }

    /// Decides on a request, once; a yes grants the role in the same transaction. `by` is `None` for the platform's operator.
    /// `false` when it was decided on already, has expired, or is for `by` to ask for or to get and not to decide on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn decide_role_request(
        &self,
        id: Uuid,
        (by, approved): (Option<PersonId>, bool),
        grant: Option<NewGrant>,
        now: Timestamp,
    ) -> Answer<bool> {
        let transaction = self.begin().await?;
        let mut update = role_request::Entity::update_many()
            .col_expr(role_request::Column::DecidedAt, Expr::value(OffsetDateTime::from(now)))
            .col_expr(role_request::Column::Approved, Expr::value(approved))
            .col_expr(role_request::Column::DecidedBy, Expr::value(by.map(|by| by.as_uuid())))
            .filter(role_request::Column::Id.eq(id))
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.gt(OffsetDateTime::from(now)));
        if let Some(by) = by {
            update = update
                .filter(role_request::Column::RequestedBy.ne(by.as_uuid()))
                .filter(role_request::Column::Person.ne(by.as_uuid()));
        }
        if update.exec(&transaction).await?.rows_affected != 1 {
            transaction.rollback().await?;
            return Ok(false);
        }
        if let Some(grant) = grant {
            insert_grant(&transaction, grant.row()).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
