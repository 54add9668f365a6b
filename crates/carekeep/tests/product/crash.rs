//! F1: a gateway that is killed under load loses nothing that it acknowledged.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use carekeep::client::TenantClient;
use serde_json::{Value, json};

use crate::installation::{CAREKEEP, Installation};

/// A second gateway process on the same cell.
struct Gateway {
    child: Child,
    port: u16,
}

impl Gateway {
    fn start(installation: &Installation) -> Self {
        let mut child = Command::new(CAREKEEP)
            .args(["serve", "--config", &installation.config()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.map_while(Result::ok).find(|line| line.contains("\"serving\"")).expect("it serves");
        let said: Value = serde_json::from_str(&line).unwrap();
        let port = said["public"].as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

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
        let gateway = Gateway::start(&installation);
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
    let stored = stored(&doctor, &patient).await;
    let keys: HashSet<&str> = stored.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(keys.len(), stored.len(), "a write is there twice");
    for line in &acked {
        assert!(stored.contains(line), "acknowledged and lost: {line}");
    }
    verify(&installation);
}

/// All observations of the patient as `id key`.
async fn stored(client: &TenantClient, patient: &str) -> HashSet<String> {
    let mut found = HashSet::new();
    let mut path = format!("/fhir/R4/Observation?patient={patient}&_count=200");
    loop {
        let page = client.get(&path).await.unwrap();
        for entry in page["entry"].as_array().into_iter().flatten() {
            let resource = &entry["resource"];
            let key = resource["identifier"][0]["value"].as_str().unwrap();
            assert!(found.insert(format!("{} {key}", resource["id"].as_str().unwrap())));
        }
        let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        match next {
            Some(link) => {
                path = link["url"]
                    .as_str()
                    .unwrap()
                    .split_once("/fhir")
                    .map(|(_, rest)| format!("/fhir{rest}"))
                    .unwrap()
            }
            None => return found,
        }
    }
}

/// The ledger, taken out and verified with the public key alone.
fn verify(installation: &Installation) {
    let config = installation.config();
    let out = installation.state.join("ledger.export").display().to_string();
    installation
        .command(&["audit", "export", "--config", &config, "--tenant", "harbour", "--out", &out])
        .unwrap();
    let key = installation.command(&["audit", "key", "--config", &config, "--tenant", "harbour"]).unwrap();
    let said = installation.command(&["audit", "verify", "--export", &out, "--key", key.trim()]).unwrap();
    println!("{said}");
    assert!(said.contains("nothing was found"));
    // The control: one flipped byte in the middle is found.
    let mut bytes = std::fs::read(&out).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&out, bytes).unwrap();
    assert!(installation.command(&["audit", "verify", "--export", &out, "--key", key.trim()]).is_err());
}
