//! T1: one command, or one API call, makes a ready tenant, and its first administrator joins and signs in.

use std::time::{Duration, Instant};

use carekeep_devservers::Postgres;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row, postgres::PgConnectOptions};

use crate::{
    cell::{Cell, control, invitation, tenant},
    gateway::Gateway,
    http::{Answer, Http, answer},
};

const TENANTS: &str = "/control/tenants";
/// At how many moments of a creation something is killed.
const MOMENTS: u32 = 5;

async fn create(cell: &Cell, gateway: &Gateway, body: &Value) -> Answer {
    cell.control(gateway, Some(body), TENANTS).await.unwrap()
}

/// The same call, for sending it elsewhere.
fn creation(cell: &Cell, gateway: &Gateway, slug: &str) -> RequestBuilder {
    let url = format!("{}{TENANTS}", gateway.internal);
    reqwest::Client::new().post(url).bearer_auth(cell.control_token()).json(&tenant(slug))
}

/// One number that a database gives its superuser.
async fn count(postgres: &Postgres, database: &str, sql: &'static str, id: &str) -> i64 {
    let options = PgConnectOptions::new_without_pgpass()
        .socket(postgres.socket_dir())
        .port(postgres.port())
        .username(postgres.superuser())
        .password(postgres.superuser_password())
        .database(database);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    sqlx::query(sql).bind(id).fetch_one(&mut connection).await.unwrap().get(0)
}

/// Everything that a tenant is made of is there, once.
async fn is_whole(cell: &Cell, made: &Value) {
    let id = made["id"].as_str().unwrap();
    let schema = format!("t_{}", id.replace('-', ""));
    for (database, sql, about, expected) in [
        (
            "directory",
            "SELECT count(*) FROM directory.tenant WHERE id = $1::uuid AND status = 'active'",
            id,
            1,
        ),
        (
            "directory",
            "SELECT count(DISTINCT purpose) FROM directory.tenant_key WHERE tenant = $1::uuid",
            id,
            5,
        ),
        (
            "directory",
            "SELECT count(DISTINCT key_ref) FROM directory.tenant_key WHERE tenant = $1::uuid",
            id,
            1,
        ),
        ("directory", "SELECT count(*) FROM directory.tenant_login WHERE tenant = $1::uuid", id, 2),
        ("directory", "SELECT count(*) FROM directory.tenant_host WHERE tenant = $1::uuid", id, 1),
        ("clinical", "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema.as_str(), 1),
        ("operations", "SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema.as_str(), 1),
        (
            "postgres",
            "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND rolname LIKE $1 || '\\__'",
            &schema,
            2,
        ),
    ] {
        assert_eq!(count(&cell.postgres, database, sql, about).await, expected, "{database}: {sql}");
    }
    assert!(cell.path("keys/keys").join(format!("{id}.json")).is_file(), "its key");
}

#[tokio::test]
async fn t1_one_api_call_makes_a_ready_tenant_and_invites_its_first_administrator() {
    let cell = Cell::start().await;
    let gateway = cell.gateway();
    let began = Instant::now();
    let first = create(&cell, &gateway, &tenant("acme")).await;
    println!("a tenant by the API in {:?}", began.elapsed());
    assert_eq!(first.header("cache-control"), "no-store");
    let first = first.expect(201);
    assert_eq!((&first["status"], &first["admin"]["state"]), (&json!("active"), &json!("invited")));
    let begin = format!("https://acme.localhost:{}/join#cki_", gateway.port);
    assert!(first["admin"]["link"].as_str().unwrap().starts_with(&begin), "{first}");
    assert!(first["admin"]["expires"].as_str().unwrap().ends_with('Z'));
    is_whole(&cell, &first).await;

    // Until the link is used, asking again gives a new one and ends the first; nothing else changes.
    let second = create(&cell, &gateway, &tenant("acme")).await.expect(201);
    assert_ne!(invitation(&first), invitation(&second));
    assert_eq!((&first["id"], &first["admin"]["person"]), (&second["id"], &second["admin"]["person"]));
    is_whole(&cell, &second).await;
    let mut admin = cell.client(&gateway, "acme");
    let accept = |made: &Value| json!({"token": invitation(made)});
    assert_eq!(admin.post("/api/v1/invites/accept", &accept(&first)).await.status, 410);
    // Nobody else learns of the link.
    for path in [TENANTS, "/control/tenants/acme"] {
        let seen = cell.control(&gateway, None, path).await.unwrap();
        assert!(seen.expect(200).to_string().contains("acme.localhost"));
        assert!(!seen.text().contains("cki_"), "{}", seen.text());
    }
    assert!(!gateway.said().contains("cki_"));

    let secret = admin.join(invitation(&second)).await;
    // From then on it says so, and changes nothing.
    let third = create(&cell, &gateway, &tenant("acme")).await.expect(201);
    assert_eq!((&third["admin"], &third["id"]), (&json!({"state": "joined"}), &second["id"]));
    let mut other = tenant("acme");
    other["admin"]["login"] = json!("eve.admin");
    let refused = create(&cell, &gateway, &other).await;
    assert_eq!(refused.expect(409)["code"], "has-people");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert_eq!(admin.get("/api/v1/me").await.expect(200)["roles"], json!(["tenant_admin"]));
    let people = admin.get("/api/v1/people?limit=10").await.expect(200);
    assert_eq!(people["people"].as_array().unwrap().len(), 1);

    let mut anew = cell.client(&gateway, "acme");
    anew.sign_in("ada.admin", &secret).await;
    assert_eq!(anew.get("/api/v1/me").await.expect(200)["name"], "Ada Novak");
    anew.invite("dr.meyer", "clinician").await.get("/fhir/R4/Patient").await.expect(200);
}

#[tokio::test]
async fn t1_one_command_makes_a_ready_tenant_and_invites_its_first_administrator() {
    let cell = Cell::start().await;
    let file = cell.path("tenant.toml");
    let text = "[partner]\nslug = \"northstar\"\nname = \"Northstar Health\"\n[tenant]\nslug = \"acme\"\n\
                name = \"Clinic acme\"\nregion = \"eu-1\"\nhosts = [\"acme.localhost\"]\n";
    std::fs::write(&file, text).unwrap();
    let (config, file) = (cell.config_file().display().to_string(), file.display().to_string());
    let run = |login: &str, name: &str| {
        let tenant = ["tenant", "--config", &config, "create", "--file", &file];
        let admin = ["--admin-login", login, "--admin-name", name];
        cell.command(&[&tenant[..], &admin].concat())
    };
    // What cannot be done whole is not begun.
    assert!(run("ada admin", "Ada").unwrap_err().contains("login name"));
    assert!(run("ada.admin", " ").unwrap_err().contains("1 to 200 characters"));
    assert_eq!(cell.command(&["tenant", "--config", &config, "list"]).unwrap(), "");
    let began = Instant::now();
    let first = run("ada.admin", "Ada Novak").unwrap();
    println!("a tenant by the command in {:?}", began.elapsed());
    let second = run("ada.admin", "Ada Novak").unwrap();
    let token = |said: &str| said.split_once("/join#").unwrap().1.trim().to_owned();
    assert_ne!(token(&first), token(&second));
    let made: Value = serde_json::from_str(second.split_once("\ninvitation").unwrap().0).unwrap();
    is_whole(&cell, &made).await;
    let gateway = cell.gateway();
    let mut admin = cell.client(&gateway, "acme");
    assert_eq!(admin.post("/api/v1/invites/accept", &json!({"token": token(&first)})).await.status, 410);
    admin.join(&token(&second)).await;
    let third = run("ada.admin", "Ada Novak").unwrap();
    assert!(third.contains("joined already") && !third.contains("cki_"), "{third}");
    assert!(run("eve.admin", "Eve").unwrap_err().contains("has people already"));
    admin.get("/api/v1/me").await.expect(200);
    // By the API it is the same tenant.
    let again = create(&cell, &gateway, &tenant("acme")).await.expect(201);
    assert_eq!((&again["id"], &again["admin"]), (&made["id"], &json!({"state": "joined"})));
}

#[tokio::test]
async fn i10_one_command_or_call_makes_a_tenant_for_those_who_look_after_clinics() {
    let cell = Cell::start().await;
    let file = cell.path("tenant.toml");
    let text = "[tenant]\nkind = \"platform\"\nslug = \"operators\"\nname = \"Operators\"\nregion = \"eu-1\"\n\
                hosts = [\"operators.localhost\"]\n";
    let (config, path) = (cell.config_file().display().to_string(), file.display().to_string());
    let run = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let tenant = ["tenant", "--config", &config, "create", "--file", &path];
        cell.command(&[&tenant[..], &["--admin-login", "ada.admin", "--admin-name", "Ada Novak"]].concat())
    };
    let partnered = format!("[partner]\nslug = \"northstar\"\nname = \"Northstar Health\"\n{text}");
    assert!(run(&partnered).unwrap_err().contains("names none"));
    assert!(run(&text.replace("platform", "hospital")).unwrap_err().contains("hospital"));
    let made = run(text).unwrap();
    let (record, link) = made.split_once("\ninvitation").unwrap();
    let record: Value = serde_json::from_str(record).unwrap();
    assert_eq!((&record["kind"], record.get("partner")), (&json!("platform"), None));
    assert!(link.contains("https://operators.localhost") && link.contains("/join#cki_"), "{link}");
    let listed = cell.command(&["tenant", "--config", &config, "list"]).unwrap();
    assert!(listed.contains("operators") && listed.contains(" platform "), "{listed}");

    // By the API that of a partner, beside a clinic of the same partner.
    let gateway = cell.gateway();
    let mut partner = tenant("northstar");
    partner["kind"] = json!("partner");
    let made = create(&cell, &gateway, &partner).await.expect(201);
    assert_eq!((&made["kind"], &made["admin"]["state"]), (&json!("partner"), &json!("invited")));
    let clinic = create(&cell, &gateway, &tenant("acme")).await.expect(201);
    let mut second = tenant("second");
    second["kind"] = json!("partner");
    assert_eq!(create(&cell, &gateway, &second).await.expect(409)["code"], "taken");

    // Who is invited there has no password to give; who is invited to the clinic joins by one.
    let there = cell.client(&gateway, "northstar");
    let accepted = there.post("/api/v1/invites/accept", &json!({"token": invitation(&made)})).await;
    assert_eq!(accepted.expect(200)["enrolled"]["passwords"], json!(false));
    let password = json!({"login": "ada.admin", "password": "pelican tangerine ledger"});
    assert_eq!(there.post("/api/v1/sign-in/password", &password).await.status, 404);
    cell.client(&gateway, "acme").join(invitation(&clinic)).await;
}

#[tokio::test]
async fn t1_the_control_api_wants_its_token_and_refuses_by_name() {
    let cell = Cell::start().await;
    let gateway = cell.gateway();
    let body = tenant("acme");
    let nearly = cell.control_token()[1..].to_owned();
    for token in [None, Some(""), Some("x"), Some(nearly.as_str())] {
        for (body, path) in [(Some(&body), TENANTS), (None, TENANTS), (None, "/control/tenants/acme")] {
            let refused = control(&gateway, token, (body, path)).await.unwrap();
            assert_eq!(refused.expect(401)["code"], "unauthenticated", "{path} {token:?}");
        }
    }
    let with = |change: fn(&mut Value)| {
        let mut body = tenant("acme");
        change(&mut body);
        body
    };
    for (status, code, body) in [
        (422, "unprocessable-body", with(|body| body["adm"] = json!(true))),
        (422, "unprocessable-body", with(|body| body["admin"]["roles"] = json!(["clinician"]))),
        (422, "unprocessable-body", with(|body| body["partner"]["id"] = json!("x"))),
        (422, "unprocessable-body", with(|body| body["slug"] = Value::Null)),
        (422, "name", with(|body| body["slug"] = json!("Acme; DROP"))),
        (422, "name", with(|body| body["hosts"] = json!(["acme.localhost:8443"]))),
        (422, "login-not-allowed", with(|body| body["admin"]["login"] = json!("ada admin"))),
        (422, "name-not-allowed", with(|body| body["admin"]["name"] = json!("\u{7}"))),
        (422, "no-host", with(|body| body["hosts"] = json!([]))),
    ] {
        let refused = create(&cell, &gateway, &body).await;
        assert_eq!(refused.expect(status)["code"], code, "{body}");
        assert_eq!(refused.header("content-type"), "application/problem+json");
    }
    let twice = body.to_string().replacen('{', "{\"slug\":\"other\",", 1);
    let url = format!("{}{TENANTS}", gateway.internal);
    let request = reqwest::Client::new().post(url).bearer_auth(cell.control_token()).body(twice);
    let refused = answer(request.header("content-type", "application/json")).await.unwrap();
    assert_eq!(refused.expect(400)["code"], "malformed-json");
    let unknown = cell.control(&gateway, None, "/control/tenants/acme").await.unwrap();
    assert_eq!(unknown.expect(404)["code"], "unknown");
    assert_eq!(
        cell.control(&gateway, None, TENANTS).await.unwrap().expect(200),
        json!([]),
        "nothing was made"
    );

    // The control, and what is somebody else's.
    create(&cell, &gateway, &body).await.expect(201);
    let mut other = tenant("other");
    other["hosts"] = json!(["acme.localhost"]);
    assert_eq!(create(&cell, &gateway, &other).await.expect(409)["code"], "taken");
    let mut moved = tenant("acme");
    moved["region"] = json!("us-1");
    assert_eq!(create(&cell, &gateway, &moved).await.expect(409)["code"], "taken");
    suspension(&cell, &gateway).await;
    not_in_public(&cell, &gateway).await;
}

async fn suspension(cell: &Cell, gateway: &Gateway) {
    let empty = json!({});
    let order = async |what: &str| {
        cell.control(gateway, Some(&empty), &format!("/control/tenants/acme/{what}"))
            .await
            .unwrap()
            .expect(204)
    };
    order("suspend").await;
    let outside = cell.client(gateway, "acme");
    assert_eq!(outside.get("/fhir/R4/metadata").await.expect(503)["issue"][0]["code"], "transient");
    assert_eq!(create(cell, gateway, &tenant("acme")).await.expect(409)["code"], "suspended");
    order("resume").await;
    outside.get("/fhir/R4/metadata").await.expect(200);
}

/// With the right token, the public listener has nothing there.
async fn not_in_public(cell: &Cell, gateway: &Gateway) {
    let outside = cell.client(gateway, "acme").with_token(Some(cell.control_token()));
    let nothing = outside.get("/no/such/path").await.expect(404);
    for path in [TENANTS, "/control/tenants/acme", "/metrics", "/health/ready", "/health/live"] {
        assert_eq!(outside.get(path).await.expect(404)["code"], nothing["code"], "{path}");
    }
    for path in [TENANTS, "/control/tenants/acme/suspend"] {
        assert_eq!(outside.post(path, &tenant("evil")).await.expect(404)["code"], nothing["code"], "{path}");
    }
    let names = cell.control(gateway, None, TENANTS).await.unwrap().expect(200);
    assert_eq!(names.as_array().unwrap().len(), 1, "{names}");
}

/// Asks until the tenant is made; each refusal on the way must say what to do. How long it took.
async fn insist(cell: &Cell, gateway: &Gateway, slug: &str) -> (Value, Duration) {
    let began = Instant::now();
    loop {
        let said = create(cell, gateway, &tenant(slug)).await;
        if said.status == 201 {
            return (said.json(), began.elapsed());
        }
        refused_for_now(&said);
        assert!(began.elapsed() < Duration::from_secs(5), "{slug}: {}", said.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[track_caller]
fn refused_for_now(said: &Answer) {
    assert_eq!(said.status, 503, "{}", said.text());
    assert!(!said.header("retry-after").is_empty());
    assert!(said.advice().contains("Send the same request again"), "{}", said.advice());
}

/// A tenant that is not ready is in the list at most, and served to nobody.
async fn unready_is_nobody(cell: &Cell, gateway: &Gateway, slug: &str) {
    let began = Instant::now();
    let path = format!("/control/tenants/{slug}");
    let known = loop {
        // The database has been away: the first question may find a dead connection.
        let said = cell.control(gateway, None, &path).await.unwrap();
        if said.status != 503 {
            break said.json()["status"].as_str().unwrap_or_default().to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{}", said.text());
    };
    let said = cell.client(gateway, slug).get("/fhir/R4/metadata").await;
    println!("{slug}: {known:?}, and its host answers {}", said.status);
    assert!(known == "active" || matches!(said.status, 421 | 503), "{}", said.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn t1_a_creation_that_breaks_half_way_is_resumed_by_the_next_call() {
    let mut cell = Cell::start().await;
    let mut gateway = cell.gateway();
    let (_, whole) = insist(&cell, &gateway, "whole").await;
    // The database is killed at several moments of a creation.
    for part in 0..MOMENTS {
        let slug = format!("database{part}");
        let call = tokio::spawn(answer(creation(&cell, &gateway, &slug)));
        tokio::time::sleep(whole * part / MOMENTS).await;
        cell.postgres.kill().await;
        let said = call.await.unwrap().unwrap();
        println!("database killed after {part}/{MOMENTS} of a creation: {}", said.status);
        if said.status != 201 {
            refused_for_now(&said);
        }
        cell.postgres.start_again().await.unwrap();
        unready_is_nobody(&cell, &gateway, &slug).await;
        joins(&cell, &gateway, &slug).await;
    }
    // The process that makes it is killed at several moments.
    for part in 0..MOMENTS {
        let slug = format!("process{part}");
        let call = tokio::spawn(answer(creation(&cell, &gateway, &slug)));
        tokio::time::sleep(whole * part / MOMENTS).await;
        gateway.kill();
        println!(
            "process killed after {part}/{MOMENTS}: {:?}",
            call.await.unwrap().map(|said| said.status).ok()
        );
        gateway = cell.gateway();
        unready_is_nobody(&cell, &gateway, &slug).await;
        joins(&cell, &gateway, &slug).await;
    }
    // The key service is away, and comes back.
    let (keys, away) = (cell.path("keys"), cell.path("keys.away"));
    std::fs::rename(&keys, &away).unwrap();
    refused_for_now(&create(&cell, &gateway, &tenant("keyless")).await);
    unready_is_nobody(&cell, &gateway, "keyless").await;
    let known = cell.control(&gateway, None, "/control/tenants/keyless").await.unwrap().expect(200);
    assert_eq!(known["status"], "provisioning", "it is in the list, and not ready");
    std::fs::rename(&away, &keys).unwrap();
    joins(&cell, &gateway, "keyless").await;
    // All of it passes the catalogue lint, and there is nothing that nobody asked for.
    cell.command(&["migrate", "--config", &cell.config_file().display().to_string()]).unwrap();
    let listed = cell.control(&gateway, None, TENANTS).await.unwrap().expect(200);
    let (listed, made) = (listed.as_array().unwrap(), 2 * MOMENTS + 2);
    assert_eq!(listed.len(), made as usize);
    assert!(listed.iter().all(|tenant| tenant["status"] == "active"), "{listed:?}");
    for (database, login) in [("clinical", "t\\_%\\_c"), ("operations", "t\\_%\\_o")] {
        let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE $1";
        assert_eq!(count(&cell.postgres, database, schemas, "t\\_%").await, i64::from(made), "{database}");
        let roles = "SELECT count(*) FROM pg_roles WHERE rolname LIKE $1";
        assert_eq!(count(&cell.postgres, database, roles, login).await, i64::from(made), "{login}");
    }
}

/// The same call again makes it ready, and its administrator joins.
async fn joins(cell: &Cell, gateway: &Gateway, slug: &str) {
    let (made, took) = insist(cell, gateway, slug).await;
    println!("{slug}: ready {took:?} after everything was back");
    is_whole(cell, &made).await;
    let mut admin: Http = cell.client(gateway, slug);
    admin.join(invitation(&made)).await;
    assert_eq!(admin.get("/api/v1/me").await.expect(200)["roles"], json!(["tenant_admin"]));
}
