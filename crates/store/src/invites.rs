//! Invitations.

use carekeep_kernel::{InviteId, PersonId, Timestamp};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, sea_query::Expr};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    columns::Digest,
    entity::{federated_account, invite, passkey, password, recovery_code, session, totp},
};

impl Store {
    /// Adds an invitation.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_invite(&self, new: invite::Model) -> Answer<()> {
        invite::Entity::insert(new.into_active_model()).exec_without_returning(&self.database).await?;
        Ok(())
    }

    /// The invitation whose token has this hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn invite(&self, token_hash: &[u8; 32]) -> Answer<Option<invite::Model>> {
        Ok(invite::Entity::find()
            .filter(invite::Column::TokenHash.eq(Digest(token_hash.to_vec())))
            .one(&self.database)
            .await?)
    }

    /// Marks an invitation as accepted, if it is open and the person was never activated; deletes what an earlier,
    /// unfinished enrolment left behind, and adds the session that begins with it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accept_invite(&self, id: InviteId, session: session::Model, now: Timestamp) -> Answer<bool> {
        let person = PersonId::from_uuid(session.person);
        let Some((transaction, row)) = self.begin_with(person).await? else { return Ok(false) };
        let accepted = invite::Entity::update_many()
            .col_expr(invite::Column::AcceptedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(invite::Column::Id.eq(id.as_uuid()))
            .filter(invite::Column::Person.eq(person.as_uuid()))
            .filter(invite::Column::AcceptedAt.is_null())
            .filter(invite::Column::WithdrawnAt.is_null())
            .exec(&transaction)
            .await?;
        if accepted.rows_affected != 1 || row.activated_at.is_some() {
            transaction.rollback().await?;
            return Ok(false);
        }
        clear_factors(&transaction, person.as_uuid()).await?;
        session::Entity::insert(session.into_active_model()).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Withdraws the open invitations of a person, and ends an enrolment that one of them began; answers how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn withdraw_invites(&self, person: PersonId, now: Timestamp) -> Answer<u64> {
        let Some((transaction, row)) = self.begin_with(person).await? else { return Ok(0) };
        if row.activated_at.is_some() {
            transaction.rollback().await?;
            return Ok(0);
        }
        let withdrawn = invite::Entity::update_many()
            .col_expr(invite::Column::WithdrawnAt, Expr::value(OffsetDateTime::from(now)))
            .filter(invite::Column::Person.eq(person.as_uuid()))
            .filter(invite::Column::WithdrawnAt.is_null())
            .exec(&transaction)
            .await?;
        clear_factors(&transaction, person.as_uuid()).await?;
        transaction.commit().await?;
        Ok(withdrawn.rows_affected)
    }
}

/// Deletes all factors and sessions of somebody who was never activated.
async fn clear_factors(database: &impl ConnectionTrait, person: Uuid) -> Answer<()> {
    delete_factors(database, person).await?;
    session::Entity::delete_many().filter(session::Column::Person.eq(person)).exec(database).await?;
    Ok(())
}

/// Deletes all factors of a person, and who they are at the provider: whoever linked themselves in their place is out, too.
pub(crate) async fn delete_factors(database: &impl ConnectionTrait, person: Uuid) -> Answer<()> {
    password::Entity::delete_many().filter(password::Column::Person.eq(person)).exec(database).await?;
    totp::Entity::delete_many().filter(totp::Column::Person.eq(person)).exec(database).await?;
    passkey::Entity::delete_many().filter(passkey::Column::Person.eq(person)).exec(database).await?;
    recovery_code::Entity::delete_many()
        .filter(recovery_code::Column::Person.eq(person))
        .exec(database)
        .await?;
    federated_account::Entity::delete_by_id(person).exec(database).await?;
    Ok(())
}
