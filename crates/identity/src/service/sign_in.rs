//! Signing in with a password and a second factor.

use carekeep_kernel::DeviceId;

use super::{
    Identity, IdentityError, Live, Login, LoginName, PersonRecord, Repository, SignedIn, locks::Outcome,
    repository::LockKey,
};
use crate::{
    FactorKind,
    flow::{Event, SessionState},
    password::{PlainPassword, Verdict},
    recovery,
    session::Who,
    softlock::LockKind,
    totp,
};

impl<R: Repository> Identity<R> {
    /// The first half of signing in. The session that begins can do nothing but prove a second factor.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when the name or the password is wrong, or the person may not sign in.
    pub async fn sign_in_with_password(
        &self,
        login: &str,
        password: &str,
        device: Option<DeviceId>,
    ) -> Result<SignedIn, IdentityError> {
        self.check_passwords().await?;
        // What can be nobody's name or password needs no work: it tells nothing about anybody.
        let (Ok(login), Ok(plain)) = (LoginName::parse(login), PlainPassword::typed(password)) else {
            return Err(IdentityError::Refused);
        };
        let key = LockKey::Login(&login);
        self.charge(key).await?;
        let found = self.repository.login(&login).await?;
        let found = found.filter(|found| self.may_sign_in(&found.person));
        let stored = found.as_ref().and_then(|found| found.password.as_ref());
        let verdict = match self.shared.passwords.verify(plain, stored).await {
            Ok(verdict) => verdict,
            Err(error) => {
                self.settle(key, Outcome::Unchecked).await?;
                return Err(error.into());
            }
        };
        let (Verdict::Right { rehash }, Some(found)) = (verdict, found) else {
            self.settle(key, Outcome::Wrong).await?;
            return Err(IdentityError::Refused);
        };
        self.settle(key, Outcome::Right).await?;
        let who = Who { tenant: found.person.tenant, person: found.person.id, device };
        let signed_in = self.begin(who, Event::Proven(FactorKind::Password)).await?;
        let settled = self.settle_password(&login, &found, rehash.then_some(password)).await;
        self.keep_if(settled, signed_in).await
    }

    /// Whether the password that was verified is still the one of the login name. One that was hashed with weaker settings is
    /// stored anew; a full pool is no reason to fail: next time, then.
    async fn settle_password(
        &self,
        login: &LoginName,
        found: &Login,
        rehash: Option<&str>,
    ) -> Result<(), IdentityError> {
        let now = self.repository.login(login).await?;
        if now.as_ref().map(|now| &now.password) != Some(&found.password) {
            return Err(IdentityError::Refused);
        }
        let (Some(old), Some(Ok(plain))) = (&found.password, rehash.map(PlainPassword::typed)) else {
            return Ok(());
        };
        if let Ok(new) = self.shared.passwords.hash(plain, self.random()).await {
            // Whoever changed it meanwhile keeps what they chose.
            self.repository.rehash_password(found.person.id, (old, &new), self.now()).await?;
        }
        Ok(())
    }

    /// The second half of signing in, or step-up: a code of the app.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when the code is wrong or was used, [`IdentityError::NoSession`] without the first half.
    pub async fn prove_code(&self, token: &str, code: &str) -> Result<SignedIn, IdentityError> {
        let event = Event::Proven(FactorKind::Totp);
        let live = self.ready_for(token, event).await?;
        self.check_first_factor(&live).await?;
        let key = LockKey::Person(LockKind::Totp, live.person.id);
        self.charge(key).await?;
        if !self.use_code(&live.person, code).await? {
            self.settle(key, Outcome::Wrong).await?;
            return Err(IdentityError::Refused);
        }
        self.settle(key, Outcome::Right).await?;
        self.advance(live, event).await
    }

    /// The second half of signing in when the second factor is lost: a recovery code.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when the code is wrong or was used, [`IdentityError::NoSession`] without the first half.
    pub async fn prove_recovery_code(&self, token: &str, code: &str) -> Result<SignedIn, IdentityError> {
        let event = Event::Proven(FactorKind::RecoveryCode);
        let live = self.ready_for(token, event).await?;
        self.check_first_factor(&live).await?;
        let key = LockKey::Person(LockKind::Recovery, live.person.id);
        self.charge(key).await?;
        let codes = self.repository.recovery_codes(live.person.id).await?;
        let used = match recovery::find(&codes, live.person.id, code) {
            Ok(found) => self.repository.use_recovery_code(found.id, self.now()).await?,
            Err(_) => false,
        };
        if !used {
            self.settle(key, Outcome::Wrong).await?;
            return Err(IdentityError::Refused);
        }
        self.settle(key, Outcome::Right).await?;
        self.advance(live, event).await
    }

    /// Whether there are passwords at this tenant. It is the same for everybody, so it tells nothing about anybody.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn takes_passwords(&self) -> Result<bool, IdentityError> {
        Ok(self.repository.passwords().await?)
    }

    pub(super) async fn check_passwords(&self) -> Result<(), IdentityError> {
        if self.takes_passwords().await? { Ok(()) } else { Err(IdentityError::NoPasswords) }
    }

    /// Whether a code is the second half of what a session began with. A password that was right when the tenant still took passwords
    /// is half of nothing once it takes none; and a tenant without passwords lets nobody in by a provider and a code whom it would
    /// not let in by the provider alone.
    async fn check_first_factor(&self, live: &Live) -> Result<(), IdentityError> {
        let began = |kind| live.session.factors.iter().any(|proven| proven.kind == kind);
        if live.session.state != SessionState::PendingSecondFactor || self.takes_passwords().await? {
            return Ok(());
        }
        let leaves = began(FactorKind::Federated)
            && !began(FactorKind::Password)
            && self.repository.leaves_factors_to_provider(&live.person).await?;
        if leaves { Ok(()) } else { Err(IdentityError::NoPasswords) }
    }

    /// Whether a code completes a sign-in of this person that began at the provider.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn code_follows_provider(&self, person: &PersonRecord) -> Result<bool, IdentityError> {
        Ok(self.takes_passwords().await? || self.repository.leaves_factors_to_provider(person).await?)
    }

    /// Whether a person may sign in here at all.
    pub(super) fn may_sign_in(&self, person: &PersonRecord) -> bool {
        person.tenant == self.party.tenant() && person.barred.is_none() && person.activated.is_some()
    }

    async fn use_code(&self, person: &PersonRecord, code: &str) -> Result<bool, IdentityError> {
        let Some(record) = self.repository.totp(person.id).await? else { return Ok(false) };
        match totp::verify(&record.secret, code, self.now(), record.last_used) {
            Ok(step) => Ok(self.repository.use_totp_step(record.id, step).await?),
            Err(_) => Ok(false),
        }
    }
}
