//! I7, T2: sessions are listed, ended, and good at their own tenant only.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Program};

/// Within the second that a process may trust a session for.
async fn ends_within_a_second(program: &mut Program) {
    let began = Instant::now();
    while program.get("/api/v1/me").await.status != StatusCode::UNAUTHORIZED {
        assert!(began.elapsed() < Duration::from_millis(1_500), "the session goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn i7_sessions_are_listed_ended_one_by_one_and_all_at_once() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut second = clinic.sign_in(&doctor).await;
    let mut third = clinic.sign_in(&doctor).await;
    let list = third.get("/api/v1/sessions").await.expect(StatusCode::OK);
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 3);
    assert_eq!(
        (&sessions[0]["current"], &sessions[0]["factors"]),
        (&json!(true), &json!(["password", "totp"]))
    );
    assert!(sessions[1..].iter().all(|session| session["current"] == false));

    let second_id =
        second.get("/api/v1/me").await.expect(StatusCode::OK)["session"].as_str().unwrap().to_owned();
    let one = format!("/api/v1/sessions/{second_id}");
    // Somebody else's session is not there.
    assert_eq!(admin.program.send(Method::DELETE, &one, &Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(second.get("/api/v1/me").await.status, StatusCode::OK);
    assert_eq!(third.send(Method::DELETE, &one, &Value::Null).await.status, StatusCode::NO_CONTENT);
    ends_within_a_second(&mut second).await;
    assert_eq!(
        third.send(Method::DELETE, "/api/v1/sessions/x", &Value::Null).await.status,
        StatusCode::NOT_FOUND
    );

    let revoked = third.post("/api/v1/sessions/revoke-others", &Value::Null).await.expect(StatusCode::OK);
    assert_eq!(revoked["revoked"], 1);
    ends_within_a_second(&mut doctor.program).await;
    assert_eq!(third.get("/api/v1/me").await.status, StatusCode::OK);
    assert_eq!(third.post("/api/v1/sign-out", &Value::Null).await.status, StatusCode::NO_CONTENT);
    ends_within_a_second(&mut third).await;
    // Signing out twice, or without a session, is no error.
    assert_eq!(third.post("/api/v1/sign-out", &Value::Null).await.status, StatusCode::NO_CONTENT);
    clinic.close().await;
}

#[tokio::test]
async fn t2_a_session_is_good_at_its_own_tenant_only() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut foreign = clinic.program("bolt");
    let invented = foreign.get("/api/v1/me").await;
    foreign.token.clone_from(&admin.program.token);
    for (method, path) in [
        (Method::GET, "/api/v1/me"),
        (Method::GET, "/api/v1/sessions"),
        (Method::GET, "/api/v1/people"),
        (Method::GET, "/fhir/R4/Patient"),
        (Method::POST, "/api/v1/sessions/revoke-others"),
        (Method::POST, "/api/v1/enrol/recovery-codes"),
        (Method::POST, "/api/v1/enrol/passkey/begin"),
    ] {
        let refused = foreign.send(method, path, &Value::Null).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}: {}", refused.text);
        if path == "/api/v1/me" {
            assert_eq!(refused.without_instance(), invented.without_instance());
        }
    }
    let there = json!({"login": "ada.admin", "password": crate::support::PASSWORD});
    let refused = clinic.program("bolt").post("/api/v1/sign-in/password", &there).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign-in-refused"));
    assert_eq!(admin.program.get("/api/v1/me").await.status, StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn i7_what_changes_factors_needs_a_factor_of_the_last_minutes() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    clinic.clock.advance(Duration::from_secs(6 * 60));
    let path = "/api/v1/enrol/recovery-codes";
    let stale = admin.program.post(path, &Value::Null).await;
    assert_eq!((stale.status, stale.code()), (StatusCode::FORBIDDEN, "fresh-factor-needed"));
    let code = clinic.code(&admin.secret);
    admin.program.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    admin.program.post(path, &Value::Null).await.expect(StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn asvs_7_2_4_signing_in_anew_ends_the_session_that_it_replaces() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut kept = clinic.sign_in(&admin).await;
    let mut old = admin.program.clone();
    let wrong = json!({"login": "ada.admin", "password": "pelican tangerine lodger"});
    let credentials = json!({"login": "ada.admin", "password": crate::support::PASSWORD});
    let path = "/api/v1/sign-in/password";
    assert_eq!(admin.program.post(path, &wrong).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(old.get("/api/v1/me").await.status, StatusCode::OK);
    admin.program.post(path, &credentials).await.expect(StatusCode::OK);
    ends_within_a_second(&mut old).await;
    assert_eq!(kept.get("/api/v1/me").await.status, StatusCode::OK);
    clinic.close().await;
}
