//! I1, I2, I3, I11: what people and apps do with a browser: the scripts of `tests/browser`, run by node in a headless Chromium.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use carekeep_devservers::cache_dir;
use carekeep_kernel::{Clock, ManualClock, SystemClock};
use carekeep_policy::Role;
use carekeep_testkit::PersonSpec;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::{
    provider::CLIENT,
    support::{Clinic, Member, PASSWORD, Program},
    ward::created,
};

/// Lets the test's clock run with the machine's: the browser's authenticator app knows no other.
async fn run_with_the_machine(clock: Arc<ManualClock>) {
    loop {
        clock.advance(SystemClock.now().since(clock.now()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// As [`run_with_the_machine`], from now on.
pub(crate) async fn caught_up(clinic: &Clinic) -> tokio::task::JoinHandle<()> {
    let clock = tokio::spawn(run_with_the_machine(Arc::clone(&clinic.clock)));
    let runs = tokio::time::timeout(Duration::from_secs(5), async {
        while SystemClock.now().since(clinic.clock.now()) > Duration::from_secs(1) {
            tokio::task::yield_now().await;
        }
    });
    assert!(runs.await.is_ok(), "the clock stands still");
    clock
}

fn person(role: &str, member: &Member) -> Value {
    let secret = data_encoding::BASE32_NOPAD.encode(&member.secret);
    json!({"role": role, "login": member.login, "password": PASSWORD, "totp_secret": secret})
}

/// Where the browser's driver is.
fn modules() -> PathBuf {
    let modules = std::env::var_os("CAREKEEP_NODE_MODULES")
        .map_or_else(|| cache_dir().join("node/node_modules"), Into::into);
    assert!(modules.is_dir(), "{} is not there: run this by ./dev test", modules.display());
    modules
}

/// A script of `tests/browser`, and where it puts its pictures.
fn script(name: &str) -> (PathBuf, PathBuf) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser").join(name);
    (script, Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser"))
}

/// Runs a script of `tests/browser` with what it is to know, and keeps its pictures; it says `<its name>: ok` at the end.
pub(crate) async fn browser(script: &str, says: &str, knows: &Path) {
    let (script, artefacts) = self::script(script);
    let output = Command::new("node")
        .arg(script)
        .arg(knows)
        .arg(artefacts)
        .env("CAREKEEP_NODE_MODULES", modules())
        .env("CAREKEEP_EXPECT_CHART", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains(&format!("{says}: ok")), "{said}\n{failed}");
}

/// Runs a script that has the clinic's clock moved by `advance SECONDS`; gives what else it said.
async fn converse(clinic: &Clinic, script: &str, arguments: &[&str], first: &str) -> Vec<String> {
    let (script, artefacts) = self::script(script);
    let mut node = Command::new("node")
        .arg(script)
        .args(arguments)
        .arg(artefacts)
        .env("CAREKEEP_NODE_MODULES", modules())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut to = node.stdin.take().unwrap();
    to.write_all(format!("{first}\n").as_bytes()).await.unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let (mut said, mut stranger) = (Vec::new(), clinic.program("acme"));
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(seconds) = line.strip_prefix("advance ") {
            clinic.clock.advance(Duration::from_secs(seconds.parse().unwrap()));
            // What it knows of its tenants is too old for a moment.
            while stranger.get("/api/v1/me").await.status != StatusCode::UNAUTHORIZED {}
            to.write_all(b"done\n").await.unwrap();
        } else {
            said.push(line);
        }
    }
    assert!(node.wait().await.unwrap().success(), "{said:?}");
    said
}

#[tokio::test]
async fn i7_a_page_that_nobody_uses_warns_and_signs_out_on_time() {
    let clinic = Clinic::open().await;
    let admin = clinic.admin().await;
    let token = admin.program.token.as_deref().unwrap();
    assert_eq!(converse(&clinic, "logoff.mjs", &[&clinic.origin("acme")], token).await, ["logoff: ok"]);
    clinic.close().await;
}

#[tokio::test]
async fn i1_i4_i7_i10_people_keep_their_ways_in_and_administrators_the_people_in_a_browser() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let knows = json!({
        "base": clinic.origin("acme"), "other": clinic.origin("bolt"),
        "brands": [["Clinic acme", "rgb(11, 92, 122)"], ["Clinic bolt", "rgb(122, 31, 75)"]],
        "admin": person("tenant_admin", &admin), "second": person("tenant_admin", &second),
        "doctor": person("clinician", &doctor),
    });
    let path = clinic.folder("clinic.json");
    std::fs::write(&path, knows.to_string()).unwrap();
    let now = (clinic.clock.now().as_micros() / 1000).to_string();
    let said = converse(&clinic, "identity.mjs", &[path.to_str().unwrap()], &now).await;
    assert_eq!(said.last().unwrap(), "identity: ok", "{said:?}");
    clinic.close().await;
}

#[tokio::test]
async fn i10_i11_i13_lists_that_are_longer_than_one_answer_are_whole_in_a_browser() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let nurse = PersonSpec { roles: &[Role::Nurse], ..PersonSpec::default() };
    for number in 0..50 {
        let person = clinic.platform.person(clinic.acme.id, nurse).await;
        clinic.platform.name(&clinic.vault, &person, &format!("nurse.{number}"), "One of Many").await;
    }
    // Ids are in the order of time.
    clinic.clock.advance(Duration::from_secs(1));
    let last = json!({"login": "dr.last", "name": "Name of dr.last", "roles": ["tenant_admin"]});
    admin.program.post("/api/v1/people", &last).await.expect(StatusCode::CREATED);
    let app = json!({"client_name": "Chart", "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://app.example/cb"], "scope": "launch/patient patient/*.rs"});
    admin.program.post("/api/v1/apps", &app).await.expect(StatusCode::CREATED);
    let many = format!(
        "INSERT INTO {{s}}.oauth_client
           SELECT (jsonb_populate_record(c, jsonb_build_object('id', gen_random_uuid()))).*
             FROM {{s}}.oauth_client c, generate_series(1, 200);
         DELETE FROM {{s}}.notice WHERE person = '{0}';
         INSERT INTO {{s}}.notice SELECT gen_random_uuid(), '{0}', 'role_given', 'nurse', now() FROM generate_series(1, 130)",
        second.id
    );
    clinic.as_superuser("operations", &many).await;
    let knows = json!({
        "base": clinic.origin("acme"), "token": second.program.token, "asked": "Name of dr.last", "by": "Ada Novak",
        "apps": 201, "notices": 130,
    });
    let path = clinic.folder("knows.json");
    std::fs::write(&path, knows.to_string()).unwrap();
    browser("long-lists.mjs", "long lists", &path).await;
    clinic.close().await;
}

#[tokio::test]
async fn i3_people_sign_in_by_code_and_by_passkey_and_join_in_a_browser() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let second = clinic.member(&mut admin, "second.admin", &["tenant_admin"]).await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Okonkwo"}]});
    doctor.program.post("/fhir/R4/Patient", &patient).await.expect(StatusCode::CREATED);
    let demo = json!({"tenants": [{
        "slug": "acme", "base": clinic.origin("acme"),
        "people": [person("tenant_admin", &admin), person("tenant_admin", &second), person("clinician", &doctor)],
    }]});
    let path = clinic.folder("demo.json");
    std::fs::write(&path, demo.to_string()).unwrap();
    let clock = tokio::spawn(run_with_the_machine(Arc::clone(&clinic.clock)));

    browser("portal.mjs", "browser", &path).await;
    clock.abort();
    clinic.close().await;
}

/// A patient with a visit and an observation.
async fn chart(program: &mut Program, family: &str) -> Value {
    let patient = created(program, "Patient", json!({"name": [{"family": family}]})).await;
    let subject = json!({"reference": format!("Patient/{patient}")});
    let visit = json!({"status": "in-progress", "class": {"code": "AMB"}, "subject": subject});
    let encounter = created(program, "Encounter", visit).await;
    let observation = json!({"status": "final", "code": {"text": "Weight"}, "subject": subject});
    created(program, "Observation", observation).await;
    json!({"family": family, "patient": patient, "encounter": encounter})
}

#[tokio::test]
async fn i11_the_public_javascript_client_launches_by_itself_and_from_the_chart() {
    let clinic = Clinic::open().await;
    let mut admin = clinic.admin().await;
    let mut doctor = clinic.member(&mut admin, "dr.meyer", &["clinician"]).await;
    let knows = json!({
        "base": clinic.origin("acme"),
        "admin": person("tenant_admin", &admin), "doctor": person("clinician", &doctor),
        "own": chart(&mut doctor.program, "Okonkwo").await, "other": chart(&mut doctor.program, "Petrov").await,
    });
    let path = clinic.folder("clinic.json");
    std::fs::write(&path, knows.to_string()).unwrap();
    let clock = tokio::spawn(run_with_the_machine(Arc::clone(&clinic.clock)));
    browser("smart.mjs", "smart", &path).await;
    clock.abort();
    clinic.close().await;
}

#[tokio::test]
async fn i12_people_link_themselves_and_sign_in_by_the_organisations_service_in_a_browser() {
    let clinic = Clinic::open().await;
    // From the beginning: a key that the tenant signs with is a new one years later.
    let clock = caught_up(&clinic).await;
    let provider = clinic.provider();
    let mut admin = clinic.admin().await;
    let nurse = clinic.member(&mut admin, "nurse.costa", &["nurse"]).await;
    let officer = clinic.member(&mut admin, "olga.officer", &["privacy_officer"]).await;
    let knows = json!({
        "officer": person("privacy_officer", &officer),
        "base": clinic.origin("acme"), "issuer": provider.issuer, "client": CLIENT,
        "admin": person("tenant_admin", &admin), "nurse": person("nurse", &nurse),
    });
    let path = clinic.folder("clinic.json");
    std::fs::write(&path, knows.to_string()).unwrap();
    browser("federation.mjs", "federation", &path).await;
    clock.abort();
    clinic.close().await;
}
