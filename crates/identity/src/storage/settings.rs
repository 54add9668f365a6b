//! What the tenant decided about the ways in: for its administrators, and for whoever uses a passkey.

use carekeep_kernel::{PersonId, TenantKind, Timestamp};
use carekeep_store::{SignedOut, StoreError, entity::sign_in_settings};
use carekeep_vault::{
    Authorized, Caller,
    catalogue::{Act, ManageTenant, ReadSettings},
};

use super::{NoticeKind, PgRepository, rows};
use crate::{
    passkey::{Demand, MakersError},
    service::{PersonRecord, Repository, RepositoryError},
    settings::{LongerHold, SignInSettings},
};

/// The roles of those who run a tenant and who watch over it: somebody with either must always be able to sign in.
pub(super) const NEEDED: [&str; 2] = ["tenant_admin", "privacy_officer"];

/// Why settings were not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The hold is too short or too long. 422.
    #[error("a recovery is held for 1 to 720 hours")]
    Hold,
    /// They cannot be met. 422.
    #[error(transparent)]
    Makers(#[from] MakersError),
    /// Passwords where only passkeys that are bound to a device let anybody in. 422.
    #[error("the people of the platform and of partners sign in by passkey only")]
    OnlyPasskeys,
    /// Whoever sets them has no passkey that counts under them. 409.
    #[error("you have no passkey that these settings allow you: register one first")]
    LocksYouOut,
    /// Nobody who holds this role could sign in any more. 409.
    #[error(
        "nobody with this role could sign in any more: have one of them register a passkey that counts first"
    )]
    LocksOut(&'static str),
    /// Somebody else decided since. 409.
    #[error("somebody else decided since: look at what counts now, and decide again")]
    Meanwhile,
    /// The evidence is for another tenant. 403.
    #[error("not allowed: the permission is for something else")]
    OtherEvidence,
    /// The storage is away. 503.
    #[error(transparent)]
    Unavailable(#[from] RepositoryError),
}

impl From<StoreError> for SettingsError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl PgRepository {
    /// What the tenant decided, and its version.
    ///
    /// # Errors
    /// [`SettingsError::OtherEvidence`], [`SettingsError::Unavailable`].
    pub async fn sign_in_settings(
        &self,
        leave: Authorized<ReadSettings>,
    ) -> Result<(SignInSettings, u64), SettingsError> {
        self.of_this_tenant(&leave)?;
        let row = self.store.sign_in_settings().await?;
        let version = version(row.as_ref());
        Ok((from_row(row)?.at(self.kind), version))
    }

    /// Decides anew, in place of what was `seen`, if the caller says which version that is. Everybody for whom less counts than before is signed out, but the caller, who must have a passkey that
    /// still counts: a tenant does not shut its administrators out by a slip.
    ///
    /// # Errors
    /// [`SettingsError::Makers`], [`SettingsError::Hold`], [`SettingsError::OnlyPasskeys`], [`SettingsError::LocksYouOut`], [`SettingsError::LocksOut`],
    /// [`SettingsError::Meanwhile`], [`SettingsError::OtherEvidence`], [`SettingsError::Unavailable`].
    pub async fn put_sign_in_settings(
        &self,
        leave: Authorized<ManageTenant>,
        caller: &Caller,
        (new, seen): (&SignInSettings, Option<u64>),
    ) -> Result<(), SettingsError> {
        self.of_this_tenant(&leave)?;
        new.check()?;
        if !(1..=720).contains(&new.recovery_hold_hours) {
            return Err(SettingsError::Hold);
        }
        if new.passwords && self.kind != TenantKind::Clinic {
            return Err(SettingsError::OnlyPasskeys);
        }
        let new = &new.clone().at(self.kind);
        let stands = self.store.sign_in_settings().await?;
        if seen.is_some_and(|seen| seen != version(stands.as_ref())) {
            return Err(SettingsError::Meanwhile);
        }
        let before_at = stands.as_ref().map(|row| row.changed_at);
        let (before, roles) = (from_row(stands)?.at(self.kind), self.store.roles_of(leave.by()).await?);
        let no_more = before.passwords && !new.passwords;
        if no_more || roles.iter().any(|role| new.tightens(&before, role)) {
            let demand = new.demand(roles.iter().map(String::as_str))?;
            let own = self.passkeys(leave.by()).await?;
            if !own.iter().any(|passkey| passkey.meets(&demand).is_ok()) {
                return Err(SettingsError::LocksYouOut);
            }
        }
        for role in NEEDED {
            if self.locks_out(role, &before, new).await? {
                return Err(SettingsError::LocksOut(role));
            }
        }
        let now = self.vault.clock().now();
        let new = &new.clone().after(&before, now);
        let told = self.tell_deciders(leave.by(), NoticeKind::SettingsChanged).await?;
        let row = sign_in_settings::Model {
            single: true,
            passkeys: rows::to_json(&new.passkeys)?,
            makers: rows::to_json(&new.makers)?,
            confirmed_devices: new.confirmed_devices,
            passwords: new.passwords,
            recovery_hold_hours: i32::from(new.recovery_hold_hours),
            longer_hold_hours: new.longer_hold.map(|longer| i32::from(longer.hours)),
            longer_hold_until: new.longer_hold.map(|longer| longer.until.into()),
            changed_by: leave.by().as_uuid(),
            changed_at: now.into(),
        };
        let named = new.passkeys.keys().chain(before.passkeys.keys());
        let tightened: Vec<String> = named.filter(|role| new.tightens(&before, role)).cloned().collect();
        let out = if no_more { SignedOut::Everybody } else { SignedOut::Holders(&tightened) };
        let put = self.store.put_sign_in_settings((before_at, row), out, caller.session(), told).await?;
        if put { Ok(()) } else { Err(SettingsError::Meanwhile) }
    }

    /// Whether a role restricts the passkeys of whoever holds it more than those of anybody here.
    pub(super) async fn restricts(&self, role: &str) -> Result<bool, RepositoryError> {
        Ok(self.settings().await?.restricts(role))
    }

    pub(super) async fn settings(&self) -> Result<SignInSettings, RepositoryError> {
        Ok(from_row(self.store.sign_in_settings().await?)?.at(self.kind))
    }

    /// Whether somebody who holds a role can sign in before a change, and nobody after it.
    async fn locks_out(
        &self,
        role: &str,
        before: &SignInSettings,
        new: &SignInSettings,
    ) -> Result<bool, SettingsError> {
        let mut some = false;
        for holder in self.store.active_holders(role).await? {
            if self.lets_in(holder, new).await? {
                return Ok(false);
            }
            some |= self.lets_in(holder, before).await?;
        }
        Ok(some)
    }

    /// Whether somebody has what signs them in under these settings: a passkey that counts, or password and code.
    async fn lets_in(&self, person: PersonId, settings: &SignInSettings) -> Result<bool, SettingsError> {
        let roles = self.store.roles_of(person).await?;
        let demand = settings.demand(roles.iter().map(String::as_str))?;
        if self.passkeys(person).await?.iter().any(|passkey| passkey.meets(&demand).is_ok()) {
            return Ok(true);
        }
        let by_password = settings.passwords && self.store.has_password(person).await?;
        Ok(by_password && self.store.totp(person, true).await?.is_some())
    }

    pub(super) async fn demand_of(&self, person: &PersonRecord) -> Result<Demand, RepositoryError> {
        // Whoever an identity provider added has roles before they have joined.
        let mut roles = self.store.roles_of(person.id).await?;
        if person.activated.is_none() {
            roles.extend(self.store.promised_roles(person.id).await?);
        }
        let demand = self.settings().await?.demand(roles.iter().map(String::as_str));
        demand.map_err(|_| rows::malformed())
    }

    fn of_this_tenant<A: Act>(&self, leave: &Authorized<A>) -> Result<(), SettingsError> {
        if leave.tenant() == self.tenant { Ok(()) } else { Err(SettingsError::OtherEvidence) }
    }
}

/// The microsecond of the decision; 0 for a tenant that never decided.
fn version(row: Option<&sign_in_settings::Model>) -> u64 {
    row.map_or(0, |row| Timestamp::from(row.changed_at).as_micros().unsigned_abs())
}

fn from_row(row: Option<sign_in_settings::Model>) -> Result<SignInSettings, RepositoryError> {
    let Some(row) = row else { return Ok(SignInSettings::default()) };
    Ok(SignInSettings {
        passkeys: rows::from_json(row.passkeys)?,
        makers: rows::from_json(row.makers)?,
        confirmed_devices: row.confirmed_devices,
        passwords: row.passwords,
        recovery_hold_hours: hours(row.recovery_hold_hours)?,
        longer_hold: match (row.longer_hold_hours, row.longer_hold_until) {
            (Some(longer), Some(until)) => Some(LongerHold { hours: hours(longer)?, until: until.into() }),
            _ => None,
        },
        ..SignInSettings::default()
    })
}

fn hours(stored: i32) -> Result<u16, RepositoryError> {
    u16::try_from(stored).map_err(|_| rows::malformed())
}
