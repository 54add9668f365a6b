//! The CapabilityStatement (R4), made from the tables that the rest of the crate works by.

use carekeep_kernel::Timestamp;

use crate::{
    json::{Json, Object},
    search::params::{self, Param},
    types::ResourceType,
};

/// What the server says about itself.
#[derive(Debug, Clone)]
pub struct Server<'a> {
    /// Name of the software.
    pub software: &'a str,
    /// Version of the software.
    pub version: &'a str,
    /// Base address without a slash at the end.
    pub url: &'a str,
    /// When this statement last changed.
    pub date: Timestamp,
    /// Authorization and token address for SMART clients (the `oauth-uris` extension), once there is one.
    pub oauth: Option<Oauth<'a>>,
}

/// Where a client signs in.
#[derive(Debug, Clone, Copy)]
pub struct Oauth<'a> {
    /// The authorization endpoint.
    pub authorize: &'a str,
    /// The token endpoint.
    pub token: &'a str,
}

const INTERACTIONS: &[&str] =
    &["read", "vread", "update", "delete", "history-instance", "create", "search-type"];

/// The statement for `GET /metadata`.
#[must_use]
pub fn statement(server: &Server<'_>) -> Json {
    let text = Json::string;
    Json::object([
        ("resourceType", text("CapabilityStatement")),
        ("status", text("active")),
        ("date", text(&server.date.to_string())),
        ("kind", text("instance")),
        ("software", Json::object([("name", text(server.software)), ("version", text(server.version))])),
        ("implementation", Json::object([("description", text(server.software)), ("url", text(server.url))])),
        ("fhirVersion", text(crate::FHIR_VERSION)),
        ("format", Json::Array(vec![text("application/fhir+json"), text("json")])),
        ("rest", Json::Array(vec![rest(server)])),
    ])
}

fn rest(server: &Server<'_>) -> Json {
    let resources = ResourceType::ALL.iter().map(|kind| resource(*kind)).collect();
    let system = ["transaction", "batch"].map(|code| Json::object([("code", Json::string(code))]));
    Json::object([
        ("mode", Json::string("server")),
        ("security", security(server)),
        ("resource", Json::Array(resources)),
        ("interaction", Json::Array(system.into())),
    ])
}

fn security(server: &Server<'_>) -> Json {
    let mut out = Object::default();
    if let Some(oauth) = server.oauth {
        let uri = |name: &str, address: &str| {
            Json::object([("url", Json::string(name)), ("valueUri", Json::string(address))])
        };
        let inner = vec![uri("authorize", oauth.authorize), uri("token", oauth.token)];
        let url = Json::string("http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris");
        out.set(
            "extension",
            Json::Array(vec![Json::object([("url", url), ("extension", Json::Array(inner))])]),
        );
    }
    out.set("cors", Json::Bool(false));
    out.set(
        "description",
        Json::string("Every request needs a signed-in person or service; every disclosure is audited."),
    );
    Json::Object(out)
}

fn resource(kind: ResourceType) -> Json {
    let interactions = INTERACTIONS.iter().map(|code| Json::object([("code", Json::string(code))])).collect();
    let search = params::COMMON.iter().chain(params::of(kind)).map(search_param).collect();
    Json::object([
        ("type", Json::string(kind.as_str())),
        ("interaction", Json::Array(interactions)),
        ("versioning", Json::string("versioned-update")),
        ("readHistory", Json::Bool(true)),
        ("updateCreate", Json::Bool(false)),
        ("conditionalCreate", Json::Bool(true)),
        ("conditionalUpdate", Json::Bool(false)),
        ("conditionalDelete", Json::string("not-supported")),
        ("referencePolicy", Json::Array(vec![Json::string("literal"), Json::string("local")])),
        ("searchParam", Json::Array(search)),
    ])
}

fn search_param(param: &Param) -> Json {
    Json::object([("name", Json::string(param.name)), ("type", Json::string(param.kind.as_str()))])
}
