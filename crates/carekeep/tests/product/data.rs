//! Done-when 4: charts import as far as their types are supported, the rest is refused by name, and what was stored reads
//! back equal to what went in.
//!
//! The charts are the shared ones beside the checkout where there are some, else those that `./dev` makes with the
//! public generator: something is always compared.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    time::Instant,
};

use carekeep::{client::TenantClient, import};
use carekeep_devservers::cache_dir;
use carekeep_fhir::{
    json::{Json, Limits},
    meta,
    types::ResourceType,
};
use futures_util::{StreamExt, stream};
use serde_json::Value;

use crate::installation::Installation;

/// How many reads are under way at once.
const LANES: usize = 16;
/// Resources that are enough for a run that is not asked for all.
const ENOUGH: usize = 3_000;

/// Stored and refused, by type.
pub(crate) type Tally = BTreeMap<String, (usize, usize)>;

/// A folder of the shared data beside the checkout, where there is some.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    folder.is_dir().then_some(folder)
}

/// The charts that `./dev` makes with the public generator.
fn generated() -> PathBuf {
    let folder = std::env::var_os("CAREKEEP_SAMPLE").map_or_else(|| cache_dir().join("sample"), Into::into);
    assert!(folder.is_dir(), "{}: there are no charts to import: run this by ./dev test", folder.display());
    folder
}

/// Prints the counts and gives their sums.
pub(crate) fn sums(tally: &Tally) -> (usize, usize) {
    for (kind, (stored, refused)) in tally {
        println!("  {kind:<32} {stored:>6} stored {refused:>6} refused");
    }
    let sums = tally.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("  {:<32} {:>6} stored {:>6} refused", "together", sums.0, sums.1);
    sums
}

/// What was sent: text of each entry, and where it went.
#[derive(Default)]
pub(crate) struct Sent {
    /// `urn:uuid:...` -> `Type/id` here.
    places: HashMap<String, String>,
    /// `Type/id` here -> the resource as sent.
    pub(crate) resources: HashMap<String, String>,
}

fn typed(location: &str) -> String {
    let parts: Vec<&str> = location.rsplit('/').collect();
    format!("{}/{}", parts[3], parts[2])
}

/// Sends one bundle as the importer and remembers what went where.
pub(crate) async fn send(importer: &TenantClient, bytes: Vec<u8>, tally: &mut Tally) -> Sent {
    let bundle: Value = serde_json::from_slice(&bytes).unwrap();
    let document = Json::parse(&bytes, &Limits::import()).unwrap();
    let answer = importer.bundle(bytes).await.unwrap();
    let (entries, answers) = (bundle["entry"].as_array().unwrap(), answer["entry"].as_array().unwrap());
    assert_eq!(entries.len(), answers.len(), "an answer for each entry, nothing dropped silently");
    let mut sent = Sent::default();
    for ((entry, document), answer) in entries.iter().zip(document.items("entry")).zip(answers) {
        let kind = entry["resource"]["resourceType"].as_str().unwrap();
        let count = tally.entry(kind.to_owned()).or_default();
        let location = answer.pointer("/response/location").and_then(Value::as_str);
        assert_eq!(location.is_some(), kind.parse::<ResourceType>().is_ok(), "{kind}: {answer}");
        let Some(location) = location else {
            let reason =
                answer.pointer("/response/outcome/issue/0/diagnostics").and_then(Value::as_str).unwrap();
            assert!(reason.contains(kind), "{kind} is refused by name: {reason}");
            count.1 += 1;
            continue;
        };
        count.0 += 1;
        let place = typed(location);
        sent.places.insert(entry["fullUrl"].as_str().unwrap().to_owned(), place.clone());
        let text = String::from_utf8(document.get("resource").unwrap().to_vec()).unwrap();
        assert!(sent.resources.insert(place, text).is_none(), "two entries went to one place");
    }
    sent
}

/// The text with each quoted word that stands in `places` in place of what it became.
pub(crate) fn moved(text: &str, places: &HashMap<String, String>) -> String {
    let words = text.split('"').map(|word| places.get(word).map_or(word, String::as_str));
    words.collect::<Vec<_>>().join("\"")
}

/// Whether a clinician reads this text back at this place.
pub(crate) async fn reads_back(doctor: &TenantClient, place: &str, text: &str) {
    let body = doctor.get_bytes(&format!("/fhir/R4/{place}")).await.unwrap();
    let read = Json::parse(&body, &Limits::import()).unwrap();
    let sent = Json::parse(text.as_bytes(), &Limits::import()).unwrap();
    assert!(meta::reads_back_equal(&sent, &read), "{place} changed on the way");
}

/// Who imports, who says who cares for whom, and who reads.
pub(crate) struct Staff {
    pub(crate) importer: TenantClient,
    manager: TenantClient,
    pub(crate) doctor: TenantClient,
    doctor_id: String,
}

impl Staff {
    pub(crate) async fn of(installation: &Installation) -> Self {
        Self {
            importer: installation.signed_in("harbour", "service_account").await,
            manager: installation.signed_in("harbour", "clinic_manager").await,
            doctor: installation.signed_in("harbour", "clinician").await,
            doctor_id: installation.person("harbour", "clinician")["id"].as_str().unwrap().to_owned(),
        }
    }

    /// Puts the doctor on the care team of each patient among these places.
    pub(crate) async fn treat(&self, places: impl Iterator<Item = &String>) {
        for patient in places.filter_map(|place| place.strip_prefix("Patient/")) {
            let team = format!("/api/v1/patients/{patient}/care-team/{}", self.doctor_id);
            self.manager.put(&team).await.unwrap();
        }
    }

    /// Reads each resource back; gives how many.
    pub(crate) async fn compare(&self, sent: &Sent) -> usize {
        self.treat(sent.resources.keys()).await;
        let read = async |(place, text): (&String, &String)| {
            reads_back(&self.doctor, place, &moved(text, &sent.places)).await;
        };
        stream::iter(&sent.resources).for_each_concurrent(LANES, read).await;
        sent.resources.len()
    }
}

#[tokio::test]
async fn x1_sample_data_reads_back_equal_to_what_went_in() {
    let shared = shared("synthea");
    let all = std::env::var_os("CAREKEEP_ALL_DATA").is_some();
    let installation = Installation::start_unlimited(None);
    let staff = Staff::of(&installation).await;
    let mut paths = import::bundles(&shared.clone().unwrap_or_else(generated)).unwrap();
    paths.sort_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |file| file.len()));
    let (mut tally, mut compared, began) = (Tally::new(), 0, Instant::now());
    for path in &paths {
        let start = Instant::now();
        let sent = send(&staff.importer, import::read(path).unwrap(), &mut tally).await;
        let imported = start.elapsed();
        let count = staff.compare(&sent).await;
        compared += count;
        println!(
            "{}: {count} resources, imported in {imported:.1?}, read back in {:.1?}",
            path.file_name().unwrap().display(),
            start.elapsed() - imported
        );
        if !all && compared >= ENOUGH {
            break;
        }
    }
    println!("{compared} resources read back equal after {:.1?}", began.elapsed());
    let (stored, refused) = sums(&tally);
    assert_eq!(stored, compared, "each that was stored was read back");
    assert!(compared > 500 && refused > 0);
    if all && shared.is_some() {
        assert_eq!(
            (paths.len(), stored + refused, tally.len()),
            (25, 72_104, 25),
            "all of the shared charts"
        );
    }
}
