//! Devices that people sign in from.

use carekeep_kernel::{DeviceId, PersonId, SessionId, Timestamp};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, sea_query::Expr,
};
use time::OffsetDateTime;

use crate::{
    Answer, Store, StoreError,
    columns::{Digest, Private},
    entity::{device, notice, person, session},
    notices::insert_notice,
    sessions::revoke_sessions,
};

/// The most devices that are deleted at a time.
const AT_ONCE: u64 = 200;

/// What became of confirming a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmed {
    /// It is confirmed.
    Done,
    /// The person has no such device.
    Absent,
    /// The person has confirmed a device before, and this is not asked from one.
    FromConfirmedOnly,
}

impl Store {
    /// The device of a person with this hash, forgotten or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn device(&self, token_hash: &[u8; 32]) -> Answer<Option<device::Model>> {
        let hash = Digest(token_hash.to_vec());
        Ok(device::Entity::find().filter(device::Column::TokenHash.eq(hash)).one(&self.database).await?)
    }

    /// The devices of a person that are not forgotten, the last used first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn devices(&self, person: PersonId) -> Answer<Vec<device::Model>> {
        Ok(device::Entity::find()
            .filter(device::Column::Person.eq(person.as_uuid()))
            .filter(device::Column::RevokedAt.is_null())
            .order_by_desc(device::Column::LastSeenAt)
            .all(&self.database)
            .await?)
    }

    /// Whether a person ever confirmed a device, forgotten ones too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_confirmed_device(&self, person: PersonId) -> Answer<bool> {
        ever_confirmed(&self.database, person).await
    }

    /// Deletes some devices that were forgotten before a moment. One that was confirmed stays until the person has another confirmed
    /// one that is not forgotten: that somebody ever confirmed one decides who confirms the next ([`Store::confirm_device`]).
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delete_devices(&self, forgotten_before: Timestamp) -> Answer<()> {
        let still_confirmed = device::Entity::find()
            .select_only()
            .column(device::Column::Person)
            .filter(device::Column::ConfirmedAt.is_not_null())
            .filter(device::Column::RevokedAt.is_null())
            .into_query();
        let unneeded = Condition::any()
            .add(device::Column::ConfirmedAt.is_null())
            .add(device::Column::Person.in_subquery(still_confirmed));
        let some = device::Entity::find()
            .select_only()
            .column(device::Column::Id)
            .filter(device::Column::RevokedAt.lt(OffsetDateTime::from(forgotten_before)))
            .filter(unneeded)
            .limit(AT_ONCE)
            .into_query();
        device::Entity::delete_many()
            .filter(device::Column::Id.in_subquery(some))
            .exec(&self.database)
            .await?;
        Ok(())
    }

    /// Adds a device and tells the person; of more than `most` the ones that were not seen for the longest time are forgotten. It
    /// is confirmed at once if `first` is asked for and the person never confirmed one.
    ///
    /// # Errors
    /// When the database does not answer, or the person is gone.
    pub async fn add_device(
        &self,
        mut new: device::Model,
        first: bool,
        notice: notice::Model,
        most: u64,
    ) -> Answer<()> {
        let (id, now) = (PersonId::from_uuid(new.person), new.first_seen_at);
        let gone = || StoreError { cause: "the person is gone".to_owned() };
        let (transaction, _) = self.begin_with(id).await?.ok_or_else(gone)?;
        let mine = || device::Entity::find().filter(device::Column::Person.eq(id.as_uuid()));
        let first = first && !ever_confirmed(&transaction, id).await?;
        new.confirmed_at = first.then_some(now);
        if first {
            settle_cleared(&transaction, id).await?;
        }
        insert_notice(&transaction, notice).await?;
        device::Entity::insert(new.into_active_model()).exec_without_returning(&transaction).await?;
        let surplus = mine()
            .filter(device::Column::RevokedAt.is_null())
            // Whoever signs in again and again from anywhere pushes no confirmed one out.
            .order_by_desc(device::Column::ConfirmedAt.is_not_null())
            .order_by_desc(device::Column::LastSeenAt)
            .offset(most)
            .limit(most)
            .all(&transaction)
            .await?;
        device::Entity::update_many()
            .col_expr(device::Column::RevokedAt, Expr::value(now))
            .filter(device::Column::Id.is_in(surplus.into_iter().map(|device| device.id)))
            .exec(&transaction)
            .await?;
        Ok(transaction.commit().await?)
    }

    /// Notes that a device was used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn saw_device(&self, id: DeviceId, now: Timestamp) -> Answer<()> {
        device::Entity::update_many()
            .col_expr(device::Column::LastSeenAt, Expr::value(OffsetDateTime::from(now)))
            .filter(device::Column::Id.eq(id.as_uuid()))
            .exec(&self.database)
            .await?;
        Ok(())
    }

    /// Says from which device a session is, or from none that is known.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bind_session(&self, id: SessionId, device: Option<DeviceId>) -> Answer<()> {
        session::Entity::update_many()
            .col_expr(session::Column::Device, Expr::value(device.map(|device| device.as_uuid())))
            .filter(session::Column::Id.eq(id.as_uuid()))
            .exec(&self.database)
            .await?;
        Ok(())
    }

    /// Gives a device of a person another name; `false` when there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rename_device(&self, person: PersonId, id: DeviceId, name: &str) -> Answer<bool> {
        let renamed = device::Entity::update_many()
            .col_expr(device::Column::Name, Expr::value(Private(name.to_owned())))
            .filter(device::Column::Id.eq(id.as_uuid()))
            .filter(device::Column::Person.eq(person.as_uuid()))
            .filter(device::Column::RevokedAt.is_null())
            .exec(&self.database)
            .await?;
        Ok(renamed.rows_affected == 1)
    }

    /// What would become of confirming a device; see [`Store::confirm_device`].
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn may_confirm_device(
        &self,
        person: PersonId,
        id: DeviceId,
        from: Option<DeviceId>,
    ) -> Answer<Confirmed> {
        may_confirm(&self.database, person, id, from).await
    }

    /// Confirms a device of a person: the first one that they ever confirm from itself, a further one from a confirmed one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn confirm_device(
        &self,
        person: PersonId,
        id: DeviceId,
        from: Option<DeviceId>,
        now: Timestamp,
    ) -> Answer<Confirmed> {
        let Some((transaction, _)) = self.begin_with(person).await? else { return Ok(Confirmed::Absent) };
        let outcome = may_confirm(&transaction, person, id, from).await?;
        if outcome == Confirmed::Done {
            device::Entity::update_many()
                .col_expr(device::Column::ConfirmedAt, Expr::value(OffsetDateTime::from(now)))
                .filter(device::Column::Id.eq(id.as_uuid()))
                .filter(device::Column::ConfirmedAt.is_null())
                .exec(&transaction)
                .await?;
            settle_cleared(&transaction, person).await?;
        }
        transaction.commit().await?;
        Ok(outcome)
    }

    /// Takes the confirmation of all devices of a person back and ends all their sessions: the next device is confirmed as the first
    /// one was. `false` when there is no such person.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clear_devices(
        &self,
        person: PersonId,
        notice: notice::Model,
        now: Timestamp,
    ) -> Answer<bool> {
        let Some((transaction, _)) = self.begin_with(person).await? else { return Ok(false) };
        device::Entity::update_many()
            .col_expr(device::Column::ConfirmedAt, Expr::value(None::<OffsetDateTime>))
            .filter(device::Column::Person.eq(person.as_uuid()))
            .filter(device::Column::ConfirmedAt.is_not_null())
            .exec(&transaction)
            .await?;
        person::Entity::update_many()
            .col_expr(person::Column::DevicesClearedAt, Expr::value(OffsetDateTime::from(now)))
            .filter(person::Column::Id.eq(person.as_uuid()))
            .exec(&transaction)
            .await?;
        revoke_sessions(&transaction, person, None, now).await?;
        insert_notice(&transaction, notice).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets a device of a person and ends its sessions, in one transaction; `false` when there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_device(&self, person: PersonId, id: DeviceId, now: Timestamp) -> Answer<bool> {
        let transaction = self.begin().await?;
        let at = || Expr::value(OffsetDateTime::from(now));
        let forgotten = device::Entity::update_many()
            .col_expr(device::Column::RevokedAt, at())
            .filter(device::Column::Id.eq(id.as_uuid()))
            .filter(device::Column::Person.eq(person.as_uuid()))
            .filter(device::Column::RevokedAt.is_null())
            .exec(&transaction)
            .await?;
        if forgotten.rows_affected == 1 {
            session::Entity::update_many()
                .col_expr(session::Column::RevokedAt, at())
                .filter(session::Column::Person.eq(person.as_uuid()))
                .filter(session::Column::Device.eq(id.as_uuid()))
                .filter(session::Column::RevokedAt.is_null())
                .exec(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(forgotten.rows_affected == 1)
    }
}

/// A device is confirmed again: nothing is awaited any more.
async fn settle_cleared(database: &impl ConnectionTrait, id: PersonId) -> Answer<()> {
    person::Entity::update_many()
        .col_expr(person::Column::DevicesClearedAt, Expr::value(None::<OffsetDateTime>))
        .filter(person::Column::Id.eq(id.as_uuid()))
        .filter(person::Column::DevicesClearedAt.is_not_null())
        .exec(database)
        .await?;
    Ok(())
}

async fn ever_confirmed(database: &impl ConnectionTrait, person: PersonId) -> Answer<bool> {
    let confirmed = device::Entity::find()
        .filter(device::Column::Person.eq(person.as_uuid()))
        .filter(device::Column::ConfirmedAt.is_not_null())
        .limit(1);
    Ok(confirmed.one(database).await?.is_some())
}

async fn may_confirm(
    database: &impl ConnectionTrait,
    person: PersonId,
    id: DeviceId,
    from: Option<DeviceId>,
) -> Answer<Confirmed> {
    let own = device::Entity::find().filter(device::Column::Person.eq(person.as_uuid()));
    let all = own.all(database).await?;
    let is_confirmed = |one: &device::Model| one.confirmed_at.is_some();
    let known = all.iter().any(|one| one.id == id.as_uuid() && one.revoked_at.is_none());
    let from_confirmed = all.iter().any(|one| {
        Some(one.id) == from.map(|from| from.as_uuid()) && is_confirmed(one) && one.revoked_at.is_none()
    });
    let first = !all.iter().any(is_confirmed) && from == Some(id);
    Ok(match (known, from_confirmed || first) {
        (false, _) => Confirmed::Absent,
        (true, false) => Confirmed::FromConfirmedOnly,
        (true, true) => Confirmed::Done,
    })
}
