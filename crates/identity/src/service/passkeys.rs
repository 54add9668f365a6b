//! Signing in, stepping up and enrolling with passkeys.

use carekeep_kernel::{CredentialId, DeviceId};

use super::{
    Identity, IdentityError, Live, PersonRecord, Ready, Repository, SignedIn,
    repository::{NewFactor, Removed},
};
use crate::{
    FactorKind, PlainToken, TokenHash, TokenKind,
    flow::Event,
    passkey::{
        CeremonyId, CeremonyRecord, CreationChallengeResponse, Holder, Mediation, Newcomer, PasskeyError,
        PasskeyRecord, PublicKeyCredential, Reason, RegisterPublicKeyCredential, RequestChallengeResponse,
    },
    session::{SessionRecord, Who},
    token,
};

/// A sign-in by passkey that has begun: the challenge for the browser, and what it has to bring back.
pub struct PasskeyBegun {
    /// For `navigator.credentials.get()`.
    pub challenge: RequestChallengeResponse,
    /// Which ceremony it is.
    pub ceremony: CeremonyId,
    /// Binds the ceremony to this browser: goes into a cookie.
    pub holder: PlainToken,
}

/// A passkey whose answer was right, and the counter that it had before.
struct UsedPasskey {
    person: PersonRecord,
    passkey: PasskeyRecord,
    counter: u32,
}

impl<R: Repository> Identity<R> {
    /// Begins a sign-in without a login name.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn begin_passkey_sign_in(&self, mediation: Mediation) -> Result<PasskeyBegun, IdentityError> {
        let (holder_token, hash) = token::issue(TokenKind::Ceremony, self.random());
        let holder = Holder { tenant: self.party.tenant(), token: hash, person: None };
        let (challenge, record) = self.party.start_discoverable(holder, mediation, self.source())?;
        self.repository.add_ceremony(&record).await?;
        Ok(PasskeyBegun { challenge, ceremony: record.id, holder: holder_token })
    }

    /// Finishes a sign-in without a login name: two factors at once.
    ///
    /// # Errors
    /// [`IdentityError::Passkey`] when it was not accepted, for whatever reason.
    pub async fn finish_passkey_sign_in(
        &self,
        ceremony: CeremonyId,
        holder: &str,
        response: &PublicKeyCredential,
        device: Option<DeviceId>,
    ) -> Result<SignedIn, IdentityError> {
        let token = TokenHash::of_presented(TokenKind::Ceremony, holder).map_err(|_| PasskeyError::Stale)?;
        let holder = Holder { tenant: self.party.tenant(), token, person: None };
        let record = self.take(ceremony, holder).await?;
        let used = self.check_passkey(record, holder, response).await?;
        let who = Who { tenant: used.person.tenant, person: used.person.id, device };
        let signed_in = self.begin(who, Event::Proven(FactorKind::Passkey)).await?;
        let settled = self.settle_passkey(used).await;
        self.keep_if(settled, signed_in).await
    }

    /// Begins the use of a passkey in a session: as second factor, or for step-up.
    ///
    /// # Errors
    /// When the person has none.
    pub async fn begin_passkey_step(
        &self,
        token: &str,
    ) -> Result<(RequestChallengeResponse, CeremonyId), IdentityError> {
        let live = self.ready_for(token, Event::Proven(FactorKind::Passkey)).await?;
        let passkeys = self.repository.passkeys(live.person.id).await?;
        let (challenge, record) =
            self.party.start_authentication(holder_of(&live.session), &passkeys, self.source())?;
        self.repository.add_ceremony(&record).await?;
        Ok((challenge, record.id))
    }

    /// Finishes the use of a passkey in a session.
    ///
    /// # Errors
    /// [`IdentityError::Passkey`] when it was not accepted, for whatever reason.
    pub async fn finish_passkey_step(
        &self,
        token: &str,
        ceremony: CeremonyId,
        response: &PublicKeyCredential,
    ) -> Result<SignedIn, IdentityError> {
        let event = Event::Proven(FactorKind::Passkey);
        let live = self.ready_for(token, event).await?;
        let holder = holder_of(&live.session);
        let record = self.take(ceremony, holder).await?;
        let used = self.check_passkey(record, holder, response).await?;
        self.settle_passkey(used).await?;
        self.advance(live, event).await
    }

    /// Begins to register a passkey, in an enrolment or with a fresh factor.
    ///
    /// # Errors
    /// [`IdentityError::FreshFactorNeeded`] when the last factor is older than five minutes.
    pub async fn begin_passkey_enrolment(
        &self,
        token: &str,
        login: &str,
        display_name: &str,
    ) -> Result<(CreationChallengeResponse, CeremonyId), IdentityError> {
        let live = self.ready_for(token, Event::Enrolled(FactorKind::Passkey)).await?;
        let existing = self.repository.passkeys(live.person.id).await?;
        let newcomer = Newcomer { person: live.person.id, login, display_name };
        let demand = self.repository.demand(&live.person).await?;
        let (holder, wanted) = (holder_of(&live.session), (newcomer, &demand));
        let (challenge, record) = self.party.start_registration(holder, wanted, &existing, self.source())?;
        self.repository.add_ceremony(&record).await?;
        Ok((challenge, record.id))
    }

    /// Finishes registering a passkey; completes an enrolment.
    ///
    /// # Errors
    /// [`IdentityError::Passkey`] when it was not accepted, or is not what is demanded of somebody with these roles.
    pub async fn finish_passkey_enrolment(
        &self,
        token: &str,
        ceremony: CeremonyId,
        (response, name): (&RegisterPublicKeyCredential, &str),
    ) -> Result<Ready, IdentityError> {
        let event = Event::Enrolled(FactorKind::Passkey);
        let live = self.ready_for(token, event).await?;
        let holder = holder_of(&live.session);
        let record = self.take(ceremony, holder).await?;
        let demand = self.repository.demand(&live.person).await?;
        let by = (holder, &demand);
        let passkey = self.party.finish_registration(record, by, (response, name), self.source())?;
        if self.repository.passkey(&passkey.credential_id).await?.is_some() {
            return Err(IdentityError::PasskeyKnown);
        }
        self.ready_to_write(live, event, NewFactor::Passkey(Box::new(passkey)))
    }

    /// The passkeys of the person of this token, the oldest first.
    ///
    /// # Errors
    /// When there is no session with two factors.
    pub async fn list_passkeys(&self, token: &str) -> Result<Vec<PasskeyRecord>, IdentityError> {
        let live = self.active(token).await?;
        Ok(self.repository.passkeys(live.person.id).await?)
    }

    /// Gives one of one's own passkeys another name.
    ///
    /// # Errors
    /// [`IdentityError::NoFactor`], or when there is no session with two factors.
    pub async fn rename_passkey(
        &self,
        token: &str,
        id: CredentialId,
        name: &str,
    ) -> Result<(), IdentityError> {
        let live = self.active(token).await?;
        let renamed = self.repository.rename_passkey(live.person.id, id, &PasskeyRecord::named(name)).await?;
        if renamed { Ok(()) } else { Err(IdentityError::NoFactor) }
    }

    /// Whether one may ask for one's own passkey to be taken out of use.
    ///
    /// # Errors
    /// [`IdentityError::NoFactor`]; [`IdentityError::FreshFactorNeeded`] when the last factor is older than five minutes.
    pub async fn may_remove_passkey(&self, token: &str, id: CredentialId) -> Result<Live, IdentityError> {
        let live = self.active(token).await?;
        if !live.session.may_change_factors(self.now()) {
            return Err(IdentityError::FreshFactorNeeded);
        }
        let own = self.repository.passkeys(live.person.id).await?;
        if own.iter().any(|passkey| passkey.id == id) { Ok(live) } else { Err(IdentityError::NoFactor) }
    }

    /// Takes one of one's own passkeys out of use, and ends all other sessions: the device may be in other hands.
    ///
    /// # Errors
    /// As [`Identity::may_remove_passkey`]; [`IdentityError::LastFactors`] when what remains would not let the person in.
    pub async fn remove_passkey(&self, token: &str, id: CredentialId) -> Result<Live, IdentityError> {
        let live = self.may_remove_passkey(token, id).await?;
        match self.repository.remove_passkey((live.person.id, live.session.id), id, self.now()).await? {
            Removed::Absent => Err(IdentityError::NoFactor),
            Removed::LastFactors => Err(IdentityError::LastFactors),
            Removed::SessionOver => Err(IdentityError::NoSession),
            Removed::Done => Ok(live),
        }
    }

    /// Somebody else's ceremony is not there: it can neither be told from an absent one nor used up.
    async fn take(&self, id: CeremonyId, holder: Holder) -> Result<CeremonyRecord, IdentityError> {
        Ok(self.repository.take_ceremony(id, holder.token).await?.ok_or(PasskeyError::Stale)?)
    }

    /// Verifies a response with the passkey that it names.
    async fn check_passkey(
        &self,
        record: CeremonyRecord,
        holder: Holder,
        response: &PublicKeyCredential,
    ) -> Result<UsedPasskey, IdentityError> {
        let strange = || PasskeyError::from(Reason::NotTheirs);
        let passkey = self.repository.passkey(response.get_credential_id()).await?.ok_or_else(strange)?;
        let person = self.repository.person(passkey.person).await?.ok_or_else(strange)?;
        if !self.may_sign_in(&person) {
            return Err(strange().into());
        }
        let counter = passkey.counter;
        let demand = self.repository.demand(&person).await?;
        let by = (holder, &demand);
        let passkey = self.party.finish_authentication(record, by, (response, passkey), self.now())?;
        Ok(UsedPasskey { person, passkey, counter })
    }

    /// Stores what changed by the use of a passkey. Of two copies of an authenticator that sign at the same moment one wins, and
    /// a passkey that was taken out of use meanwhile does not.
    async fn settle_passkey(&self, used: UsedPasskey) -> Result<(), IdentityError> {
        if self.repository.update_passkey(&used.passkey, used.counter).await? {
            Ok(())
        } else {
            Err(PasskeyError::from(Reason::Counter).into())
        }
    }
}

const fn holder_of(session: &SessionRecord) -> Holder {
    Holder { tenant: session.tenant, token: session.token_hash, person: Some(session.person) }
}
