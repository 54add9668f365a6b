//! One route, as data.

use axum::routing::MethodRouter;
use http::Method;

use super::Api;
use crate::edge::RoutePolicy;

/// Who may call a route at all; what they get is the vault's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it gives nothing away.
    Public,
    /// Somebody with a live session.
    Session,
}

/// One route.
pub struct Endpoint {
    /// The method.
    pub method: Method,
    /// The path as axum writes it, such as `/fhir/R4/{type}/{id}`.
    pub path: &'static str,
    /// A stable name, such as `fhir.read`.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Body size and kind, if not the default.
    pub policy: Option<RoutePolicy>,
    /// What answers.
    pub handler: MethodRouter<Api>,
}

impl Endpoint {
    /// A route for people with a session.
    pub fn new(method: Method, path: &'static str, name: &'static str, handler: MethodRouter<Api>) -> Self {
        Self { method, path, name, access: Access::Session, policy: None, handler }
    }

    /// Makes it a route for anybody.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// Sets body size and kind.
    #[must_use]
    pub fn body(mut self, policy: RoutePolicy) -> Self {
        self.policy = Some(policy);
        self
    }
}
