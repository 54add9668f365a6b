//! Apps that a tenant registers, and what people allow them.
//!
//! Invariant: registering and deciding take an [`Authorized`] and spend it; allowing and withdrawing take the [`Caller`] of
//! the person's own session, never one of an app.

use std::collections::HashSet;

use carekeep_kernel::{CredentialId, PersonId, ResourceId, SessionId, Timestamp};
use carekeep_store::{
    Granted, NewGrant, Over, StoreError,
    columns::{Digest, Private},
    entity::{oauth_client, oauth_code, oauth_grant, person},
};
use carekeep_vault::{
    AccessError, Authorized, Caller,
    catalogue::{Act, ManageTenant, ReadSettings},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    PgRepository,
    launches::{Launched, NO_LAUNCH},
    roles::READER,
};
use crate::{
    PlainToken, TokenHash, TokenKind,
    oauth::{
        Authentication, CODE_LIFE, Challenge, ClientError, ClientState, GRANT_LIFE, KEPT, OAuthError,
        REFRESH_IDLE, Registration, jws::PublicKey, redirect,
    },
    token,
};

/// Why something about apps was not done.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The protocol says no.
    #[error(transparent)]
    Refused(#[from] OAuthError),
    /// The registration cannot be taken. 422.
    #[error(transparent)]
    Registration(#[from] ClientError),
    /// There is no such app or grant. 404.
    #[error("no such app: look at the list again")]
    NotFound,
    /// The session may not let an app in: it is one itself, or has one factor. 403.
    #[error("sign in with two factors to let an app in")]
    OwnSession,
    /// The session in which it was allowed has ended meanwhile. 401.
    #[error("the session has ended: sign in again")]
    SessionOver,
    /// The evidence is for another tenant. 403.
    #[error("not allowed: the permission is for something else")]
    OtherEvidence,
    /// The storage or the key is away. 503.
    #[error("apps cannot be looked up just now: try again in a few seconds")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<AccessError> for AppError {
    fn from(error: AccessError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

pub(super) type Answer<T> = Result<T, AppError>;

/// A row that this binary did not write.
pub(super) fn malformed() -> AppError {
    StoreError { cause: "a stored app is malformed".to_owned() }.into()
}

/// An app as it is registered.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// The `client_id`.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How it proves who it is.
    pub authentication: Authentication,
    /// The hash of its secret.
    pub secret: Option<TokenHash>,
    /// Its public keys.
    pub keys: Vec<PublicKey>,
    /// Where people are sent back to.
    pub redirect_uris: Vec<String>,
    /// Where it is opened from a chart.
    pub launch_uri: Option<String>,
    /// The most that it may ask for.
    pub scopes: String,
    /// The service account that it acts as.
    pub person: Option<PersonId>,
    /// Where the registration stands.
    pub state: ClientState,
    /// When it was registered.
    pub created: Timestamp,
}

impl Client {
    /// Whether it can be opened from a chart.
    #[must_use]
    pub fn is_launchable(&self) -> bool {
        self.state == ClientState::Approved && self.launch_uri.is_some()
    }
}

/// What a person allows.
pub struct Consent<'a> {
    /// The app.
    pub client: &'a Client,
    /// The scopes, which the gateway has compared with what was asked and with what the app may ask for.
    pub scopes: &'a str,
    /// The patient that it is about, whose chart the person may read.
    pub patient: Option<ResourceId>,
    /// The visit that the app was opened in, which is the patient's.
    pub encounter: Option<ResourceId>,
    /// The launch that it was opened by, which this uses up.
    pub launch: Option<&'a Launched>,
    /// Whether it outlives the session.
    pub offline: bool,
    /// Where the code goes.
    pub redirect_uri: &'a str,
    /// What the app must know the verifier of.
    pub challenge: Challenge,
    /// The app's own, for the id token.
    pub nonce: Option<&'a str>,
}

/// A consent that is about to be given.
pub struct Prepared {
    grant: oauth_grant::Model,
    session: SessionId,
    code: oauth_code::Model,
    launch: Option<TokenHash>,
    plain: PlainToken,
}

impl Prepared {
    /// Which app gets what, as it goes on record.
    #[must_use]
    pub fn said(&self) -> String {
        let said = |id: Option<Uuid>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        let oauth_grant::Model { id, client, scopes, patient, encounter, .. } = &self.grant;
        let (patient, encounter) = (said(*patient), said(*encounter));
        format!("grant {id}, app {client}, patient {patient}, encounter {encounter}, scopes {scopes}")
    }
}

/// What a person allowed an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppGrant {
    /// Its id.
    pub id: Uuid,
    /// The app.
    pub client: Uuid,
    /// The app's name.
    pub app: String,
    /// The scopes.
    pub scopes: String,
    /// The patient that it is about.
    pub patient: Option<ResourceId>,
    /// Whether it outlives the session.
    pub offline: bool,
    /// When it was given.
    pub created: Timestamp,
    /// When the app last got a token.
    pub last_used: Timestamp,
}

pub(super) fn client(row: oauth_client::Model) -> Answer<Client> {
    let hash =
        |digest: Digest| <[u8; 32]>::try_from(digest.0).map(TokenHash::from_bytes).map_err(|_| malformed());
    Ok(Client {
        id: row.id,
        name: row.name,
        authentication: Authentication::parse(&row.authentication).ok_or_else(malformed)?,
        secret: row.secret_hash.map(hash).transpose()?,
        keys: match row.keys {
            Some(keys) => crate::oauth::jws::key_set(&keys).map_err(|_| malformed())?,
            None => Vec::new(),
        },
        redirect_uris: serde_json::from_value(row.redirect_uris).map_err(|_| malformed())?,
        launch_uri: row.launch_uri,
        scopes: row.scopes,
        person: row.person.map(PersonId::from_uuid),
        state: ClientState::parse(&row.state).ok_or_else(malformed)?,
        created: row.created_at.into(),
    })
}

pub(super) fn digest(hash: &TokenHash) -> Digest {
    Digest(hash.as_bytes().to_vec())
}

impl PgRepository {
    /// Registers an app; the secret, if it has one, is shown once. It gets no token before it is approved.
    ///
    /// # Errors
    /// [`AppError::Registration`], [`AppError::OtherEvidence`], [`AppError::Unavailable`].
    pub async fn register_app(
        &self,
        leave: Authorized<ManageTenant>,
        new: &Registration,
    ) -> Answer<(Client, Option<PlainToken>)> {
        new.check()?;
        self.check_app(&leave)?;
        let secret = (new.authentication == Authentication::Secret)
            .then(|| token::issue(TokenKind::ClientSecret, self.random()));
        let now = self.vault.clock().now();
        let account = if new.backend { Some(self.account(&new.name, leave.by(), now).await?) } else { None };
        let row = oauth_client::Model {
            id: self.fresh(),
            name: new.name.trim().to_owned(),
            authentication: new.authentication.as_str().to_owned(),
            secret_hash: secret.as_ref().map(|(_, hash)| digest(hash)),
            keys: new.keys.clone(),
            redirect_uris: json!(new.redirect_uris),
            launch_uri: new.launch_uri.clone(),
            scopes: new.scopes.clone(),
            person: account.as_ref().map(|(person, _)| person.id),
            state: ClientState::Pending.as_str().to_owned(),
            created_by: leave.by().as_uuid(),
            created_at: now.into(),
            decided_by: None,
            decided_at: None,
            removed_at: None,
        };
        self.store.add_client(row.clone(), account).await?;
        Ok((client(row)?, secret.map(|(plain, _)| plain)))
    }

    /// The service account of a program.
    async fn account(&self, name: &str, by: PersonId, now: Timestamp) -> Answer<(person::Model, NewGrant)> {
        let row =
            self.account_of_program(name.trim(), now).await.map_err(|e| AppError::Unavailable(e.into()))?;
        let role = "service_account".to_owned();
        let person = PersonId::from_uuid(row.id);
        Ok((row, NewGrant { id: self.fresh(), person, role, granted_by: Some(by), at: now }))
    }

    /// The apps of the tenant, the oldest first, each with whether it is a program that may read charts: `limit` of those after one of
    /// them, or of all.
    ///
    /// # Errors
    /// [`AppError::OtherEvidence`], [`AppError::Unavailable`].
    pub async fn apps(
        &self,
        leave: Authorized<ReadSettings>,
        after: Option<Uuid>,
        limit: u32,
    ) -> Answer<Vec<(Client, bool)>> {
        self.check_app(&leave)?;
        let rows = self.store.clients(after, limit.into()).await?;
        let readers = self.store.who_holds(READER).await?;
        let reads = |row: &oauth_client::Model| row.person.is_some_and(|person| readers.contains(&person));
        rows.into_iter().map(|row| (reads(&row), row)).map(|(reads, row)| Ok((client(row)?, reads))).collect()
    }

    /// Approves or disables an app; what a disabled one holds is dead within a second.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::OtherEvidence`], [`AppError::Unavailable`].
    pub async fn decide_app(
        &self,
        leave: Authorized<ManageTenant>,
        id: Uuid,
        state: ClientState,
    ) -> Answer<()> {
        self.set_app(&leave, id, (state, false)).await
    }

    /// Takes an app out of the list for good.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::OtherEvidence`], [`AppError::Unavailable`].
    pub async fn remove_app(&self, leave: Authorized<ManageTenant>, id: Uuid) -> Answer<()> {
        self.set_app(&leave, id, (ClientState::Disabled, true)).await
    }

    async fn set_app(
        &self,
        leave: &Authorized<ManageTenant>,
        id: Uuid,
        (state, removed): (ClientState, bool),
    ) -> Answer<()> {
        self.check_app(leave)?;
        let now = self.vault.clock().now();
        let ends = state != ClientState::Approved;
        let set = self.store.set_client(id, (state.as_str(), ends, removed), leave.by(), now).await?;
        if set { Ok(()) } else { Err(AppError::NotFound) }
    }

    fn check_app<A: Act>(&self, leave: &Authorized<A>) -> Answer<()> {
        if leave.tenant() == self.tenant { Ok(()) } else { Err(AppError::OtherEvidence) }
    }

    /// An app that is approved.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn approved_app(&self, id: &str) -> Answer<Option<Client>> {
        // One spelling, as for every id.
        let Ok(id) = id.parse::<CredentialId>() else { return Ok(None) };
        let known = self.store.client(id.as_uuid()).await?.map(client).transpose()?;
        Ok(known.filter(|client| client.state == ClientState::Approved))
    }

    /// The origins to which approved apps send people back, such as `https://app.example`.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn app_origins(&self) -> Answer<HashSet<String>> {
        let mut origins = HashSet::new();
        for uris in self.store.approved_redirects().await? {
            let uris: Vec<String> = serde_json::from_value(uris).map_err(|_| malformed())?;
            origins.extend(uris.iter().filter_map(|uri| redirect::origin(uri)));
        }
        Ok(origins)
    }

    /// Prepares to let an app in, so that it can be put on record with its id before it is done.
    ///
    /// # Errors
    /// [`AppError::OwnSession`].
    pub fn prepare_consent(&self, by: &Caller, to: &Consent<'_>) -> Answer<Prepared> {
        self.own_session(by)?;
        let now = self.vault.clock().now();
        let grant = oauth_grant::Model {
            id: self.fresh(),
            client: to.client.id,
            person: by.person().as_uuid(),
            session: (!to.offline).then(|| by.session().as_uuid()),
            scopes: to.scopes.to_owned(),
            patient: to.patient.map(|patient| patient.as_uuid()),
            encounter: to.encounter.map(|encounter| encounter.as_uuid()),
            aal: i16::from(by.aal() as u8),
            factor_at: by.factor_at().into(),
            created_at: now.into(),
            expires_at: (now + GRANT_LIFE).into(),
            last_used_at: now.into(),
            revoked_at: None,
        };
        let (plain, hash) = token::issue(TokenKind::Code, self.random());
        let code = oauth_code::Model {
            token_hash: digest(&hash),
            oauth_grant: grant.id,
            redirect_uri: to.redirect_uri.to_owned(),
            challenge: Digest(to.challenge.as_bytes().to_vec()),
            nonce: to.nonce.map(|nonce| Private(nonce.to_owned())),
            expires_at: (now + CODE_LIFE).into(),
            used_at: None,
        };
        let (session, launch) = (by.session(), to.launch.map(Launched::hash));
        Ok(Prepared { grant, session, code, launch, plain })
    }

    /// Lets an app in: gives the code for it, good for a minute and once.
    ///
    /// # Errors
    /// [`AppError::Refused`] when the launch was used up meanwhile, [`AppError::SessionOver`], [`AppError::Unavailable`].
    pub async fn consent(&self, prepared: Prepared) -> Answer<PlainToken> {
        let Prepared { grant, session, code, launch, plain } = prepared;
        let launch = launch.as_ref().map(TokenHash::as_bytes);
        self.forget_apps().await?;
        match self.store.add_grant(grant, Some(session), Some(code), launch).await? {
            Granted::Done => Ok(plain),
            Granted::LaunchUsed => Err(NO_LAUNCH.into()),
            Granted::SessionOver => Err(AppError::SessionOver),
        }
    }

    /// What the person allowed, the newest first.
    ///
    /// # Errors
    /// [`AppError::OwnSession`], [`AppError::Unavailable`].
    pub async fn app_grants(&self, of: &Caller) -> Answer<Vec<AppGrant>> {
        self.in_person(of)?;
        let rows = self.store.app_grants(of.person(), self.vault.clock().now()).await?;
        let view = |(grant, client): (oauth_grant::Model, Option<oauth_client::Model>)| AppGrant {
            id: grant.id,
            client: grant.client,
            app: client.map(|client| client.name).unwrap_or_default(),
            scopes: grant.scopes,
            patient: grant.patient.map(ResourceId::from_uuid),
            offline: grant.session.is_none(),
            created: grant.created_at.into(),
            last_used: grant.last_used_at.into(),
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// Withdraws what the person allowed: all tokens of it are dead within a second.
    ///
    /// # Errors
    /// [`AppError::NotFound`], [`AppError::OwnSession`], [`AppError::Unavailable`].
    pub async fn withdraw_app_grant(&self, of: &Caller, id: SessionId) -> Answer<()> {
        self.in_person(of)?;
        let now = self.vault.clock().now();
        let withdrawn = self.store.revoke_app_grant(id.as_uuid(), Some(of.person()), now).await?;
        if withdrawn { Ok(()) } else { Err(AppError::NotFound) }
    }

    /// One factor lets no app in.
    pub(super) fn own_session(&self, caller: &Caller) -> Answer<()> {
        self.in_person(caller)?;
        if caller.aal() as u8 >= 2 { Ok(()) } else { Err(AppError::OwnSession) }
    }

    /// An app lets no other one in and takes none its access. To withdraw, one factor is enough.
    fn in_person(&self, caller: &Caller) -> Answer<()> {
        let own = caller.tenant() == self.tenant && !caller.is_app();
        if own { Ok(()) } else { Err(AppError::OwnSession) }
    }

    /// Forgets some of what is over. Whatever adds something that lasts calls it, so that nothing piles up.
    pub(super) async fn forget_apps(&self) -> Answer<()> {
        let now = self.vault.clock().now();
        Ok(self.store.forget_apps(Over { now, idle: now - REFRESH_IDLE, ended: now - KEPT }).await?)
    }

    pub(super) fn fresh(&self) -> Uuid {
        CredentialId::generate(&**self.vault.clock(), self.random()).as_uuid()
    }
}
