//! Whoever hangs up in the middle of changing how somebody signs in: what took effect is on record, and what is on record of
//! it took effect.

use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row};

use crate::{
    soft_keys::Key,
    support::{Clinic, Member, Program},
};

const NONE: Value = Value::Null;
const PATIENCE: Duration = Duration::from_secs(5);
/// Of the ways in of one person.
const FINGERPRINT: &str = "SELECT md5(concat_ws('|',
    (SELECT string_agg(id::text, ',' ORDER BY id) FROM {s}.passkey WHERE person = '{p}'),
    (SELECT string_agg(t::text, ',') FROM {s}.password t WHERE person = '{p}'),
    (SELECT string_agg(id::text, ',' ORDER BY id) FROM {s}.recovery_code WHERE person = '{p}')))";

/// A change under way: its name in the ledger, whose ways in it changes, and the request.
struct Deed {
    action: &'static str,
    person: String,
    program: Program,
    request: RequestBuilder,
}

pub(crate) fn request(program: &Program, path: &str, body: &Value) -> RequestBuilder {
    let request = program.http.post(format!("{}{path}", program.base)).header("carekeep-token", "body");
    let request = if body.is_null() { request } else { request.json(body) };
    match &program.token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// One request of each kind, each about somebody of its own.
async fn deeds(clinic: &Clinic) -> Vec<Deed> {
    let mut admin = clinic.admin().await;
    let mut second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let lost = clinic.member(&mut admin, "lost", &["nurse"]).await;
    let path = format!("/api/v1/people/{}/recovery", lost.id);
    let begun = admin.program.post(&path, &NONE).await.expect(StatusCode::CREATED);
    let path = format!("/api/v1/recoveries/{}/approve", begun["recovery"]["id"].as_str().unwrap());
    let approved = second.program.post(&path, &NONE).await.expect(StatusCode::OK);
    let open = "UPDATE {s}.account_recovery SET opens_at = approved_at";
    clinic.as_superuser("operations", open).await;
    let anonymous = clinic.program("acme");
    let both = json!({"token": approved["token"], "code": begun["code"]});
    let redeem = request(&anonymous, "/api/v1/recovery/redeem", &both);

    let mut keyed = clinic.member(&mut admin, "keyed", &["nurse"]).await;
    let begun = keyed.program.post("/api/v1/enrol/passkey/begin", &NONE).await.expect(StatusCode::OK);
    let made = Key::bound().register(&begun, &clinic.origin("acme"));
    let passkey = request(&keyed.program, "/api/v1/enrol/passkey/finish", &made);
    let Member { id, program, .. } = clinic.member(&mut admin, "worded", &["nurse"]).await;
    let password = request(&program, "/api/v1/enrol/password", &json!({"password": "walrus copper almanac"}));
    vec![
        Deed { action: "redeem_recovery", person: lost.id, program: anonymous, request: redeem },
        Deed { action: "enrol_passkey", person: keyed.id, program: keyed.program, request: passkey },
        Deed { action: "enrol_password", person: id, program, request: password },
    ]
}

/// A transaction that holds something of acme.
pub(crate) async fn hold(clinic: &Clinic, database: &str, what: &str) -> PgConnection {
    let mut blocker = clinic.platform.superuser(database).acquire().await.unwrap().detach();
    let sql = format!("BEGIN; {}", what.replace("{s}", &clinic.acme.id.schema()));
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut blocker).await.unwrap();
    blocker
}

/// Until this many statements wait for what is held.
pub(crate) async fn until_waiting(clinic: &Clinic, database: &str, count: i64) {
    let pool = clinic.platform.superuser(database);
    let began = Instant::now();
    let waiting = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while sqlx::query(waiting).fetch_one(&pool).await.unwrap().get::<i64, _>(0) < count {
        assert!(began.elapsed() < PATIENCE, "nobody waits in {database}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pool.close().await;
}

async fn entries(clinic: &Clinic, deed: &Deed) -> usize {
    let entries = clinic.entries().await;
    let of = |entry: &&carekeep_ledger::Entry| {
        entry.action == deed.action
            && entry.actor.person.is_some_and(|person| person.to_string() == deed.person)
    };
    entries.iter().filter(of).count()
}

async fn ways_in(clinic: &Clinic, person: &str) -> String {
    clinic.text("operations", &FINGERPRINT.replace("{p}", person)).await
}

/// Sends the request, hangs up while it waits for what is held, and lets go.
async fn hang_up(clinic: &Clinic, deed: &Deed, database: &str, what: &str) {
    let mut blocker = hold(clinic, database, &what.replace("{p}", &deed.person)).await;
    let sending = tokio::spawn(deed.request.try_clone().unwrap().send());
    until_waiting(clinic, database, 1).await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    // On the same connection, after the reset: when this is answered the gateway knows of it.
    deed.program.http.get(format!("{}/api/v1/openapi.json", deed.program.base)).send().await.unwrap();
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
}

#[tokio::test]
async fn i6_what_is_changed_and_what_is_recorded_stay_together_when_the_client_hangs_up() {
    let held = [
        ("clinical", "LOCK TABLE {s}.audit_entry IN ACCESS EXCLUSIVE MODE"),
        ("operations", "SELECT 1 FROM {s}.person WHERE id = '{p}' FOR UPDATE"),
    ];
    for (database, what) in held {
        let clinic = Clinic::open().await;
        for deed in deeds(&clinic).await {
            let before = (entries(&clinic, &deed).await, ways_in(&clinic, &deed.person).await);
            hang_up(&clinic, &deed, database, what).await;
            let began = Instant::now();
            loop {
                let now = (entries(&clinic, &deed).await, ways_in(&clinic, &deed.person).await);
                if now.0 == before.0 + 1 && now.1 != before.1 {
                    break;
                }
                let halves = (now.0 != before.0, now.1 != before.1);
                assert!(
                    began.elapsed() < PATIENCE,
                    "{} with {database} held: (entry, effect) {halves:?}",
                    deed.action
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        clinic.close().await;
    }
}
