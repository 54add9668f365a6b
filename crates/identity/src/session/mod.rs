//! Sessions: opaque to their holder, kept on the server, judged by pure rules at the second.
//!
//! Invariants: only the hash of a token is stored; every authentication step gives a new token and kills the old one;
//! a session ends when it has been idle or alive for its limit, and polling in the background is not use.

use std::time::Duration;

use carekeep_kernel::{Clock, DeviceId, PersonId, Random, SessionId, TenantId, Timestamp};
pub use carekeep_vault::Activity;
use serde::{Deserialize, Serialize};

use crate::{
    Aal, FactorKind, FactorTime, PlainToken, TokenHash, TokenKind,
    flow::{self, AuthState, Event, FlowError, SessionState},
    token,
};

/// A write of the last use to the store is skipped when the last one is younger than this. Nothing here remembers it beside the
/// store, so an idle session may end this much early, never late.
pub const LAST_SEEN_EVERY: Duration = Duration::from_secs(1);

/// How recent a factor has to be for changing factors and for other sensitive actions.
pub const FRESH_FACTOR: Duration = Duration::from_secs(5 * 60);

/// How long a session may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLimits {
    /// Without use.
    pub idle: Duration,
    /// At all, from the moment the session became what it is.
    pub absolute: Duration,
}

impl SessionLimits {
    /// Staff: 15 minutes idle, 12 hours at all.
    pub const STAFF: Self =
        Self { idle: Duration::from_secs(15 * 60), absolute: Duration::from_secs(12 * 3600) };
    /// Patients: 30 minutes idle, 12 hours at all.
    pub const PATIENT: Self =
        Self { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(12 * 3600) };
    /// Waiting for a second factor: 5 minutes, whoever it is.
    pub const PENDING: Self =
        Self { idle: Duration::from_secs(5 * 60), absolute: Duration::from_secs(5 * 60) };
    /// Enrolling after an invitation: 30 minutes, whoever it is.
    pub const ENROLLING: Self =
        Self { idle: Duration::from_secs(30 * 60), absolute: Duration::from_secs(30 * 60) };

    /// These limits, made stricter by a tenant's own; a tenant cannot make them longer.
    #[must_use]
    pub fn at_most(self, other: Self) -> Self {
        Self { idle: self.idle.min(other.idle), absolute: self.absolute.min(other.absolute) }
    }
}

/// A session as it is stored, in the tenant's own schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its id: in the audit ledger and in the list of one's sessions. Survives rotation.
    pub id: SessionId,
    /// The tenant; must be the one of the host that the token is presented to.
    pub tenant: TenantId,
    /// The person.
    pub person: PersonId,
    /// The hash of the present token.
    pub token_hash: TokenHash,
    /// How far authentication has come; the assurance level follows from it.
    pub state: SessionState,
    /// When it became `Active`; until then, when it began.
    pub created: Timestamp,
    /// The last use.
    pub last_seen: Timestamp,
    /// The last use that was written to the store.
    pub last_saved: Timestamp,
    /// When each factor was last proven.
    pub factors: Vec<FactorTime>,
    /// The device, when it is known.
    pub device: Option<DeviceId>,
    /// When it was ended by sign-out or revocation.
    pub revoked: Option<Timestamp>,
}

/// What to do with a presented session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionVerdict {
    /// It is good.
    Live {
        /// Its assurance level.
        aal: Aal,
        /// The last use to remember in the process.
        last_seen: Timestamp,
        /// Whether the last use is due to be written to the store.
        save: bool,
    },
    /// Too long without use.
    Idle,
    /// Too old.
    TooOld,
    /// Signed out or revoked.
    Revoked,
}

impl SessionRecord {
    /// Begins a session with the first event of a sign-in.
    ///
    /// # Errors
    /// When the event does not begin a session.
    pub fn begin(
        who: Who,
        event: Event,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<(Self, PlainToken), FlowError> {
        let AuthState::Session(state) = flow::next(AuthState::Anonymous, event)? else {
            return Err(FlowError::OutOfOrder);
        };
        let now = clock.now();
        let (token, token_hash) = token::issue(TokenKind::Session, random);
        let mut record = Self {
            id: SessionId::generate(clock, random),
            tenant: who.tenant,
            person: who.person,
            token_hash,
            state,
            created: now,
            last_seen: now,
            last_saved: now,
            factors: Vec::new(),
            device: who.device,
            revoked: None,
        };
        record.note_factor(event, now);
        Ok((record, token))
    }

    /// The session after an authentication step: new state, new token. The caller stores it with a compare-and-set on
    /// the old token's hash, so that of two racing steps one wins.
    ///
    /// # Errors
    /// When the session is over or the step does not fit its state.
    pub fn advance(
        mut self,
        event: Event,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(Self, PlainToken), FlowError> {
        if self.revoked.is_some() {
            return Err(FlowError::SessionEnded);
        }
        let AuthState::Session(state) = flow::next(AuthState::Session(self.state), event)? else {
            return Err(FlowError::OutOfOrder);
        };
        // The absolute limit counts from reaching level 2; step-up later must not prolong it.
        if self.state.aal() < Aal::Two && state.aal() == Aal::Two {
            self.created = now;
        }
        let (token, token_hash) = token::issue(TokenKind::Session, random);
        (self.state, self.token_hash) = (state, token_hash);
        (self.last_seen, self.last_saved) = (now, now);
        self.note_factor(event, now);
        Ok((self, token))
    }

    /// Whether the session is good at `now`. `limits` are those of the person's roles.
    #[must_use]
    pub fn assess(&self, now: Timestamp, limits: SessionLimits, activity: Activity) -> SessionVerdict {
        if self.revoked.is_some() {
            return SessionVerdict::Revoked;
        }
        let limits = match self.state {
            SessionState::PendingSecondFactor => limits.at_most(SessionLimits::PENDING),
            SessionState::Enrolling(_) => limits.at_most(SessionLimits::ENROLLING),
            SessionState::Active { .. } => limits,
        };
        if now.since(self.created) >= limits.absolute {
            return SessionVerdict::TooOld;
        }
        if now.since(self.last_seen) >= limits.idle {
            return SessionVerdict::Idle;
        }
        match activity {
            Activity::Background => {
                SessionVerdict::Live { aal: self.state.aal(), last_seen: self.last_seen, save: false }
            }
            Activity::Use => SessionVerdict::Live {
                aal: self.state.aal(),
                last_seen: self.last_seen.max(now),
                save: now.since(self.last_saved) >= LAST_SEEN_EVERY,
            },
        }
    }

    /// Whether a factor that is worth something on its own was proven within `window` before `now`.
    #[must_use]
    pub fn has_fresh_factor(&self, now: Timestamp, window: Duration) -> bool {
        // A password alone is what an attacker at an unlocked screen is most likely to know; and a provider sends whoever sits there
        // back without asking anything.
        let weak = [FactorKind::Password, FactorKind::Federated];
        self.factors.iter().any(|factor| !weak.contains(&factor.kind) && now.since(factor.at) < window)
    }

    /// Whether the identity provider's word stands beside a factor of the person's own.
    #[must_use]
    pub fn confirms_provider(&self) -> bool {
        let has = |kinds: &[FactorKind]| self.factors.iter().any(|factor| kinds.contains(&factor.kind));
        let inside = self.state == SessionState::Active { must_reenrol: false };
        inside && has(&[FactorKind::Federated]) && has(&[FactorKind::Totp, FactorKind::Passkey])
    }

    /// Whether factors may be added, changed or removed now: at enrolment, or at level 2 with a fresh factor
    /// (ASVS 5.0 section 7.5.1).
    #[must_use]
    pub fn may_change_factors(&self, now: Timestamp) -> bool {
        match self.state {
            SessionState::Enrolling(_) => true,
            SessionState::PendingSecondFactor => false,
            SessionState::Active { .. } => self.has_fresh_factor(now, FRESH_FACTOR),
        }
    }

    fn note_factor(&mut self, event: Event, now: Timestamp) {
        let kind = match event {
            Event::Proven(kind) | Event::Enrolled(kind) => kind,
            Event::VouchedFor { .. } => FactorKind::Federated,
            _ => return,
        };
        // Freshly printed recovery codes prove nothing.
        if event == Event::Enrolled(FactorKind::RecoveryCode) {
            return;
        }
        self.factors.retain(|factor| factor.kind != kind);
        self.factors.push(FactorTime { kind, at: now });
    }
}

/// Whose session it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The tenant of the host.
    pub tenant: TenantId,
    /// The person.
    pub person: PersonId,
    /// The device, when it is known.
    pub device: Option<DeviceId>,
}

#[cfg(test)]
mod tests;
