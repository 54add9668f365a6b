//! `transaction` and `batch`.

use axum::{body::Bytes, response::Response};
use carekeep_care::fhir::BundleLimits;
use carekeep_fhir::{bundle::write::responses, search::Handling};
use http::StatusCode;

use super::{
    answer::{Refused, body},
    parameters::{Asked, handling},
};
use crate::{
    limits::{Lane, LimitKey},
    problem::Problem,
};

/// `POST /fhir/R4`. With `Prefer: handling=lenient`, entries of types that are not served are named in the answer and left
/// out; without it they refuse the bundle.
///
/// Every entry counts as a request: of its own lane for a service account, of the person's for everybody else.
pub(super) async fn bundle(asked: Asked, bytes: Bytes) -> Result<Response, Refused> {
    let limits = BundleLimits { lenient: handling(&asked.headers) == Handling::Lenient, ..asked.api.bundle };
    let bundle = asked.fhir().read_bundle(&bytes, &limits)?;
    charge(&asked, bundle.entries())?;
    let answer = asked.fhir().carry_out(bundle).await?;
    Ok(body(StatusCode::OK, responses(answer.kind, &asked.base, &answer.entries).to_vec()))
}

fn charge(asked: &Asked, entries: usize) -> Result<(), Refused> {
    let (lane, counted) = if asked.fhir().is_bulk() { (Lane::Bulk, 0) } else { (Lane::Principal, 1) };
    let entries = u32::try_from(entries).unwrap_or(u32::MAX).saturating_sub(counted);
    if entries > 0 {
        let key = LimitKey::Principal(asked.person());
        asked.api.limiter.check_many(lane, key, entries).map_err(Problem::from)?;
    }
    Ok(())
}
