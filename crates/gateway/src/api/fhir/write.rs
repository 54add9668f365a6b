//! `create`, `update`, `delete`.

use axum::{body::Bytes, extract::Path, response::Response};
use carekeep_care::fhir::Answer;
use http::{StatusCode, header};

use super::{
    answer::{Refused, body, insert, versioned},
    parameters::{Asked, if_match, if_none_exist, instance_of, type_of, wants_minimal},
};
use crate::api::view;

/// `POST /fhir/R4/{type}`
pub(super) async fn create(asked: Asked, kind: Path<String>, bytes: Bytes) -> Result<Response, Refused> {
    let kind = type_of(&kind)?;
    let condition = if_none_exist(&asked.headers)?;
    written(&asked.fhir().create(kind, &bytes, condition).await?, &asked)
}

/// `PUT /fhir/R4/{type}/{id}`
pub(super) async fn update(
    asked: Asked,
    path: Path<(String, String)>,
    bytes: Bytes,
) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let version = if_match(&asked.headers)?;
    written(&asked.fhir().update(kind, id, version, &bytes).await?, &asked)
}

/// `DELETE /fhir/R4/{type}/{id}`
pub(super) async fn delete(asked: Asked, path: Path<(String, String)>) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let version = asked.fhir().delete(kind, id, if_match(&asked.headers)?).await?;
    let mut response = body(StatusCode::NO_CONTENT, Vec::new());
    insert(response.headers_mut(), header::ETAG, &format!("W/\"{version}\""));
    Ok(response)
}

fn written(answer: &Answer, asked: &Asked) -> Result<Response, Refused> {
    let status = if answer.created { StatusCode::CREATED } else { StatusCode::OK };
    let minimal = wants_minimal(&asked.headers);
    let bytes = if minimal { Vec::new() } else { view::written(answer)?.into_owned() };
    let mut response = versioned(body(status, bytes), answer.version, answer.at);
    if answer.created {
        let location = format!("{}/{}/{}/_history/{}", asked.base, answer.kind, answer.id, answer.version);
        insert(response.headers_mut(), header::LOCATION, &location);
    }
    Ok(response)
}
