//! I6: a patient who lost all factors is let in by whoever has them before them and somebody else, after the hold.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    soft_keys::Key,
    support::{Answer, Clinic, Member, PASSWORD, Program},
    ward::created,
};

const NONE: Value = Value::Null;
const HOUR: Duration = Duration::from_secs(3_600);

/// A clinic in which a patient of a doctor's has an account.
struct Scene {
    clinic: Clinic,
    admin: Member,
    officer: Member,
    manager: Member,
    doctor: Member,
    patient: Member,
    chart: String,
}

impl Scene {
    async fn set() -> Self {
        let clinic = Clinic::open().await;
        let mut admin = clinic.admin().await;
        let manager = clinic.member(&mut admin, "mo.manager", &["clinic_manager"]).await;
        let officer = clinic.member(&mut admin, "ola.officer", &["privacy_officer"]).await;
        let mut doctor = clinic.member(&mut admin, "dr.chart", &["clinician"]).await;
        let chart = created(&mut doctor.program, "Patient", json!({"name": [{"family": "Okonkwo"}]})).await;
        let account = json!({"login": "pat", "name": "Pat"});
        let invited = doctor.program.post(&format!("/api/v1/patients/{chart}/account"), &account).await;
        let invited = invited.expect(StatusCode::CREATED);
        let patient = clinic.join("pat", invited["token"].as_str().unwrap()).await;
        Self { clinic, admin, officer, manager, doctor, patient, chart }
    }

    fn path(&self) -> String {
        format!("/api/v1/patients/{}/account/recovery", self.chart)
    }

    /// Everybody has proven a factor just now.
    async fn refresh(&mut self) {
        for member in [&mut self.admin, &mut self.officer, &mut self.manager, &mut self.doctor] {
            member.program = self.clinic.sign_in(member).await;
        }
    }

    async fn begin(&mut self) -> Answer {
        let path = self.path();
        self.doctor.program.post(&path, &json!({"identified_by": "photo_id"})).await
    }

    /// Begun by the doctor and approved by the privacy officer; token and code.
    async fn approved(&mut self) -> (String, String) {
        self.refresh().await;
        let begun = self.begin().await.expect(StatusCode::CREATED);
        let approved = self.officer.program.post(&decision(&begun, "approve"), &NONE).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&approved.expect(StatusCode::OK)["token"]), text(&begun["code"]))
    }

    async fn redeem(&self, token: &str, code: &str) -> (Program, Answer) {
        let mut program = self.clinic.program("acme");
        let halves = json!({"token": token, "code": code});
        let answer = program.post("/api/v1/recovery/redeem", &halves).await;
        (program, answer)
    }
}

fn decision(begun: &Value, what: &str) -> String {
    format!("/api/v1/recoveries/{}/{what}", begun["recovery"]["id"].as_str().unwrap())
}

async fn kinds(program: &mut Program) -> Vec<String> {
    let notices = program.get("/api/v1/notices").await.expect(StatusCode::OK);
    let all = notices["notices"].as_array().unwrap().iter();
    all.map(|notice| notice["kind"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn i6_a_patient_who_lost_everything_is_let_in_by_two_after_the_hold() {
    let mut scene = Scene::set().await;
    let own = format!("/fhir/R4/Patient/{}", scene.chart);
    let mut session = scene.clinic.sign_in(&scene.patient).await;
    session.get(&own).await.expect(StatusCode::OK);
    scene.refresh().await;
    let begun = scene.begin().await.expect(StatusCode::CREATED);
    assert_eq!(begun["recovery"]["identified_by"], "photo_id");
    assert!(kinds(&mut session).await.contains(&"recovery_begun".to_owned()));

    // Whoever decides sees whose it is and how they were identified; what staff lost is not theirs.
    let staff = format!("/api/v1/people/{}/recovery", scene.doctor.id);
    scene.admin.program.post(&staff, &NONE).await.expect(StatusCode::CREATED);
    let listed = scene.officer.program.get("/api/v1/recoveries").await.expect(StatusCode::OK);
    let listed = listed["recoveries"].as_array().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["patient"], &listed[0]["identified_by"], &listed[0]["person"]),
        (&json!(scene.chart), &json!("photo_id"), &json!(scene.patient.id))
    );
    let all = scene.admin.program.get("/api/v1/recoveries").await.expect(StatusCode::OK);
    assert_eq!(all["recoveries"].as_array().unwrap().len(), 2);
    // Whoever invited the doctor could be both.
    let inviter = scene.admin.program.post(&decision(&begun, "approve"), &NONE).await;
    assert_eq!((inviter.status, inviter.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
    let approved = scene.officer.program.post(&decision(&begun, "approve"), &NONE).await;
    let approved = approved.expect(StatusCode::OK);
    let (token, code) = (approved["token"].as_str().unwrap(), begun["code"].as_str().unwrap());
    assert!(kinds(&mut session).await.contains(&"recovery_approved".to_owned()));

    scene.clinic.clock.advance(23 * HOUR);
    assert_eq!(scene.redeem(token, code).await.1.code(), "recovery-not-open", "in the hold");
    let mut live = scene.clinic.sign_in(&scene.patient).await;
    live.get(&own).await.expect(StatusCode::OK);
    scene.clinic.clock.advance(HOUR);
    let (mut program, opened) = scene.redeem(token, code).await;
    assert_eq!(opened.expect(StatusCode::OK)["next"], "enrol");
    live.within_a_second(&own, StatusCode::UNAUTHORIZED).await;
    // New factors come before anything else; the old ones are gone.
    assert_eq!(program.get(&own).await.status, StatusCode::UNAUTHORIZED);
    let words = json!({"login": "pat", "password": PASSWORD});
    let mut thief = scene.clinic.program("acme");
    assert_eq!(thief.post("/api/v1/sign-in/password", &words).await.code(), "sign-in-refused");
    let key = Key::bound();
    let ceremony = program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
    let made = key.register(&ceremony, &scene.clinic.origin("acme"));
    program.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    program.get(&own).await.expect(StatusCode::OK);
    assert_eq!(scene.redeem(token, code).await.1.code(), "recovery-not-open", "once");

    let entries = scene.clinic.entries().await;
    let begun = entries.iter().find(|entry| entry.action == "recover_patient").unwrap();
    assert!(begun.detail.is_some() && begun.patients.len() == 1, "whose chart, and how they were identified");
    assert!(entries.iter().any(|entry| entry.action == "approve_recovery"));
    assert!(entries.iter().any(|entry| entry.action == "redeem_recovery"));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_nobody_alone_and_nobody_without_the_chart_recovers_a_patients_account() {
    let mut scene = Scene::set().await;
    let reception = scene.clinic.member(&mut scene.admin, "front.desk", &["reception"]).await;
    let stranger = scene.clinic.member(&mut scene.admin, "dr.far", &["clinician"]).await;
    let both = scene
        .clinic
        .member(&mut scene.admin, "both", &["clinician", "privacy_officer", "tenant_admin"])
        .await;
    let path = scene.path();
    let how = json!({"identified_by": "personally_known"});
    // It begins from the chart, by whoever could have given the account to the patient.
    for (mut nobody, status) in [
        (reception.program.clone(), StatusCode::FORBIDDEN),
        (scene.manager.program.clone(), StatusCode::FORBIDDEN),
        (scene.admin.program.clone(), StatusCode::FORBIDDEN),
        (scene.patient.program.clone(), StatusCode::FORBIDDEN),
        (stranger.program.clone(), StatusCode::NOT_FOUND),
        (both.program.clone(), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(nobody.post(&path, &how).await.status, status);
    }
    let account = format!("/api/v1/people/{}/recovery", scene.patient.id);
    let refused = scene.admin.program.post(&account, &NONE).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "patients-account"));
    for body in [json!({}), json!({"identified_by": "e_mail"})] {
        let refused = scene.doctor.program.post(&path, &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "how is not left out");
    }
    let bare = created(&mut scene.doctor.program, "Patient", json!({"name": [{"family": "Bare"}]})).await;
    let none = scene.doctor.program.post(&format!("/api/v1/patients/{bare}/account/recovery"), &how).await;
    assert_eq!((none.status, none.code()), (StatusCode::CONFLICT, "not-joined"));

    // One who cares for the patient and runs the clinic does not decide on what they began.
    let team = format!("/api/v1/patients/{}/care-team/{}", scene.chart, both.id);
    let mut both = both;
    scene.manager.program.send(Method::PUT, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    let begun = both.program.post(&path, &how).await.expect(StatusCode::CREATED);
    assert_eq!(scene.begin().await.code(), "recovery-under-way");
    let approve = decision(&begun, "approve");
    let own = both.program.post(&approve, &NONE).await;
    assert_eq!((own.status, own.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
    for nobody in [&mut scene.doctor, &mut scene.manager, &mut scene.patient] {
        assert_eq!(nobody.program.post(&approve, &NONE).await.status, StatusCode::FORBIDDEN);
    }
    let approved = scene.admin.program.post(&approve, &NONE).await.expect(StatusCode::OK);
    // The officer has no part in what staff lost, whatever role somebody was given in between.
    let staff = format!("/api/v1/people/{}/recovery", scene.doctor.id);
    let staffs = scene.admin.program.post(&staff, &NONE).await.expect(StatusCode::CREATED);
    let program = format!("/api/v1/people/{}/roles/service_account", scene.doctor.id);
    for (method, status) in [(Method::PUT, StatusCode::CONFLICT), (Method::DELETE, StatusCode::FORBIDDEN)] {
        assert!(scene.admin.program.send(method, &program, &NONE).await.status.is_success());
        let refused = scene.officer.program.post(&decision(&staffs, "approve"), &NONE).await;
        assert_eq!(refused.status, status);
    }
    assert_eq!(scene.officer.program.post(&staff, &NONE).await.status, StatusCode::FORBIDDEN);

    scene.clinic.clock.advance(25 * HOUR);
    let (token, code) = (approved["token"].as_str().unwrap(), begun["code"].as_str().unwrap());
    for (token, code) in [(token, ""), ("", code), (token, "0000-0000-0000-0000-0000-0000")] {
        assert_eq!(scene.redeem(token, code).await.1.code(), "recovery-not-open");
    }
    scene.redeem(token, code).await.1.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_a_patients_recovery_ends_by_the_patient_by_who_decides_and_with_who_began_it() {
    let mut scene = Scene::set().await;
    for way in ["patient", "officer", "provider", "role"] {
        let (token, code) = scene.approved().await;
        match way {
            "patient" => {
                let mut session = scene.clinic.sign_in(&scene.patient).await;
                let shown = session.get("/api/v1/recovery").await.expect(StatusCode::OK);
                assert!(shown["recovery"]["opens"].is_string());
                session.send(Method::DELETE, "/api/v1/recovery", &NONE).await.expect(StatusCode::NO_CONTENT);
            }
            "officer" => {
                let listed = scene.officer.program.get("/api/v1/recoveries").await.expect(StatusCode::OK);
                let reject =
                    format!("/api/v1/recoveries/{}/reject", listed["recoveries"][0]["id"].as_str().unwrap());
                scene.officer.program.post(&reject, &NONE).await.expect(StatusCode::NO_CONTENT);
            }
            "provider" => {
                let made =
                    scene.admin.program.post("/api/v1/provisioning-tokens", &json!({"name": "x"})).await;
                let token = made.expect(StatusCode::CREATED)["token"].as_str().unwrap().to_owned();
                let group = |members: Value| {
                    let program = &scene.admin.program;
                    let body = json!({"displayName": "clinician", "members": members});
                    let url = format!("{}/scim/v2/Groups/clinician", program.base);
                    program.http.put(url).bearer_auth(&token).json(&body)
                };
                for members in [json!([]), json!([{"value": scene.doctor.id}])] {
                    assert_eq!(group(members).send().await.unwrap().status(), StatusCode::OK);
                }
            }
            _ => {
                let role = format!("/api/v1/people/{}/roles/clinician", scene.doctor.id);
                scene.admin.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
            }
        }
        scene.clinic.clock.advance(25 * HOUR);
        assert_eq!(scene.redeem(&token, &code).await.1.code(), "recovery-not-open", "{way}");
        scene.clinic.sign_in(&scene.patient).await.get("/api/v1/me").await.expect(StatusCode::OK);
    }
    scene.clinic.close().await;
}

#[tokio::test]
async fn i6_a_proxy_is_let_in_by_an_administrator_and_a_privacy_officer() {
    let mut scene = Scene::set().await;
    let proxy = scene.clinic.member(&mut scene.admin, "pa.rent", &["proxy"]).await;
    scene.refresh().await;
    let path = format!("/api/v1/people/{}/recovery", proxy.id);
    assert_eq!(scene.officer.program.post(&path, &NONE).await.status, StatusCode::FORBIDDEN);
    let begun = scene.admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let alone = scene.admin.program.post(&decision(&begun, "approve"), &NONE).await;
    assert_eq!(alone.code(), "not-yours-to-decide");
    assert_eq!(
        scene.manager.program.post(&decision(&begun, "approve"), &NONE).await.status,
        StatusCode::FORBIDDEN
    );
    // Of somebody who is suspended an administrator decides.
    let place = format!("/api/v1/people/{}", proxy.id);
    scene.admin.program.post(&format!("{place}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    let suspended = scene.admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let refused = scene.officer.program.post(&decision(&suspended, "approve"), &NONE).await;
    assert_eq!(refused.code(), "not-yours-to-decide");
    scene.admin.program.post(&format!("{place}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    scene.admin.program.post(&decision(&suspended, "reject"), &NONE).await.expect(StatusCode::NO_CONTENT);
    let begun = scene.admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let approved = scene.officer.program.post(&decision(&begun, "approve"), &NONE).await;
    let approved = approved.expect(StatusCode::OK);
    scene.clinic.clock.advance(25 * HOUR);
    let (token, code) = (approved["token"].as_str().unwrap(), begun["code"].as_str().unwrap());
    assert_eq!(scene.redeem(token, code).await.1.expect(StatusCode::OK)["next"], "enrol");
    scene.clinic.close().await;
}
