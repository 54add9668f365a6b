//! What clients read before they ask.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{super::visit::Visit, Addresses};
use crate::problem::Problem;

/// `GET /.well-known/smart-configuration` (SMART App Launch 2.2, section "Conformance")
pub(super) async fn smart(visit: Visit) -> Response {
    let mut document = server(&Addresses(&visit.origin));
    document["capabilities"] = json!([
        "launch-ehr",
        "launch-standalone",
        "client-public",
        "client-confidential-symmetric",
        "client-confidential-asymmetric",
        "sso-openid-connect",
        "context-banner",
        "context-ehr-patient",
        "context-ehr-encounter",
        "context-standalone-patient",
        "permission-offline",
        "permission-online",
        "permission-patient",
        "permission-user",
        "permission-v1",
        "permission-v2",
    ]);
    Json(document).into_response()
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery 1.0, section 3)
pub(super) async fn openid(visit: Visit) -> Response {
    let mut document = server(&Addresses(&visit.origin));
    // Left out, the second would stand for true (OpenID Connect Discovery 1.0, section 3).
    document["request_parameter_supported"] = json!(false);
    document["request_uri_parameter_supported"] = json!(false);
    document["subject_types_supported"] = json!(["public"]);
    document["id_token_signing_alg_values_supported"] = json!(["RS256"]);
    document["claims_supported"] =
        json!(["iss", "sub", "aud", "iat", "exp", "auth_time", "nonce", "fhirUser", "name"]);
    Json(document).into_response()
}

/// Authorization server metadata (RFC 8414), which both documents have in common.
fn server(at: &Addresses<'_>) -> Value {
    json!({
        "issuer": at.0,
        "jwks_uri": at.at("/oauth/jwks"),
        "authorization_endpoint": at.at("/oauth/authorize"),
        "token_endpoint": at.token(),
        "introspection_endpoint": at.at("/oauth/introspect"),
        "revocation_endpoint": at.at("/oauth/revoke"),
        "authorization_response_iss_parameter_supported": true,
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "scopes_supported": [
            "openid", "fhirUser", "profile", "launch", "launch/patient", "offline_access", "online_access",
            "patient/*.cruds", "user/*.cruds", "system/*.cruds",
        ],
    })
}

/// `GET /oauth/jwks`
pub(super) async fn jwks(visit: Visit) -> Result<Response, Problem> {
    let keys = visit.identity.repository().published_keys().await?;
    Ok(Json(json!({ "keys": keys })).into_response())
}
