//! I1: the first administrator, invitations, enrolment, and what a newcomer may do then.

use carekeep_gateway::api::identity::{FirstAdminError, first_admin_invite};
use carekeep_identity::storage::PeopleError;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Program};

fn patient(family: &str) -> Value {
    json!({"resourceType": "Patient", "name": [{"family": family, "given": ["Ida"]}], "birthDate": "1971-03-04"})
}

async fn create_patient(program: &mut Program, family: &str) -> String {
    let made = program.post("/fhir/R4/Patient", &patient(family)).await.expect(StatusCode::CREATED);
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn i1_an_invited_clinician_joins_signs_in_and_works_with_a_chart() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let member = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut program = clinic.sign_in(&member).await;
    let me = program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!((&me["roles"], &me["aal"]), (&json!(["clinician"]), &json!(2)));
    assert_eq!((&me["login"], &me["tenant"]), (&json!("dr.meyer"), &json!("Clinic acme")));

    let id = create_patient(&mut program, "Okonkwo").await;
    let read = program.get(&format!("/fhir/R4/Patient/{id}")).await.expect(StatusCode::OK);
    assert_eq!(read["name"], patient("Okonkwo")["name"]);
    let found = program.get("/fhir/R4/Patient?name=Okonkwo").await.expect(StatusCode::OK);
    assert_eq!(found["entry"][0]["resource"]["id"], id.as_str());
    let none = program.get("/fhir/R4/Patient?name=Nobody").await.expect(StatusCode::OK);
    assert!(none["entry"].as_array().is_none_or(Vec::is_empty), "{none}");
    clinic.close().await;
}

#[tokio::test]
async fn i1_the_first_administrator_is_invited_once_and_by_nobody_else() {
    let clinic = Clinic::open().await;
    let tenant = clinic.acme.id;
    let invite = |login: &'static str| first_admin_invite(&clinic.vault, tenant, login, "Ada Novak");
    // Until the link was used it can be made anew; the older one is dead then.
    let lost = invite("ada.admin").await.unwrap();
    let kept = invite("ada.admin").await.unwrap();
    let mut program = clinic.program("acme");
    let accept = |token: &str| json!({ "token": token });
    let refused = program.post("/api/v1/invites/accept", &accept(lost.token.reveal())).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::GONE, "invitation-not-valid"));
    let mut admin = clinic.join("ada.admin", kept.token.reveal()).await;
    assert!(matches!(invite("ada.admin").await, Err(FirstAdminError::People(PeopleError::SetUp))));
    assert!(matches!(invite("eve.admin").await, Err(FirstAdminError::People(PeopleError::NotEmpty))));
    // A used link and one that never was answer alike.
    let used = program.post("/api/v1/invites/accept", &accept(kept.token.reveal())).await;
    let never = program.post("/api/v1/invites/accept", &accept("cki_no")).await;
    assert_eq!((used.status, used.without_instance()), (StatusCode::GONE, never.without_instance()));

    // Invitations to a person with a login name that is taken, to no role, to a role that there is not.
    let person = |login: &str, roles: Value| json!({"login": login, "name": "N. N.", "roles": roles});
    for (body, code) in [
        (person("Ada.Admin", json!(["nurse"])), "login-taken"),
        (person("b", json!([])), "roles-not-allowed"),
        (person("b", json!(["docter"])), "roles-not-allowed"),
        (person("b c", json!(["nurse"])), "login-not-allowed"),
        (json!({"login": "b", "name": " ", "roles": ["nurse"]}), "name-not-allowed"),
        (json!({"login": "b", "name": "B", "roles": ["nurse"], "admin": true}), "unprocessable-body"),
    ] {
        let refused = admin.program.post("/api/v1/people", &body).await;
        assert_eq!(refused.code(), code, "{}", refused.text);
    }
    let people = admin.program.get("/api/v1/people?limit=10").await.expect(StatusCode::OK);
    assert_eq!(people["people"].as_array().unwrap().len(), 1);
    assert_eq!(people["people"][0]["roles"], json!(["tenant_admin"]));
    clinic.close().await;
}

#[tokio::test]
async fn i10_people_are_listed_page_by_page_or_by_their_ids() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    // Ids are in the order of time.
    clinic.clock.advance(std::time::Duration::from_secs(1));
    let mut nurse = clinic.member(&mut admin, "nurse.costa", &["nurse"]).await;
    clinic.clock.advance(std::time::Duration::from_secs(1));
    let doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let ids = |answer: &Value| -> Vec<String> {
        let people = answer["people"].as_array().unwrap().iter();
        people.map(|person| person["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut get = async |query: &str| admin.program.get(&format!("/api/v1/people?{query}")).await;
    let first = get("limit=2").await.expect(StatusCode::OK);
    assert_eq!((ids(&first).len(), &first["next"]), (2, &json!(nurse.id)));
    let rest = get(&format!("limit=2&after={}", nurse.id)).await.expect(StatusCode::OK);
    assert_eq!((ids(&rest), &rest["next"]), (vec![doctor.id.clone()], &Value::Null));

    // One of them, whoever else is asked about: somebody of another tenant, or nobody, is left out.
    let stranger = clinic.platform.person(clinic.bolt.id, carekeep_testkit::PersonSpec::default()).await;
    let nobody = "018bcfe5-6800-7000-8000-000000000001";
    let found = get(&format!("ids={},{nobody},{}", doctor.id, stranger.id)).await.expect(StatusCode::OK);
    assert_eq!(
        (ids(&found), &found["people"][0]["name"]),
        (vec![doctor.id.clone()], &json!("Name of dr.meyer"))
    );
    for bad in ["ids=", "ids=x", &format!("ids={nobody}&limit=1"), &format!("ids={nobody}&after={nobody}")] {
        assert_eq!(get(bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    // Who may not list people does not find them by their ids either.
    let refused = nurse.program.get(&format!("/api/v1/people?ids={}", doctor.id)).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    clinic.close().await;
}

#[tokio::test]
async fn p1_only_an_administrator_invites_and_only_a_manager_says_who_cares_for_whom() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut nurse = clinic.member(&mut admin, "nurse.costa", &["nurse"]).await;
    let mut manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await;
    let body = json!({"login": "eve", "name": "Eve", "roles": ["tenant_admin"]});
    for member in [&mut doctor, &mut nurse, &mut manager] {
        for (method, path, body) in
            [(Method::POST, "/api/v1/people", &body), (Method::GET, "/api/v1/people", &Value::Null)]
        {
            let refused = member.program.send(method, path, body).await;
            assert_eq!(
                (refused.status, refused.code()),
                (StatusCode::FORBIDDEN, "forbidden"),
                "{}",
                refused.text
            );
        }
    }
    let id = create_patient(&mut doctor.program, "Okonkwo").await;
    let chart = format!("/fhir/R4/Patient/{id}");
    assert_eq!(nurse.program.get(&chart).await.status, StatusCode::NOT_FOUND);
    let team = format!("/api/v1/patients/{id}/care-team/{}", nurse.id);
    for member in [&mut nurse, &mut admin, &mut doctor] {
        let refused = member.program.send(Method::PUT, &team, &Value::Null).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}: {}", member.login, refused.text);
    }
    let nobody = manager.id.replace(|c: char| c.is_ascii_digit(), "0");
    for (path, status) in [
        (format!("/api/v1/patients/{id}/care-team/{nobody}"), StatusCode::NOT_FOUND),
        (format!("/api/v1/patients/{}/care-team/{}", nurse.id, nurse.id), StatusCode::NOT_FOUND),
        ("/api/v1/patients/x/care-team/y".to_owned(), StatusCode::NOT_FOUND),
        (team, StatusCode::NO_CONTENT),
    ] {
        let answer = manager.program.send(Method::PUT, &path, &Value::Null).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
    }
    assert_eq!(nurse.program.get(&chart).await.status, StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn p1_a_patients_account_is_given_by_whoever_may_read_the_chart_and_by_nobody_else() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let mut other = clinic.member(&mut admin, "dr.okafor", &["clinician"]).await;
    let (own, foreign) = (
        create_patient(&mut doctor.program, "Okonkwo").await,
        create_patient(&mut doctor.program, "Lind").await,
    );
    let account = format!("/api/v1/patients/{own}/account");
    let names = json!({"login": "ida", "name": "Ida Okonkwo"});

    // Who runs the clinic gives nobody a chart, by no way.
    let refused = admin.program.post(&account, &names).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::FORBIDDEN, "forbidden"));
    let as_patient = json!({"login": "ida", "name": "Ida", "roles": ["patient"]});
    let refused = admin.program.post("/api/v1/people", &as_patient).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "patients-account"));
    let with_chart = json!({"login": "ida", "name": "Ida", "roles": ["nurse"], "patient": own});
    let refused = admin.program.post("/api/v1/people", &with_chart).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text);

    // A colleague without a relation to the patient learns as little as of a chart that is not there.
    let refused = other.program.post(&account, &names).await;
    let absent = format!("/api/v1/patients/{}/account", doctor.id);
    let absent = other.program.post(&absent, &names).await;
    assert_eq!(
        (refused.status, refused.without_instance()),
        (StatusCode::NOT_FOUND, absent.without_instance())
    );

    // Until the patient has joined, another invitation takes the place of the one before, under other names if need be.
    let mistyped = json!({"login": "idda", "name": "Idda Okonkwo"});
    let first = doctor.program.post(&account, &mistyped).await.expect(StatusCode::CREATED);
    let person = first["person"].as_str().unwrap();
    let refused =
        admin.program.post(&format!("/api/v1/people/{person}/invite"), &json!({"roles": ["nurse"]})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "patients-account"));
    let taken = json!({"login": "dr.okafor", "name": "Ida"});
    assert_eq!(doctor.program.post(&account, &taken).await.code(), "login-taken");
    let second = doctor.program.post(&account, &names).await.expect(StatusCode::CREATED);
    assert_eq!(second["person"], person);
    let dead = json!({"token": first["token"]});
    let dead = clinic.program("acme").post("/api/v1/invites/accept", &dead).await;
    assert_eq!(dead.code(), "invitation-not-valid");

    let mut ida = clinic.join("ida", second["token"].as_str().unwrap()).await;
    assert_eq!(ida.id, person);
    let me = ida.program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!((&me["login"], &me["roles"]), (&json!("ida"), &json!(["patient"])));
    let chart = |id: &str| format!("/fhir/R4/Patient/{id}");
    ida.program.get(&chart(&own)).await.expect(StatusCode::OK);
    assert_eq!(ida.program.get(&chart(&foreign)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(doctor.program.post(&account, &names).await.code(), "person-set-up");
    let people = admin.program.get("/api/v1/people").await.expect(StatusCode::OK);
    assert!(people.to_string().contains(person) && !people.to_string().contains(&own), "{people}");
    clinic.close().await;
}

#[tokio::test]
async fn i1_an_enrolment_may_do_nothing_but_enrol() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let body = json!({"login": "dr.meyer", "name": "Lena Meyer", "roles": ["clinician"]});
    let invited = admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);
    let token = invited["token"].as_str().unwrap();
    assert_eq!(invited["link"], format!("{}/join#{token}", clinic.origin("acme")));
    let mut program = clinic.program("acme");
    program.post("/api/v1/invites/accept", &json!({ "token": token })).await.expect(StatusCode::OK);
    for path in ["/api/v1/me", "/api/v1/sessions", "/api/v1/people", "/fhir/R4/Patient"] {
        let refused = program.get(path).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}: {}", refused.text);
    }
    let early = program.post("/api/v1/enrol/recovery-codes", &Value::Null).await;
    assert_eq!((early.status, early.code()), (StatusCode::CONFLICT, "step-out-of-order"));
    for (password, says) in [("zq7!k", "password-not-allowed"), ("password1", "password-not-allowed")] {
        let refused = program.post("/api/v1/enrol/password", &json!({"password": password})).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, says));
        assert!(!refused.text.contains(password), "{}", refused.text);
    }
    let refused = program.post("/api/v1/enrol/totp/confirm", &json!({"code": "000000"})).await;
    assert_eq!(refused.code(), "sign-in-refused", "nothing is waiting for a code");
    clinic.close().await;
}
