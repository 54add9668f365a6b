//! T2: the tenant is that of the host and of the session, which must agree, and nothing else that a request says.

use carekeep_gateway::api::{Access, endpoints};
use carekeep_kernel::TenantKind;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::Answer;

use super::{
    cast::Credential,
    fhir, headers,
    stage::{Body, Call, Stage},
    table::says,
};

/// What proxies and frameworks believe.
const CLAIMS: &[&str] = &[
    "x-forwarded-host",
    "x-forwarded-server",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-host-override",
    "x-tenant",
    "x-tenant-id",
    "forwarded",
];

fn claim(name: &str) -> String {
    match name {
        "forwarded" => "host=bolt.localhost;proto=https".to_owned(),
        "x-original-url" | "x-rewrite-url" => "https://bolt.localhost/api/v1/me".to_owned(),
        _ => "bolt.localhost".to_owned(),
    }
}

#[tokio::test]
async fn t2_no_header_names_the_tenant() {
    let stage = Stage::open().await;
    let clinician = stage.credential(stage.actor("clinician")).await;
    let foreign = stage.credential(stage.actor("foreign clinician")).await;
    let path = format!("/fhir/R4/{}", stage.own.reference("Patient"));
    for name in CLAIMS {
        let me = stage.send(&clinician, &Call::get("/api/v1/me").with(name, claim(name))).await;
        assert_eq!(me.expect(StatusCode::OK)["tenant"], "Clinic acme", "{name}");
        let read = stage.send(&clinician, &Call::get(path.as_str()).with(name, claim(name))).await;
        assert_eq!(read.status, StatusCode::OK, "{name}");
        let theirs = format!("/fhir/R4/{}", stage.foreign.reference("Patient"));
        for path in ["/api/v1/me", theirs.as_str()] {
            let refused = stage.send(&foreign, &Call::get(path).with(name, claim(name))).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{name}: {}", refused.text);
        }
    }
    stage.close().await;
}

/// A request over a connection that was made for acme's host, for another one.
async fn misdirected(stage: &Stage, http: &reqwest::Client, credential: &Credential, call: &Call) -> Answer {
    let address = format!("{}{}", stage.clinic.origin("acme"), call.path);
    let bolt = stage.clinic.origin("bolt").replace("https://", "");
    let request = credential.sign(http.request(call.method.clone(), address), call).header("host", bolt);
    let answer = Answer::of(request).await;
    headers::check(&answer, &call.path);
    answer
}

#[tokio::test]
async fn t2_a_host_that_disagrees_with_the_connection_or_the_session_is_refused_on_every_route() {
    let stage = Stage::open().await;
    let http = stage.clinic.http(&["acme"]).http1_only().build().unwrap();
    let own = stage.credential(stage.actor("clinician")).await;
    let theirs = stage.credential(stage.actor("foreign clinician")).await;
    let tenants = [stage.clinic.acme.id, stage.clinic.bolt.id];
    for endpoint in endpoints() {
        let path = endpoint.path.replace("{type}", "Patient").replace("{id}", stage.own.id("Patient"));
        let path = path.replace("{version}", "1").replace("{person}", &stage.boss.person().id.to_string());
        let body = if endpoint.name == "fhir.search_form" {
            Body::Form(String::new())
        } else {
            Body::Json(json!({}))
        };
        let call = Call::new(endpoint.method.clone(), path, body);
        let before = stage.onlooker.tenants(&tenants).await;
        for credential in [&own, &theirs] {
            let refused = misdirected(&stage, &http, credential, &call).await;
            assert_eq!(
                refused.status,
                StatusCode::MISDIRECTED_REQUEST,
                "{}: {}",
                endpoint.name,
                refused.text
            );
        }
        if endpoint.access == Access::Session && endpoint.offered.at(TenantKind::Clinic) {
            let refused = stage.send(&theirs, &call).await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}: {}", endpoint.name, refused.text);
            assert!(says(&refused, "unauthenticated"), "{}: {}", endpoint.name, refused.text);
        }
        assert!(stage.onlooker.tenants(&tenants).await == before, "{}", endpoint.name);
    }
    // The positive control: the same client, with the host that it connected to.
    let call = fhir::call(&stage, "fhir.read", "Patient").await;
    let address = format!("{}{}", stage.clinic.origin("acme"), call.path);
    let read = Answer::of(own.sign(http.get(address), &call)).await;
    assert_eq!(read.status, StatusCode::OK, "{}", read.text);
    stage.close().await;
}
