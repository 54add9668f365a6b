//! P4: a search tells no more than what it finds would show. Who sees that a visit took place cannot ask what it was about.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Program};

const SNOMED: &str = "http://snomed.info/sct";
/// HIV infection.
const REASON: &str = "86406008";

/// A chart with two visits for the same reason.
async fn chart(doctor: &mut Program) -> String {
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}], "birthDate": "1971-03-04",
        "identifier": [{"system": "urn:example:mrn", "value": "A-1"}]});
    let made = doctor.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let id = made["id"].as_str().unwrap().to_owned();
    for day in ["2023-11-02", "2023-11-03"] {
        let visit = json!({"resourceType": "Encounter", "status": "finished", "class": {"system": "urn:s", "code": "AMB"},
            "subject": {"reference": format!("Patient/{id}")}, "period": {"start": day, "end": day},
            "identifier": [{"system": "urn:example:visit", "value": format!("HIV-{day}")}],
            "type": [{"coding": [{"system": SNOMED, "code": "185389009"}]}],
            "reasonCode": [{"coding": [{"system": SNOMED, "code": REASON}]}]});
        doctor.post("/fhir/R4/Encounter", &visit).await.expect(StatusCode::CREATED);
    }
    id
}

fn count(found: &Value) -> usize {
    found["entry"].as_array().map_or(0, Vec::len)
}

/// The same search by address and by form.
async fn search(program: &mut Program, kind: &str, query: &str) -> Answer {
    let answer = program.get(&format!("/fhir/R4/{kind}?{query}")).await;
    let request = program.http.post(format!("{}/fhir/R4/{kind}/_search", program.base));
    let request = request.bearer_auth(program.token.as_deref().unwrap());
    let form = request.header("content-type", "application/x-www-form-urlencoded").body(query.to_owned());
    assert_eq!(Answer::of(form).await.status, answer.status, "{query}");
    answer
}

#[tokio::test]
async fn p4_who_sees_that_a_visit_was_cannot_ask_what_it_was_about() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await.program;
    let billing = clinic.member(&mut admin, "billing.sato", &["billing"]).await.program;
    let id = chart(&mut doctor).await;

    // What is asked, and what says no.
    let hidden = [
        (
            format!("patient={id}&reason-code={SNOMED}|{REASON}"),
            format!("patient={id}&reason-code={SNOMED}|0"),
        ),
        (format!("patient={id}&type={SNOMED}|185389009"), format!("patient={id}&type={SNOMED}|0")),
        (
            format!("patient={id}&identifier=urn:example:visit|HIV-2023-11-02"),
            format!("patient={id}&identifier=x|0"),
        ),
        (
            format!("subject={id}&status=finished&reason-code={REASON}"),
            format!("subject={id}&status=finished&reason-code=0"),
        ),
        (
            format!("patient={id}&reason-code={REASON}&_count=1"),
            format!("patient={id}&reason-code=0&_count=1"),
        ),
        (format!("reason-code={REASON}"), "reason-code=0".to_owned()),
    ];
    let shown = [
        format!("patient={id}"),
        format!("patient={id}&status=finished"),
        format!("patient={id}&date=ge2023-11&_sort=-date"),
        format!("patient={id}&class=AMB&_lastUpdated=gt2020"),
    ];
    for (yes, no) in &hidden {
        let found = search(&mut doctor, "Encounter", yes).await.expect(StatusCode::OK);
        assert!(count(&found) > 0, "{yes}: {found}");
        assert_eq!(count(&search(&mut doctor, "Encounter", no).await.expect(StatusCode::OK)), 0, "{no}");
    }
    for mut program in [manager, billing] {
        for (yes, no) in &hidden {
            let answers =
                [search(&mut program, "Encounter", yes).await, search(&mut program, "Encounter", no).await];
            for answer in &answers {
                assert_eq!(answer.status, StatusCode::FORBIDDEN, "{yes}: {}", answer.text);
                assert!(answer.text.contains("search by what you are shown"), "{}", answer.text);
            }
            assert_eq!(answers[0].body["issue"], answers[1].body["issue"], "{yes}");
        }
        for query in &shown {
            let found = search(&mut program, "Encounter", query).await.expect(StatusCode::OK);
            assert_eq!(count(&found), 2, "{query}: {found}");
            assert!(!found.to_string().contains(REASON), "{found}");
        }
        // A condition of a creation is a search, too.
        let visit = json!({"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"},
            "subject": {"reference": format!("Patient/{id}")}});
        for query in [&hidden[0].0, &hidden[0].1] {
            let request = program.http.post(format!("{}/fhir/R4/Encounter", program.base)).json(&visit);
            let request =
                request.bearer_auth(program.token.as_deref().unwrap()).header("if-none-exist", query);
            assert_eq!(Answer::of(request).await.status, StatusCode::FORBIDDEN, "{query}");
        }
    }
    clinic.close().await;
}

#[tokio::test]
async fn p4_reception_finds_patients_by_contact_data_as_before() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let mut desk = clinic.member(&mut admin, "desk.ito", &["reception"]).await.program;
    let id = chart(&mut doctor).await;
    for query in ["name=Okonkwo", "family=Okonkwo&birthdate=1971-03-04", "identifier=urn:example:mrn|A-1"] {
        let found = search(&mut desk, "Patient", query).await.expect(StatusCode::OK);
        assert_eq!(found["entry"][0]["resource"]["id"], id.as_str(), "{query}: {found}");
    }
    for query in [format!("patient={id}"), format!("patient={id}&reason-code={REASON}")] {
        let refused = desk.send(Method::GET, &format!("/fhir/R4/Encounter?{query}"), &Value::Null).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{query}");
    }
    clinic.close().await;
}
