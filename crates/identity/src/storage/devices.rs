//! Devices that people sign in from: recognised by a secret that the browser keeps, confirmed by their person.
//!
//! Invariants: what is stored is a hash over the secret and the person, so a browser that several people use is a device of
//! each, and nothing tells that it is the same one. A device proves nothing about who is there: it is never a factor. A session is
//! from the device that its last step was taken from, whatever it began on: what is presented decides.

use std::time::Duration;

use carekeep_kernel::{DeviceId, PersonId, Timestamp};
use carekeep_store::{Confirmed, columns, entity::device};
use carekeep_vault::{Authorized, catalogue::ManageTenant};

use super::{NoticeKind, PgRepository, people::PeopleError};
use crate::{
    PlainToken, TokenHash, TokenKind,
    service::{IdentityError, Live, RepositoryError},
    session::SessionRecord,
    token,
};

/// How long a device is recognised after it was last seen. As long a browser keeps what it is recognised by; so what was forgotten is
/// remembered that long, and not taken again.
pub const DEVICE_LIFETIME: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// Devices of a person; the one that was not seen for the longest time makes way.
const MOST: u64 = 20;
/// The most characters of a name that are kept.
const LONGEST_NAME: usize = 60;

/// A device that a session begins on.
pub struct Presented<'a> {
    /// What the browser keeps, if it keeps something.
    pub token: Option<&'a str>,
    /// What the device is called until its person says otherwise.
    pub name: &'a str,
    /// What the session has just shown.
    pub shown: Shown,
}

/// What a session has shown when it reaches two factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The person has just set up their factors here: the first device that they have is theirs.
    Enrolment,
    /// A passkey: the first device is theirs if an administrator has taken the confirmation of those before back.
    Passkey,
    /// Something else: the person confirms their first device themselves.
    Other,
}

/// The device that a step of a session with two factors is taken from: recognised, or found to be new. Nothing is stored before
/// [`PgRepository::keep_device`].
pub struct Recognised {
    /// The device.
    pub device: DeviceId,
    /// What the browser is to keep, when it is something new.
    pub token: Option<PlainToken>,
    /// The first device of the person, which is confirmed by keeping it.
    pub confirms: bool,
    /// The person was never here before: what is to be stored.
    new: Option<device::Model>,
}

/// A device as its person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    /// Its id.
    pub id: DeviceId,
    /// What its person calls it.
    pub name: String,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When somebody last signed in from it.
    pub last_seen: Timestamp,
    /// When its person confirmed it.
    pub confirmed: Option<Timestamp>,
}

impl PgRepository {
    /// Recognises the device that a step of a session with two factors is taken from, or finds that it is new.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn recognise_device(
        &self,
        session: &SessionRecord,
        presented: Presented<'_>,
    ) -> Result<Recognised, RepositoryError> {
        let (person, now) = (session.person, self.vault.clock().now());
        let hash = presented.token.and_then(|text| TokenHash::of_presented(TokenKind::Device, text).ok());
        let row = match hash {
            Some(hash) => self.store.device(hash.of_person(person).as_bytes()).await?,
            None => None,
        };
        let good = row.as_ref().filter(|row| {
            row.revoked_at.is_none() && now < Timestamp::from(row.last_seen_at) + DEVICE_LIFETIME
        });
        let confirms = self.confirms(person, presented.shown).await?;
        if let Some(row) = good {
            let device = DeviceId::from_uuid(row.id);
            let confirms = confirms && presented.shown == Shown::Passkey;
            return Ok(Recognised { device, token: None, confirms, new: None });
        }
        // A secret that was this person's once and is no more is not taken again.
        Ok(self.stranger(person, hash.filter(|_| row.is_none()), presented.name, confirms))
    }

    async fn confirms(&self, person: PersonId, shown: Shown) -> Result<bool, RepositoryError> {
        let asked = match shown {
            Shown::Enrolment => true,
            Shown::Passkey => {
                self.store.person(person).await?.is_some_and(|row| row.devices_cleared_at.is_some())
            }
            Shown::Other => false,
        };
        Ok(asked && !self.store.has_confirmed_device(person).await?)
    }

    fn stranger(&self, person: PersonId, hash: Option<TokenHash>, name: &str, confirms: bool) -> Recognised {
        let now = self.vault.clock().now();
        let fresh = || token::issue(TokenKind::Device, self.random());
        let (token, hash) = hash.map_or_else(
            || {
                let (token, hash) = fresh();
                (Some(token), hash)
            },
            |hash| (None, hash),
        );
        let device = DeviceId::generate(&**self.vault.clock(), self.random());
        let row = device::Model {
            id: device.as_uuid(),
            person: person.as_uuid(),
            token_hash: columns::Digest(hash.of_person(person).as_bytes().to_vec()),
            name: columns::Private(named(name)),
            first_seen_at: now.into(),
            last_seen_at: now.into(),
            revoked_at: None,
            confirmed_at: None,
        };
        Recognised { device, token, confirms, new: Some(row) }
    }

    /// Stores that a session is from a device; that it is a new one is told to the person.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn keep_device(
        &self,
        session: &SessionRecord,
        recognised: &Recognised,
    ) -> Result<(), RepositoryError> {
        let (now, device) = (self.vault.clock().now(), recognised.device);
        match recognised.new.clone() {
            Some(row) => {
                let person = PersonId::from_uuid(row.person);
                let told = self.notice(person, NoticeKind::NewDevice, Some(&row.name.0));
                self.store.add_device(row, recognised.confirms, told, MOST).await?;
            }
            None => self.store.saw_device(device, now).await?,
        }
        if recognised.new.is_none() && recognised.confirms {
            self.store.confirm_device(session.person, device, Some(device), now).await?;
        }
        Ok(self.store.bind_session(session.id, Some(device)).await?)
    }

    /// Stores that a session is from no device that is known: whoever took its last step presented none.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn leave_device(&self, session: &SessionRecord) -> Result<(), RepositoryError> {
        Ok(self.store.bind_session(session.id, None).await?)
    }

    /// Whether this is what the device of a session is recognised by.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn is_of_device(&self, session: &SessionRecord, token: &str) -> Result<bool, RepositoryError> {
        let Ok(hash) = TokenHash::of_presented(TokenKind::Device, token) else { return Ok(false) };
        let row = self.store.device(hash.of_person(session.person).as_bytes()).await?;
        let here = |row: device::Model| {
            row.revoked_at.is_none() && session.device == Some(DeviceId::from_uuid(row.id))
        };
        Ok(row.is_some_and(here))
    }

    /// The devices of a person, the last used first.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn devices(&self, live: &Live) -> Result<Vec<DeviceView>, RepositoryError> {
        let rows = self.store.devices(live.person.id).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// Gives one of one's own devices another name.
    ///
    /// # Errors
    /// [`IdentityError::NoDevice`], or when the storage does not answer.
    pub async fn rename_device(&self, live: &Live, id: DeviceId, name: &str) -> Result<(), IdentityError> {
        let renamed = self.store.rename_device(live.person.id, id, &named(name)).await;
        if renamed.map_err(RepositoryError::from)? { Ok(()) } else { Err(IdentityError::NoDevice) }
    }

    /// Whether one may confirm this device of one's own.
    ///
    /// # Errors
    /// [`IdentityError::FreshFactorNeeded`]; [`IdentityError::NoDevice`]; [`IdentityError::ConfirmElsewhere`] when one was
    /// confirmed before and this session is not from such a one.
    pub async fn may_confirm_device(&self, live: &Live, id: DeviceId) -> Result<(), IdentityError> {
        if !live.session.may_change_factors(self.vault.clock().now()) {
            return Err(IdentityError::FreshFactorNeeded);
        }
        let outcome = self.store.may_confirm_device(live.person.id, id, live.session.device).await;
        confirmed(outcome.map_err(RepositoryError::from)?)
    }

    /// Confirms one of one's own devices.
    ///
    /// # Errors
    /// As [`PgRepository::may_confirm_device`], which is asked again.
    pub async fn confirm_device(&self, live: &Live, id: DeviceId) -> Result<(), IdentityError> {
        let now = self.vault.clock().now();
        let outcome = self.store.confirm_device(live.person.id, id, live.session.device, now).await;
        confirmed(outcome.map_err(RepositoryError::from)?)
    }

    /// Whether one may forget this device of one's own: whoever has only the session must not take confirmed devices away.
    ///
    /// # Errors
    /// [`IdentityError::FreshFactorNeeded`]; [`IdentityError::NoDevice`], or when the storage does not answer.
    pub async fn may_forget_device(&self, live: &Live, id: DeviceId) -> Result<(), IdentityError> {
        if !live.session.may_change_factors(self.vault.clock().now()) {
            return Err(IdentityError::FreshFactorNeeded);
        }
        let own = self.devices(live).await?;
        if own.iter().any(|device| device.id == id) { Ok(()) } else { Err(IdentityError::NoDevice) }
    }

    /// Takes the confirmation of all devices of somebody back, who lost them, and ends their sessions; the person is told. Their next
    /// device is confirmed as the first one was.
    ///
    /// # Errors
    /// [`PeopleError::Absent`], [`PeopleError::OtherEvidence`] also for one's own, [`PeopleError::Unavailable`].
    pub async fn clear_devices(
        &self,
        leave: Authorized<ManageTenant>,
        person: PersonId,
    ) -> Result<(), PeopleError> {
        self.check(&leave)?;
        if leave.by() == person {
            return Err(PeopleError::OtherEvidence);
        }
        let told = self.notice(person, NoticeKind::DevicesCleared, None);
        if self.store.clear_devices(person, told, self.vault.clock().now()).await? {
            Ok(())
        } else {
            Err(PeopleError::Absent)
        }
    }

    /// Forgets one of one's own devices; its sessions end.
    ///
    /// # Errors
    /// [`IdentityError::NoDevice`], or when the storage does not answer.
    pub async fn forget_device(&self, live: &Live, id: DeviceId) -> Result<(), IdentityError> {
        let forgotten = self.store.forget_device(live.person.id, id, self.vault.clock().now()).await;
        if forgotten.map_err(RepositoryError::from)? { Ok(()) } else { Err(IdentityError::NoDevice) }
    }
}

fn confirmed(outcome: Confirmed) -> Result<(), IdentityError> {
    match outcome {
        Confirmed::Done => Ok(()),
        Confirmed::Absent => Err(IdentityError::NoDevice),
        Confirmed::FromConfirmedOnly => Err(IdentityError::ConfirmElsewhere),
    }
}

fn named(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

fn view(row: device::Model) -> DeviceView {
    DeviceView {
        id: DeviceId::from_uuid(row.id),
        name: row.name.0,
        first_seen: row.first_seen_at.into(),
        last_seen: row.last_seen_at.into(),
        confirmed: row.confirmed_at.map(Timestamp::from),
    }
}
