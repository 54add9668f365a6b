//! X1, O1: a bundle counts as what it holds, and what of a batch was done is told, whatever comes after it.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use carekeep_care::fhir::{BundleLimits, Fhir};
use carekeep_gateway::limits::{LaneLimit, LimiterConfig};
use carekeep_vault::{Activity, Origin};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Answer, Clinic, Program};

fn bundle(kind: &str, entries: usize) -> Value {
    let entry = json!({"resource": {"resourceType": "Practitioner", "name": [{"family": "Okonkwo"}]},
        "request": {"method": "POST", "url": "Practitioner"}});
    json!({"resourceType": "Bundle", "type": kind, "entry": vec![entry; entries]})
}

fn conditional(entries: usize) -> Value {
    let mut bundle = bundle("transaction", entries);
    for (at, entry) in bundle["entry"].as_array_mut().unwrap().iter_mut().enumerate() {
        entry["request"]["ifNoneExist"] = json!(format!("identifier=urn:example:n|{at}"));
    }
    bundle
}

async fn send(program: &mut Program, bundle: &Value) -> Answer {
    program.post("/fhir/R4", bundle).await
}

fn statuses(answer: &Value) -> Vec<&str> {
    let entries = answer["entry"].as_array().unwrap();
    entries.iter().map(|entry| &entry["response"]["status"].as_str().unwrap()[..3]).collect()
}

#[tokio::test]
async fn x1_a_large_transaction_is_a_service_accounts_and_a_batch_and_its_conditions_are_small() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await.program;
    let before = clinic.written().await;
    // Here 100 entries are what everybody may send.
    let refused = [
        send(&mut doctor, &bundle("transaction", 101)).await,
        send(&mut doctor, &bundle("batch", 101)).await,
        send(&mut importer, &bundle("batch", 101)).await,
        send(&mut importer, &conditional(101)).await,
    ];
    for answer in refused {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        assert_eq!(answer.body["issue"][0]["code"], "too-costly", "{}", answer.text);
        assert!(answer.text.contains("at most 100"), "{}", answer.text);
    }
    assert_eq!(clinic.written().await, before);
    let stored = send(&mut importer, &bundle("transaction", 101)).await.expect(StatusCode::OK);
    assert_eq!(statuses(&stored), ["201"; 101]);
    clinic.close().await;
}

#[tokio::test]
async fn o1_every_entry_counts_in_the_persons_lane_and_in_one_of_its_own_for_a_service_account() {
    let rates = LimiterConfig {
        principal: LaneLimit::per_seconds(30, 30_000),
        bulk: LaneLimit::per_seconds(70, 70_000),
        ..LimiterConfig::new([1; 32])
    };
    let clinic = Clinic::open_with(&rates).await;
    let mut admin = clinic.admin().await;
    let mut importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let mut manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await.program;
    for (program, first, lane) in [(&mut importer, 60, "bulk"), (&mut manager, 20, "principal")] {
        let batch = send(program, &bundle("transaction", first)).await;
        assert_eq!(batch.status, StatusCode::OK, "{lane}: {}", batch.text);
        let before = clinic.written().await;
        let refused = send(program, &bundle("batch", 20)).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{lane}: {}", refused.text);
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(clinic.written().await, before, "{lane}");
        // What was denied cost nothing: a small one still fits.
        send(program, &bundle("batch", 2)).await.expect(StatusCode::OK);
    }
    clinic.close().await;
}

const FULL: &str = "CREATE FUNCTION {s}.full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF (SELECT count(*) FROM {s}.resource) >= {n} THEN RAISE EXCEPTION 'full' USING ERRCODE = '53100'; END IF;
       RETURN NEW; END $$;
    GRANT EXECUTE ON FUNCTION {s}.full() TO PUBLIC;
    CREATE TRIGGER full_here BEFORE INSERT ON {s}.resource FOR EACH ROW EXECUTE FUNCTION {s}.full()";

async fn sql(clinic: &Clinic, sql: &str) {
    let pool = clinic.platform.superuser("clinical");
    let sql = sql.replace("{s}", &clinic.acme.id.schema());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn x1_what_a_batch_has_done_is_told_when_the_rest_cannot_be_done() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let [there, ..] = clinic.written().await;
    // The disk is full after two of five.
    sql(&clinic, &FULL.replace("{n}", &(there + 2).to_string())).await;
    let answer = send(&mut importer, &bundle("batch", 5)).await.expect(StatusCode::OK);
    assert_eq!(statuses(&answer), ["201", "201", "503", "503", "503"], "{answer}");
    assert_eq!(answer["type"], "batch-response");
    for entry in answer["entry"].as_array().unwrap().iter().skip(2) {
        assert_eq!(entry["response"]["outcome"]["issue"][0]["code"], "transient", "{entry}");
        assert!(entry["response"]["outcome"].to_string().contains("again"), "{entry}");
    }
    assert_eq!(clinic.written().await[0], there + 2, "what is told is what is there");
    // Nothing done at all is told as such, and a transaction is one thing.
    for kind in ["batch", "transaction"] {
        let answer = send(&mut importer, &bundle(kind, 5)).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{kind}: {}", answer.text);
    }
    sql(&clinic, "DROP TRIGGER full_here ON {s}.resource; DROP FUNCTION {s}.full()").await;
    let answer = send(&mut importer, &bundle("batch", 5)).await.expect(StatusCode::OK);
    assert_eq!(statuses(&answer), ["201"; 5], "{answer}");
    clinic.close().await;
}

#[tokio::test]
async fn x1_an_entry_of_a_batch_that_cannot_be_done_keeps_no_other_from_being_done() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut manager = clinic.member(&mut admin, "manager.weiss", &["clinic_manager"]).await.program;
    let made = bundle("transaction", 2);
    let made = send(&mut manager, &made).await.expect(StatusCode::OK);
    let location = |at: usize| made["entry"][at]["response"]["location"].as_str().unwrap().to_owned();
    let id = |at: usize| location(at).split('/').rev().nth(2).unwrap().to_owned();
    let (gone, there) = (format!("Practitioner/{}", id(0)), format!("Practitioner/{}", id(1)));
    manager
        .send(reqwest::Method::DELETE, &format!("/fhir/R4/{gone}"), &Value::Null)
        .await
        .expect(StatusCode::NO_CONTENT);

    let person = |family: &str| json!({"resourceType": "Practitioner", "name": [{"family": family}]});
    let entry = |method: &str, url: &str, resource: Option<Value>| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        if let Some(resource) = resource {
            entry["resource"] = resource;
        }
        entry
    };
    let lost = json!({"resourceType": "Organization", "name": "Lost",
        "partOf": {"reference": "Organization?identifier=urn:example:n|nowhere"}});
    let entries = json!([
        entry("POST", "Practitioner", Some(person("Before"))),
        entry("GET", &there, None),
        entry("POST", "Spaceship", Some(json!({"resourceType": "Spaceship"}))),
        entry("POST", "Practitioner", Some(json!({"resourceType": "Patient"}))),
        entry("DELETE", &there, None),
        entry("DELETE", &there, None),
        entry("DELETE", &gone, None),
        entry("POST", "Organization", Some(lost)),
        json!({"resource": person("Without a request")}),
        json!("no entry"),
        entry("POST", "Practitioner", Some(person("After"))),
    ]);
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    let answer = send(&mut manager, &batch).await.expect(StatusCode::OK);
    let expected = ["201", "400", "400", "400", "204", "400", "410", "400", "400", "400", "201"];
    assert_eq!(statuses(&answer), expected, "{answer}");
    for (at, entry) in answer["entry"].as_array().unwrap().iter().enumerate() {
        let issues = &entry["response"]["outcome"]["issue"];
        assert_eq!(issues.is_array(), !expected[at].starts_with('2'), "{entry}");
    }
    // The same as a transaction is refused as a whole.
    let before = clinic.written().await;
    let transaction = json!({"resourceType": "Bundle", "type": "transaction", "entry": batch["entry"]});
    assert_eq!(send(&mut manager, &transaction).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(clinic.written().await, before);
    clinic.close().await;
}

#[tokio::test]
async fn x1_a_batch_ends_in_time_and_says_what_is_left() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let importer = clinic.member(&mut admin, "importer", &["service_account"]).await.program;
    let origin =
        Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), request: [7; 16], activity: Activity::Use };
    let token = importer.token.as_deref().unwrap();
    let caller = clinic.vault.authenticate(clinic.acme.id, token, origin).await.unwrap();
    let fhir = Fhir { vault: &clinic.vault, caller: &caller, base: "https://acme.localhost/fhir/R4" };
    let body = bundle("batch", 3).to_string();
    let [there, ..] = clinic.written().await;
    for (time, done) in [(Duration::ZERO, 0), (Duration::from_secs(1), 3)] {
        let limits = BundleLimits { time, ..BundleLimits::default() };
        let read = fhir.read_bundle(body.as_bytes(), &limits).unwrap_or_else(|error| panic!("{error}"));
        let answer = fhir.carry_out(read).await.unwrap_or_else(|error| panic!("{error}"));
        let answer = carekeep_fhir::bundle::write::responses(answer.kind, fhir.base, &answer.entries);
        let answer: Value = serde_json::from_slice(&answer.to_vec()).unwrap();
        assert_eq!(statuses(&answer), [if done == 0 { "503" } else { "201" }; 3], "{answer}");
        assert_eq!(clinic.written().await[0], there + done);
    }
    clinic.close().await;
}
