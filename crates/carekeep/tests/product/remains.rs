//! K8, O2: what is left behind by a run holds no health data.

use std::{fs, path::Path, process::Command};

use data_encoding::{BASE64, HEXLOWER};
use serde_json::json;

use crate::installation::Installation;

/// Words that stand nowhere but in the sample chart.
const CANARIES: [&str; 7] = [
    "Zyxwvandermolen",
    "Qarlottamarie",
    "MRN-7719-KANARIE",
    "kanariestraat 4711",
    "kanarie-diagnose-8842",
    "kanarie note: sleeps badly",
    "+315550174711",
];

fn bundle(folder: &Path) {
    let patient = json!({"resourceType": "Patient",
        "name": [{"family": CANARIES[0], "given": [CANARIES[1]]}],
        "identifier": [{"system": "urn:example:mrn", "value": CANARIES[2]}],
        "address": [{"line": [CANARIES[3]]}],
        "telecom": [{"system": "phone", "value": CANARIES[6]}],
        "birthDate": "1971-03-09"});
    let condition = json!({"resourceType": "Condition",
        "subject": {"reference": "urn:uuid:0b1f7a86-3d4e-4a0e-9c43-1d2f6a7b8c9d"},
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": CANARIES[4]}], "text": CANARIES[4]},
        "note": [{"text": CANARIES[5]}]});
    let entry = |url: &str, resource: &serde_json::Value, kind: &str| json!({"fullUrl": url, "resource": resource, "request": {"method": "POST", "url": kind}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry("urn:uuid:0b1f7a86-3d4e-4a0e-9c43-1d2f6a7b8c9d", &patient, "Patient"),
        entry("urn:uuid:1b1f7a86-3d4e-4a0e-9c43-1d2f6a7b8c9d", &condition, "Condition")]});
    fs::write(folder.join("one.json"), bundle.to_string()).unwrap();
}

/// Every spelling of every canary that is looked for.
fn spellings(canaries: &[impl AsRef<str>]) -> Vec<String> {
    let of = |canary: &str| {
        // Base64 depends on the position modulo three; the whole triples of each shift are enough.
        let shifted =
            |skip: usize| BASE64.encode(&canary.as_bytes()[skip..skip + (canary.len() - skip) / 3 * 3]);
        [canary.to_owned(), HEXLOWER.encode(canary.as_bytes()), shifted(0), shifted(1), shifted(2)]
    };
    canaries.iter().flat_map(|canary| of(canary.as_ref())).collect()
}

/// Files below a folder in which a canary stands, in any spelling and case.
pub(crate) fn hits(canaries: &[impl AsRef<str>], folder: &Path) -> Vec<String> {
    let patterns = tempfile::NamedTempFile::new().unwrap();
    fs::write(patterns.path(), spellings(canaries).join("\n")).unwrap();
    let grep = Command::new("grep")
        .args(["--recursive", "--text", "--ignore-case", "--fixed-strings", "--files-with-matches", "--file"])
        .arg(patterns.path())
        .arg(folder)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    assert!(grep.stderr.is_empty(), "{}", String::from_utf8_lossy(&grep.stderr));
    String::from_utf8_lossy(&grep.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn the_search_for_canaries_finds_each_spelling_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clean"), "nothing of the kind").unwrap();
    assert_eq!(hits(&CANARIES, folder.path()), Vec::<String>::new());
    for (n, text) in [
        CANARIES[0].to_uppercase(),
        HEXLOWER.encode(CANARIES[2].as_bytes()),
        BASE64.encode(format!("x{}", CANARIES[4]).as_bytes()),
        BASE64.encode(format!("xy{} and more", CANARIES[5]).as_bytes()),
    ]
    .iter()
    .enumerate()
    {
        fs::write(folder.path().join(n.to_string()), format!("noise\0{text} noise")).unwrap();
        assert_eq!(hits(&CANARIES, folder.path()).len(), n + 1, "{text}");
    }
}

#[tokio::test]
async fn k8_database_cache_and_logs_of_a_run_hold_no_health_data() {
    let data = tempfile::tempdir().unwrap();
    bundle(data.path());
    let mut installation = Installation::start(Some(data.path()));
    let doctor = installation.signed_in("harbour", "clinician").await;
    // The control: by the front door it is all there. The searches and refusals leave traces too.
    let found = doctor.get(&format!("/fhir/R4/Patient?family={}", &CANARIES[0][..6])).await.unwrap();
    let patient = found.pointer("/entry/0/resource/id").and_then(|id| id.as_str()).unwrap().to_owned();
    assert!(found.to_string().contains(CANARIES[0]) && found.to_string().contains(CANARIES[3]));
    let found = doctor.get(&format!("/fhir/R4/Condition?patient={patient}")).await.unwrap();
    assert!(found.to_string().contains(CANARIES[5]));
    let desk = installation.signed_in("harbour", "reception").await;
    assert!(desk.get(&format!("/fhir/R4/Condition?code={}", CANARIES[4])).await.is_err());
    assert!(doctor.get(&format!("/fhir/R4/Patient/{}", CANARIES[2])).await.is_err());
    assert!(doctor.get(&format!("/fhir/R4/Patient?wrong={}", CANARIES[0])).await.is_err());

    let gathered = tempfile::tempdir().unwrap();
    let keep = |name: &str, bytes: &[u8]| fs::write(gathered.path().join(name), bytes).unwrap();
    let metrics = reqwest::get(format!("{}/metrics", installation.demo["internal"].as_str().unwrap()));
    keep("metrics", &metrics.await.unwrap().bytes().await.unwrap());
    let config: toml::Table = fs::read_to_string(installation.config()).unwrap().parse().unwrap();
    let host = config["clinical"]["host"].as_str().unwrap();
    let password = fs::read_to_string(installation.state.join("postgres/carekeep.superuser")).unwrap();
    keep("pg_dumpall", &dump_all(host, password.trim()));
    dump_redis(config["redis"].as_str().unwrap()).await;
    assert!(installation.state.join("redis/dump.rdb").is_file(), "the dump should be among the files");
    keep("standard-output", installation.said.as_bytes());
    keep("standard-error", installation.stop().as_bytes());
    let mut remains = hits(&CANARIES, gathered.path());
    assert!(
        installation.state.join("postgres/base").is_dir(),
        "the data directory should be among the files"
    );
    remains.extend(hits(&CANARIES, &installation.state));
    assert_eq!(remains, Vec::<String>::new());
}

/// Everything that the database server holds, as its superuser sees it.
pub(crate) fn dump_all(host: &str, password: &str) -> Vec<u8> {
    let output = Command::new("pg_dumpall")
        .args(["-h", host, "-U", "postgres"])
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.len() > 20_000, "the dump is suspiciously small");
    output.stdout
}

/// Has Redis write all that it holds to `dump.rdb` in its directory, as it is and not compressed.
pub(crate) async fn dump_redis(url: &str) {
    let mut redis = redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: i64 = redis::cmd("DBSIZE").query_async(&mut redis).await.unwrap();
    assert!(keys > 0, "the limits that are shared should be there");
    let plain = redis::cmd("CONFIG").arg("SET").arg("rdbcompression").arg("no").query_async(&mut redis).await;
    let () = plain.unwrap();
    let () = redis::cmd("SAVE").query_async(&mut redis).await.unwrap();
}
