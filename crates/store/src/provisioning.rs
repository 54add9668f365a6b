//! What an identity provider changes about people, each change in one transaction.

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, NewGrant, Store,
    connection::Transaction,
    entity::{person, provisioned, provisioning_token},
    membership::{NEEDED, RECOVERS, reinstate_in, revoke_grant, suspend_in},
    people::{Names, insert_grant, is_taken},
    recoveries::end_recoveries_of,
};

/// What became of a change by an identity provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was made.
    Done,
    /// It was made, and the person is suspended by it.
    Suspended,
    /// Somebody who is here has the login name.
    LoginTaken,
    /// Nobody would be left to run the tenant, or to watch over that.
    LastInRole,
    /// Somebody else suspended the person.
    SuspendedByOthers,
    /// There is no such person any more.
    Gone,
}

impl Store {
    /// Adds a person whom nobody has invited yet; `false` when somebody who is here has the login name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_provisioned(&self, new: person::Model, said: provisioned::Model) -> Answer<bool> {
        let transaction = self.begin().await?;
        let added =
            person::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await;
        match added {
            Err(error) if is_taken(&error) => return Ok(false),
            added => added?,
        };
        provisioned::Entity::insert(said.into_active_model()).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Changes names and what else is said of a person, and suspends or reinstates: all of it or nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_provisioned(
        &self,
        (id, by): (PersonId, PersonId),
        said: Option<(Names, provisioned::Model)>,
        active: Option<bool>,
        now: Timestamp,
    ) -> Answer<Change> {
        let needed: &[&str] = if active == Some(false) { &NEEDED } else { &[] };
        let Some(transaction) = self.begin_without(id, needed).await? else { return Ok(Change::LastInRole) };
        let row = person::Entity::find_by_id(id.as_uuid()).lock_exclusive().one(&transaction).await?;
        let Some(row) = row.filter(|row| row.left_at.is_none()) else {
            transaction.rollback().await?;
            return Ok(Change::Gone);
        };
        let suspends = active == Some(false) && row.suspended_at.is_none();
        match active {
            Some(false) if suspends => {
                suspend_in(&transaction, id, (by, now)).await?;
            }
            Some(true) if row.suspended_at.is_some() => {
                if !by_an_identity_provider(&transaction, row.suspended_by).await? {
                    transaction.rollback().await?;
                    return Ok(Change::SuspendedByOthers);
                }
                reinstate_in(&transaction, id, now).await?;
            }
            _ => {}
        }
        if let Some((names, said)) = said
            && !say(&transaction, id, (names, said), now).await?
        {
            return Ok(Change::LoginTaken);
        }
        transaction.commit().await?;
        Ok(if suspends { Change::Suspended } else { Change::Done })
    }

    /// Gives a role to some people and takes it from others; answers who got it and from whom it was taken. Not for roles that
    /// a tenant cannot be without.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_holders(
        &self,
        role: &str,
        give: Vec<NewGrant>,
        take: &[PersonId],
        now: Timestamp,
    ) -> Answer<(Vec<PersonId>, Vec<PersonId>)> {
        let transaction = self.begin().await?;
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        for grant in give {
            let person = grant.person;
            if insert_grant(&transaction, grant.row()).await? {
                given.push(person);
            }
        }
        for person in take {
            if revoke_grant(&transaction, *person, role, now).await? > 0 {
                taken.push(*person);
                if RECOVERS.contains(&role) {
                    // Their half of a recovery was that of somebody in this role.
                    end_recoveries_of(&transaction, *person, now).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok((given, taken))
    }
}

async fn by_an_identity_provider(transaction: &Transaction, by: Option<Uuid>) -> Answer<bool> {
    let Some(by) = by else { return Ok(false) };
    let token = provisioning_token::Entity::find().filter(provisioning_token::Column::Person.eq(by));
    Ok(token.one(transaction).await?.is_some())
}

/// `false` when somebody has the login name; the transaction is of no use then.
async fn say(
    transaction: &Transaction,
    id: PersonId,
    (names, said): (Names, provisioned::Model),
    now: Timestamp,
) -> Answer<bool> {
    let renamed = person::Entity::update_many()
        .col_expr(person::Column::LoginToken, Expr::value(names.login_token))
        .col_expr(person::Column::SealedLogin, Expr::value(names.sealed_login))
        .col_expr(person::Column::SealedName, Expr::value(names.sealed_name))
        .col_expr(person::Column::ChangedAt, Expr::value(OffsetDateTime::from(now)))
        .filter(person::Column::Id.eq(id.as_uuid()))
        .exec(transaction)
        .await;
    match renamed {
        Err(error) if is_taken(&error) => return Ok(false),
        renamed => renamed?,
    };
    let known = OnConflict::column(provisioned::Column::Person)
        .update_columns([provisioned::Column::ExternalToken, provisioned::Column::SealedAttributes])
        .to_owned();
    provisioned::Entity::insert(said.into_active_model())
        .on_conflict(known)
        .exec_without_returning(transaction)
        .await?;
    Ok(true)
}
