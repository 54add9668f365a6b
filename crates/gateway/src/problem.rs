//! Errors as the client sees them: RFC 9457 problem details, or a FHIR `OperationOutcome` below the FHIR prefix.
//!
//! Invariant: every text in a problem is written in this program's source (`&'static str`); what a client sent cannot
//! get into one. Variable parts are members: ids, numbers and element paths.

use axum::{
    extract::rejection::{BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::edge::RequestId;

pub mod catalogue;
mod extract;

pub use extract::{Form, Json, Path, Query};

/// The shape that an error body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErrorFormat {
    /// `application/problem+json`, RFC 9457.
    #[default]
    Problem,
    /// `application/fhir+json`, a FHIR R4 `OperationOutcome`.
    OperationOutcome,
    /// `application/scim+json`, RFC 7644 section 3.12.
    Scim,
}

/// One refusal or failure, as told to the client (RFC 9457).
///
/// The edge fills in `instance` (the request id) and picks the format; a handler only returns the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
    advice: &'static str,
    retry_after: Option<u32>,
    members: Vec<(&'static str, Value)>,
}

impl Problem {
    /// A problem. `code` is stable and kebab-case (its type is `urn:carekeep:problem:<code>`), `title` names the kind,
    /// `detail` says what happened.
    #[must_use]
    pub const fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &'static str,
    ) -> Self {
        Self { status, code, title, detail, advice: "", retry_after: None, members: Vec::new() }
    }

    /// Says what the client should do next.
    #[must_use]
    pub const fn advice(mut self, advice: &'static str) -> Self {
        self.advice = advice;
        self
    }

    /// Replaces the sentence that says what happened.
    #[must_use]
    pub const fn detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// Tells the client to wait that many seconds (at least 1): `Retry-After`, RFC 9110 section 10.2.3.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds.max(1));
        self
    }

    /// Adds an extension member (RFC 9457 section 3.2): an id, a number, an element path. Never what a client sent.
    #[must_use]
    pub fn member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, value.into()));
        self
    }

    /// The status code of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// The answer in the given format; `instance` is the request id.
    #[must_use]
    pub fn render(&self, format: ErrorFormat, instance: Option<RequestId>) -> Response {
        let (body, media) = match format {
            ErrorFormat::Problem => (self.problem_body(instance), "application/problem+json"),
            ErrorFormat::OperationOutcome => (self.outcome_body(instance), "application/fhir+json"),
            ErrorFormat::Scim => (self.scim_body(), "application/scim+json"),
        };
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn problem_body(&self, instance: Option<RequestId>) -> Value {
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:carekeep:problem:{}", self.code).into());
        body.insert("title".into(), self.title.into());
        body.insert("status".into(), self.status.as_u16().into());
        body.insert("code".into(), self.code.into());
        body.insert("detail".into(), self.detail.into());
        if !self.advice.is_empty() {
            body.insert("advice".into(), self.advice.into());
        }
        if let Some(id) = instance {
            body.insert("instance".into(), format!("urn:uuid:{id}").into());
        }
        for (name, value) in &self.members {
            body.entry(*name).or_insert_with(|| value.clone());
        }
        Value::Object(body)
    }

    fn scim_body(&self) -> Value {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_str(),
            "detail": self.detail_and_advice(),
        });
        if let Some(scim_type) = self.scim_type() {
            body["scimType"] = scim_type.into();
        }
        body
    }

    /// The error type of RFC 7644 section 3.12, table 9, if there is one.
    fn scim_type(&self) -> Option<&'static str> {
        Some(match self.code {
            "login-taken" => "uniqueness",
            "scim-filter" => "invalidFilter",
            "scim-path" => "invalidPath",
            "scim-no-target" => "noTarget",
            "scim-value" => "invalidValue",
            "scim-read-only" => "mutability",
            "scim-syntax" | "malformed-json" => "invalidSyntax",
            _ => return None,
        })
    }

    fn detail_and_advice(&self) -> String {
        if self.advice.is_empty() {
            self.detail.to_owned()
        } else {
            format!("{} {}", self.detail, self.advice)
        }
    }

    fn outcome_body(&self, instance: Option<RequestId>) -> Value {
        let diagnostics = self.detail_and_advice();
        let mut outcome = json!({
            "resourceType": "OperationOutcome",
            "issue": [{
                "severity": "error",
                "code": self.issue_code(),
                "details": {
                    "coding": [{"system": "urn:carekeep:problem", "code": self.code}],
                    "text": self.title,
                },
                "diagnostics": diagnostics,
            }],
        });
        if let (Some(id), Some(object)) = (instance, outcome.as_object_mut()) {
            object.insert("id".into(), id.to_string().into());
        }
        outcome
    }

    /// The FHIR R4 `issue-type` nearest to the status.
    fn issue_code(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "login",
            403 => "forbidden",
            404 | 421 => "not-found",
            405 | 406 | 415 | 501 => "not-supported",
            408 | 504 => "timeout",
            409 | 412 => "conflict",
            410 => "deleted",
            413 | 414 => "too-long",
            422 => "processing",
            429 => "throttled",
            500 => "exception",
            503 => "transient",
            400..=499 => "invalid",
            _ => "exception",
        }
    }
}

impl IntoResponse for Problem {
    /// A plain RFC 9457 answer; the edge renders it again with the request id and in the route's format.
    fn into_response(self) -> Response {
        let mut response = self.render(ErrorFormat::Problem, None);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::MissingJsonContentType(_) => catalogue::UNSUPPORTED_MEDIA_TYPE,
            JsonRejection::BytesRejection(inner) => inner.into(),
            JsonRejection::JsonDataError(_) => catalogue::UNPROCESSABLE,
            _ => catalogue::MALFORMED_JSON,
        }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            catalogue::BODY_TOO_LARGE
        } else {
            catalogue::BODY_UNREADABLE
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(_: QueryRejection) -> Self {
        catalogue::MALFORMED_QUERY
    }
}

impl From<PathRejection> for Problem {
    /// A path that does not parse names nothing: it answers like any other absent thing.
    fn from(rejection: PathRejection) -> Self {
        if rejection.status().is_server_error() { catalogue::INTERNAL } else { catalogue::NOT_FOUND }
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        match rejection {
            FormRejection::InvalidFormContentType(_) => catalogue::UNSUPPORTED_MEDIA_TYPE,
            FormRejection::BytesRejection(inner) => inner.into(),
            _ => catalogue::MALFORMED_FORM,
        }
    }
}

/// The fallback of a router: nothing lives at this path.
pub async fn not_found() -> Problem {
    catalogue::NOT_FOUND
}

/// The fallback of a route: the path exists, the method does not.
pub async fn method_not_allowed() -> Problem {
    catalogue::METHOD_NOT_ALLOWED
}
