//! A request to an identity route: at which tenant, from where, with which session, and how the next token is to leave.

use std::{net::IpAddr, sync::Arc};

use axum::extract::FromRequestParts;
use carekeep_identity::{
    flow::SessionState,
    passkey::{PasskeyError, RelyingParty},
    service::{Identity, IdentityError, Live, TenantSettings},
    session::{Activity, SessionRecord},
    storage::{PgRepository, PreparedTokens, Presented, Recognised, Shown},
};
use carekeep_kernel::TenantId;
use carekeep_policy::Aal;
use carekeep_vault::{AccountEvent, AccountHolder, Origin};
use http::{HeaderMap, HeaderName, header, request::Parts};

use super::{devices::first_name, notices};
use crate::{
    api::{
        Api,
        session::{cookie, origin, token},
    },
    edge::{ClientAddr, TenantRoute},
    limits::Lane,
    problem::{Problem, catalogue},
};

/// Asks for the token in the body: `Carekeep-Token: body`.
const TOKEN_HEADER: HeaderName = HeaderName::from_static("carekeep-token");

/// Where a program says which device it is, or `new` for one that it will remember.
const DEVICE_HEADER: HeaderName = HeaderName::from_static("carekeep-device");

/// The cookie by which a browser is recognised. Not for signing in: it proves nothing.
pub(super) const DEVICE_COOKIE: &str = "__Host-carekeep-device";

/// The cookie that binds a sign-in by passkey to the browser that began it.
pub(super) const HOLDER_COOKIE: &str = "__Host-carekeep-ceremony";

/// How a new token leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// In a cookie that scripts cannot read.
    Cookie,
    /// In the body.
    Body,
}

impl Delivery {
    /// Whoever presents a bearer token gets the next one in the body too, or would lose the session by a step.
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let asked = headers.get(TOKEN_HEADER).is_some_and(|value| value.as_bytes() == b"body");
        // Otherwise an injected script could have itself told the token that the cookie keeps from it.
        let browser = headers.contains_key("sec-fetch-site") || headers.contains_key(header::COOKIE);
        match (asked, headers.contains_key(header::AUTHORIZATION)) {
            (true, _) if browser => Err(catalogue::TOKEN_IN_BROWSER),
            (true, _) | (_, true) => Ok(Self::Body),
            (false, false) => Ok(Self::Cookie),
        }
    }
}

/// A request to an identity route.
pub(super) struct Visit {
    pub(super) api: Api,
    pub(super) tenant: TenantId,
    /// The tenant's name for people.
    pub(super) brand: String,
    /// `https://host[:port]`, without a slash.
    pub(super) origin: Arc<str>,
    pub(super) delivery: Delivery,
    pub(super) identity: Identity<PgRepository>,
    pub(super) holder: Option<String>,
    /// What is kept to be recognised by; `None` for a program that does not want to be.
    device: Option<String>,
    device_name: String,
    address: IpAddr,
    from: Origin,
    token: Option<String>,
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let delivery = Delivery::of(&parts.headers)?;
        let route = parts.extensions.get::<TenantRoute>().ok_or(catalogue::INTERNAL)?;
        let address = parts.extensions.get::<ClientAddr>().ok_or(catalogue::INTERNAL)?.0;
        let tenant = route.tenant;
        let brand = api.vault.directory().now().by_id(tenant).map(|state| state.name.clone());
        let brand = brand.ok_or_else(|| catalogue::TENANT_UNAVAILABLE.retry_after(5))?;
        let party = RelyingParty::new(tenant, route.host.as_str(), port(&route.origin), &brand)
            .map_err(|_| catalogue::INTERNAL)?;
        let repository = PgRepository::open(&api.vault, tenant).await?;
        let from = origin(parts)?;
        let identity = Identity::new(repository, party, TenantSettings::default(), api.identity.clone());
        Ok(Self {
            api: api.clone(),
            tenant,
            brand,
            origin: Arc::clone(&route.origin),
            delivery,
            identity: identity.with_activity(from.activity),
            device: presented_device(&parts.headers, delivery),
            device_name: first_name(&parts.headers),
            holder: cookie(&parts.headers, HOLDER_COOKIE).map(str::to_owned),
            address,
            from,
            token: token(&parts.headers).map(str::to_owned),
        })
    }
}

impl Visit {
    /// The session token of the request.
    pub(super) fn token(&self) -> Result<&str, Problem> {
        self.token.as_deref().ok_or(catalogue::UNAUTHENTICATED)
    }

    /// The session of the request, whatever its state.
    pub(super) async fn live(&self) -> Result<Live, Problem> {
        Ok(self.identity.authenticate(self.token()?, Activity::Background).await?)
    }

    /// Ends the session that the request came with, because another one has begun in its place (ASVS 5.0 section 7.2.4).
    pub(super) async fn end_previous(&self) -> Result<(), Problem> {
        let Ok(token) = self.token() else { return Ok(()) };
        let live = match self.identity.authenticate(token, Activity::Background).await {
            Ok(live) => live,
            Err(IdentityError::NoSession) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        // On record first: an entry of a session that goes on may be, one that ended without may not.
        self.record(AccountEvent::SignOut, &live.session).await?;
        match self.identity.sign_out(token).await {
            Ok(()) | Err(IdentityError::NoSession) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Records what was done in a session. Only then its token leaves.
    pub(super) async fn record(&self, event: AccountEvent, session: &SessionRecord) -> Result<(), Problem> {
        self.note(session, (event, true), None).await
    }

    /// Passes on what became of proving a factor; that one was refused is recorded first.
    pub(super) async fn tried<T>(
        &self,
        live: &Live,
        event: AccountEvent,
        tried: Result<T, IdentityError>,
    ) -> Result<T, Problem> {
        // An attempt that was not under way proves nothing either way, and costs whoever sends it nothing.
        let refused = match &tried {
            Err(IdentityError::Passkey(error)) => !matches!(error, PasskeyError::Stale),
            Err(IdentityError::Refused) => true,
            _ => false,
        };
        if refused {
            self.note(&live.session, (event, false), None).await?;
        }
        Ok(tried?)
    }

    /// As [`Visit::record`] for the session of the request, with which app it is about.
    pub(super) async fn record_about_app(&self, event: AccountEvent, said: &str) -> Result<(), Problem> {
        self.note(&self.live().await?.session, (event, true), Some(said)).await
    }

    /// Records that an app gets tokens.
    pub(super) async fn record_token(&self, tokens: &PreparedTokens) -> Result<(), Problem> {
        let holder = AccountHolder {
            tenant: self.tenant,
            person: tokens.person(),
            session: tokens.session(),
            aal: if tokens.two_factors() { Aal::Two } else { Aal::One },
            device: None,
        };
        let (what, said) = ((AccountEvent::IssueToken, true), tokens.said());
        self.api.vault.record_account_event(holder, self.from, what, Some(&said)).await?;
        Ok(())
    }

    /// As [`Visit::record`], and what it is about: an id, sealed with the entry.
    pub(super) async fn record_about(
        &self,
        event: AccountEvent,
        session: &SessionRecord,
        said: &str,
    ) -> Result<(), Problem> {
        self.note(session, (event, true), Some(said)).await
    }

    /// Finds out from which device a step of a session is taken that has two factors with it, whatever device it began on; `None` for
    /// one that has not, or of a program that does not want to be recognised.
    pub(super) async fn recognise_device(
        &self,
        session: &SessionRecord,
        shown: Shown,
    ) -> Result<Option<Recognised>, Problem> {
        let active = matches!(session.state, SessionState::Active { .. });
        let Some(token) = self.device.as_deref().filter(|_| active) else { return Ok(None) };
        let presented = Presented { token: Some(token), name: &self.device_name, shown };
        Ok(Some(self.identity.repository().recognise_device(session, presented).await?))
    }

    /// Whether the request comes from the device of its session.
    pub(super) async fn is_on_device(&self, session: &SessionRecord) -> Result<bool, Problem> {
        let Some(token) = &self.device else { return Ok(false) };
        Ok(self.identity.repository().is_of_device(session, token).await?)
    }

    /// What the browser keeps to be recognised by.
    pub(super) fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// Whether policy counts two factors: whoever came in by a recovery code has one.
    pub(super) fn two_factors(&self, session: &SessionRecord) -> bool {
        session.state == SessionState::Active { must_reenrol: false }
    }

    async fn note(
        &self,
        session: &SessionRecord,
        what: (AccountEvent, bool),
        said: Option<&str>,
    ) -> Result<(), Problem> {
        let aal = if self.two_factors(session) { Aal::Two } else { Aal::One };
        let holder = AccountHolder {
            tenant: self.tenant,
            person: session.person,
            session: session.id,
            aal,
            device: session.device,
        };
        self.api.vault.record_account_event(holder, self.from, what, said).await?;
        // What is on record about an account, its person is told too.
        if let (event, true) = what
            && let Some((kind, about)) = notices::of(event)
        {
            self.identity.repository().notify(session.person, kind, about).await?;
        }
        Ok(())
    }

    /// Counts an attempt to sign in: by address and by login name.
    pub(super) async fn count_sign_in(&self, login: &str) -> Result<(), Problem> {
        self.api.limiter.check_sign_in(self.address, self.tenant, login).await?;
        Ok(())
    }

    /// Counts a guess at a factor of somebody whose first factor is known.
    pub(super) fn count_guess(&self, live: &Live, what: &str) -> Result<(), Problem> {
        let account = self.api.limiter.account_key(self.tenant, &format!("{what} {}", live.person.id));
        self.api.limiter.check(Lane::SignInAccount, account)?;
        Ok(())
    }

    /// Counts an attempt that names nobody: by address only.
    pub(super) async fn count_address(&self) -> Result<(), Problem> {
        self.api.limiter.check_sign_in_address(self.address).await?;
        Ok(())
    }
}

/// What a browser or a program says to be recognised. Any text that is no token of ours is answered with a new one.
fn presented_device(headers: &HeaderMap, delivery: Delivery) -> Option<String> {
    match delivery {
        Delivery::Cookie => Some(cookie(headers, DEVICE_COOKIE).unwrap_or_default().to_owned()),
        Delivery::Body => headers.get(DEVICE_HEADER)?.to_str().ok().map(str::to_owned),
    }
}

/// The port of an origin that the edge made.
fn port(origin: &str) -> u16 {
    origin.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(443)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn an_origin_has_its_port_or_that_of_https() {
        assert_eq!(port("https://acme.example"), 443);
        assert_eq!(port("https://acme.example:8443"), 8443);
    }

    #[test]
    fn a_browser_never_gets_a_token_where_a_script_could_read_it() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            Delivery::of(&headers).ok()
        };
        let ask = ("carekeep-token", "body");
        assert_eq!(of(&[]), Some(Delivery::Cookie));
        assert_eq!(of(&[ask]), Some(Delivery::Body));
        assert_eq!(of(&[("authorization", "Bearer cks_a")]), Some(Delivery::Body));
        assert_eq!(of(&[("carekeep-token", "cookie")]), Some(Delivery::Cookie));
        assert_eq!(of(&[ask, ("sec-fetch-site", "same-origin")]), None);
        assert_eq!(of(&[ask, ("cookie", "__Host-carekeep=cks_a")]), None);
    }
}
