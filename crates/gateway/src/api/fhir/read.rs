//! `read`, `vread`, `history`, `capabilities`.

use axum::{
    extract::{Path, State},
    response::Response,
};
use carekeep_care::fhir::HistoryPage;
use carekeep_fhir::{
    bundle::{
        Method,
        write::{Head, HistoryEntry, ListKind, ListWriter},
    },
    capability::{Oauth, Server, statement},
};
use http::StatusCode;

use super::{
    answer::{Refused, body, versioned},
    parameters::{Asked, Base, if_none_match, instance_of, invisible},
};
use crate::api::{Api, view};

/// `GET /fhir/R4/metadata`
pub(super) async fn capabilities(State(api): State<Api>, base: Base) -> Response {
    let origin = base.0.trim_end_matches("/fhir/R4");
    let (authorize, token) = (format!("{origin}/oauth/authorize"), format!("{origin}/oauth/token"));
    let server = Server {
        software: "Carekeep",
        version: env!("CARGO_PKG_VERSION"),
        url: &base.0,
        date: api.started,
        oauth: Some(Oauth { authorize: &authorize, token: &token }),
    };
    body(StatusCode::OK, statement(&server).to_vec())
}

/// `GET /fhir/R4/{type}/{id}`
pub(super) async fn read(asked: Asked, path: Path<(String, String)>) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let known = if_none_match(&asked.headers)?;
    let phi = asked.fhir().read(kind, id).await?;
    let (version, at) = (phi.version(), phi.last_updated());
    if known.is_some_and(|tag| tag == format!("W/\"{version}\"")) {
        return Ok(versioned(body(StatusCode::NOT_MODIFIED, Vec::new()), version, at));
    }
    let bytes = view::read(kind, &phi)?.into_owned();
    Ok(versioned(body(StatusCode::OK, bytes), version, at))
}

/// `GET /fhir/R4/{type}/{id}/_history/{version}`
pub(super) async fn version(
    asked: Asked,
    Path((kind, id, version)): Path<(String, String, String)>,
) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&Path((kind, id)))?;
    let version = version.parse::<u32>().map_err(|_| invisible())?;
    let phi = asked.fhir().version_read(kind, id, version).await?;
    let bytes = view::read(kind, &phi)?.into_owned();
    Ok(versioned(body(StatusCode::OK, bytes), phi.version(), phi.last_updated()))
}

/// `GET /fhir/R4/{type}/{id}/_history`
pub(super) async fn history(asked: Asked, path: Path<(String, String)>) -> Result<Response, Refused> {
    let (kind, id) = instance_of(&path)?;
    let number = |wanted: &str| {
        asked.query.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.parse::<u32>().ok())
    };
    let (before, count) = (number("_before"), number("_count"));
    let HistoryPage { versions, next } = asked.fhir().history(kind, id, (before, count)).await?;
    let address = |before: Option<u32>| {
        let asked_for = [("_count", count), ("_before", before)];
        let pairs = asked_for.iter().filter_map(|(name, value)| Some(format!("{name}={}", (*value)?)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/{kind}/{id}/_history{mark}{query}", asked.base)
    };
    let (self_url, next_url) = (address(before), next.map(|next| address(Some(next))));
    let mut out = Vec::new();
    let head = Head { total: None, self_url: &self_url, next_url: next_url.as_deref() };
    let mut list = ListWriter::begin(ListKind::History, &head, &mut out);
    for entry in &versions {
        let bytes = entry.body.as_ref().map(|phi| view::read(kind, phi)).transpose()?;
        let method = match (&entry.body, entry.version) {
            (None, _) => Method::Delete,
            (Some(_), 1) => Method::Create,
            (Some(_), _) => Method::Update,
        };
        let about = HistoryEntry { kind, id, version: u64::from(entry.version), at: entry.at, method };
        list.push_version(&asked.base, &about, bytes.as_deref(), &mut out);
    }
    list.finish(&mut out);
    Ok(body(StatusCode::OK, out))
}
