//! Reading addresses and headers of FHIR requests.

use axum::extract::{FromRequestParts, Path};
use carekeep_care::fhir::{Condition, Fhir, FhirError};
use carekeep_fhir::{
    search::Handling,
    types::{ResourceType, r4_type_name},
};
use carekeep_kernel::{PersonId, ResourceId};
use carekeep_vault::{AccessError, Caller};
use http::{HeaderMap, HeaderName, header, request::Parts};

use super::answer::Refused;
use crate::{
    api::{Api, session::Asking},
    edge::TenantRoute,
    problem::{Problem, catalogue},
};

/// The tenant's FHIR base address, such as `https://acme.example/fhir/R4`.
pub(super) struct Base(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Base {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let route = parts.extensions.get::<TenantRoute>().ok_or(catalogue::INTERNAL)?;
        Ok(Self(format!("{}/fhir/R4", route.origin)))
    }
}

/// A FHIR request of a signed-in caller or of an app in their name, without path and body.
pub(super) struct Asked {
    pub(super) api: Api,
    caller: Caller,
    pub(super) base: String,
    pub(super) headers: HeaderMap,
    /// The query, percent-decoded.
    pub(super) query: Vec<(String, String)>,
}

impl FromRequestParts<Api> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Asking(caller) = Asking::from_request_parts(parts, api).await?;
        let Base(base) = Base::from_request_parts(parts, api).await?;
        let query = pairs(parts.uri.query().unwrap_or_default());
        Ok(Self { api: api.clone(), caller, base, headers: parts.headers.clone(), query })
    }
}

impl Asked {
    /// Who asks.
    pub(super) const fn person(&self) -> PersonId {
        self.caller.person()
    }

    /// The FHIR interactions of the caller.
    pub(super) fn fhir(&self) -> Fhir<'_> {
        Fhir { vault: &self.api.vault, caller: &self.caller, base: &self.base }
    }
}

/// The type in a path. A type that is not served is told as such: which types there are is public.
pub(super) fn type_of(Path(kind): &Path<String>) -> Result<ResourceType, Refused> {
    parse_type(kind)
}

fn parse_type(kind: &str) -> Result<ResourceType, Refused> {
    kind.parse().map_err(|_| Refused::NotServed(r4_type_name(kind)))
}

/// The type and id in a path. An id that is no UUID names nothing, like any other id that is not there.
pub(super) fn instance_of(
    Path((kind, id)): &Path<(String, String)>,
) -> Result<(ResourceType, ResourceId), Refused> {
    let kind = parse_type(kind)?;
    Ok((kind, id.parse().map_err(|_| invisible())?))
}

pub(super) fn invisible() -> Refused {
    Refused::Fhir(FhirError::Access(AccessError::Invisible))
}

/// The version in `If-Match: W/"3"` (R4, "Managing Resource Contention").
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u32>, Refused> {
    let Some(text) = condition(headers, header::IF_MATCH)? else { return Ok(None) };
    let malformed = FhirError::Condition("If-Match must be one version, such as W/\"3\"");
    let text = text.trim();
    let text = text.strip_prefix("W/").unwrap_or(text);
    let version =
        text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    version.map(Some).ok_or(Refused::Fhir(malformed))
}

/// `If-None-Match`: the version that the client has.
pub(super) fn if_none_match(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    condition(headers, header::IF_NONE_MATCH)
}

/// `If-None-Exist`: a search, percent-decoded (R4, "Conditional create").
pub(super) fn if_none_exist(headers: &HeaderMap) -> Result<Option<Condition>, Refused> {
    Ok(condition(headers, HeaderName::from_static("if-none-exist"))?.map(pairs))
}

/// A header that makes the request conditional. One that cannot be read, or that is there twice, refuses the request: what
/// was to be done on a condition is not done without it.
fn condition(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Refused> {
    let refused = || {
        FhirError::Mismatch(
            "a condition (If-Match, If-None-Match, If-None-Exist) must be one header in ASCII: send it once, percent-encoded",
        )
    };
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().map_err(|_| refused())?)),
        (Some(_), Some(_)) => Err(refused().into()),
    }
}

/// Decodes `a=b&c=d`.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// `Prefer: handling=...`
pub(super) fn handling(headers: &HeaderMap) -> Handling {
    prefer(headers).map_or_else(Handling::default, Handling::from_prefer)
}

/// `Prefer: return=minimal` (RFC 7240 section 4.2).
pub(super) fn wants_minimal(headers: &HeaderMap) -> bool {
    prefer(headers).is_some_and(|value| {
        value.split([',', ';']).any(|part| part.trim().eq_ignore_ascii_case("return=minimal"))
    })
}

fn prefer(headers: &HeaderMap) -> Option<&str> {
    headers.get("prefer").and_then(|value| value.to_str().ok())
}
