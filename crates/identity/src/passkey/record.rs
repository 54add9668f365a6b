//! A registered passkey as it is stored.

use carekeep_kernel::{CredentialId, PersonId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{Credential, Passkey};

use super::{Demand, PasskeyError, checks::AuthenticatorFlags};

/// A registered passkey. Holds nothing secret: a public key and what the owner calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasskeyRecord {
    /// Its id here.
    pub id: CredentialId,
    /// The tenant where it was registered.
    pub tenant: TenantId,
    /// Whose it is.
    pub person: PersonId,
    /// What its owner calls it.
    pub name: String,
    /// The credential id that the authenticator chose. Unique in the tenant.
    pub credential_id: Vec<u8>,
    /// The public key and its properties, as JSON of webauthn-rs.
    pub data: String,
    /// When it was registered.
    pub created: Timestamp,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// It can be copied to other devices. Never changes.
    pub backup_eligible: bool,
    /// It has been copied.
    pub backup_state: bool,
    /// Signature counter; stays 0 for most passkeys. The store updates it with a compare-and-set on the old value.
    pub counter: u32,
}

/// The most characters of a name that are kept.
const LONGEST_NAME: usize = 60;

impl PasskeyRecord {
    /// What an owner calls a passkey, as it is kept: at most 60 characters, none of them a control character.
    #[must_use]
    pub fn named(name: &str) -> String {
        name.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
    }

    /// The passkey for webauthn-rs.
    pub(super) fn passkey(&self) -> Result<Passkey, PasskeyError> {
        let passkey: Passkey = serde_json::from_str(&self.data).map_err(|_| PasskeyError::Corrupt)?;
        if passkey.cred_id().as_slice() == self.credential_id {
            Ok(passkey)
        } else {
            Err(PasskeyError::Corrupt)
        }
    }

    /// Whether it is what is demanded of its owner now; it may have been registered under a laxer rule.
    ///
    /// # Errors
    /// [`PasskeyError::DeviceBoundNeeded`], [`PasskeyError::AttestedNeeded`], [`PasskeyError::Corrupt`].
    pub fn meets(&self, demand: &Demand) -> Result<(), PasskeyError> {
        demand.check(&self.passkey()?.into())
    }

    /// Writes what the authenticator said into the record.
    pub(super) fn used(mut self, flags: AuthenticatorFlags, now: Timestamp) -> Result<Self, PasskeyError> {
        let mut credential = Credential::from(self.passkey()?);
        credential.counter = flags.counter;
        credential.backup_state = flags.backup_state;
        self.data = serde_json::to_string(&Passkey::from(credential)).map_err(|_| PasskeyError::Corrupt)?;
        (self.counter, self.backup_state, self.last_used) = (flags.counter, flags.backup_state, Some(now));
        Ok(self)
    }
}
