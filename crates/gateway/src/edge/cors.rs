//! Which pages of other sites may read an answer (Fetch standard, section "CORS protocol"; BARS S3).
//!
//! Invariants: a request with a cookie is never answered across origins, and `Access-Control-Allow-Credentials` is never said;
//! what an app may do it does by its bearer token. An origin is repeated only when it is the origin of an app that the tenant
//! approved; `*` stands only before documents that are the same for everybody.

use std::pin::Pin;

use carekeep_kernel::TenantId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

/// Who reads the answers of a route, besides the tenant's own pages and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readers {
    /// No page of another site.
    #[default]
    Nobody,
    /// Pages of the origins of apps that the tenant approved.
    Apps,
    /// Every page: it is public.
    Anybody,
}

/// Knows the origins of a tenant's apps.
pub trait AppOrigins: Send + Sync + 'static {
    /// Whether an app that the tenant approved, and did not disable a second ago, sends people back to this origin. When it cannot
    /// be told: no.
    fn knows<'a>(
        &'a self,
        tenant: TenantId,
        origin: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What FHIR and OAuth clients send besides what the standard always lets through.
const SENT: &str =
    "authorization, content-type, accept, prefer, if-match, if-none-match, if-modified-since, if-none-exist";
/// What they need of an answer besides what the standard always shows.
const SHOWN: &str =
    "etag, location, retry-after, ratelimit, ratelimit-policy, www-authenticate, x-request-id";
/// Seconds for which a browser need not ask again. What an app sends meanwhile is checked all the same.
const MAX_AGE: &str = "600";

/// A page of another origin that asks without cookies.
pub(super) struct Page(HeaderValue);

impl Page {
    /// Whether such a page asks. `own` is the host's own origin.
    pub(super) fn of(headers: &HeaderMap, own: &str) -> Option<Self> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
        let foreign = origin.as_bytes() != own.as_bytes() && !headers.contains_key(header::COOKIE);
        foreign.then(|| Self(origin.clone()))
    }

    /// As whom it may read the answer.
    pub(super) async fn reader(
        self,
        readers: Readers,
        (tenant, known): (TenantId, &dyn AppOrigins),
    ) -> Option<Reader> {
        match readers {
            Readers::Nobody => None,
            Readers::Anybody => Some(Reader::Anybody),
            Readers::Apps => {
                let origin = self.0.to_str().ok()?;
                let known = known.knows(tenant, origin).await;
                known.then(|| Reader::App(self.0))
            }
        }
    }
}

/// Who may read an answer.
pub(super) enum Reader {
    /// The page of an app, by its origin.
    App(HeaderValue),
    /// Whoever asks.
    Anybody,
}

impl Reader {
    /// Whether an app's page asks, so that its request may change something.
    pub(super) const fn is_app(&self) -> bool {
        matches!(self, Self::App(_))
    }

    /// Says so in the answer.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let origin = match self {
            Self::App(origin) => origin.clone(),
            Self::Anybody => HeaderValue::from_static("*"),
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(SHOWN));
    }
}

/// Whether a browser asks what a page may send, before the page's own request.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to that.
pub(super) fn preflight() -> (StatusCode, [(HeaderName, &'static str); 3]) {
    let said = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, SENT),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_s3_a_page_of_another_origin_asks_without_cookies_or_not_at_all() {
        let own = "https://acme.example";
        let asks = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            Page::of(&headers, own).is_some()
        };
        let app = ("origin", "https://app.example");
        assert!(asks(&[app]));
        assert!(!asks(&[]));
        assert!(!asks(&[("origin", "https://acme.example")]));
        assert!(!asks(&[app, ("origin", "https://evil.test")]));
        assert!(!asks(&[app, ("cookie", "__Host-carekeep=cks_a")]));
        assert!(!asks(&[app, ("cookie", "x=1")]));
    }
}
