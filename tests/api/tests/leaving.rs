//! I10: what was given can be taken back: roles, care teams, the account itself; and what one person must not give alone.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Member, Program};

const NONE: Value = Value::Null;

/// Until a request is answered with this status; within a second, as revocation must be everywhere.
async fn within_a_second(program: &mut Program, path: &str, status: StatusCode) {
    let began = Instant::now();
    while program.get(path).await.status != status {
        assert!(began.elapsed() < Duration::from_secs(1), "{path} does not answer {status} within a second");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn patient(doctor: &mut Member) -> String {
    let body = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    let made = doctor.program.post("/fhir/R4/Patient", &body).await.expect(StatusCode::CREATED);
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn i10_roles_suspension_and_leaving_hold_within_a_second_for_sessions_that_are_open() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let chart = format!("/fhir/R4/Patient/{}", patient(&mut doctor).await);
    let person = format!("/api/v1/people/{}", doctor.id);
    let role = format!("{person}/roles/clinician");

    admin.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    within_a_second(&mut doctor.program, &chart, StatusCode::FORBIDDEN).await;
    let given = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(given, json!({"state": "granted"}));
    let held = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(held["state"], "held");
    within_a_second(&mut doctor.program, &chart, StatusCode::OK).await;

    let post = |what: &str| format!("{person}/{what}");
    admin.program.post(&post("suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    within_a_second(&mut doctor.program, &chart, StatusCode::UNAUTHORIZED).await;
    let credentials = json!({"login": "dr.meyer", "password": crate::support::PASSWORD});
    let refused = clinic.program("acme").post("/api/v1/sign-in/password", &credentials).await;
    assert_eq!(refused.code(), "sign-in-refused");
    admin.program.post(&post("reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    let mut again = clinic.sign_in(&doctor).await;
    again.get(&chart).await.expect(StatusCode::OK);

    admin.program.send(Method::DELETE, &person, &NONE).await.expect(StatusCode::NO_CONTENT);
    within_a_second(&mut again, &chart, StatusCode::UNAUTHORIZED).await;
    let refused = clinic.program("acme").post("/api/v1/sign-in/password", &credentials).await;
    assert_eq!(refused.code(), "sign-in-refused");
    let gone = admin.program.send(Method::PUT, &role, &NONE).await;
    assert_eq!(gone.code(), "person-left");
    let people = admin.program.get("/api/v1/people").await.expect(StatusCode::OK);
    let listed =
        people["people"].as_array().unwrap().iter().find(|one| one["id"] == doctor.id.as_str()).unwrap();
    assert_eq!((&listed["status"], &listed["roles"]), (&json!("left"), &json!([])));
    clinic.close().await;
}

#[tokio::test]
async fn p2_whoever_is_taken_off_the_care_team_reads_the_chart_no_more() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut nurse = clinic.member(&mut admin, "nurse.costa", &["nurse"]).await;
    let mut manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await;
    let id = patient(&mut doctor).await;
    let (chart, team) =
        (format!("/fhir/R4/Patient/{id}"), format!("/api/v1/patients/{id}/care-team/{}", nurse.id));
    manager.program.send(Method::PUT, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    nurse.program.get(&chart).await.expect(StatusCode::OK);
    manager.program.send(Method::DELETE, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(nurse.program.get(&chart).await.status, StatusCode::NOT_FOUND);
    doctor.program.get(&chart).await.expect(StatusCode::OK);
    // Twice is once, and she can come back.
    manager.program.send(Method::DELETE, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    manager.program.send(Method::PUT, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    nurse.program.get(&chart).await.expect(StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn i10_who_runs_and_who_watches_over_the_tenant_is_decided_by_two() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut privacy = clinic.member(&mut admin, "erin", &["privacy_officer"]).await;
    let mut auditor = clinic.member(&mut admin, "rui", &["auditor"]).await;
    let role = format!("/api/v1/people/{}/roles/tenant_admin", auditor.id);

    let asked = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(asked["state"], "requested");
    let twice = admin.program.send(Method::PUT, &role, &NONE).await;
    assert_eq!((twice.status, twice.code()), (StatusCode::CONFLICT, "role-asked-for"));
    let request = asked["request"]["id"].as_str().unwrap().to_owned();
    let (approve, reject) = (
        format!("/api/v1/role-requests/{request}/approve"),
        format!("/api/v1/role-requests/{request}/reject"),
    );

    // Neither the one who asked, nor the one who gets it, nor somebody who has nothing to do with it.
    let own = admin.program.post(&approve, &NONE).await;
    assert_eq!((own.status, own.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
    let refused = auditor.program.post(&approve, &NONE).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(auditor.program.get("/api/v1/people").await.status, StatusCode::FORBIDDEN);

    let list = privacy.program.get("/api/v1/role-requests").await.expect(StatusCode::OK);
    assert_eq!(list["requests"], json!([asked["request"]]));
    privacy.program.post(&reject, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(privacy.program.post(&approve, &NONE).await.code(), "not-yours-to-decide");
    assert_eq!(auditor.program.get("/api/v1/people").await.status, StatusCode::FORBIDDEN);

    let asked = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    privacy.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    within_a_second(&mut auditor.program, "/api/v1/people", StatusCode::OK).await;

    // Each of two can suspend the other; the last one stays.
    let suspend = |id: &str| format!("/api/v1/people/{id}/suspend");
    auditor.program.post(&suspend(&admin.id), &NONE).await.expect(StatusCode::NO_CONTENT);
    let own = auditor.program.post(&suspend(&auditor.id), &NONE).await;
    assert_eq!((own.status, own.code()), (StatusCode::FORBIDDEN, "forbidden"));
    clinic.close().await;
}

#[tokio::test]
async fn i10_an_invitation_gives_no_role_that_needs_approval() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let body = json!({"login": "eve", "name": "Eve", "roles": ["nurse", "tenant_admin"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    assert_eq!(invited["requests"].as_array().unwrap().len(), 1);
    let mut eve = clinic.join("eve", invited["token"].as_str().unwrap()).await;
    let me = eve.program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!(me["roles"], json!(["nurse"]));
    // A week later nobody can say yes any more, and it can be asked for again.
    clinic.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let mut admin = Member { program: clinic.sign_in(&admin).await, ..admin };
    let list = admin.program.get("/api/v1/role-requests").await.expect(StatusCode::OK);
    assert_eq!(list["requests"], json!([]));
    let role = format!("/api/v1/people/{}/roles/tenant_admin", eve.id);
    let asked = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(asked["state"], "requested");
    clinic.close().await;
}
