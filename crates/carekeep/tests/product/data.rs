//! Done-when 4: sample data imports as far as its types are supported, and reads back equal to what went in.

use std::{collections::HashMap, path::PathBuf};

use carekeep::import;
use carekeep_fhir::{
    json::{Json, Limits},
    meta,
    types::ResourceType,
};
use serde_json::Value;

use crate::installation::Installation;

/// The shared sample data beside the checkout, where there is some.
fn shared() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/synthea");
    folder.is_dir().then_some(folder)
}

/// What was sent: text of each entry, and where it went.
struct Sent {
    /// `urn:uuid:...` -> `Type/id` here.
    places: HashMap<String, String>,
    /// `Type/id` here -> the resource as sent.
    resources: HashMap<String, String>,
}

fn typed(location: &str) -> String {
    let parts: Vec<&str> = location.rsplit('/').collect();
    format!("{}/{}", parts[3], parts[2])
}

/// Sends one bundle as the importer and remembers what went where.
async fn send(installation: &Installation, bytes: Vec<u8>) -> Sent {
    let importer = installation.signed_in("harbour", "service_account").await;
    let bundle: Value = serde_json::from_slice(&bytes).unwrap();
    let document = Json::parse(&bytes, &Limits::import()).unwrap();
    let answer = importer.bundle(bytes).await.unwrap();
    let (entries, answers) = (bundle["entry"].as_array().unwrap(), answer["entry"].as_array().unwrap());
    assert_eq!(entries.len(), answers.len(), "an answer for each entry, nothing dropped silently");
    let mut sent = Sent { places: HashMap::new(), resources: HashMap::new() };
    for ((entry, document), answer) in entries.iter().zip(document.items("entry")).zip(answers) {
        let kind = entry["resource"]["resourceType"].as_str().unwrap();
        let location = answer.pointer("/response/location").and_then(Value::as_str);
        assert_eq!(location.is_some(), kind.parse::<ResourceType>().is_ok(), "{kind}: {answer}");
        let Some(location) = location else {
            let reason =
                answer.pointer("/response/outcome/issue/0/diagnostics").and_then(Value::as_str).unwrap();
            assert!(reason.contains(kind), "{kind} is refused by name: {reason}");
            continue;
        };
        let place = typed(location);
        sent.places.insert(entry["fullUrl"].as_str().unwrap().to_owned(), place.clone());
        let text = String::from_utf8(document.get("resource").unwrap().to_vec()).unwrap();
        sent.resources.insert(place, text);
    }
    sent
}

/// The resource as it should read back: references go to where their targets went.
fn expected(text: &str, places: &HashMap<String, String>) -> Json {
    let mut text = text.to_owned();
    for part in text.clone().split('"').filter(|part| part.starts_with("urn:uuid:")) {
        if let Some(place) = places.get(part) {
            text = text.replace(&format!("\"{part}\""), &format!("\"{place}\""));
        }
    }
    Json::parse(text.as_bytes(), &Limits::import()).unwrap()
}

#[tokio::test]
async fn x1_sample_data_reads_back_equal_to_what_went_in() {
    let Some(folder) = shared() else {
        println!("no shared sample data beside this checkout: nothing to compare");
        return;
    };
    let installation = Installation::start(None);
    let all = std::env::var_os("CAREKEEP_ALL_DATA").is_some();
    let mut paths = import::bundles(&folder).unwrap();
    if !all {
        paths.sort_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |file| file.len()));
        paths.truncate(2);
    }
    let mut compared = 0;
    for path in paths {
        let sent = send(&installation, import::read(&path).unwrap()).await;
        compared += compare(&installation, &sent).await;
        println!("{}: {compared} resources read back equal", path.display());
    }
    assert!(compared > 500);
}

/// Reads each resource as a clinician on the patient's care team.
async fn compare(installation: &Installation, sent: &Sent) -> usize {
    let manager = installation.signed_in("harbour", "clinic_manager").await;
    let person = installation.person("harbour", "clinician")["id"].as_str().unwrap();
    for place in sent.resources.keys().filter(|place| place.starts_with("Patient/")) {
        let patient = place.strip_prefix("Patient/").unwrap();
        manager.put(&format!("/api/v1/patients/{patient}/care-team/{person}")).await.unwrap();
    }
    let doctor = installation.signed_in("harbour", "clinician").await;
    for (place, text) in &sent.resources {
        let body = doctor.get_bytes(&format!("/fhir/R4/{place}")).await.unwrap();
        let read = Json::parse(&body, &Limits::import()).unwrap();
        assert!(meta::reads_back_equal(&expected(text, &sent.places), &read), "{place} changed on the way");
    }
    sent.resources.len()
}
