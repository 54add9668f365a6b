//! What is under way when a recovery or a removal happens does not survive it: whoever comes second sees the first.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::{
    hanging_up::{hold, request, until_waiting},
    soft_keys::Key,
    support::{Answer, Clinic, Member, Program},
};

const NONE: Value = Value::Null;
const ROW: &str = "SELECT 1 FROM {s}.person WHERE id = '{p}' FOR UPDATE";
/// What a thief would have kept: factors, and grants and sessions that are not ended.
const KEPT: &str = "SELECT concat_ws(' ',
    (SELECT count(*) FROM {s}.passkey WHERE person = '{p}'),
    (SELECT count(*) FROM {s}.password WHERE person = '{p}'),
    (SELECT count(*) FROM {s}.totp WHERE person = '{p}' AND confirmed_at IS NOT NULL),
    (SELECT count(*) FROM {s}.recovery_code WHERE person = '{p}'),
    (SELECT count(*) FROM {s}.oauth_grant WHERE person = '{p}' AND revoked_at IS NULL),
    (SELECT count(*) FROM {s}.session WHERE person = '{p}' AND revoked_at IS NULL))";

/// Sends both, the second one once the first one waits for the person's row, and lets both go on.
async fn in_order(
    clinic: &Clinic,
    person: &str,
    first: RequestBuilder,
    second: RequestBuilder,
) -> (Answer, Answer) {
    let mut blocker = hold(clinic, "operations", &ROW.replace("{p}", person)).await;
    let first = tokio::spawn(Answer::of(first));
    until_waiting(clinic, "operations", 1).await;
    let second = tokio::spawn(Answer::of(second));
    until_waiting(clinic, "operations", 2).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    (first.await.unwrap(), second.await.unwrap())
}

async fn kept(clinic: &Clinic, person: &str) -> String {
    clinic.text("operations", &KEPT.replace("{p}", person)).await
}

/// A recovery of somebody that is open: the request that redeems it.
async fn redeem(clinic: &Clinic, admins: &mut [Member; 2], person: &str) -> RequestBuilder {
    let path = format!("/api/v1/people/{person}/recovery");
    let begun = admins[0].program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let path = format!("/api/v1/recoveries/{}/approve", begun["recovery"]["id"].as_str().unwrap());
    let approved = admins[1].program.post(&path, &NONE).await.expect(StatusCode::OK);
    let open = "UPDATE {s}.account_recovery SET opens_at = approved_at WHERE approved_at IS NOT NULL";
    clinic.as_superuser("operations", open).await;
    let both = json!({"token": approved["token"], "code": begun["code"]});
    request(&clinic.program("acme"), "/api/v1/recovery/redeem", &both)
}

/// What a thief does with a session that has a fresh factor.
async fn theft(clinic: &Clinic, program: &mut Program, what: &str, consent: &str) -> RequestBuilder {
    match what {
        "passkey" => {
            let begun = program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
            let made = Key::bound().register(&begun, &clinic.origin("acme"));
            request(program, "/api/v1/enrol/passkey/finish", &made)
        }
        "password" => {
            request(program, "/api/v1/enrol/password", &json!({"password": "walrus copper almanac"}))
        }
        "totp" => {
            let shown = program.post("/api/v1/enrol/totp/begin", &NONE).await.expect(StatusCode::OK);
            let secret = data_encoding::BASE32_NOPAD.decode(shown["secret"].as_str().unwrap().as_bytes());
            let code = clinic.code(&secret.unwrap().try_into().unwrap());
            request(program, "/api/v1/enrol/totp/confirm", &json!({"code": code}))
        }
        "codes" => request(program, "/api/v1/enrol/recovery-codes", &NONE),
        _ => request(program, "/api/v1/consent", &json!({"request": consent, "allow": true})),
    }
}

/// An approved app, and the query by which it asks for access.
async fn consent(clinic: &Clinic, admin: &mut Member) -> String {
    let app = json!({"client_name": "App", "token_endpoint_auth_method": "none", "scope": "user/*.rs",
        "redirect_uris": ["https://app.example/cb"]});
    let made = admin.program.post("/api/v1/apps", &app).await.expect(StatusCode::CREATED);
    let client = made["client_id"].as_str().unwrap();
    admin.program.post(&format!("/api/v1/apps/{client}/approve"), &NONE).await.expect(StatusCode::NO_CONTENT);
    format!(
        "response_type=code&client_id={client}&redirect_uri=https://app.example/cb&scope=user/*.rs&state=s&aud={}/fhir/R4\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        clinic.origin("acme")
    )
}

#[tokio::test]
async fn i6_nothing_that_was_under_way_survives_a_recovery() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let consent = consent(&clinic, &mut admin).await;
    let mut admins = [admin, second];
    for what in ["passkey", "password", "totp", "codes", "app"] {
        // The control: in a session that is not ended it is done.
        let mut spared = clinic.member(&mut admins[0], &format!("spared.{what}"), &["clinician"]).await;
        let done = Answer::of(theft(&clinic, &mut spared.program, what, &consent).await).await;
        assert!(done.status.is_success(), "{what}: {}", done.text);

        let mut robbed = clinic.member(&mut admins[0], &format!("robbed.{what}"), &["clinician"]).await;
        let redeem = redeem(&clinic, &mut admins, &robbed.id).await;
        let theft = theft(&clinic, &mut robbed.program, what, &consent).await;
        let (redeemed, stolen) = in_order(&clinic, &robbed.id, redeem, theft).await;
        redeemed.expect(StatusCode::OK);
        assert_eq!(stolen.status, StatusCode::UNAUTHORIZED, "{what}: {}", stolen.text);
        assert_eq!(kept(&clinic, &robbed.id).await, "0 0 0 0 0 1", "{what}");
    }
    clinic.close().await;
}

#[tokio::test]
async fn i1_a_sign_in_under_way_with_a_passkey_that_is_removed_gives_no_session() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut owner = clinic.member(&mut admin, "owner", &["clinician"]).await;
    let key = Key::bound();
    let origin = clinic.origin("acme");
    let begun = owner.program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
    let made = key.register(&begun, &origin);
    owner.program.post("/api/v1/enrol/passkey/finish", &made).await.expect(StatusCode::OK);
    let sign_in = async |program: &mut Program| {
        let begun = program.post("/api/v1/sign-in/passkey/begin", &NONE).await.expect(StatusCode::OK);
        let signed = key.sign(&begun, &origin, &owner.id);
        request(program, "/api/v1/sign-in/passkey/finish", &signed)
    };
    let mut thief = clinic.program("acme");
    Answer::of(sign_in(&mut thief).await).await.expect(StatusCode::OK);

    let under_way = sign_in(&mut thief).await;
    let mine = owner.program.get("/api/v1/passkeys").await.expect(StatusCode::OK);
    let path = format!("/api/v1/passkeys/{}", mine["passkeys"][0]["id"].as_str().unwrap());
    let remove = owner
        .program
        .http
        .request(Method::DELETE, format!("{origin}{path}"))
        .bearer_auth(owner.program.token.as_ref().unwrap());
    let (removed, signed_in) = in_order(&clinic, &owner.id, remove, under_way).await;
    removed.expect(StatusCode::NO_CONTENT);
    assert_eq!(signed_in.status, StatusCode::UNAUTHORIZED, "{}", signed_in.text);
    let kept = kept(&clinic, &owner.id).await;
    assert_eq!(kept, "0 1 1 0 0 1", "only the owner's session is there");
    clinic.close().await;
}
