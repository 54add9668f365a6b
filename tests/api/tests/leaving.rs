//! I10: what was given can be taken back: roles, care teams, the account itself; and what one person must not give alone.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Member};

const NONE: Value = Value::Null;

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
    doctor.program.within_a_second(&chart, StatusCode::FORBIDDEN).await;
    let given = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(given, json!({"state": "granted"}));
    let held = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!(held["state"], "held");
    doctor.program.within_a_second(&chart, StatusCode::OK).await;

    let post = |what: &str| format!("{person}/{what}");
    admin.program.post(&post("suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    doctor.program.within_a_second(&chart, StatusCode::UNAUTHORIZED).await;
    let credentials = json!({"login": "dr.meyer", "password": crate::support::PASSWORD});
    let refused = clinic.program("acme").post("/api/v1/sign-in/password", &credentials).await;
    assert_eq!(refused.code(), "sign-in-refused");
    admin.program.post(&post("reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    let mut again = clinic.sign_in(&doctor).await;
    again.get(&chart).await.expect(StatusCode::OK);

    admin.program.send(Method::DELETE, &person, &NONE).await.expect(StatusCode::NO_CONTENT);
    again.within_a_second(&chart, StatusCode::UNAUTHORIZED).await;
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
    assert_eq!(list["requests"].as_array().unwrap().len(), 1);
    assert_eq!(list["requests"][0]["id"], request.as_str());
    privacy.program.post(&reject, &NONE).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(privacy.program.post(&approve, &NONE).await.code(), "not-yours-to-decide");
    assert_eq!(auditor.program.get("/api/v1/people").await.status, StatusCode::FORBIDDEN);

    let asked = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    privacy.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    auditor.program.within_a_second("/api/v1/people", StatusCode::OK).await;

    // Who holds it has nothing to wait for.
    let held = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    assert_eq!((&held["state"], &held["request"]), (&"held".into(), &serde_json::Value::Null));
    let list = privacy.program.get("/api/v1/role-requests").await.expect(StatusCode::OK);
    assert!(list["requests"].as_array().unwrap().is_empty());

    // The only one who watches cannot be taken away by those who are watched.
    let watcher = format!("/api/v1/people/{}", privacy.id);
    for (method, path) in [
        (Method::POST, format!("{watcher}/suspend")),
        (Method::DELETE, format!("{watcher}/roles/privacy_officer")),
        (Method::DELETE, watcher),
    ] {
        let refused = admin.program.send(method, &path, &NONE).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "last-in-role"), "{path}");
    }

    // Of two who suspend each other at the same moment one stays, whoever it is: as often as it is tried.
    let mut pair = [admin, auditor];
    for _ in 0..3 {
        let [one, other] = &mut pair;
        let paths = [&other.id, &one.id].map(|id| format!("/api/v1/people/{id}/suspend"));
        let (first, second) =
            tokio::join!(one.program.post(&paths[0], &NONE), other.program.post(&paths[1], &NONE));
        let mut said = [first.status, second.status];
        said.sort();
        assert_eq!(said[0], StatusCode::NO_CONTENT, "{} {}", first.text, second.text);
        assert_ne!(said[1], StatusCode::NO_CONTENT, "nobody is left");
        let late =
            [&first, &second].into_iter().find(|answer| answer.status != StatusCode::NO_CONTENT).unwrap();
        assert!(["last-in-role", "unauthenticated", "forbidden"].contains(&late.code()), "{}", late.text);
        if first.status != StatusCode::NO_CONTENT {
            pair.swap(0, 1);
        }
        let [stays, suspended] = &mut pair;
        let path = format!("/api/v1/people/{}/reinstate", suspended.id);
        stays.program.post(&path, &NONE).await.expect(StatusCode::NO_CONTENT);
        suspended.program = clinic.sign_in(suspended).await;
        stays.program = clinic.sign_in(stays).await;
    }
    clinic.close().await;
}

#[tokio::test]
async fn i10_nobody_says_yes_to_an_invitation_that_somebody_may_still_use_or_to_whom_they_let_in() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut privacy = clinic.member(&mut admin, "erin", &["privacy_officer"]).await;
    let body = json!({"login": "weber", "name": "Dr. Weber", "roles": ["auditor", "tenant_admin"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    let approve = format!("/api/v1/role-requests/{}/approve", invited["requests"][0]["id"].as_str().unwrap());
    let early = privacy.program.post(&approve, &NONE).await;
    assert_eq!((early.status, early.code()), (StatusCode::CONFLICT, "not-joined"));
    let mut weber = clinic.join("weber", invited["token"].as_str().unwrap()).await;
    let list = privacy.program.get("/api/v1/role-requests").await.expect(StatusCode::OK);
    assert_eq!(list["requests"][0]["invited_by"], admin.id.as_str());
    privacy.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    weber.program.within_a_second("/api/v1/people", StatusCode::OK).await;

    // Weber's own newcomer: the other administrator asks, Weber may not say yes.
    let newcomer = clinic.member(&mut weber, "puppet", &["auditor"]).await;
    let role = format!("/api/v1/people/{}/roles/privacy_officer", newcomer.id);
    let asked = admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    assert_eq!(weber.program.post(&approve, &NONE).await.code(), "not-joined");
    clinic.clock.advance(Duration::from_secs(8 * 24 * 60 * 60));
    let mut privacy = clinic.sign_in(&privacy).await;
    assert_eq!(privacy.post(&approve, &NONE).await.code(), "not-yours-to-decide", "it is too old");
    clinic.close().await;
}

#[tokio::test]
async fn i10_whoever_is_suspended_or_leaves_comes_back_by_nothing_that_they_left_behind() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut privacy = clinic.member(&mut admin, "erin", &["privacy_officer"]).await;
    let mut rogue = clinic.member(&mut admin, "rogue", &["tenant_admin"]).await;
    let body = json!({"login": "puppet", "name": "Puppet", "roles": ["clinician"]});
    let invited = rogue.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    let begun = json!({"login": "puppet2", "name": "Puppet", "roles": ["clinician"]});
    let begun = rogue.program.post("/api/v1/people", &begun).await.expect(StatusCode::CREATED);
    let mut half = clinic.program("acme");
    half.post("/api/v1/invites/accept", &json!({"token": begun["token"]})).await.expect(StatusCode::OK);
    let password = json!({"password": crate::support::PASSWORD});
    half.post("/api/v1/enrol/password", &password).await.expect(StatusCode::OK);
    let setup = half.post("/api/v1/enrol/totp/begin", &NONE).await.expect(StatusCode::OK);
    let known = clinic.member(&mut admin, "known", &["auditor"]).await;
    let role = format!("/api/v1/people/{}/roles/tenant_admin", known.id);
    let asked = rogue.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);

    let person = format!("/api/v1/people/{}", rogue.id);
    admin.program.send(Method::DELETE, &person, &NONE).await.expect(StatusCode::NO_CONTENT);
    let token = json!({"token": invited["token"]});
    let dead = clinic.program("acme").post("/api/v1/invites/accept", &token).await;
    assert_eq!(dead.code(), "invitation-not-valid");
    let secret = data_encoding::BASE32_NOPAD.decode(setup["secret"].as_str().unwrap().as_bytes()).unwrap();
    let code = clinic.code(&secret.try_into().unwrap());
    let half = half.post("/api/v1/enrol/totp/confirm", &json!({"code": code})).await;
    assert_eq!(half.status, StatusCode::UNAUTHORIZED, "{}", half.text);
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    assert_eq!(privacy.program.post(&approve, &NONE).await.code(), "not-yours-to-decide");
    clinic.close().await;
}

#[tokio::test]
async fn i10_whoever_runs_the_tenant_no_more_comes_in_by_no_invitation_of_theirs() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut rogue = clinic.member(&mut admin, "rogue", &["tenant_admin", "nurse"]).await;
    let invite = async |member: &mut Member, login: &str| {
        let body = json!({"login": login, "name": "Puppet", "roles": ["clinician"]});
        let invited = member.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
        json!({"token": invited["token"]})
    };
    let (theirs, spared) = (invite(&mut rogue, "puppet").await, invite(&mut admin, "newcomer").await);
    let role = format!("/api/v1/people/{}/roles/tenant_admin", rogue.id);
    admin.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    let mut anybody = clinic.program("acme");
    assert_eq!(anybody.post("/api/v1/invites/accept", &theirs).await.code(), "invitation-not-valid");
    // The control: of somebody who still does.
    anybody.post("/api/v1/invites/accept", &spared).await.expect(StatusCode::OK);
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
