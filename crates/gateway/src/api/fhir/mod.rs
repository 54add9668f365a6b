//! FHIR R4 REST (R4, "RESTful API") at `/fhir/R4`.

mod answer;
mod bundle;
mod parameters;
mod read;
mod search;
mod write;

use axum::routing::{delete, get, post, put};
use http::{Method, StatusCode};

use super::Endpoint;
use crate::edge::{BodyKinds, Readers, RoutePolicy};

const ROOT: &str = "/fhir/R4";
const TYPE: &str = "/fhir/R4/{type}";
const SEARCH: &str = "/fhir/R4/{type}/_search";
const INSTANCE: &str = "/fhir/R4/{type}/{id}";
const HISTORY: &str = "/fhir/R4/{type}/{id}/_history";
const VERSION: &str = "/fhir/R4/{type}/{id}/_history/{version}";

/// The largest bundle on the wire.
pub const BUNDLE_BYTES: usize = 64 << 20;

/// The FHIR routes.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let bundle = RoutePolicy { body_bytes: BUNDLE_BYTES, kinds: BodyKinds::Json };
    let form = RoutePolicy { body_bytes: 64 << 10, kinds: BodyKinds::Form };
    let metadata =
        Endpoint::new(Method::GET, "/fhir/R4/metadata", "fhir.capabilities", get(read::capabilities));
    let resources = [
        Endpoint::new(Method::POST, ROOT, "fhir.bundle", post(bundle::bundle)).body(bundle),
        Endpoint::new(Method::GET, TYPE, "fhir.search", get(search::by_query)),
        Endpoint::new(Method::POST, TYPE, "fhir.create", post(write::create)).answers(StatusCode::CREATED),
        Endpoint::new(Method::POST, SEARCH, "fhir.search_form", post(search::by_form)).body(form),
        Endpoint::new(Method::GET, INSTANCE, "fhir.read", get(read::read)),
        Endpoint::new(Method::PUT, INSTANCE, "fhir.update", put(write::update)),
        Endpoint::new(Method::DELETE, INSTANCE, "fhir.delete", delete(write::delete))
            .answers(StatusCode::NO_CONTENT),
        Endpoint::new(Method::GET, HISTORY, "fhir.history", get(read::history)),
        Endpoint::new(Method::GET, VERSION, "fhir.version_read", get(read::version)),
    ];
    let resources = resources.into_iter().map(|endpoint| endpoint.read_by(Readers::Apps));
    std::iter::once(metadata.public().read_by(Readers::Anybody)).chain(resources).collect()
}
