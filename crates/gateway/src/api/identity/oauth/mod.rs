//! OAuth 2.1 and SMART App Launch 2.2 over HTTP. The rules are in `carekeep_identity::oauth`; here are forms, answers and addresses.
//!
//! Invariant: nobody is sent anywhere, and no app is told anything by way of somebody's browser, before `client_id` and
//! `redirect_uri` are known to belong together.

mod authorize;
mod discovery;
mod token;

use std::collections::BTreeMap;

use axum::{
    Json,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use carekeep_identity::{oauth::OAuthError, storage::AppError};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use self::authorize::{Asked, Consented, Decision};
use super::SMALL;
use crate::{
    api::Endpoint,
    edge::{BodyKinds, Readers, RoutePolicy},
    problem::{Problem, catalogue},
};

const FORM: RoutePolicy = RoutePolicy { body_bytes: 64 << 10, kinds: BodyKinds::Form };

/// The routes that apps call, and those of the consent page.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let public = |path, name, handler| Endpoint::new(Method::GET, path, name, handler).public();
    // What clients read before they are anybody's.
    let read = |path, name, handler| public(path, name, handler).read_by(Readers::Anybody);
    let form = |path, name, handler| {
        Endpoint::new(Method::POST, path, name, handler).public().body(FORM).read_by(Readers::Apps)
    };
    let smart = "/.well-known/smart-configuration";
    let below = "/fhir/R4/.well-known/smart-configuration";
    let openid = "/.well-known/openid-configuration";
    let consent = "/api/v1/consent";
    vec![
        read(smart, "oauth.smart_configuration", get(discovery::smart))
            .says("What apps are offered here (SMART App Launch, discovery)."),
        read(below, "oauth.smart_configuration_fhir", get(discovery::smart))
            .says("The same, below the FHIR base, where clients look for it."),
        read(openid, "oauth.openid_configuration", get(discovery::openid))
            .says("How id tokens are made and verified (OpenID Connect Discovery 1.0)."),
        read("/oauth/jwks", "oauth.jwks", get(discovery::jwks))
            .says("The keys by which id tokens verify (RFC 7517)."),
        public("/oauth/authorize", "oauth.authorize", get(authorize::begin))
            .says("Where an app sends people to ask them for access: a code, with PKCE by S256.")
            .asks(authorize::PARAMETERS)
            .answers(StatusCode::SEE_OTHER),
        form("/oauth/token", "oauth.token", post(token::issue))
            .says("Tokens for a code, for a refresh token, or for a program by itself."),
        form("/oauth/revoke", "oauth.revoke", post(token::revoke))
            .says("Revoke one of the app's own tokens (RFC 7009); a refresh token with its whole family."),
        form("/oauth/introspect", "oauth.introspect", post(token::introspect))
            .says("What one of the app's own tokens is (RFC 7662)."),
        Endpoint::new(Method::GET, consent, "consent.asked", get(authorize::asked))
            .says("What an app asks for, in words, with the query of its authorization request.")
            .asks(authorize::PARAMETERS)
            .gives::<Asked>(),
        Endpoint::new(Method::POST, consent, "consent.decide", post(authorize::decide))
            .says("Let the app in, or do not; gives where to go on.")
            .body(SMALL)
            .takes::<Decision>()
            .gives::<Consented>(),
    ]
}

/// A refusal as the protocol has it (RFC 6749 section 5.2), or what every other route may answer.
#[derive(Debug)]
pub(super) enum Failure {
    Protocol(OAuthError),
    Problem(Problem),
}

impl From<OAuthError> for Failure {
    fn from(error: OAuthError) -> Self {
        Self::Protocol(error)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Refused(refused) => Self::Protocol(refused),
            other => Self::Problem(other.into()),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Protocol(error) => error,
            Self::Problem(problem) => return problem.into_response(),
        };
        let body = Json(json!({"error": error.code, "error_description": error.description}));
        if error.code != OAuthError::INVALID_CLIENT.code {
            return (StatusCode::BAD_REQUEST, body).into_response();
        }
        let mut response = (StatusCode::UNAUTHORIZED, body).into_response();
        let challenge = HeaderValue::from_static("Basic realm=\"apps\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

/// A parameter that is there twice is a fault (RFC 6749 section 3.1), and an empty one is none.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    pub(super) fn parse(text: &[u8]) -> Result<Self, OAuthError> {
        let mut found = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text).filter(|(_, value)| !value.is_empty()) {
            if found.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(OAuthError::new("invalid_request", "a parameter is there twice"));
            }
        }
        Ok(Self(found))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn need(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or(OAuthError::new("invalid_request", "a parameter that is needed is missing"))
    }
}

/// The addresses of a tenant, by its origin.
pub(super) struct Addresses<'a>(pub(super) &'a str);

impl Addresses<'_> {
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The audience of assertions, and where codes are exchanged.
    fn token(&self) -> String {
        self.at("/oauth/token")
    }

    /// The FHIR base: what an app's `aud` names.
    pub(super) fn fhir(&self) -> String {
        self.at("/fhir/R4")
    }
}

/// What went wrong where a person looks on.
fn to_person(error: OAuthError) -> Problem {
    catalogue::APP_REQUEST_NOT_VALID.detail(error.description).member("error", error.code)
}
