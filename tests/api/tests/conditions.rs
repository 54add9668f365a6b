//! X1, X2: what is to be done on a condition is done on that condition or not at all.

use reqwest::{Method, StatusCode, header::HeaderValue};
use serde_json::{Value, json};

use crate::{
    bad_input::{Scene, observation},
    support::{Answer, Clinic, Member, Program},
};

/// A clinic with an administrator and a clinician.
async fn staffed() -> (Clinic, Member, Program) {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    (clinic, admin, doctor)
}

fn practitioner(number: &str) -> Value {
    json!({"resourceType": "Practitioner", "name": [{"family": "Arnesen"}],
        "identifier": [{"system": "http://example.org/npi", "value": number}]})
}

/// A bundle with an observation whose performer is looked for.
fn performed(kind: &str, patient: &str, performer: &str) -> Value {
    let mut observation = observation(patient);
    observation["performer"] = json!([{ "reference": performer }]);
    json!({"resourceType": "Bundle", "type": kind,
        "entry": [{"resource": observation, "request": {"method": "POST", "url": "Observation"}}]})
}

#[tokio::test]
async fn x2_a_reference_by_a_systems_address_is_resolved_or_refused_and_never_stored() {
    let (clinic, mut admin, mut doctor) = staffed().await;
    let patient = doctor.post("/fhir/R4/Patient", &json!({"resourceType": "Patient"})).await;
    let patient = patient.expect(StatusCode::CREATED)["id"].as_str().unwrap().to_owned();
    let mut made = Vec::new();
    for number in ["5", "6", "6"] {
        made.push(
            admin
                .program
                .post("/fhir/R4/Practitioner", &practitioner(number))
                .await
                .expect(StatusCode::CREATED),
        );
    }
    let by = |number: &str| {
        [
            format!("Practitioner?identifier=http://example.org/npi|{number}"),
            format!("Practitioner?identifier=http%3A%2F%2Fexample.org%2Fnpi%7C{number}"),
        ]
    };
    for reference in by("5") {
        let answer = doctor.post("/fhir/R4", &performed("transaction", &patient, &reference)).await;
        let answer = answer.expect(StatusCode::OK);
        let location = answer["entry"][0]["response"]["location"].as_str().unwrap();
        let path = location.split_once("/fhir/").unwrap().1.split_once("/_history").unwrap().0;
        let stored = doctor.get(&format!("/fhir/{path}")).await.expect(StatusCode::OK);
        let expected = format!("Practitioner/{}", made[0]["id"].as_str().unwrap());
        assert_eq!(stored["performer"][0]["reference"], expected.as_str(), "{reference}");
    }
    let before = clinic.written().await;
    for (number, status) in [("7", StatusCode::BAD_REQUEST), ("6", StatusCode::PRECONDITION_FAILED)] {
        for reference in by(number) {
            let answer = doctor.post("/fhir/R4", &performed("transaction", &patient, &reference)).await;
            assert_eq!(answer.status, status, "{reference}: {}", answer.text);
        }
    }
    assert_eq!(clinic.written().await, before, "something was stored");
    clinic.close().await;
}

async fn conditional(
    program: &Program,
    (method, path): (Method, &str),
    headers: &[(&str, &[u8])],
    body: &Value,
) -> Answer {
    let request = program.http.request(method, format!("{}{path}", program.base));
    let request = request.bearer_auth(program.token.as_ref().unwrap());
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, HeaderValue::from_bytes(value).unwrap())
    });
    Answer::of(if body.is_null() { request } else { request.json(body) }).await
}

#[tokio::test]
async fn x1_a_condition_that_cannot_be_read_or_is_there_twice_refuses_the_request() {
    let scene = Scene::set().await;
    let doctor = &scene.doctor.program;
    let path = format!("/fhir/R4/Patient/{}", scene.patient);
    let named = json!({"resourceType": "Patient", "id": scene.patient, "name": [{"family": "Okonkwo"}]});
    let spare = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let create = (Method::POST, "/fhir/R4/Patient");
    let before = scene.clinic.written().await;
    let none = Value::Null;
    for (call, name, good, body) in [
        (create.clone(), "if-none-exist", "identifier=urn:example:mrn|1", &spare),
        ((Method::PUT, path.as_str()), "if-match", "W/\"1\"", &named),
        ((Method::DELETE, path.as_str()), "if-match", "W/\"1\"", &none),
        ((Method::GET, path.as_str()), "if-none-match", "W/\"9\"", &none),
    ] {
        let good = good.as_bytes();
        let strange = [good, "\u{e9}".as_bytes()].concat();
        for headers in [&[(name, strange.as_slice())][..], &[(name, good), (name, good)][..]] {
            let answer = conditional(doctor, call.clone(), headers, body).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{call:?} {headers:?}: {}", answer.text);
            assert!(answer.text.contains("send it once"), "{}", answer.text);
        }
    }
    let empty = conditional(doctor, create.clone(), &[("if-none-exist", b"")], &spare).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "{}", empty.text);
    assert_eq!(scene.clinic.written().await, before, "something was stored");
    // The controls.
    let made =
        conditional(doctor, create, &[("if-none-exist", b"identifier=urn:example:mrn|1")], &spare).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let read = conditional(doctor, (Method::GET, &path), &[("if-none-match", b"W/\"1\"")], &none).await;
    assert_eq!(read.status, StatusCode::NOT_MODIFIED);
    let updated = conditional(doctor, (Method::PUT, &path), &[("if-match", b"W/\"1\"")], &named).await;
    assert_eq!(updated.status, StatusCode::OK, "{}", updated.text);
    scene.clinic.close().await;
}

#[tokio::test]
async fn x1_a_reference_by_a_search_is_resolved_in_a_transaction_and_stored_as_text_nowhere() {
    let scene = Scene::set().await;
    let mut doctor = scene.doctor.program.clone();
    let path = format!("/fhir/R4/Patient/{}", scene.patient);
    let mut named = json!({"resourceType": "Patient", "id": scene.patient, "name": [{"family": "Okonkwo"}],
        "generalPractitioner": [{"reference": "Practitioner?identifier=urn:example:n|1"}]});
    let before = scene.clinic.written().await;
    let put = doctor.send(Method::PUT, &path, &named).await;
    let post = doctor.post("/fhir/R4/Patient", &named).await;
    for refused in [put, post] {
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
        assert!(refused.text.contains("by its type and id"), "{}", refused.text);
    }
    assert_eq!(scene.clinic.written().await, before, "something was stored");
    named["generalPractitioner"] = json!([{"reference": "Practitioner/example"}]);
    doctor.send(Method::PUT, &path, &named).await.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn x2_a_bad_condition_refuses_its_entry_of_a_batch_and_all_of_a_transaction() {
    let scene = Scene::set().await;
    let mut doctor = scene.doctor.program.clone();
    let bundle = |kind: &str| {
        let mut bundle = performed(kind, &scene.patient, "Practitioner/example");
        let mut conditional = bundle["entry"][0].clone();
        conditional["request"]["ifNoneExist"] = json!("shoe-size=44");
        bundle["entry"].as_array_mut().unwrap().insert(0, conditional);
        bundle
    };
    let before = scene.clinic.written().await;
    assert_eq!(doctor.post("/fhir/R4", &bundle("transaction")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(scene.clinic.written().await, before, "something was stored");
    let answer = doctor.post("/fhir/R4", &bundle("batch")).await.expect(StatusCode::OK);
    let status = |index: usize| answer["entry"][index]["response"]["status"].as_str().unwrap_or_default();
    assert!(status(0).starts_with("400") && status(1).starts_with("201"), "{answer}");
    assert_eq!(scene.clinic.written().await[0], before[0] + 1);
    scene.clinic.close().await;
}

#[tokio::test]
async fn p4_reception_sends_back_what_it_read_and_nothing_that_it_does_not_see_is_gone() {
    let (clinic, mut admin, mut doctor) = staffed().await;
    let mut desk = clinic.member(&mut admin, "desk", &["reception"]).await.program;
    let whole = json!({"resourceType": "Patient",
        "meta": {"profile": ["urn:example:profile"], "tag": [{"code": "t"}]}, "gender": "female",
        "identifier": [{"type": {"text": "MRN"}, "system": "urn:example:mrn", "value": "1", "assigner": {"display": "Quay"}}],
        "name": [{"family": "Okonkwo", "extension": [{"url": "urn:example:e", "valueString": "x"}]}],
        "telecom": [{"system": "phone", "value": "5", "extension": [{"url": "urn:example:e", "valueString": "y"}]}],
        "contact": [{"relationship": [{"text": "wife"}], "gender": "female", "telecom": [{"system": "phone", "value": "6"}]}]});
    let made = doctor.post("/fhir/R4/Patient", &whole).await.expect(StatusCode::CREATED);
    let path = format!("/fhir/R4/Patient/{}", made["id"].as_str().unwrap());
    let bare = |mut patient: Value| {
        for server in ["versionId", "lastUpdated"] {
            patient["meta"].as_object_mut().unwrap().remove(server);
        }
        patient
    };
    let mut seen = desk.get(&path).await.expect(StatusCode::OK);
    assert!(!seen.to_string().contains("wife") && !seen.to_string().contains("Quay"), "{seen}");
    desk.send(Method::PUT, &path, &seen).await.expect(StatusCode::OK);
    seen.as_object_mut().unwrap().remove("meta");
    desk.send(Method::PUT, &path, &seen).await.expect(StatusCode::OK);
    assert_eq!(bare(doctor.get(&path).await.expect(StatusCode::OK)), bare(made.clone()));

    seen["contact"][0]["telecom"][0]["value"] = json!("7");
    desk.send(Method::PUT, &path, &seen).await.expect(StatusCode::OK);
    let mut expected = made.clone();
    expected["contact"][0]["telecom"][0]["value"] = json!("7");
    assert_eq!(bare(doctor.get(&path).await.expect(StatusCode::OK)), bare(expected.clone()));

    seen.as_object_mut().unwrap().remove("contact");
    let refused = desk.send(Method::PUT, &path, &seen).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);
    assert!(refused.text.contains("Patient.contact") && !refused.text.contains("wife"), "{}", refused.text);
    assert_eq!(bare(doctor.get(&path).await.expect(StatusCode::OK)), bare(expected));
    clinic.close().await;
}
