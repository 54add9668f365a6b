//! The tenant's identity provider, and who its people are there.

use carekeep_kernel::{PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict, SimpleExpr, extension::postgres::PgExpr},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    connection::Transaction,
    entity::{federated_account, identity_provider, notice, session},
    notices::{insert_notice, insert_notices},
    people::is_taken,
    sessions::is_live,
};

/// What became of a link to an account of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// It is there.
    Done,
    /// Somebody else confirmed to be that.
    Taken,
    /// The provider is not the one any more that said it.
    OtherProvider,
    /// The session has ended in which it was said.
    SessionOver,
}

/// Who is told of a change of the provider.
pub struct Told<F> {
    /// What those who run the tenant and watch over it are told.
    pub deciders: Vec<notice::Model>,
    /// What somebody is told whose link is forgotten.
    pub forgotten: F,
}

impl Store {
    /// The provider, if there is one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn identity_provider(&self) -> Answer<Option<identity_provider::Model>> {
        Ok(identity_provider::Entity::find().one(&self.database).await?)
    }

    /// Sets the provider, and ends every session but one that began by the one before: what was trusted then may be trusted no more.
    /// Who somebody was at another issuer is forgotten. What a second person agreed to of the one before stays agreed to where `keeps` says that
    /// no more is believed now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_identity_provider(
        &self,
        mut new: identity_provider::Model,
        keeps: impl Fn(&identity_provider::Model) -> bool + Send,
        but: SessionId,
        told: Told<impl Fn(PersonId) -> notice::Model + Send>,
    ) -> Answer<()> {
        use identity_provider::Column;
        let (transaction, now) = (self.begin().await?, new.changed_at);
        let before = identity_provider::Entity::find().lock_exclusive().one(&transaction).await?;
        if before.as_ref().is_none_or(|before| before.issuer != new.issuer) {
            forget_everybody(&transaction, &told.forgotten).await?;
        }
        if let Some(before) = before.filter(keeps) {
            (new.agreed_by, new.agreed_at) = (before.agreed_by, before.agreed_at);
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
                Column::AgreedBy,
                Column::AgreedAt,
            ])
            .to_owned();
        identity_provider::Entity::insert(new.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&transaction)
            .await?;
        insert_notices(&transaction, told.deciders).await?;
        end_federated(&transaction, session::Column::Id.is_not_null(), but, now).await?;
        Ok(transaction.commit().await?)
    }

    /// Takes the provider away, with every session but one that began by it and with who people were there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_identity_provider(
        &self,
        but: SessionId,
        told: Told<impl Fn(PersonId) -> notice::Model + Send>,
        now: Timestamp,
    ) -> Answer<()> {
        let transaction = self.begin().await?;
        identity_provider::Entity::delete_many().exec(&transaction).await?;
        forget_everybody(&transaction, &told.forgotten).await?;
        insert_notices(&transaction, told.deciders).await?;
        end_federated(&transaction, session::Column::Id.is_not_null(), but, now.into()).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes that somebody agrees to the provider as it is set under this id, and tells of it; `false` when it is set otherwise by now,
    /// was agreed to, or was set by the very person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn agree_to_identity_provider(
        &self,
        (id, by): (Uuid, PersonId),
        told: Vec<notice::Model>,
        now: Timestamp,
    ) -> Answer<bool> {
        use identity_provider::Column;
        let transaction = self.begin().await?;
        let agreed = identity_provider::Entity::update_many()
            .col_expr(Column::AgreedBy, Expr::value(by.as_uuid()))
            .col_expr(Column::AgreedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(Column::Id.eq(id))
            .filter(Column::AgreedBy.is_null())
            .filter(Column::ChangedBy.ne(by.as_uuid()))
            .exec(&transaction)
            .await?;
        if agreed.rows_affected == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        insert_notices(&transaction, told).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether the provider is still the one that is set under this id, and `linked` still confirmed to be somebody there. Waits for
    /// whoever is changing that: what was stored before this was asked is seen by a change that comes after.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn federation_stands(&self, id: Uuid, linked: Option<PersonId>) -> Answer<bool> {
        let transaction = self.begin().await?;
        let mut stands = is_set(&transaction, id).await?;
        if let Some(person) = linked.filter(|_| stands) {
            let account = federated_account::Entity::find_by_id(person.as_uuid())
                .filter(federated_account::Column::ConfirmedAt.is_not_null());
            stands = account.lock_shared().one(&transaction).await?.is_some();
        }
        transaction.commit().await?;
        Ok(stands)
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

    /// Says in a session who its person is at the provider that is set under this id, in place of whatever was said before: if the session
    /// has not ended, alone with the person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_federated_account(
        &self,
        new: federated_account::Model,
        (provider, session): (Uuid, SessionId),
    ) -> Answer<Linked> {
        use federated_account::Column;
        let person = PersonId::from_uuid(new.person);
        let Some((transaction, _)) = self.begin_with(person).await? else { return Ok(Linked::SessionOver) };
        if !is_live(&transaction, person, session).await? {
            transaction.rollback().await?;
            return Ok(Linked::SessionOver);
        }
        if !is_set(&transaction, provider).await? {
            transaction.rollback().await?;
            return Ok(Linked::OtherProvider);
        }
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
            .exec_without_returning(&transaction)
            .await;
        match put {
            Err(error) if is_taken(&error) => return Ok(Linked::Taken),
            put => put?,
        };
        transaction.commit().await?;
        Ok(Linked::Done)
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

    /// Ends the sessions of a person that began at the provider.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_federated_sessions(&self, person: PersonId, now: Timestamp) -> Answer<()> {
        let (theirs, none) =
            (session::Column::Person.eq(person.as_uuid()), SessionId::from_uuid(Uuid::nil()));
        end_federated(&self.database, theirs, none, now.into()).await
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

/// Whether the provider is set under this id, which nobody changes until the transaction ends.
async fn is_set(transaction: &Transaction, id: Uuid) -> Answer<bool> {
    let row = identity_provider::Entity::find().filter(identity_provider::Column::Id.eq(id));
    Ok(row.lock_shared().one(transaction).await?.is_some())
}

async fn forget_everybody(
    transaction: &Transaction,
    told: &(impl Fn(PersonId) -> notice::Model + Send),
) -> Answer<()> {
    for account in federated_account::Entity::delete_many().exec_with_returning(transaction).await? {
        if account.confirmed_at.is_some() {
            insert_notice(transaction, told(PersonId::from_uuid(account.person))).await?;
        }
    }
    Ok(())
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
