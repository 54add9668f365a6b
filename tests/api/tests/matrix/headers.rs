//! BARS S2: what every answer of the matrix leaves with, refusals included.

use crate::support::Answer;

const EVERYWHERE: &[(&str, &str)] = &[
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("origin-agent-cluster", "?1"),
    ("x-permitted-cross-domain-policies", "none"),
    ("cache-control", "no-store"),
];

/// Never there: what tells the software, and what opens an answer to other origins.
const NOWHERE: &[&str] =
    &["server", "x-powered-by", "access-control-allow-origin", "access-control-allow-credentials"];

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// Checks an answer of the public or the internal listener.
#[track_caller]
pub(super) fn check(answer: &Answer, path: &str) {
    let about = format!("{path} answered {}", answer.status);
    for (name, value) in EVERYWHERE {
        assert_eq!(header(answer, name), *value, "{name}: {about}");
    }
    for name in NOWHERE {
        assert!(!answer.headers.contains_key(*name), "{name}: {about}");
    }
    let csp = header(answer, "content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'"] {
        assert!(csp.contains(part), "{csp}: {about}");
    }
    assert!(!csp.contains("unsafe-") && !csp.contains('*'), "{csp}: {about}");
    let runs_scripts = csp.contains("script-src 'self'");
    assert!(runs_scripts || csp.contains("sandbox"), "{csp}: {about}");
    assert!(
        !(runs_scripts && ["/api/", "/fhir/", "/scim/"].iter().any(|api| path.starts_with(api))),
        "{csp}: {about}"
    );
    let devices = header(answer, "permissions-policy");
    assert!(devices.contains("camera=()") && devices.contains("microphone=()"), "{devices}: {about}");
    assert_eq!(header(answer, "x-request-id").len(), 36, "{about}");
    if answer.status.is_client_error() || answer.status.is_server_error() {
        let media = header(answer, "content-type");
        let expected = match path.split('/').nth(1) {
            Some("fhir") => "application/fhir+json",
            Some("scim") => "application/scim+json",
            _ => "application/problem+json",
        };
        // What the protocol refuses, it refuses in its own form (RFC 6749 section 5.2).
        let protocol = answer.body["error"].is_string() && path.starts_with("/oauth/");
        let expected = if protocol { "application/json" } else { expected };
        assert!(media.starts_with(expected), "{media}: {about}");
    }
}
