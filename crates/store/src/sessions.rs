//! Sessions.

use carekeep_kernel::{PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, sea_query::Expr,
};
use time::OffsetDateTime;

use crate::{Answer, Store, columns::Digest, entity::session};

/// The most sessions that are forgotten at a time.
const AT_ONCE: u64 = 200;

impl Store {
    /// Adds a session.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_session(&self, new: session::Model) -> Answer<()> {
        session::Entity::insert(new.into_active_model()).exec_without_returning(&self.database).await?;
        Ok(())
    }

    /// Deletes some sessions that began before a moment: more than are added meanwhile, so that nothing piles up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_sessions(&self, begun_before: Timestamp) -> Answer<()> {
        let old = session::Column::CreatedAt.lt(OffsetDateTime::from(begun_before));
        let some = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(old.clone())
            .limit(AT_ONCE)
            .into_query();
        let over = session::Entity::delete_many().filter(session::Column::Id.in_subquery(some)).filter(old);
        over.exec(&self.database).await?;
        Ok(())
    }

    /// The session whose present token has this hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session(&self, token_hash: &[u8; 32]) -> Answer<Option<session::Model>> {
        Ok(session::Entity::find()
            .filter(session::Column::TokenHash.eq(Digest(token_hash.to_vec())))
            .one(&self.database)
            .await?)
    }

    /// Stores a session after a step, if its token still has the hash `old` and it is not revoked.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_session(&self, new: session::Model, old: &[u8; 32]) -> Answer<bool> {
        replace_session(&self.database, new, old).await
    }

    /// Writes the last use of a session; never an earlier one over a later one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn touch_session(&self, id: SessionId, last_seen: Timestamp) -> Answer<()> {
        let last_seen = OffsetDateTime::from(last_seen);
        session::Entity::update_many()
            .col_expr(session::Column::LastSeenAt, Expr::value(last_seen))
            .filter(session::Column::Id.eq(id.as_uuid()))
            .filter(session::Column::LastSeenAt.lt(last_seen))
            .exec(&self.database)
            .await?;
        Ok(())
    }

    /// The sessions of a person that are not revoked, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sessions(&self, person: PersonId) -> Answer<Vec<session::Model>> {
        Ok(session::Entity::find()
            .filter(session::Column::Person.eq(person.as_uuid()))
            .filter(session::Column::RevokedAt.is_null())
            .order_by_desc(session::Column::Id)
            .all(&self.database)
            .await?)
    }

    /// Revokes one session of a person; `false` when the person has no such session. The first time counts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_session(&self, person: PersonId, id: SessionId, now: Timestamp) -> Answer<bool> {
        use sea_orm::ExprTrait;
        let at = Expr::col(session::Column::RevokedAt).if_null(OffsetDateTime::from(now));
        let revoked = session::Entity::update_many()
            .col_expr(session::Column::RevokedAt, at)
            .filter(session::Column::Id.eq(id.as_uuid()))
            .filter(session::Column::Person.eq(person.as_uuid()))
            .exec(&self.database)
            .await?;
        Ok(revoked.rows_affected == 1)
    }

    /// Revokes all sessions of a person but one; answers how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_sessions(
        &self,
        person: PersonId,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> Answer<u64> {
        revoke_sessions(&self.database, person, but, now).await
    }
}

pub(crate) async fn replace_session(
    database: &impl ConnectionTrait,
    new: session::Model,
    old: &[u8; 32],
) -> Answer<bool> {
    let changed = session::Entity::update_many()
        .col_expr(session::Column::TokenHash, Expr::value(new.token_hash))
        .col_expr(session::Column::State, Expr::value(new.state))
        .col_expr(session::Column::Detail, Expr::value(new.detail))
        .col_expr(session::Column::Aal, Expr::value(new.aal))
        .col_expr(session::Column::CreatedAt, Expr::value(new.created_at))
        .col_expr(session::Column::LastSeenAt, Expr::value(new.last_seen_at))
        .col_expr(session::Column::FactorAt, Expr::value(new.factor_at))
        .col_expr(session::Column::Factors, Expr::value(new.factors))
        .col_expr(session::Column::Device, Expr::value(new.device))
        .filter(session::Column::Id.eq(new.id))
        .filter(session::Column::TokenHash.eq(Digest(old.to_vec())))
        .filter(session::Column::RevokedAt.is_null())
        .exec(database)
        .await?;
    Ok(changed.rows_affected == 1)
}

/// Whether a session of a person was not ended. Asked alone with the person.
pub(crate) async fn is_live(
    database: &impl ConnectionTrait,
    person: PersonId,
    id: SessionId,
) -> Answer<bool> {
    let live = session::Entity::find_by_id(id.as_uuid())
        .filter(session::Column::Person.eq(person.as_uuid()))
        .filter(session::Column::RevokedAt.is_null());
    Ok(live.one(database).await?.is_some())
}

pub(crate) async fn revoke_sessions(
    database: &impl ConnectionTrait,
    person: PersonId,
    but: Option<SessionId>,
    now: Timestamp,
) -> Answer<u64> {
    let mut update = session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(OffsetDateTime::from(now)))
        .filter(session::Column::Person.eq(person.as_uuid()))
        .filter(session::Column::RevokedAt.is_null());
    if let Some(but) = but {
        update = update.filter(session::Column::Id.ne(but.as_uuid()));
    }
    Ok(update.exec(database).await?.rows_affected)
}
