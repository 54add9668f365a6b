//! I13: people see what happened to their accounts, and administrators whose ways in are weak.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Clinic, Program};

async fn notices(program: &mut Program) -> Vec<Value> {
    program.get("/api/v1/notices").await.expect(StatusCode::OK)["notices"].as_array().unwrap().clone()
}

/// Kind and what it is about, the newest first.
fn words(notices: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    notices.iter().map(|notice| (text(&notice["kind"]), text(&notice["about"]))).collect()
}

fn has(notices: &[Value], kind: &str, about: &str) -> bool {
    words(notices).contains(&(kind.to_owned(), about.to_owned()))
}

#[tokio::test]
async fn i13_what_happens_to_an_account_is_told_to_its_person_and_to_nobody_else() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let doctor = clinic.member(&mut admin, "dr.notices", &["clinician"]).await;
    let mut phone = clinic.sign_in_from(&doctor, Some("new")).await;
    let told = notices(&mut phone).await;
    assert_eq!(words(&told)[0], ("new_device".to_owned(), "Program".to_owned()));
    assert!(has(&told, "factor_added", "password") && has(&told, "factor_added", "totp"));
    clinic.clock.advance(Duration::from_secs(1));
    // Seen up to what was shown, and not beyond.
    let until = json!({"until": told[0]["id"]});
    phone.post("/api/v1/notices/seen", &until).await.expect(StatusCode::NO_CONTENT);
    let made = phone.post("/api/v1/enrol/recovery-codes", &Value::Null).await.expect(StatusCode::OK);
    for (method, word) in [(Method::PUT, "role_given"), (Method::DELETE, "role_taken")] {
        let role = format!("/api/v1/people/{}/roles/nurse", doctor.id);
        admin.program.send(method, &role, &Value::Null).await;
        assert!(has(&notices(&mut phone).await, word, "nurse"), "{word}");
    }
    let seen = |notices: &[Value]| notices.iter().filter(|notice| notice["seen"] == true).count();
    let now = notices(&mut phone).await;
    assert_eq!((seen(&now), now.len() - seen(&now)), (told.len(), 3));

    // A device that is known is no news; a recovery code is.
    let mut program = Program { device: phone.device.clone(), ..clinic.program("acme") };
    let password = json!({"login": doctor.login, "password": crate::support::PASSWORD});
    program.post("/api/v1/sign-in/password", &password).await.expect(StatusCode::OK);
    clinic.clock.advance(Duration::from_secs(1));
    let code = json!({"code": made["codes"][0]});
    program.post("/api/v1/sign-in/recovery-code", &code).await.expect(StatusCode::OK);
    let now = notices(&mut phone).await;
    assert_eq!(words(&now)[0].0, "recovery_code_used");
    assert_eq!(words(&now).iter().filter(|(kind, _)| kind == "new_device").count(), 1);
    // Whoever used it cannot say that it was seen; whoever has two factors can.
    let until = json!({"until": now[0]["id"]});
    let refused = program.post("/api/v1/notices/seen", &until).await;
    assert_eq!(refused.code(), "sign-in-unfinished");
    assert_eq!(notices(&mut phone).await[0]["seen"], false);
    phone.post("/api/v1/notices/seen", &until).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(notices(&mut phone).await[0]["seen"], true);
    assert!(!words(&notices(&mut admin.program).await).iter().any(|(kind, _)| kind == "recovery_code_used"));
    clinic.close().await;
}

#[tokio::test]
async fn i13_an_administrator_sees_whose_ways_in_are_weak() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut strong = clinic.member(&mut admin, "dr.strong", &["clinician"]).await;
    let key = crate::soft_keys::Key::bound();
    let begun = strong.program.post("/api/v1/enrol/passkey/begin", &Value::Null).await.expect(StatusCode::OK);
    let made = key.register(&begun, &clinic.origin("acme"));
    strong.program.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    strong.program.post("/api/v1/enrol/recovery-codes", &Value::Null).await.expect(StatusCode::OK);
    let mut weak = clinic.member(&mut admin, "dr.weak", &["clinician"]).await;
    let body = json!({"login": "not.yet", "name": "Not Yet", "roles": ["nurse"]});
    admin.program.post("/api/v1/people", &body).await.expect(StatusCode::CREATED);

    let report = "/api/v1/people/weak-factors";
    let shown = admin.program.get(report).await.expect(StatusCode::OK);
    let people = shown["people"].as_array().unwrap();
    let why =
        |login: &str| people.iter().find(|person| person["login"] == login).map(|person| &person["why"]);
    assert_eq!(why("dr.strong"), None);
    assert_eq!(why("dr.weak"), Some(&json!(["no_passkey", "few_recovery_codes"])));
    assert_eq!(why("not.yet"), Some(&json!(["never_joined"])));
    assert_eq!(weak.program.get(report).await.status, StatusCode::FORBIDDEN);
    // Page by page it is the same.
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = admin.program.get(&format!("{report}?limit=1{after}")).await.expect(StatusCode::OK);
        found.extend(page["people"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(&found, people);
    clinic.close().await;
}

#[tokio::test]
async fn i13_notices_are_read_page_by_page_and_kept_for_a_time() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let doctor = clinic.member(&mut admin, "dr.pages", &["clinician"]).await;
    let mut program = clinic.sign_in(&doctor).await;
    // As time goes by, each in a millisecond of its own: ids are in the order of time.
    clinic.clock.advance(Duration::from_secs(1));
    for _ in 0..4 {
        clinic.clock.advance(Duration::from_secs(1));
        program.post("/api/v1/enrol/recovery-codes", &Value::Null).await.expect(StatusCode::OK);
    }
    let ids = |answer: &Value| -> Vec<String> {
        let notices = answer["notices"].as_array().unwrap().iter();
        notices.map(|notice| notice["id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = program.get("/api/v1/notices").await.expect(StatusCode::OK);
    assert!(whole["next"].is_null(), "all are there: {whole}");
    let (mut read, mut path) = (Vec::new(), "/api/v1/notices?limit=4".to_owned());
    loop {
        let page = program.get(&path).await.expect(StatusCode::OK);
        assert!(ids(&page).len() <= 4);
        read.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/notices?limit=4&after={next}");
    }
    assert_eq!((&read, read.len() > 4), (&ids(&whole), true));
    for bad in ["after=x", "before=x", "limit=many"] {
        let refused = program.get(&format!("/api/v1/notices?{bad}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    // Where somebody else is in their notices says nothing of one's own.
    let path = format!("/api/v1/notices?after={}", read[0]);
    let own = admin.program.get(&path).await.expect(StatusCode::OK);
    assert!(ids(&own).iter().all(|id| !read.contains(id)), "{own}");

    // The older half is seen; what is swept is swept when anybody's session begins.
    let until = json!({"until": read[2]});
    program.post("/api/v1/notices/seen", &until).await.expect(StatusCode::NO_CONTENT);
    let left = async |after: Duration| {
        clinic.clock.advance(after);
        let mut program = clinic.sign_in(&doctor).await;
        ids(&program.get("/api/v1/notices").await.expect(StatusCode::OK))
    };
    assert_eq!(left(DAY * 90 - Duration::from_secs(60)).await, read);
    assert_eq!(left(Duration::from_secs(60)).await, read[..2], "what was not seen stays");
    assert_eq!(left(DAY * 275 - Duration::from_secs(120)).await, read[..2]);
    assert_eq!(left(Duration::from_secs(120)).await, Vec::<String>::new());
    clinic.close().await;
}
