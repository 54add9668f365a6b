//! Where an app is sent back to: exactly where it said when it was registered.

use url::{Host, Url};

/// An address that no app is sent back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a redirect URI is https, or http on 127.0.0.1, [::1] or localhost; it has no fragment, user name or wildcard"
)]
pub struct RedirectError;

/// Checks an address at registration.
///
/// # Errors
/// When it is not https (or http on this machine's own loopback, RFC 8252 section 7.3), has a fragment, user name or
/// blank, or is longer than 2,000 bytes.
pub fn check(uri: &str) -> Result<(), RedirectError> {
    let url = Url::parse(uri).map_err(|_| RedirectError)?;
    let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    let plain = uri.bytes().all(|byte| byte.is_ascii_graphic())
        && uri.len() <= 2_000
        && !uri.contains(['*', '#', '\\']);
    let nobody = url.username().is_empty() && url.password().is_none() && url.host().is_some();
    if secure && plain && nobody { Ok(()) } else { Err(RedirectError) }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Whether an app that is registered with `registered` may be sent to `presented`: byte for byte, but for the port of http
/// on loopback, which the operating system gives (RFC 8252 section 7.3).
#[must_use]
pub fn matches(registered: &str, presented: &str) -> bool {
    registered == presented || (check(presented).is_ok() && loopback_without_port(registered, presented))
}

fn loopback_without_port(registered: &str, presented: &str) -> bool {
    let (Ok(registered), Ok(presented)) = (Url::parse(registered), Url::parse(presented)) else {
        return false;
    };
    registered.scheme() == "http"
        && presented.scheme() == "http"
        && is_loopback(&registered)
        && registered.host() == presented.host()
        && registered.path() == presented.path()
        && registered.query() == presented.query()
}

/// The origin of an address, such as `https://app.example`.
#[must_use]
pub fn origin(uri: &str) -> Option<String> {
    let origin = Url::parse(uri).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// The address with parameters added to its query.
#[must_use]
pub fn with(uri: &str, parameters: &[(&str, &str)]) -> Option<String> {
    let mut url = Url::parse(uri).ok()?;
    url.query_pairs_mut().extend_pairs(parameters);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_only_https_and_loopback_are_registered() {
        for good in [
            "https://app.example/callback",
            "https://app.example:8443/callback?x=1",
            "http://127.0.0.1/callback",
            "http://localhost:3000/cb",
            "http://[::1]/cb",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "http://app.example/callback",
            "http://localhost.evil.test/",
            "https://app.example/callback#x",
            "https://user@app.example/",
            "https://*.app.example/",
            "https://app.example/a b",
            "javascript:alert(1)",
            "data:text/html,x",
            "app://callback",
            "//app.example/",
            "/callback",
            "https:\\\\app.example",
            "",
        ] {
            assert_eq!(check(bad), Err(RedirectError), "{bad}");
        }
    }

    #[test]
    fn i11_a_redirect_is_compared_byte_for_byte() {
        let registered = "https://app.example/callback";
        assert!(matches(registered, registered));
        for other in [
            "https://app.example/callback/",
            "https://app.example/callback?x=1",
            "https://app.example/Callback",
            "https://app.example:443/callback",
            "https://APP.example/callback",
            "https://app.example/callback/../callback",
            "https://app.example.evil.test/callback",
            "http://app.example/callback",
            "https://app.example/callback#",
            "",
        ] {
            assert!(!matches(registered, other), "{other}");
        }
        assert!(matches("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"));
        assert!(!matches("http://127.0.0.1/cb", "http://127.0.0.1:49152/other"));
        assert!(!matches("http://127.0.0.1/cb", "http://localhost:49152/cb"));
        assert!(!matches("http://127.0.0.1/cb", "https://127.0.0.1:49152/cb"));
        assert!(!matches("https://127.0.0.1/cb", "http://127.0.0.1/cb"));
    }

    #[test]
    fn i11_what_comes_back_is_added_to_the_query() {
        let back = with("https://app.example/cb?x=1", &[("code", "cko_a"), ("state", "a b&c")]);
        assert_eq!(back.as_deref(), Some("https://app.example/cb?x=1&code=cko_a&state=a+b%26c"));
        assert_eq!(origin("https://app.example:8443/cb?x").as_deref(), Some("https://app.example:8443"));
    }
}
