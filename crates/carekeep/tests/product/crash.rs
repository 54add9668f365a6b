//! F1: a gateway that is killed under load loses nothing that it acknowledged.

use std::{
    collections::HashSet,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use carekeep::client::TenantClient;
use serde_json::{Value, json};

use crate::{
    gateway::Gateway,
    installation::{CAREKEEP, Installation},
};

fn observation(patient: &str, key: &str) -> Value {
    json!({"resourceType": "Observation", "status": "final", "subject": {"reference": format!("Patient/{patient}")},
        "identifier": [{"system": "urn:example:crash", "value": key}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}})
}

/// Writes until told to stop; remembers what was acknowledged.
async fn write(
    mut client: TenantClient,
    patient: String,
    name: String,
    acked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let key = format!("{name}-{n}");
        match client.post("/fhir/R4/Observation", &observation(&patient, &key)).await {
            Ok(answer) => acked.lock().unwrap().push(format!("{} {key}", answer["id"].as_str().unwrap())),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_kill_nine_under_write_load_loses_nothing_acknowledged() {
    let rounds = std::env::var("CAREKEEP_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let installation = Installation::start(None);
    let mut doctor = installation.signed_in("harbour", "clinician").await;
    let patient = json!({"resourceType": "Patient", "name": [{"family": "Crash"}]});
    let patient = doctor.post("/fhir/R4/Patient", &patient).await.unwrap()["id"].as_str().unwrap().to_owned();
    let acked = Arc::new(Mutex::new(Vec::new()));
    for round in 0..rounds {
        // A second gateway process on the same cell.
        let gateway = Gateway::start(installation.config().as_ref());
        let base = format!("https://harbour.localhost:{}", gateway.port);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..8)
            .map(|lane| {
                let client = installation.client_at("harbour", &base).with_session_of(&doctor);
                let name = format!("{round}-{lane}");
                tokio::spawn(write(client, patient.clone(), name, Arc::clone(&acked), Arc::clone(&stop)))
            })
            .collect();
        let before = acked.lock().unwrap().len();
        while acked.lock().unwrap().len() < before + 10 + round {
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(!writers.iter().all(tokio::task::JoinHandle::is_finished), "nobody could write");
        }
        gateway.kill();
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.await.unwrap();
        }
    }
    let acked: Vec<String> = acked.lock().unwrap().clone();
    println!("{} writes acknowledged over {rounds} crashes", acked.len());
    let stored = installation.http("harbour").with_token(doctor.token()).observations(&patient).await;
    let keys: HashSet<&str> = stored.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(keys.len(), stored.len(), "a write is there twice");
    for line in &acked {
        assert!(stored.contains(line), "acknowledged and lost: {line}");
    }
    verify(installation.config().as_ref(), "harbour", &installation.state.join("ledger.export"));
}

/// The ledger of a tenant, taken out to a file and verified with the public key alone.
pub(crate) fn verify(config: &Path, tenant: &str, out: &Path) {
    let run = |arguments: &[&str]| {
        let output = Command::new(CAREKEEP).arg("audit").args(arguments).output().unwrap();
        let (said, failed) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(said.into_owned()) } else { Err(failed.into_owned()) }
    };
    let (config, file) = (config.to_str().unwrap(), out.to_str().unwrap());
    run(&["export", "--config", config, "--tenant", tenant, "--out", file]).unwrap();
    let mode = std::fs::metadata(out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "who did what is for the owner of the file alone");
    let key = run(&["key", "--config", config, "--tenant", tenant]).unwrap();
    let said = run(&["verify", "--export", file, "--key", key.trim()]).unwrap();
    println!("{said}");
    assert!(said.contains("nothing was found"));
    // The control: one flipped byte in the middle is found.
    let mut bytes = std::fs::read(out).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(out, bytes).unwrap();
    assert!(run(&["verify", "--export", file, "--key", key.trim()]).is_err());
}
