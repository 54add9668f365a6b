//! Writing a factor, with everything that belongs to it in one transaction.
//!
//! Invariant: it is done alone with the person, in a session that is still live then. Whoever takes factors or sessions away
//! (a recovery, a removal, a suspension) is alone with the person too: of the two the later one sees what the earlier one did.

use carekeep_kernel::{PersonId, SessionId, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect, TryInsertResult,
    sea_query::OnConflict,
};
use uuid::Uuid;

use crate::{
    Answer, Store,
    connection::Transaction,
    entity::{notice, passkey, password, recovery_code, session, totp},
    notices::insert_notice,
    people::activate,
    sessions::{replace_session, revoke_sessions},
};

/// A factor to write.
pub enum NewFactor {
    /// In place of the password, if there is one.
    Password(password::Model),
    /// Confirms an unconfirmed code generator by its first step, in place of the confirmed one.
    Totp {
        /// Its id.
        id: Uuid,
        /// The step, which is used up by that.
        step: i64,
    },
    /// One more passkey.
    Passkey(passkey::Model),
    /// In place of all recovery codes.
    RecoveryCodes(Vec<recovery_code::Model>),
}

/// A factor, and what comes with it.
pub struct FactorChange<'a> {
    /// The factor.
    pub factor: NewFactor,
    /// The session after the step.
    pub session: session::Model,
    /// The hash of its token before the step.
    pub old: &'a [u8; 32],
    /// Completes an enrolment: the roles of the invitation are granted.
    pub completes: bool,
    /// Whoever signed in with what is replaced is signed out (ASVS 5.0 section 7.4.3).
    pub ends_others: bool,
    /// What the person is told.
    pub notice: notice::Model,
    /// When.
    pub at: Timestamp,
}

/// What became of writing a factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is there.
    Done,
    /// Nothing was written: the session has ended or has gone on, or the person may not sign in any more.
    SessionOver,
    /// Nothing was written: the passkey is registered already, or the code generator is gone.
    Taken,
}

impl Store {
    /// Writes a factor and takes the session on. `new_id` makes the ids of granted roles.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn write_factor(
        &self,
        change: FactorChange<'_>,
        new_id: &(dyn Fn() -> Uuid + Send + Sync),
    ) -> Answer<Written> {
        let (person, at) = (PersonId::from_uuid(change.session.person), change.at);
        let Some((transaction, row)) = self.begin_with(person).await? else {
            return Ok(Written::SessionOver);
        };
        let session = SessionId::from_uuid(change.session.id);
        let barred = row.suspended_at.is_some() || row.left_at.is_some();
        if barred || !replace_session(&transaction, change.session, change.old).await? {
            transaction.rollback().await?;
            return Ok(Written::SessionOver);
        }
        if !write(&transaction, person, change.factor, at).await? {
            transaction.rollback().await?;
            return Ok(Written::Taken);
        }
        // The invitation may have been withdrawn meanwhile.
        if change.completes && !activate(&transaction, &row, at, new_id).await? {
            transaction.rollback().await?;
            return Ok(Written::SessionOver);
        }
        if change.ends_others {
            revoke_sessions(&transaction, person, Some(session), at).await?;
        }
        insert_notice(&transaction, change.notice).await?;
        transaction.commit().await?;
        Ok(Written::Done)
    }
}

/// Whether the factor could be written.
async fn write(database: &Transaction, person: PersonId, factor: NewFactor, at: Timestamp) -> Answer<bool> {
    match factor {
        NewFactor::Password(row) => {
            let replace = OnConflict::column(password::Column::Person)
                .update_columns([password::Column::Phc, password::Column::ChangedAt])
                .to_owned();
            password::Entity::insert(row.into_active_model())
                .on_conflict(replace)
                .exec_without_returning(database)
                .await?;
            Ok(true)
        }
        NewFactor::Totp { id, step } => confirm_totp(database, (person, id), step, at).await,
        NewFactor::Passkey(row) => {
            let known = OnConflict::column(passkey::Column::CredentialId).do_nothing().to_owned();
            let added = passkey::Entity::insert(row.into_active_model())
                .on_conflict(known)
                .try_insert()
                .exec_without_returning(database)
                .await?;
            Ok(matches!(added, TryInsertResult::Inserted(1)))
        }
        NewFactor::RecoveryCodes(rows) => {
            recovery_code::Entity::delete_many()
                .filter(recovery_code::Column::Person.eq(person.as_uuid()))
                .exec(database)
                .await?;
            let rows = rows.into_iter().map(IntoActiveModel::into_active_model);
            recovery_code::Entity::insert_many(rows).exec_without_returning(database).await?;
            Ok(true)
        }
    }
}

async fn confirm_totp(
    database: &Transaction,
    (person, id): (PersonId, Uuid),
    step: i64,
    at: Timestamp,
) -> Answer<bool> {
    let row = totp::Entity::find_by_id(id)
        .filter(totp::Column::Person.eq(person.as_uuid()))
        .filter(totp::Column::ConfirmedAt.is_null())
        .lock_exclusive()
        .one(database)
        .await?;
    let Some(row) = row else { return Ok(false) };
    totp::Entity::delete_many()
        .filter(totp::Column::Person.eq(row.person))
        .filter(totp::Column::Id.ne(row.id))
        .exec(database)
        .await?;
    let mut row = row.into_active_model();
    row.confirmed_at = sea_orm::Set(Some(at.into()));
    row.last_step = sea_orm::Set(Some(step));
    row.update(database).await?;
    Ok(true)
}
