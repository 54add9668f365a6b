//! `transaction` and `batch`.

use axum::{body::Bytes, extract::State, response::Response};
use carekeep_care::fhir::BundleLimits;
use carekeep_fhir::{bundle::write::responses, search::Handling};
use http::{HeaderMap, StatusCode};

use super::{
    answer::{Refused, body},
    parameters::{Base, fhir, handling},
};
use crate::api::{Api, SignedIn};

/// `POST /fhir/R4`. With `Prefer: handling=lenient`, entries of types that are not served are named in the answer and left
/// out; without it they refuse the bundle.
pub(super) async fn bundle(
    State(api): State<Api>,
    SignedIn(caller): SignedIn,
    base: Base,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let limits = BundleLimits { lenient: handling(&headers) == Handling::Lenient, ..api.bundle };
    let answer = fhir(&api, &caller, &base).bundle(&bytes, &limits).await?;
    Ok(body(StatusCode::OK, responses(answer.kind, &base.0, &answer.entries).to_vec()))
}
