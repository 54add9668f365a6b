//! The authentication state machine: which proofs, in which order, lead to which assurance level.
//!
//! Invariant: [`next`] is the only way to [`SessionState::Active`], the only state with [`Aal::Two`]. It is reached by
//! a passkey, by a password followed by a second factor, by the word of the tenant's identity provider for two factors or its word
//! for one followed by a second factor, or at the end of an enrolment in which a passkey, or a password
//! and a one-time-code generator, were enrolled and proven. `tests/flow_graph.rs` walks every path.

use serde::{Deserialize, Serialize};

use crate::{Aal, FactorKind};

/// What a newcomer has enrolled and proven so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Enrolment {
    /// A password was set.
    pub password: bool,
    /// A code generator was set up and a first code of it accepted.
    pub totp: bool,
    /// A passkey was registered with user verification.
    pub passkey: bool,
}

impl Enrolment {
    /// Whether what was enrolled makes two factors.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.passkey || (self.password && self.totp)
    }
}

/// The state of a session that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum SessionState {
    /// The password was right, or the identity provider vouched for one factor; a second one is awaited. May do nothing else.
    PendingSecondFactor,
    /// An invitation was accepted, or a recovery redeemed; may do nothing but enrol factors.
    Enrolling(Enrolment),
    /// Two factors were proven.
    Active {
        /// A recovery code stood in for the second factor: a new one has to be enrolled.
        must_reenrol: bool,
    },
}

impl SessionState {
    /// The assurance level of this state.
    #[must_use]
    pub const fn aal(self) -> Aal {
        match self {
            Self::Enrolling(_) => Aal::None,
            Self::PendingSecondFactor => Aal::One,
            Self::Active { .. } => Aal::Two,
        }
    }
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthState {
    /// No session.
    Anonymous,
    /// A session in this state.
    Session(SessionState),
    /// The session is over; nothing leads on from here.
    Ended,
}

impl AuthState {
    /// The assurance level of this state.
    #[must_use]
    pub const fn aal(self) -> Aal {
        match self {
            Self::Session(state) => state.aal(),
            Self::Anonymous | Self::Ended => Aal::None,
        }
    }
}

/// Something that was verified to have happened. An event is never an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// An existing factor of the person was proven. A passkey counts only with user verification.
    Proven(FactorKind),
    /// The tenant's identity provider says who it is, for the round that this browser began.
    VouchedFor {
        /// It asked for two factors, the person confirmed the link, and no more than that is demanded of them.
        two_factors: bool,
    },
    /// A valid invitation link was opened.
    InviteAccepted {
        /// The person has a factor already. Then the link grants a role, but no session: they sign in.
        has_factors: bool,
    },
    /// What two administrators handed over was presented, after the hold: the old factors are gone.
    RecoveryRedeemed,
    /// A new factor was enrolled, and proven while doing so.
    Enrolled(FactorKind),
    /// Signed out, revoked or expired.
    Ended,
}

/// Whether an event leads anywhere for somebody who is suspended: nothing that they, or whoever stole their factors, can prove,
/// but what two administrators hand over, which lifts the suspension.
#[must_use]
pub const fn counts_for_suspended(event: Event) -> bool {
    matches!(event, Event::RecoveryRedeemed)
}

/// An event that this state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowError {
    /// The person has factors; an invitation does not replace them.
    #[error("this account is set up already: sign in instead of using the link")]
    SignInInstead,
    /// The step does not fit here.
    #[error("this step is not possible now: start again with signing in")]
    OutOfOrder,
    /// The session is over.
    #[error("the session has ended: sign in again")]
    SessionEnded,
}

/// The state after `event`.
///
/// # Errors
/// When the event is not allowed in this state; the state then stays what it was.
pub const fn next(state: AuthState, event: Event) -> Result<AuthState, FlowError> {
    match (state, event) {
        (AuthState::Ended, _) => Err(FlowError::SessionEnded),
        (_, Event::Ended) => Ok(AuthState::Ended),
        (AuthState::Anonymous, event) => from_anonymous(event),
        (AuthState::Session(SessionState::PendingSecondFactor), event) => from_pending(event),
        (AuthState::Session(SessionState::Enrolling(done)), event) => from_enrolling(done, event),
        (AuthState::Session(SessionState::Active { must_reenrol }), event) => {
            from_active(must_reenrol, event)
        }
    }
}

const fn active(must_reenrol: bool) -> AuthState {
    AuthState::Session(SessionState::Active { must_reenrol })
}

const fn from_anonymous(event: Event) -> Result<AuthState, FlowError> {
    match event {
        Event::Proven(FactorKind::Password) => Ok(AuthState::Session(SessionState::PendingSecondFactor)),
        Event::VouchedFor { two_factors: false } => Ok(AuthState::Session(SessionState::PendingSecondFactor)),
        Event::Proven(FactorKind::Passkey) | Event::VouchedFor { two_factors: true } => Ok(active(false)),
        Event::InviteAccepted { has_factors: true } => Err(FlowError::SignInInstead),
        Event::InviteAccepted { has_factors: false } | Event::RecoveryRedeemed => {
            Ok(AuthState::Session(SessionState::Enrolling(Enrolment {
                password: false,
                totp: false,
                passkey: false,
            })))
        }
        // A code is the second factor of somebody who has shown the first one.
        Event::Proven(FactorKind::Totp | FactorKind::RecoveryCode | FactorKind::Federated)
        | Event::Enrolled(_)
        | Event::Ended => Err(FlowError::OutOfOrder),
    }
}

const fn from_pending(event: Event) -> Result<AuthState, FlowError> {
    match event {
        Event::Proven(FactorKind::Totp | FactorKind::Passkey) => Ok(active(false)),
        // SP 800-63B-4 section 4.2: at level 2 a recovery code needs a single-factor authenticator beside it.
        Event::Proven(FactorKind::RecoveryCode) => Ok(active(true)),
        // Whoever only has the password must not be able to enrol the second factor himself, and no two of what is one factor
        // make two.
        Event::Proven(FactorKind::Password | FactorKind::Federated)
        | Event::VouchedFor { .. }
        | Event::Enrolled(_)
        | Event::InviteAccepted { .. }
        | Event::RecoveryRedeemed
        | Event::Ended => Err(FlowError::OutOfOrder),
    }
}

const fn from_enrolling(mut done: Enrolment, event: Event) -> Result<AuthState, FlowError> {
    match event {
        Event::Enrolled(FactorKind::Password) => done.password = true,
        Event::Enrolled(FactorKind::Totp) => done.totp = true,
        Event::Enrolled(FactorKind::Passkey) => done.passkey = true,
        Event::Enrolled(FactorKind::RecoveryCode | FactorKind::Federated)
        | Event::Proven(_)
        | Event::VouchedFor { .. }
        | Event::InviteAccepted { .. }
        | Event::RecoveryRedeemed
        | Event::Ended => return Err(FlowError::OutOfOrder),
    }
    if done.is_complete() { Ok(active(false)) } else { Ok(AuthState::Session(SessionState::Enrolling(done))) }
}

const fn from_active(must_reenrol: bool, event: Event) -> Result<AuthState, FlowError> {
    match event {
        // Proving a factor again is step-up: the level stays, the time of the factor is new.
        Event::Proven(FactorKind::Password | FactorKind::Totp | FactorKind::Passkey) => {
            Ok(active(must_reenrol))
        }
        Event::Enrolled(FactorKind::Totp | FactorKind::Passkey) => Ok(active(false)),
        Event::Enrolled(FactorKind::Password | FactorKind::RecoveryCode) => Ok(active(must_reenrol)),
        // A recovery code is for getting in, not for step-up.
        Event::Proven(FactorKind::RecoveryCode | FactorKind::Federated)
        | Event::Enrolled(FactorKind::Federated)
        | Event::VouchedFor { .. }
        | Event::InviteAccepted { .. }
        | Event::RecoveryRedeemed
        | Event::Ended => Err(FlowError::OutOfOrder),
    }
}
