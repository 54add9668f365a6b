//! The files of the pages. They are part of the binary: what is served is what was reviewed.

use axum::{
    Extension,
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::Brand;

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, media type, content.
pub(crate) const FILES: &[(&str, &str, &str)] = &[
    ("portal.css", STYLE, include_str!("../assets/portal.css")),
    ("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ("api.js", SCRIPT, include_str!("../assets/api.js")),
    ("page.js", SCRIPT, include_str!("../assets/page.js")),
    ("passkey.js", SCRIPT, include_str!("../assets/passkey.js")),
    ("logoff.js", SCRIPT, include_str!("../assets/logoff.js")),
    ("return.js", SCRIPT, include_str!("../assets/return.js")),
    ("consent.js", SCRIPT, include_str!("../assets/consent.js")),
    ("sign-in.js", SCRIPT, include_str!("../assets/sign-in.js")),
    ("join.js", SCRIPT, include_str!("../assets/join.js")),
    ("confirm.js", SCRIPT, include_str!("../assets/confirm.js")),
    ("people.js", SCRIPT, include_str!("../assets/people.js")),
    ("decisions.js", SCRIPT, include_str!("../assets/decisions.js")),
    ("provisioning.js", SCRIPT, include_str!("../assets/provisioning.js")),
    ("settings.js", SCRIPT, include_str!("../assets/settings.js")),
    ("apps.js", SCRIPT, include_str!("../assets/apps.js")),
    ("clinics.js", SCRIPT, include_str!("../assets/clinics.js")),
    ("service.js", SCRIPT, include_str!("../assets/service.js")),
    ("federation.js", SCRIPT, include_str!("../assets/federation.js")),
    ("account.js", SCRIPT, include_str!("../assets/account.js")),
    ("recover.js", SCRIPT, include_str!("../assets/recover.js")),
    ("home.js", SCRIPT, include_str!("../assets/home.js")),
];

/// `/brand.css`: the tenant's colour in place of the product's.
pub(crate) async fn brand(Extension(brand): Extension<Brand>) -> Response {
    let rule = brand.accent.map(|accent| format!(":root {{ --accent: {accent}; }}\n"));
    ([(header::CONTENT_TYPE, STYLE)], rule.unwrap_or_default()).into_response()
}

pub(crate) async fn serve(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(known, ..)| *known == name) {
        // Kept by no cache, as everything here: a page and its scripts are always of the same release.
        Some((_, media, text)) => ([(header::CONTENT_TYPE, *media)], *text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
