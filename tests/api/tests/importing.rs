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

/// Creates unless something meets the condition.
async fn create_unless(program: &Program, condition: &str, body: &Value) -> Answer {
    let kind = body["resourceType"].as_str().unwrap();
    let request = program.http.post(format!("{}/fhir/R4/{kind}", program.base)).json(body);
    let request = request.bearer_auth(program.token.as_deref().unwrap()).header("if-none-exist", condition);
    Answer::of(request).await
}

#[tokio::test]
async fn p4_an_importer_cannot_ask_who_has_what_by_the_conditions_of_what_it_writes() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let made = doctor.post("/fhir/R4/Patient", &patient("A-1")).await.expect(StatusCode::CREATED);
    let id = made["id"].as_str().unwrap();
    let subject = json!({"reference": format!("Patient/{id}")});
    let coding = json!({"coding": [{"system": "http://snomed.info/sct", "code": "86406008"}]});
    let condition = json!({"resourceType": "Condition", "subject": subject, "code": coding,
        "identifier": [{"system": "urn:example:problem", "value": "C-1"}]});
    let there = doctor.post("/fhir/R4/Condition", &condition).await.expect(StatusCode::CREATED);

    let code = |code: &str| format!("patient={id}&code=http://snomed.info/sct|{code}");
    let before = clinic.written().await;
    for (kind, query) in [
        ("Patient", "name=Okonkwo".to_owned()),
        ("Patient", "name=Nobody".to_owned()),
        ("Patient", "identifier=urn:example:mrn|A-1&family=Okonkwo".to_owned()),
        ("Patient", "birthdate=1971-03-04".to_owned()),
        ("Condition", code("86406008")),
        ("Condition", code("0")),
        ("Condition", format!("patient={id}&recorded-date=ge2020")),
        ("Condition", format!("patient={id}&clinical-status=active")),
        ("Condition", "identifier=urn:example:problem|C-1&_sort=recorded-date".to_owned()),
    ] {
        let body = if kind == "Patient" { patient("A-2") } else { condition.clone() };
        let refused = create_unless(&importer, &query, &body).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{query}: {}", refused.text);
        assert!(!refused.text.contains(there["id"].as_str().unwrap()) && !refused.text.contains("Okonkwo"));
        // Nor by a reference or a condition in a transaction.
        let mut referring = condition.clone();
        referring["subject"] =
            json!({"reference": format!("{kind}?{}", query.replace(':', "%3A").replace('/', "%2F"))});
        let by_condition =
            json!({"resource": body, "request": {"method": "POST", "url": kind, "ifNoneExist": query}});
        let by_reference = json!({"resource": referring, "request": {"method": "POST", "url": "Condition"}});
        for entry in [by_condition, by_reference] {
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
            let refused = importer.post("/fhir/R4", &bundle).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN, "{query}: {}", refused.text);
        }
    }
    assert_eq!(clinic.written().await, before);

    // What it needs: what it wrote is found by what it knows it by.
    let again = create_unless(&importer, "identifier=urn:example:problem|C-1", &condition).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::OK, &there["id"]), "{}", again.text);
    let mut referring = condition.clone();
    referring["subject"] = json!({"reference": "Patient?identifier=urn:example:mrn|A-1"});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": referring, "request": {"method": "POST", "url": "Condition"}}]});
    importer.post("/fhir/R4", &bundle).await.expect(StatusCode::OK);
    // The control: whoever cares for the patient may make the same conditions.
    let again = create_unless(
        &doctor,
        &format!("{}&identifier=urn:example:problem|C-1&_count=1", code("0")),
        &condition,
    )
    .await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    let again = create_unless(&doctor, "name=Okonkwo&birthdate=1971-03-04", &patient("A-3")).await;
    assert_eq!(again.status, StatusCode::CREATED, "{}", again.text);
    let again = create_unless(&doctor, "name=Okonkwo&identifier=urn:example:mrn|A-1", &patient("A-1")).await;
    assert_eq!((again.status, &again.body["id"]), (StatusCode::OK, &json!(id)), "{}", again.text);
    clinic.close().await;
}
