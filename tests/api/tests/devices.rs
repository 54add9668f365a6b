//! I8: known devices of a person, and tenants that let health data be seen from confirmed ones only.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Member, Program};

const DEVICES: &str = "/api/v1/devices";
const NEW: Option<&str> = Some("new");

async fn devices(program: &mut Program) -> Vec<Value> {
    program.get(DEVICES).await.expect(StatusCode::OK)["devices"].as_array().unwrap().clone()
}

fn current(devices: &[Value]) -> &Value {
    devices.iter().find(|device| device["current"] == true).unwrap()
}

async fn act(program: &mut Program, method: Method, path: &str) -> crate::support::Answer {
    program.send(method, &format!("{DEVICES}/{path}"), &Value::Null).await
}

/// Somebody who joins at a program that wants to be recognised.
async fn member_from(clinic: &Clinic, admin: &mut Member, login: &str) -> Member {
    clinic.member_from(admin, login, &["clinician"], NEW).await
}

#[tokio::test]
async fn i8_a_device_is_recognised_named_and_forgotten_with_its_sessions() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let doctor = clinic.member(&mut admin, "dr.devices", &["clinician"]).await;
    let mut phone = clinic.sign_in_from(&doctor, NEW).await;
    let kept = phone.device.clone().unwrap();
    assert!(kept.starts_with("ckd_"));
    let mut again = clinic.sign_in_from(&doctor, Some(&kept)).await;
    assert_eq!(again.device, Some(kept.clone()), "it is recognised, and keeps what it has");
    let mut laptop = clinic.sign_in_from(&doctor, NEW).await;
    let seen = devices(&mut laptop).await;
    assert_eq!(seen.len(), 2);
    let here = current(&seen)["id"].as_str().unwrap().to_owned();
    let phone_id = current(&devices(&mut phone).await)["id"].as_str().unwrap().to_owned();
    assert_eq!(current(&devices(&mut again).await)["id"], phone_id.as_str());
    assert_ne!(here, phone_id);

    let name = json!({"name": " My\nphone "});
    laptop.send(Method::PUT, &format!("{DEVICES}/{phone_id}"), &name).await.expect(StatusCode::NO_CONTENT);
    assert!(devices(&mut laptop).await.iter().any(|device| device["name"] == "Myphone"));

    act(&mut laptop, Method::DELETE, &phone_id).await.expect(StatusCode::NO_CONTENT);
    for gone in [&mut phone, &mut again] {
        gone.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    }
    laptop.get("/api/v1/me").await.expect(StatusCode::OK);
    // It comes back as a stranger: what was forgotten is not taken again.
    let back = clinic.sign_in_from(&doctor, Some(&kept)).await;
    assert_ne!(back.device, Some(kept));
    assert_eq!(devices(&mut laptop).await.len(), 2);

    // Whose it is not, it is not there; and of two people at one browser each has a device of their own.
    let colleague = clinic.member(&mut admin, "dr.other", &["clinician"]).await;
    let mut other = clinic.sign_in_from(&colleague, laptop.device.as_deref()).await;
    assert_eq!(other.device, laptop.device);
    let theirs = devices(&mut other).await;
    assert_eq!((theirs.len(), theirs[0]["id"] == here.as_str()), (1, false));
    for (method, path) in [(Method::DELETE, here.clone()), (Method::POST, format!("{here}/confirm"))] {
        assert_eq!(act(&mut other, method, &path).await.status, StatusCode::NOT_FOUND);
    }
    clinic.close().await;
}

#[tokio::test]
async fn i8_the_ledger_names_the_device_and_nothing_stored_is_what_is_presented() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let doctor = clinic.member(&mut admin, "dr.entries", &["clinician"]).await;
    let mut phone = clinic.sign_in_from(&doctor, NEW).await;
    let id = current(&devices(&mut phone).await)["id"].as_str().unwrap().to_owned();
    phone.get("/fhir/R4/Patient?family=nobody").await.expect(StatusCode::OK);
    let named =
        |entry: &carekeep_ledger::Entry| entry.actor.device.is_some_and(|device| device.to_string() == id);
    let entries = clinic.entries().await;
    for action in ["sign_in_by_totp", "search"] {
        assert!(entries.iter().any(|entry| entry.action == action && named(entry)), "{action}");
    }
    // The control: before there was a device there is none.
    assert!(!entries.iter().any(|entry| entry.action == "sign_in_by_password" && named(entry)));
    clinic.close().await;
}

#[tokio::test]
async fn i8_where_the_tenant_asks_for_it_charts_are_for_confirmed_devices() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = member_from(&clinic, &mut admin, "dr.first").await;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let made = doctor.program.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let chart = format!("/fhir/R4/Patient/{}", made["id"].as_str().unwrap());
    let mut elsewhere = clinic.sign_in_from(&doctor, NEW).await;
    elsewhere.get(&chart).await.expect(StatusCode::OK);

    admin.program = clinic.sign_in(&admin).await;
    let body = json!({"confirmed_devices": true});
    admin.program.send(Method::PUT, "/api/v1/settings/sign-in", &body).await.expect(StatusCode::NO_CONTENT);
    elsewhere.within_a_second(&chart, StatusCode::FORBIDDEN).await;
    let refused = elsewhere.get(&chart).await;
    assert!(refused.text.contains("device-not-confirmed"), "{}", refused.text);
    let searched = elsewhere.get("/fhir/R4/Patient?family=Okonkwo").await;
    assert_eq!(searched.status, StatusCode::FORBIDDEN, "a search does not seem to find nothing");
    // The controls: where they joined they read on, and the directory is no health data.
    doctor.program.get(&chart).await.expect(StatusCode::OK);
    elsewhere.get("/fhir/R4/Practitioner").await.expect(StatusCode::OK);
    // Care teams are health data too, and the typed problem says what to do.
    let manager = clinic.member(&mut admin, "manager", &["clinic_manager"]).await;
    let team = format!("/api/v1/patients/{}/care-team/{}", made["id"].as_str().unwrap(), doctor.id);
    let refused = clinic.sign_in_from(&manager, NEW).await.send(Method::PUT, &team, &Value::Null).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "device-not-confirmed"));

    // Whoever has the factors and no confirmed device cannot confirm one.
    let id = current(&devices(&mut elsewhere).await)["id"].as_str().unwrap().to_owned();
    let alone = act(&mut elsewhere, Method::POST, &format!("{id}/confirm")).await;
    assert_eq!((alone.status, alone.code()), (StatusCode::FORBIDDEN, "confirm-elsewhere"));
    let first = current(&devices(&mut doctor.program).await)["id"].as_str().unwrap().to_owned();
    let code = clinic.next_code(&doctor.secret);
    doctor.program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    act(&mut doctor.program, Method::POST, &format!("{id}/confirm")).await.expect(StatusCode::NO_CONTENT);
    elsewhere.within_a_second(&chart, StatusCode::OK).await;
    // Nor can they by having the others forgotten.
    act(&mut elsewhere, Method::DELETE, &first).await.expect(StatusCode::NO_CONTENT);
    act(&mut elsewhere, Method::DELETE, &id).await.expect(StatusCode::NO_CONTENT);
    let mut third = clinic.sign_in_from(&doctor, NEW).await;
    let id = current(&devices(&mut third).await)["id"].as_str().unwrap().to_owned();
    let refused = act(&mut third, Method::POST, &format!("{id}/confirm")).await;
    assert_eq!(refused.code(), "confirm-elsewhere");
    assert_eq!(third.get(&chart).await.status, StatusCode::FORBIDDEN);
    clinic.close().await;
}

#[tokio::test]
async fn i8_a_person_who_never_confirmed_a_device_confirms_the_first_with_a_fresh_factor() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    // Joined at a program that is not recognised: no device yet.
    let doctor = clinic.member(&mut admin, "dr.later", &["clinician"]).await;
    let mut phone = clinic.sign_in_from(&doctor, NEW).await;
    let id = current(&devices(&mut phone).await)["id"].as_str().unwrap().to_owned();
    clinic.clock.advance(std::time::Duration::from_secs(6 * 60));
    let stale = act(&mut phone, Method::POST, &format!("{id}/confirm")).await;
    assert_eq!(stale.code(), "fresh-factor-needed");
    let code = clinic.next_code(&doctor.secret);
    phone.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    act(&mut phone, Method::POST, &format!("{id}/confirm")).await.expect(StatusCode::NO_CONTENT);
    assert!(current(&devices(&mut phone).await)["confirmed"].is_string());
    clinic.close().await;
}
