//! Recoveries of accounts whose people lost all factors: begun by one, approved by another, used once.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    columns::Digest,
    connection::Transaction,
    entity::{
        account_recovery, device, invite, notice, oauth_grant, person, provisioning_token, role_grant,
        session,
    },
    invites::delete_factors,
    membership::{NEEDED, RECOVERS, end_what_was_begun},
    notices::insert_notice,
    sessions::revoke_sessions,
};

/// A yes to a recovery.
pub struct Approval {
    /// Who says it.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
    /// Of the token in the link.
    pub token_hash: [u8; 32],
    /// From when on the link works.
    pub opens: Timestamp,
    /// Until when.
    pub closes: Timestamp,
}

impl Store {
    /// Adds a recovery and tells the person; `false` when one is open for them, or whoever begins it may not any more. One that has
    /// lapsed makes way.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_recovery(&self, new: account_recovery::Model, notice: notice::Model) -> Answer<bool> {
        use account_recovery::Column;
        let (transaction, by) = (self.begin().await?, PersonId::from_uuid(new.begun_by));
        let lapsed = Condition::any()
            .add(Condition::all().add(Column::ApprovedAt.is_null()).add(Column::ExpiresAt.lte(new.begun_at)))
            .add(Column::ClosesAt.lte(new.begun_at));
        account_recovery::Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(new.begun_at))
            .col_expr(Column::Outcome, Expr::value("lapsed"))
            .filter(Column::Person.eq(new.person))
            .filter(Column::EndedAt.is_null())
            .filter(lapsed)
            .exec(&transaction)
            .await?;
        let open = OnConflict::new().do_nothing().to_owned();
        let added = account_recovery::Entity::insert(new.into_active_model())
            .on_conflict(open)
            .try_insert()
            .exec_without_returning(&transaction)
            .await?;
        let begun = matches!(added, TryInsertResult::Inserted(1)) && may_recover(&transaction, by).await?;
        told_if(begun, transaction, notice).await
    }

    /// A recovery.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recovery(&self, id: Uuid) -> Answer<Option<account_recovery::Model>> {
        Ok(account_recovery::Entity::find_by_id(id).one(&self.database).await?)
    }

    /// The recovery whose link has a token with this hash.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recovery_of(&self, token_hash: &[u8; 32]) -> Answer<Option<account_recovery::Model>> {
        Ok(account_recovery::Entity::find()
            .filter(account_recovery::Column::TokenHash.eq(Digest(token_hash.to_vec())))
            .one(&self.database)
            .await?)
    }

    /// The recoveries that are under way, the oldest first, at most `limit`; of one person if `person` says so, or only of those whom
    /// the tenant looks after.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recoveries(
        &self,
        (person, looked_after): (Option<PersonId>, bool),
        limit: u64,
        now: Timestamp,
    ) -> Answer<Vec<account_recovery::Model>> {
        use account_recovery::Column;
        let now = OffsetDateTime::from(now);
        // What has lapsed stays until the next one of its person: it must not fill the list.
        let lives = Condition::any()
            .add(Column::ClosesAt.gt(now))
            .add(Condition::all().add(Column::ClosesAt.is_null()).add(Column::ExpiresAt.gt(now)));
        let mut open = account_recovery::Entity::find()
            .filter(Column::EndedAt.is_null())
            .filter(lives)
            .order_by_asc(Column::Id)
            .limit(limit);
        if let Some(person) = person {
            open = open.filter(Column::Person.eq(person.as_uuid()));
        }
        if looked_after {
            let people = person::Entity::find()
                .select_only()
                .column(person::Column::Id)
                .filter(person::Column::Audience.eq("patient"));
            open = open.filter(Column::Person.in_subquery(people.into_query()));
        }
        Ok(open.all(&self.database).await?)
    }

    /// Approves a recovery, once, and tells the person; `false` when it is not open any more, was begun by or is for the very person, or
    /// is not for this person to decide on (see [`may_approve`]).
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn approve_recovery(&self, id: Uuid, yes: Approval, notice: notice::Model) -> Answer<bool> {
        use account_recovery::Column;
        let transaction = self.begin().await?;
        let at = |moment: Timestamp| Expr::value(OffsetDateTime::from(moment));
        let approved = account_recovery::Entity::update_many()
            .col_expr(Column::ApprovedBy, Expr::value(yes.by.as_uuid()))
            .col_expr(Column::ApprovedAt, at(yes.at))
            .col_expr(Column::TokenHash, Expr::value(Digest(yes.token_hash.to_vec())))
            .col_expr(Column::OpensAt, at(yes.opens))
            .col_expr(Column::ClosesAt, at(yes.closes))
            .filter(Column::Id.eq(id))
            .filter(Column::EndedAt.is_null())
            .filter(Column::ApprovedAt.is_null())
            .filter(Column::ExpiresAt.gt(OffsetDateTime::from(yes.at)))
            .filter(Column::BegunBy.ne(yes.by.as_uuid()))
            .filter(Column::Person.ne(yes.by.as_uuid()))
            .exec(&transaction)
            .await?;
        let counts = approved.rows_affected == 1 && may_approve(&transaction, id, yes.by).await?;
        told_if(counts, transaction, notice).await
    }

    /// Ends a recovery that was not used, and tells the person; `false` when it has ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_recovery(
        &self,
        id: Uuid,
        outcome: &str,
        notice: notice::Model,
        now: Timestamp,
    ) -> Answer<bool> {
        use account_recovery::Column;
        let transaction = self.begin().await?;
        let ended = account_recovery::Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(OffsetDateTime::from(now)))
            .col_expr(Column::Outcome, Expr::value(outcome))
            .filter(Column::Id.eq(id))
            .filter(Column::EndedAt.is_null())
            .exec(&transaction)
            .await?;
        told_if(ended.rows_affected == 1, transaction, notice).await
    }

    /// Uses a recovery, once: the factors of the person are gone, and their sessions, devices, provisioning tokens, what they allowed apps and what was begun in their name end,
    /// a suspension is lifted, and the session begins that sets up new ones, in one transaction; `false` when it is not open, not yet, or not any more, or
    /// the person has left.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_recovery(
        &self,
        id: Uuid,
        session: session::Model,
        notice: notice::Model,
        now: Timestamp,
    ) -> Answer<bool> {
        use account_recovery::Column;
        let person = PersonId::from_uuid(session.person);
        let Some((transaction, row)) = self.begin_with(person).await? else { return Ok(false) };
        let moment = OffsetDateTime::from(now);
        let used = account_recovery::Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(moment))
            .col_expr(Column::Outcome, Expr::value("completed"))
            .filter(Column::Id.eq(id))
            .filter(Column::Person.eq(person.as_uuid()))
            .filter(Column::EndedAt.is_null())
            .filter(Column::OpensAt.lte(moment))
            .filter(Column::ClosesAt.gt(moment))
            .exec(&transaction)
            .await?;
        if used.rows_affected != 1 || row.left_at.is_some() {
            transaction.rollback().await?;
            return Ok(false);
        }
        // A suspension ends the recoveries that were under way: this one was decided on by two who knew of it.
        person::Entity::update_many()
            .col_expr(person::Column::SuspendedAt, Expr::value(None::<OffsetDateTime>))
            .col_expr(person::Column::SuspendedBy, Expr::value(None::<Uuid>))
            .filter(person::Column::Id.eq(person.as_uuid()))
            .filter(person::Column::SuspendedAt.is_not_null())
            .exec(&transaction)
            .await?;
        end_tokens_of(&transaction, person, moment).await?;
        end_what_was_begun(&transaction, person, now).await?;
        delete_factors(&transaction, person.as_uuid()).await?;
        revoke_sessions(&transaction, person, None, now).await?;
        device::Entity::update_many()
            .col_expr(device::Column::RevokedAt, Expr::value(moment))
            // Whoever proves themselves anew confirms their first device anew.
            .col_expr(device::Column::ConfirmedAt, Expr::value(None::<OffsetDateTime>))
            .filter(device::Column::Person.eq(person.as_uuid()))
            .exec(&transaction)
            .await?;
        oauth_grant::Entity::update_many()
            .col_expr(oauth_grant::Column::RevokedAt, Expr::value(moment))
            .filter(oauth_grant::Column::Person.eq(person.as_uuid()))
            .filter(oauth_grant::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        session::Entity::insert(session.into_active_model()).exec_without_returning(&transaction).await?;
        insert_notice(&transaction, notice).await?;
        transaction.commit().await?;
        Ok(true)
    }
}

/// The roles among those that begin or decide on recoveries which somebody holds who is here and not suspended. They are not taken
/// from the person before the transaction ends, so that taking one ends what it was worth.
async fn recovering_roles(transaction: &Transaction, id: PersonId) -> Answer<Vec<String>> {
    let row = person::Entity::find_by_id(id.as_uuid()).lock_shared().one(transaction).await?;
    if row.is_none_or(|row| row.suspended_at.is_some() || row.left_at.is_some()) {
        return Ok(Vec::new());
    }
    let held = role_grant::Entity::find()
        .filter(role_grant::Column::Person.eq(id.as_uuid()))
        .filter(role_grant::Column::Role.is_in(RECOVERS))
        .filter(role_grant::Column::RevokedAt.is_null())
        .lock_shared();
    Ok(held.all(transaction).await?.into_iter().map(|grant| grant.role).collect())
}

async fn may_recover(transaction: &Transaction, id: PersonId) -> Answer<bool> {
    Ok(!recovering_roles(transaction, id).await?.is_empty())
}

/// Whether a yes of this person makes a recovery one of two: of a role that two people give; not where they invited who began it,
/// unless it took two to give that one a role, for whoever invites could be both. An administrator decides on accounts of staff, and on
/// any that an administrator suspended.
async fn may_approve(transaction: &Transaction, recovery: Uuid, by: PersonId) -> Answer<bool> {
    let own = recovering_roles(transaction, by).await?;
    let row = account_recovery::Entity::find_by_id(recovery).one(transaction).await?;
    let decides = own.iter().any(|role| NEEDED.contains(&role.as_str()));
    let Some(row) = row.filter(|_| decides) else { return Ok(false) };
    let account = person::Entity::find_by_id(row.person).one(transaction).await?;
    let officers = account.is_some_and(|row| row.audience == "patient" && row.suspended_at.is_none());
    if !officers && !own.iter().any(|role| role == "tenant_admin") {
        return Ok(false);
    }
    let begun_by = recovering_roles(transaction, PersonId::from_uuid(row.begun_by)).await?;
    if begun_by.iter().any(|role| NEEDED.contains(&role.as_str())) {
        return Ok(true);
    }
    let invited = invite::Entity::find()
        .filter(invite::Column::Person.eq(row.begun_by))
        .filter(invite::Column::AcceptedAt.is_not_null())
        .filter(invite::Column::InvitedBy.eq(by.as_uuid()))
        .one(transaction)
        .await?;
    Ok(!begun_by.is_empty() && invited.is_none())
}

/// Commits what happened together with telling the person, or nothing if it did not happen.
async fn told_if(happened: bool, transaction: Transaction, notice: notice::Model) -> Answer<bool> {
    if happened {
        insert_notice(&transaction, notice).await?;
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(happened)
}

/// Revokes the provisioning tokens that a person made, and lets their accounts leave: whoever stole the person's factors may have made
/// them.
async fn end_tokens_of(transaction: &Transaction, person: PersonId, now: OffsetDateTime) -> Answer<()> {
    let made = provisioning_token::Entity::update_many()
        .col_expr(provisioning_token::Column::RevokedAt, Expr::value(now))
        .filter(provisioning_token::Column::CreatedBy.eq(person.as_uuid()))
        .filter(provisioning_token::Column::RevokedAt.is_null())
        .exec_with_returning(transaction)
        .await?;
    person::Entity::update_many()
        .col_expr(person::Column::LeftAt, Expr::value(now))
        .filter(person::Column::Id.is_in(made.into_iter().map(|token| token.person)))
        .filter(person::Column::LeftAt.is_null())
        .exec(transaction)
        .await?;
    Ok(())
}

/// Ends the recoveries that a person began, approved or would be let in by.
pub(crate) async fn end_recoveries_of(
    transaction: &Transaction,
    person: PersonId,
    now: Timestamp,
) -> Answer<()> {
    use account_recovery::Column;
    let of = Condition::any()
        .add(Column::BegunBy.eq(person.as_uuid()))
        .add(Column::ApprovedBy.eq(person.as_uuid()))
        .add(Column::Person.eq(person.as_uuid()));
    account_recovery::Entity::update_many()
        .col_expr(Column::EndedAt, Expr::value(OffsetDateTime::from(now)))
        .col_expr(Column::Outcome, Expr::value("rejected"))
        .filter(Column::EndedAt.is_null())
        .filter(of)
        .exec(transaction)
        .await?;
    Ok(())
}
