//! I1: which passkeys count for which role, at enrolment and at every use.

use carekeep_ledger::Outcome;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    hanging_up::{hold, until_waiting},
    soft_keys::{Key, Maker},
    support::{Clinic, Member, PASSWORD, Program, settings},
};

const SETTINGS: &str = "/api/v1/settings/sign-in";
const MODEL: [u8; 16] = [0x5a; 16];

async fn settle(
    clinic: &Clinic,
    admin: &mut Member,
    passkeys: Value,
    makers: Value,
) -> crate::support::Answer {
    admin.program = clinic.sign_in(admin).await;
    let body = settings(&json!({"passkeys": passkeys, "makers": makers}));
    admin.program.send(Method::PUT, SETTINGS, &body).await
}

/// Registers `key` in a session; answers with the code of a refusal.
pub(crate) async fn register(clinic: &Clinic, program: &mut Program, key: &Key) -> Result<(), String> {
    let begun = program.post("/api/v1/enrol/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
    let answer = key.register(&begun, &clinic.origin("acme"));
    let done = program.post("/api/v1/enrol/passkey/finish", &answer).await;
    if done.status.is_success() { Ok(()) } else { Err(done.code().to_owned()) }
}

/// Signs in with nothing but the key.
async fn sign_in(clinic: &Clinic, person: &str, key: &Key) -> Result<Program, Value> {
    let mut program = clinic.program("acme");
    let begun = program.post("/api/v1/sign-in/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
    let answer = key.sign(&begun, &clinic.origin("acme"), person);
    let done = program.post("/api/v1/sign-in/passkey/finish", &answer).await;
    if done.status.is_success() { Ok(program) } else { Err(done.body) }
}

#[tokio::test]
async fn i1_a_synchronised_passkey_is_refused_at_enrolment_and_at_use_by_a_device_bound_role() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.device", &["clinician"]).await;
    let mut nurse = clinic.member(&mut admin, "nurse.any", &["nurse"]).await;
    let (synced, bound) = (Key::synced(), Key::bound());
    register(&clinic, &mut doctor.program, &synced).await.unwrap();
    let mut before = sign_in(&clinic, &doctor.id, &synced).await.unwrap();

    let set = settle(&clinic, &mut admin, json!({"clinician": "device-bound"}), json!([])).await;
    set.expect(StatusCode::NO_CONTENT);
    // Whoever is in by what counts no more is out; whom it does not concern stays in.
    before.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    nurse.program.get("/api/v1/me").await.expect(StatusCode::OK);
    let refused = sign_in(&clinic, &doctor.id, &synced).await.err().unwrap();
    assert_eq!(
        (&refused["code"], &refused["needs"]),
        (&json!("passkey-not-allowed"), &json!("device-bound"))
    );
    assert!(refused["advice"].as_str().unwrap().contains("register"), "{refused}");

    // The other way in is open, and leads to a passkey that counts.
    doctor.program = clinic.sign_in(&doctor).await;
    let enrolled = register(&clinic, &mut doctor.program, &Key::synced()).await;
    assert_eq!(enrolled, Err("passkey-not-allowed".to_owned()));
    register(&clinic, &mut doctor.program, &bound).await.unwrap();
    sign_in(&clinic, &doctor.id, &bound).await.unwrap();
    // The control: a role of which nothing is said.
    register(&clinic, &mut nurse.program, &Key::synced()).await.unwrap();
    clinic.close().await;
}

#[tokio::test]
async fn i1_a_role_that_is_granted_later_tightens_what_counts() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    settle(&clinic, &mut admin, json!({"clinician": "device-bound"}), json!([]))
        .await
        .expect(StatusCode::NO_CONTENT);
    let mut nurse = clinic.member(&mut admin, "nurse.later", &["nurse"]).await;
    let synced = Key::synced();
    register(&clinic, &mut nurse.program, &synced).await.unwrap();
    let mut session = sign_in(&clinic, &nurse.id, &synced).await.unwrap();
    let grant = format!("/api/v1/people/{}/roles/clinician", nurse.id);
    admin.program.send(Method::PUT, &grant, &Value::Null).await.expect(StatusCode::OK);
    session.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    let refused = sign_in(&clinic, &nurse.id, &synced).await.err().unwrap();
    assert_eq!(refused["needs"], "device-bound");
    // Taken back, it counts again.
    admin.program = clinic.sign_in(&admin).await;
    admin.program.send(Method::DELETE, &grant, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    sign_in(&clinic, &nurse.id, &synced).await.unwrap();
    clinic.close().await;
}

#[tokio::test]
async fn i1_somebody_who_joins_enrols_what_the_role_to_come_allows() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    settle(&clinic, &mut admin, json!({"clinician": "device-bound"}), json!([]))
        .await
        .expect(StatusCode::NO_CONTENT);
    let body = json!({"login": "new.doctor", "name": "New Doctor", "roles": ["clinician"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    let mut newcomer = clinic.program("acme");
    newcomer.post("/api/v1/invites/accept", &json!({"token": invited["token"]})).await.expect(StatusCode::OK);
    let synced = register(&clinic, &mut newcomer, &Key::synced()).await;
    assert_eq!(synced, Err("passkey-not-allowed".to_owned()));
    register(&clinic, &mut newcomer, &Key::bound()).await.unwrap();
    newcomer.get("/api/v1/me").await.expect(StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn i1_attested_takes_the_listed_models_of_listed_makers_only() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let (maker, stranger) = (Maker::new("Soft Keys Root"), Maker::new("Other Root"));
    // More than can be looked at whenever a passkey is used.
    let models: Vec<_> = (0..129).map(uuid::Uuid::from_u128).collect();
    let many = json!([{"root": maker.root, "models": models}]);
    let refused = settle(&clinic, &mut admin, json!({"clinician": "attested"}), many).await;
    assert_eq!(refused.code(), "settings-not-allowed");
    let makers = json!([{"root": maker.root, "models": [uuid::Uuid::from_bytes(MODEL)]}]);
    settle(&clinic, &mut admin, json!({"clinician": "attested"}), makers)
        .await
        .expect(StatusCode::NO_CONTENT);
    let mut doctor = clinic.member(&mut admin, "dr.attested", &["clinician"]).await;
    let good = Key::attested(&maker, MODEL);
    for (what, key) in [
        ("no attestation", Key::bound()),
        ("another maker", Key::attested(&stranger, MODEL)),
        ("another model", Key::attested(&maker, [0x33; 16])),
    ] {
        let refused = register(&clinic, &mut doctor.program, &key).await;
        assert_eq!(refused, Err("passkey-not-allowed".to_owned()), "{what}");
    }
    register(&clinic, &mut doctor.program, &good).await.unwrap();
    sign_in(&clinic, &doctor.id, &good).await.unwrap();
    // Struck off the list, it counts no more.
    let makers = json!([{"root": maker.root, "models": [uuid::Uuid::from_bytes([0x33; 16])]}]);
    settle(&clinic, &mut admin, json!({"clinician": "attested"}), makers)
        .await
        .expect(StatusCode::NO_CONTENT);
    let refused = sign_in(&clinic, &doctor.id, &good).await.err().unwrap();
    assert_eq!((&refused["code"], &refused["needs"]), (&json!("passkey-not-allowed"), &json!("attested")));
    clinic.close().await;
}

#[tokio::test]
async fn i1_settings_are_an_administrators_are_on_record_and_lock_nobody_out_who_makes_them() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let locked = settle(&clinic, &mut admin, json!({"tenant_admin": "device-bound"}), json!([])).await;
    assert_eq!((locked.status, locked.code()), (StatusCode::CONFLICT, "locks-you-out"));
    register(&clinic, &mut admin.program, &Key::bound()).await.unwrap();
    let set = settle(&clinic, &mut admin, json!({"tenant_admin": "device-bound"}), json!([])).await;
    set.expect(StatusCode::NO_CONTENT);
    let mut shown = admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    shown.as_object_mut().unwrap().remove("version");
    assert_eq!(
        shown,
        json!({"passkeys": {"tenant_admin": "device-bound"}, "makers": [], "confirmed_devices": false, "passwords": true, "recovery_hold_hours": 24})
    );

    let nobody = settle(&clinic, &mut admin, json!({"nurse": "attested"}), json!([])).await;
    assert_eq!(nobody.code(), "settings-not-allowed");
    let unknown = settle(&clinic, &mut admin, json!({"wizard": "any"}), json!([])).await;
    assert_eq!(unknown.code(), "roles-not-allowed");
    let mut doctor = clinic.member(&mut admin, "dr.curious", &["clinician"]).await;
    for method in [Method::GET, Method::PUT] {
        let body = if method == Method::PUT { settings(&json!({})) } else { Value::Null };
        let refused = doctor.program.send(method, SETTINGS, &body).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    }
    let entries = clinic.entries().await;
    let of = |outcome: Outcome| {
        entries.iter().filter(|entry| entry.action == "manage_tenant" && entry.outcome == outcome).count()
    };
    assert!(of(Outcome::Permitted) >= 2 && of(Outcome::Denied) == 1, "every attempt is on record");
    clinic.close().await;
}

#[tokio::test]
async fn i1_settings_that_would_leave_nobody_with_a_role_that_is_needed_are_refused_and_so_are_half_ones() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut officer = clinic.member(&mut admin, "officer", &["privacy_officer"]).await;
    register(&clinic, &mut officer.program, &Key::synced()).await.unwrap();
    let demand = json!({"privacy_officer": "device-bound"});
    let words = format!("DELETE FROM {{s}}.password WHERE person = '{}'", officer.id);
    clinic.as_superuser("operations", &words).await;
    let refused = settle(&clinic, &mut admin, demand.clone(), json!([])).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "locks-role-out"));
    assert_eq!(refused.body["role"], "privacy_officer");
    // The control: with a passkey that counts it is done.
    register(&clinic, &mut officer.program, &Key::bound()).await.unwrap();
    settle(&clinic, &mut admin, demand, json!([])).await.expect(StatusCode::NO_CONTENT);

    let whole = admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    for name in ["passkeys", "makers", "confirmed_devices", "passwords", "recovery_hold_hours"] {
        let mut half = whole.clone();
        half.as_object_mut().unwrap().remove(name);
        let refused = admin.program.send(Method::PUT, SETTINGS, &half).await;
        assert_eq!(refused.code(), "settings-not-allowed");
        assert_eq!(refused.body["missing"], name);
    }
    assert_eq!(admin.program.get(SETTINGS).await.expect(StatusCode::OK), whole, "nothing was set");
    admin.program.send(Method::PUT, SETTINGS, &whole).await.expect(StatusCode::NO_CONTENT);
    clinic.close().await;
}

#[tokio::test]
async fn i1_what_somebody_else_decided_meanwhile_is_not_overwritten() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let seen = admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    assert_eq!(seen["version"], "0", "nobody decided yet");
    let with = |version: &Value, hours: u16| {
        let mut body = settings(&json!({"recovery_hold_hours": hours}));
        body["version"] = version.clone();
        body
    };
    second
        .program
        .send(Method::PUT, SETTINGS, &with(&seen["version"], 48))
        .await
        .expect(StatusCode::NO_CONTENT);
    let late = admin.program.send(Method::PUT, SETTINGS, &with(&seen["version"], 2)).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    let now = admin.program.get(SETTINGS).await.expect(StatusCode::OK);
    assert_eq!(now["recovery_hold_hours"], 48);
    admin
        .program
        .send(Method::PUT, SETTINGS, &with(&now["version"], 72))
        .await
        .expect(StatusCode::NO_CONTENT);
    assert_eq!(
        admin.program.send(Method::PUT, SETTINGS, &with(&json!("x"), 24)).await.code(),
        "settings-not-allowed"
    );

    // Two at the same moment who say nothing of it: the second one does not go by what the first one changed.
    let founder = "SELECT 1 FROM {s}.person WHERE founder FOR UPDATE";
    let mut blocker = hold(&clinic, "operations", founder).await;
    let put = |program: &Program, hours: u16| {
        let request = program
            .http
            .put(format!("{}{SETTINGS}", program.base))
            .bearer_auth(program.token.as_ref().unwrap());
        request.json(&settings(&json!({"recovery_hold_hours": hours}))).send()
    };
    clinic.clock.advance(std::time::Duration::from_secs(1));
    let both = [tokio::spawn(put(&admin.program, 30)), tokio::spawn(put(&second.program, 40))];
    until_waiting(&clinic, "operations", 2).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    let mut ends = Vec::new();
    for one in both {
        ends.push(one.await.unwrap().unwrap().status());
    }
    ends.sort_unstable();
    assert_eq!(ends, [StatusCode::NO_CONTENT, StatusCode::CONFLICT]);
    clinic.close().await;
}

#[tokio::test]
async fn i5_a_tenant_may_do_without_passwords() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.word", &["clinician"]).await;
    let (own, other) = (Key::bound(), Key::synced());
    register(&clinic, &mut doctor.program, &other).await.unwrap();
    let without = settings(&json!({"passwords": false}));
    admin.program = clinic.sign_in(&admin).await;
    let locked = admin.program.send(Method::PUT, SETTINGS, &without).await;
    assert_eq!((locked.status, locked.code()), (StatusCode::CONFLICT, "locks-you-out"));
    register(&clinic, &mut admin.program, &own).await.unwrap();
    let mut officer = clinic.member(&mut admin, "officer", &["privacy_officer"]).await;
    let locked = admin.program.send(Method::PUT, SETTINGS, &without).await;
    assert_eq!((locked.code(), &locked.body["role"]), ("locks-role-out", &json!("privacy_officer")));
    register(&clinic, &mut officer.program, &Key::synced()).await.unwrap();

    let mut half = clinic.program("acme");
    let words = json!({"login": "dr.word", "password": PASSWORD});
    half.post("/api/v1/sign-in/password", &words).await.expect(StatusCode::OK);
    admin.program.send(Method::PUT, SETTINGS, &without).await.expect(StatusCode::NO_CONTENT);
    // Whoever got in by one is out, and whoever was half in does not get further.
    doctor.program.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    let code = json!({"code": clinic.next_code(&doctor.secret)});
    assert_eq!(half.post("/api/v1/sign-in/totp", &code).await.status, StatusCode::UNAUTHORIZED);
    // Of whom there is and of whom there is not the same is said.
    let mut stranger = clinic.program("acme");
    for login in ["dr.word", "nobody.at.all"] {
        let words = json!({"login": login, "password": PASSWORD});
        let refused = stranger.post("/api/v1/sign-in/password", &words).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::FORBIDDEN, "passwords-not-used"),
            "{login}"
        );
    }
    let mut again = sign_in(&clinic, &doctor.id, &other).await.unwrap();
    // The password that is still kept is no other way in: the only passkey stays.
    let kept = again.get("/api/v1/passkeys").await.expect(StatusCode::OK)["passkeys"][0]["id"].clone();
    let path = format!("/api/v1/passkeys/{}", kept.as_str().unwrap());
    assert_eq!(again.send(Method::DELETE, &path, &Value::Null).await.code(), "last-factors");

    // A newcomer sets up a passkey and nothing else.
    let body = json!({"login": "nurse.new", "name": "Nora Costa", "roles": ["nurse"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    let mut nurse = clinic.program("acme");
    let step = nurse.post("/api/v1/invites/accept", &json!({"token": invited["token"]})).await;
    assert_eq!(step.expect(StatusCode::OK)["enrolled"]["passwords"], false);
    let refused = nurse.post("/api/v1/enrol/password", &json!({"password": PASSWORD})).await;
    assert_eq!(refused.code(), "passwords-not-used");
    register(&clinic, &mut nurse, &Key::synced()).await.unwrap();
    assert_eq!(nurse.get("/api/v1/me").await.expect(StatusCode::OK)["roles"], json!(["nurse"]));

    // The control: with passwords again, the one that there was counts again.
    admin.program.send(Method::PUT, SETTINGS, &settings(&json!({}))).await.expect(StatusCode::NO_CONTENT);
    clinic.sign_in(&doctor).await.get("/api/v1/me").await.expect(StatusCode::OK);
    clinic.close().await;
}
