//! SCIM 2.0 (RFC 7643, 7644): a tenant's own identity provider keeps the accounts of staff and their ordinary roles.
//!
//! Invariant: every handler takes a [`Provisioner`], asks policy about each thing that it shows or changes, and answers about
//! staff only. docs/scim.md says what is kept and what happens.

mod discovery;
mod filter;
mod groups;
mod patch;
mod user;
mod users;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    response::{IntoResponse, Response},
    routing::{delete, get, patch as patched, post, put},
};
use carekeep_identity::storage::PeopleError;
use carekeep_kernel::Timestamp;
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::Endpoint;
use crate::{
    edge::{BodyKinds, RoutePolicy},
    problem::{Problem, catalogue},
};

const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";

/// Most resources in one answer.
const MOST: u64 = 200;

const BODY: RoutePolicy = RoutePolicy { body_bytes: 256 << 10, kinds: BodyKinds::Scim };

const QUERY: &[&str] = &["filter", "startIndex", "count", "attributes", "excludedAttributes"];
const SHOWN: &[&str] = &["attributes", "excludedAttributes"];

/// The routes.
pub(super) fn endpoints() -> Vec<Endpoint> {
    const USERS: &str = "/scim/v2/Users";
    const USER: &str = "/scim/v2/Users/{id}";
    const GROUPS: &str = "/scim/v2/Groups";
    const GROUP: &str = "/scim/v2/Groups/{id}";
    let route = |method, path, name, handler| Endpoint::new(method, path, name, handler).body(BODY);
    let read = |path, name, handler| route(Method::GET, path, name, handler);
    vec![
        read("/scim/v2/ServiceProviderConfig", "scim.config", get(discovery::config))
            .says("What of SCIM is offered here (RFC 7643 section 5)."),
        read("/scim/v2/ResourceTypes", "scim.resource_types", get(discovery::resource_types))
            .says("Which kinds of resource there are."),
        read("/scim/v2/ResourceTypes/{id}", "scim.resource_type", get(discovery::resource_type))
            .says("One kind of resource."),
        read("/scim/v2/Schemas", "scim.schemas", get(discovery::schemas)).says("Which attributes are kept."),
        read("/scim/v2/Schemas/{id}", "scim.schema", get(discovery::schema)).says("One schema."),
        read(USERS, "scim.list_users", get(users::list))
            .says("Staff, the oldest first, all or those that a filter matches.")
            .asks(QUERY),
        route(Method::POST, USERS, "scim.create_user", post(users::create))
            .says(
                "Add somebody. The invitation is made by whoever runs the tenant; no link is in the answer.",
            )
            .answers(StatusCode::CREATED),
        read(USER, "scim.read_user", get(users::read)).says("One of the staff.").asks(SHOWN),
        route(Method::PUT, USER, "scim.replace_user", put(users::replace))
            .says("Say anew how somebody is called, and whether they are active."),
        route(Method::PATCH, USER, "scim.patch_user", patched(users::patch))
            .says("Change some of it. Whoever is not active is signed out everywhere within a second."),
        route(Method::DELETE, USER, "scim.delete_user", delete(users::end))
            .says("Let somebody leave for good.")
            .answers(StatusCode::NO_CONTENT),
        read(GROUPS, "scim.list_groups", get(groups::list))
            .says("The roles that can be given here, as groups.")
            .asks(QUERY),
        read(GROUP, "scim.read_group", get(groups::read)).says("A role and who holds it.").asks(SHOWN),
        route(Method::PUT, GROUP, "scim.replace_group", put(groups::replace))
            .says("Say anew who holds a role."),
        route(Method::PATCH, GROUP, "scim.patch_group", patched(groups::patch))
            .says("Give a role to some and take it from others."),
    ]
}

/// The query of a list or of one resource; what is not listed here is ignored (RFC 7644 section 3.4.2).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

impl Asked {
    /// How many to leave out at the beginning and how many to show: from 1, and whatever is less counts as the least.
    fn page(&self) -> (u64, u64) {
        let start = u64::try_from(self.start_index.unwrap_or(1)).unwrap_or(1).max(1);
        let count = self.count.map_or(MOST, |count| u64::try_from(count).unwrap_or(0).min(MOST));
        (start - 1, count)
    }

    /// Leaves what was asked for of a resource (RFC 7644 section 3.9); `id` and `schemas` always.
    fn narrow(&self, body: &mut Map<String, Value>) {
        let names = |list: &str| -> Vec<String> {
            let name = |name: &str| filter::plain_name(name.trim());
            // A part of an attribute stands for all of it.
            list.split(',')
                .map(name)
                .map(|name| name.split('.').next().unwrap_or_default().to_owned())
                .collect()
        };
        let always = |name: &str| name == "id" || name == "schemas";
        if let Some(wanted) = self.attributes.as_deref().map(names) {
            body.retain(|name, _| always(name) || wanted.contains(&name.to_ascii_lowercase()));
        } else if let Some(unwanted) = self.excluded_attributes.as_deref().map(names) {
            body.retain(|name, _| always(name) || !unwanted.contains(&name.to_ascii_lowercase()));
        }
    }
}

/// A resource with what is said about it.
struct Resource {
    body: Map<String, Value>,
    version: String,
    location: String,
}

impl Resource {
    /// The version is a digest of all that is shown, so that it changes when anything does, whoever changes it.
    fn new(
        mut body: Map<String, Value>,
        (kind, location): (&str, String),
        times: Option<(Timestamp, Timestamp)>,
    ) -> Self {
        let text = Value::Object(body.clone()).to_string();
        let hash = digest(&SHA256, text.as_bytes());
        let version = format!("W/\"{}\"", HEXLOWER.encode(&hash.as_ref()[..12]));
        let mut meta = json!({"resourceType": kind, "location": location, "version": version});
        if let Some((created, changed)) = times {
            meta["created"] = created.to_string().into();
            meta["lastModified"] = changed.to_string().into();
        }
        body.insert("meta".to_owned(), meta);
        Self { body, version, location }
    }

    /// Whether it is at a version that `If-Match` names (RFC 9110 section 13.1.1).
    fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match headers.get(header::IF_MATCH) {
            Some(named) if !names(named, &self.version) => Err(catalogue::SCIM_CHANGED),
            _ => Ok(()),
        }
    }

    /// The answer, or that nothing has changed since `If-None-Match`.
    fn answer(mut self, status: StatusCode, asked: &Asked, headers: &HeaderMap) -> Response {
        let tag = HeaderValue::from_str(&self.version).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""));
        if headers.get(header::IF_NONE_MATCH).is_some_and(|named| names(named, &self.version)) {
            return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
        }
        asked.narrow(&mut self.body);
        let mut response = said(status, &Value::Object(self.body));
        response.headers_mut().insert(header::ETAG, tag);
        if status == StatusCode::CREATED
            && let Ok(location) = HeaderValue::from_str(&self.location)
        {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// Whether a list of entity tags has this one. Weak ones compare as strong ones do: what is shown is the same or not.
fn names(list: &HeaderValue, version: &str) -> bool {
    let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let list = list.to_str().unwrap_or_default();
    list.trim() == "*" || list.split(',').any(|tag| bare(tag) == bare(version))
}

fn said(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/scim+json")], body.to_string()).into_response()
}

/// A page of resources (RFC 7644 section 3.4.2).
fn listed(total: u64, skipped: u64, resources: &[Value]) -> Response {
    let body = json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": skipped + 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    });
    said(StatusCode::OK, &body)
}

/// What went wrong, with the status that SCIM has for it.
fn refused(error: PeopleError) -> Problem {
    match error {
        PeopleError::Name => catalogue::SCIM_VALUE,
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_begins_at_one_and_is_never_longer_than_the_longest() {
        let page = |start_index, count| Asked { start_index, count, ..Asked::default() }.page();
        assert_eq!(page(None, None), (0, MOST));
        assert_eq!(page(Some(0), Some(-1)), (0, 0));
        assert_eq!(page(Some(-7), Some(1_000_000)), (0, MOST));
        assert_eq!(page(Some(11), Some(10)), (10, 10));
    }

    #[test]
    fn attributes_are_chosen_and_left_out_by_name() {
        let body =
            || json!({"schemas": [], "id": "1", "userName": "a", "name": {}}).as_object().unwrap().clone();
        let keys = |asked: Asked| {
            let mut body = body();
            asked.narrow(&mut body);
            let mut keys: Vec<String> = body.keys().cloned().collect();
            keys.sort();
            keys.join(" ")
        };
        let attributes =
            Some("USERNAME, urn:ietf:params:scim:schemas:core:2.0:User:name.familyName".to_owned());
        assert_eq!(keys(Asked { attributes, ..Asked::default() }), "id name schemas userName");
        let excluded_attributes = Some("userName,id".to_owned());
        assert_eq!(keys(Asked { excluded_attributes, ..Asked::default() }), "id name schemas");
    }

    #[test]
    fn a_version_is_of_what_is_shown() {
        let of = |name: &str| {
            let body = json!({"id": "1", "userName": name}).as_object().unwrap().clone();
            Resource::new(body, ("User", "l".to_owned()), None)
        };
        assert_eq!(of("a").version, of("a").version);
        assert_ne!(of("a").version, of("b").version);
        let headers = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, value.parse().unwrap());
            headers
        };
        let (one, other) = (of("a"), of("b"));
        assert!(one.check(&HeaderMap::new()).is_ok() && one.check(&headers("*")).is_ok());
        assert!(one.check(&headers(&format!("\"x\", {}", one.version))).is_ok());
        assert_eq!(one.check(&headers(&other.version)), Err(catalogue::SCIM_CHANGED));
    }
}
