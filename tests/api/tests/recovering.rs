//! I6: whoever lost all factors is let in by two administrators, after a hold in which they can object, and by nobody else.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Clinic, Member, PASSWORD, Program, settings};

const NONE: Value = Value::Null;
const REDEEM: &str = "/api/v1/recovery/redeem";
const HOUR: Duration = Duration::from_secs(3_600);

/// A clinic with two administrators, and somebody with a session, a recovery code and a device.
struct Scene {
    clinic: Clinic,
    first: Member,
    second: Member,
    doctor: Member,
}

impl Scene {
    async fn set() -> Self {
        let clinic = Clinic::open().await;
        let mut first = clinic.admin().await;
        let second = clinic.member(&mut first, "second.admin", &["tenant_admin"]).await;
        let doctor = clinic.member_from(&mut first, "dr.lost", &["clinician"], Some("new")).await;
        Self { clinic, first, second, doctor }
    }

    /// Both administrators have proven a factor just now.
    async fn refresh(&mut self) {
        self.first.program = self.clinic.sign_in(&self.first).await;
        self.second.program = self.clinic.sign_in(&self.second).await;
    }

    async fn begin(&mut self) -> Answer {
        let path = format!("/api/v1/people/{}/recovery", self.doctor.id);
        self.first.program.post(&path, &NONE).await
    }

    /// Begun by one and approved by the other; gives the token and the code.
    async fn approved(&mut self) -> (String, String) {
        self.refresh().await;
        let begun = self.begin().await.expect(StatusCode::CREATED);
        let path = format!("/api/v1/recoveries/{}/approve", begun["recovery"]["id"].as_str().unwrap());
        let approved = self.second.program.post(&path, &NONE).await.expect(StatusCode::OK);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&approved["token"]), text(&begun["code"]))
    }

    async fn hold(&mut self, hours: u16) -> Answer {
        let body = settings(&json!({"recovery_hold_hours": hours}));
        self.first.program.send(Method::PUT, "/api/v1/settings/sign-in", &body).await
    }

    async fn redeem(&self, token: &str, code: &str) -> (Program, Answer) {
        let mut program = self.clinic.program("acme");
        let answer = program.post(REDEEM, &json!({"token": token, "code": code})).await;
        (program, answer)
    }

    async fn actions(&self) -> Vec<String> {
        self.clinic.entries().await.into_iter().map(|entry| entry.action).collect()
    }
}

async fn kinds(program: &mut Program) -> Vec<String> {
    let notices = program.get("/api/v1/notices").await.expect(StatusCode::OK);
    let all = notices["notices"].as_array().unwrap().iter();
    all.map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn i6_two_administrators_let_in_who_lost_everything_after_the_hold() {
    let mut scene = Scene::set().await;
    let codes = scene.doctor.program.post("/api/v1/enrol/recovery-codes", &NONE).await.expect(StatusCode::OK);
    let (token, code) = scene.approved().await;
    assert!(kinds(&mut scene.doctor.program).await.contains(&"recovery_approved".to_owned()));
    let told = scene.doctor.program.get("/api/v1/recovery").await.expect(StatusCode::OK);
    assert!(told["recovery"]["opens"].is_string());

    // In the hold it opens nothing, and everything that was goes on.
    scene.clinic.clock.advance(23 * HOUR);
    let (_, early) = scene.redeem(&token, &code).await;
    assert_eq!((early.status, early.code()), (StatusCode::GONE, "recovery-not-open"));
    let mut live = scene.clinic.sign_in_from(&scene.doctor, scene.doctor.program.device.as_deref()).await;
    live.get("/api/v1/me").await.expect(StatusCode::OK);

    // Whoever had the factors linked an account of their own at the provider.
    let linked = format!(
        "INSERT INTO {{s}}.federated_account (person, subject_token, sealed_subject, linked_at, confirmed_at)
         VALUES ('{}', 1, '', now(), now())",
        scene.doctor.id
    );
    scene.clinic.as_superuser("operations", &linked).await;
    let links = "SELECT count(*)::text FROM {s}.federated_account";
    assert_eq!(scene.clinic.text("operations", links).await, "1");

    scene.clinic.clock.advance(HOUR);
    let (mut program, opened) = scene.redeem(&token, &code).await;
    let step = opened.expect(StatusCode::OK);
    assert_eq!(scene.clinic.text("operations", links).await, "0", "it went with the factors");
    assert_eq!((&step["next"], &step["enrolled"]["passkey"]), (&json!("enrol"), &json!(false)));
    // Every session is over, every old factor is gone, and the new session may do nothing but enrol.
    live.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    let refused = program.get("/api/v1/me").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign-in-unfinished"));
    assert_eq!(program.get("/fhir/R4/Patient?family=x").await.status, StatusCode::UNAUTHORIZED);
    let old = json!({"login": scene.doctor.login, "password": PASSWORD});
    let mut thief = scene.clinic.program("acme");
    assert_eq!(thief.post("/api/v1/sign-in/password", &old).await.code(), "sign-in-refused");

    program
        .post("/api/v1/enrol/password", &json!({"password": "walrus copper almanac"}))
        .await
        .expect(StatusCode::OK);
    assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "a password is not enough");
    let old_code = json!({"code": codes["codes"][0]});
    assert_eq!(program.post("/api/v1/sign-in/recovery-code", &old_code).await.status, StatusCode::CONFLICT);
    let key = crate::soft_keys::Key::bound();
    let begun = program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
    let made = key.register(&begun, &scene.clinic.origin("acme"));
    program.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    let me = program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!((&me["person"], &me["roles"]), (&json!(scene.doctor.id), &json!(["clinician"])));
    // The codes that were printed before are dead with the factors.
    let new = json!({"login": scene.doctor.login, "password": "walrus copper almanac"});
    let step = thief.post("/api/v1/sign-in/password", &new).await.expect(StatusCode::OK);
    assert_eq!(step["factors"], json!(["passkey"]));

    let (_, again) = scene.redeem(&token, &code).await;
    assert_eq!(again.code(), "recovery-not-open", "it opens once");
    let actions = scene.actions().await;
    assert!(actions.contains(&"recover_account".to_owned()));
    assert!(actions.contains(&"approve_recovery".to_owned()));
    assert!(actions.contains(&"redeem_recovery".to_owned()));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_neither_a_mailbox_nor_one_administrator_nor_the_person_alone_recovers_an_account() {
    let mut scene = Scene::set().await;
    scene.refresh().await;
    // Nobody for themselves, and nobody who runs nothing.
    let own = format!("/api/v1/people/{}/recovery", scene.first.id);
    let refused = scene.first.program.post(&own, &NONE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    let of_second = format!("/api/v1/people/{}/recovery", scene.second.id);
    assert_eq!(scene.doctor.program.post(&of_second, &NONE).await.status, StatusCode::FORBIDDEN);

    let begun = scene.begin().await.expect(StatusCode::CREATED);
    assert_eq!(scene.begin().await.code(), "recovery-under-way");
    let path = format!("/api/v1/recoveries/{}/approve", begun["recovery"]["id"].as_str().unwrap());
    let alone = scene.first.program.post(&path, &NONE).await;
    assert_eq!((alone.status, alone.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
    assert_eq!(scene.doctor.program.post(&path, &NONE).await.status, StatusCode::FORBIDDEN);
    let approved = scene.second.program.post(&path, &NONE).await.expect(StatusCode::OK);
    let twice = scene.second.program.post(&path, &NONE).await;
    assert_eq!(twice.code(), "not-yours-to-decide");

    scene.clinic.clock.advance(25 * HOUR);
    let (token, code) = (approved["token"].as_str().unwrap(), begun["code"].as_str().unwrap());
    let other = Clinic::open().await;
    let mut elsewhere = other.program("acme");
    let foreign = elsewhere.post(REDEEM, &json!({"token": token, "code": code})).await;
    assert_eq!(foreign.code(), "recovery-not-open", "nor anywhere else");
    other.close().await;
    let wrong = "0000-0000-0000-0000-0000-0000";
    let invite = token.replacen("ckv_", "cki_", 1);
    for (what, token, code) in [
        ("the link alone", token, ""),
        ("the link and a guess", token, wrong),
        ("the code alone", "", code),
        ("the code and a token of another kind", invite.as_str(), code),
    ] {
        let (mut program, answer) = scene.redeem(token, code).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::GONE, "recovery-not-open"), "{what}");
        assert_eq!(program.get("/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    }
    let mut program = scene.clinic.program("acme");
    let as_invite = program.post("/api/v1/invites/accept", &json!({"token": token})).await;
    assert_eq!(as_invite.code(), "invitation-not-valid");
    // The control: both halves together.
    scene.redeem(token, code).await.1.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_the_person_ends_a_recovery_from_any_session_and_an_administrator_too() {
    let mut scene = Scene::set().await;
    for by_person in [true, false] {
        let (token, code) = scene.approved().await;
        let mut session = scene.clinic.sign_in(&scene.doctor).await;
        assert!(kinds(&mut session).await.contains(&"recovery_approved".to_owned()));
        if by_person {
            session.send(Method::DELETE, "/api/v1/recovery", &NONE).await.expect(StatusCode::NO_CONTENT);
            assert_eq!(session.send(Method::DELETE, "/api/v1/recovery", &NONE).await.status, 404);
        } else {
            let told = scene.first.program.get("/api/v1/recoveries").await.expect(StatusCode::OK);
            let id = told["recoveries"][0]["id"].as_str().unwrap();
            let path = format!("/api/v1/recoveries/{id}/reject");
            scene.first.program.post(&path, &NONE).await.expect(StatusCode::NO_CONTENT);
        }
        scene.clinic.clock.advance(25 * HOUR);
        let (_, dead) = scene.redeem(&token, &code).await;
        assert_eq!(dead.code(), "recovery-not-open");
        // What the person signs in with still works.
        scene.clinic.sign_in(&scene.doctor).await.get("/api/v1/me").await.expect(StatusCode::OK);
    }
    assert!(scene.actions().await.contains(&"cancel_recovery".to_owned()));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_a_recovery_ends_with_who_began_it_and_with_time() {
    let mut scene = Scene::set().await;
    // The hold is the tenant's.
    scene.refresh().await;
    scene.hold(2).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(scene.hold(0).await.code(), "settings-not-allowed");
    scene.clinic.clock.advance(24 * HOUR);
    let (token, code) = scene.approved().await;
    scene.clinic.clock.advance(2 * HOUR + 72 * HOUR);
    assert_eq!(scene.redeem(&token, &code).await.1.code(), "recovery-not-open", "too late");

    let (token, code) = scene.approved().await;
    let role = format!("/api/v1/people/{}/roles/tenant_admin", scene.first.id);
    scene.second.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    scene.clinic.clock.advance(3 * HOUR);
    let gone = scene.redeem(&token, &code).await.1;
    assert_eq!(gone.code(), "recovery-not-open", "who began it is no administrator any more");
    scene.clinic.close().await;

    let mut scene = Scene::set().await;
    let (token, code) = scene.approved().await;
    let suspend = format!("/api/v1/people/{}/suspend", scene.first.id);
    scene.second.program.post(&suspend, &NONE).await.expect(StatusCode::NO_CONTENT);
    scene.clinic.clock.advance(25 * HOUR);
    assert_eq!(scene.redeem(&token, &code).await.1.code(), "recovery-not-open");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_a_shorter_hold_counts_only_when_the_longer_one_has_passed_and_the_others_are_told() {
    let mut scene = Scene::set().await;
    scene.refresh().await;
    scene.hold(1).await.expect(StatusCode::NO_CONTENT);
    let shown = scene.second.program.get("/api/v1/settings/sign-in").await.expect(StatusCode::OK);
    assert_eq!((&shown["recovery_hold_hours"], &shown["longer_hold"]["hours"]), (&json!(1), &json!(24)));
    assert!(kinds(&mut scene.second.program).await.contains(&"settings_changed".to_owned()));
    assert!(!kinds(&mut scene.first.program).await.contains(&"settings_changed".to_owned()));
    let (token, code) = scene.approved().await;
    scene.clinic.clock.advance(23 * HOUR);
    assert_eq!(scene.redeem(&token, &code).await.1.code(), "recovery-not-open");
    scene.clinic.clock.advance(HOUR);
    scene.redeem(&token, &code).await.1.expect(StatusCode::OK);

    // From then on it is the shorter one.
    scene.refresh().await;
    let shown = scene.second.program.get("/api/v1/settings/sign-in").await.expect(StatusCode::OK);
    assert!(shown["longer_hold"].is_null());
    let (token, code) = scene.approved().await;
    scene.clinic.clock.advance(HOUR);
    scene.redeem(&token, &code).await.1.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_who_stole_somebodys_factors_cannot_stop_the_recovery_of_a_suspended_person() {
    let mut scene = Scene::set().await;
    let path = format!("/api/v1/people/{}/suspend", scene.doctor.id);
    // What the thief can do to any other recovery; and a suspension ends one that was decided on before it.
    let (token, code) = scene.approved().await;
    let mut thief = scene.clinic.sign_in(&scene.doctor).await;
    thief.send(Method::DELETE, "/api/v1/recovery", &NONE).await.expect(StatusCode::NO_CONTENT);
    let (before, half) = scene.approved().await;
    scene.first.program.post(&path, &NONE).await.expect(StatusCode::NO_CONTENT);
    thief.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;

    let (good, other) = scene.approved().await;
    let stopped = thief.send(Method::DELETE, "/api/v1/recovery", &NONE).await;
    assert_eq!(stopped.status, StatusCode::UNAUTHORIZED);
    let words = json!({"login": scene.doctor.login, "password": PASSWORD});
    let mut again = scene.clinic.program("acme");
    assert_eq!(again.post("/api/v1/sign-in/password", &words).await.code(), "sign-in-refused");
    scene.clinic.clock.advance(25 * HOUR);
    for (token, code) in [(&token, &code), (&before, &half)] {
        assert_eq!(scene.redeem(token, code).await.1.code(), "recovery-not-open");
    }
    let (mut owner, redeemed) = scene.redeem(&good, &other).await;
    redeemed.expect(StatusCode::OK);
    let key = crate::soft_keys::Key::bound();
    let begun = owner.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
    let made = key.register(&begun, &scene.clinic.origin("acme"));
    owner.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    owner.get("/api/v1/me").await.expect(StatusCode::OK);
    // The thief's factors are gone with the suspension.
    assert_eq!(again.post("/api/v1/sign-in/password", &words).await.code(), "sign-in-refused");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_a_program_that_acts_for_itself_is_recovered_by_nobody() {
    let mut scene = Scene::set().await;
    scene.refresh().await;
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let app = json!({"client_name": "Lab", "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/*.cu", "jwks": {"keys": [crate::smart::public_jwk(&key)]}});
    let made = scene.first.program.post("/api/v1/apps", &app).await.expect(StatusCode::CREATED);
    assert!(made["client_id"].is_string());
    let program = "SELECT person::text FROM {s}.oauth_client WHERE person IS NOT NULL";
    let program = scene.clinic.text("operations", program).await;
    let refused = scene.first.program.post(&format!("/api/v1/people/{program}/recovery"), &NONE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "not-joined"));
    scene.begin().await.expect(StatusCode::CREATED);
    scene.clinic.close().await;
}
