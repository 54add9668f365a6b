//! I11: an app is registered, reviewed, let in, and gets what was allowed: over HTTP, as an app and its person do it.

use std::time::Duration;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_2048_8192_SHA256},
};
use carekeep_kernel::Clock as _;
use data_encoding::BASE64URL_NOPAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Answer, Clinic, Program},
    ward::{GRANTED, REDIRECT, SCOPES, VERIFIER, Ward, created, form, parameter, registration},
};

/// The claims of an id token, if the published keys verify it.
async fn verified(clinic: &Clinic, token: &str) -> Value {
    let keys = clinic.program("acme").get("/oauth/jwks").await.expect(StatusCode::OK);
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (head, claims) = message.split_once('.').unwrap();
    let json = |text: &str| -> Value {
        serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap()
    };
    let kid = json(head)["kid"].clone();
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid).unwrap().clone();
    let part = |name: &str| BASE64URL_NOPAD.decode(key[name].as_str().unwrap().as_bytes()).unwrap();
    let public = PublicKeyComponents { n: part("n"), e: part("e") };
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    public.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).unwrap();
    json(claims)
}

#[tokio::test]
async fn i11_an_app_that_a_person_lets_in_reads_one_chart_and_nothing_else() {
    let mut ward = Ward::open().await;
    // Nobody looked at it yet.
    assert_eq!(ward.authorize(&ward.query(&[])).await.status, StatusCode::BAD_REQUEST);
    ward.approve().await;
    let query = ward.query(&[]);
    let sent = ward.authorize(&query).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert_eq!(sent.headers["location"], format!("/consent?{query}").as_str());
    let asked = ward.doctor.program.get(&format!("/api/v1/consent?{query}")).await.expect(StatusCode::OK);
    assert_eq!(
        (&asked["app"], &asked["site"], &asked["patient"], &asked["offline"]),
        (&json!("Growth Chart"), &json!("https://app.example"), &json!("pick"), &json!(true))
    );
    assert_eq!(asked["scopes"][1]["means"], "See everything in the chart of one patient");

    let code = ward.code().await;
    let token = ward.exchange(&code).await;
    assert_eq!(token.headers["cache-control"], "no-store");
    assert_eq!(token.headers["pragma"], "no-cache");
    let token = token.expect(StatusCode::OK);
    assert_eq!(
        (&token["token_type"], &token["expires_in"], &token["scope"], &token["patient"]),
        (&json!("Bearer"), &json!(300), &json!(GRANTED), &json!(ward.own))
    );
    let claims = verified(&ward.clinic, token["id_token"].as_str().unwrap()).await;
    assert_eq!(
        (&claims["iss"], &claims["aud"], &claims["sub"], &claims["nonce"]),
        (&json!(ward.clinic.origin("acme")), &json!(ward.client), &json!(ward.doctor.id), &json!("n1"))
    );

    let mut app = ward.app(&token);
    app.get(&format!("/fhir/R4/Patient/{}", ward.own)).await.expect(StatusCode::OK);
    let other = format!("/fhir/R4/Patient/{}", ward.other);
    ward.doctor.program.get(&other).await.expect(StatusCode::OK);
    assert_eq!(app.get(&other).await.status, StatusCode::NOT_FOUND);
    let found = app.get("/fhir/R4/Condition").await.expect(StatusCode::OK);
    let subjects: Vec<&Value> = found["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hit| &hit["resource"]["subject"]["reference"])
        .collect();
    assert_eq!(subjects, [&json!(format!("Patient/{}", ward.own))]);
    let new = json!({"resourceType": "Condition", "subject": {"reference": format!("Patient/{}", ward.own)}});
    assert_eq!(app.post("/fhir/R4/Condition", &new).await.status, StatusCode::FORBIDDEN);
    ward.doctor.program.post("/fhir/R4/Condition", &new).await.expect(StatusCode::CREATED);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_an_apps_token_opens_nothing_but_fhir() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let code = ward.code().await;
    let token = ward.exchange(&code).await.expect(StatusCode::OK);
    let mut app = ward.app(&token);
    app.get(&format!("/fhir/R4/Patient/{}", ward.own)).await.expect(StatusCode::OK);
    let query = ward.query(&[]);
    let decision = json!({"request": query, "allow": true, "patient": ward.own});
    for (method, path, body) in [
        (Method::GET, "/api/v1/me".to_owned(), Value::Null),
        (Method::GET, "/api/v1/sessions".to_owned(), Value::Null),
        (Method::POST, "/api/v1/sessions/revoke-others".to_owned(), Value::Null),
        (Method::GET, "/api/v1/passkeys".to_owned(), Value::Null),
        (Method::GET, "/api/v1/people".to_owned(), Value::Null),
        (Method::GET, "/api/v1/apps".to_owned(), Value::Null),
        (Method::GET, "/api/v1/app-grants".to_owned(), Value::Null),
        (Method::GET, format!("/api/v1/consent?{query}"), Value::Null),
        (Method::POST, "/api/v1/consent".to_owned(), decision),
        (Method::POST, "/api/v1/enrol/recovery-codes".to_owned(), Value::Null),
        (Method::POST, "/api/v1/enrol/passkey/begin".to_owned(), Value::Null),
        (Method::POST, "/api/v1/enrol/password".to_owned(), json!({"password": "walrus copper almanac"})),
        (Method::POST, "/api/v1/step-up/passkey/begin".to_owned(), Value::Null),
        (Method::POST, "/api/v1/sign-in/totp".to_owned(), json!({"code": "123456"})),
    ] {
        let answer = app.send(method, &path, &body).await;
        let refused = matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
        assert!(refused, "{path}: {} {}", answer.status, answer.text);
    }
    // The person themselves is asked for, and is still there.
    ward.doctor.program.get("/api/v1/me").await.expect(StatusCode::OK);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_a_request_that_does_not_hold_together_reaches_nobody() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    // Nobody is sent to an address that the app did not register.
    for changes in [
        [("client_id", "")],
        [("client_id", "0190f0f0-0000-7000-8000-000000000000")],
        [("redirect_uri", "https://evil.example/cb")],
        [("redirect_uri", "https://app.example/cb/")],
        [("redirect_uri", "")],
    ] {
        let refused = ward.authorize(&ward.query(&changes)).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::BAD_REQUEST, "app-request-not-valid"),
            "{changes:?}"
        );
        assert!(!refused.headers.contains_key("location"));
    }
    let twice = format!("{}&client_id={}", ward.query(&[]), ward.client);
    assert_eq!(ward.authorize(&twice).await.status, StatusCode::BAD_REQUEST);
    // What else is wrong is told to the app.
    for (changes, error) in [
        ([("response_type", "token")], "unsupported_response_type"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("aud", "https://evil.example/fhir/R4")], "invalid_request"),
        ([("aud", "")], "invalid_request"),
        ([("state", "")], "invalid_request"),
        ([("scope", "patient/*.cruds")], "invalid_scope"),
        ([("scope", "user/*.rs")], "invalid_scope"),
        ([("scope", "system/*.rs")], "invalid_scope"),
        ([("scope", "nonsense")], "invalid_scope"),
        ([("launch", "x")], "invalid_request"),
        ([("scope", "launch patient/*.rs")], "invalid_scope"),
        ([("prompt", "none")], "interaction_required"),
        ([("max_age", "-1")], "invalid_request"),
        ([("request", "x")], "request_not_supported"),
        ([("request_uri", "https://app.example/r")], "request_uri_not_supported"),
        ([("response_mode", "form_post")], "invalid_request"),
    ] {
        let query = ward.query(&changes);
        let sent = ward.authorize(&query).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{changes:?}: {}", sent.text);
        let address = sent.headers["location"].to_str().unwrap().to_owned();
        assert!(address.starts_with(REDIRECT), "{address}");
        assert_eq!(parameter(&address, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(parameter(&address, "iss"), Some(ward.clinic.origin("acme")));
        // The page's question and its answer are checked alike.
        let asked = ward.doctor.program.get(&format!("/api/v1/consent?{query}")).await;
        assert_eq!(asked.status, StatusCode::BAD_REQUEST, "{changes:?}");
        let patient = ward.own.clone();
        assert_eq!(ward.decide(&query, json!({"patient": patient})).await.status, StatusCode::BAD_REQUEST);
    }
    // A person who says no; one who chooses nobody, nothing, or somebody whom they may not see.
    let query = ward.query(&[]);
    let no = ward.decide(&query, json!({"allow": false})).await.expect(StatusCode::OK);
    let address = no["redirect_to"].as_str().unwrap();
    assert_eq!(parameter(address, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(address, "state").as_deref(), Some("s1"));
    assert_eq!(ward.decide(&query, json!({})).await.code(), "patient-needed");
    assert_eq!(ward.decide(&query, json!({"scopes": []})).await.code(), "scope-not-known");
    assert_eq!(ward.decide(&query, json!({"scopes": ["user/*.rs"]})).await.code(), "scope-not-known");
    for nobody in ["0190f0f0-0000-7000-8000-000000000000", "x"] {
        assert_eq!(ward.decide(&query, json!({"patient": nobody})).await.status, StatusCode::NOT_FOUND);
    }
    // A chart that is not theirs answers like one that is not there.
    let mut stranger = ward.clinic.member(&mut ward.admin, "dr.far", &["clinician"]).await;
    let mut about = async |patient: &str| {
        let body = json!({"request": query, "allow": true, "patient": patient});
        stranger.program.post("/api/v1/consent", &body).await
    };
    let (hidden, absent) = (about(&ward.own).await, about("0190f0f0-0000-7000-8000-000000000000").await);
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);
    assert_eq!(hidden.without_instance(), absent.without_instance());
    ward.code().await;
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_an_app_may_ask_that_the_person_has_just_presented_a_factor() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    for (asked, seconds) in [
        ([("prompt", "login")], 60),
        ([("prompt", "consent login")], 60),
        ([("max_age", "90")], 90),
        ([("max_age", "0")], 60),
    ] {
        let (query, about) = (ward.query(&asked), json!({"patient": ward.own}));
        ward.doctor.program = ward.clinic.sign_in(&ward.doctor).await;
        ward.clinic.clock.advance(Duration::from_secs(seconds));
        ward.decide(&query, about.clone()).await.expect(StatusCode::OK);
        ward.clinic.clock.advance(Duration::from_secs(1));
        let refused = ward.decide(&query, about.clone()).await;
        assert_eq!(
            (refused.status, refused.code()),
            (StatusCode::FORBIDDEN, "fresh-factor-needed"),
            "{asked:?}"
        );
        // Others are let in as they were, and so is this one once the person has confirmed that it is them.
        ward.code().await;
        ward.doctor.program = ward.clinic.sign_in(&ward.doctor).await;
        ward.decide(&query, about).await.expect(StatusCode::OK);
    }
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_a_token_that_is_not_on_record_is_not_given_and_uses_nothing_up() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let code = ward.code().await;
    let audit = async |ward: &Ward, works: bool| {
        let sql = if works {
            "GRANT INSERT ON {s}.audit_entry TO {s}_c"
        } else {
            "REVOKE INSERT ON {s}.audit_entry FROM {s}_c"
        };
        ward.clinic.as_superuser("clinical", sql).await;
    };
    audit(&ward, false).await;
    assert_eq!(ward.exchange(&code).await.status, StatusCode::SERVICE_UNAVAILABLE);
    audit(&ward, true).await;
    let first = ward.exchange(&code).await.expect(StatusCode::OK);
    let refresh = first["refresh_token"].as_str().unwrap();
    audit(&ward, false).await;
    assert_eq!(ward.refresh(refresh).await.status, StatusCode::SERVICE_UNAVAILABLE);
    audit(&ward, true).await;
    ward.refresh(refresh).await.expect(StatusCode::OK);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_tokens_are_refreshed_told_about_revoked_and_withdrawn() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let code = ward.code().await;
    let first = ward.exchange(&code).await.expect(StatusCode::OK);
    let first_refresh = first["refresh_token"].as_str().unwrap().to_owned();
    let second = ward.refresh(&first_refresh).await.expect(StatusCode::OK);
    let path = format!("/fhir/R4/Patient/{}", ward.own);
    ward.app(&second).get(&path).await.expect(StatusCode::OK);
    let client = ward.client.clone();
    let access = second["access_token"].as_str().unwrap().to_owned();
    let about = [("token", access.as_str()), ("client_id", client.as_str())];
    let told = ward.form("/oauth/introspect", &about).await.expect(StatusCode::OK);
    assert_eq!(
        (&told["active"], &told["scope"], &told["client_id"], &told["patient"], &told["sub"]),
        (&json!(true), &json!(GRANTED), &json!(client), &json!(ward.own), &json!(ward.doctor.id))
    );
    // A refresh token that comes a second time ends the whole family.
    let again = ward.refresh(&first_refresh).await;
    assert_eq!((again.status, &again.body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    let refresh = second["refresh_token"].as_str().unwrap();
    assert_eq!(ward.refresh(refresh).await.status, StatusCode::BAD_REQUEST);
    let told = ward.form("/oauth/introspect", &about).await.expect(StatusCode::OK);
    assert_eq!(told, json!({"active": false}));
    ends_within_a_second(ward.app(&second), &path).await;

    // The app gives its token back; the person takes back what was given.
    let code = ward.code().await;
    let third = ward.exchange(&code).await.expect(StatusCode::OK);
    let access = third["access_token"].as_str().unwrap().to_owned();
    ward.app(&third).get(&path).await.expect(StatusCode::OK);
    let about = [("token", access.as_str()), ("client_id", client.as_str())];
    ward.form("/oauth/revoke", &about).await.expect(StatusCode::OK);
    ends_within_a_second(ward.app(&third), &path).await;
    let fourth = ward.refresh(third["refresh_token"].as_str().unwrap()).await.expect(StatusCode::OK);
    let grants = ward.doctor.program.get("/api/v1/app-grants").await.expect(StatusCode::OK);
    let grants = grants["grants"].as_array().unwrap();
    assert_eq!(grants.len(), 1, "the first ended with its family");
    assert_eq!((&grants[0]["app"], &grants[0]["offline"]), (&json!("Growth Chart"), &json!(true)));
    let one = format!("/api/v1/app-grants/{}", grants[0]["id"].as_str().unwrap());
    let nobodys = ward.admin.program.send(Method::DELETE, &one, &Value::Null).await;
    assert_eq!(nobodys.status, StatusCode::NOT_FOUND);
    ward.app(&fourth).get(&path).await.expect(StatusCode::OK);
    ward.doctor.program.send(Method::DELETE, &one, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    ends_within_a_second(ward.app(&fourth), &path).await;
    let entries = ward.clinic.entries().await;
    // What is not there was not withdrawn either.
    for (action, times) in [("allow_app", 2), ("issue_token", 4), ("withdraw_app", 1)] {
        let entries: Vec<_> = entries.iter().filter(|entry| entry.action == action).collect();
        assert_eq!(entries.len(), times, "{action}");
        assert!(entries.iter().all(|entry| entry.detail.is_some()), "which app it was");
    }

    // So does the tenant.
    let code = ward.code().await;
    let fifth = ward.exchange(&code).await.expect(StatusCode::OK);
    ward.app(&fifth).get(&path).await.expect(StatusCode::OK);
    let disable = format!("/api/v1/apps/{client}/disable");
    ward.admin.program.post(&disable, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    ends_within_a_second(ward.app(&fifth), &path).await;
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_an_app_without_a_secret_refreshes_without_saying_who_it_is_and_no_other_does() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let code = ward.code().await;
    let first = ward.exchange(&code).await.expect(StatusCode::OK);
    let nameless = async |ward: &Ward, token: &str| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        ward.form("/oauth/token", &fields).await
    };
    let refresh = first["refresh_token"].as_str().unwrap();
    let second = nameless(&ward, refresh).await.expect(StatusCode::OK);
    assert_eq!(second["patient"], json!(ward.own));
    let again = nameless(&ward, refresh).await;
    assert_eq!((again.status, &again.body["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
    let dead = nameless(&ward, second["refresh_token"].as_str().unwrap()).await;
    assert_eq!(dead.body["error"], "invalid_grant", "the family has ended");
    for nothing in [second["access_token"].as_str().unwrap(), "ckr_x", "x"] {
        assert_eq!(nameless(&ward, nothing).await.body["error"], "invalid_grant", "{nothing}");
    }

    let mut secret = registration(SCOPES);
    secret["token_endpoint_auth_method"] = json!("client_secret_basic");
    let made = ward.admin.program.post("/api/v1/apps", &secret).await.expect(StatusCode::CREATED);
    ward.client = made["client_id"].as_str().unwrap().to_owned();
    ward.approve().await;
    let code = ward.code().await;
    let (client, secret) = (ward.client.clone(), made["client_secret"].as_str().unwrap());
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("client_id", &client),
        ("client_secret", secret),
    ];
    let token = ward.form("/oauth/token", &fields).await.expect(StatusCode::OK);
    let refresh = token["refresh_token"].as_str().unwrap();
    let refused = nameless(&ward, refresh).await;
    assert_eq!(
        (refused.status, &refused.body["error"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_client"))
    );
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh),
        ("client_id", &client),
        ("client_secret", secret),
    ];
    ward.form("/oauth/token", &fields).await.expect(StatusCode::OK);
    ward.clinic.close().await;
}

async fn ends_within_a_second(mut app: Program, path: &str) {
    let began = std::time::Instant::now();
    while app.get(path).await.status != StatusCode::UNAUTHORIZED {
        assert!(began.elapsed() < Duration::from_millis(1_500), "the token goes on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn i11_what_cannot_be_registered_is_refused_with_what_to_do() {
    let mut ward = Ward::open().await;
    let admin = &mut ward.admin.program;
    for (change, code) in [
        (json!({"scope": "everything"}), "scope-not-known"),
        (json!({"scope": ""}), "scope-not-known"),
        (json!({"scope": "launch patient/*.rs"}), "app-not-registrable"),
        (json!({"initiate_login_uri": "https://app.example/launch"}), "app-not-registrable"),
        (
            json!({"scope": "launch patient/*.rs", "initiate_login_uri": "http://app.example/launch"}),
            "app-not-registrable",
        ),
        (json!({"scope": "system/*.rs patient/*.rs"}), "scope-not-known"),
        (json!({"scope": "system/*.rs"}), "app-not-registrable"),
        (json!({"redirect_uris": ["http://app.example/cb"]}), "app-not-registrable"),
        (json!({"redirect_uris": []}), "app-not-registrable"),
        (json!({"client_name": " "}), "app-not-registrable"),
        (json!({"token_endpoint_auth_method": "private_key_jwt"}), "app-not-registrable"),
        (json!({"token_endpoint_auth_method": "magic"}), "unprocessable-body"),
        (json!({"jwks": {"keys": []}}), "app-not-registrable"),
    ] {
        let mut body = registration(SCOPES);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let refused = admin.post("/api/v1/apps", &body).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNPROCESSABLE_ENTITY, code), "{change}");
    }
    let mut secret = registration(SCOPES);
    secret["token_endpoint_auth_method"] = json!("client_secret_basic");
    let made = admin.post("/api/v1/apps", &secret).await.expect(StatusCode::CREATED);
    assert!(made["client_secret"].as_str().is_some_and(|secret| secret.len() > 40));
    let list = admin.get("/api/v1/apps").await.expect(StatusCode::OK);
    assert_eq!(list["apps"].as_array().unwrap().len(), 2);
    assert!(list["apps"].as_array().unwrap().iter().all(|app| app.get("client_secret").is_none()));
    let one = format!("/api/v1/apps/{}", made["client_id"].as_str().unwrap());
    admin.send(Method::DELETE, &one, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(admin.send(Method::DELETE, &one, &Value::Null).await.status, StatusCode::NOT_FOUND);
    assert_eq!(ward.doctor.program.get("/api/v1/apps").await.status, StatusCode::FORBIDDEN);
    ward.clinic.close().await;
}

/// The public half of a program's key, as it is registered.
pub(crate) fn public_jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref().to_vec();
    json!({
        "kty": "EC", "crv": "P-384", "kid": "k1", "alg": "ES384",
        "x": BASE64URL_NOPAD.encode(&point[1..49]), "y": BASE64URL_NOPAD.encode(&point[49..]),
    })
}

/// A program's proof that it is `client` (RFC 7523 section 3), good for four minutes.
pub(crate) fn assertion(key: &EcdsaKeyPair, client: &str, (jti, audience): (&str, &str), now: i64) -> String {
    let head = json!({"alg": "ES384", "kid": "k1", "typ": "JWT"});
    let claims = json!({"iss": client, "sub": client, "aud": audience, "exp": now + 240, "jti": jti});
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", encoded(&head), encoded(&claims));
    let signature = key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
    format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

/// Asks for a token as a program.
pub(crate) async fn as_program(clinic: &Clinic, assertion: &str, scope: &str) -> Answer {
    let fields = [
        ("grant_type", "client_credentials"),
        ("scope", scope),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    form(clinic, "/oauth/token", &fields).await
}

#[tokio::test]
async fn i11_a_program_proves_itself_by_its_key_and_each_proof_counts_once() {
    let mut ward = Ward::open().await;
    let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let jwk = public_jwk(&key);
    let body = json!({
        "client_name": "Loader", "token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk]},
        "scope": "system/*.cu",
    });
    let made = ward.admin.program.post("/api/v1/apps", &body).await.expect(StatusCode::CREATED);
    let client = made["client_id"].as_str().unwrap().to_owned();
    assert!(made["person"].is_string(), "it acts as a service account");
    let approve = format!("/api/v1/apps/{client}/approve");
    ward.admin.program.post(&approve, &Value::Null).await.expect(StatusCode::NO_CONTENT);
    let now = ward.clinic.clock.now().as_micros() / 1_000_000;
    let endpoint = format!("{}/oauth/token", ward.clinic.origin("acme"));
    let signed = |jti: &str, audience: &str| assertion(&key, &client, (jti, audience), now);
    let ask = async |assertion: &str, scope: &str| as_program(&ward.clinic, assertion, scope).await;
    let proof = signed("one", &endpoint);
    let token = ask(&proof, "system/*.cu").await.expect(StatusCode::OK);
    assert_eq!((&token["scope"], token.get("refresh_token")), (&json!("system/*.cu"), None));
    for (refused, error) in [
        (ask(&proof, "system/*.cu").await, "invalid_client"),
        (ask(&signed("two", "https://evil.example/oauth/token"), "system/*.cu").await, "invalid_client"),
        (ask(&signed("three", &endpoint).replace('.', ".A"), "system/*.cu").await, "invalid_client"),
        (ask(&signed("four", &endpoint), "system/*.cruds").await, "invalid_scope"),
    ] {
        assert_eq!(refused.body["error"], error, "{}", refused.text);
    }
    let mut program = ward.app(&token);
    created(&mut program, "Patient", json!({"name": [{"family": "Loaded"}]})).await;
    assert_eq!(program.get("/fhir/R4/Patient").await.status, StatusCode::FORBIDDEN);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_clients_find_where_to_ask() {
    let clinic = Clinic::open().await;
    let origin = clinic.origin("acme");
    let mut anybody = clinic.program("acme");
    let root = anybody.get("/.well-known/smart-configuration").await.expect(StatusCode::OK);
    let below = anybody.get("/fhir/R4/.well-known/smart-configuration").await.expect(StatusCode::OK);
    assert_eq!(root, below);
    assert_eq!(root["issuer"], origin.as_str());
    assert_eq!(root["code_challenge_methods_supported"], json!(["S256"]));
    for name in [
        "authorization_endpoint",
        "token_endpoint",
        "introspection_endpoint",
        "revocation_endpoint",
        "jwks_uri",
    ] {
        assert!(root[name].as_str().unwrap().starts_with(&origin), "{name}");
    }
    let stated = anybody.get("/fhir/R4/metadata").await.expect(StatusCode::OK);
    let uris = &stated["rest"][0]["security"]["extension"][0]["extension"];
    assert_eq!(uris[0]["valueUri"], root["authorization_endpoint"]);
    assert_eq!(uris[1]["valueUri"], root["token_endpoint"]);
    let openid = anybody.get("/.well-known/openid-configuration").await.expect(StatusCode::OK);
    assert_eq!(openid["id_token_signing_alg_values_supported"], json!(["RS256"]));
    // A key is made for a tenant that has an app, and by nobody who only looks.
    let keys = anybody.get("/oauth/jwks").await.expect(StatusCode::OK);
    assert_eq!(keys, json!({"keys": []}));
    clinic.close().await;
}

#[tokio::test]
async fn i11_each_tenant_signs_with_a_key_of_its_own() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    let kids = |keys: Value| keys["keys"].as_array().unwrap().len();
    assert_eq!(kids(ward.clinic.program("acme").get("/oauth/jwks").await.expect(StatusCode::OK)), 1);
    assert_eq!(kids(ward.clinic.program("bolt").get("/oauth/jwks").await.expect(StatusCode::OK)), 0);
    ward.clinic.close().await;
}

#[tokio::test]
async fn i11_apps_use_up_nobodys_tries_to_sign_in_and_guesses_at_secrets_are_counted() {
    let mut ward = Ward::open().await;
    ward.approve().await;
    // More than an address has tries, caused by any page that somebody looks at.
    for _ in 0..40 {
        assert_eq!(ward.authorize(&ward.query(&[])).await.status, StatusCode::SEE_OTHER);
    }
    let code = ward.code().await;
    ward.exchange(&code).await.expect(StatusCode::OK);
    ward.clinic.sign_in(&ward.doctor).await;
    let client = ward.client.clone();
    let guess = [("token", "x"), ("client_id", client.as_str()), ("client_secret", "guess")];
    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(ward.form("/oauth/introspect", &guess).await.status);
    }
    assert_eq!(answers[0], StatusCode::UNAUTHORIZED);
    assert_eq!(answers[39], StatusCode::TOO_MANY_REQUESTS);
    ward.clinic.close().await;
}
