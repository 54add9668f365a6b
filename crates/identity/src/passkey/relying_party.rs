//! The two ceremonies, at one tenant.

use carekeep_kernel::{Clock, CredentialId, PersonId, Random, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        AttestedPasskeyRegistration, CreationChallengeResponse, Credential, CredentialID,
        DiscoverableAuthentication, DiscoverableKey, Passkey, PasskeyAuthentication, PasskeyRegistration,
        PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse, Url,
    },
};
use webauthn_rs_proto::ResidentKeyRequirement;

use super::{
    CEREMONY_LIFETIME, CeremonyKind, CeremonyRecord, Demand, Holder, PasskeyError, PasskeyRecord, Reason,
    ceremony::{Begin, Opened},
    checks::{AuthenticatorFlags, refuse_frames},
    demand::not_attested,
};

/// A tenant as WebAuthn sees it.
#[derive(Debug, Clone)]
pub struct RelyingParty {
    tenant: TenantId,
    webauthn: Webauthn,
}

/// Whose passkey is registered.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// The person; becomes the user handle.
    pub person: PersonId,
    /// The login name that the authenticator shows.
    pub login: &'a str,
    /// The name that the authenticator shows.
    pub display_name: &'a str,
}

/// A registration under way: with an attestation where one is demanded, otherwise without, for it tells what people own.
#[derive(Serialize, Deserialize)]
enum Registering {
    Plain(Box<PasskeyRegistration>),
    Attested(Box<AttestedPasskeyRegistration>),
}

/// How the browser offers the passkeys that it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mediation {
    /// In a dialogue, after a click.
    Modal,
    /// In the list of suggestions of the login field.
    Conditional,
}

impl RelyingParty {
    /// A tenant at `https://host:port`, called `name` by authenticators.
    ///
    /// # Errors
    /// When the host is no domain name.
    pub fn new(tenant: TenantId, host: &str, port: u16, name: &str) -> Result<Self, PasskeyError> {
        let origin =
            Url::parse(&format!("https://{host}:{port}")).map_err(|_| PasskeyError::Configuration)?;
        // The parser lower-cases and maps; what is not the same afterwards is not the tenant's canonical host.
        if origin.domain() != Some(host) {
            return Err(PasskeyError::Configuration);
        }
        let webauthn = WebauthnBuilder::new(host, &origin)
            .and_then(|builder| builder.rp_name(name).timeout(CEREMONY_LIFETIME).build())
            .map_err(|_| PasskeyError::Configuration)?;
        Ok(Self { tenant, webauthn })
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Begins a registration of what is demanded. The challenge goes to the browser, the record to the store. The challenge's
    /// randomness is webauthn-rs's own.
    ///
    /// # Errors
    /// When a stored passkey cannot be read, or a name is empty; [`PasskeyError::AttestedNeeded`] when an attestation is
    /// demanded and no maker is trusted.
    pub fn start_registration(
        &self,
        holder: Holder,
        (newcomer, demand): (Newcomer<'_>, &Demand),
        existing: &[PasskeyRecord],
        source: (&dyn Clock, &dyn Random),
    ) -> Result<(CreationChallengeResponse, CeremonyRecord), PasskeyError> {
        self.own(holder)?;
        if holder.person != Some(newcomer.person) {
            return Err(PasskeyError::Stale);
        }
        let known = existing.iter().map(|record| record.credential_id.clone()).collect();
        let (mut challenge, state) = self.registering(newcomer, demand, known)?;
        // webauthn-rs does not ask for it; without it nobody can sign in without a login name.
        if let Some(selection) = &mut challenge.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        let begin = Begin { holder, kind: CeremonyKind::Registration, person: Some(newcomer.person) };
        Ok((challenge, CeremonyRecord::begin(&begin, &state, source.0, source.1)?))
    }

    fn registering(
        &self,
        Newcomer { person, login, display_name }: Newcomer<'_>,
        demand: &Demand,
        known: Vec<CredentialID>,
    ) -> Result<(CreationChallengeResponse, Registering), PasskeyError> {
        let (person, known) = (person.as_uuid(), Some(known));
        let Some(makers) = demand.makers() else {
            let (challenge, state) =
                self.webauthn.start_passkey_registration(person, login, display_name, known)?;
            return Ok((challenge, Registering::Plain(Box::new(state))));
        };
        let (challenge, state) = self
            .webauthn
            .start_attested_passkey_registration(person, login, display_name, known, makers, None)
            .map_err(not_attested)?;
        Ok((challenge, Registering::Attested(Box::new(state))))
    }

    /// Finishes a registration. The store refuses a credential id that the tenant has already.
    ///
    /// # Errors
    /// When the ceremony is stale, the response does not fit, or the passkey is not what is demanded.
    pub fn finish_registration(
        &self,
        ceremony: CeremonyRecord,
        (holder, demand): (Holder, &Demand),
        (response, name): (&RegisterPublicKeyCredential, &str),
        source: (&dyn Clock, &dyn Random),
    ) -> Result<PasskeyRecord, PasskeyError> {
        let now = source.0.now();
        self.own(holder)?;
        let ceremony = ceremony.open(&holder, now)?;
        let person = match (ceremony.kind, ceremony.person) {
            (CeremonyKind::Registration, Some(person)) => person,
            _ => return Err(PasskeyError::Stale),
        };
        refuse_frames(&response.response.client_data_json)?;
        let credential: Credential = match ceremony.state()? {
            Registering::Plain(state) => self.webauthn.finish_passkey_registration(response, &state)?.into(),
            Registering::Attested(state) => self
                .webauthn
                .finish_attested_passkey_registration(response, &state)
                .map_err(not_attested)?
                .into(),
        };
        if response.extensions.cred_props.as_ref().is_some_and(|props| props.rk == Some(false)) {
            return Err(Reason::NotDiscoverable.into());
        }
        // What is demanded may have become more since the ceremony began.
        demand.check(&credential)?;
        let passkey = Passkey::from(credential.clone());
        let data = serde_json::to_string(&passkey).map_err(|_| PasskeyError::Corrupt)?;
        Ok(PasskeyRecord {
            id: CredentialId::generate(source.0, source.1),
            tenant: self.tenant,
            person,
            name: PasskeyRecord::named(name),
            credential_id: credential.cred_id.as_slice().to_vec(),
            data,
            created: now,
            last_used: None,
            backup_eligible: credential.backup_eligible,
            backup_state: credential.backup_state,
            counter: credential.counter,
        })
    }

    /// Begins the use of a passkey of a person who is known: second factor after a password, or step-up.
    ///
    /// # Errors
    /// When the person has no passkey, or a stored one cannot be read.
    pub fn start_authentication(
        &self,
        holder: Holder,
        passkeys: &[PasskeyRecord],
        source: (&dyn Clock, &dyn Random),
    ) -> Result<(RequestChallengeResponse, CeremonyRecord), PasskeyError> {
        self.own(holder)?;
        let theirs =
            |record: &PasskeyRecord| record.tenant == self.tenant && Some(record.person) == holder.person;
        if holder.person.is_none() || passkeys.is_empty() || !passkeys.iter().all(theirs) {
            return Err(Reason::NotTheirs.into());
        }
        let known: Vec<Passkey> = passkeys.iter().map(PasskeyRecord::passkey).collect::<Result<_, _>>()?;
        let (challenge, state) = self.webauthn.start_passkey_authentication(&known)?;
        let begin = Begin { holder, kind: CeremonyKind::Authentication, person: holder.person };
        Ok((challenge, CeremonyRecord::begin(&begin, &state, source.0, source.1)?))
    }

    /// Begins a sign-in without a login name.
    ///
    /// # Errors
    /// When the holder is at another tenant.
    pub fn start_discoverable(
        &self,
        holder: Holder,
        mediation: Mediation,
        source: (&dyn Clock, &dyn Random),
    ) -> Result<(RequestChallengeResponse, CeremonyRecord), PasskeyError> {
        self.own(holder)?;
        let (mut challenge, state) = self.webauthn.start_discoverable_authentication()?;
        if mediation == Mediation::Modal {
            challenge.mediation = None;
        }
        let begin = Begin { holder, kind: CeremonyKind::Discoverable, person: None };
        Ok((challenge, CeremonyRecord::begin(&begin, &state, source.0, source.1)?))
    }

    /// Finishes the use of a passkey: `passkey` is the stored one whose credential id the response names. Gives the
    /// record to store, with a compare-and-set on its old counter.
    ///
    /// # Errors
    /// When the ceremony is stale, the passkey is somebody else's, the response does not fit, or the passkey is not what is
    /// demanded (any more).
    pub fn finish_authentication(
        &self,
        ceremony: CeremonyRecord,
        (holder, demand): (Holder, &Demand),
        (response, passkey): (&PublicKeyCredential, PasskeyRecord),
        now: Timestamp,
    ) -> Result<PasskeyRecord, PasskeyError> {
        self.own(holder)?;
        let ceremony = ceremony.open(&holder, now)?;
        check_owner(&ceremony, &passkey, response, holder)?;
        refuse_frames(&response.response.client_data_json)?;
        let flags = AuthenticatorFlags::read(&response.response.authenticator_data)?;
        match ceremony.kind {
            CeremonyKind::Registration | CeremonyKind::Federation => return Err(PasskeyError::Stale),
            CeremonyKind::Authentication => {
                let state: PasskeyAuthentication = ceremony.state()?;
                self.webauthn.finish_passkey_authentication(response, &state)?;
            }
            CeremonyKind::Discoverable => {
                let state: DiscoverableAuthentication = ceremony.state()?;
                let key = DiscoverableKey::from(passkey.passkey()?);
                self.webauthn.finish_discoverable_authentication_v2(response, state, key)?;
            }
        }
        flags.check(&passkey)?;
        passkey.meets(demand)?;
        passkey.used(flags, now)
    }

    fn own(&self, holder: Holder) -> Result<(), PasskeyError> {
        if holder.tenant == self.tenant { Ok(()) } else { Err(PasskeyError::Stale) }
    }
}

/// The passkey must be of this tenant and of the ceremony's person; the user handle, which a discoverable sign-in
/// must have, must name the passkey's owner (WebAuthn section 7.2, step 6).
fn check_owner(
    ceremony: &Opened,
    passkey: &PasskeyRecord,
    response: &PublicKeyCredential,
    holder: Holder,
) -> Result<(), Reason> {
    let handle = response.get_user_unique_id();
    let handle_fits = match (ceremony.kind, handle) {
        (CeremonyKind::Discoverable, None) => false,
        (_, None) => true,
        (_, Some(handle)) => handle == passkey.person.as_bytes(),
    };
    // Step-up in a session is by the person of the session, also when the browser chose the passkey.
    let owner_fits =
        [ceremony.person, holder.person].iter().flatten().all(|person| *person == passkey.person);
    let id_fits = passkey.credential_id == response.get_credential_id();
    if passkey.tenant == holder.tenant && handle_fits && owner_fits && id_fits {
        Ok(())
    } else {
        Err(Reason::NotTheirs)
    }
}
