//! The places where an id can be said.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::stage::{Body, Call, Stage, resource, resource_with_id},
    super::{apps::App, scim},
    Ids, Probe,
};

fn probe(what: impl Into<String>, call: Call) -> Probe {
    Probe { what: what.into(), call }
}

/// Every way to read one resource.
pub(super) fn reads(kind: &str, id: &str) -> Vec<Probe> {
    let place = format!("/fhir/R4/{kind}/{id}");
    let form = Call::new(Method::POST, format!("/fhir/R4/{kind}/_search"), Body::Form(format!("_id={id}")));
    vec![
        probe(format!("read {kind}"), Call::get(place.as_str())),
        probe(format!("head {kind}"), Call::new(Method::HEAD, place.as_str(), Body::None)),
        probe(format!("read {kind} if changed"), Call::get(place.as_str()).with("if-none-match", "W/\"1\"")),
        probe(format!("history of {kind}"), Call::get(format!("{place}/_history"))),
        probe(format!("newest of {kind}"), Call::get(format!("{place}/_history?_count=1"))),
        probe(format!("first version of {kind}"), Call::get(format!("{place}/_history/1"))),
        probe(format!("second version of {kind}"), Call::get(format!("{place}/_history/2"))),
        probe(format!("search {kind}"), Call::get(format!("/fhir/R4/{kind}?_id={id}"))),
        probe(format!("search {kind} by form"), form),
    ]
}

/// A body for an update, about one's own patient, about the resource's, and about none.
fn bodies(stage: &Stage, kind: &str, ids: &Ids) -> Vec<(&'static str, Value)> {
    let id = ids.get(kind);
    let mut bare = resource_with_id(kind, id, "x");
    bare.as_object_mut().unwrap().remove("subject");
    let mut elsewhere = resource_with_id(kind, id, "x");
    elsewhere["subject"] = json!({"reference": "Group/1"});
    let mut bodies = vec![
        ("its own body", resource_with_id(kind, id, ids.get("Patient"))),
        ("a body about my patient", resource_with_id(kind, id, stage.own.id("Patient"))),
    ];
    if !matches!(kind, "Patient" | "Practitioner") {
        bodies.extend([("a body about nobody", bare), ("a body about a group", elsewhere)]);
    }
    bodies
}

const MATCHES: &[&str] = &["W/\"1\"", "W/\"9\"", "rubbish"];

/// Every way to change one resource.
pub(super) fn writes(stage: &Stage, kind: &str, ids: &Ids) -> Vec<Probe> {
    let place = format!("/fhir/R4/{kind}/{}", ids.get(kind));
    let mut probes = Vec::new();
    for (what, body) in bodies(stage, kind, ids) {
        let update = Call::new(Method::PUT, place.as_str(), Body::Fhir(body));
        for tag in MATCHES {
            let update = update.clone().with("if-match", *tag);
            probes.push(probe(format!("update {kind} with {what} if {tag}"), update));
        }
        probes.push(probe(format!("update {kind} with {what}"), update));
    }
    let delete = Call::new(Method::DELETE, place, Body::None);
    for tag in MATCHES {
        probes.push(probe(format!("delete {kind} if {tag}"), delete.clone().with("if-match", *tag)));
    }
    probes.push(probe(format!("delete {kind}"), delete));
    probes
}

/// The same in transactions and batches, alone and before an entry that is wrong by itself.
pub(super) fn bundles(stage: &Stage, kind: &str, ids: &Ids) -> Vec<Probe> {
    let url = format!("{kind}/{}", ids.get(kind));
    let mut wrong = resource("Condition", "x");
    wrong.as_object_mut().unwrap().remove("subject");
    let wrong = json!({"resource": wrong, "request": {"method": "POST", "url": "Condition"}});
    let mut entries = vec![
        ("deletes", json!({"request": {"method": "DELETE", "url": url}})),
        ("deletes if", json!({"request": {"method": "DELETE", "url": url, "ifMatch": "W/\"9\""}})),
    ];
    for (what, body) in bodies(stage, kind, ids) {
        entries.push((what, json!({"resource": body, "request": {"method": "PUT", "url": url}})));
    }
    let bundle = |kind: &str, entries: Value| {
        Call::new(
            Method::POST,
            "/fhir/R4",
            Body::Fhir(json!({"resourceType": "Bundle", "type": kind, "entry": entries})),
        )
    };
    let mut probes = Vec::new();
    for (what, entry) in entries {
        probes.push(probe(format!("transaction {what} {kind}"), bundle("transaction", json!([entry]))));
        probes.push(probe(format!("batch {what} {kind}"), bundle("batch", json!([entry]))));
        let followed = bundle("transaction", json!([entry, wrong]));
        probes.push(probe(format!("transaction {what} {kind}, then something wrong"), followed));
    }
    probes
}

/// Records about a patient, and searches for them.
pub(super) fn about(stage: &Stage, ids: &Ids) -> Vec<Probe> {
    let patient = ids.get("Patient");
    let base = format!("{}/fhir/R4", stage.clinic.origin("acme"));
    let mut probes = Vec::new();
    for kind in ["Encounter", "Condition", "Observation"] {
        for (what, reference) in [
            ("patient", format!("Patient/{patient}")),
            ("patient by address", format!("{base}/Patient/{patient}")),
            ("patient's version", format!("Patient/{patient}/_history/1")),
            ("patient by search", format!("Patient?_id={patient}")),
            ("encounter", format!("Encounter/{}", ids.get("Encounter"))),
        ] {
            let mut body = resource(kind, "x");
            body["subject"] = json!({ "reference": reference });
            let create = Call::new(Method::POST, format!("/fhir/R4/{kind}"), Body::Fhir(body.clone()));
            let entry = json!({"resource": body, "request": {"method": "POST", "url": kind}});
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
            probes.push(probe(format!("create {kind} of a {what}"), create));
            let bundle = Call::new(Method::POST, "/fhir/R4", Body::Fhir(bundle));
            probes.push(probe(format!("transaction that creates {kind} of a {what}"), bundle));
        }
        for query in [
            format!("patient={patient}"),
            format!("patient=Patient/{patient}"),
            format!("subject=Patient/{patient}"),
            format!("patient={patient}&_id={}", ids.get(kind)),
            format!("_id={},{}", ids.get("Encounter"), ids.get(kind)),
        ] {
            probes.push(probe(
                format!("search {kind} by {query}"),
                Call::get(format!("/fhir/R4/{kind}?{query}")),
            ));
        }
    }
    for (kind, query) in [
        ("Condition", format!("patient={patient}&code=38341003")),
        ("Observation", format!("patient={patient}&category=laboratory")),
        ("Observation", format!("encounter=Encounter/{}", ids.get("Encounter"))),
        ("Observation", format!("performer=Practitioner/{}", ids.get("Practitioner"))),
        ("Condition", format!("encounter=Encounter/{}", ids.get("Encounter"))),
    ] {
        probes
            .push(probe(format!("search {kind} by {query}"), Call::get(format!("/fhir/R4/{kind}?{query}"))));
    }
    probes
}

/// Opening an app, one of acme or another, from a chart.
pub(super) fn launches(stage: &Stage, ids: &Ids, app: &App<'_>) -> Vec<Probe> {
    let own = (stage.own.id("Patient"), stage.own.id("Encounter"));
    let elsewhere = json!({"patient": own.0, "encounter": own.1});
    let theirs = format!("/api/v1/apps/{}/launch", ids.get("App"));
    vec![
        probe("open an app from a chart", app.open(ids.get("Patient"), ids.get("Encounter"))),
        probe("open an app from a chart in a visit of mine", app.open(ids.get("Patient"), own.1)),
        probe("open an app in somebody's visit", app.open(own.0, ids.get("Encounter"))),
        probe("open an app from something else", app.open(ids.get("Condition"), own.1)),
        probe("open somebody's app from a chart of mine", Call::post(theirs, elsewhere)),
    ]
}

/// Somebody's session and passkey.
pub(super) fn sessions(ids: &Ids) -> Vec<Probe> {
    let path = format!("/api/v1/sessions/{}", ids.get("Session"));
    let passkey = format!("/api/v1/passkeys/{}", ids.get("Passkey"));
    let grant = format!("/api/v1/app-grants/{}", ids.get("Grant"));
    let device = format!("/api/v1/devices/{}", ids.get("Device"));
    let renamed = Body::Json(json!({"name": "Mine"}));
    vec![
        probe("end a session", Call::new(Method::DELETE, path, Body::None)),
        probe("rename a passkey", Call::new(Method::PUT, passkey.clone(), renamed.clone())),
        probe("rename a device", Call::new(Method::PUT, device.clone(), renamed)),
        probe("confirm a device", Call::new(Method::POST, format!("{device}/confirm"), Body::None)),
        probe("forget a device", Call::new(Method::DELETE, device, Body::None)),
        probe("remove a passkey", Call::new(Method::DELETE, passkey, Body::None)),
        probe("withdraw what an app was allowed", Call::new(Method::DELETE, grant, Body::None)),
    ]
}

/// People, and charts of patients that people are given.
pub(super) fn members(stage: &Stage, ids: &Ids) -> Vec<Probe> {
    let (patient, person) = (ids.get("Patient"), ids.get("Person"));
    let (own, colleague) = (stage.own.id("Patient"), stage.scribe.person().id);
    let request = ids.get("RoleRequest");
    let put = |path: String| Call::new(Method::PUT, path, Body::None);
    let post = |path: String| Call::new(Method::POST, path, Body::None);
    let delete = |path: String| Call::new(Method::DELETE, path, Body::None);
    let team = |patient: &str, person: &str| put(format!("/api/v1/patients/{patient}/care-team/{person}"));
    let join = json!({"login": "new.comer", "name": "New Comer"});
    let app = format!("/api/v1/apps/{}", ids.get("App"));
    let recovery = format!("/api/v1/recoveries/{}", ids.get("Recovery"));
    vec![
        probe(
            "revoke a provisioning token",
            delete(format!("/api/v1/provisioning-tokens/{}", ids.get("Token"))),
        ),
        probe("ask who somebody is", Call::get(format!("/api/v1/people?ids={person}"))),
        probe("approve an app", post(format!("{app}/approve"))),
        probe("recover somebody", post(format!("/api/v1/people/{person}/recovery"))),
        probe("approve a recovery", post(format!("{recovery}/approve"))),
        probe("reject a recovery", post(format!("{recovery}/reject"))),
        probe("disable an app", post(format!("{app}/disable"))),
        probe("remove an app", delete(app)),
        probe("invite somebody again", {
            Call::post(format!("/api/v1/people/{person}/invite"), json!({"roles": ["tenant_admin"]}))
        }),
        probe("invite the patient of a chart", {
            Call::post(format!("/api/v1/patients/{patient}/account"), join)
        }),
        probe("recover the patient of a chart", {
            let path = format!("/api/v1/patients/{patient}/account/recovery");
            Call::post(path, json!({"identified_by": "photo_id"}))
        }),
        probe("let a program read", put(format!("/api/v1/people/{person}/roles/records_reader"))),
        probe("give somebody a role", put(format!("/api/v1/people/{person}/roles/nurse"))),
        probe("ask for a role for somebody", put(format!("/api/v1/people/{person}/roles/tenant_admin"))),
        probe("take somebody's role", delete(format!("/api/v1/people/{person}/roles/nurse"))),
        probe("suspend somebody", post(format!("/api/v1/people/{person}/suspend"))),
        probe("reinstate somebody", post(format!("/api/v1/people/{person}/reinstate"))),
        probe("remove somebody", delete(format!("/api/v1/people/{person}"))),
        probe("clear somebody's devices", delete(format!("/api/v1/people/{person}/devices"))),
        probe("approve a role", post(format!("/api/v1/role-requests/{request}/approve"))),
        probe("reject a role", post(format!("/api/v1/role-requests/{request}/reject"))),
        probe("take somebody off a team", delete(format!("/api/v1/patients/{own}/care-team/{person}"))),
        probe("put a colleague on a team", team(patient, &colleague.to_string())),
        probe("put somebody on a team", team(own, person)),
        probe("put somebody on another team", team(patient, person)),
        probe("put somebody on the team of a condition", team(ids.get("Condition"), &colleague.to_string())),
    ]
}

/// Staff, as an identity provider names them.
pub(super) fn staff(ids: &Ids) -> Vec<Probe> {
    const NURSES: &str = "/scim/v2/Groups/nurse";
    let person = ids.get("Person");
    let place = format!("/scim/v2/Users/{person}");
    let suspend = json!([{"op": "replace", "path": "active", "value": false}]);
    let body = json!({"schemas": [scim::USER], "userName": "new.name"});
    let members = json!({"displayName": "nurse", "members": [{"value": person}]});
    vec![
        probe("read a user", Call::get(place.as_str())),
        probe("read a user if changed", Call::get(place.as_str()).with("if-none-match", "W/\"0\"")),
        probe("replace a user", Call::new(Method::PUT, place.as_str(), Body::Json(body))),
        probe("suspend a user", Call::new(Method::PATCH, place.as_str(), scim::patch(&suspend))),
        probe("remove a user", Call::new(Method::DELETE, place.as_str(), Body::None)),
        probe(
            "remove a user if unchanged",
            Call::new(Method::DELETE, place, Body::None).with("if-match", "W/\"0\""),
        ),
        probe("make somebody a nurse", Call::new(Method::PATCH, NURSES, scim::members("add", person))),
        probe("have these nurses", Call::new(Method::PUT, NURSES, Body::Json(members))),
    ]
}
