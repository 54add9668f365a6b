//! The headers that every answer leaves with, errors included (BARS S2).

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self},
};

use super::request_id::RequestId;

/// `X-Request-Id`.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const API_CSP: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src \
                       'none'; sandbox";
const PAGE_CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                        connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; \
                        frame-ancestors 'none'; require-trusted-types-for 'script'";
const NO_DEVICES: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), fullscreen=(), \
                          geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
                          picture-in-picture=(), publickey-credentials-create=(), publickey-credentials-get=(), \
                          screen-wake-lock=(), usb=(), xr-spatial-tracking=()";
const PAGE_DEVICES: &str = "accelerometer=(), autoplay=(), camera=(), display-capture=(), encrypted-media=(), \
                            fullscreen=(self), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), \
                            payment=(), picture-in-picture=(), publickey-credentials-create=(self), \
                            publickey-credentials-get=(self), screen-wake-lock=(), usb=(), xr-spatial-tracking=()";
const CONSULT_DEVICES: &str = "accelerometer=(), autoplay=(self), camera=(self), display-capture=(self), \
                               encrypted-media=(), fullscreen=(self), geolocation=(), gyroscope=(), magnetometer=(), \
                               microphone=(self), midi=(), payment=(), picture-in-picture=(self), \
                               publickey-credentials-create=(), publickey-credentials-get=(), screen-wake-lock=(self), \
                               usb=(), xr-spatial-tracking=()";

/// Put into a response's extensions by a portal page: the page's own scripts, styles and images are allowed, nothing
/// inline, nothing from elsewhere. Without it an answer gets the API's headers, which allow nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageHeaders {
    /// A page or a static file of a page.
    Page,
    /// The page of a video visit: camera, microphone and screen too.
    Consult,
}

/// Sets the security headers; what a handler set of them is overwritten, except `Cache-Control`.
pub fn apply(headers: &mut HeaderMap, page: Option<PageHeaders>, id: RequestId) {
    let (csp, devices) = match page {
        None => (API_CSP, NO_DEVICES),
        Some(PageHeaders::Page) => (PAGE_CSP, PAGE_DEVICES),
        Some(PageHeaders::Consult) => (PAGE_CSP, CONSULT_DEVICES),
    };
    let fixed = [
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
        (header::CONTENT_SECURITY_POLICY, csp),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-embedder-policy"), "require-corp"),
        (HeaderName::from_static("origin-agent-cluster"), "?1"),
        (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
        (HeaderName::from_static("permissions-policy"), devices),
    ];
    headers.reserve(fixed.len() + 2);
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, id.header_value());
    headers.remove(header::SERVER);
    headers.remove("x-powered-by");
}
