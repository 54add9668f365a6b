//! X1, P3: a program that imports writes the same thing twice and once it is there; it reads nothing.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Program};

fn patient(record_number: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}],
        "identifier": [{"system": "urn:example:mrn", "value": record_number}]})
}

/// Creates a patient unless there is one with the record number.
async fn create_once(program: &Program, record_number: &str) -> Answer {
    let token = program.token.as_deref().unwrap();
    let condition = format!("identifier=urn:example:mrn|{record_number}");
    let request = program.http.post(format!("{}/fhir/R4/Patient", program.base));
    let request = request.bearer_auth(token).header("if-none-exist", condition);
    Answer::of(request.json(&patient(record_number))).await
}

#[tokio::test]
async fn x1_an_importer_that_comes_twice_finds_what_it_wrote_and_sees_no_more_than_its_id() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let first = create_once(&importer, "A-1").await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    let again = create_once(&importer, "A-1").await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::OK, &first.body["id"]), "{}", again.text);
    assert!(!again.text.contains("Okonkwo") && !again.text.contains("A-1"), "{}", again.text);
    let other = create_once(&importer, "A-2").await;
    assert_eq!(other.status, StatusCode::CREATED);
    assert_ne!(other.body["id"], first.body["id"]);

    // In a transaction, too, and what refers to it goes to the one that is there, in the version that it has.
    let id = first.body["id"].as_str().unwrap().to_owned();
    let mut corrected = patient("A-1");
    corrected["id"] = json!(id);
    importer
        .send(reqwest::Method::PUT, &format!("/fhir/R4/Patient/{id}"), &corrected)
        .await
        .expect(StatusCode::OK);
    let url = "urn:uuid:7a1f7a86-3d4e-4a0e-9c43-1d2f6a7b8c9d";
    let condition =
        json!({"resourceType": "Condition", "subject": {"reference": url}, "code": {"text": "rash"}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": url, "resource": patient("A-1"), "request": {"method": "POST", "url": "Patient",
            "ifNoneExist": "identifier=urn:example:mrn|A-1"}},
        {"resource": condition, "request": {"method": "POST", "url": "Condition"}}]});
    let answer = importer.post("/fhir/R4", &bundle).await.expect(StatusCode::OK);
    let status = |index: usize| answer["entry"][index]["response"]["status"].as_str().unwrap_or_default();
    assert!(status(0).starts_with("200") && status(1).starts_with("201"), "{answer}");
    assert_eq!(answer["entry"][0]["response"]["etag"], "W/\"2\"", "{answer}");

    // The control: there is one such patient, and whoever cares for them sees name and condition.
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await.program;
    let team = format!("/api/v1/patients/{id}/care-team/{}", doctor.id);
    manager.send(reqwest::Method::PUT, &team, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let found =
        doctor.program.get("/fhir/R4/Patient?identifier=urn:example:mrn|A-1").await.expect(StatusCode::OK);
    assert_eq!(found["entry"].as_array().unwrap().len(), 1, "{found}");
    assert!(found.to_string().contains("Okonkwo"));
    let found = doctor.program.get(&format!("/fhir/R4/Condition?patient={id}")).await.expect(StatusCode::OK);
    assert_eq!(found["entry"][0]["resource"]["code"]["text"], "rash");

    for path in [format!("/fhir/R4/Patient/{id}"), format!("/fhir/R4/Patient/{id}/_history")] {
        assert_eq!(importer.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    clinic.close().await;
}
