//! How the FHIR routes are called. Everything is about acme's first chart.

use reqwest::Method;
use serde_json::{Value, json};

use super::stage::{Body, Call, KINDS, Stage, resource, resource_with_id};

/// Each FHIR route with the ways in which it is called.
pub(super) const ROUTES: &[(&str, &[&str])] = &[
    ("fhir.capabilities", &[""]),
    ("fhir.bundle", &["transaction that creates", "transaction that deletes", "batch that updates"]),
    ("fhir.search", KINDS),
    ("fhir.create", KINDS),
    ("fhir.search_form", KINDS),
    ("fhir.read", KINDS),
    ("fhir.update", KINDS),
    ("fhir.delete", KINDS),
    ("fhir.history", KINDS),
    ("fhir.version_read", KINDS),
];

/// The request, with what it needs made before.
pub(super) async fn call(stage: &Stage, name: &str, variant: &str) -> Call {
    let chart = &stage.own;
    let patient = chart.id("Patient");
    let place = |id: &str| format!("/fhir/R4/{variant}/{id}");
    match name {
        "fhir.capabilities" => Call::get("/fhir/R4/metadata"),
        "fhir.bundle" => Call::new(Method::POST, "/fhir/R4", Body::Fhir(bundle(stage, variant).await)),
        "fhir.search" => Call::get(format!("/fhir/R4/{variant}?{}", query(stage, variant))),
        "fhir.search_form" => Call::new(Method::POST, place("_search"), Body::Form(query(stage, variant))),
        "fhir.create" => {
            Call::new(Method::POST, format!("/fhir/R4/{variant}"), Body::Fhir(resource(variant, patient)))
        }
        "fhir.read" => Call::get(place(chart.id(variant))),
        "fhir.update" => {
            let body = resource_with_id(variant, chart.id(variant), patient);
            Call::new(Method::PUT, place(chart.id(variant)), Body::Fhir(body))
        }
        "fhir.delete" => Call::new(Method::DELETE, place(&victim(stage, variant).await), Body::None),
        "fhir.history" => Call::get(format!("{}/_history", place(chart.id(variant)))),
        "fhir.version_read" => Call::get(format!("{}/_history/1", place(chart.id(variant)))),
        other => panic!("{other} has no request"),
    }
}

/// A search that finds one resource for whom may see it, and nothing for others.
fn query(stage: &Stage, kind: &str) -> String {
    let id = format!("_id={}", stage.own.id(kind));
    match kind {
        "Patient" | "Practitioner" => id,
        _ => format!("patient={}&{id}", stage.own.id("Patient")),
    }
}

/// A new resource, to be deleted.
async fn victim(stage: &Stage, kind: &str) -> String {
    let by = if kind == "Practitioner" { &stage.steward } else { &stage.scribe };
    stage.create(by, kind, stage.own.id("Patient")).await
}

async fn bundle(stage: &Stage, variant: &str) -> Value {
    let chart = &stage.own;
    let (kind, entry) = match variant {
        "transaction that creates" => {
            let body = resource("Observation", chart.id("Patient"));
            ("transaction", json!({"resource": body, "request": {"method": "POST", "url": "Observation"}}))
        }
        "transaction that deletes" => {
            let url = format!("Encounter/{}", victim(stage, "Encounter").await);
            ("transaction", json!({"request": {"method": "DELETE", "url": url}}))
        }
        "batch that updates" => {
            let body = resource_with_id("Condition", chart.id("Condition"), chart.id("Patient"));
            let request = json!({"method": "PUT", "url": chart.reference("Condition")});
            ("batch", json!({"resource": body, "request": request}))
        }
        other => panic!("no bundle is a {other}"),
    };
    json!({"resourceType": "Bundle", "type": kind, "entry": [entry]})
}
