//! I8: known devices of a person, and tenants that let health data be seen from confirmed ones only.

use std::time::Duration;

use carekeep_gateway::limits::{LaneLimit, LimiterConfig};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Member, Program, settings};

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
    let body = settings(&json!({"confirmed_devices": true}));
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

#[tokio::test]
async fn i8_who_lost_all_confirmed_devices_is_helped_by_an_administrator_and_confirms_anew_by_passkey() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = member_from(&clinic, &mut admin, "dr.lost").await;
    let key = crate::soft_keys::Key::bound();
    let begun = doctor.program.post("/api/v1/enrol/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
    let made = key.register(&begun, &clinic.origin("acme"));
    doctor.program.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    let codes =
        doctor.program.post("/api/v1/enrol/recovery-codes", &Value::Null).await.expect(StatusCode::OK);
    let by_passkey = async || {
        let mut program = Program { device: Some("new".to_owned()), ..clinic.program("acme") };
        let begun = program.post("/api/v1/sign-in/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
        let signed = key.sign(&begun, &clinic.origin("acme"), &doctor.id);
        program.post("/api/v1/sign-in/passkey/finish", &signed).await.expect(StatusCode::OK);
        program
    };
    // The control: before, a passkey on another device confirms nothing.
    assert!(current(&devices(&mut by_passkey().await).await)["confirmed"].is_null());

    let path = format!("/api/v1/people/{}/devices", doctor.id);
    let own = format!("/api/v1/people/{}/devices", admin.id);
    admin.program = clinic.sign_in(&admin).await;
    for (program, path) in [(&mut doctor.program, &path), (&mut admin.program, &own)] {
        let refused = program.send(Method::DELETE, path, &Value::Null).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    }
    clinic.clock.advance(std::time::Duration::from_secs(6 * 60));
    let stale = admin.program.send(Method::DELETE, &path, &Value::Null).await;
    assert_eq!(stale.code(), "fresh-factor-needed");
    admin.program = clinic.sign_in(&admin).await;
    admin.program.send(Method::DELETE, &path, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    doctor.program.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;

    // A recovery code alone confirms nothing, neither by itself nor when asked.
    let mut program = Program { device: Some("new".to_owned()), ..clinic.program("acme") };
    let words = json!({"login": doctor.login, "password": crate::support::PASSWORD});
    program.post("/api/v1/sign-in/password", &words).await.expect(StatusCode::OK);
    let code = json!({"code": codes["codes"][0]});
    program.post("/api/v1/sign-in/recovery-code", &code).await.expect(StatusCode::OK);
    let seen = devices(&mut program).await;
    assert!(seen.iter().all(|device| device["confirmed"].is_null()), "{seen:?}");
    let id = current(&seen)["id"].as_str().unwrap().to_owned();
    let refused = act(&mut program, Method::POST, &format!("{id}/confirm")).await;
    assert_eq!(refused.code(), "sign-in-unfinished");
    let weak = admin.program.get("/api/v1/people/weak-factors").await.expect(StatusCode::OK);
    assert!(weak.to_string().contains("devices_cleared"), "{weak}");

    let mut back = by_passkey().await;
    assert!(current(&devices(&mut back).await)["confirmed"].is_string());
    let told = back.get("/api/v1/notices").await.expect(StatusCode::OK).to_string();
    assert!(told.contains("devices_cleared"), "{told}");
    let weak = admin.program.get("/api/v1/people/weak-factors").await.expect(StatusCode::OK);
    assert!(!weak.to_string().contains("devices_cleared"), "{weak}");
    // And that was the one: the next device is confirmed from it.
    assert!(current(&devices(&mut by_passkey().await).await)["confirmed"].is_null());
    let actions: Vec<String> = clinic.entries().await.into_iter().map(|entry| entry.action).collect();
    let confirmed = actions.iter().filter(|action| *action == "confirm_device").count();
    assert_eq!(confirmed, 2, "the first device and the one after the clearing, each with an entry");
    clinic.close().await;
}

#[tokio::test]
async fn i8_a_session_that_goes_on_elsewhere_is_not_on_the_device_that_it_began_on() {
    // Somebody who signs in and steps up more often than one does.
    let often = LaneLimit::per_seconds(1_000, 600);
    let clinic =
        Clinic::open_with(&LimiterConfig { sign_in_account: often, ..LimiterConfig::new([1; 32]) }).await;
    let mut admin = clinic.admin().await;
    let mut doctor = member_from(&clinic, &mut admin, "dr.moved").await;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let made = doctor.program.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let chart = format!("/fhir/R4/Patient/{}", made["id"].as_str().unwrap());
    let body = settings(&json!({"confirmed_devices": true}));
    admin.program = clinic.sign_in(&admin).await;
    admin.program.send(Method::PUT, "/api/v1/settings/sign-in", &body).await.expect(StatusCode::NO_CONTENT);
    let mut elsewhere = clinic.sign_in_from(&doctor, NEW).await;
    elsewhere.within_a_second(&chart, StatusCode::FORBIDDEN).await;
    let id = current(&devices(&mut elsewhere).await)["id"].as_str().unwrap().to_owned();
    let confirm = format!("{id}/confirm");
    let step = async |program: &mut Program| {
        let code = json!({"code": clinic.next_code(&doctor.secret)});
        program.post("/api/v1/sign-in/totp", &code).await.expect(StatusCode::OK);
    };

    let kept = doctor.program.device.clone();
    let mut home = doctor.program.clone();
    for taken_to in [None, NEW, elsewhere.device.as_deref()] {
        // The control: where it began it goes on as before.
        step(&mut home).await;
        assert_eq!(home.device, kept);
        home.get(&chart).await.expect(StatusCode::OK);
        // Who has the session and no more of the device confirms no other one, though the factor is fresh.
        let mut away = Program { device: taken_to.map(str::to_owned), ..home.clone() };
        let refused = act(&mut away, Method::POST, &confirm).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "confirm-elsewhere"));
        step(&mut away).await;
        away.within_a_second(&chart, StatusCode::FORBIDDEN).await;
        let seen = devices(&mut away).await;
        let here = seen.iter().find(|device| device["current"] == true);
        assert_eq!(here.is_some(), taken_to.is_some(), "{taken_to:?}: {seen:?}");
        assert!(here.is_none_or(|device| device["confirmed"].is_null()), "{seen:?}");
        home = clinic.sign_in_from(&doctor, kept.as_deref()).await;
    }
    let told = home.get("/api/v1/notices").await.expect(StatusCode::OK).to_string();
    assert_eq!(
        told.matches("new_device").count(),
        3,
        "joining, elsewhere, and where the session was taken: {told}"
    );
    act(&mut home, Method::POST, &confirm).await.expect(StatusCode::NO_CONTENT);
    elsewhere.within_a_second(&chart, StatusCode::OK).await;
    clinic.close().await;
}

#[tokio::test]
async fn i8_a_forgotten_device_is_deleted_in_time_and_never_that_one_was_ever_confirmed() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = member_from(&clinic, &mut admin, "dr.tidy").await;
    let mut other = member_from(&clinic, &mut admin, "dr.other").await;
    let rows = async |person: &Member, and: &str| {
        let sql = format!("SELECT count(*)::text FROM {{s}}.device WHERE person = '{}' AND {and}", person.id);
        clinic.text("operations", &sql).await
    };
    // Each has a confirmed device and a second one: the doctor confirms it, the other one does not.
    let ids =
        async |program: &mut Program| current(&devices(program).await)["id"].as_str().unwrap().to_owned();
    let first = ids(&mut doctor.program).await;
    let mut phone = clinic.sign_in_from(&doctor, NEW).await;
    let second = ids(&mut phone).await;
    act(&mut doctor.program, Method::POST, &format!("{second}/confirm")).await.expect(StatusCode::NO_CONTENT);
    let mut tablet = clinic.sign_in_from(&other, NEW).await;
    let unconfirmed = ids(&mut tablet).await;
    act(&mut phone, Method::DELETE, &first).await.expect(StatusCode::NO_CONTENT);
    let only = ids(&mut other.program).await;
    for id in [&only, &unconfirmed] {
        act(&mut tablet, Method::DELETE, id).await.expect(StatusCode::NO_CONTENT);
    }
    // What is swept is swept whenever anybody's session begins.
    clinic.clock.advance(DAY * 180 - Duration::from_secs(60));
    clinic.sign_in(&admin).await;
    assert_eq!((rows(&doctor, "true").await, rows(&other, "true").await), ("2".to_owned(), "2".to_owned()));
    clinic.clock.advance(Duration::from_secs(60));
    clinic.sign_in(&admin).await;
    assert_eq!(rows(&doctor, "true").await, "1", "the one in use is left");
    assert_eq!(rows(&doctor, "revoked_at IS NULL AND confirmed_at IS NOT NULL").await, "1");
    assert_eq!(rows(&other, "true").await, "1", "the only one that was ever confirmed is left");
    // However long that is ago: somebody who takes the account over with its factors confirms none by themselves.
    clinic.clock.advance(DAY * 1_000);
    let mut back = clinic.sign_in_from(&other, NEW).await;
    let id = ids(&mut back).await;
    assert_eq!(act(&mut back, Method::POST, &format!("{id}/confirm")).await.code(), "confirm-elsewhere");
    assert_eq!(rows(&other, "revoked_at IS NOT NULL").await, "1");
    clinic.close().await;
}
