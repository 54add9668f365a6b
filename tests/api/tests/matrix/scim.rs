//! How the routes of provisioning are called, each about somebody who was hired for it.

use carekeep_policy::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    cast::Credential,
    stage::{Body, Call, Stage},
};

/// Each route of provisioning with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("provisioning_tokens.list", &[""]),
    ("provisioning_tokens.create", &[""]),
    ("provisioning_tokens.revoke", &[""]),
    ("scim.config", &[""]),
    ("scim.resource_types", &[""]),
    ("scim.resource_type", &[""]),
    ("scim.schemas", &[""]),
    ("scim.schema", &[""]),
    ("scim.list_users", &["", "by filter"]),
    ("scim.create_user", &[""]),
    ("scim.read_user", &[""]),
    ("scim.replace_user", &[""]),
    ("scim.patch_user", &["names", "suspend"]),
    ("scim.delete_user", &[""]),
    ("scim.list_groups", &[""]),
    ("scim.read_group", &[""]),
    ("scim.replace_group", &[""]),
    ("scim.patch_group", &["give", "take"]),
];

pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// Operations of one PATCH.
pub(super) fn patch(operations: &Value) -> Body {
    Body::Json(
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}),
    )
}

/// Adds members to a group, or removes them.
pub(super) fn members(op: &str, id: &str) -> Body {
    patch(&json!([{"op": op, "path": "members", "value": [{"value": id}]}]))
}

/// The request that this session makes, with what it needs made before.
pub(super) async fn call(stage: &Stage, name: &str, variant: &str, credential: &Credential) -> Call {
    const NURSES: &str = "/scim/v2/Groups/nurse";
    let acme = stage.clinic.acme.id;
    let get = |path: &str| Call::get(format!("/scim/v2{path}"));
    let hired = async |role| stage.somebody(acme, &[role]).await.id.to_string();
    let about =
        async |method, body| Call::new(method, format!("/scim/v2/Users/{}", hired(Role::Nurse).await), body);
    match name {
        "provisioning_tokens.list" => Call::get("/api/v1/provisioning-tokens"),
        "provisioning_tokens.create" => {
            // There may be three of them.
            let own = credential.person.as_ref().map(|person| person.id.to_string()).unwrap_or_default();
            let others = format!("DELETE FROM {{s}}.provisioning_token WHERE person::text <> '{own}'");
            stage.clinic.as_superuser("operations", &others).await;
            Call::post("/api/v1/provisioning-tokens", json!({"name": "Provider"}))
        }
        "provisioning_tokens.revoke" => {
            let (_, id, _) = stage.identity_provider(acme).await;
            Call::new(Method::DELETE, format!("/api/v1/provisioning-tokens/{id}"), Body::None)
        }
        "scim.config" => get("/ServiceProviderConfig"),
        "scim.resource_types" => get("/ResourceTypes"),
        "scim.resource_type" => get("/ResourceTypes/User"),
        "scim.schemas" => get("/Schemas"),
        "scim.schema" => get(&format!("/Schemas/{USER}")),
        "scim.list_users" if variant.is_empty() => get("/Users"),
        "scim.list_users" => get("/Users?filter=userName%20eq%20%22clinician%22"),
        "scim.create_user" => {
            let login = format!("new.{}", stage.somebody(acme, &[]).await.id);
            Call::post("/scim/v2/Users", json!({"schemas": [USER], "userName": login}))
        }
        "scim.read_user" => about(Method::GET, Body::None).await,
        "scim.replace_user" => {
            let login = format!("new.{}", stage.somebody(acme, &[]).await.id);
            about(Method::PUT, Body::Json(json!({"schemas": [USER], "userName": login}))).await
        }
        "scim.patch_user" => {
            let (path, value) =
                if variant == "names" { ("displayName", json!("New")) } else { ("active", json!(false)) };
            about(Method::PATCH, patch(&json!([{"op": "replace", "path": path, "value": value}]))).await
        }
        "scim.delete_user" => about(Method::DELETE, Body::None).await,
        "scim.list_groups" => get("/Groups"),
        "scim.read_group" => get("/Groups/nurse"),
        "scim.replace_group" => {
            // The biller of the cast stays one.
            let kept = stage.actor("billing").person().id.to_string();
            let body = json!({"displayName": "billing", "members": [{"value": kept}, {"value": hired(Role::Nurse).await}]});
            Call::new(Method::PUT, "/scim/v2/Groups/billing", Body::Json(body))
        }
        "scim.patch_group" => {
            let (op, role) = if variant == "give" { ("add", Role::Billing) } else { ("remove", Role::Nurse) };
            Call::new(Method::PATCH, NURSES, members(op, &hired(role).await))
        }
        other => panic!("{other} has no request"),
    }
}
