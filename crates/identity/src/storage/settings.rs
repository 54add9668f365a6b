//! What the tenant decided about the ways in: for its administrators, and for whoever uses a passkey.

use carekeep_store::{StoreError, entity::sign_in_settings};
use carekeep_vault::{
    Authorized, Caller,
    catalogue::{Act, ManageTenant, ReadSettings},
};

use super::{PgRepository, rows};
use crate::{
    passkey::{Demand, MakersError},
    service::{PersonRecord, Repository, RepositoryError},
    settings::SignInSettings,
};

/// Why settings were not read or changed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The hold is too short or too long. 422.
    #[error("a recovery is held for 1 to 720 hours")]
    Hold,
    /// They cannot be met. 422.
    #[error(transparent)]
    Makers(#[from] MakersError),
    /// Whoever sets them has no passkey that counts under them. 409.
    #[error("you have no passkey that these settings allow you: register one first")]
    LocksYouOut,
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
    /// What the tenant decided.
    ///
    /// # Errors
    /// [`SettingsError::OtherEvidence`], [`SettingsError::Unavailable`].
    pub async fn sign_in_settings(
        &self,
        leave: Authorized<ReadSettings>,
    ) -> Result<SignInSettings, SettingsError> {
        self.of_this_tenant(&leave)?;
        Ok(self.settings().await?)
    }

    /// Decides anew. Everybody for whom less counts than before is signed out, but the caller, who must have a passkey that
    /// still counts: a tenant does not shut its administrators out by a slip.
    ///
    /// # Errors
    /// [`SettingsError::Makers`], [`SettingsError::LocksYouOut`], [`SettingsError::OtherEvidence`],
    /// [`SettingsError::Unavailable`].
    pub async fn put_sign_in_settings(
        &self,
        leave: Authorized<ManageTenant>,
        caller: &Caller,
        new: &SignInSettings,
    ) -> Result<(), SettingsError> {
        self.of_this_tenant(&leave)?;
        new.check()?;
        if !(1..=720).contains(&new.recovery_hold_hours) {
            return Err(SettingsError::Hold);
        }
        let (before, roles) = (self.settings().await?, self.store.roles_of(leave.by()).await?);
        if roles.iter().any(|role| new.tightens(&before, role)) {
            let demand = new.demand(roles.iter().map(String::as_str))?;
            let own = self.passkeys(leave.by()).await?;
            if !own.iter().any(|passkey| passkey.meets(&demand).is_ok()) {
                return Err(SettingsError::LocksYouOut);
            }
        }
        let row = sign_in_settings::Model {
            single: true,
            passkeys: rows::to_json(&new.passkeys)?,
            makers: rows::to_json(&new.makers)?,
            confirmed_devices: new.confirmed_devices,
            recovery_hold_hours: i32::from(new.recovery_hold_hours),
            changed_by: leave.by().as_uuid(),
            changed_at: self.vault.clock().now().into(),
        };
        let named = new.passkeys.keys().chain(before.passkeys.keys());
        let tightened: Vec<String> = named.filter(|role| new.tightens(&before, role)).cloned().collect();
        Ok(self.store.put_sign_in_settings(row, &tightened, caller.session()).await?)
    }

    /// Whether a role restricts the passkeys of whoever holds it.
    pub(super) async fn restricts(&self, role: &str) -> Result<bool, RepositoryError> {
        Ok(self.settings().await?.policy(role) > crate::passkey::PasskeyPolicy::Any)
    }

    pub(super) async fn settings(&self) -> Result<SignInSettings, RepositoryError> {
        let Some(row) = self.store.sign_in_settings().await? else { return Ok(SignInSettings::default()) };
        Ok(SignInSettings {
            passkeys: rows::from_json(row.passkeys)?,
            makers: rows::from_json(row.makers)?,
            confirmed_devices: row.confirmed_devices,
            recovery_hold_hours: u16::try_from(row.recovery_hold_hours).map_err(|_| rows::malformed())?,
        })
    }

    pub(super) async fn demand_of(&self, person: &PersonRecord) -> Result<Demand, RepositoryError> {
        let roles = if person.activated.is_some() {
            self.store.roles_of(person.id).await?
        } else {
            self.store.promised_roles(person.id).await?
        };
        let demand = self.settings().await?.demand(roles.iter().map(String::as_str));
        demand.map_err(|_| rows::malformed())
    }

    fn of_this_tenant<A: Act>(&self, leave: &Authorized<A>) -> Result<(), SettingsError> {
        if leave.tenant() == self.tenant { Ok(()) } else { Err(SettingsError::OtherEvidence) }
    }
}
