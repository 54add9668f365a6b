//! A ceremony between its two requests: kept on the server, for five minutes, for whoever began it.
//!
//! Invariant: a ceremony is taken out of the store when it is finished (`DELETE ... RETURNING`), whether it succeeds or
//! not; finishing consumes the record. So a challenge is answered at most once.

use std::time::Duration;

use carekeep_kernel::{Clock, PersonId, Random, TenantId, Timestamp, random};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::PasskeyError;
use crate::TokenHash;

/// How long a challenge can be answered.
pub const CEREMONY_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// The id of a ceremony: sent to the browser and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CeremonyId(Uuid);

impl CeremonyId {
    /// A fresh id of 122 random bits.
    #[must_use]
    pub fn generate(source: &dyn Random) -> Self {
        Self(uuid::Builder::from_random_bytes(random::bytes(source)).into_uuid())
    }

    /// The id that a stored UUID stands for.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID to store.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// What a ceremony is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CeremonyKind {
    /// Registering a passkey.
    Registration,
    /// Using a passkey of a person who is known already: second factor or step-up.
    Authentication,
    /// Signing in without a login name.
    Discoverable,
    /// Going to the tenant's identity provider and back: no passkey, but the same care.
    Federation,
}

/// Who begins or finishes a ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holder {
    /// The tenant of the host.
    pub tenant: TenantId,
    /// The hash of the session token, or before there is a session that of a [`crate::TokenKind::Ceremony`] token in a
    /// cookie.
    pub token: TokenHash,
    /// The person of the session, or nobody before there is one.
    pub person: Option<PersonId>,
}

/// A begun ceremony as it is stored. Not `Clone`: whoever finishes it uses it up.
#[derive(Debug, Serialize, Deserialize)]
pub struct CeremonyRecord {
    /// Its id.
    pub id: CeremonyId,
    /// The tenant where it began.
    pub tenant: TenantId,
    /// The hash of the token of whoever began it.
    pub holder: TokenHash,
    /// The person whose passkey it is about, if known.
    pub person: Option<PersonId>,
    /// What it is for.
    pub kind: CeremonyKind,
    /// The challenge and what goes with it, as JSON of webauthn-rs. Never leaves the server.
    pub state: String,
    /// When it began.
    pub created: Timestamp,
    /// When it stops being good.
    pub expires: Timestamp,
}

/// What a new ceremony is about.
pub(super) struct Begin {
    pub(super) holder: Holder,
    pub(super) kind: CeremonyKind,
    pub(super) person: Option<PersonId>,
}

impl CeremonyRecord {
    pub(super) fn begin(
        begin: &Begin,
        state: &impl Serialize,
        clock: &dyn Clock,
        source: &dyn Random,
    ) -> Result<Self, PasskeyError> {
        let now = clock.now();
        Ok(Self {
            id: CeremonyId::generate(source),
            tenant: begin.holder.tenant,
            holder: begin.holder.token,
            person: begin.person,
            kind: begin.kind,
            state: serde_json::to_string(state).map_err(|_| PasskeyError::Corrupt)?,
            created: now,
            expires: now + CEREMONY_LIFETIME,
        })
    }

    /// Uses the ceremony up. Refuses one that is too old or somebody else's.
    pub(super) fn open(self, holder: &Holder, now: Timestamp) -> Result<Opened, PasskeyError> {
        let same_person = self.person.is_none() || self.person == holder.person;
        let in_time = now >= self.created && now < self.expires;
        if in_time && same_person && self.tenant == holder.tenant && self.holder == holder.token {
            Ok(Opened { kind: self.kind, person: self.person, state: self.state })
        } else {
            Err(PasskeyError::Stale)
        }
    }
}

/// What is left of a ceremony that was used up.
pub(super) struct Opened {
    pub(super) kind: CeremonyKind,
    pub(super) person: Option<PersonId>,
    state: String,
}

impl Opened {
    pub(super) fn state<T: for<'de> Deserialize<'de>>(&self) -> Result<T, PasskeyError> {
        serde_json::from_str(&self.state).map_err(|_| PasskeyError::Corrupt)
    }
}
