//! The tenant's identity provider, and who its people are there.

use carekeep_kernel::{PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    sea_query::{Expr, ExprTrait, OnConflict, SimpleExpr, extension::postgres::PgExpr},
};
use time::OffsetDateTime;

use crate::{
    Answer, Store,
    entity::{federated_account, identity_provider, session},
    people::is_taken,
};

impl Store {
    /// The provider, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn identity_provider(&self) -> Answer<Option<identity_provider::Model>> {
        Ok(identity_provider::Entity::find().one(&self.database).await?)
    }

    /// Sets the provider, and ends every session but one that began by the one before: what was trusted then may be trusted no more.
    /// Who somebody was at another issuer is forgotten.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_identity_provider(&self, new: identity_provider::Model, but: SessionId) -> Answer<()> {
        use identity_provider::Column;
        let (transaction, now) = (self.begin().await?, new.changed_at);
        let before = identity_provider::Entity::find().one(&transaction).await?;
        if before.is_none_or(|before| before.issuer != new.issuer) {
            federated_account::Entity::delete_many().exec(&transaction).await?;
        }
        let replace = OnConflict::column(Column::Single)
            .update_columns([
                Column::Id,
                Column::Issuer,
                Column::ClientId,
                Column::Label,
                Column::SubjectClaim,
                Column::Amr,
                Column::Acr,
                Column::SealedSecret,
                Column::ChangedBy,
                Column::ChangedAt,
            ])
            .to_owned();
        identity_provider::Entity::insert(new.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&transaction)
            .await?;
        end_federated(&transaction, session::Column::Id.is_not_null(), but, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes the provider away, with every session but one that began by it and with who people were there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_identity_provider(&self, but: SessionId, now: Timestamp) -> Answer<()> {
        let transaction = self.begin().await?;
        identity_provider::Entity::delete_many().exec(&transaction).await?;
        federated_account::Entity::delete_many().exec(&transaction).await?;
        end_federated(&transaction, session::Column::Id.is_not_null(), but, now.into()).await?;
        Ok(transaction.commit().await?)
    }

    /// Who a subject is, by its blind token: those who confirmed it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn federated_by_subject(&self, token: i64) -> Answer<Option<federated_account::Model>> {
        Ok(federated_account::Entity::find()
            .filter(federated_account::Column::SubjectToken.eq(token))
            .filter(federated_account::Column::ConfirmedAt.is_not_null())
            .one(&self.database)
            .await?)
    }

    /// Who a person is at the provider.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn federated_account(&self, person: PersonId) -> Answer<Option<federated_account::Model>> {
        Ok(federated_account::Entity::find_by_id(person.as_uuid()).one(&self.database).await?)
    }

    /// Says who a person is at the provider, in place of whatever was said before; `false` when somebody else confirmed to be that.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_federated_account(&self, new: federated_account::Model) -> Answer<bool> {
        use federated_account::Column;
        let replace = OnConflict::column(Column::Person)
            .update_columns([
                Column::SubjectToken,
                Column::SealedSubject,
                Column::LinkedAt,
                Column::ConfirmedAt,
                Column::Session,
            ])
            // What is only said takes the place of nothing that was confirmed.
            .action_and_where(if new.confirmed_at.is_some() {
                Expr::value(true)
            } else {
                Expr::col((federated_account::Entity, Column::ConfirmedAt)).is_null()
            })
            .to_owned();
        let put = federated_account::Entity::insert(new.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&self.database)
            .await;
        match put {
            Err(error) if is_taken(&error) => Ok(false),
            put => put.map(|_| true).map_err(Into::into),
        }
    }

    /// Confirms what is to be confirmed in this session; `false` when there is nothing, or somebody else was faster.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn confirm_federated_account(
        &self,
        (person, session): (PersonId, SessionId),
        now: Timestamp,
    ) -> Answer<bool> {
        use federated_account::Column;
        let confirmed = federated_account::Entity::update_many()
            .col_expr(Column::ConfirmedAt, Expr::value(OffsetDateTime::from(now)))
            .col_expr(Column::Session, Expr::value(None::<uuid::Uuid>))
            .filter(Column::Person.eq(person.as_uuid()))
            .filter(Column::Session.eq(session.as_uuid()))
            .filter(Column::ConfirmedAt.is_null())
            .exec(&self.database)
            .await;
        match confirmed {
            Err(error) if is_taken(&error) => Ok(false),
            confirmed => Ok(confirmed?.rows_affected > 0),
        }
    }

    /// Forgets who a person is at the provider, and ends their sessions that began there, all but one: whoever linked themselves in
    /// the person's place may be in one. `false` when nothing was known.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_federated_account(
        &self,
        person: PersonId,
        but: SessionId,
        now: Timestamp,
    ) -> Answer<bool> {
        let transaction = self.begin().await?;
        let removed = federated_account::Entity::delete_by_id(person.as_uuid()).exec(&transaction).await?;
        let theirs = session::Column::Person.eq(person.as_uuid());
        end_federated(&transaction, theirs, but, now.into()).await?;
        transaction.commit().await?;
        Ok(removed.rows_affected > 0)
    }
}

/// Ends the sessions that began at the provider, of all those whom `whose` is about.
async fn end_federated(
    database: &impl ConnectionTrait,
    whose: SimpleExpr,
    but: SessionId,
    now: OffsetDateTime,
) -> Answer<()> {
    let federated = serde_json::json!([{"kind": "federated"}]);
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(now))
        .filter(session::Column::RevokedAt.is_null())
        .filter(whose)
        .filter(session::Column::Id.ne(but.as_uuid()))
        .filter(Expr::col(session::Column::Factors).contains(Expr::value(federated)))
        .exec(database)
        .await?;
    Ok(())
}
