//! I2, I3: wrong and unknown look alike, codes work once, guesses are few.

use carekeep_gateway::limits::{LaneLimit, LimiterConfig};
use carekeep_ledger::Outcome;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Clinic, PASSWORD};

#[tokio::test]
async fn i2_a_wrong_password_and_an_unknown_login_answer_alike() {
    let clinic = Clinic::open().await;
    clinic.admin().await;
    let mut program = clinic.program("acme");
    let attempt = |login: &str, password: &str| json!({"login": login, "password": password});
    let path = "/api/v1/sign-in/password";
    let wrong = program.post(path, &attempt("ada.admin", "pelican tangerine lodger")).await;
    let unknown = program.post(path, &attempt("ava.admin", "pelican tangerine lodger")).await;
    let no_name = program.post(path, &attempt("a b", "pelican tangerine lodger")).await;
    assert_eq!((wrong.status, wrong.code()), (StatusCode::UNAUTHORIZED, "sign-in-refused"));
    assert_eq!(wrong.without_instance().to_string(), unknown.without_instance().to_string());
    assert_eq!(wrong.without_instance().to_string(), no_name.without_instance().to_string());
    assert_eq!(wrong.text.len(), unknown.text.len());
    let names = |answer: &crate::support::Answer| {
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    };
    assert_eq!(names(&wrong), names(&unknown));
    // The control: the right one, in another spelling of the name.
    let right = program.post(path, &attempt(" Ada.Admin ", PASSWORD)).await.expect(StatusCode::OK);
    assert_eq!((&right["next"], &right["factors"]), (&json!("second_factor"), &json!(["totp"])));
    clinic.close().await;
}

#[tokio::test]
async fn i1_beginning_with_a_passkey_counts_as_an_attempt_to_sign_in() {
    let rates =
        LimiterConfig { sign_in_address: LaneLimit::per_seconds(6, 600), ..LimiterConfig::new([1; 32]) };
    let clinic = Clinic::open_with(&rates).await;
    let mut program = clinic.program("acme");
    let begin = "/api/v1/sign-in/passkey/begin";
    for _ in 0..6 {
        program.post(begin, &Value::Null).await.expect(StatusCode::OK);
    }
    let refused = program.post(begin, &Value::Null).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too-many-requests"));
    assert_eq!(refused.body["lane"], "sign-in-address", "{}", refused.text);
    // It is the lane of sign-in by password, and of nothing else.
    let attempt = json!({"login": "ada.admin", "password": PASSWORD});
    assert_eq!(
        program.post("/api/v1/sign-in/password", &attempt).await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    program.get("/fhir/R4/metadata").await.expect(StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn i3_a_code_works_once_and_a_half_session_sees_nothing() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let credentials = json!({"login": "ada.admin", "password": PASSWORD});
    let mut one = clinic.program("acme");
    one.post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    let half = one.get("/api/v1/me").await;
    assert_eq!((half.status, half.code()), (StatusCode::UNAUTHORIZED, "sign-in-unfinished"));
    assert_eq!(one.get("/fhir/R4/Patient").await.status, StatusCode::UNAUTHORIZED);
    let early = one.post("/api/v1/enrol/totp/begin", &Value::Null).await;
    assert_eq!(
        early.code(),
        "step-out-of-order",
        "who has the password only may not enrol the second factor"
    );
    let code = clinic.next_code(&admin.secret);
    let half_token = one.token.clone();
    one.post("/api/v1/sign-in/totp", &json!({"code": code})).await.expect(StatusCode::OK);
    one.get("/api/v1/me").await.expect(StatusCode::OK);
    // The step gave a new token; the old one is nobody's.
    let mut old = clinic.program("acme");
    old.token = half_token;
    let refused = old.post("/api/v1/sign-in/totp", &json!({"code": code})).await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));

    let mut two = clinic.program("acme");
    two.post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    let replayed = two.post("/api/v1/sign-in/totp", &json!({"code": code})).await;
    assert_eq!((replayed.status, replayed.code()), (StatusCode::UNAUTHORIZED, "sign-in-refused"));
    let fresh = clinic.next_code(&admin.secret);
    two.post("/api/v1/sign-in/totp", &json!({"code": fresh})).await.expect(StatusCode::OK);
    // Nobody signs in with a code alone.
    let mut three = clinic.program("acme");
    let code = clinic.next_code(&admin.secret);
    let alone = three.post("/api/v1/sign-in/totp", &json!({"code": code})).await;
    assert_eq!((alone.status, alone.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
    clinic.close().await;
}

#[tokio::test]
async fn bar_i6_a_recovery_code_works_once_and_asks_for_a_new_factor() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let made = admin.program.post("/api/v1/enrol/recovery-codes", &Value::Null).await.expect(StatusCode::OK);
    let codes: Vec<&str> =
        made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(codes.len(), 10);
    let credentials = json!({"login": "ada.admin", "password": PASSWORD});
    let mut program = clinic.program("acme");
    let step = program.post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    assert_eq!(step["factors"], json!(["totp", "recovery_code"]));
    let path = "/api/v1/sign-in/recovery-code";
    let wrong = program.post(path, &json!({"code": "0000-0000-0000-0000-0000-0000"})).await;
    assert_eq!(wrong.code(), "sign-in-refused");
    let step = program.post(path, &json!({"code": codes[0].to_lowercase()})).await.expect(StatusCode::OK);
    assert_eq!((&step["next"], &step["must_reenrol"]), (&json!("done"), &json!(true)));
    let me = program.get("/api/v1/me").await.expect(StatusCode::OK);
    assert_eq!((&me["must_reenrol"], &me["aal"]), (&json!(true), &json!(1)));
    // One factor until there is a second one again.
    let refused = program.get("/api/v1/people").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "sign-in-unfinished"));
    let setup = program.post("/api/v1/enrol/totp/begin", &Value::Null).await.expect(StatusCode::OK);
    let secret = data_encoding::BASE32_NOPAD.decode(setup["secret"].as_str().unwrap().as_bytes()).unwrap();
    let code = clinic.code(&secret.try_into().unwrap());
    let step =
        program.post("/api/v1/enrol/totp/confirm", &json!({"code": code})).await.expect(StatusCode::OK);
    assert_eq!((&step["next"], &step["must_reenrol"]), (&json!("done"), &json!(false)));
    program.get("/api/v1/people").await.expect(StatusCode::OK);

    let mut again = clinic.program("acme");
    again.post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    let used = again.post(path, &json!({"code": codes[0]})).await;
    assert_eq!((used.status, used.code()), (StatusCode::UNAUTHORIZED, "sign-in-refused"));
    again.post(path, &json!({"code": codes[1]})).await.expect(StatusCode::OK);
    clinic.close().await;
}

#[tokio::test]
async fn bar_i5_guesses_at_a_login_are_few_whether_somebody_has_it_or_not() {
    let clinic = Clinic::open().await;
    clinic.admin().await;
    let mut seen = Vec::new();
    for login in ["ada.admin", "nobody.here"] {
        let mut program = clinic.program("acme");
        let mut answers = Vec::new();
        for guess in 0..12 {
            let body = json!({"login": login, "password": format!("guess number {guess}")});
            let answer = program.post("/api/v1/sign-in/password", &body).await;
            answers.push((
                answer.status,
                answer.code().to_owned(),
                answer.headers.contains_key("retry-after"),
            ));
        }
        assert_eq!(answers[0], (StatusCode::UNAUTHORIZED, "sign-in-refused".to_owned(), false));
        assert_eq!(answers[11], (StatusCode::TOO_MANY_REQUESTS, "too-many-requests".to_owned(), true));
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    clinic.close().await;
}

#[tokio::test]
async fn a1_signing_in_is_on_record_before_a_token_leaves_and_without_a_record_none_does() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let mut seen = 0;
    let mut news = async || -> Vec<(String, Outcome, u8)> {
        let entries = clinic.entries().await.split_off(seen);
        seen += entries.len();
        entries.into_iter().map(|entry| (entry.action, entry.outcome, entry.actor.aal)).collect()
    };
    let event = |action: &str, outcome: Outcome, aal: u8| (action.to_owned(), outcome, aal);
    let joined = news().await;
    for (action, aal) in [("accept_invite", 1), ("enrol_password", 1), ("enrol_totp", 2)] {
        assert!(joined.contains(&event(action, Outcome::Permitted, aal)), "{action}: {joined:?}");
    }

    let credentials = json!({"login": "ada.admin", "password": PASSWORD});
    let mut program = clinic.program("acme");
    program.post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    let right = clinic.next_code(&admin.secret);
    let wrong = if right == "000000" { "111111" } else { "000000" };
    assert_eq!(program.post("/api/v1/sign-in/totp", &json!({"code": wrong})).await.code(), "sign-in-refused");
    program.post("/api/v1/sign-in/totp", &json!({"code": right})).await.expect(StatusCode::OK);
    program
        .post("/api/v1/sign-in/totp", &json!({"code": clinic.next_code(&admin.secret)}))
        .await
        .expect(StatusCode::OK);
    program.post("/api/v1/sign-out", &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let expected = [
        event("sign_in_by_password", Outcome::Permitted, 1),
        event("sign_in_by_totp", Outcome::Denied, 1),
        event("sign_in_by_totp", Outcome::Permitted, 2),
        event("step_up_by_totp", Outcome::Permitted, 2),
        event("sign_out", Outcome::Permitted, 2),
    ];
    assert_eq!(news().await, expected);

    // The sink is broken: nobody gets in.
    clinic.as_superuser("clinical", "ALTER TABLE {s}.audit_entry RENAME TO elsewhere").await;
    let refused = clinic.program("acme").post("/api/v1/sign-in/password", &credentials).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{}", refused.text);
    assert!(!refused.text.contains("cks_"), "{}", refused.text);
    clinic.as_superuser("clinical", "ALTER TABLE {s}.elsewhere RENAME TO audit_entry").await;
    clinic.program("acme").post("/api/v1/sign-in/password", &credentials).await.expect(StatusCode::OK);
    clinic.close().await;
}
