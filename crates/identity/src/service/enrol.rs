//! Invitations, and setting up passwords, code generators and recovery codes.
//!
//! Each step is checked first and gives a [`Ready`]; whoever calls puts it on record and has it take effect then.

use carekeep_kernel::{CredentialId, DeviceId};
use zeroize::Zeroizing;

use super::{
    Identity, IdentityError, PASSWORD_USE, Ready, Repository,
    locks::Outcome,
    ready::Deed,
    repository::{LockKey, NewFactor, TotpRecord},
};
use crate::{
    FactorKind, PlainToken, TokenHash, TokenKind,
    flow::{self, Event},
    invite::{self, Invitation, InviteError, InviteRecord},
    recovery::{self, PlainCode},
    session::Who,
    softlock::LockKind,
    totp::{self, TotpSecret},
};

/// What a person needs to set up a code generator. Shown once.
pub struct TotpEnrolment {
    /// The address in the QR code.
    pub url: Zeroizing<String>,
    /// The secret for typing it in.
    pub secret: Zeroizing<String>,
    /// The QR code as SVG.
    pub svg: Zeroizing<String>,
}

impl<R: Repository> Identity<R> {
    /// Invites a newcomer. Whether the inviter may grant these roles is decided before, by policy.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn invite(&self, invitation: Invitation) -> Result<(InviteRecord, PlainToken), IdentityError> {
        let (clock, random) = self.source();
        let (record, token) = invite::issue(invitation, clock, random);
        self.repository.add_invite(&record).await?;
        Ok((record, token))
    }

    /// Accepts an invitation. The session that begins can do nothing but enrol factors.
    ///
    /// # Errors
    /// [`IdentityError::Invite`] when it is not good (any more), [`IdentityError::OutOfOrder`] when the person is set up.
    pub async fn accept_invite(&self, link: &str, device: Option<DeviceId>) -> Result<Ready, IdentityError> {
        let hash = TokenHash::of_presented(TokenKind::Invite, link).map_err(|_| InviteError::Unknown)?;
        let record = self.repository.invite(hash).await?.ok_or(InviteError::Unknown)?;
        record.check(self.party.tenant(), self.now())?;
        let person = self.repository.person(record.person).await?.ok_or(InviteError::Unknown)?;
        let event = Event::InviteAccepted { has_factors: person.activated.is_some() };
        if person.barred.is_some() && !flow::counts_for_suspended(event) {
            return Err(InviteError::Unknown.into());
        }
        flow::next(flow::AuthState::Anonymous, event)?;
        let who = Who { tenant: person.tenant, person: person.id, device };
        self.ready_to_begin(who, event, Deed::AcceptInvite(record))
    }

    /// Redeems the recovery of an account: what two administrators handed over, after the hold. The session that begins can do
    /// nothing but enrol factors.
    ///
    /// # Errors
    /// [`IdentityError::Recovery`] when there is none that these open now, whatever the reason is.
    pub async fn redeem_recovery(
        &self,
        link: &str,
        code: &str,
        device: Option<DeviceId>,
    ) -> Result<Ready, IdentityError> {
        let hash = TokenHash::of_presented(TokenKind::Recovery, link).map_err(|_| IdentityError::Recovery)?;
        let open = self.repository.open_recovery(hash, code, self.now()).await?;
        let open = open.ok_or(IdentityError::Recovery)?;
        let who = Who { tenant: self.party.tenant(), person: open.person, device };
        self.ready_to_begin(who, Event::RecoveryRedeemed, Deed::Redeem(open))
    }

    /// Sets or changes the password. `context` are words that it must not be made of: login name, name, brand.
    ///
    /// # Errors
    /// When the policy does not allow it, or [`IdentityError::FreshFactorNeeded`].
    pub async fn set_password(
        &self,
        token: &str,
        password: Zeroizing<String>,
        context: Vec<String>,
    ) -> Result<Ready, IdentityError> {
        self.check_passwords().await?;
        let event = Event::Enrolled(FactorKind::Password);
        let live = self.ready_for(token, event).await?;
        let stored = self.shared.passwords.choose(password, PASSWORD_USE, context, self.random()).await?;
        self.ready_to_write(live, event, NewFactor::Password(stored))
    }

    /// Begins to set up a code generator: shows its secret.
    ///
    /// # Errors
    /// [`IdentityError::FreshFactorNeeded`] when the last factor is older than five minutes.
    pub async fn begin_totp(
        &self,
        token: &str,
        issuer: &str,
        account: &str,
    ) -> Result<TotpEnrolment, IdentityError> {
        let live = self.ready_for(token, Event::Enrolled(FactorKind::Totp)).await?;
        let secret = TotpSecret::generate(self.random());
        let url = totp::provisioning_url(&secret, issuer, account).map_err(IdentityError::Totp)?;
        let svg = totp::qr_svg(&url).map_err(IdentityError::Totp)?;
        let text = secret.to_base32();
        let (clock, random) = self.source();
        let record = TotpRecord { id: CredentialId::generate(clock, random), secret, last_used: None };
        self.repository.put_unconfirmed_totp(live.person.id, &record, self.now()).await?;
        Ok(TotpEnrolment { url, secret: text, svg: Zeroizing::new(svg) })
    }

    /// Finishes setting up a code generator with its first code.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] when the code is wrong.
    pub async fn confirm_totp(&self, token: &str, code: &str) -> Result<Ready, IdentityError> {
        let event = Event::Enrolled(FactorKind::Totp);
        let live = self.ready_for(token, event).await?;
        let key = LockKey::Person(LockKind::Totp, live.person.id);
        self.charge(key).await?;
        let record = self.repository.unconfirmed_totp(live.person.id).await?;
        let step = |record: &TotpRecord| totp::verify(&record.secret, code, self.now(), None).ok();
        let Some((id, step)) = record.and_then(|record| Some((record.id, step(&record)?))) else {
            self.settle(key, Outcome::Wrong).await?;
            return Err(IdentityError::Refused);
        };
        self.settle(key, Outcome::Right).await?;
        self.ready_to_write(live, event, NewFactor::Totp(id, step))
    }

    /// Makes a new set of recovery codes; the old ones are gone.
    ///
    /// # Errors
    /// [`IdentityError::FreshFactorNeeded`] when the last factor is older than five minutes.
    pub async fn new_recovery_codes(&self, token: &str) -> Result<(Ready, Vec<PlainCode>), IdentityError> {
        let event = Event::Enrolled(FactorKind::RecoveryCode);
        let live = self.ready_for(token, event).await?;
        let (clock, random) = self.source();
        let (codes, records) = recovery::generate(live.person.id, clock, random);
        Ok((self.ready_to_write(live, event, NewFactor::RecoveryCodes(records))?, codes))
    }
}
