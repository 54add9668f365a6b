//! What an app gets for a code, a refresh token or by itself, and what becomes of it.
//!
//! Invariant: a code and a refresh token are used up before they are believed; whoever presents one a second time ends the
//! grant, and with it every token of the family.

use std::time::Duration;

use carekeep_kernel::{PersonId, ResourceId, SessionId, Timestamp};
use carekeep_store::{
    Granted, Once,
    entity::{oauth_assertion, oauth_grant, oauth_signing_key, oauth_token},
};
use carekeep_vault::SecretColumn;
use serde_json::Value;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    PgRepository,
    apps::{Answer, AppError, Client, digest, malformed},
};
use crate::{
    PlainToken, TokenHash, TokenKind,
    oauth::{
        ACCESS_LIFE, Authentication, Challenge, GRANT_LIFE, ID_TOKEN_LIFE, OAuthError, REFRESH_IDLE,
        assertion::{self, Expected},
        id_token::SigningKey,
    },
    token,
};

/// How long a key signs before another one takes its place.
const KEY_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);

/// How an app proves who it is.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// By nothing.
    None,
    /// By its secret.
    Secret(&'a str),
    /// By a signed assertion for this token endpoint.
    Assertion(&'a str, &'a str),
}

/// What an app is given.
pub struct Issued {
    /// The access token.
    pub access: PlainToken,
    /// How long it is good: five minutes, or until the grant is over.
    pub life: Duration,
    /// The next refresh token, if it is to have one.
    pub refresh: Option<PlainToken>,
    /// The scopes of the access token.
    pub scopes: String,
    /// In whose name.
    pub person: PersonId,
    /// The patient that it is about.
    pub patient: Option<ResourceId>,
    /// The visit that it was opened in.
    pub encounter: Option<ResourceId>,
    /// When the person last presented a factor.
    pub factor_at: Timestamp,
    /// The app's own, from the request for the code.
    pub nonce: Option<String>,
}

/// Tokens that may be given, and have not been: nothing is used up before [`PgRepository::give_tokens`], and dropped it is as if it
/// had never been asked for.
pub struct PreparedTokens {
    grant: oauth_grant::Model,
    once: OnceOnly,
    scopes: String,
    refreshes: bool,
    nonce: Option<String>,
}

/// What is used up by giving tokens.
enum OnceOnly {
    Code(TokenHash),
    Refresh(TokenHash),
    Nothing,
}

impl OnceOnly {
    const fn borrowed(&self) -> Once<'_> {
        match self {
            Self::Code(hash) => Once::Code(hash.as_bytes()),
            Self::Refresh(hash) => Once::Refresh(hash.as_bytes()),
            Self::Nothing => Once::Nothing,
        }
    }
}

impl PreparedTokens {
    /// In whose name they act.
    #[must_use]
    pub const fn person(&self) -> PersonId {
        PersonId::from_uuid(self.grant.person)
    }

    /// The grant, which is to an app what a session is to a person.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        SessionId::from_uuid(self.grant.id)
    }

    /// Whether the person had two factors when the app was let in.
    #[must_use]
    pub const fn two_factors(&self) -> bool {
        self.grant.aal >= 2
    }

    /// For the ledger: which app gets what, and for what.
    #[must_use]
    pub fn said(&self) -> String {
        let by = match self.once {
            OnceOnly::Code(_) => "authorization_code",
            OnceOnly::Refresh(_) => "refresh_token",
            OnceOnly::Nothing => "client_credentials",
        };
        format!("app {} by {by}: {}", self.grant.client, self.scopes)
    }
}

/// What a live token is, for its own app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The scopes.
    pub scopes: String,
    /// In whose name.
    pub person: PersonId,
    /// The patient that it is about.
    pub patient: Option<ResourceId>,
    /// The visit that it was opened in.
    pub encounter: Option<ResourceId>,
    /// When it ends.
    pub expires: Timestamp,
}

/// Wants a refresh token: `offline_access`, or `online_access`, which ends with the session.
fn wants_refresh(scopes: &str) -> bool {
    scopes.split(' ').any(|scope| matches!(scope, "offline_access" | "online_access"))
}

impl PgRepository {
    /// The approved app that this proof is of.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_CLIENT`] whatever is wrong, [`AppError::Unavailable`].
    pub async fn authenticate_app(&self, id: &str, proof: Proof<'_>) -> Answer<Client> {
        let client = self.approved_app(id).await?.ok_or(OAuthError::INVALID_CLIENT)?;
        let proven = match (client.authentication, proof) {
            (Authentication::Public, Proof::None) => true,
            (Authentication::Secret, Proof::Secret(secret)) => {
                TokenHash::of_presented(TokenKind::ClientSecret, secret)
                    .is_ok_and(|hash| client.secret == Some(hash))
            }
            (Authentication::Key, Proof::Assertion(text, audience)) => {
                let now = self.vault.clock().now();
                let expected = Expected { client: id, audience, now };
                match assertion::check(text, &client.keys, expected) {
                    Ok(once) => {
                        let jti = carekeep_store::columns::Digest(once.jti.to_vec());
                        let row = oauth_assertion::Model {
                            client: client.id,
                            jti,
                            expires_at: once.expires.into(),
                        };
                        self.store.use_assertion(row, now).await?
                    }
                    Err(_) => false,
                }
            }
            _ => false,
        };
        if proven { Ok(client) } else { Err(OAuthError::INVALID_CLIENT.into()) }
    }

    /// The approved app that this refresh token is of, if it is one that can prove itself by nothing: such an app need not say who it
    /// is when it refreshes (RFC 6749 section 6), and the clients of SMART do not.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_GRANT`] for what is no refresh token, [`OAuthError::INVALID_CLIENT`] for one of another app,
    /// [`AppError::Unavailable`].
    pub async fn public_app_of(&self, refresh: &str) -> Answer<Client> {
        let hash =
            TokenHash::of_presented(TokenKind::Refresh, refresh).map_err(|_| OAuthError::INVALID_GRANT)?;
        let row = self.store.app_token(hash.as_bytes()).await?.ok_or(OAuthError::INVALID_GRANT)?;
        let grant = self.store.app_grant(row.oauth_grant).await?.ok_or(OAuthError::INVALID_GRANT)?;
        self.authenticate_app(&grant.client.to_string(), Proof::None).await
    }

    /// Tokens for a code. One that is wrong in any way ends what it was given for.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_GRANT`] whatever is wrong, [`AppError::Unavailable`].
    pub async fn exchange_code(
        &self,
        client: &Client,
        code: &str,
        (redirect_uri, verifier): (&str, &str),
    ) -> Answer<PreparedTokens> {
        let refused = OAuthError::INVALID_GRANT;
        let hash = TokenHash::of_presented(TokenKind::Code, code).map_err(|_| refused)?;
        let now = self.vault.clock().now();
        // Somebody else's code is left as it is: it is not for this app to use up.
        let row = self.store.code(hash.as_bytes()).await?.ok_or(refused)?;
        let grant = self.own_grant(client, row.oauth_grant).await?.ok_or(refused)?;
        let challenge = <[u8; 32]>::try_from(row.challenge.0).map_err(|_| malformed())?;
        let good = row.used_at.is_none()
            && now < Timestamp::from(row.expires_at)
            && bool::from(row.redirect_uri.as_bytes().ct_eq(redirect_uri.as_bytes()))
            && Challenge::from_bytes(challenge).is_met_by(verifier)
            && is_live(&grant, now)
            && self.still_here(&grant, now).await?;
        if !good {
            self.store.revoke_app_grant(grant.id, None, now).await?;
            return Err(refused.into());
        }
        let (scopes, refreshes) = (grant.scopes.clone(), wants_refresh(&grant.scopes));
        let nonce = row.nonce.map(|nonce| nonce.0);
        Ok(PreparedTokens { grant, once: OnceOnly::Code(hash), scopes, refreshes, nonce })
    }

    /// Gives the tokens, once that is on record.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_GRANT`] when what they are given for was used up meanwhile, which ends it as a second use does;
    /// [`AppError::Unavailable`].
    pub async fn give_tokens(&self, prepared: PreparedTokens) -> Answer<Issued> {
        let PreparedTokens { grant, once, scopes, refreshes, nonce } = prepared;
        let now = self.vault.clock().now();
        let issued = self.issue_tokens(&grant, once.borrowed(), (scopes, refreshes), now).await?;
        let Some(issued) = issued else {
            self.store.revoke_app_grant(grant.id, None, now).await?;
            return Err(OAuthError::INVALID_GRANT.into());
        };
        Ok(Issued { nonce, ..issued })
    }

    /// Tokens for a refresh token. `narrow` gives the scopes to have, of those that were granted, or nothing if others are
    /// asked for.
    ///
    /// # Errors
    /// [`OAuthError::INVALID_GRANT`] whatever is wrong, `invalid_scope`, [`AppError::Unavailable`].
    pub async fn refresh(
        &self,
        client: &Client,
        refresh: &str,
        narrow: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Answer<PreparedTokens> {
        let refused = OAuthError::INVALID_GRANT;
        let hash = TokenHash::of_presented(TokenKind::Refresh, refresh).map_err(|_| refused)?;
        let now = self.vault.clock().now();
        let row = self.store.app_token(hash.as_bytes()).await?.filter(|row| row.kind == "refresh");
        let row = row.ok_or(refused)?;
        let grant = self.own_grant(client, row.oauth_grant).await?.ok_or(refused)?;
        let scopes = narrow(&grant.scopes)
            .ok_or(OAuthError::new("invalid_scope", "ask for scopes that were granted, or for none"))?;
        let over = now >= Timestamp::from(row.expires_at)
            || !is_live(&grant, now)
            || !self.still_here(&grant, now).await?;
        if row.used_at.is_some() {
            // It comes a second time: the family ends.
            self.store.revoke_app_grant(grant.id, None, now).await?;
            return Err(refused.into());
        }
        if over {
            return Err(refused.into());
        }
        Ok(PreparedTokens { grant, once: OnceOnly::Refresh(hash), scopes, refreshes: true, nonce: None })
    }

    /// The name that colleagues see.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn display_name(&self, person: PersonId) -> Answer<Option<String>> {
        let Some(row) = self.store.person(person).await? else { return Ok(None) };
        let name = self.open_sealed(SecretColumn::PersonName, person.as_bytes(), &row.sealed_name).await?;
        Ok(String::from_utf8(name.to_vec()).ok())
    }

    /// A grant of this very app.
    async fn own_grant(&self, client: &Client, id: Uuid) -> Answer<Option<oauth_grant::Model>> {
        Ok(self.store.app_grant(id).await?.filter(|grant| grant.client == client.id))
    }

    /// Whether the person may still act, and the session that the grant ends with is there. The vault asks again, with the
    /// limits of sessions, each time that the access token is used.
    async fn still_here(&self, grant: &oauth_grant::Model, now: Timestamp) -> Answer<bool> {
        let person = PersonId::from_uuid(grant.person);
        let Some(row) = self.store.person(person).await? else { return Ok(false) };
        if row.suspended_at.is_some() || row.left_at.is_some() {
            return Ok(false);
        }
        let Some(session) = grant.session else { return Ok(true) };
        let audience = super::rows::audience(&row.audience);
        let limits = crate::service::TenantSettings::default().limits(audience);
        Ok(self.store.sessions(person).await?.into_iter().any(|row| {
            row.id == session
                && now.since(row.last_seen_at.into()) < limits.idle
                && now.since(row.created_at.into()) < limits.absolute
        }))
    }

    /// An access token for a program that acts by itself.
    ///
    /// # Errors
    /// `unauthorized_client` for an app with people, [`AppError::Unavailable`].
    pub async fn backend_token(&self, client: &Client, scopes: String) -> Answer<PreparedTokens> {
        let person = client.person.ok_or(OAuthError::new(
            "unauthorized_client",
            "this app is not registered as a program without people",
        ))?;
        let now = self.vault.clock().now();
        let live = self.store.backend_grant(client.id, now).await?;
        let grant = match live {
            Some(grant) => grant,
            None => {
                let grant = oauth_grant::Model {
                    id: self.fresh(),
                    client: client.id,
                    person: person.as_uuid(),
                    session: None,
                    scopes: client.scopes.clone(),
                    patient: None,
                    encounter: None,
                    // A key that the program alone has, proven by a signature: as policy counts service accounts.
                    aal: 2,
                    factor_at: now.into(),
                    created_at: now.into(),
                    expires_at: (now + GRANT_LIFE).into(),
                    last_used_at: now.into(),
                    revoked_at: None,
                };
                self.forget_apps().await?;
                match self.store.add_grant(grant.clone(), None, None, None).await? {
                    Granted::Done => grant,
                    Granted::LaunchUsed | Granted::SessionOver => {
                        return Err(OAuthError::INVALID_CLIENT.into());
                    }
                }
            }
        };
        Ok(PreparedTokens { grant, once: OnceOnly::Nothing, scopes, refreshes: false, nonce: None })
    }

    /// Tokens for what is used up by that; nothing when it was used up before.
    async fn issue_tokens(
        &self,
        grant: &oauth_grant::Model,
        once: Once<'_>,
        (scopes, refreshes): (String, bool),
        now: Timestamp,
    ) -> Answer<Option<Issued>> {
        let until = Timestamp::from(grant.expires_at);
        let (access, access_hash) = token::issue(TokenKind::Access, self.random());
        let refresh = refreshes.then(|| token::issue(TokenKind::Refresh, self.random()));
        let row = |hash: &TokenHash, kind: &str, life: Duration| oauth_token::Model {
            token_hash: digest(hash),
            oauth_grant: grant.id,
            kind: kind.to_owned(),
            scopes: scopes.clone(),
            created_at: now.into(),
            expires_at: (now + life).min(until).into(),
            used_at: None,
        };
        let mut rows = vec![row(&access_hash, "access", ACCESS_LIFE)];
        rows.extend(refresh.as_ref().map(|(_, hash)| row(hash, "refresh", REFRESH_IDLE)));
        let given = self.store.give_tokens((grant.id, once), rows, now).await?;
        Ok(given.then(|| Issued {
            access,
            life: until.min(now + ACCESS_LIFE).since(now),
            refresh: refresh.map(|(plain, _)| plain),
            scopes,
            person: PersonId::from_uuid(grant.person),
            patient: grant.patient.map(ResourceId::from_uuid),
            encounter: grant.encounter.map(ResourceId::from_uuid),
            factor_at: grant.factor_at.into(),
            nonce: None,
        }))
    }

    /// The FHIR resource that stands for a person, such as `Practitioner/...`; nothing for somebody without one.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn fhir_user(&self, person: PersonId) -> Answer<Option<String>> {
        let Some(row) = self.store.person(person).await? else { return Ok(None) };
        let patient = row.patient.map(|id| format!("Patient/{id}"));
        Ok(row.practitioner.map(|id| format!("Practitioner/{id}")).or(patient))
    }

    /// The row and hash of a token of this very app.
    async fn own_token(
        &self,
        client: &Client,
        text: &str,
    ) -> Answer<Option<(oauth_token::Model, TokenHash)>> {
        for kind in [TokenKind::Access, TokenKind::Refresh] {
            let Ok(hash) = TokenHash::of_presented(kind, text) else { continue };
            let Some(row) = self.store.app_token(hash.as_bytes()).await? else { continue };
            return Ok(self.own_grant(client, row.oauth_grant).await?.map(|_| (row, hash)));
        }
        Ok(None)
    }

    /// Revokes a token (RFC 7009): an access token alone, a refresh token with its whole family.
    ///
    /// # Errors
    /// [`AppError::Unavailable`]; a token that is not there is as good as revoked.
    pub async fn revoke_app_token(&self, client: &Client, text: &str) -> Answer<()> {
        let Some((row, hash)) = self.own_token(client, text).await? else { return Ok(()) };
        if row.kind == "refresh" {
            self.store.revoke_app_grant(row.oauth_grant, None, self.vault.clock().now()).await?;
        } else {
            self.store.remove_app_token(hash.as_bytes()).await?;
        }
        Ok(())
    }

    /// What a token of this very app is (RFC 7662); nothing for one that is not live.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn introspect(&self, client: &Client, text: &str) -> Answer<Option<Introspection>> {
        let now = self.vault.clock().now();
        let Some((row, _)) = self.own_token(client, text).await? else { return Ok(None) };
        let expires = Timestamp::from(row.expires_at);
        let Some(grant) = self.store.app_grant(row.oauth_grant).await? else { return Ok(None) };
        if now >= expires
            || row.used_at.is_some()
            || !is_live(&grant, now)
            || !self.still_here(&grant, now).await?
        {
            return Ok(None);
        }
        Ok(Some(Introspection {
            scopes: row.scopes,
            person: PersonId::from_uuid(grant.person),
            patient: grant.patient.map(ResourceId::from_uuid),
            encounter: grant.encounter.map(ResourceId::from_uuid),
            expires,
        }))
    }

    /// The public keys by which the tenant's id tokens verify (RFC 7517).
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn published_keys(&self) -> Answer<Vec<Value>> {
        let since = self.vault.clock().now() - ID_TOKEN_LIFE;
        Ok(self.store.signing_keys(since).await?.into_iter().map(|row| row.public_jwk).collect())
    }

    /// The key that signs now. The first is made on first use, and each signs for ninety days.
    ///
    /// # Errors
    /// [`AppError::Unavailable`].
    pub async fn signing_key(&self) -> Answer<SigningKey> {
        // Of several processes that want another one, one is first.
        for _ in 0..2 {
            let now = self.vault.clock().now();
            let active = self.store.signing_keys(now).await?.into_iter().find(|row| row.retired_at.is_none());
            let due = active.as_ref().is_none_or(|row| now.since(row.created_at.into()) >= KEY_LIFE);
            if let Some(row) = active.as_ref().filter(|_| !due) {
                return self.open_key(row).await;
            }
            self.rotate(active.map(|row| row.id), now).await?;
        }
        Err(malformed())
    }

    async fn open_key(&self, row: &oauth_signing_key::Model) -> Answer<SigningKey> {
        let plain = self.open_sealed(SecretColumn::SigningKey, row.id.as_bytes(), &row.sealed_key).await?;
        SigningKey::open(row.id.to_string(), &plain).map_err(|_| malformed())
    }

    async fn rotate(&self, old: Option<Uuid>, now: Timestamp) -> Answer<bool> {
        // A prime takes a while to find: not on a thread that answers others.
        let made = tokio::task::spawn_blocking(SigningKey::generate).await;
        let plain = made
            .map_err(|e| AppError::Unavailable(e.into()))?
            .map_err(|e| AppError::Unavailable(e.into()))?;
        let id = self.fresh();
        let key = SigningKey::open(id.to_string(), &plain).map_err(|e| AppError::Unavailable(e.into()))?;
        let row = oauth_signing_key::Model {
            id,
            sealed_key: self.seal(SecretColumn::SigningKey, id.as_bytes(), &plain).await?,
            public_jwk: key.public_jwk().map_err(|e| AppError::Unavailable(e.into()))?,
            created_at: now.into(),
            retired_at: None,
        };
        self.forget_apps().await?;
        Ok(self.store.replace_signing_key(row, old).await?)
    }
}

fn is_live(grant: &oauth_grant::Model, now: Timestamp) -> bool {
    grant.revoked_at.is_none() && now < Timestamp::from(grant.expires_at)
}
