//! `create`, `update`, `delete`.

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use carekeep_care::fhir::Answer;
use http::{HeaderMap, StatusCode, header};

use super::{
    answer::{Refused, body, insert, versioned},
    parameters::{Base, fhir, if_match, instance_of, pairs, type_of, wants_minimal},
};
use crate::api::{Api, SignedIn, view};

/// `POST /fhir/R4/{type}`
pub(super) async fn create(
    State(api): State<Api>,
    SignedIn(caller): SignedIn,
    base: Base,
    kind: Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let kind = type_of(&kind)?;
    let condition = headers.get("if-none-exist").and_then(|value| value.to_str().ok()).map(pairs);
    let answer = fhir(&api, &caller, &base).create(kind, &bytes, condition).await?;
    written(&answer, &base, wants_minimal(&headers))
}

/// `PUT /fhir/R4/{type}/{id}`
pub(super) async fn update(
    State(api): State<Api>,
    SignedIn(caller): SignedIn,
    base: Base,
    path: Path<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let answer = fhir(&api, &caller, &base).update(kind, id, if_match(&headers)?, &bytes).await?;
    written(&answer, &base, wants_minimal(&headers))
}

/// `DELETE /fhir/R4/{type}/{id}`
pub(super) async fn delete(
    State(api): State<Api>,
    SignedIn(caller): SignedIn,
    base: Base,
    path: Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let version = fhir(&api, &caller, &base).delete(kind, id, if_match(&headers)?).await?;
    let mut response = body(StatusCode::NO_CONTENT, Vec::new());
    insert(response.headers_mut(), header::ETAG, &format!("W/\"{version}\""));
    Ok(response)
}

fn written(answer: &Answer, base: &Base, minimal: bool) -> Result<Response, Refused> {
    let status = if answer.created { StatusCode::CREATED } else { StatusCode::OK };
    let bytes = if minimal { Vec::new() } else { view::written(answer)?.into_owned() };
    let mut response = versioned(body(status, bytes), answer.version, answer.at);
    if answer.created {
        let location = format!("{}/{}/{}/_history/{}", base.0, answer.kind, answer.id, answer.version);
        insert(response.headers_mut(), header::LOCATION, &location);
    }
    Ok(response)
}
