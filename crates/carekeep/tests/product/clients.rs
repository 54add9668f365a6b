//! X1, I2, I3: as a new user would try it.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use crate::installation::Installation;

fn tool(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run the tests by ./dev test"))
}

#[tokio::test]
async fn x1_a_public_fhir_client_signs_in_reads_searches_creates_and_updates() {
    let mut installation = Installation::start(None);
    let mode = std::fs::metadata(installation.state.join("demo.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "demo.json must be its owner's alone");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/fhir_client.py");
    let ran = Command::new(format!("{}/bin/python", tool("CAREKEEP_VENV")))
        .arg(script)
        .arg(installation.state.join("demo.json"))
        .arg("harbour")
        .arg(installation.authority())
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    println!("{said}");
    assert!(ran.status.success(), "{said}\n{errors}");
    assert_eq!(said.matches("ok: ").count(), 10, "{said}");
    // A second start finds everything there.
    installation = installation.restart();
    println!("second start in {:?}", installation.started_in);
    assert!(installation.started_in < Duration::from_secs(20), "{:?}", installation.started_in);
    let me = installation.signed_in("harbour", "clinician").await.get("/api/v1/me").await.unwrap();
    assert_eq!(me["roles"], serde_json::json!(["clinician"]));
}
