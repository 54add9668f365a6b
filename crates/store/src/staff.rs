//! People who work here, as an identity provider sees them.
//!
//! Invariant: nobody else is in any answer of this module: no patient's or proxy's account, no program's, nobody who has left.

use std::collections::HashMap;

use carekeep_kernel::{PersonId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, SelectTwo,
    sea_query::{Expr, Func},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, Store,
    entity::{person, provisioned, role_grant},
};

/// Roles of programs: who ever held one is none of the staff.
const PROGRAMS: [&str; 2] = ["service_account", "provisioner"];

/// Somebody who works here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staff {
    /// The person.
    pub person: person::Model,
    /// What an identity provider says of them.
    pub provisioned: Option<provisioned::Model>,
    /// Names of the roles that they hold now, sorted.
    pub roles: Vec<String>,
}

/// How a time is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The same.
    Equal,
    /// Later.
    Greater,
    /// Later or the same.
    GreaterOrEqual,
    /// Earlier.
    Less,
    /// Earlier or the same.
    LessOrEqual,
}

/// Which of the staff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Everybody.
    All,
    /// Nobody: what is asked for cannot be.
    Nobody,
    /// By id.
    Id(Uuid),
    /// By blind token of the login name.
    Login(i64),
    /// By blind token of the identity provider's own id.
    External(i64),
    /// Not suspended, or suspended.
    Active(bool),
    /// By when names or state last changed.
    Changed(Compare, Timestamp),
    /// Both.
    And(Box<Which>, Box<Which>),
    /// One or both.
    Or(Box<Which>, Box<Which>),
}

impl Which {
    fn condition(&self) -> Condition {
        let all = Condition::all();
        match self {
            Self::All => all,
            Self::Nobody => all.add(Expr::value(false)),
            Self::Id(id) => all.add(person::Column::Id.eq(*id)),
            Self::Login(token) => all.add(person::Column::LoginToken.eq(*token)),
            Self::External(token) => all.add(provisioned::Column::ExternalToken.eq(*token)),
            Self::Active(true) => all.add(person::Column::SuspendedAt.is_null()),
            Self::Active(false) => all.add(person::Column::SuspendedAt.is_not_null()),
            Self::Changed(compare, at) => all.add(changed(*compare, *at)),
            Self::And(one, other) => all.add(one.condition()).add(other.condition()),
            Self::Or(one, other) => Condition::any().add(one.condition()).add(other.condition()),
        }
    }
}

fn changed(compare: Compare, at: Timestamp) -> Expr {
    let column = |column: person::Column| Expr::col((person::Entity, column));
    let last = Func::coalesce([column(person::Column::ChangedAt), column(person::Column::CreatedAt)]);
    let (last, at) = (Expr::from(last), OffsetDateTime::from(at));
    match compare {
        Compare::Equal => last.eq(at),
        Compare::Greater => last.gt(at),
        Compare::GreaterOrEqual => last.gte(at),
        Compare::Less => last.lt(at),
        Compare::LessOrEqual => last.lte(at),
    }
}

fn staff() -> Select<person::Entity> {
    let programs = role_grant::Entity::find()
        .select_only()
        .column(role_grant::Column::Person)
        .filter(role_grant::Column::Role.is_in(PROGRAMS))
        .into_query();
    person::Entity::find()
        .filter(person::Column::Audience.eq("staff"))
        .filter(person::Column::Patient.is_null())
        .filter(person::Column::LeftAt.is_null())
        .filter(person::Column::Id.not_in_subquery(programs))
}

fn with_provisioned(select: Select<person::Entity>) -> SelectTwo<person::Entity, provisioned::Entity> {
    select.find_also_related(provisioned::Entity)
}

impl Store {
    /// Some of the staff, the oldest first: `limit` of them after the first `skip`, and how many there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn staff(&self, which: &Which, skip: u64, limit: u64) -> Answer<(u64, Vec<Staff>)> {
        let query = with_provisioned(staff()).filter(which.condition());
        let total = query.clone().count(&self.database).await?;
        if limit == 0 || skip >= total {
            return Ok((total, Vec::new()));
        }
        let page = query.order_by_asc(person::Column::Id).offset(skip).limit(limit);
        let rows = page.all(&self.database).await?;
        let mut roles = self.roles_of_all(rows.iter().map(|(person, _)| person.id).collect()).await?;
        let staff = rows.into_iter().map(|(person, provisioned)| Staff {
            roles: roles.remove(&person.id).unwrap_or_default(),
            provisioned,
            person,
        });
        Ok((total, staff.collect()))
    }

    /// One of the staff.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn one_of_staff(&self, id: PersonId) -> Answer<Option<Staff>> {
        Ok(self.staff(&Which::Id(id.as_uuid()), 0, 1).await?.1.pop())
    }

    /// Those of the staff who hold a role, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn holders(&self, role: &str) -> Answer<Vec<Uuid>> {
        let holders = role_grant::Entity::find()
            .select_only()
            .column(role_grant::Column::Person)
            .filter(role_grant::Column::Role.eq(role))
            .filter(role_grant::Column::RevokedAt.is_null())
            .into_query();
        let ids = staff()
            .select_only()
            .column(person::Column::Id)
            .filter(person::Column::Id.in_subquery(holders))
            .order_by_asc(person::Column::Id);
        Ok(ids.into_tuple::<Uuid>().all(&self.database).await?)
    }

    async fn roles_of_all(&self, people: Vec<Uuid>) -> Answer<HashMap<Uuid, Vec<String>>> {
        let grants = role_grant::Entity::find()
            .filter(role_grant::Column::Person.is_in(people))
            .filter(role_grant::Column::RevokedAt.is_null())
            .order_by_asc(role_grant::Column::Role)
            .all(&self.database)
            .await?;
        let mut roles: HashMap<Uuid, Vec<String>> = HashMap::new();
        for grant in grants {
            roles.entry(grant.person).or_default().push(grant.role);
        }
        Ok(roles)
    }
}
