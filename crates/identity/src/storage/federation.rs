//! The tenant's identity provider, and who its people are there.
//!
//! Invariant: who somebody is at the provider counts by itself once they confirmed it with a factor of their own. What SCIM says of it
//! is half of a sign-in until then: whoever can say it could otherwise come in as anybody.

use carekeep_kernel::{CredentialId, PersonId, SessionId, Timestamp};
use carekeep_store::{
    Linked, StoreError, Told, Which,
    entity::{federated_account, identity_provider, notice},
};
use carekeep_vault::{
    Authorized, Caller, SecretColumn,
    catalogue::{Act, ApproveSettings, ManageTenant, ReadSettings},
};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{NoticeKind, PgRepository, rows, settings::NEEDED};
use crate::{
    federation::{Asserted, Provider, ProviderError, SecretText},
    passkey::PasskeyPolicy,
    service::{Audience, Live, PersonRecord, Repository, RepositoryError},
    session::SessionRecord,
};

/// Why something about the provider was not done.
#[derive(Debug, thiserror::Error)]
pub enum FederationError {
    /// It cannot be set like this. 422.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// There is none. 404.
    #[error("this organisation has no identity provider")]
    NoProvider,
    /// Somebody else confirmed to be that account of the provider. 409.
    #[error("somebody else here is linked to this account: they unlink it first")]
    Taken,
    /// It was set anew since, was agreed to, or was set by the very person. 409.
    #[error("this is not yours to agree to: somebody else set it, and as it is now")]
    NotYours,
    /// The session ended meanwhile in which somebody linked themselves. 401.
    #[error("the session has ended: sign in again")]
    SessionOver,
    /// It was set anew while somebody was there. 409.
    #[error("the sign-in service was changed meanwhile: begin again")]
    OtherProvider,
    /// The evidence is for another tenant. 403.
    #[error("not allowed: the permission is for something else")]
    OtherEvidence,
    /// The storage or the key is away. 503.
    #[error(transparent)]
    Unavailable(#[from] RepositoryError),
}

impl From<StoreError> for FederationError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.into())
    }
}

/// The provider as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetProvider {
    /// Another one each time that it is set.
    pub id: Uuid,
    /// The provider.
    pub provider: Provider,
    /// Whether a secret is shared with it; without one the tenant signs with its own key.
    pub secret: bool,
    /// Who set it.
    pub set_by: PersonId,
    /// When.
    pub set: Timestamp,
    /// Who agreed, and when: until then its word is one factor at most.
    pub agreed: Option<(PersonId, Timestamp)>,
}

impl TryFrom<identity_provider::Model> for SetProvider {
    type Error = RepositoryError;

    fn try_from(row: identity_provider::Model) -> Result<Self, RepositoryError> {
        Ok(Self {
            id: row.id,
            secret: row.sealed_secret.is_some(),
            set_by: PersonId::from_uuid(row.changed_by),
            set: row.changed_at.into(),
            agreed: row.agreed_by.map(PersonId::from_uuid).zip(row.agreed_at.map(Timestamp::from)),
            provider: Provider {
                issuer: row.issuer,
                client_id: row.client_id,
                label: row.label,
                subject_claim: row.subject_claim,
                amr: rows::from_json(row.amr)?,
                acr: rows::from_json(row.acr)?,
            },
        })
    }
}

/// Whose account of the provider it is.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The person.
    pub person: PersonRecord,
    /// The person confirmed it with a factor of their own; otherwise SCIM said it.
    pub confirmed: bool,
}

type Answer<T> = Result<T, FederationError>;

impl PgRepository {
    /// The provider, if there is one: public, as everybody is sent there who presses the button.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn provider(&self) -> Result<Option<Provider>, RepositoryError> {
        let set = self.store.identity_provider().await?.map(SetProvider::try_from).transpose()?;
        Ok(set.map(|set| set.provider))
    }

    /// The provider with the secret that is shared with it, if there is one; without one the tenant signs with its own key.
    ///
    /// # Errors
    /// [`FederationError::NoProvider`], [`FederationError::Unavailable`].
    pub async fn provider_with_secret(&self) -> Answer<(SetProvider, Option<SecretText>)> {
        let row = self.store.identity_provider().await?.ok_or(FederationError::NoProvider)?;
        let secret = match &row.sealed_secret {
            None => None,
            Some(sealed) => {
                let plain = self.open_sealed(SecretColumn::ProviderSecret, row.id.as_bytes(), sealed);
                let plain = plain.await.map_err(RepositoryError::from)?;
                let text = String::from_utf8(plain.to_vec()).map_err(|_| rows::malformed())?;
                Some(Zeroizing::new(text))
            }
        };
        Ok((row.try_into()?, secret))
    }

    /// The provider as it is set.
    ///
    /// # Errors
    /// [`FederationError::OtherEvidence`], [`FederationError::Unavailable`].
    pub async fn read_provider(&self, leave: Authorized<ReadSettings>) -> Answer<Option<SetProvider>> {
        self.is_here(&leave)?;
        Ok(self.store.identity_provider().await?.map(SetProvider::try_from).transpose()?)
    }

    /// Sets the provider. Every session that began by the one before ends, but the caller's; those who run the tenant and watch over it are
    /// told, and whose link is forgotten. Its word is one factor at most until a second person agrees; who agreed to the one before
    /// agreed to this one if it is believed no more than that.
    ///
    /// # Errors
    /// [`FederationError::Provider`], [`FederationError::OtherEvidence`], [`FederationError::Unavailable`].
    pub async fn put_provider(
        &self,
        leave: Authorized<ManageTenant>,
        caller: &Caller,
        (new, secret): (&Provider, Option<&SecretText>),
    ) -> Answer<()> {
        self.is_here(&leave)?;
        new.check()?;
        let (clock, words) = (&**self.vault.clock(), |list: &[String]| rows::to_json(&list));
        let id = CredentialId::generate(clock, self.random()).as_uuid();
        let sealed_secret = match secret {
            None => None,
            Some(secret) => {
                let sealed = self.seal(SecretColumn::ProviderSecret, id.as_bytes(), secret.as_bytes());
                Some(sealed.await.map_err(RepositoryError::from)?)
            }
        };
        let row = identity_provider::Model {
            single: true,
            id,
            issuer: new.issuer.clone(),
            client_id: new.client_id.clone(),
            label: new.label.clone(),
            subject_claim: new.subject_claim.clone(),
            amr: words(&new.amr)?,
            acr: words(&new.acr)?,
            sealed_secret,
            changed_by: leave.by().as_uuid(),
            changed_at: clock.now().into(),
            agreed_by: None,
            agreed_at: None,
        };
        let keeps = |before: &identity_provider::Model| {
            SetProvider::try_from(before.clone())
                .is_ok_and(|before| new.believes_no_more_than(&before.provider))
        };
        let told = self.told(leave.by()).await?;
        Ok(self.store.put_identity_provider(row, keeps, caller.session(), told).await?)
    }

    /// Agrees to the provider as it is set under this id: from now on the words that it lists mean two factors.
    ///
    /// # Errors
    /// [`FederationError::NotYours`], [`FederationError::OtherEvidence`], [`FederationError::Unavailable`].
    pub async fn agree_to_provider(&self, leave: Authorized<ApproveSettings>, id: Uuid) -> Answer<()> {
        self.is_here(&leave)?;
        let told = self.tell_deciders(leave.by(), NoticeKind::ProviderAgreed).await?;
        let now = self.vault.clock().now();
        let agreed = self.store.agree_to_identity_provider((id, leave.by()), told, now).await?;
        if agreed { Ok(()) } else { Err(FederationError::NotYours) }
    }

    /// Whether what a session began with still holds, now that it is stored: the provider as it was when it got this id, the link if it
    /// was confirmed, and that the provider's word is two factors if it was taken for two.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn federation_stands(
        &self,
        set: &SetProvider,
        known: &Known,
        two_factors: bool,
    ) -> Result<bool, RepositoryError> {
        let linked = known.confirmed.then_some(known.person.id);
        let stands = self.store.federation_stands(set.id, linked).await?;
        Ok(stands && (!two_factors || self.leaves_factors_to_provider(&known.person).await?))
    }

    /// Takes the provider away, with every session that began by it but the caller's; those who run the tenant and watch over it are told,
    /// and whose link is forgotten.
    ///
    /// # Errors
    /// [`FederationError::OtherEvidence`], [`FederationError::Unavailable`].
    pub async fn remove_provider(&self, leave: Authorized<ManageTenant>, caller: &Caller) -> Answer<()> {
        self.is_here(&leave)?;
        let told = self.told(leave.by()).await?;
        Ok(self.store.remove_identity_provider(caller.session(), told, self.vault.clock().now()).await?)
    }

    async fn told(&self, by: PersonId) -> Answer<Told<impl Fn(PersonId) -> notice::Model + Send>> {
        let deciders = self.tell_deciders(by, NoticeKind::ProviderChanged).await?;
        let forgotten = |person| self.notice(person, NoticeKind::FactorRemoved, Some("provider"));
        Ok(Told { deciders, forgotten })
    }

    /// Whose account it is that the provider speaks of: of whoever confirmed it, or else of the one among the staff who has it as
    /// `externalId`.
    ///
    /// # Errors
    /// When the storage or the key is away.
    pub async fn federated_person(
        &self,
        provider: &Provider,
        asserted: &Asserted,
    ) -> Result<Option<Known>, RepositoryError> {
        let token = self.vault.subject_token(self.tenant, &provider.issuer, &asserted.subject).await?;
        if let Some(row) = self.store.federated_by_subject(token).await? {
            let person = PersonId::from_uuid(row.person);
            let plain = self
                .open_sealed(SecretColumn::FederatedSubject, person.as_bytes(), &row.sealed_subject)
                .await?;
            // The token is short: what is sealed decides.
            if *plain != *subject(&provider.issuer, &asserted.subject)? {
                return Ok(None);
            }
            return Ok(self.one_of_staff(person).await?.map(|person| Known { person, confirmed: true }));
        }
        let Some(external) = &asserted.claim else { return Ok(None) };
        let person = self.provisioned_as(external).await?;
        Ok(person.map(|person| Known { person, confirmed: false }))
    }

    /// The only one of the staff who has this `externalId`, unless they confirmed to be somebody else at the provider.
    async fn provisioned_as(&self, external: &str) -> Result<Option<PersonRecord>, RepositoryError> {
        let which = Which::External(self.vault.external_token(self.tenant, external).await?);
        let (_, mut found) = self.store.staff(&which, 0, 2).await?;
        let (Some(one), true) = (found.pop(), found.is_empty()) else { return Ok(None) };
        let said = self.external_id(&one).await?;
        let linked = self.store.federated_account(PersonId::from_uuid(one.person.id)).await?;
        let elsewhere = linked.is_some_and(|row| row.confirmed_at.is_some());
        let same = said.as_deref() == Some(external);
        Ok((same && !elsewhere).then(|| rows::person(self.tenant, &one.person)))
    }

    async fn one_of_staff(&self, id: PersonId) -> Result<Option<PersonRecord>, RepositoryError> {
        let staff = self.store.one_of_staff(id).await?;
        Ok(staff.map(|staff| rows::person(self.tenant, &staff.person)))
    }

    /// Whether two factors that the provider asked for are two for this person. Not before a second person agreed to the words that
    /// say so, and not without any.
    /// They are no passkey, so not where the tenant demands something of theirs; and two administrators set the provider, so not for
    /// those who decide about them.
    pub(super) async fn leaves_factors_to_provider(
        &self,
        person: &PersonRecord,
    ) -> Result<bool, RepositoryError> {
        let set = self.store.identity_provider().await?.map(SetProvider::try_from).transpose()?;
        let vouches = |set: &SetProvider| {
            !(set.provider.amr.is_empty() && set.provider.acr.is_empty()) && set.agreed.is_some()
        };
        if !set.is_some_and(|set| vouches(&set)) {
            return Ok(false);
        }
        let roles = self.store.roles_of(person.id).await?;
        let decides = roles.iter().any(|role| NEEDED.contains(&role.as_str()));
        Ok(!decides && self.demand(person).await?.policy() == PasskeyPolicy::Any)
    }

    /// Notes whom the provider says this session is of, to be confirmed in it.
    ///
    /// # Errors
    /// When the storage or the key is away.
    pub async fn note_subject(
        &self,
        session: &SessionRecord,
        (set, subject): (&SetProvider, &str),
    ) -> Result<(), RepositoryError> {
        let row = self.account_row(session.person, (&set.provider.issuer, subject), Some(session.id)).await?;
        self.store.put_federated_account(row, (set.id, session.id)).await?;
        Ok(())
    }

    /// Whether whom the provider says this session is of is to be confirmed in it.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn awaits_confirmation(&self, session: &SessionRecord) -> Result<bool, RepositoryError> {
        let row = self.store.federated_account(session.person).await?;
        let here = |row: &federated_account::Model| row.session == Some(session.id.as_uuid());
        Ok(row.as_ref().is_some_and(|row| row.confirmed_at.is_none() && here(row)))
    }

    /// Confirms whom the provider says this session is of: the person has proven a factor of their own in it.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn confirm_subject(&self, session: &SessionRecord) -> Result<bool, RepositoryError> {
        let now = self.vault.clock().now();
        Ok(self.store.confirm_federated_account((session.person, session.id), now).await?)
    }

    /// Links the person of a session to an account of the provider, in place of an earlier one.
    ///
    /// # Errors
    /// [`FederationError::Taken`], [`FederationError::OtherProvider`], [`FederationError::SessionOver`], [`FederationError::Unavailable`].
    pub async fn link_subject(&self, live: &Live, (set, subject): (&SetProvider, &str)) -> Answer<()> {
        let row = self.account_row(live.person.id, (&set.provider.issuer, subject), None).await?;
        match self.store.put_federated_account(row, (set.id, live.session.id)).await? {
            Linked::Done => Ok(()),
            Linked::Taken => Err(FederationError::Taken),
            Linked::OtherProvider => Err(FederationError::OtherProvider),
            Linked::SessionOver => Err(FederationError::SessionOver),
        }
    }

    /// Unlinks the person of a session; their other sessions that began at the provider end with it. `false` when nothing was linked.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn unlink_subject(&self, live: &Live) -> Result<bool, RepositoryError> {
        let now = self.vault.clock().now();
        Ok(self.store.remove_federated_account(live.person.id, live.session.id, now).await?)
    }

    /// Whether a person may have an account at the provider at all: whoever works here may.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn may_federate(&self, person: &PersonRecord) -> Result<bool, RepositoryError> {
        Ok(person.audience == Audience::Staff && self.one_of_staff(person.id).await?.is_some())
    }

    /// Since when a person is linked.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn linked(&self, live: &Live) -> Result<Option<carekeep_kernel::Timestamp>, RepositoryError> {
        let row = self.store.federated_account(live.person.id).await?;
        Ok(row.and_then(|row| row.confirmed_at).map(Into::into))
    }

    /// `session`: in which it is to be confirmed; it is, if there is none.
    async fn account_row(
        &self,
        person: PersonId,
        (issuer, sub): (&str, &str),
        session: Option<SessionId>,
    ) -> Result<federated_account::Model, RepositoryError> {
        let now = self.vault.clock().now();
        let plain = subject(issuer, sub)?;
        Ok(federated_account::Model {
            person: person.as_uuid(),
            subject_token: self.vault.subject_token(self.tenant, issuer, sub).await?,
            sealed_subject: self.seal(SecretColumn::FederatedSubject, person.as_bytes(), &plain).await?,
            linked_at: now.into(),
            confirmed_at: session.is_none().then(|| now.into()),
            session: session.map(|session| session.as_uuid()),
        })
    }

    fn is_here<A: Act>(&self, leave: &Authorized<A>) -> Answer<()> {
        if leave.tenant() == self.tenant { Ok(()) } else { Err(FederationError::OtherEvidence) }
    }
}

/// Both, told apart whatever is in them.
fn subject(issuer: &str, subject: &str) -> Result<Zeroizing<Vec<u8>>, RepositoryError> {
    serde_json::to_vec(&[issuer, subject]).map(Zeroizing::new).map_err(|_| rows::malformed())
}
