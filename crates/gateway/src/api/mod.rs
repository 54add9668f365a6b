//! The routes of the API: who is asked for what, and how the answers look. What is allowed is decided in the vault.
//!
//! Invariant: every route is in [`endpoints`]; the router, the route table and the matrix of principals are made from it.

mod directory;
pub mod endpoint;
pub mod fhir;
pub mod identity;
pub mod openapi;
mod origins;
mod session;
mod state;
mod tenants;
mod view;

use axum::Router;

pub use directory::Hosts;
pub use endpoint::{Access, Endpoint};
pub use fhir::BUNDLE_BYTES;
pub use identity::Providers;
pub use origins::Origins;
pub use session::SignedIn;
pub use state::{Api, ApiParts};

use crate::{
    edge::{Readers, RouteTable},
    problem::ErrorFormat,
};

/// Every route of the API.
#[must_use]
pub fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = fhir::endpoints();
    endpoints.extend(identity::endpoints());
    endpoints.extend(tenants::endpoints());
    endpoints.push(openapi::endpoint());
    endpoints
}

/// The API as a router, without the edge around it. The edge bounds every body, so axum's own limit is off.
pub fn router(api: Api) -> Router {
    endpoints()
        .into_iter()
        .fold(Router::new(), |router, endpoint| router.route(endpoint.path, endpoint.handler))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(api)
}

/// What the edge must know of the API's routes.
#[must_use]
pub fn route_table() -> RouteTable {
    let formats = RouteTable::default()
        .errors_below("/fhir/", ErrorFormat::OperationOutcome)
        .errors_below("/scim/", ErrorFormat::Scim);
    endpoints().iter().fold(formats, |table, endpoint| {
        let table = table.offer(endpoint.path, endpoint.offered);
        let table = match endpoint.readers {
            Readers::Nobody => table,
            readers => table.read_by(endpoint.path, readers),
        };
        match endpoint.policy {
            Some(policy) => table.route(endpoint.path, policy),
            None => table,
        }
    })
}
