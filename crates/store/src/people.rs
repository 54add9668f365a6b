//! People and their roles.

use std::collections::HashMap;

use carekeep_kernel::{PersonId, ResourceId, Timestamp};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    SqlErr, TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    columns::Sealed,
    connection::Transaction,
    entity::{invite, password, person, role_grant},
};

/// A person and the roles that the person holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The person; names are sealed.
    pub person: person::Model,
    /// Names of roles, sorted.
    pub roles: Vec<String>,
}

/// How a person is called here.
pub struct Names {
    /// Blind, of the normalised login name.
    pub login_token: i64,
    /// The login name.
    pub sealed_login: Sealed,
    /// The name that colleagues see.
    pub sealed_name: Sealed,
}

impl Store {
    /// The person of a login token and the password, in one query that costs the same when nobody is found.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn login(&self, login_token: i64) -> Answer<Option<(person::Model, Option<password::Model>)>> {
        Ok(person::Entity::find()
            .filter(person::Column::LoginToken.eq(login_token))
            .filter(person::Column::LeftAt.is_null())
            .find_also_related(password::Entity)
            .one(&self.database)
            .await?)
    }

    /// A person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn person(&self, id: PersonId) -> Answer<Option<person::Model>> {
        Ok(person::Entity::find_by_id(id.as_uuid()).one(&self.database).await?)
    }

    /// The first person of the tenant, who was not invited by a colleague.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn founder(&self) -> Answer<Option<person::Model>> {
        Ok(person::Entity::find().filter(person::Column::Founder.eq(true)).one(&self.database).await?)
    }

    /// Whose account reads this chart; a chart has one at most.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_of(&self, patient: ResourceId) -> Answer<Option<person::Model>> {
        Ok(person::Entity::find()
            .filter(person::Column::Patient.eq(patient.as_uuid()))
            .filter(person::Column::LeftAt.is_null())
            .one(&self.database)
            .await?)
    }

    /// Those of these people who are looked after here and do not work here, each with the chart that their account reads.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn looked_after(&self, people: Vec<Uuid>) -> Answer<HashMap<Uuid, Option<Uuid>>> {
        let rows = person::Entity::find()
            .filter(person::Column::Id.is_in(people))
            .filter(person::Column::Audience.eq("patient"))
            .all(&self.database)
            .await?;
        Ok(rows.into_iter().map(|row| (row.id, row.patient)).collect())
    }

    /// Changes the names of somebody who was never activated; `false` when somebody else has the login name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rename(&self, id: PersonId, names: Names) -> Answer<bool> {
        let renamed = person::Entity::update_many()
            .col_expr(person::Column::LoginToken, Expr::value(names.login_token))
            .col_expr(person::Column::SealedLogin, Expr::value(names.sealed_login))
            .col_expr(person::Column::SealedName, Expr::value(names.sealed_name))
            .filter(person::Column::Id.eq(id.as_uuid()))
            .filter(person::Column::ActivatedAt.is_null())
            .exec(&self.database)
            .await;
        match renamed {
            Err(error) if is_taken(&error) => Ok(false),
            renamed => Ok(renamed.map(|_| true)?),
        }
    }

    /// Whether the tenant has any people.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_people(&self) -> Answer<bool> {
        Ok(person::Entity::find().limit(1).one(&self.database).await?.is_some())
    }

    /// Adds a person with the invitation to join; `false` when somebody has the login name or the chart, or is the founder,
    /// already.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_person(&self, new: person::Model, invite: invite::Model) -> Answer<bool> {
        let transaction = self.begin().await?;
        // Without a target: any unique index counts.
        let known = OnConflict::new().do_nothing().to_owned();
        let added = person::Entity::insert(new.into_active_model())
            .on_conflict(known)
            .try_insert()
            .exec_without_returning(&transaction)
            .await?;
        if !matches!(added, TryInsertResult::Inserted(1)) {
            transaction.rollback().await?;
            return Ok(false);
        }
        invite::Entity::insert(invite.into_active_model()).exec_without_returning(&transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// People with their roles, oldest first, `limit` of them after `after`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn members(&self, after: Option<PersonId>, limit: u64) -> Answer<Vec<Member>> {
        let mut query = person::Entity::find().order_by_asc(person::Column::Id).limit(limit);
        if let Some(after) = after {
            query = query.filter(person::Column::Id.gt(after.as_uuid()));
        }
        self.with_roles(query.all(&self.database).await?).await
    }

    /// The people with these ids, oldest first, with their roles.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn members_called(&self, ids: &[PersonId]) -> Answer<Vec<Member>> {
        let these = person::Column::Id.is_in(ids.iter().map(PersonId::as_uuid));
        let query = person::Entity::find().filter(these).order_by_asc(person::Column::Id);
        self.with_roles(query.all(&self.database).await?).await
    }

    async fn with_roles(&self, people: Vec<person::Model>) -> Answer<Vec<Member>> {
        let grants = role_grant::Entity::find()
            .filter(role_grant::Column::Person.is_in(people.iter().map(|person| person.id)))
            .filter(role_grant::Column::RevokedAt.is_null())
            .order_by_asc(role_grant::Column::Role)
            .all(&self.database)
            .await?;
        let roles = |id: Uuid| grants.iter().filter(|g| g.person == id).map(|g| g.role.clone()).collect();
        Ok(people.into_iter().map(|person| Member { roles: roles(person.id), person }).collect())
    }
}

/// Notes that the person has two factors, and grants the roles of the invitation that led there, in a transaction that is alone
/// with the person. Only the first time counts: a role that was taken away later does not come back. `false` when no invitation
/// counts any more. `new_id` makes the ids of the grants.
pub(crate) async fn activate(
    transaction: &Transaction,
    row: &person::Model,
    now: Timestamp,
    new_id: &(dyn Fn() -> Uuid + Send + Sync),
) -> Answer<bool> {
    if row.activated_at.is_some() {
        return Ok(true);
    }
    person::Entity::update_many()
        .col_expr(person::Column::ActivatedAt, Expr::value(OffsetDateTime::from(now)))
        .col_expr(person::Column::ChangedAt, Expr::value(OffsetDateTime::from(now)))
        .filter(person::Column::Id.eq(row.id))
        .exec(transaction)
        .await?;
    let accepted = invite::Entity::find()
        .filter(invite::Column::Person.eq(row.id))
        .filter(invite::Column::AcceptedAt.is_not_null())
        .filter(invite::Column::WithdrawnAt.is_null())
        .order_by_desc(invite::Column::AcceptedAt)
        .one(transaction)
        .await?;
    let Some(accepted) = accepted.filter(|_| row.left_at.is_none()) else { return Ok(false) };
    for row in grants_of(&accepted, now, new_id) {
        insert_grant(transaction, row).await?;
    }
    Ok(true)
}

/// Whether a unique index has it already.
pub(crate) fn is_taken(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// What an invitation grants.
fn grants_of(invite: &invite::Model, now: Timestamp, new_id: &dyn Fn() -> Uuid) -> Vec<role_grant::Model> {
    let grant = |role: &str| role_grant::Model {
        id: new_id(),
        person: invite.person,
        role: role.to_owned(),
        granted_by: Some(invite.invited_by),
        granted_at: now.into(),
        invite: Some(invite.id),
        revoked_at: None,
    };
    invite.roles.as_array().into_iter().flatten().filter_map(|role| role.as_str()).map(grant).collect()
}

pub(crate) async fn insert_grant(database: &impl ConnectionTrait, row: role_grant::Model) -> Answer<bool> {
    let held = OnConflict::new().do_nothing().to_owned();
    let added = role_grant::Entity::insert(row.into_active_model())
        .on_conflict(held)
        .try_insert()
        .exec_without_returning(database)
        .await?;
    Ok(matches!(added, TryInsertResult::Inserted(1)))
}
