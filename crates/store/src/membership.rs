//! What becomes of people: roles given and taken, suspension, leaving.
//!
//! Invariant: a tenant never loses the last person who runs it, nor the last who watches over that. Whatever could take one
//! away is done while nobody else does such a thing (the founder's row is the lock), and only if another one remains.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait,
    sea_query::Expr,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    connection::Transaction,
    entity::{federated_account, invite, person, role_grant, role_request},
    people::insert_grant,
    recoveries::end_recoveries_of,
    sessions::revoke_sessions,
};

/// The roles in which somebody begins or decides on recoveries, as they are stored.
pub(crate) const RECOVERS: [&str; 4] = ["tenant_admin", "privacy_officer", "clinician", "nurse"];

/// The roles of those who run a tenant and who watch over it, as they are stored.
pub(crate) const NEEDED: [&str; 2] = ["tenant_admin", "privacy_officer"];

/// A role to grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGrant {
    /// The id of the grant.
    pub id: Uuid,
    /// Who gets it.
    pub person: PersonId,
    /// The role's name.
    pub role: String,
    /// Who grants it; `None` for the platform's operator.
    pub granted_by: Option<PersonId>,
    /// When.
    pub at: Timestamp,
}

impl NewGrant {
    pub(crate) fn row(self) -> role_grant::Model {
        role_grant::Model {
            id: self.id,
            person: self.person.as_uuid(),
            role: self.role,
            granted_by: self.granted_by.map(|person| person.as_uuid()),
            granted_at: self.at.into(),
            invite: None,
            revoked_at: None,
        }
    }
}

/// What became of a change to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It was made.
    Done,
    /// It was so already, or there is no such person.
    Nothing,
    /// It was not made: nobody would be left to run the tenant, or to watch over that.
    LastInRole,
}

impl Changed {
    const fn of(rows: u64) -> Self {
        if rows == 0 { Self::Nothing } else { Self::Done }
    }
}

impl Store {
    /// Suspends a person and ends all their sessions, in one transaction; `by` is who did it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn suspend(&self, id: PersonId, by: PersonId, now: Timestamp) -> Answer<Changed> {
        let Some(transaction) = self.begin_without(id, &NEEDED).await? else {
            return Ok(Changed::LastInRole);
        };
        let changed = suspend_in(&transaction, id, (by, now)).await?;
        transaction.commit().await?;
        Ok(changed)
    }

    /// Ends a suspension.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reinstate(&self, id: PersonId, now: Timestamp) -> Answer<Changed> {
        reinstate_in(&self.database, id, now).await
    }

    /// Lets a person leave for good: sessions, roles and open invitations end with it, in one transaction.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn leave(&self, id: PersonId, now: Timestamp) -> Answer<Changed> {
        let Some(transaction) = self.begin_without(id, &NEEDED).await? else {
            return Ok(Changed::LastInRole);
        };
        let at = || Expr::value(OffsetDateTime::from(now));
        let left = person::Entity::update_many()
            .col_expr(person::Column::LeftAt, at())
            .col_expr(person::Column::ChangedAt, at())
            .filter(person::Column::Id.eq(id.as_uuid()))
            .filter(person::Column::LeftAt.is_null())
            .exec(&transaction)
            .await?;
        revoke_sessions(&transaction, id, None, now).await?;
        // Whoever comes back is a new person, who may be the same at the provider.
        federated_account::Entity::delete_by_id(id.as_uuid()).exec(&transaction).await?;
        role_grant::Entity::update_many()
            .col_expr(role_grant::Column::RevokedAt, at())
            .filter(role_grant::Column::Person.eq(id.as_uuid()))
            .filter(role_grant::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        invite::Entity::update_many()
            .col_expr(invite::Column::WithdrawnAt, at())
            .filter(invite::Column::Person.eq(id.as_uuid()))
            .filter(invite::Column::WithdrawnAt.is_null())
            .exec(&transaction)
            .await?;
        end_what_was_begun(&transaction, id, now).await?;
        transaction.commit().await?;
        Ok(Changed::of(left.rows_affected))
    }

    /// Grants a role; `false` when the person holds it already.
    ///
    /// # Errors
    /// When the database does not answer, or there is no such person.
    pub async fn grant_role(&self, grant: NewGrant) -> Answer<bool> {
        insert_grant(&self.database, grant.row()).await
    }

    /// Whether a person holds a role.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn holds_role(&self, person: PersonId, role: &str) -> Answer<bool> {
        let held = role_grant::Entity::find()
            .filter(role_grant::Column::Person.eq(person.as_uuid()))
            .filter(role_grant::Column::Role.eq(role))
            .filter(role_grant::Column::RevokedAt.is_null())
            .one(&self.database)
            .await?;
        Ok(held.is_some())
    }

    /// Takes a role away.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_role(&self, person: PersonId, role: &str, now: Timestamp) -> Answer<Changed> {
        let needed: Vec<&str> = NEEDED.into_iter().filter(|needed| *needed == role).collect();
        let begun = self.begin_without(person, &needed).await?;
        let Some(transaction) = begun else { return Ok(Changed::LastInRole) };
        let revoked = revoke_grant(&transaction, person, role, now).await?;
        if RECOVERS.contains(&role) {
            // Their half of a recovery was that of somebody in this role.
            end_recoveries_of(&transaction, person, now).await?;
        }
        if role == "tenant_admin" {
            // So was whom they invited, and what they asked for.
            withdraw_invitations(&transaction, person, now).await?;
            let asked = role_request::Column::RequestedBy.eq(person.as_uuid());
            reject_requests(&transaction, Condition::all().add(asked), now).await?;
        }
        transaction.commit().await?;
        Ok(Changed::of(revoked))
    }

    /// Begins a transaction in which a person may cease to hold these roles; `None` when nobody else holds one of them.
    pub(crate) async fn begin_without(&self, id: PersonId, roles: &[&str]) -> Answer<Option<Transaction>> {
        let transaction = self.begin().await?;
        if !roles.is_empty() {
            let founder = person::Entity::find().filter(person::Column::Founder.eq(true));
            founder.lock_exclusive().one(&transaction).await?;
        }
        for role in roles {
            if is_last(&transaction, id, role).await? {
                transaction.rollback().await?;
                return Ok(None);
            }
        }
        Ok(Some(transaction))
    }
}

/// Takes a role from a person; how many grants of it that ends: none or one.
pub(crate) async fn revoke_grant(
    transaction: &Transaction,
    person: PersonId,
    role: &str,
    now: Timestamp,
) -> Answer<u64> {
    let revoked = role_grant::Entity::update_many()
        .col_expr(role_grant::Column::RevokedAt, Expr::value(OffsetDateTime::from(now)))
        .filter(role_grant::Column::Person.eq(person.as_uuid()))
        .filter(role_grant::Column::Role.eq(role))
        .filter(role_grant::Column::RevokedAt.is_null())
        .exec(transaction)
        .await?;
    Ok(revoked.rows_affected)
}

/// Suspends in a transaction that [`Store::begin_without`] began.
pub(crate) async fn suspend_in(
    transaction: &Transaction,
    id: PersonId,
    (by, now): (PersonId, Timestamp),
) -> Answer<Changed> {
    let at = || Expr::value(OffsetDateTime::from(now));
    let suspended = person::Entity::update_many()
        .col_expr(person::Column::SuspendedAt, at())
        .col_expr(person::Column::SuspendedBy, Expr::value(by.as_uuid()))
        .col_expr(person::Column::ChangedAt, at())
        .filter(person::Column::Id.eq(id.as_uuid()))
        .filter(person::Column::SuspendedAt.is_null())
        .exec(transaction)
        .await?;
    if suspended.rows_affected == 0 {
        // Who suspended last decides who may end it: an identity provider does not undo what an administrator did on top.
        person::Entity::update_many()
            .col_expr(person::Column::SuspendedBy, Expr::value(by.as_uuid()))
            .filter(person::Column::Id.eq(id.as_uuid()))
            .filter(person::Column::SuspendedAt.is_not_null())
            .exec(transaction)
            .await?;
    }
    revoke_sessions(transaction, id, None, now).await?;
    end_what_was_begun(transaction, id, now).await?;
    Ok(Changed::of(suspended.rows_affected))
}

pub(crate) async fn reinstate_in(
    database: &impl ConnectionTrait,
    id: PersonId,
    now: Timestamp,
) -> Answer<Changed> {
    let reinstated = person::Entity::update_many()
        .col_expr(person::Column::SuspendedAt, Expr::value(None::<OffsetDateTime>))
        .col_expr(person::Column::SuspendedBy, Expr::value(None::<Uuid>))
        .col_expr(person::Column::ChangedAt, Expr::value(OffsetDateTime::from(now)))
        .filter(person::Column::Id.eq(id.as_uuid()))
        .filter(person::Column::SuspendedAt.is_not_null())
        .exec(database)
        .await?;
    Ok(Changed::of(reinstated.rows_affected))
}

/// Whether a person holds a role that nobody else holds who can sign in.
async fn is_last(transaction: &Transaction, id: PersonId, role: &str) -> Answer<bool> {
    let holders: Vec<Uuid> = role_grant::Entity::find()
        .filter(role_grant::Column::Role.eq(role))
        .filter(role_grant::Column::RevokedAt.is_null())
        .all(transaction)
        .await?
        .into_iter()
        .map(|grant| grant.person)
        .collect();
    if !holders.contains(&id.as_uuid()) {
        return Ok(false);
    }
    let others = holders.into_iter().filter(|other| *other != id.as_uuid());
    let remains = person::Entity::find()
        .filter(person::Column::Id.is_in(others))
        .filter(person::Column::ActivatedAt.is_not_null())
        .filter(person::Column::SuspendedAt.is_null())
        .filter(person::Column::LeftAt.is_null())
        .limit(1)
        .one(transaction)
        .await?;
    Ok(remains.is_none())
}

/// Withdraws the invitations that a person made to people who have not joined, rejects the roles asked for by or for the
/// person, and ends the recoveries that they had a part in: whoever may not act any more must not come back by what they left behind.
pub(crate) async fn end_what_was_begun(
    transaction: &Transaction,
    id: PersonId,
    now: Timestamp,
) -> Answer<()> {
    withdraw_invitations(transaction, id, now).await?;
    let of = Condition::any()
        .add(role_request::Column::RequestedBy.eq(id.as_uuid()))
        .add(role_request::Column::Person.eq(id.as_uuid()));
    reject_requests(transaction, of, now).await?;
    end_recoveries_of(transaction, id, now).await
}

/// Withdraws the invitations that a person made to people who have not joined.
async fn withdraw_invitations(transaction: &Transaction, id: PersonId, now: Timestamp) -> Answer<()> {
    let newcomers = person::Entity::find()
        .select_only()
        .column(person::Column::Id)
        .filter(person::Column::ActivatedAt.is_null())
        .into_query();
    invite::Entity::update_many()
        .col_expr(invite::Column::WithdrawnAt, Expr::value(OffsetDateTime::from(now)))
        .filter(invite::Column::InvitedBy.eq(id.as_uuid()))
        .filter(invite::Column::WithdrawnAt.is_null())
        .filter(invite::Column::Person.in_subquery(newcomers))
        .exec(transaction)
        .await?;
    Ok(())
}

async fn reject_requests(transaction: &Transaction, which: Condition, now: Timestamp) -> Answer<()> {
    role_request::Entity::update_many()
        .col_expr(role_request::Column::DecidedAt, Expr::value(OffsetDateTime::from(now)))
        .col_expr(role_request::Column::Approved, Expr::value(false))
        .filter(role_request::Column::DecidedAt.is_null())
        .filter(which)
        .exec(transaction)
        .await?;
    Ok(())
}
