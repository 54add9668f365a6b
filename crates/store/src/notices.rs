//! What happened to an account, for its person to see.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Answer, Store, entity::notice};

/// The most notices that are forgotten at a time.
const AT_ONCE: u64 = 200;

impl Store {
    /// Adds a notice.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_notice(&self, new: notice::Model) -> Answer<()> {
        insert_notice(&self.database, new).await
    }

    /// Adds notices, all or none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_notices(&self, new: Vec<notice::Model>) -> Answer<()> {
        let transaction = self.begin().await?;
        insert_notices(&transaction, new).await?;
        Ok(transaction.commit().await?)
    }

    /// Deletes some notices that were seen and are older than a moment, and some older than another one, seen or not: more than are
    /// added meanwhile, so that nothing piles up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_notices(&self, seen_before: Timestamp, before: Timestamp) -> Answer<()> {
        let [seen_before, before] = [seen_before, before].map(OffsetDateTime::from);
        let seen = Condition::all()
            .add(notice::Column::SeenAt.is_not_null())
            .add(notice::Column::At.lt(seen_before));
        let over = Condition::any().add(seen).add(notice::Column::At.lt(before));
        let some =
            notice::Entity::find().select_only().column(notice::Column::Id).filter(over).limit(AT_ONCE);
        let forgotten = notice::Column::Id.in_subquery(some.into_query());
        notice::Entity::delete_many().filter(forgotten).exec(&self.database).await?;
        Ok(())
    }

    /// The notices of a person before one of them, or all, the newest first, at most `limit`; ids are in the order of time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn notices(
        &self,
        person: PersonId,
        before: Option<Uuid>,
        limit: u64,
    ) -> Answer<Vec<notice::Model>> {
        Ok(notice::Entity::find()
            .filter(notice::Column::Person.eq(person.as_uuid()))
            .filter(Condition::all().add_option(before.map(|id| notice::Column::Id.lt(id))))
            .order_by_desc(notice::Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// Marks the notices of a person as seen up to `until`; the ids are in the order of time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn saw_notices(&self, person: PersonId, until: Uuid, now: Timestamp) -> Answer<()> {
        notice::Entity::update_many()
            .col_expr(notice::Column::SeenAt, Expr::value(OffsetDateTime::from(now)))
            .filter(notice::Column::Person.eq(person.as_uuid()))
            .filter(notice::Column::Id.lte(until))
            .filter(notice::Column::SeenAt.is_null())
            .exec(&self.database)
            .await?;
        Ok(())
    }
}

pub(crate) async fn insert_notice(database: &impl ConnectionTrait, new: notice::Model) -> Answer<()> {
    notice::Entity::insert(new.into_active_model()).exec_without_returning(database).await?;
    Ok(())
}

pub(crate) async fn insert_notices(
    database: &impl ConnectionTrait,
    new: impl IntoIterator<Item = notice::Model>,
) -> Answer<()> {
    for notice in new {
        insert_notice(database, notice).await?;
    }
    Ok(())
}
