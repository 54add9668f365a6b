//! Passwords, code generators, passkeys, recovery codes.

use carekeep_kernel::{CredentialId, PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, sea_query::Expr,
};
use time::OffsetDateTime;

use crate::{
    Answer, Store, StoreError,
    columns::{Digest, Phc},
    entity::{passkey, password, recovery_code, sign_in_settings, totp},
    sessions::{is_live, revoke_sessions},
};

/// What became of taking a factor away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// The person has no such factor.
    Absent,
    /// It is still there: without it the person could not sign in.
    LastFactors,
    /// It is still there: the session that asked has ended meanwhile.
    SessionOver,
}

impl Store {
    /// Whether a person has a password.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_password(&self, person: PersonId) -> Answer<bool> {
        Ok(password::Entity::find_by_id(person.as_uuid()).one(&self.database).await?.is_some())
    }

    /// Stores a password anew in place of the same one, hashed in another way; `false` when it was changed meanwhile.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rehash_password(&self, new: password::Model, old: &Phc) -> Answer<bool> {
        let changed = password::Entity::update_many()
            .col_expr(password::Column::Phc, Expr::value(new.phc))
            .filter(password::Column::Person.eq(new.person))
            .filter(password::Column::Phc.eq(old.clone()))
            .exec(&self.database)
            .await?;
        Ok(changed.rows_affected == 1)
    }

    /// The confirmed, or the unconfirmed, code generator of a person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn totp(&self, person: PersonId, confirmed: bool) -> Answer<Option<totp::Model>> {
        let at = totp::Column::ConfirmedAt;
        Ok(totp::Entity::find()
            .filter(totp::Column::Person.eq(person.as_uuid()))
            .filter(if confirmed { at.is_not_null() } else { at.is_null() })
            .one(&self.database)
            .await?)
    }

    /// Stores an unconfirmed code generator in place of an earlier unconfirmed one.
    ///
    /// # Errors
    /// When the database does not answer, or the person is gone.
    pub async fn put_unconfirmed_totp(&self, new: totp::Model) -> Answer<()> {
        let person = PersonId::from_uuid(new.person);
        let (transaction, _) = self.begin_with(person).await?.ok_or_else(gone)?;
        totp::Entity::delete_many()
            .filter(totp::Column::Person.eq(new.person))
            .filter(totp::Column::ConfirmedAt.is_null())
            .exec(&transaction)
            .await?;
        totp::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Uses a step of a code generator up; `false` when this or a later one was used already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_totp_step(&self, id: CredentialId, step: i64) -> Answer<bool> {
        let unused =
            Condition::any().add(totp::Column::LastStep.is_null()).add(totp::Column::LastStep.lt(step));
        let used = totp::Entity::update_many()
            .col_expr(totp::Column::LastStep, Expr::value(step))
            .filter(totp::Column::Id.eq(id.as_uuid()))
            .filter(totp::Column::ConfirmedAt.is_not_null())
            .filter(unused)
            .exec(&self.database)
            .await?;
        Ok(used.rows_affected == 1)
    }

    /// The passkeys of a person, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn passkeys(&self, person: PersonId) -> Answer<Vec<passkey::Model>> {
        Ok(passkey::Entity::find()
            .filter(passkey::Column::Person.eq(person.as_uuid()))
            .order_by_asc(passkey::Column::Id)
            .all(&self.database)
            .await?)
    }

    /// The passkey with this credential id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn passkey(&self, credential_id: &[u8]) -> Answer<Option<passkey::Model>> {
        Ok(passkey::Entity::find()
            .filter(passkey::Column::CredentialId.eq(Digest(credential_id.to_vec())))
            .one(&self.database)
            .await?)
    }

    /// Stores what changed by the use of a passkey, if its counter is still `old_counter`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn update_passkey(&self, used: passkey::Model, old_counter: i64) -> Answer<bool> {
        let changed = passkey::Entity::update_many()
            .col_expr(passkey::Column::Data, Expr::value(used.data))
            .col_expr(passkey::Column::BackupState, Expr::value(used.backup_state))
            .col_expr(passkey::Column::Counter, Expr::value(used.counter))
            .col_expr(passkey::Column::LastUsedAt, Expr::value(used.last_used_at))
            .filter(passkey::Column::Id.eq(used.id))
            .filter(passkey::Column::Counter.eq(old_counter))
            .exec(&self.database)
            .await?;
        Ok(changed.rows_affected == 1)
    }

    /// Gives a passkey another name; `false` when the person has no such passkey.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rename_passkey(&self, person: PersonId, id: CredentialId, name: &str) -> Answer<bool> {
        let renamed = passkey::Entity::update_many()
            .col_expr(passkey::Column::Name, Expr::value(name))
            .filter(passkey::Column::Id.eq(id.as_uuid()))
            .filter(passkey::Column::Person.eq(person.as_uuid()))
            .exec(&self.database)
            .await?;
        Ok(renamed.rows_affected == 1)
    }

    /// Deletes a passkey, unless the person could not sign in with two factors any more, and ends all sessions but the one that
    /// asks, which must still be live. Alone with the person: of two deletions at once the second one sees the first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_passkey(
        &self,
        (person, session): (PersonId, SessionId),
        id: CredentialId,
        now: Timestamp,
    ) -> Answer<Removed> {
        let Some((transaction, _)) = self.begin_with(person).await? else { return Ok(Removed::Absent) };
        if !is_live(&transaction, person, session).await? {
            transaction.rollback().await?;
            return Ok(Removed::SessionOver);
        }
        let passkeys = passkey::Entity::find()
            .filter(passkey::Column::Person.eq(person.as_uuid()))
            .all(&transaction)
            .await?;
        let password = password::Entity::find_by_id(person.as_uuid()).one(&transaction).await?;
        let totp = totp::Entity::find()
            .filter(totp::Column::Person.eq(person.as_uuid()))
            .filter(totp::Column::ConfirmedAt.is_not_null())
            .one(&transaction)
            .await?;
        // Where the tenant takes no passwords, one that is left from before lets nobody in.
        let decided = sign_in_settings::Entity::find().one(&transaction).await?;
        let by_password = decided.is_none_or(|decided| decided.passwords) && password.is_some();
        let has = passkeys.iter().any(|passkey| passkey.id == id.as_uuid());
        let others = passkeys.len() > 1 || (by_password && totp.is_some());
        if !has || !others {
            transaction.rollback().await?;
            return Ok(if has { Removed::LastFactors } else { Removed::Absent });
        }
        passkey::Entity::delete_many()
            .filter(passkey::Column::Id.eq(id.as_uuid()))
            .exec(&transaction)
            .await?;
        revoke_sessions(&transaction, person, Some(session), now).await?;
        transaction.commit().await?;
        Ok(Removed::Done)
    }

    /// The recovery codes of a person, used ones too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recovery_codes(&self, person: PersonId) -> Answer<Vec<recovery_code::Model>> {
        Ok(recovery_code::Entity::find()
            .filter(recovery_code::Column::Person.eq(person.as_uuid()))
            .all(&self.database)
            .await?)
    }

    /// Marks a recovery code as used; `false` when it was used or is gone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_recovery_code(&self, id: CredentialId, now: Timestamp) -> Answer<bool> {
        let used = recovery_code::Entity::update_many()
            .col_expr(recovery_code::Column::UsedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(recovery_code::Column::Id.eq(id.as_uuid()))
            .filter(recovery_code::Column::UsedAt.is_null())
            .exec(&self.database)
            .await?;
        Ok(used.rows_affected == 1)
    }
}

fn gone() -> StoreError {
    StoreError { cause: "the person is gone".to_owned() }
}
