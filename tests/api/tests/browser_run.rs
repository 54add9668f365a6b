//! I1, I2, I3: what people do with a browser: `tests/browser/portal.mjs`, run by node in a headless Chromium.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use carekeep_devservers::cache_dir;
use carekeep_kernel::{Clock, ManualClock, SystemClock};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::{Clinic, Member, PASSWORD};

/// Lets the test's clock run with the machine's: the browser's authenticator app knows no other.
async fn run_with_the_machine(clock: Arc<ManualClock>) {
    loop {
        clock.advance(SystemClock.now().since(clock.now()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn person(role: &str, member: &Member) -> Value {
    let secret = data_encoding::BASE32_NOPAD.encode(&member.secret);
    json!({"role": role, "login": member.login, "password": PASSWORD, "totp_secret": secret})
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

    let modules = std::env::var_os("CAREKEEP_NODE_MODULES")
        .map_or_else(|| cache_dir().join("node/node_modules"), Into::into);
    assert!(modules.is_dir(), "{} is not there: run this by ./dev test", modules.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser/portal.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(&path)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser"))
        .env("CAREKEEP_NODE_MODULES", &modules)
        .env("CAREKEEP_EXPECT_CHART", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    clock.abort();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("browser: ok"), "{said}\n{failed}");
    clinic.close().await;
}
