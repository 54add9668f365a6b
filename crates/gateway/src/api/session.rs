//! From a request to its caller.
//!
//! The session token comes in the `__Host-carekeep` cookie (browsers) or as `Authorization: Bearer` (programs). With both,
//! or with two cookies of the name, nobody is signed in: a request that is two people is nobody's.

use axum::extract::FromRequestParts;
use carekeep_vault::{Activity, Caller, Origin, SessionError};
use http::{HeaderMap, header, request::Parts};

use super::Api;
use crate::{
    edge::{ClientAddr, RequestId, TenantRoute},
    problem::{Problem, catalogue},
};

/// The name of the session cookie. The `__Host-` prefix keeps sibling hosts from setting it (RFC 6265bis 4.1.3.2).
pub(crate) const COOKIE: &str = "__Host-carekeep";

/// A caller with a session of their own, inside their rate limit. No app: what is not FHIR is not for apps.
pub struct SignedIn(pub Caller);

impl FromRequestParts<Api> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Asking(caller) = Asking::from_request_parts(parts, api).await?;
        if caller.is_app() {
            Err(catalogue::FORBIDDEN.member("reason", "app_token"))
        } else {
            Ok(Self(caller))
        }
    }
}

/// To a provisioning token nothing but SCIM is open, and SCIM to nothing else. Policy says so, too; but not every route asks it.
const PROVISIONER: Problem = catalogue::FORBIDDEN;

/// The tenant's identity provider, inside its rate limit.
pub(crate) struct Provisioner(pub(crate) Caller);

impl FromRequestParts<Api> for Provisioner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = caller(parts, api).await?;
        if caller.is_provisioner() { Ok(Self(caller)) } else { Err(PROVISIONER) }
    }
}

/// A signed-in caller, or an app in somebody's name, inside the person's rate limit.
pub(crate) struct Asking(pub(crate) Caller);

impl FromRequestParts<Api> for Asking {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let caller = caller(parts, api).await?;
        if caller.is_provisioner() { Err(PROVISIONER) } else { Ok(Self(caller)) }
    }
}

/// Whoever asks, inside their rate limit.
async fn caller(parts: &Parts, api: &Api) -> Result<Caller, Problem> {
    let tenant = parts.extensions.get::<TenantRoute>().ok_or(catalogue::INTERNAL)?.tenant;
    let token = token(&parts.headers).ok_or(catalogue::UNAUTHENTICATED)?.to_owned();
    let origin = origin(parts)?;
    let caller = api.vault.authenticate(tenant, &token, origin).await.map_err(problem)?;
    api.limiter.check_principal(caller.person())?;
    Ok(caller)
}

/// Where the request came from, as the edge measured it.
pub(crate) fn origin(parts: &Parts) -> Result<Origin, Problem> {
    let address = parts.extensions.get::<ClientAddr>().ok_or(catalogue::INTERNAL)?.0;
    let request = parts.extensions.get::<RequestId>().ok_or(catalogue::INTERNAL)?.bytes();
    Ok(Origin { address, request, activity: activity(&parts.headers) })
}

/// A page says of what it does by itself that nobody is there for it. Whatever else is said is use.
const ACTIVITY: &str = "carekeep-activity";

fn activity(headers: &HeaderMap) -> Activity {
    let background = headers.get(ACTIVITY).is_some_and(|value| value == "background");
    if background { Activity::Background } else { Activity::Use }
}

fn problem(error: SessionError) -> Problem {
    match error {
        SessionError::Unknown => catalogue::UNAUTHENTICATED,
        SessionError::Unfinished => catalogue::SIGN_IN_UNFINISHED,
        SessionError::Unavailable(cause) => {
            tracing::warn!(cause = %cause, "a session could not be looked up");
            catalogue::UNAVAILABLE.retry_after(2)
        }
    }
}

/// The one session token of a request.
pub(crate) fn token(headers: &HeaderMap) -> Option<&str> {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter();
    let bearer = bearers.next();
    let mut cookies = cookies(headers, COOKIE);
    let cookie = cookies.next();
    if bearers.next().is_some() || cookies.next().is_some() {
        return None;
    }
    match (bearer, cookie) {
        (Some(bearer), None) => {
            let (scheme, token) = bearer.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        }
        (None, cookie) => cookie,
        (Some(_), Some(_)) => None,
    }
}

fn cookies<'a>(headers: &'a HeaderMap, wanted: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(name, _)| *name == wanted)
        .map(|(_, value)| value)
}

/// The one cookie of a name.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &'a str) -> Option<&'a str> {
    let mut found = cookies(headers, name);
    let first = found.next();
    first.filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn one_token_is_found_and_two_are_nobodys() {
        let find = |pairs| token(&headers(pairs)).map(str::to_owned);
        assert_eq!(find(&[("authorization", "Bearer cks_a")]).as_deref(), Some("cks_a"));
        assert_eq!(find(&[("authorization", "bearer cks_a")]).as_deref(), Some("cks_a"));
        assert_eq!(find(&[("cookie", "x=1; __Host-carekeep=cks_b; y=2")]).as_deref(), Some("cks_b"));
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[("authorization", "Basic cks_a")]), None);
        assert_eq!(find(&[("cookie", "carekeep=cks_b")]), None);
        assert_eq!(find(&[("cookie", "__Host-carekeep=a; __Host-carekeep=b")]), None);
        assert_eq!(find(&[("cookie", "__Host-carekeep=a"), ("cookie", "__Host-carekeep=b")]), None);
        assert_eq!(find(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), None);
        assert_eq!(find(&[("authorization", "Bearer a"), ("cookie", "__Host-carekeep=b")]), None);
    }
}
