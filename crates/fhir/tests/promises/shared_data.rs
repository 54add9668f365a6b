//! Published and generated sample data: what of it is served, what is refused and why. Every count is printed; what is served
//! must read back equal. Where there is no shared data beside the checkout, the charts that `./dev` generates and the product's
//! own sample take its place; where there is nothing at all, the tests fail.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use carekeep_fhir::{
    bundle::{BundleOptions, Draft, Plan, Unsupported},
    json::{Json, Limits},
    meta,
    search::extract,
    types::{ResourceType, compartment_patient},
    validate::validate,
};
use carekeep_kernel::{ManualClock, ResourceId, SeededRandom, Timestamp};

type Counts = BTreeMap<String, usize>;

#[derive(Default)]
struct Tally {
    total: usize,
    served: Counts,
    unsupported: Counts,
    invalid: Counts,
    no_patient: Counts,
    accepted: Counts,
    dangling: usize,
    values: usize,
}

fn folder(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(name);
    folder.is_dir().then_some(folder)
}

/// The product's own sample: names that begin with `refused-` are of what must be refused.
fn own_sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../carekeep/tests/product/sample")
}

/// Bundles of whole charts.
fn charts() -> Vec<PathBuf> {
    let generated =
        || std::env::var_os("CAREKEEP_SAMPLE").map(PathBuf::from).filter(|folder| folder.is_dir());
    match folder("synthea").or_else(generated) {
        Some(folder) => files(&folder),
        None => vec![own_sample().join("bundle-transaction.json")],
    }
}

/// A file's text, unpacked.
fn read(file: &Path) -> Vec<u8> {
    let mut text = fs::read(file).expect("a file");
    if file.extension().is_some_and(|extension| extension == "gz") {
        let packed = std::mem::take(&mut text);
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).expect("gzip");
    }
    text
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn count(counts: &mut Counts, name: impl Into<String>) {
    *counts.entry(name.into()).or_default() += 1;
}

fn ids() -> impl FnMut() -> ResourceId {
    let clock = ManualClock::at(Timestamp::from_micros(1_780_000_000_000_000));
    let random = SeededRandom::new(7);
    move || ResourceId::generate(&clock, &random)
}

fn plan(bundle: Json, new_id: &mut dyn FnMut() -> ResourceId) -> Plan {
    let options = BundleOptions {
        max_transaction: 20_000,
        unsupported: Unsupported::Report,
        ..BundleOptions::default()
    };
    Draft::read(bundle, &options, new_id).and_then(Draft::plan).expect("a bundle that can be planned")
}

impl Tally {
    fn resource(&mut self, kind: ResourceType, document: &Json, name: &str) {
        count(&mut self.served, kind.as_str());
        let mut good = true;
        if let Err(findings) = validate(kind, document) {
            good = false;
            for finding in findings {
                count(&mut self.invalid, format!("{name}{}: {}", finding.expression, finding.advice));
            }
        }
        if let Err(error) = compartment_patient(kind, document, "") {
            good = false;
            count(&mut self.no_patient, format!("{name}{kind}: {error}"));
        }
        let found = extract(kind, document);
        assert!(!found.truncated, "{name}: more values than are kept");
        self.values += found.values.len();
        if good {
            count(&mut self.accepted, kind.as_str());
        }
        let mut stored =
            Json::parse(&document.to_vec(), &Limits::default()).expect("what was written can be read");
        assert!(stored == *document, "{name}: written and read again, it differs");
        meta::set_server_meta(&mut stored, ids()(), 3, Timestamp::from_micros(1));
        assert!(meta::reads_back_equal(document, &stored), "{name}: it reads back different");
    }

    fn plan(&mut self, plan: &Plan, name: &str) {
        self.total += plan.operations.len() + plan.refused.len();
        self.dangling += plan.dangling;
        plan.refused.iter().for_each(|refused| count(&mut self.unsupported, &*refused.kind));
        for operation in &plan.operations {
            self.resource(operation.kind, operation.resource.as_ref().expect("a resource"), name);
        }
    }

    fn print(&self, title: &str) {
        let sum = |counts: &Counts| counts.values().sum::<usize>();
        println!(
            "== {title}: {} resources, {} of served types, {} accepted",
            self.total,
            sum(&self.served),
            sum(&self.accepted)
        );
        println!(
            "   served {:?}\n   accepted {:?}\n   types not served: {} {:?}",
            self.served,
            self.accepted,
            sum(&self.unsupported),
            self.unsupported
        );
        println!(
            "   references kept as they are because their target is not served: {}; search values: {}",
            self.dangling, self.values
        );
        println!(
            "   without a patient here: {} {:#?}\n   invalid: {} {:#?}",
            sum(&self.no_patient),
            self.no_patient,
            sum(&self.invalid),
            self.invalid
        );
    }
}

#[test]
fn generated_patients_are_served_as_far_as_their_types_are_and_read_back_equal() {
    let mut new_id = ids();
    let mut tally = Tally::default();
    for file in charts() {
        let bundle = Json::parse(&read(&file), &Limits::import())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        tally.plan(&plan(bundle, &mut new_id), "");
    }
    tally.print("charts");
    assert!(!tally.accepted.is_empty(), "there was nothing to compare");
    assert!(
        tally.invalid.is_empty() && tally.no_patient.is_empty(),
        "the generator writes valid resources of one patient each"
    );
}

/// All single examples become one batch, so that references between them (`Patient/example`) lead somewhere.
#[test]
fn published_examples_are_served_as_far_as_their_types_are_and_read_back_equal() {
    let shared = folder("fhir-r4-examples");
    let own = shared.is_none();
    let folder = shared.unwrap_or_else(own_sample);
    let mut new_id = ids();
    let mut tally = Tally::default();
    let mut entries = Vec::new();
    let mut unreadable = Vec::new();
    for file in files(&folder) {
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read(&file).expect("a file");
        let limits = Limits { bytes: 8 << 20, keys: 100_000, ..Limits::default() };
        match Json::parse(&text, &limits) {
            Ok(document) => entries.push((name, document)),
            Err(error) => unreadable.push(format!("{name}: {error}")),
        }
    }
    let names: Vec<_> = entries.iter().map(|(name, _)| name.clone()).collect();
    let entry = |(_, document): (String, Json)| {
        let kind = document.text("resourceType").unwrap_or("None").to_owned();
        let request = Json::object([("method", Json::string("POST")), ("url", Json::string(&kind))]);
        Json::object([("resource", document), ("request", request)])
    };
    let bundle = Json::object([
        ("resourceType", Json::string("Bundle")),
        ("type", Json::string("batch")),
        ("entry", Json::Array(entries.into_iter().map(entry).collect())),
    ]);
    let plan = plan(bundle, &mut new_id);
    tally.total = plan.operations.len() + plan.refused.len() + unreadable.len();
    tally.dangling = plan.dangling;
    plan.refused.iter().for_each(|refused| count(&mut tally.unsupported, &*refused.kind));
    for operation in &plan.operations {
        let name = format!("{} ", names[operation.index]);
        tally.resource(operation.kind, operation.resource.as_ref().expect("a resource"), &name);
    }
    tally.print("examples");
    println!("   unreadable: {unreadable:#?}");
    assert!(!tally.accepted.is_empty(), "there was nothing to compare");
    if own {
        let wrong = tally.invalid.keys().chain(tally.no_patient.keys());
        let unexpected: Vec<_> = wrong.filter(|name| !name.starts_with("refused-")).collect();
        assert!(unexpected.is_empty() && unreadable.is_empty(), "{unexpected:#?}");
    }
}
