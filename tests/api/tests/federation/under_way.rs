//! I12: what is under way at the provider while something else happens: the provider is changed, the account is recovered, the browser hangs up.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Browser, CLIENT, IN, NONE, OWN, Scene, put, stopped};
use crate::hanging_up::{hold, request, until_waiting};

#[tokio::test]
async fn i12_what_is_under_way_when_the_provider_is_changed_comes_to_nothing() {
    let mut scene = Scene::open().await;
    let mut nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let (mut browser, back) = scene.on_the_way_back().await;
    let same = json!({"issuer": scene.provider.issuer, "client_id": CLIENT, "label": "Acme", "amr": ["mfa"]});
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    put(&mut scene.admin, &same).await;
    assert_eq!(browser.follow(&back).await, stopped("stale"), "set anew, and be it the same");
    assert_eq!(scene.sign_in().await.1, IN);
    // What the provider publishes is read anew too.
    assert_eq!(scene.provider.asked("/.well-known/openid-configuration").await, 2);

    // Somebody changes it while a session begins by it: the one waits for the other, and sees it.
    let anew = "UPDATE {s}.identity_provider SET id = gen_random_uuid()";
    let federated = "SELECT count(*)::text FROM {s}.session WHERE revoked_at IS NULL AND factors @> '[{\"kind\": \"federated\"}]'";
    let began = scene.clinic.text("operations", federated).await;
    let (mut browser, back) = scene.on_the_way_back().await;
    let mut blocker = hold(&scene.clinic, "operations", anew).await;
    let (end, ()) = tokio::join!(browser.follow(&back), async {
        until_waiting(&scene.clinic, "operations", 1).await;
        sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
    });
    assert_eq!((end, browser.me().await), (stopped("stale"), None));
    assert_eq!(scene.clinic.text("operations", federated).await, began);
    // So does a link.
    nurse.program = scene.clinic.sign_in(&nurse).await;
    let links = "SELECT string_agg(t::text, ' ') FROM {s}.federated_account t";
    let linked = scene.clinic.text("operations", links).await;
    let mut blocker = hold(&scene.clinic, "operations", anew).await;
    let (end, ()) = tokio::join!(scene.link(&mut nurse), async {
        until_waiting(&scene.clinic, "operations", 1).await;
        sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
    });
    assert_eq!(end, stopped("stale"));
    assert_eq!(scene.clinic.text("operations", links).await, linked);
    assert_eq!(scene.link(&mut nurse).await, "/#linked");
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_a_link_that_is_under_way_does_not_survive_a_recovery() {
    let mut scene = Scene::open().await;
    let robbed = scene.clinic.member(&mut scene.admin, "nurse.costa", &["nurse"]).await;
    let mut second = scene.clinic.member(&mut scene.admin, "second", &["tenant_admin"]).await;
    scene.admin.program = scene.clinic.sign_in(&scene.admin).await;
    let path = format!("/api/v1/people/{}/recovery", robbed.id);
    let begun = scene.admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let approve = format!("/api/v1/recoveries/{}/approve", begun["recovery"]["id"].as_str().unwrap());
    let approved = second.program.post(&approve, &NONE).await.expect(StatusCode::OK);
    let open = "UPDATE {s}.account_recovery SET opens_at = approved_at";
    scene.clinic.as_superuser("operations", open).await;

    // A thief with the session is on the way back from the provider.
    scene.provider.knows("thief").await;
    let mut browser = Browser::of(&scene.clinic);
    let session = scene.clinic.sign_in(&robbed).await;
    browser.keep("__Host-carekeep", session.token.as_deref().unwrap());
    let begun_link = browser.send(Method::POST, OWN).await;
    let away: Value = serde_json::from_str(&begun_link.text).unwrap();
    let back = scene.provider.visit(away["redirect_to"].as_str().unwrap()).await;
    let row = format!("SELECT 1 FROM {{s}}.person WHERE id = '{}' FOR UPDATE", robbed.id);
    let mut blocker = hold(&scene.clinic, "operations", &row).await;
    let both = json!({"token": approved["token"], "code": begun["code"]});
    let redeem = request(&scene.clinic.program("acme"), "/api/v1/recovery/redeem", &both);
    let redeem = tokio::spawn(redeem.send());
    until_waiting(&scene.clinic, "operations", 1).await;
    let (end, ()) = tokio::join!(browser.follow(&back), async {
        until_waiting(&scene.clinic, "operations", 2).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    });
    assert_eq!(redeem.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(end, stopped("stale"));
    assert_eq!(scene.sign_in().await.1, stopped("nobody"));
    scene.clinic.close().await;
}

#[tokio::test]
async fn i12_whoever_hangs_up_on_the_way_back_leaves_the_session_before_whole_or_ended_on_record() {
    let mut scene = Scene::open().await;
    let nurse = scene.linked("nurse.costa", &["nurse"]).await;
    let before = scene.clinic.sign_in(&nurse).await;
    let (mut browser, back) = scene.on_the_way_back().await;
    browser.keep("__Host-carekeep", before.token.as_deref().unwrap());
    let signed_out =
        async |scene: &Scene| scene.actions().await.into_iter().filter(|action| action == "sign_out").count();
    let ended = signed_out(&scene).await;
    let mut blocker =
        hold(&scene.clinic, "clinical", "LOCK TABLE {s}.audit_entry IN ACCESS EXCLUSIVE MODE").await;
    let path = format!("{}?{}", back.path(), back.query().unwrap());
    let gone = async {
        until_waiting(&scene.clinic, "clinical", 1).await;
    };
    tokio::select! {
        seen = browser.send(Method::GET, &path) => panic!("{}", seen.status),
        () = gone => {}
    }
    // When this is answered the gateway knows that nobody waits.
    before.http.get(format!("{}/api/v1/openapi.json", before.base)).send().await.unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    let mut before = before;
    before.within_a_second("/api/v1/me", StatusCode::UNAUTHORIZED).await;
    assert_eq!(signed_out(&scene).await, ended + 1);
    scene.clinic.close().await;
}
