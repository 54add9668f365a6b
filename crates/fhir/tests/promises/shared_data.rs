//! The published and generated sample data beside the checkout, when it is there: what of it is served, what is refused and why.
//! Every count is printed; what is served must read back equal.

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
    let options =
        BundleOptions { max_entries: 20_000, unsupported: Unsupported::Report, ..BundleOptions::default() };
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
    let Some(folder) = folder("synthea") else { return println!("skipped: no data folder") };
    let mut new_id = ids();
    let mut tally = Tally::default();
    for file in files(&folder) {
        let mut text = Vec::new();
        flate2::read::GzDecoder::new(fs::File::open(&file).expect("a file"))
            .read_to_end(&mut text)
            .expect("gzip");
        let bundle = Json::parse(&text, &Limits::import())
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        tally.plan(&plan(bundle, &mut new_id), "");
    }
    tally.print("synthea");
    assert!(tally.total > 0);
    assert!(
        tally.invalid.is_empty() && tally.no_patient.is_empty(),
        "the generator writes valid resources of one patient each"
    );
}

/// All single examples become one batch, so that references between them (`Patient/example`) lead somewhere.
#[test]
fn published_examples_are_served_as_far_as_their_types_are_and_read_back_equal() {
    let Some(folder) = folder("fhir-r4-examples") else { return println!("skipped: no data folder") };
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
    assert!(tally.total > 0);
}
