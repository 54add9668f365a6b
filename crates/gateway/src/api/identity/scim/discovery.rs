//! What of SCIM is offered (RFC 7643 sections 5 to 7): told to the identity provider, not to anybody.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use super::{super::visit::Visit, GROUP_SCHEMA, MOST, USER_SCHEMA, listed, said};
use crate::{
    api::session::Provisioner,
    problem::{Path, Problem, catalogue},
};

fn meta(kind: &str, origin: &str, path: &str) -> Value {
    json!({"resourceType": kind, "location": format!("{origin}/scim/v2/{path}")})
}

/// `GET /scim/v2/ServiceProviderConfig`
pub(super) async fn config(_: Provisioner, visit: Visit) -> Response {
    let no = json!({"supported": false});
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": {"supported": true},
        "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": true, "maxResults": MOST},
        "changePassword": no,
        "sort": no,
        "etag": {"supported": true},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Provisioning token",
            "description": "A token that an administrator of the organisation makes, in the Authorization header.",
            "primary": true,
        }],
        "meta": meta("ServiceProviderConfig", &visit.origin, "ServiceProviderConfig"),
    });
    said(StatusCode::OK, &body)
}

fn kinds(origin: &str) -> [Value; 2] {
    let kind = |name: &str, plural: &str, schema: &str, description: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "description": description,
            "endpoint": format!("/{plural}"),
            "schema": schema,
            "meta": meta("ResourceType", origin, &format!("ResourceTypes/{name}")),
        })
    };
    [
        kind("User", "Users", USER_SCHEMA, "Somebody who works here"),
        kind("Group", "Groups", GROUP_SCHEMA, "A role and who holds it"),
    ]
}

/// `GET /scim/v2/ResourceTypes`
pub(super) async fn resource_types(_: Provisioner, visit: Visit) -> Response {
    listed(2, 0, &kinds(&visit.origin))
}

/// `GET /scim/v2/ResourceTypes/{id}`
pub(super) async fn resource_type(
    _: Provisioner,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    one(kinds(&visit.origin), &id)
}

fn one(all: [Value; 2], id: &str) -> Result<Response, Problem> {
    let found = all.into_iter().find(|one| one["id"] == id);
    found.map(|one| said(StatusCode::OK, &one)).ok_or(catalogue::NOT_FOUND)
}

/// An attribute as a schema describes it (RFC 7643 section 7): optional, of one value, changed by the client, compared without
/// case, and not kept unique, unless `rest` says otherwise.
fn attribute(name: &str, kind: &str, description: &str, rest: Value) -> Value {
    let mut body = json!({
        "name": name,
        "type": kind,
        "description": description,
        "multiValued": false,
        "required": false,
        "caseExact": false,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    });
    if let (Some(body), Value::Object(rest)) = (body.as_object_mut(), rest) {
        body.extend(rest);
    }
    body
}

fn users(origin: &str) -> Value {
    let text = |name, description, rest| attribute(name, "string", description, rest);
    let fixed =
        |name, kind, description| attribute(name, kind, description, json!({"mutability": "readOnly"}));
    let exact = json!({"caseExact": true});
    let groups = json!({
        "multiValued": true,
        "mutability": "readOnly",
        "subAttributes": [
            fixed("value", "string", "The role"),
            attribute("$ref", "reference", "The group",
                json!({"mutability": "readOnly", "caseExact": true, "referenceTypes": ["Group"]})),
            fixed("display", "string", "The role"),
            fixed("type", "string", "direct"),
        ],
    });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": USER_SCHEMA,
        "name": "User",
        "description": "Somebody who works here",
        "attributes": [
            text("userName", "The login name, in lower case", json!({"required": true, "uniqueness": "server"})),
            text("externalId", "The identity provider's own id", exact.clone()),
            text("displayName", "The name that colleagues see", exact.clone()),
            attribute("name", "complex", "The name in its parts", json!({"subAttributes": [
                text("formatted", "What colleagues see if there is no displayName", exact.clone()),
                text("givenName", "The first name", exact.clone()),
                text("familyName", "The last name", exact),
            ]})),
            attribute("active", "boolean", "Whether they may sign in, once they have joined", json!({})),
            attribute("groups", "complex", "The roles that they hold", groups),
        ],
        "meta": meta("Schema", origin, &format!("Schemas/{USER_SCHEMA}")),
    })
}

fn groups(origin: &str) -> Value {
    let fixed = json!({"mutability": "readOnly", "required": true});
    let members = json!({
        "multiValued": true,
        "subAttributes": [
            attribute("value", "string", "The user's id", json!({"mutability": "immutable", "caseExact": true})),
            attribute("$ref", "reference", "The user",
                json!({"mutability": "immutable", "caseExact": true, "referenceTypes": ["User"]})),
            attribute("type", "string", "User", json!({"mutability": "immutable", "canonicalValues": ["User"]})),
        ],
    });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": GROUP_SCHEMA,
        "name": "Group",
        "description": "A role and who holds it",
        "attributes": [
            attribute("displayName", "string", "The role", fixed),
            attribute("members", "complex", "Who holds it", members),
        ],
        "meta": meta("Schema", origin, &format!("Schemas/{GROUP_SCHEMA}")),
    })
}

/// `GET /scim/v2/Schemas`
pub(super) async fn schemas(_: Provisioner, visit: Visit) -> Response {
    listed(2, 0, &[users(&visit.origin), groups(&visit.origin)])
}

/// `GET /scim/v2/Schemas/{id}`
pub(super) async fn schema(
    _: Provisioner,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    one([users(&visit.origin), groups(&visit.origin)], &id)
}
