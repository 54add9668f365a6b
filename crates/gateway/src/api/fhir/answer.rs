//! How FHIR answers look: bodies, version headers, OperationOutcomes.

use axum::response::{IntoResponse, Response};
use carekeep_care::fhir::FhirError;
use carekeep_fhir::outcome::{IssueType, Outcome};
use carekeep_kernel::Timestamp;
use carekeep_vault::AccessError;
use http::{HeaderName, HeaderValue, StatusCode, header};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::problem::Problem;

const FHIR_JSON: HeaderValue = HeaderValue::from_static("application/fhir+json; charset=utf-8");

/// A refusal of a FHIR route.
pub(super) enum Refused {
    /// The interaction was not done.
    Fhir(FhirError),
    /// The type is not served; its name, if R4 has such a type.
    NotServed(Option<&'static str>),
    /// Refused before it was a FHIR interaction.
    Problem(Problem),
}

impl From<FhirError> for Refused {
    fn from(error: FhirError) -> Self {
        Self::Fhir(error)
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::NotServed(kind) => {
                let what = kind.unwrap_or("this resource type");
                let advice =
                    format!("{what} is not served here: see /fhir/R4/metadata for the types that are");
                outcome(StatusCode::NOT_FOUND, &Outcome::error(IssueType::NotSupported, advice))
            }
            Self::Fhir(error) => {
                let status =
                    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                if let FhirError::Access(AccessError::Unavailable { what, cause }) = &error {
                    tracing::warn!(what, cause = &**cause, "a FHIR interaction could not be done");
                }
                let mut response = outcome(status, &error.outcome());
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
                }
                response
            }
        }
    }
}

/// An OperationOutcome as an answer.
pub(super) fn outcome(status: StatusCode, outcome: &Outcome) -> Response {
    body(status, outcome.to_vec())
}

/// A FHIR body.
pub(super) fn body(status: StatusCode, bytes: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, FHIR_JSON)], bytes).into_response()
}

/// Says which version a body is: `ETag` and `Last-Modified` (R4, "Versioning").
pub(super) fn versioned(mut response: Response, version: u32, at: Timestamp) -> Response {
    let headers = response.headers_mut();
    insert(headers, header::ETAG, &format!("W/\"{version}\""));
    let date = OffsetDateTime::from(at).format(&Rfc2822).unwrap_or_default().replace("+0000", "GMT");
    insert(headers, header::LAST_MODIFIED, &date);
    response
}

/// Sets a header whose value we made.
pub(super) fn insert(headers: &mut http::HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
