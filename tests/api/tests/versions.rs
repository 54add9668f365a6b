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

#[tokio::test]
async fn x1_a_history_is_paged_to_its_end_and_no_version_is_missed() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let patient = doctor.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let subject = format!("Patient/{}", patient["id"].as_str().unwrap());
    let rash = |text: &str| json!({"resourceType": "Condition", "subject": {"reference": subject}, "code": {"text": text}});
    let made = doctor.post("/fhir/R4/Condition", &rash("1")).await.expect(StatusCode::CREATED);
    let path = format!("/fhir/R4/Condition/{}", made["id"].as_str().unwrap());
    for version in ["2", "3"] {
        let mut next = rash(version);
        next["id"] = made["id"].clone();
        doctor.send(Method::PUT, &path, &next).await.expect(StatusCode::OK);
    }
    doctor.send(Method::DELETE, &path, &Value::Null).await.expect(StatusCode::NO_CONTENT);

    let mut seen: Vec<Value> = Vec::new();
    let mut page = Some(format!("{path}/_history?_count=1"));
    while let Some(address) = page {
        let bundle = doctor.get(&address).await.expect(StatusCode::OK);
        assert_eq!(bundle["entry"].as_array().unwrap().len(), 1, "{bundle}");
        seen.push(bundle["entry"][0]["response"]["etag"].clone());
        let links = bundle["link"].as_array().unwrap();
        let url =
            |relation: &str| links.iter().find(|link| link["relation"] == relation).map(|link| &link["url"]);
        assert!(url("self").unwrap().as_str().unwrap().ends_with(&address), "{bundle}");
        page = url("next").map(|url| url.as_str().unwrap().split_once(".localhost").unwrap().1.to_owned());
        page = page.map(|url| url[url.find('/').unwrap()..].to_owned());
    }
    assert_eq!(seen, ["W/\"4\"", "W/\"3\"", "W/\"2\"", "W/\"1\""]);
    let all = doctor.get(&format!("{path}/_history?_count=4")).await.expect(StatusCode::OK);
    assert_eq!(
        (all["entry"].as_array().unwrap().len(), all["link"].as_array().unwrap().len()),
        (4, 1),
        "{all}"
    );
    let before_the_first = doctor.get(&format!("{path}/_history?_before=1")).await;
    assert_eq!(before_the_first.status, StatusCode::NOT_FOUND);
    clinic.close().await;
}

#[tokio::test]
async fn x1_an_update_brings_a_deleted_record_back_and_a_deleted_patient_never() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let mut privacy = clinic.member(&mut admin, "privacy", &["privacy_officer"]).await.program;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let patient = doctor.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let chart = format!("/fhir/R4/Patient/{}", patient["id"].as_str().unwrap());
    let subject = json!({"reference": format!("Patient/{}", patient["id"].as_str().unwrap())});
    let rash = json!({"resourceType": "Condition", "subject": subject, "code": {"text": "rash"}});
    let rash = doctor.post("/fhir/R4/Condition", &rash).await.expect(StatusCode::CREATED);
    let record = format!("/fhir/R4/Condition/{}", rash["id"].as_str().unwrap());

    doctor.send(Method::DELETE, &record, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    doctor.send(Method::PUT, &record, &rash).await.expect(StatusCode::OK);
    privacy.send(Method::DELETE, &chart, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let entry = json!({"resource": patient, "request": {"method": "PUT", "url": chart.trim_start_matches("/fhir/R4/")}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    for refused in [doctor.send(Method::PUT, &chart, &patient).await, doctor.post("/fhir/R4", &bundle).await]
    {
        assert_eq!(refused.status, StatusCode::GONE, "{}", refused.text);
    }
    assert_eq!(doctor.get(&chart).await.status, StatusCode::GONE);
    clinic.close().await;
}
