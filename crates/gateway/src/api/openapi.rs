//! The OpenAPI 3.1 document, made from the table of routes: a route that is not in the table does not exist.

use std::sync::LazyLock;

use axum::{
    response::{IntoResponse, Response},
    routing::get,
};
use carekeep_kernel::Offered;
use http::{Method, header};
use serde_json::{Map, Value, json};

use super::{Access, Endpoint, endpoints};

/// Its route.
pub(super) fn endpoint() -> Endpoint {
    Endpoint::new(Method::GET, "/api/v1/openapi.json", "openapi", get(serve))
        .public()
        .offered(Offered::Everywhere)
        .says("This description of the API.")
}

static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in endpoints() {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(endpoint.method.as_str().to_ascii_lowercase(), operation(&endpoint));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Carekeep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every clinic group has its own host, and a session is good at that host only. The FHIR \
                            routes are described by the CapabilityStatement at /fhir/R4/metadata.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "__Host-carekeep"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {"Problem": problem()},
            "responses": {
                "Problem": {
                    "description": "Refused or failed; `code` is stable, `advice` says what to do next (RFC 9457).",
                    "content": {
                        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}},
                    },
                },
                "OperationOutcome": {
                    "description": "Refused or failed, as a FHIR OperationOutcome.",
                    "content": {"application/fhir+json": {"schema": {"type": "object"}}},
                },
                "ScimError": {
                    "description": "Refused or failed, as an error of SCIM (RFC 7644 section 3.12).",
                    "content": {"application/scim+json": {"schema": {"type": "object"}}},
                },
            },
        },
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "code": {"type": "string"},
            "detail": {"type": "string"},
            "advice": {"type": "string"},
            "instance": {"type": "string", "format": "uri"},
        },
    })
}

fn is_fhir(endpoint: &Endpoint) -> bool {
    endpoint.path.starts_with("/fhir/")
}

fn is_scim(endpoint: &Endpoint) -> bool {
    endpoint.path.starts_with("/scim/")
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = Map::new();
    operation.insert("operationId".into(), endpoint.name.into());
    let tag = if is_fhir(endpoint) { "fhir" } else { endpoint.name.split('.').next().unwrap_or_default() };
    operation.insert("tags".into(), json!([tag]));
    if !endpoint.summary.is_empty() {
        operation.insert("summary".into(), endpoint.summary.into());
    }
    let parameters: Vec<Value> = parameters(endpoint).collect();
    if !parameters.is_empty() {
        operation.insert("parameters".into(), parameters.into());
    }
    if let Some(takes) = endpoint.takes {
        let content = json!({"application/json": {"schema": takes()}});
        operation.insert("requestBody".into(), json!({"required": true, "content": content}));
    }
    let security = match endpoint.access {
        Access::Public => json!([]),
        Access::Session if is_scim(endpoint) => json!([{"bearer": []}]),
        Access::Unfinished | Access::Session => json!([{"cookie": []}, {"bearer": []}]),
    };
    operation.insert("security".into(), security);
    operation.insert("responses".into(), responses(endpoint));
    Value::Object(operation)
}

fn responses(endpoint: &Endpoint) -> Value {
    let mut success = json!({"description": "Done."});
    if let Some(gives) = endpoint.gives {
        success["content"] = json!({"application/json": {"schema": gives()}});
    }
    let refusal = match endpoint {
        endpoint if is_fhir(endpoint) => "OperationOutcome",
        endpoint if is_scim(endpoint) => "ScimError",
        _ => "Problem",
    };
    let mut responses = Map::new();
    responses.insert(endpoint.success.as_u16().to_string(), success);
    responses.insert("default".into(), json!({"$ref": format!("#/components/responses/{refusal}")}));
    Value::Object(responses)
}

fn parameters(endpoint: &Endpoint) -> impl Iterator<Item = Value> {
    let named = |name: &str, place: &str| json!({"name": name, "in": place, "required": place == "path", "schema": {"type": "string"}});
    endpoint
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')))
        .map(move |name| named(name, "path"))
        .chain(endpoint.query.iter().map(move |name| named(name, "query")))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn the_description_of_the_api_is_the_golden_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openapi.json");
        let now = document();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(&now).unwrap())).unwrap();
        }
        // As values: the order of names depends on the features that other crates switch on.
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(
            now == golden,
            "the API changed; if that is meant, run UPDATE_GOLDEN=1 cargo nextest run -p carekeep-gateway openapi"
        );
    }

    #[test]
    fn every_route_is_described_once_under_a_name_of_its_own() {
        let document = document();
        let routes = endpoints();
        let names: BTreeSet<&str> = routes.iter().map(|endpoint| endpoint.name).collect();
        assert_eq!(names.len(), routes.len());
        for endpoint in &routes {
            let method = endpoint.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][endpoint.path][&method];
            assert_eq!(operation["operationId"], endpoint.name);
            assert_eq!(operation["security"] == json!([]), endpoint.access == Access::Public);
            assert!(is_fhir(endpoint) || !endpoint.summary.is_empty(), "{}", endpoint.name);
        }
    }
}
