//! `search-type`, by query and by form.

use axum::{
    body::Bytes,
    extract::{Path, State},
    response::Response,
};
use carekeep_care::fhir::SearchRequest;
use carekeep_fhir::bundle::write::{Head, ListKind, ListWriter};
use http::{HeaderMap, StatusCode, Uri};

use super::{
    answer::{Refused, body},
    parameters::{Base, fhir, handling, pairs, type_of},
};
use crate::{
    api::{Api, SignedIn, view},
    problem::catalogue,
};

/// `GET /fhir/R4/{type}?...`
pub(super) async fn by_query(
    State(api): State<Api>,
    signed_in: SignedIn,
    base: Base,
    kind: Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refused> {
    let parameters = pairs(uri.query().unwrap_or_default());
    let request = SearchRequest { kind: type_of(&kind)?, parameters, handling: handling(&headers) };
    search(&api, signed_in, &base, &request).await
}

/// `POST /fhir/R4/{type}/_search`: keeps names and diagnoses out of addresses.
pub(super) async fn by_form(
    State(api): State<Api>,
    signed_in: SignedIn,
    base: Base,
    kind: Path<String>,
    headers: HeaderMap,
    uri: Uri,
    form: Bytes,
) -> Result<Response, Refused> {
    let mut parameters = pairs(uri.query().unwrap_or_default());
    let form = std::str::from_utf8(&form).map_err(|_| catalogue::MALFORMED_FORM)?;
    parameters.extend(pairs(form));
    let request = SearchRequest { kind: type_of(&kind)?, parameters, handling: handling(&headers) };
    search(&api, signed_in, &base, &request).await
}

async fn search(
    api: &Api,
    SignedIn(caller): SignedIn,
    base: &Base,
    request: &SearchRequest,
) -> Result<Response, Refused> {
    let found = fhir(api, &caller, base).search(request).await?;
    let link = |cursor: Option<&str>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(found.used.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        if let Some(cursor) = cursor {
            query.append_pair("_cursor", cursor);
        }
        format!("{}/{}?{}", base.0, request.kind, query.finish())
    };
    let (self_url, next_url) = (link(None), found.next.as_deref().map(|cursor| link(Some(cursor))));
    let mut out = Vec::new();
    let head = Head { total: None, self_url: &self_url, next_url: next_url.as_deref() };
    let mut list = ListWriter::begin(ListKind::Searchset, &head, &mut out);
    for phi in &found.matches {
        let address = format!("{}/{}/{}", base.0, request.kind, phi.id());
        list.push_match(&address, &view::read(request.kind, phi)?, &mut out);
    }
    list.finish(&mut out);
    Ok(body(StatusCode::OK, out))
}
