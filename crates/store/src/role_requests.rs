//! Roles that one person asks for and another decides on.

use std::collections::{HashMap, HashSet};

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, NewGrant, Store,
    connection::Transaction,
    entity::{invite, oauth_client, person, role_grant, role_request},
    people::insert_grant,
};

impl Store {
    /// Adds a request; `false` when there is an open one for the same role of the same person. One that has expired makes
    /// way.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_role_request(&self, new: role_request::Model) -> Answer<bool> {
        role_request::Entity::update_many()
            .col_expr(role_request::Column::DecidedAt, Expr::value(new.requested_at))
            .col_expr(role_request::Column::Approved, Expr::value(false))
            .filter(role_request::Column::Person.eq(new.person))
            .filter(role_request::Column::Role.eq(new.role.as_str()))
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.lte(new.requested_at))
            .exec(&self.database)
            .await?;
        let open = OnConflict::new().do_nothing().to_owned();
        let added = role_request::Entity::insert(new.into_active_model())
            .on_conflict(open)
            .try_insert()
            .exec_without_returning(&self.database)
            .await?;
        Ok(matches!(added, TryInsertResult::Inserted(1)))
    }

    /// The requests that nobody decided on yet, the oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn role_requests(&self, now: Timestamp, limit: u64) -> Answer<Vec<role_request::Model>> {
        Ok(role_request::Entity::find()
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.gt(OffsetDateTime::from(now)))
            .order_by_asc(role_request::Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// Everybody who holds a role now, programs included.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn who_holds(&self, role: &str) -> Answer<HashSet<Uuid>> {
        let people: Vec<Uuid> = role_grant::Entity::find()
            .select_only()
            .column(role_grant::Column::Person)
            .filter(role_grant::Column::Role.eq(role))
            .filter(role_grant::Column::RevokedAt.is_null())
            .into_tuple()
            .all(&self.database)
            .await?;
        Ok(people.into_iter().collect())
    }

    /// A request.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn role_request(&self, id: Uuid) -> Answer<Option<role_request::Model>> {
        Ok(role_request::Entity::find_by_id(id).one(&self.database).await?)
    }

    /// Decides on a request, once; a yes grants the role in the same transaction. `by` is `None` for the platform's operator.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn decide_role_request(
        &self,
        id: Uuid,
        (by, approved): (Option<PersonId>, bool),
        grant: Option<NewGrant>,
        now: Timestamp,
    ) -> Answer<Decided> {
        let transaction = self.begin().await?;
        let mut update = role_request::Entity::update_many()
            .col_expr(role_request::Column::DecidedAt, Expr::value(OffsetDateTime::from(now)))
            .col_expr(role_request::Column::Approved, Expr::value(approved))
            .col_expr(role_request::Column::DecidedBy, Expr::value(by.map(|by| by.as_uuid())))
            .filter(role_request::Column::Id.eq(id))
            .filter(role_request::Column::DecidedAt.is_null())
            .filter(role_request::Column::ExpiresAt.gt(OffsetDateTime::from(now)));
        if let Some(by) = by {
            update = update
                .filter(role_request::Column::RequestedBy.ne(by.as_uuid()))
                .filter(role_request::Column::Person.ne(by.as_uuid()));
        }
        if update.exec(&transaction).await?.rows_affected != 1 {
            transaction.rollback().await?;
            return Ok(Decided::NotYours);
        }
        // What is approved is a person whom others know, not an invitation that somebody may still use.
        if let Some(grant) = &grant {
            let refused = if !joined(&transaction, grant.person, by).await? {
                Some(Decided::NotJoined)
            } else if registered(&transaction, grant.person, by).await? {
                Some(Decided::NotYours)
            } else {
                None
            };
            if let Some(refused) = refused {
                transaction.rollback().await?;
                return Ok(refused);
            }
        }
        if let Some(grant) = grant {
            insert_grant(&transaction, grant.row()).await?;
        }
        transaction.commit().await?;
        Ok(Decided::Done)
    }

    /// Who made the invitations by which these people joined; nobody for those who have not joined.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn inviters(&self, people: Vec<Uuid>) -> Answer<HashMap<Uuid, Uuid>> {
        let joined = person::Entity::find()
            .filter(person::Column::Id.is_in(people))
            .filter(person::Column::ActivatedAt.is_not_null())
            .all(&self.database)
            .await?;
        let invites = invite::Entity::find()
            .filter(invite::Column::Person.is_in(joined.iter().map(|person| person.id)))
            .filter(invite::Column::AcceptedAt.is_not_null())
            .all(&self.database)
            .await?;
        Ok(invites.into_iter().map(|invite| (invite.person, invite.invited_by)).collect())
    }
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// It counts.
    Done,
    /// It was decided on already, has expired, or was asked for by or for the person who decides, or for a program that
    /// they registered.
    NotYours,
    /// The person has not joined, may not sign in, or was invited by the person who decides: a yes would go to whoever has
    /// the link.
    NotJoined,
}

/// Whether it is the account of a program that `by` registered, and so could have the key of.
async fn registered(transaction: &Transaction, account: PersonId, by: Option<PersonId>) -> Answer<bool> {
    let Some(by) = by else { return Ok(false) };
    let own = oauth_client::Entity::find()
        .filter(oauth_client::Column::Person.eq(account.as_uuid()))
        .filter(oauth_client::Column::CreatedBy.eq(by.as_uuid()))
        .one(transaction)
        .await?;
    Ok(own.is_some())
}

/// Whether somebody signs in here who was not let in by `by`. Alone with the person until the transaction ends.
async fn joined(transaction: &Transaction, id: PersonId, by: Option<PersonId>) -> Answer<bool> {
    let row = person::Entity::find_by_id(id.as_uuid()).lock_exclusive().one(transaction).await?;
    let signs_in = row
        .is_some_and(|row| row.activated_at.is_some() && row.suspended_at.is_none() && row.left_at.is_none());
    let Some(by) = by.filter(|_| signs_in) else { return Ok(signs_in) };
    let own = invite::Entity::find()
        .filter(invite::Column::Person.eq(id.as_uuid()))
        .filter(invite::Column::AcceptedAt.is_not_null())
        .filter(invite::Column::InvitedBy.eq(by.as_uuid()))
        .one(transaction)
        .await?;
    Ok(own.is_none())
}
