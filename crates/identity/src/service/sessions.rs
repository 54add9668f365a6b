//! Presenting, listing and ending sessions.

use carekeep_kernel::{PersonId, SessionId};

use super::{Identity, IdentityError, PersonRecord, Repository, SignedIn};
use crate::{
    TokenHash, TokenKind,
    flow::{self, AuthState, Event, SessionState},
    session::{Activity, SessionRecord, SessionVerdict, Who},
};

/// A session that is good, and whose it is.
#[derive(Debug, Clone)]
pub struct Live {
    /// The session.
    pub session: SessionRecord,
    /// The person.
    pub person: PersonRecord,
}

impl<R: Repository> Identity<R> {
    /// The session of a presented token, if it is good. For every request; a process may keep the answer for up to a second.
    ///
    /// # Errors
    /// [`IdentityError::NoSession`] whatever the reason is.
    pub async fn authenticate(&self, token: &str, activity: Activity) -> Result<Live, IdentityError> {
        let hash =
            TokenHash::of_presented(TokenKind::Session, token).map_err(|_| IdentityError::NoSession)?;
        let mut session = self.repository.session(hash).await?.ok_or(IdentityError::NoSession)?;
        let person = self.repository.person(session.person).await?.ok_or(IdentityError::NoSession)?;
        if session.tenant != self.party.tenant() || person.tenant != session.tenant || person.barred.is_some()
        {
            return Err(IdentityError::NoSession);
        }
        let limits = self.settings.limits(person.audience);
        let SessionVerdict::Live { last_seen, save, .. } = session.assess(self.now(), limits, activity)
        else {
            return Err(IdentityError::NoSession);
        };
        session.last_seen = last_seen;
        if save {
            self.repository.touch_session(session.id, last_seen).await?;
            session.last_saved = last_seen;
        }
        Ok(Live { session, person })
    }

    /// Ends the session of this token.
    ///
    /// # Errors
    /// When there is none.
    pub async fn sign_out(&self, token: &str) -> Result<(), IdentityError> {
        let live = self.authenticate(token, Activity::Background).await?;
        self.repository.revoke_session(live.person.id, live.session.id, self.now()).await?;
        Ok(())
    }

    /// The sessions of the person of this token. Only a whole sign-in sees them.
    ///
    /// # Errors
    /// When there is no session with two factors.
    pub async fn list_sessions(&self, token: &str) -> Result<Vec<SessionRecord>, IdentityError> {
        let live = self.active(token).await?;
        let limits = self.settings.limits(live.person.audience);
        let mut sessions = self.repository.sessions(live.person.id).await?;
        sessions.retain(|one| {
            matches!(one.assess(self.now(), limits, Activity::Background), SessionVerdict::Live { .. })
        });
        Ok(sessions)
    }

    /// Ends one of one's own sessions. Answers whether there was such a session.
    ///
    /// # Errors
    /// When there is no session with two factors.
    pub async fn revoke_session(&self, token: &str, id: SessionId) -> Result<bool, IdentityError> {
        let live = self.active(token).await?;
        Ok(self.repository.revoke_session(live.person.id, id, self.now()).await?)
    }

    /// Ends all of one's own sessions but this one. Answers how many.
    ///
    /// # Errors
    /// When there is no session with two factors.
    pub async fn revoke_other_sessions(&self, token: &str) -> Result<u64, IdentityError> {
        let live = self.active(token).await?;
        Ok(self.repository.revoke_sessions(live.person.id, Some(live.session.id), self.now()).await?)
    }

    /// Ends all sessions of a person: suspension, removal, change of roles.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn revoke_all_sessions(&self, person: PersonId) -> Result<u64, IdentityError> {
        Ok(self.repository.revoke_sessions(person, None, self.now()).await?)
    }

    pub(super) async fn active(&self, token: &str) -> Result<Live, IdentityError> {
        // Whether it is use is said by whoever authenticated the request.
        let live = self.authenticate(token, Activity::Background).await?;
        match live.session.state {
            SessionState::Active { .. } => Ok(live),
            SessionState::PendingSecondFactor | SessionState::Enrolling(_) => Err(IdentityError::NoSession),
        }
    }

    /// The session of a token, if `event` fits its state: asked before anything that works once is used up.
    pub(super) async fn ready_for(&self, token: &str, event: Event) -> Result<Live, IdentityError> {
        let live = self.authenticate(token, self.activity).await?;
        flow::next(AuthState::Session(live.session.state), event)?;
        if matches!(event, Event::Enrolled(_)) && !live.session.may_change_factors(self.now()) {
            return Err(IdentityError::FreshFactorNeeded);
        }
        Ok(live)
    }

    /// Begins a session.
    pub(super) async fn begin(&self, who: Who, event: Event) -> Result<SignedIn, IdentityError> {
        let (clock, random) = self.source();
        let (session, token) = SessionRecord::begin(who, event, clock, random)?;
        self.repository.add_session(&session).await?;
        Ok(SignedIn { session, token })
    }

    /// Gives a session that has begun, if what it began with still counts; otherwise ends it. The person is asked for again:
    /// whoever barred them after they were asked for the first time may have found no session to end.
    pub(super) async fn keep_if(
        &self,
        settled: Result<(), IdentityError>,
        signed_in: SignedIn,
    ) -> Result<SignedIn, IdentityError> {
        let (person, id) = (signed_in.session.person, signed_in.session.id);
        let outcome = match settled {
            Ok(()) => match self.repository.person(person).await? {
                Some(person) if self.may_sign_in(&person) => return Ok(signed_in),
                _ => IdentityError::Refused,
            },
            Err(error) => error,
        };
        self.repository.revoke_session(person, id, self.now()).await?;
        Err(outcome)
    }

    /// Takes a session on by a step that was verified.
    pub(super) async fn advance(&self, live: Live, event: Event) -> Result<SignedIn, IdentityError> {
        let old = live.session.token_hash;
        let (session, token) = live.session.advance(event, self.now(), self.random())?;
        if !self.repository.replace_session(&session, old).await? {
            return Err(IdentityError::NoSession);
        }
        Ok(SignedIn { session, token })
    }
}
