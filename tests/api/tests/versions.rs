//! X1: what the history of a chart shows.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Clinic;

#[tokio::test]
async fn x1_a_deletion_is_the_newest_version_of_a_history_however_short() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let patient = doctor.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let subject = format!("Patient/{}", patient["id"].as_str().unwrap());
    let rash =
        json!({"resourceType": "Condition", "subject": {"reference": subject}, "code": {"text": "rash"}});
    let rash = doctor.post("/fhir/R4/Condition", &rash).await.expect(StatusCode::CREATED);
    let path = format!("/fhir/R4/Condition/{}", rash["id"].as_str().unwrap());
    let history = format!("{path}/_history?_count=1");
    let one = doctor.get(&history).await.expect(StatusCode::OK);
    assert_eq!(one["entry"][0]["resource"]["code"]["text"], "rash");
    doctor.send(Method::DELETE, &path, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let one = doctor.get(&history).await.expect(StatusCode::OK);
    assert_eq!(one["entry"].as_array().unwrap().len(), 1, "{one}");
    assert_eq!(one["entry"][0]["request"]["method"], "DELETE", "{one}");
    let all = doctor.get(&format!("{path}/_history")).await.expect(StatusCode::OK);
    assert_eq!(all["entry"].as_array().unwrap().len(), 2, "{all}");
    clinic.close().await;
}
