//! Every method on every path: what no route takes is refused, to everybody alike, before anything is done.

use std::collections::{BTreeMap, BTreeSet};

use carekeep_gateway::api::endpoints;
use carekeep_kernel::TenantKind;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{
    cast::Credential,
    stage::{Body, Call, Stage},
    table::says,
};

/// `CONNECT` is left out: to a client library it is no request but a tunnel.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

/// The methods of each path of the public listener at a clinic, `HEAD` where there is `GET`.
fn paths() -> BTreeMap<&'static str, BTreeSet<String>> {
    let api = endpoints().into_iter().filter(|endpoint| endpoint.offered.at(TenantKind::Clinic));
    let api = api.map(|endpoint| (endpoint.path, endpoint.method));
    let pages = carekeep_portal::pages().into_iter().filter(|page| page.offered.at(TenantKind::Clinic));
    let pages = pages.map(|page| (page.path, Method::GET));
    let mut paths: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, method) in api.chain(pages) {
        let methods = paths.entry(path).or_default();
        methods.insert(method.to_string());
        if method == Method::GET {
            methods.insert("HEAD".to_owned());
        }
    }
    paths
}

/// The path with something at each of its parameters.
pub(super) fn filled(path: &str, stage: &Stage) -> String {
    path.replace("{type}", "Patient")
        .replace("{id}", stage.own.id("Patient"))
        .replace("{person}", &stage.boss.person().id.to_string())
        .replace("{version}", "1")
        .replace("{file}", "api.js")
}

async fn refused(stage: &Stage, credential: &Credential, (path, allowed): (&str, &BTreeSet<String>)) {
    for name in METHODS.iter().filter(|name| !allowed.contains(**name)) {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        let answer = stage.send(credential, &Call::new(method, filled(path, stage), Body::None)).await;
        let (status, why) = match *name {
            "PROPFIND" => (StatusCode::NOT_IMPLEMENTED, "method-not-implemented"),
            _ => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
        };
        assert_eq!(answer.status, status, "{name} {path}: {}", answer.text);
        let said = if *name == "HEAD" { answer.text.is_empty() } else { says(&answer, why) };
        assert!(said, "{name} {path}: {}", answer.text);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allow = answer.headers["allow"].to_str().unwrap();
            let named: BTreeSet<String> = allow.split(',').map(|method| method.trim().to_owned()).collect();
            assert_eq!(named, *allowed, "{name} {path}");
        }
    }
}

#[tokio::test]
async fn bar_z3_a_method_that_a_path_does_not_take_is_refused_and_does_nothing() {
    let stage = Stage::open().await;
    let tenants = [stage.clinic.acme.id, stage.clinic.bolt.id];
    let callers = [
        Stage::nobody(),
        stage.credential(stage.actor("clinician")).await,
        stage.credential(stage.actor("tenant admin")).await,
    ];
    let before = stage.onlooker.tenants(&tenants).await;
    for (path, allowed) in &paths() {
        for caller in &callers {
            refused(&stage, caller, (path, allowed)).await;
        }
    }
    assert!(stage.onlooker.tenants(&tenants).await == before);
    odd_requests(&stage).await;
    stage.close().await;
}

/// What no route answers has the headers too (BARS S2); they are looked at whenever something is sent.
async fn odd_requests(stage: &Stage) {
    let clinician = stage.credential(stage.actor("clinician")).await;
    let large = json!({"resourceType": "Patient", "text": {"div": "a".repeat(1 << 20)}});
    for (status, call) in [
        (404, Call::get("/nothing")),
        (404, Call::get("/fhir/R4/Patient/1/2/3")),
        (404, Call::get("/fhir/R4/Spaceship/1")),
        (404, Call::get("/assets/nothing.js")),
        (404, Call::get("/api/v1/people/")),
        (404, Call::get("/control/tenants")),
        (404, Call::get("/metrics")),
        (404, Call::get("/health/live")),
        (413, Call::new(Method::POST, "/fhir/R4/Patient", Body::Fhir(large))),
        (414, Call::get(format!("/fhir/R4/Patient?name={}", "a".repeat(9_000)))),
        (415, Call::new(Method::POST, "/fhir/R4/Patient", Body::Form("a=b".to_owned()))),
        (400, Call::new(Method::POST, "/fhir/R4/Patient", Body::None)),
    ] {
        let answer = stage.send(&clinician, &call).await;
        assert_eq!(answer.status.as_u16(), status, "{}: {}", call.path, answer.text);
    }
}
