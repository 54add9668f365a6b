//! `search-type`, by query and by form.

use axum::{body::Bytes, extract::Path, response::Response};
use carekeep_care::fhir::SearchRequest;
use carekeep_fhir::bundle::write::{Head, ListKind, ListWriter};
use http::StatusCode;

use super::{
    answer::{Refused, body},
    parameters::{Asked, handling, pairs, type_of},
};
use crate::{api::view, problem::catalogue};

/// `GET /fhir/R4/{type}?...`
pub(super) async fn by_query(asked: Asked, kind: Path<String>) -> Result<Response, Refused> {
    let parameters = asked.query.clone();
    search(&asked, &kind, parameters).await
}

/// `POST /fhir/R4/{type}/_search`: keeps names and diagnoses out of addresses.
pub(super) async fn by_form(asked: Asked, kind: Path<String>, form: Bytes) -> Result<Response, Refused> {
    let form = std::str::from_utf8(&form).map_err(|_| catalogue::MALFORMED_FORM)?;
    let parameters = asked.query.iter().cloned().chain(pairs(form)).collect();
    search(&asked, &kind, parameters).await
}

async fn search(
    asked: &Asked,
    kind: &Path<String>,
    parameters: Vec<(String, String)>,
) -> Result<Response, Refused> {
    let request = SearchRequest { kind: type_of(kind)?, parameters, handling: handling(&asked.headers) };
    let found = asked.fhir().search(&request).await?;
    let link = |cursor: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(found.used.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if let Some(cursor) = cursor {
            query.append_pair("_cursor", cursor);
        }
        format!("{}/{}?{}", asked.base, request.kind, query.finish())
    };
    let (self_url, next_url) = (link(None), found.next.as_deref().map(|cursor| link(Some(cursor))));
    let mut out = Vec::new();
    let head = Head { total: None, self_url: &self_url, next_url: next_url.as_deref() };
    let mut list = ListWriter::begin(ListKind::Searchset, &head, &mut out);
    for phi in &found.matches {
        let address = format!("{}/{}/{}", asked.base, request.kind, phi.id());
        list.push_match(&address, &view::read(request.kind, phi)?, &mut out);
    }
    list.finish(&mut out);
    Ok(body(StatusCode::OK, out))
}
