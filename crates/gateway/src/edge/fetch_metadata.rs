//! Cross-site request forgery: who caused this request? (Fetch Metadata, W3C; BARS S3.)
//!
//! Tenants are siblings below one domain, so `same-site` is as foreign as `cross-site`.

use http::{HeaderMap, HeaderValue, Method, header};

use crate::problem::{Problem, catalogue};

/// Checks who caused a request. `origin` is the host's own, for example `https://acme.example`; `from_app` says that the page of an
/// app that the tenant approved asks, at a route for apps.
///
/// A bearer token without cookies passes, because no browser attaches one by itself; so does an app's page without cookies. A safe method passes unless another
/// site's page caused it and is not left by it: a read is recorded as the person's, whoever caused it.
///
/// # Errors
/// 403 if another site may have caused it.
pub fn check(method: &Method, headers: &HeaderMap, (origin, from_app): (&str, bool)) -> Result<(), Problem> {
    let cookies = headers.contains_key(header::COOKIE);
    if method.is_safe() {
        return if cookies && is_embedded(headers) { Err(catalogue::CROSS_SITE) } else { Ok(()) };
    }
    if !cookies && (from_app || has_bearer(headers)) {
        return Ok(());
    }
    let allowed = match (single(headers, "sec-fetch-site"), single(headers, "origin")) {
        (Single::Several, _) | (_, Single::Several) => false,
        (Single::One(site), from) => own_page(site, headers) && from_is_own_or_hidden(from, origin),
        (Single::Absent, Single::One(from)) => from.as_bytes() == origin.as_bytes(),
        // No browser: nobody could have made somebody else's browser send this.
        (Single::Absent, Single::Absent) => !cookies,
    };
    if allowed { Ok(()) } else { Err(catalogue::CROSS_SITE) }
}

/// Whether another site's page asks for a part of itself: a picture, a script, a frame. Following a link is another thing.
fn is_embedded(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| matches!(single(headers, name), Single::One(found) if found == value);
    let (own, link) = (is("sec-fetch-site", "same-origin"), is("sec-fetch-mode", "navigate"));
    headers.contains_key("sec-fetch-site")
        && !own
        && !(link && (is("sec-fetch-dest", "document") || is("sec-fetch-site", "none")))
}

#[derive(Clone, Copy)]
enum Single<'a> {
    Absent,
    One(&'a HeaderValue),
    Several,
}

fn single<'a>(headers: &'a HeaderMap, name: &str) -> Single<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(value), None) => Single::One(value),
        (Some(_), Some(_)) => Single::Several,
    }
}

fn own_page(site: &HeaderValue, headers: &HeaderMap) -> bool {
    match site.as_bytes() {
        b"same-origin" => true,
        // Typed, bookmarked or reloaded by the person.
        b"none" => headers.get("sec-fetch-mode").is_some_and(|mode| mode.as_bytes() == b"navigate"),
        _ => false,
    }
}

/// A form of our own pages sends `Origin: null`, because they have `Referrer-Policy: no-referrer` (Fetch, "append a
/// request Origin header"); `Sec-Fetch-Site` has said by then that it is ours.
fn from_is_own_or_hidden(from: Single<'_>, origin: &str) -> bool {
    match from {
        Single::Absent => true,
        Single::One(value) => value.as_bytes() == b"null" || value.as_bytes() == origin.as_bytes(),
        Single::Several => false,
    }
}

fn has_bearer(headers: &HeaderMap) -> bool {
    match single(headers, "authorization") {
        Single::One(value) => value
            .as_bytes()
            .split_at_checked(7)
            .is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// method, Sec-Fetch-Site, Sec-Fetch-Mode, Origin, cookie, bearer -> allowed
    type Row = (&'static str, &'static str, &'static str, &'static str, bool, bool, bool);

    const OWN: &str = "https://acme.example";
    const SIBLING: &str = "https://beta.example";

    #[rustfmt::skip]
    const MATRIX: [Row; 37] = [
        ("POST", "same-origin", "cors", OWN, true, false, true),
        ("POST", "same-origin", "navigate", "null", true, false, true),
        ("POST", "same-origin", "cors", "", true, false, true),
        ("POST", "same-origin", "cors", SIBLING, true, false, false),
        ("POST", "none", "navigate", "", true, false, true),
        ("POST", "none", "cors", "", true, false, false),
        ("POST", "same-site", "cors", SIBLING, true, false, false),
        ("POST", "same-site", "navigate", "null", true, false, false),
        ("POST", "same-site", "cors", OWN, true, false, false),
        ("POST", "same-site", "no-cors", "", false, false, false),
        ("POST", "cross-site", "cors", "https://evil.test", true, false, false),
        ("POST", "cross-site", "no-cors", "null", true, false, false),
        ("POST", "cross-site", "navigate", "", false, false, false),
        ("POST", "Same-Origin", "cors", OWN, true, false, false),
        ("POST", "", "", OWN, true, false, true),
        ("POST", "", "", OWN, false, false, true),
        ("POST", "", "", "https://acme.example:8443", true, false, false),
        ("POST", "", "", "http://acme.example", true, false, false),
        ("POST", "", "", "https://acme.example.evil.test", true, false, false),
        ("POST", "", "", "null", true, false, false),
        ("POST", "", "", "", true, false, false),
        ("POST", "", "", "", false, false, true),
        ("POST", "", "", "", true, true, false),
        ("POST", "cross-site", "cors", "https://app.test", false, true, true),
        ("POST", "cross-site", "cors", "https://app.test", true, true, false),
        ("PUT", "same-site", "cors", SIBLING, true, false, false),
        ("DELETE", "cross-site", "cors", SIBLING, true, false, false),
        ("GET", "cross-site", "navigate", "", true, false, true),
        ("GET", "same-site", "navigate", "", true, false, true),
        ("GET", "none", "navigate", "", true, false, true),
        ("GET", "", "", "", true, false, true),
        ("GET", "same-origin", "cors", "", true, false, true),
        ("GET", "same-site", "no-cors", "", true, false, false),
        ("GET", "same-site", "cors", SIBLING, true, false, false),
        ("GET", "none", "no-cors", "", true, false, false),
        ("HEAD", "cross-site", "no-cors", "", true, false, false),
        ("GET", "cross-site", "cors", "https://app.test", false, true, true),
    ];

    #[test]
    fn bar_s3_the_matrix_of_sites_origins_and_credentials() {
        for row in MATRIX {
            let (method, site, mode, origin, cookie, bearer, allowed) = row;
            let mut headers = HeaderMap::new();
            for (name, value) in [("sec-fetch-site", site), ("sec-fetch-mode", mode), ("origin", origin)] {
                if !value.is_empty() {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            if mode == "navigate" {
                headers.insert("sec-fetch-dest", HeaderValue::from_static("document"));
            }
            if cookie {
                headers.insert("cookie", HeaderValue::from_static("__Host-s=1"));
            }
            if bearer {
                headers.insert("authorization", HeaderValue::from_static("Bearer abc"));
            }
            let method = method.parse().unwrap();
            assert_eq!(check(&method, &headers, (OWN, false)).is_ok(), allowed, "{row:?}");
            // The page of an app helps nothing that comes with a cookie.
            let as_app = check(&method, &headers, (OWN, true)).is_ok();
            assert_eq!(as_app, allowed || !cookie, "{row:?}");
        }
    }

    #[test]
    fn bar_s3_a_siblings_frame_reads_nothing_with_the_persons_cookie() {
        let of = |dest: &'static str| {
            let pairs =
                [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
            let mut headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
                .collect();
            headers.insert("cookie", HeaderValue::from_static("__Host-s=1"));
            check(&Method::GET, &headers, (OWN, false)).is_ok()
        };
        assert!(of("document") && !of("iframe") && !of("object") && !of("embed"));
    }

    #[test]
    fn bar_s3_a_second_value_never_helps() {
        let mut headers = HeaderMap::new();
        headers.append("sec-fetch-site", HeaderValue::from_static("same-origin"));
        assert!(check(&Method::POST, &headers, (OWN, false)).is_ok());
        headers.append("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(check(&Method::POST, &headers, (OWN, false)).is_err());
    }
}
