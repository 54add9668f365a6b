//! One route, as data.

use axum::routing::MethodRouter;
use carekeep_kernel::Offered;
use http::{Method, StatusCode};
use serde_json::Value;
use utoipa::PartialSchema;

use super::Api;
use crate::edge::{Readers, RoutePolicy};

/// Who may call a route at all; what they get is the vault's decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody: it gives nothing away, or asks for the proof in its body.
    Public,
    /// Somebody in the middle of signing in or enrolling, or with a live session.
    Unfinished,
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
    /// Who reads its answers across origins; the same for all methods of a path.
    pub readers: Readers,
    /// At which tenants it is there; the same for all methods of a path.
    pub offered: Offered,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Names of the parameters of its query.
    pub query: &'static [&'static str],
    /// The JSON schema of the body that it takes.
    pub takes: Option<fn() -> Value>,
    /// The JSON schema of the body that it gives.
    pub gives: Option<fn() -> Value>,
    /// The status of success.
    pub success: StatusCode,
    /// What answers.
    pub handler: MethodRouter<Api>,
}

impl Endpoint {
    /// A route for people of clinics with a session.
    pub fn new(method: Method, path: &'static str, name: &'static str, handler: MethodRouter<Api>) -> Self {
        Self {
            method,
            path,
            name,
            access: Access::Session,
            policy: None,
            readers: Readers::Nobody,
            offered: Offered::AtClinics,
            summary: "",
            query: &[],
            takes: None,
            gives: None,
            success: StatusCode::OK,
            handler,
        }
    }

    /// Makes it a route for anybody.
    #[must_use]
    pub fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// Makes it a route for somebody in the middle of signing in or enrolling, too.
    #[must_use]
    pub fn unfinished(mut self) -> Self {
        self.access = Access::Unfinished;
        self
    }

    /// Sets body size and kind.
    #[must_use]
    pub fn body(mut self, policy: RoutePolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Says who reads its answers across origins.
    #[must_use]
    pub fn read_by(mut self, readers: Readers) -> Self {
        self.readers = readers;
        self
    }

    /// Says at which tenants it is there.
    #[must_use]
    pub fn offered(mut self, offered: Offered) -> Self {
        self.offered = offered;
        self
    }

    /// Says in a sentence what it does.
    #[must_use]
    pub fn says(mut self, summary: &'static str) -> Self {
        self.summary = summary;
        self
    }

    /// Says which parameters its query may have.
    #[must_use]
    pub fn asks(mut self, query: &'static [&'static str]) -> Self {
        self.query = query;
        self
    }

    /// Says what body it takes.
    #[must_use]
    pub fn takes<T: PartialSchema>(mut self) -> Self {
        self.takes = Some(schema::<T>);
        self
    }

    /// Says what body it gives.
    #[must_use]
    pub fn gives<T: PartialSchema>(mut self) -> Self {
        self.gives = Some(schema::<T>);
        self
    }

    /// Says which status means success; 200 if nothing is said.
    #[must_use]
    pub fn answers(mut self, success: StatusCode) -> Self {
        self.success = success;
        self
    }
}

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}
