//! What differs from route to route at the edge: body size and kind, and who reads the answers.

use std::collections::HashMap;

use carekeep_kernel::Offered;

use super::cors::Readers;
use crate::problem::ErrorFormat;

/// 1 MiB.
pub const MIB: usize = 1024 * 1024;

/// The kinds of body that a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKinds {
    /// `application/json`, `application/fhir+json`, JSON Patch and JSON Merge Patch.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Both of them, for FHIR `_search` and pages that work without a script.
    JsonOrForm,
    /// `application/scim+json` and, because clients send it, `application/json` (RFC 7644 section 3.8).
    Scim,
    /// Everything: uploads.
    Any,
}

impl BodyKinds {
    /// Whether a media type (lower case, without parameters) is one of them.
    #[must_use]
    pub fn allows(self, essence: &str) -> bool {
        let json = matches!(
            essence,
            "application/json"
                | "application/fhir+json"
                | "application/json-patch+json"
                | "application/merge-patch+json"
        );
        let form = essence == "application/x-www-form-urlencoded";
        match self {
            Self::Json => json,
            Self::Form => form,
            Self::JsonOrForm => json || form,
            Self::Scim => matches!(essence, "application/scim+json" | "application/json"),
            Self::Any => !essence.is_empty(),
        }
    }
}

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutePolicy {
    /// Largest body in bytes, on the wire and after decompression.
    pub body_bytes: usize,
    /// The kinds of body.
    pub kinds: BodyKinds,
}

impl Default for RoutePolicy {
    fn default() -> Self {
        Self { body_bytes: MIB, kinds: BodyKinds::Json }
    }
}

/// The policies of all routes, by route template; a route that is not named has the default: 1 MiB of JSON.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    default: RoutePolicy,
    by_template: HashMap<&'static str, RoutePolicy>,
    readers: HashMap<&'static str, Readers>,
    offered: HashMap<&'static str, Offered>,
    formats: Vec<(&'static str, ErrorFormat)>,
}

impl RouteTable {
    /// Names the policy of one route, by its template as given to axum, for example `/fhir/R4/{type}/_search`.
    #[must_use]
    pub fn route(mut self, template: &'static str, policy: RoutePolicy) -> Self {
        self.by_template.insert(template, policy);
        self
    }

    /// Says who reads the answers of a path across origins; nobody if nothing is said.
    #[must_use]
    pub fn read_by(mut self, template: &'static str, readers: Readers) -> Self {
        self.readers.insert(template, readers);
        self
    }

    /// Says at which tenants a path is there; at clinics only if nothing is said.
    #[must_use]
    pub fn offer(mut self, template: &'static str, offered: Offered) -> Self {
        self.offered.insert(template, offered);
        self
    }

    /// Says which format errors have below a path prefix, for example `/fhir/`.
    #[must_use]
    pub fn errors_below(mut self, prefix: &'static str, format: ErrorFormat) -> Self {
        self.formats.push((prefix, format));
        self
    }

    /// The policy of a route; the default if it is not named or not matched.
    #[must_use]
    pub fn policy(&self, template: Option<&str>) -> RoutePolicy {
        template.and_then(|template| self.by_template.get(template)).copied().unwrap_or(self.default)
    }

    /// Who reads the answers of a route across origins.
    #[must_use]
    pub fn readers(&self, template: Option<&str>) -> Readers {
        template.and_then(|template| self.readers.get(template)).copied().unwrap_or_default()
    }

    /// At which tenants a route is there.
    #[must_use]
    pub fn offered(&self, template: Option<&str>) -> Offered {
        template.and_then(|template| self.offered.get(template)).copied().unwrap_or_default()
    }

    /// The format of errors at a path.
    #[must_use]
    pub fn format(&self, path: &str) -> ErrorFormat {
        let named = self.formats.iter().find(|(prefix, _)| path.starts_with(prefix));
        named.map_or(ErrorFormat::Problem, |(_, format)| *format)
    }
}
