//! Apps, what people allowed them, and what they hold.

use std::collections::HashMap;

use carekeep_kernel::{PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Select,
    TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    Answer, NewGrant, Store,
    columns::Digest,
    entity::{
        oauth_assertion, oauth_client, oauth_code, oauth_grant, oauth_launch, oauth_signing_key, oauth_token,
        person, provisioning_token,
    },
    people::insert_grant,
    sessions::is_live,
};

/// What is used up when tokens are given for it.
#[derive(Clone, Copy)]
pub enum Once<'a> {
    /// A code, by its hash.
    Code(&'a [u8; 32]),
    /// A refresh token, by its hash.
    Refresh(&'a [u8; 32]),
    /// Nothing: a program that acts by itself.
    Nothing,
}

/// What became of adding a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// It is there.
    Done,
    /// Nothing was added: the launch was used before.
    LaunchUsed,
    /// Nothing was added: the session in which it was allowed has ended, or the person may not act any more.
    SessionOver,
}

fn digest(hash: &[u8; 32]) -> Digest {
    Digest(hash.to_vec())
}

/// The most grants of a person in one answer.
const LONGEST_LIST: u64 = 200;

fn clients(after: Option<Uuid>, limit: u64) -> Select<oauth_client::Entity> {
    oauth_client::Entity::find()
        .filter(oauth_client::Column::RemovedAt.is_null())
        .filter(Condition::all().add_option(after.map(|id| oauth_client::Column::Id.gt(id))))
        .order_by_asc(oauth_client::Column::Id)
        .limit(limit)
}

impl Store {
    /// Registers an app, with the service account that it acts as, if it does.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_client(
        &self,
        new: oauth_client::Model,
        account: Option<(person::Model, NewGrant)>,
    ) -> Answer<()> {
        let transaction = self.begin().await?;
        if let Some((person, grant)) = account {
            person::Entity::insert(person.into_active_model()).exec_without_returning(&transaction).await?;
            insert_grant(&transaction, grant.row()).await?;
        }
        oauth_client::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// An app that was not removed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn client(&self, id: Uuid) -> Answer<Option<oauth_client::Model>> {
        Ok(oauth_client::Entity::find_by_id(id)
            .filter(oauth_client::Column::RemovedAt.is_null())
            .one(&self.database)
            .await?)
    }

    /// Whether a person is a program that acts for itself, an app or an identity provider: nobody signs in as it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_program(&self, person: PersonId) -> Answer<bool> {
        let client = oauth_client::Entity::find().filter(oauth_client::Column::Person.eq(person.as_uuid()));
        let token = provisioning_token::Entity::find()
            .filter(provisioning_token::Column::Person.eq(person.as_uuid()));
        Ok(client.one(&self.database).await?.is_some() || token.one(&self.database).await?.is_some())
    }

    /// The apps that act for themselves as one of these people, by person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn programs(&self, people: Vec<Uuid>) -> Answer<HashMap<Uuid, oauth_client::Model>> {
        let rows = oauth_client::Entity::find()
            .filter(oauth_client::Column::Person.is_in(people))
            .filter(oauth_client::Column::RemovedAt.is_null())
            .all(&self.database)
            .await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.person?, row))).collect())
    }

    /// The apps that were not removed, the oldest first, `limit` of them after `after`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clients(&self, after: Option<Uuid>, limit: u64) -> Answer<Vec<oauth_client::Model>> {
        Ok(clients(after, limit).all(&self.database).await?)
    }

    /// As [`Store::clients`], of those that are approved and can be opened from a chart.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn launchable_clients(
        &self,
        after: Option<Uuid>,
        limit: u64,
    ) -> Answer<Vec<oauth_client::Model>> {
        Ok(clients(after, limit)
            .filter(oauth_client::Column::State.eq("approved"))
            .filter(oauth_client::Column::LaunchUri.is_not_null())
            .all(&self.database)
            .await?)
    }

    /// Where approved apps send people back to: of each app its list.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn approved_redirects(&self) -> Answer<Vec<serde_json::Value>> {
        Ok(oauth_client::Entity::find()
            .select_only()
            .column(oauth_client::Column::RedirectUris)
            .filter(oauth_client::Column::State.eq("approved"))
            .filter(oauth_client::Column::RemovedAt.is_null())
            .into_tuple()
            .all(&self.database)
            .await?)
    }

    /// Says where a registration stands from now on; `false` when there is none. What people allowed an app that is not
    /// approved any more is over, also if it is approved again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_client(
        &self,
        id: Uuid,
        (state, ends, removed): (&str, bool, bool),
        by: PersonId,
        now: Timestamp,
    ) -> Answer<bool> {
        let at = OffsetDateTime::from(now);
        let transaction = self.begin().await?;
        if ends {
            oauth_grant::Entity::update_many()
                .col_expr(oauth_grant::Column::RevokedAt, Expr::value(at))
                .filter(oauth_grant::Column::Client.eq(id))
                .filter(oauth_grant::Column::RevokedAt.is_null())
                .exec(&transaction)
                .await?;
        }
        let changed = oauth_client::Entity::update_many()
            .col_expr(oauth_client::Column::State, Expr::value(state))
            .col_expr(oauth_client::Column::DecidedBy, Expr::value(by.as_uuid()))
            .col_expr(oauth_client::Column::DecidedAt, Expr::value(at))
            .col_expr(oauth_client::Column::RemovedAt, Expr::value(removed.then_some(at)))
            .filter(oauth_client::Column::Id.eq(id))
            .filter(oauth_client::Column::RemovedAt.is_null())
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(changed.rows_affected == 1)
    }

    /// Uses an assertion up; `false` when it was used before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_assertion(&self, new: oauth_assertion::Model, now: Timestamp) -> Answer<bool> {
        oauth_assertion::Entity::delete_many()
            .filter(oauth_assertion::Column::Client.eq(new.client))
            .filter(oauth_assertion::Column::ExpiresAt.lt(OffsetDateTime::from(now)))
            .exec(&self.database)
            .await?;
        let added = oauth_assertion::Entity::insert(new.into_active_model())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .try_insert()
            .exec_without_returning(&self.database)
            .await?;
        Ok(matches!(added, TryInsertResult::Inserted(1)))
    }

    /// Notes that an app is about to be opened.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_launch(&self, new: oauth_launch::Model) -> Answer<()> {
        oauth_launch::Entity::insert(new.into_active_model()).exec_without_returning(&self.database).await?;
        Ok(())
    }

    /// A launch that was not used yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn launch(&self, hash: &[u8; 32]) -> Answer<Option<oauth_launch::Model>> {
        Ok(oauth_launch::Entity::find_by_id(digest(hash))
            .filter(oauth_launch::Column::UsedAt.is_null())
            .one(&self.database)
            .await?)
    }

    /// Adds what a person allowed in a session, with the code for it, alone with the person; `session` is `None` for a program that
    /// acts by itself. Uses up the launch that it was asked for with.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_grant(
        &self,
        new: oauth_grant::Model,
        session: Option<SessionId>,
        code: Option<oauth_code::Model>,
        launch: Option<&[u8; 32]>,
    ) -> Answer<Granted> {
        let (person, began) = (PersonId::from_uuid(new.person), new.created_at);
        let Some((transaction, row)) = self.begin_with(person).await? else {
            return Ok(Granted::SessionOver);
        };
        let over = match session {
            Some(session) => !is_live(&transaction, person, session).await?,
            None => false,
        };
        if over || row.suspended_at.is_some() || row.left_at.is_some() {
            transaction.rollback().await?;
            return Ok(Granted::SessionOver);
        }
        if let Some(launch) = launch {
            let used = oauth_launch::Entity::update_many()
                .col_expr(oauth_launch::Column::UsedAt, Expr::value(began))
                .filter(oauth_launch::Column::TokenHash.eq(digest(launch)))
                .filter(oauth_launch::Column::UsedAt.is_null());
            if used.exec(&transaction).await?.rows_affected != 1 {
                transaction.rollback().await?;
                return Ok(Granted::LaunchUsed);
            }
        }
        oauth_grant::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await?;
        if let Some(code) = code {
            oauth_code::Entity::insert(code.into_active_model()).exec_without_returning(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(Granted::Done)
    }

    /// A grant.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn app_grant(&self, id: Uuid) -> Answer<Option<oauth_grant::Model>> {
        Ok(oauth_grant::Entity::find_by_id(id).one(&self.database).await?)
    }

    /// The grants of a person that are not withdrawn and not over, the newest first, each with its app.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn app_grants(
        &self,
        person: PersonId,
        now: Timestamp,
    ) -> Answer<Vec<(oauth_grant::Model, Option<oauth_client::Model>)>> {
        let grants = oauth_grant::Entity::find()
            .filter(oauth_grant::Column::Person.eq(person.as_uuid()))
            .filter(oauth_grant::Column::RevokedAt.is_null())
            .filter(oauth_grant::Column::ExpiresAt.gt(OffsetDateTime::from(now)))
            .order_by_desc(oauth_grant::Column::Id)
            .limit(LONGEST_LIST)
            .all(&self.database)
            .await?;
        let clients = oauth_client::Entity::find()
            .filter(oauth_client::Column::Id.is_in(grants.iter().map(|grant| grant.client)))
            .all(&self.database)
            .await?;
        let client = |id| clients.iter().find(|client| client.id == id).cloned();
        Ok(grants
            .into_iter()
            .map(|grant| (client(grant.client), grant))
            .map(|(client, grant)| (grant, client))
            .collect())
    }

    /// Ends a grant, with all that hangs on it; `false` when the person has none such. The first time counts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_app_grant(&self, id: Uuid, person: Option<PersonId>, now: Timestamp) -> Answer<bool> {
        let mut ended = oauth_grant::Entity::update_many()
            .col_expr(oauth_grant::Column::RevokedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(oauth_grant::Column::Id.eq(id))
            .filter(oauth_grant::Column::RevokedAt.is_null());
        if let Some(person) = person {
            ended = ended.filter(oauth_grant::Column::Person.eq(person.as_uuid()));
        }
        Ok(ended.exec(&self.database).await?.rows_affected == 1)
    }

    /// The live grant of a service account's app, if it has one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn backend_grant(&self, client: Uuid, now: Timestamp) -> Answer<Option<oauth_grant::Model>> {
        Ok(oauth_grant::Entity::find()
            .filter(oauth_grant::Column::Client.eq(client))
            .filter(oauth_grant::Column::RevokedAt.is_null())
            .filter(oauth_grant::Column::ExpiresAt.gt(OffsetDateTime::from(now)))
            .order_by_desc(oauth_grant::Column::Id)
            .one(&self.database)
            .await?)
    }

    /// A code.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn code(&self, hash: &[u8; 32]) -> Answer<Option<oauth_code::Model>> {
        Ok(oauth_code::Entity::find_by_id(digest(hash)).one(&self.database).await?)
    }

    /// A token, whatever its state.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn app_token(&self, hash: &[u8; 32]) -> Answer<Option<oauth_token::Model>> {
        Ok(oauth_token::Entity::find_by_id(digest(hash)).one(&self.database).await?)
    }

    /// Adds tokens to a grant for what is used up by that, and forgets those of it that have expired; `false` when it was used
    /// up before. All of it or nothing: whoever is told that the database was away may try again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_tokens(
        &self,
        (grant, once): (Uuid, Once<'_>),
        tokens: Vec<oauth_token::Model>,
        now: Timestamp,
    ) -> Answer<bool> {
        let at = OffsetDateTime::from(now);
        let transaction = self.begin().await?;
        let first = match once {
            Once::Nothing => true,
            Once::Code(hash) => {
                let used = oauth_code::Entity::update_many()
                    .col_expr(oauth_code::Column::UsedAt, Expr::value(at))
                    .filter(oauth_code::Column::TokenHash.eq(digest(hash)))
                    .filter(oauth_code::Column::UsedAt.is_null());
                used.exec(&transaction).await?.rows_affected == 1
            }
            Once::Refresh(hash) => {
                let used = oauth_token::Entity::update_many()
                    .col_expr(oauth_token::Column::UsedAt, Expr::value(at))
                    .filter(oauth_token::Column::TokenHash.eq(digest(hash)))
                    .filter(oauth_token::Column::Kind.eq("refresh"))
                    .filter(oauth_token::Column::UsedAt.is_null());
                used.exec(&transaction).await?.rows_affected == 1
            }
        };
        if !first {
            transaction.rollback().await?;
            return Ok(false);
        }
        oauth_token::Entity::delete_many()
            .filter(oauth_token::Column::OauthGrant.eq(grant))
            .filter(oauth_token::Column::ExpiresAt.lt(at))
            // A used one stays: whoever presents it again ends the family.
            .filter(oauth_token::Column::UsedAt.is_null())
            .exec(&transaction)
            .await?;
        oauth_token::Entity::insert_many(tokens.into_iter().map(IntoActiveModel::into_active_model))
            .exec_without_returning(&transaction)
            .await?;
        oauth_grant::Entity::update_many()
            .col_expr(oauth_grant::Column::LastUsedAt, Expr::value(at))
            .filter(oauth_grant::Column::Id.eq(grant))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets one token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_app_token(&self, hash: &[u8; 32]) -> Answer<()> {
        oauth_token::Entity::delete_by_id(digest(hash)).exec(&self.database).await?;
        Ok(())
    }

    /// The keys that sign, or signed what may not have expired: retired after `since`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signing_keys(&self, since: Timestamp) -> Answer<Vec<oauth_signing_key::Model>> {
        let published = Condition::any()
            .add(oauth_signing_key::Column::RetiredAt.is_null())
            .add(oauth_signing_key::Column::RetiredAt.gt(OffsetDateTime::from(since)));
        Ok(oauth_signing_key::Entity::find()
            .filter(published)
            .order_by_desc(oauth_signing_key::Column::Id)
            .all(&self.database)
            .await?)
    }

    /// Makes a key the one that signs, in place of `old`; `false` when somebody else was first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_signing_key(
        &self,
        new: oauth_signing_key::Model,
        old: Option<Uuid>,
    ) -> Answer<bool> {
        let transaction = self.begin().await?;
        if let Some(old) = old {
            let retired = oauth_signing_key::Entity::update_many()
                .col_expr(oauth_signing_key::Column::RetiredAt, Expr::value(new.created_at))
                .filter(oauth_signing_key::Column::Id.eq(old))
                .filter(oauth_signing_key::Column::RetiredAt.is_null())
                .exec(&transaction)
                .await?;
            if retired.rows_affected != 1 {
                transaction.rollback().await?;
                return Ok(false);
            }
        }
        let added = oauth_signing_key::Entity::insert(new.into_active_model())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .try_insert()
            .exec_without_returning(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(matches!(added, TryInsertResult::Inserted(1)))
    }
}
