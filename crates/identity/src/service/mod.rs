//! Identity at one tenant: the rules of this crate, in the right order, over a [`Repository`].
//!
//! Invariants: a guess is charged before it is checked; what works once is used up before it is believed; somebody
//! unknown, somebody barred and somebody with a wrong password get the same answer after the same work; a session is stored
//! before the factor is used up that it begins with, so that whoever takes the factor away finds it and ends it.

mod enrol;
mod error;
mod federation;
mod locks;
mod passkeys;
mod ready;
pub mod repository;
mod sessions;
mod sign_in;

use std::sync::Arc;

use carekeep_kernel::{Clock, Random, Timestamp};

pub use enrol::TotpEnrolment;
pub use error::IdentityError;
pub use federation::RoundBegun;
pub use passkeys::PasskeyBegun;
pub use ready::Ready;
pub use repository::{Audience, Login, LoginName, LoginNameError, PersonRecord, Repository, RepositoryError};
pub use sessions::Live;

use crate::{
    PlainToken,
    passkey::RelyingParty,
    password::{PasswordHashes, PasswordUse},
    session::{Activity, SessionLimits, SessionRecord},
};

/// What a tenant decides about signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantSettings {
    /// Limits of staff sessions; only shorter ones than the product's count.
    pub staff: SessionLimits,
    /// Limits of patient sessions; only shorter ones than the product's count.
    pub patient: SessionLimits,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self { staff: SessionLimits::STAFF, patient: SessionLimits::PATIENT }
    }
}

impl TenantSettings {
    /// The limits of a person's sessions.
    #[must_use]
    pub fn limits(&self, audience: Audience) -> SessionLimits {
        match audience {
            Audience::Staff => SessionLimits::STAFF.at_most(self.staff),
            Audience::Patient => SessionLimits::PATIENT.at_most(self.patient),
        }
    }
}

/// Every session needs two factors, so a password never stands alone.
const PASSWORD_USE: PasswordUse = PasswordUse::WithSecondFactor;

/// Time, randomness and the password pool, shared by all tenants of a process.
#[derive(Clone)]
pub struct Shared {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The pool that checks passwords.
    pub passwords: PasswordHashes,
}

/// Identity at one tenant.
pub struct Identity<R> {
    repository: R,
    party: RelyingParty,
    settings: TenantSettings,
    shared: Shared,
    activity: Activity,
}

/// A session that began or went on: the token is for its holder only.
pub struct SignedIn {
    /// The session.
    pub session: SessionRecord,
    /// Its new token.
    pub token: PlainToken,
}

impl<R: Repository> Identity<R> {
    /// Identity at the tenant of this relying party. What is asked of it is use of the session that it is asked in.
    #[must_use]
    pub const fn new(repository: R, party: RelyingParty, settings: TenantSettings, shared: Shared) -> Self {
        Self { repository, party, settings, shared, activity: Activity::Use }
    }

    /// For a request that says of itself whether somebody is there. A factor that is proven is use, whatever it says.
    #[must_use]
    pub fn with_activity(self, activity: Activity) -> Self {
        Self { activity, ..self }
    }

    /// The tenant's storage.
    #[must_use]
    pub const fn repository(&self) -> &R {
        &self.repository
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn random(&self) -> &dyn Random {
        &*self.shared.random
    }

    fn source(&self) -> (&dyn Clock, &dyn Random) {
        (&*self.shared.clock, &*self.shared.random)
    }
}
