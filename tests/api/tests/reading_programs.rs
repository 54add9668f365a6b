//! I11: a program's `system/` scopes read charts only once an administrator asked and a privacy officer agreed, and no longer.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use carekeep_identity::storage::{PeopleError, PgRepository};
use carekeep_kernel::{Clock as _, SessionId};
use carekeep_ledger::Outcome;
use carekeep_testkit::{AppSpec, Person};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    smart::{as_program, assertion, public_jwk},
    support::{Answer, Clinic, Member, Program},
    ward::created,
};

const NONE: Value = Value::Null;
const VITAL: &str = "http://terminology.hl7.org/CodeSystem/observation-category";

/// A clinic with two charts of a doctor's, and a program that an administrator registered and approved.
struct Scene {
    clinic: Clinic,
    admin: Member,
    officer: Member,
    doctor: Member,
    patients: [String; 2],
    key: EcdsaKeyPair,
    client: String,
    /// The account that the program acts as.
    account: String,
}

impl Scene {
    async fn set(scope: &str) -> Self {
        let clinic = Clinic::open().await;
        let mut admin = clinic.admin().await;
        let officer = clinic.member(&mut admin, "po.vale", &["privacy_officer"]).await;
        let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
        let mut patients = Vec::new();
        for family in ["Adler", "Brandt"] {
            patients
                .push(created(&mut doctor.program, "Patient", json!({"name": [{"family": family}]})).await);
        }
        let patients = <[String; 2]>::try_from(patients).unwrap();
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let (client, account) = registered(&mut admin, &key, scope).await;
        Self { clinic, admin, officer, doctor, patients, key, client, account }
    }

    /// A new token of the program.
    async fn token(&self, jti: &str, scope: &str) -> Program {
        let now = self.clinic.clock.now().as_micros() / 1_000_000;
        let endpoint = format!("{}/oauth/token", self.clinic.origin("acme"));
        let proof = assertion(&self.key, &self.client, (jti, &endpoint), now);
        let token = as_program(&self.clinic, &proof, scope).await.expect(StatusCode::OK);
        let mut program = self.clinic.program("acme");
        program.token = Some(token["access_token"].as_str().unwrap().to_owned());
        program
    }

    fn role(&self) -> String {
        format!("/api/v1/people/{}/roles/records_reader", self.account)
    }

    /// Has an administrator ask; the path of the request.
    async fn asked(&mut self) -> String {
        let path = self.role();
        let asked = self.admin.program.send(Method::PUT, &path, &NONE).await.expect(StatusCode::OK);
        assert_eq!(asked["state"], "requested");
        format!("/api/v1/role-requests/{}", asked["request"]["id"].as_str().unwrap())
    }

    async fn granted(&mut self) {
        let request = self.asked().await;
        let agreed = self.officer.program.post(&format!("{request}/approve"), &NONE).await;
        agreed.expect(StatusCode::NO_CONTENT);
    }
}

/// Registers a program and approves it; its id and the account that it acts as.
async fn registered(admin: &mut Member, key: &EcdsaKeyPair, scope: &str) -> (String, String) {
    let app = json!({
        "client_name": "Warehouse", "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public_jwk(key)]}, "scope": scope,
    });
    let made = admin.program.post("/api/v1/apps", &app).await.expect(StatusCode::CREATED);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let approve = format!("/api/v1/apps/{}/approve", text("client_id"));
    admin.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    (text("client_id"), text("person"))
}

async fn condition(doctor: &mut Member, patient: &str) -> String {
    let subject = json!({"reference": format!("Patient/{patient}")});
    created(&mut doctor.program, "Condition", json!({"subject": subject, "code": {"text": "x"}})).await
}

fn hits(found: &Answer) -> usize {
    assert_eq!(found.status, StatusCode::OK, "{}", found.text);
    found.body["entry"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn i11_no_other_role_lets_a_program_read() {
    let mut scene = Scene::set("system/*.rs").await;
    let patient = scene.patients[0].clone();
    let path = format!("/fhir/R4/Condition/{}", condition(&mut scene.doctor, &patient).await);
    let mut manager = scene.clinic.member(&mut scene.admin, "manager", &["clinic_manager"]).await;
    for role in ["reception", "billing", "clinician"] {
        let role = format!("/api/v1/people/{}/roles/{role}", scene.account);
        scene.admin.program.send(Method::PUT, &role, &NONE).await.expect(StatusCode::OK);
    }
    let team = format!("/api/v1/patients/{patient}/care-team/{}", scene.account);
    manager.program.send(Method::PUT, &team, &NONE).await.expect(StatusCode::NO_CONTENT);
    let mut program = scene.token("one", "system/*.rs").await;
    assert_eq!(program.get(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(hits(&program.get("/fhir/R4/Patient").await), 0);
    // The control: once two agreed.
    scene.granted().await;
    let mut program = scene.token("two", "system/*.rs").await;
    program.get(&path).await.expect(StatusCode::OK);
    scene.clinic.close().await;
}

#[tokio::test]
async fn i11_a_program_reads_while_whoever_registered_it_runs_the_tenant() {
    let mut scene = Scene::set("system/*.rs").await;
    let patient = scene.patients[0].clone();
    let path = format!("/fhir/R4/Condition/{}", condition(&mut scene.doctor, &patient).await);
    let mut second = scene.clinic.member(&mut scene.admin, "second.admin", &["tenant_admin"]).await;
    scene.granted().await;
    let mut program = scene.token("one", "system/*.rs").await;
    program.get(&path).await.expect(StatusCode::OK);
    let person = format!("/api/v1/people/{}", scene.admin.id);
    second.program.post(&format!("{person}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::FORBIDDEN).await;
    second.program.post(&format!("{person}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::OK).await;
    // What they asked for goes with the role.
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    let other = registered(&mut scene.admin, &scene.key, "system/*.rs").await.1;
    let asked = format!("/api/v1/people/{other}/roles/records_reader");
    let asked = scene.admin.program.send(Method::PUT, &asked, &NONE).await.expect(StatusCode::OK);
    let role = format!("{person}/roles/tenant_admin");
    second.program = scene.clinic.sign_in(&second).await;
    second.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::FORBIDDEN).await;
    scene.officer.program = scene.clinic.sign_in(&scene.officer).await;
    let approve = format!("/api/v1/role-requests/{}/approve", asked["request"]["id"].as_str().unwrap());
    assert_eq!(scene.officer.program.post(&approve, &NONE).await.code(), "not-yours-to-decide");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i11_a_program_reads_charts_only_while_a_privacy_officer_agrees() {
    let mut scene = Scene::set("system/*.rs").await;
    let mut ids = Vec::new();
    for patient in scene.patients.clone() {
        ids.push(condition(&mut scene.doctor, &patient).await);
    }
    let path = format!("/fhir/R4/Condition/{}", ids[0]);
    let mut program = scene.token("one", "system/*.rs").await;
    assert_eq!(program.get(&path).await.status, StatusCode::FORBIDDEN);
    assert_eq!(hits(&program.get("/fhir/R4/Condition").await), 0, "it may ask whether something is there");

    // Asked for by one, and decided on by neither that one nor another administrator.
    let request = scene.asked().await;
    assert_eq!(program.get(&path).await.status, StatusCode::FORBIDDEN);
    let approve = format!("{request}/approve");
    let mut second = scene.clinic.member(&mut scene.admin, "second.admin", &["tenant_admin"]).await;
    for nobody in [&mut scene.admin, &mut second, &mut scene.doctor] {
        let refused = nobody.program.post(&approve, &NONE).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::FORBIDDEN, "forbidden"),
            "{}",
            nobody.login
        );
    }
    assert_eq!(program.post(&approve, &NONE).await.status, StatusCode::FORBIDDEN);
    let shown = scene.officer.program.get("/api/v1/role-requests").await.expect(StatusCode::OK);
    let about = &shown["requests"][0];
    assert_eq!(
        (&about["role"], &about["app"]["client_name"], &about["app"]["scope"], &about["app"]["client_id"]),
        (&json!("records_reader"), &json!("Warehouse"), &json!("system/*.rs"), &json!(scene.client))
    );
    scene.officer.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);

    program.within_a_second(&path, StatusCode::OK).await;
    let before = scene.clinic.entries().await.len();
    let read = program.get(&path).await.expect(StatusCode::OK);
    assert_eq!(read["code"]["text"], "x", "all of it");
    assert_eq!(hits(&program.get("/fhir/R4/Condition").await), 2, "of everybody");
    assert_eq!(hits(&program.get("/fhir/R4/Patient?family=brandt").await), 1);
    program.get(&format!("{path}/_history")).await.expect(StatusCode::OK);
    program.get(&format!("/fhir/R4/Patient/{}", scene.patients[1])).await.expect(StatusCode::OK);
    // Each on record, as the program's own, under its grant, which is of this app.
    let entries = scene.clinic.entries().await.split_off(before);
    let reads: Vec<_> = entries.iter().filter(|entry| entry.outcome == Outcome::Permitted).collect();
    assert_eq!(reads.len(), 5);
    let sql = format!("SELECT id::text FROM {{s}}.oauth_grant WHERE client = '{}'", scene.client);
    let grant = scene.clinic.text("operations", &sql).await;
    for entry in reads {
        assert_eq!(entry.actor.person.unwrap().to_string(), scene.account);
        assert_eq!(entry.actor.session.unwrap().to_string(), grant);
        assert!(entry.policies.iter().all(|policy| policy.starts_with("records_reader.")), "{entry:?}");
        assert!(entry.detail.is_some() && !entry.patients.is_empty());
    }

    // It writes nothing by this, and is nobody anywhere else.
    let subject = json!({"reference": format!("Patient/{}", scene.patients[0])});
    let new = json!({"resourceType": "Condition", "subject": subject, "code": {"text": "y"}});
    assert_eq!(program.post("/fhir/R4/Condition", &new).await.status, StatusCode::FORBIDDEN);
    assert_eq!(program.send(Method::DELETE, &path, &NONE).await.status, StatusCode::FORBIDDEN);
    assert_eq!(program.get("/api/v1/people").await.status, StatusCode::FORBIDDEN);
    let listed = scene.admin.program.get("/api/v1/apps").await.expect(StatusCode::OK);
    assert_eq!(listed["apps"][0]["reads_records"], json!(true));

    // Either of the two sides takes it back alone; other roles are none of a privacy officer's business.
    let role = scene.role();
    let other = role.replace("records_reader", "service_account");
    assert_eq!(scene.officer.program.send(Method::DELETE, &other, &NONE).await.status, StatusCode::FORBIDDEN);
    scene.officer.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::FORBIDDEN).await;
    let mut later = scene.token("two", "system/*.rs").await;
    assert_eq!(later.get(&path).await.status, StatusCode::FORBIDDEN, "nor by another token");
    scene.granted().await;
    later.within_a_second(&path, StatusCode::OK).await;
    second.program.send(Method::DELETE, &role, &NONE).await.expect(StatusCode::NO_CONTENT);
    later.within_a_second(&path, StatusCode::FORBIDDEN).await;
    scene.clinic.close().await;
}

#[tokio::test]
async fn i11_what_ends_a_program_ends_its_reading_within_a_second() {
    let mut scene = Scene::set("system/*.rs").await;
    let path = format!("/fhir/R4/Patient/{}", scene.patients[0]);
    scene.granted().await;
    let mut program = scene.token("one", "system/*.rs").await;
    program.get(&path).await.expect(StatusCode::OK);
    let account = format!("/api/v1/people/{}", scene.account);
    scene.admin.program.post(&format!("{account}/suspend"), &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::FORBIDDEN).await;
    scene.admin.program.post(&format!("{account}/reinstate"), &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::OK).await;
    let disable = format!("/api/v1/apps/{}/disable", scene.client);
    scene.admin.program.post(&disable, &NONE).await.expect(StatusCode::NO_CONTENT);
    program.within_a_second(&path, StatusCode::UNAUTHORIZED).await;
    scene.clinic.close().await;
}

#[tokio::test]
async fn i11_scopes_narrow_what_a_reading_program_sees_row_by_row() {
    let scope = format!("system/Observation.rs?category={VITAL}|vital-signs");
    let mut scene = Scene::set(&format!("{scope} system/Patient.r")).await;
    let subject = json!({"reference": format!("Patient/{}", scene.patients[0])});
    let observation = |code: &str| {
        let category = json!([{"coding": [{"system": VITAL, "code": code}]}]);
        json!({"status": "final", "code": {"text": code}, "subject": subject, "category": category})
    };
    let seen = created(&mut scene.doctor.program, "Observation", observation("vital-signs")).await;
    let unseen = created(&mut scene.doctor.program, "Observation", observation("laboratory")).await;
    let patient = scene.patients[0].clone();
    let condition = condition(&mut scene.doctor, &patient).await;
    scene.granted().await;
    let mut program = scene.token("one", &scope).await;
    program.get(&format!("/fhir/R4/Observation/{seen}")).await.expect(StatusCode::OK);
    assert_eq!(program.get(&format!("/fhir/R4/Observation/{unseen}")).await.status, StatusCode::NOT_FOUND);
    assert_eq!(hits(&program.get("/fhir/R4/Observation").await), 1);
    for path in [format!("/fhir/R4/Condition/{condition}"), format!("/fhir/R4/Patient/{patient}")] {
        assert_eq!(program.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    // A token of the same program with more of its scopes sees more: it was the scope.
    let mut wider = scene.token("two", &format!("{scope} system/Patient.r")).await;
    wider.get(&format!("/fhir/R4/Patient/{patient}")).await.expect(StatusCode::OK);
    assert_eq!(wider.get("/fhir/R4/Patient").await.status, StatusCode::FORBIDDEN, "to read is not to search");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i11_reading_is_given_to_no_person_and_by_nobody_who_has_the_key() {
    let mut scene = Scene::set("system/*.rs").await;
    // Neither with an invitation nor later, by whoever it may be.
    let invited = json!({"login": "x", "name": "X", "roles": ["service_account", "records_reader"]});
    let refused = scene.admin.program.post("/api/v1/people", &invited).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, "roles-not-allowed"));
    let clerk = scene.clinic.member(&mut scene.admin, "clerk", &["service_account"]).await;
    for person in [&scene.doctor.id, &clerk.id] {
        let path = format!("/api/v1/people/{person}/roles/records_reader");
        let refused = scene.admin.program.send(Method::PUT, &path, &NONE).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    }

    // Not by the platform's operator, who can only refuse it.
    let people = PgRepository::open(&scene.clinic.vault, scene.clinic.acme.id).await.unwrap();
    let request = scene.asked().await;
    let id: uuid::Uuid = request.rsplit('/').next().unwrap().parse().unwrap();
    assert!(matches!(people.decide_as_operator(id, true).await, Err(PeopleError::NotYours)));
    people.decide_as_operator(id, false).await.unwrap();

    // Not by a privacy officer who registered the program and so could have its key, whoever asked.
    let mut both = scene.clinic.member(&mut scene.admin, "both", &["tenant_admin", "privacy_officer"]).await;
    let (client, account) = registered(&mut both, &scene.key, "system/*.rs").await;
    (scene.client, scene.account) = (client, account);
    let request = scene.asked().await;
    let approve = format!("{request}/approve");
    let own = both.program.post(&approve, &NONE).await;
    assert_eq!((own.status, own.code()), (StatusCode::CONFLICT, "not-yours-to-decide"));
    scene.officer.program.post(&approve, &NONE).await.expect(StatusCode::NO_CONTENT);
    let path = format!("/fhir/R4/Patient/{}", scene.patients[0]);
    scene.token("one", "system/*.rs").await.get(&path).await.expect(StatusCode::OK);

    // Were it in the table all the same, a session is not a program.
    let forced = format!(
        "INSERT INTO {{s}}.role_grant (id, person, role, granted_at)
         VALUES ('{0}', '{0}', 'records_reader', now())",
        clerk.id
    );
    scene.clinic.as_superuser("operations", &forced).await;
    let mut session = scene.clinic.sign_in(&clerk).await;
    let me = session.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!(me["roles"], json!(["service_account"]));
    assert_eq!(session.get(&path).await.status, StatusCode::FORBIDDEN);
    // Nor is an app that asks in that person's name.
    let person = Person {
        tenant: scene.clinic.acme.id,
        id: clerk.id.parse().unwrap(),
        session: SessionId::from_uuid(uuid::Uuid::nil()),
        token: String::new(),
    };
    let let_in = AppSpec { bound: false, ..AppSpec::default() };
    let mut app = scene.clinic.program("acme");
    app.token = Some(scene.clinic.platform.app(&person, let_in).await.person.token);
    assert_eq!(app.get(&path).await.status, StatusCode::FORBIDDEN);
    let own = AppSpec { scopes: "system/*.rs", own: true, ..let_in };
    app.token = Some(scene.clinic.platform.app(&person, own).await.person.token);
    app.get(&path).await.expect(StatusCode::OK);
    scene.clinic.close().await;
}
