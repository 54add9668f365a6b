//! `transaction` and `batch`.

use axum::{body::Bytes, response::Response};
use carekeep_care::fhir::BundleLimits;
use carekeep_fhir::{bundle::write::responses, search::Handling};
use http::StatusCode;

use super::{
    answer::{Refused, body},
    parameters::{Asked, handling},
};

/// `POST /fhir/R4`. With `Prefer: handling=lenient`, entries of types that are not served are named in the answer and left
/// out; without it they refuse the bundle.
pub(super) async fn bundle(asked: Asked, bytes: Bytes) -> Result<Response, Refused> {
    let limits = BundleLimits { lenient: handling(&asked.headers) == Handling::Lenient, ..asked.api.bundle };
    let answer = asked.fhir().bundle(&bytes, &limits).await?;
    Ok(body(StatusCode::OK, responses(answer.kind, &asked.base, &answer.entries).to_vec()))
}
