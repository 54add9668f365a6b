//! What the tenant decided about the ways in.

use carekeep_kernel::{PersonId, SessionId};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, OnConflict, SimpleExpr},
};
use time::OffsetDateTime;

use crate::{
    Answer, Store,
    entity::{invite, notice, person, role_grant, session, sign_in_settings},
    notices::insert_notices,
};

/// Whose sessions end with a decision.
#[derive(Debug, Clone, Copy)]
pub enum SignedOut<'a> {
    /// Of those who hold one of these roles.
    Holders(&'a [String]),
    /// Of everybody.
    Everybody,
}

impl SignedOut<'_> {
    fn condition(self) -> SimpleExpr {
        let Self::Holders(roles) = self else { return session::Column::Id.is_not_null() };
        let holders = role_grant::Entity::find()
            .select_only()
            .column(role_grant::Column::Person)
            .filter(role_grant::Column::Role.is_in(roles.iter().map(String::as_str)))
            .filter(role_grant::Column::RevokedAt.is_null())
            .into_query();
        session::Column::Person.in_subquery(holders)
    }
}

impl Store {
    /// What the tenant decided; `None` when it never did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_in_settings(&self) -> Answer<Option<sign_in_settings::Model>> {
        Ok(sign_in_settings::Entity::find().one(&self.database).await?)
    }

    /// Who holds a role and may sign in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn active_holders(&self, role: &str) -> Answer<Vec<PersonId>> {
        let grants = role_grant::Entity::find()
            .select_only()
            .column(role_grant::Column::Person)
            .filter(role_grant::Column::Role.eq(role))
            .filter(role_grant::Column::RevokedAt.is_null())
            .into_query();
        let people = person::Entity::find()
            .filter(person::Column::Id.in_subquery(grants))
            .filter(person::Column::ActivatedAt.is_not_null())
            .filter(person::Column::SuspendedAt.is_null())
            .filter(person::Column::LeftAt.is_null())
            .all(&self.database)
            .await?;
        Ok(people.into_iter().map(|person| PersonId::from_uuid(person.id)).collect())
    }

    /// Stores what the tenant decided in place of what was decided at `before`, with the notices about it, and ends the sessions of those
    /// for whom less counts than before, all but `but`, in one transaction: who is in by what counts no more has to come in anew. `false`
    /// when somebody else decided meanwhile: who is signed out was worked out from what counts no more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn put_sign_in_settings(
        &self,
        (before, settings): (Option<OffsetDateTime>, sign_in_settings::Model),
        out: SignedOut<'_>,
        but: SessionId,
        notices: Vec<notice::Model>,
    ) -> Answer<bool> {
        use sign_in_settings::Column;
        let (transaction, now) = (self.begin().await?, settings.changed_at);
        // The founder's row is there before the first decision is.
        let founder = person::Entity::find().filter(person::Column::Founder.eq(true));
        founder.lock_exclusive().one(&transaction).await?;
        let stands = sign_in_settings::Entity::find().one(&transaction).await?;
        if stands.map(|stands| stands.changed_at) != before {
            transaction.rollback().await?;
            return Ok(false);
        }
        let replace = OnConflict::column(Column::Single)
            .update_columns([
                Column::Passkeys,
                Column::Makers,
                Column::ConfirmedDevices,
                Column::Passwords,
                Column::RecoveryHoldHours,
                Column::LongerHoldHours,
                Column::LongerHoldUntil,
                Column::ChangedBy,
                Column::ChangedAt,
            ])
            .to_owned();
        sign_in_settings::Entity::insert(settings.into_active_model())
            .on_conflict(replace)
            .exec_without_returning(&transaction)
            .await?;
        insert_notices(&transaction, notices).await?;
        session::Entity::update_many()
            .col_expr(session::Column::RevokedAt, Expr::value(now))
            .filter(out.condition())
            .filter(session::Column::RevokedAt.is_null())
            .filter(session::Column::Id.ne(but.as_uuid()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Names of the roles that a person holds.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn roles_of(&self, person: PersonId) -> Answer<Vec<String>> {
        let granted = role_grant::Entity::find()
            .filter(role_grant::Column::Person.eq(person.as_uuid()))
            .filter(role_grant::Column::RevokedAt.is_null())
            .all(&self.database)
            .await?;
        Ok(granted.into_iter().map(|grant| grant.role).collect())
    }

    /// Names of the roles that the invitation grants which a person has accepted last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn promised_roles(&self, person: PersonId) -> Answer<Vec<String>> {
        let invited = invite::Entity::find()
            .filter(invite::Column::Person.eq(person.as_uuid()))
            .filter(invite::Column::AcceptedAt.is_not_null())
            .filter(invite::Column::WithdrawnAt.is_null())
            .order_by_desc(invite::Column::AcceptedAt)
            .one(&self.database)
            .await?;
        let roles = invited.iter().flat_map(|invite| invite.roles.as_array().into_iter().flatten());
        Ok(roles.filter_map(|role| role.as_str()).map(str::to_owned).collect())
    }
}
