//! Steps that change how somebody signs in: checked, then put on record by whoever calls, and only then in effect.

use carekeep_kernel::CredentialId;

use super::{
    Identity, IdentityError, Live, Repository, SignedIn,
    repository::{FactorChange, NewFactor, OpenRecovery, Written},
};
use crate::{
    FactorKind, PlainToken,
    flow::{Event, SessionState},
    invite::{InviteError, InviteRecord},
    session::{SessionRecord, Who},
};

/// A step that was checked and has not taken effect: nothing is changed before [`Identity::take_effect`], and dropped it is as if
/// it had never been asked for.
#[must_use]
pub struct Ready {
    session: SessionRecord,
    token: PlainToken,
    deed: Deed,
}

/// What is changed.
pub(super) enum Deed {
    Write(Box<FactorChange>),
    AcceptInvite(InviteRecord),
    Redeem(OpenRecovery),
}

impl Ready {
    /// The session as it will be.
    #[must_use]
    pub const fn session(&self) -> &SessionRecord {
        &self.session
    }

    /// Whether somebody joins by it, or is back after a recovery: they have just set up their factors.
    #[must_use]
    pub const fn completes(&self) -> bool {
        matches!(&self.deed, Deed::Write(change) if change.completes)
    }

    /// The passkey or code generator that is set up, for the record.
    #[must_use]
    pub fn credential(&self) -> Option<CredentialId> {
        let Deed::Write(change) = &self.deed else { return None };
        match &change.factor {
            NewFactor::Passkey(passkey) => Some(passkey.id),
            NewFactor::Totp(id, _) => Some(*id),
            NewFactor::Password(_) | NewFactor::RecoveryCodes(_) => None,
        }
    }
}

impl<R: Repository> Identity<R> {
    /// Lets a step take effect that is on record.
    ///
    /// # Errors
    /// [`IdentityError::NoSession`], [`IdentityError::PasskeyKnown`], [`IdentityError::Refused`], [`IdentityError::Invite`] or
    /// [`IdentityError::Recovery`] when somebody else was faster: then nothing was changed.
    pub async fn take_effect(&self, ready: Ready) -> Result<SignedIn, IdentityError> {
        let Ready { session, token, deed } = ready;
        match deed {
            Deed::Write(change) => match self.repository.write_factor(&change, self.now()).await? {
                Written::Done => {}
                Written::SessionOver => return Err(IdentityError::NoSession),
                Written::Taken => return Err(taken(&change.factor)),
            },
            Deed::AcceptInvite(invite) => {
                if !self.repository.accept_invite(&invite, &session, self.now()).await? {
                    return Err(InviteError::Used.into());
                }
            }
            Deed::Redeem(recovery) => {
                if !self.repository.use_recovery(recovery, &session, self.now()).await? {
                    return Err(IdentityError::Recovery);
                }
            }
        }
        Ok(SignedIn { session, token })
    }

    /// A factor that was checked, in a session that it takes on.
    pub(super) fn ready_to_write(
        &self,
        live: Live,
        event: Event,
        factor: NewFactor,
    ) -> Result<Ready, IdentityError> {
        let (old, before) = (live.session.token_hash, live.session.state);
        let (session, token) = live.session.advance(event, self.now(), self.random())?;
        let is_in = matches!(before, SessionState::Active { .. });
        let change = FactorChange {
            completes: !is_in && matches!(session.state, SessionState::Active { .. }),
            // A passkey comes in addition to what there is, and codes replace no way in by themselves.
            ends_others: is_in && matches!(event, Event::Enrolled(FactorKind::Password | FactorKind::Totp)),
            factor,
            session: session.clone(),
            old,
        };
        Ok(Ready { session, token, deed: Deed::Write(Box::new(change)) })
    }

    /// A session that begins when the deed takes effect.
    pub(super) fn ready_to_begin(&self, who: Who, event: Event, deed: Deed) -> Result<Ready, IdentityError> {
        let (clock, random) = self.source();
        let (session, token) = SessionRecord::begin(who, event, clock, random)?;
        Ok(Ready { session, token, deed })
    }
}

const fn taken(factor: &NewFactor) -> IdentityError {
    match factor {
        NewFactor::Passkey(_) => IdentityError::PasskeyKnown,
        NewFactor::Password(_) | NewFactor::Totp(..) | NewFactor::RecoveryCodes(_) => IdentityError::Refused,
    }
}
