//! X1, I2, I3: as a new user would try it.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use carekeep_devservers::cache_dir;
use serde_json::Value;

use crate::installation::{CAREKEEP, Installation, code, next_code};

fn tool(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run the tests by ./dev test"))
}

/// Runs a client of `tests/clients` against the tenant harbour; gives what it said.
fn run_client(script: &str, installation: &Installation) -> String {
    let ran = Command::new(format!("{}/bin/python", tool("CAREKEEP_VENV")))
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(script))
        .arg(installation.state.join("demo.json"))
        .arg("harbour")
        .arg(installation.authority())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    println!("{said}");
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    said
}

#[tokio::test]
async fn x1_a_public_fhir_client_signs_in_reads_searches_creates_and_updates() {
    let mut installation = Installation::start(None);
    let mode = std::fs::metadata(installation.state.join("demo.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "demo.json must be its owner's alone");
    let said = run_client("fhir_client.py", &installation);
    assert_eq!(said.matches("ok: ").count(), 10, "{said}");
    // A second start finds everything there.
    installation = installation.restart();
    println!("second start in {:?}", installation.started_in);
    assert!(installation.started_in < Duration::from_secs(20), "{:?}", installation.started_in);
    let me = installation.signed_in("harbour", "clinician").await.get("/api/v1/me").await.unwrap();
    assert_eq!(me["roles"], serde_json::json!(["clinician"]));
}

#[test]
fn i11_public_oauth_clients_get_tokens_for_one_patient_and_for_a_program() {
    let installation = Installation::start(None);
    let said = run_client("smart_clients.py", &installation);
    assert_eq!(said.matches("ok: ").count(), 13, "{said}");
}

#[test]
fn i12_a_public_scim_checker_finds_nothing_but_what_is_known() {
    let installation = Installation::start(None);
    let said = run_client("scim_client.py", &installation);
    assert_eq!(said.matches("ok: ").count(), 5, "{said}");
}

/// A folder with one small chart to start from.
fn one_chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/product/sample/bundle-transaction.json");
    std::fs::copy(sample, folder.path().join("chart.json")).unwrap();
    folder
}

/// The lines of the README's block that begins with this, without comments behind them.
fn readme_block(begin: &str) -> Vec<String> {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md")).unwrap();
    let block =
        readme.split("```sh\n").find(|block| block.starts_with(begin)).expect("the README has this block");
    block.split("```").next().unwrap().lines().map(str::to_owned).collect()
}

/// Runs a line of the README after those before it that set something, as a person's shell does.
fn shell(settings: &[String], line: &str) -> Value {
    let ran =
        Command::new("bash").arg("-c").arg(format!("{}\n{line}", settings.join("\n"))).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{line}: no JSON: {said}"))
}

#[tokio::test]
async fn t1_a_first_start_that_was_interrupted_is_begun_anew() {
    let installation = Installation::start_after_an_interruption();
    assert!(installation.said.contains("starting over"), "{}", installation.said);
    installation.signed_in("harbour", "tenant_admin").await.get("/api/v1/people").await.unwrap();
    assert_eq!(installation.tenant("harbour")["people"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn i10_a_demo_patient_reads_their_own_chart() {
    let chart = one_chart();
    let installation = Installation::start(Some(chart.path()));
    let patient = installation.signed_in("harbour", "patient").await;
    let charts = patient.get("/fhir/R4/Patient").await.unwrap();
    let entries = charts["entry"].as_array().unwrap();
    assert_eq!(entries.len(), 1, "{charts}");
    let conditions = patient.get("/fhir/R4/Condition").await.unwrap();
    assert!(!conditions["entry"].as_array().unwrap().is_empty(), "{conditions}");
}

#[tokio::test]
async fn x1_the_readmes_way_in_by_curl_works_as_it_stands_there() {
    let chart = one_chart();
    let installation = Installation::start(Some(chart.path()));
    let tenant = installation.tenant("harbour");
    let people = tenant["people"].as_array().unwrap();
    // What a person copies from the terminal or from demo.json.
    let fill = |line: &String| {
        line.replace("https://harbour.localhost:8443", tenant["base"].as_str().unwrap())
            .replace(".carekeep/tls/dev-ca.pem", installation.authority().to_str().unwrap())
    };
    let lines: Vec<String> = readme_block("B=https://").iter().map(fill).collect();
    let (settings, calls): (Vec<String>, Vec<String>) =
        lines.into_iter().partition(|line| !line.starts_with("$C"));
    let [password, totp, charts] = <[String; 3]>::try_from(calls).expect("three calls");
    let doctor = people.iter().find(|person| password.contains(person["login"].as_str().unwrap())).unwrap();
    let password = password.replace("<password>", doctor["password"].as_str().unwrap());
    assert!(!password.contains('<'), "{password}");
    let half = shell(&settings, &password);
    assert_eq!(half["next"], "second_factor", "{half}");
    let mut whole = Value::Null;
    for _ in 0..3 {
        let now = code(doctor["totp_secret"].as_str().unwrap());
        let line = totp.replace("<token>", half["token"].as_str().unwrap()).replace("<code>", &now);
        whole = shell(&settings, &line);
        if whole["next"] == "done" {
            break;
        }
        assert_eq!(whole["code"], "sign-in-refused", "{whole}");
        next_code().await;
    }
    let line = charts.replace("<token>", whole["token"].as_str().unwrap());
    let charts = shell(&settings, &line);
    assert_eq!(
        (&charts["resourceType"], &charts["type"]),
        (&"Bundle".into(), &"searchset".into()),
        "{charts}"
    );
    assert_eq!(charts["entry"][0]["resource"]["name"][0]["family"], "Transacted");
    // Without the session there is no chart: it was not the door that stood open.
    let stranger = shell(&settings, &line.replace(whole["token"].as_str().unwrap(), "cks_no"));
    assert_eq!(stranger["resourceType"], "OperationOutcome", "{stranger}");
}

/// Where a tenant's administrator joins: at the port at which the installation is reached.
fn is_invited(installation: &Installation, host: &str, link: &str) {
    let port = installation.tenant("harbour")["base"].as_str().unwrap().rsplit(':').next().unwrap();
    assert!(link.starts_with(&format!("https://{host}:{port}/join#cki_")), "{link}");
}

#[test]
fn t1_the_readmes_call_that_makes_a_tenant_works_as_it_stands_there_and_so_does_the_command() {
    let installation = Installation::start(None);
    let state = installation.state.to_str().unwrap();
    let lines: Vec<String> =
        readme_block("I=$").iter().map(|line| line.replace(".carekeep", state)).collect();
    let made = shell(&[], &lines.join("\n"));
    assert_eq!((&made["slug"], &made["status"]), (&"lakeside".into(), &"active".into()), "{made}");
    is_invited(&installation, "lakeside.localhost", made["admin"]["link"].as_str().unwrap());

    let file = installation.state.join("tenant.toml");
    let text = "[partner]\nslug = \"northstar\"\nname = \"Northstar Health\"\n[tenant]\nslug = \"hillside\"\n\
                name = \"Hillside Clinic\"\nregion = \"eu-1\"\nhosts = [\"hillside.localhost\"]\n";
    std::fs::write(&file, text).unwrap();
    let ran = Command::new(CAREKEEP)
        .args(["tenant", "--config", &installation.config(), "create", "--file", file.to_str().unwrap()])
        .args(["--admin-login", "ada.admin", "--admin-name", "Ada Novak"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    is_invited(&installation, "hillside.localhost", said.trim_end().rsplit(' ').next().unwrap());
}

#[tokio::test]
async fn i1_i2_people_sign_in_to_a_demo_tenant_by_code_and_by_passkey_in_a_browser() {
    let chart = one_chart();
    let installation = Installation::start(Some(chart.path()));
    let modules = std::env::var_os("CAREKEEP_NODE_MODULES")
        .map_or_else(|| cache_dir().join("node/node_modules"), PathBuf::from);
    assert!(modules.is_dir(), "{} is not there: run this by ./dev test", modules.display());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/browser/portal.mjs");
    let ran = Command::new("node")
        .arg(script)
        .arg(installation.state.join("demo.json"))
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser"))
        .env("CAREKEEP_NODE_MODULES", &modules)
        .env("CAREKEEP_EXPECT_CHART", "1")
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    println!("{said}");
    assert!(ran.status.success() && said.contains("browser: ok"), "{said}\n{errors}");
    assert!(said.contains("asked in another brand"), "{said}");
}
