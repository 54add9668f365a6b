//! What everybody signs in with, counted.

use std::collections::{HashMap, HashSet};

use carekeep_kernel::PersonId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    Answer, Store,
    entity::{passkey, person, recovery_code, totp},
};

/// What somebody signs in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactorCount {
    /// The person; names are sealed.
    pub person: person::Model,
    /// Passkeys.
    pub passkeys: usize,
    /// Has a code generator that was confirmed.
    pub totp: bool,
    /// Recovery codes that were not used.
    pub codes: usize,
}

impl Store {
    /// What the people of the tenant sign in with who have not left, the oldest first: `limit` of them after `after`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn factors(&self, after: Option<PersonId>, limit: u64) -> Answer<Vec<FactorCount>> {
        let mut people = person::Entity::find().filter(person::Column::LeftAt.is_null());
        if let Some(after) = after {
            people = people.filter(person::Column::Id.gt(after.as_uuid()));
        }
        let people = people.order_by_asc(person::Column::Id).limit(limit).all(&self.database).await?;
        let ids = || people.iter().map(|person| person.id);
        let passkeys = count(
            passkey::Entity::find()
                .select_only()
                .column(passkey::Column::Person)
                .filter(passkey::Column::Person.is_in(ids()))
                .into_tuple()
                .all(&self.database)
                .await?,
        );
        let codes = count(
            recovery_code::Entity::find()
                .select_only()
                .column(recovery_code::Column::Person)
                .filter(recovery_code::Column::Person.is_in(ids()))
                .filter(recovery_code::Column::UsedAt.is_null())
                .into_tuple()
                .all(&self.database)
                .await?,
        );
        let generators: HashSet<Uuid> = totp::Entity::find()
            .select_only()
            .column(totp::Column::Person)
            .filter(totp::Column::Person.is_in(ids()))
            .filter(totp::Column::ConfirmedAt.is_not_null())
            .into_tuple()
            .all(&self.database)
            .await?
            .into_iter()
            .collect();
        let counted = |person: person::Model| FactorCount {
            passkeys: passkeys.get(&person.id).copied().unwrap_or(0),
            totp: generators.contains(&person.id),
            codes: codes.get(&person.id).copied().unwrap_or(0),
            person,
        };
        Ok(people.into_iter().map(counted).collect())
    }
}

fn count(of: Vec<Uuid>) -> HashMap<Uuid, usize> {
    of.into_iter().fold(HashMap::new(), |mut counts, person| {
        *counts.entry(person).or_default() += 1;
        counts
    })
}
