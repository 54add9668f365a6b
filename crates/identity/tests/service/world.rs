//! A clinic with people, and what they do to sign in.

use std::{sync::Arc, time::Duration};

use carekeep_identity::{
    invite::Invitation,
    passkey::{Mediation, PublicKeyCredential, RelyingParty},
    password::{HashSettings, PasswordHashes},
    recovery::PlainCode,
    service::{Audience, Identity, IdentityError, PersonRecord, Ready, Shared, SignedIn, TenantSettings},
    totp::{self, TotpSecret},
};
use carekeep_kernel::{Clock, ManualClock, PersonId, SeededRandom, TenantId, Timestamp};
use webauthn_authenticator_rs::{WebauthnAuthenticator, softpasskey::SoftPasskey};
use webauthn_rs::prelude::Url;
use webauthn_rs_proto::AllowCredentials;

use crate::memory::Memory;

pub(crate) const PASSWORD: &str = "pelican tangerine ledger";
pub(crate) const HOST: &str = "bright.clinic.example";

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) random: Arc<SeededRandom>,
    pub(crate) identity: Arc<Identity<Memory>>,
    pub(crate) tenant: TenantId,
}

/// Somebody who is set up with password and code generator.
pub(crate) struct Person {
    pub(crate) id: PersonId,
    pub(crate) login: String,
    secret: TotpSecret,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(HashSettings::default(), TenantSettings::default())
    }

    pub(crate) fn with(hashes: HashSettings, settings: TenantSettings) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_700_000_010_000_000)));
        let random = Arc::new(SeededRandom::new(1));
        let tenant = TenantId::generate(&*clock, &*random);
        let party = RelyingParty::new(tenant, HOST, 8443, "Bright Clinic").unwrap();
        let passwords = PasswordHashes::new(hashes, &*random).unwrap();
        let shared = Shared { clock: clock.clone(), random: random.clone(), passwords };
        let identity = Arc::new(Identity::new(Memory::default(), party, settings, shared));
        Self { clock, random, identity, tenant }
    }

    pub(crate) fn newcomer(&self, login: &str) -> PersonId {
        let id = PersonId::generate(&*self.clock, &*self.random);
        let person = PersonRecord {
            id,
            tenant: self.tenant,
            audience: Audience::Staff,
            activated: None,
            barred: None,
        };
        self.identity.repository().state().people.push((login.to_owned(), person));
        id
    }

    /// Lets a step take effect that succeeded so far.
    pub(crate) async fn done(&self, step: Result<Ready, IdentityError>) -> Result<SignedIn, IdentityError> {
        self.identity.take_effect(step?).await
    }

    /// Uses an invitation.
    pub(crate) async fn accept(&self, link: &str) -> Result<SignedIn, IdentityError> {
        self.done(self.identity.accept_invite(link, None).await).await
    }

    /// A new set of recovery codes, in effect.
    pub(crate) async fn new_codes(&self, token: &str) -> Result<(SignedIn, Vec<PlainCode>), IdentityError> {
        let (ready, codes) = self.identity.new_recovery_codes(token).await?;
        Ok((self.identity.take_effect(ready).await?, codes))
    }

    /// An invitation link of a person.
    pub(crate) async fn link(&self, person: PersonId) -> String {
        let invitation = Invitation {
            tenant: self.tenant,
            person,
            invited_by: person,
            roles: vec!["clinician".to_owned()],
        };
        self.identity.invite(invitation).await.unwrap().1.reveal().to_owned()
    }

    /// Sets up a code generator in the session of this token; answers with the next token.
    pub(crate) async fn set_up_codes(&self, token: &str) -> (String, TotpSecret) {
        let enrolment = self.identity.begin_totp(token, "Bright Clinic", "ada").await.unwrap();
        let bytes = data_encoding::BASE32_NOPAD.decode(enrolment.secret.as_bytes()).unwrap();
        let secret = TotpSecret::from_bytes(bytes.try_into().unwrap());
        let code = totp::code_at(&secret, self.clock.now());
        let signed_in = self.done(self.identity.confirm_totp(token, &code).await).await.unwrap();
        (signed_in.token.reveal().to_owned(), secret)
    }

    /// Somebody who came by invitation and set up password and codes; and the token of that session.
    pub(crate) async fn person(&self, login: &str) -> (Person, String) {
        let id = self.newcomer(login);
        let enrolling = self.accept(&self.link(id).await).await.unwrap();
        let token = enrolling.token.reveal();
        let half = self
            .done(self.identity.set_password(token, PASSWORD.to_owned().into(), Vec::new()).await)
            .await
            .unwrap();
        let (token, secret) = self.set_up_codes(half.token.reveal()).await;
        self.next_step();
        (Person { id, login: login.to_owned(), secret }, token)
    }

    pub(crate) fn next_step(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    pub(crate) fn code(&self, person: &Person) -> String {
        totp::code_at(&person.secret, self.clock.now())
    }

    pub(crate) async fn password(&self, login: &str, password: &str) -> Result<SignedIn, IdentityError> {
        self.identity.sign_in_with_password(login, password, None).await
    }

    /// Signs in with password and code; answers with the token.
    pub(crate) async fn sign_in(&self, person: &Person) -> String {
        let pending = self.password(&person.login, PASSWORD).await.unwrap();
        let active = self.identity.prove_code(pending.token.reveal(), &self.code(person)).await.unwrap();
        self.next_step();
        active.token.reveal().to_owned()
    }

    /// Enrols a passkey in the session of this token; answers with the next token.
    pub(crate) async fn set_up_passkey(&self, token: &str, authenticator: &mut Device) -> String {
        let (mut challenge, ceremony) =
            self.identity.begin_passkey_enrolment(token, "ada", "Dr. Ada").await.unwrap();
        if let Some(selection) = &mut challenge.public_key.authenticator_selection {
            selection.require_resident_key = false;
        }
        let response = authenticator.soft.do_registration(origin(), challenge).unwrap();
        authenticator.credential = response.raw_id.clone();
        let signed_in = self
            .done(self.identity.finish_passkey_enrolment(token, ceremony, (&response, "laptop")).await)
            .await
            .unwrap();
        signed_in.token.reveal().to_owned()
    }

    /// Begins a sign-in without a login name and lets the device answer: everything that the browser sends.
    pub(crate) async fn passkey_answer(
        &self,
        person: PersonId,
        device: &mut Device,
    ) -> (carekeep_identity::passkey::CeremonyId, String, PublicKeyCredential) {
        let mut begun = self.identity.begin_passkey_sign_in(Mediation::Modal).await.unwrap();
        // The device has no store for discoverable keys: it is told which one, and the handle is added, which is not signed.
        begun.challenge.public_key.allow_credentials.push(AllowCredentials {
            type_: "public-key".to_owned(),
            id: device.credential.clone(),
            transports: None,
        });
        let mut response = device.soft.do_authentication(origin(), begun.challenge).unwrap();
        response.response.user_handle = Some(person.as_bytes().to_vec());
        (begun.ceremony, begun.holder.reveal().to_owned(), response)
    }
}

/// A device with a passkey.
pub(crate) struct Device {
    pub(crate) soft: SoftPasskey,
    credential: Vec<u8>,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self { soft: SoftPasskey::new(true), credential: Vec::new() }
    }
}

pub(crate) fn origin() -> Url {
    Url::parse(&format!("https://{HOST}:8443")).unwrap()
}
