//! What may be said about a request.

use std::{sync::Arc, time::Duration};

use axum::extract::MatchedPath;
use carekeep_kernel::TenantId;
use http::{Extensions, Method, StatusCode};
use tracing::{Span, field};

use crate::edge::RequestId;

/// A value that may be put into a span or log line: written in this program, an id, or a number. Not implemented for
/// `String` or `&str` of any other lifetime, so that nothing read from a request can slip in.
pub trait SafeField {
    /// Records the value in a field that the span declared.
    fn record(&self, span: &Span, name: &'static str);
}

impl SafeField for &'static str {
    fn record(&self, span: &Span, name: &'static str) {
        span.record(name, *self);
    }
}

impl SafeField for u64 {
    fn record(&self, span: &Span, name: &'static str) {
        span.record(name, *self);
    }
}

impl SafeField for TenantId {
    fn record(&self, span: &Span, name: &'static str) {
        span.record(name, field::display(self));
    }
}

impl SafeField for RequestId {
    fn record(&self, span: &Span, name: &'static str) {
        span.record(name, field::display(self));
    }
}

impl SafeField for RouteLabel {
    fn record(&self, span: &Span, name: &'static str) {
        span.record(name, self.as_str());
    }
}

/// The template of the matched route, for example `/fhir/R4/Patient/{id}`, or `unmatched`. Never a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLabel(Option<Arc<str>>);

impl RouteLabel {
    /// The label of a request that a router has matched.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<MatchedPath>().map(|path| path.as_str().into()))
    }

    /// The template, if a route matched.
    #[must_use]
    pub fn template(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// The text of the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or("unmatched")
    }

    pub(super) fn shared(&self) -> Arc<str> {
        self.0.clone().unwrap_or_else(|| "unmatched".into())
    }
}

/// Everything that telemetry learns about a request.
#[derive(Debug, Clone)]
pub struct RequestFacts {
    /// The method, `OTHER` if it is none of RFC 9110's and PATCH.
    pub method: &'static str,
    /// The route's template.
    pub route: RouteLabel,
    /// The id of the request.
    pub id: RequestId,
}

impl RequestFacts {
    /// The facts known before the handler runs.
    #[must_use]
    pub fn new(method: &Method, route: RouteLabel, id: RequestId) -> Self {
        Self { method: method_name(method), route, id }
    }

    /// The request's span; tenant and status are recorded when known.
    #[must_use]
    pub fn span(&self) -> Span {
        tracing::info_span!(
            target: "carekeep::request",
            "request",
            method = self.method,
            route = self.route.as_str(),
            request = %self.id,
            tenant = field::Empty,
            status = field::Empty,
        )
    }

    /// Writes the line that ends a request.
    pub fn finish(&self, span: &Span, status: StatusCode, took: Duration) {
        u64::from(status.as_u16()).record(span, "status");
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: "carekeep::request", parent: span, status = status.as_u16(), micros, "request done");
    }
}

fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "OTHER",
    }
}
