//! Done-when 4: single resources of every kind and odd shapes, imported one by one as an importer would.
//!
//! The importer sends each resource to its type's address, and a bundle to the base. A clinical resource needs a patient
//! of this server, and the ids in the files are not this server's; so what others refer to goes first, and references to
//! it become its id here. A bundle that is no transaction is refused as such, and its entries go as single resources. What
//! is refused is refused by name, with the reason, and references to it stay as they are.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use carekeep_fhir::{
    json::{Json, Limits},
    types::ResourceType,
};
use serde_json::Value;

use crate::{
    data::{Sent, Staff, Tally, moved, send, shared, sums},
    http::{Answer, Http},
    installation::Installation,
};

/// One resource to import.
struct Document {
    /// The file, and the entry's number in a bundle.
    name: String,
    /// Names like `Patient/example` are unique with each publisher only.
    publisher: bool,
    kind: String,
    id: String,
    text: String,
}

/// A folder of resources.
struct Folder {
    files: usize,
    documents: Vec<Document>,
    /// Transactions, and what is refused as a bundle.
    bundles: Vec<(String, Vec<u8>)>,
}

impl Folder {
    fn read(path: &Path) -> Self {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let mut folder = Self { files: files.len(), documents: Vec::new(), bundles: Vec::new() };
        for file in files {
            let (name, text) = (file.file_name().unwrap().to_str().unwrap(), std::fs::read(&file).unwrap());
            folder.add(name, text);
        }
        folder
    }

    fn add(&mut self, name: &str, text: Vec<u8>) {
        let json = Json::parse(&text, &Limits::import()).unwrap();
        // The two publishers of the shared examples write file names in two ways.
        let publisher = name.starts_with(char::is_uppercase);
        if json.text("resourceType") != Some("Bundle") {
            self.documents.push(Document::new(name.to_owned(), publisher, &json, text));
            return;
        }
        if json.text("type") != Some("transaction") {
            for (index, entry) in json.items("entry").iter().enumerate() {
                let resource = entry.get("resource").unwrap();
                let name = format!("{name}[{index}]");
                self.documents.push(Document::new(name, publisher, resource, resource.to_vec()));
            }
        }
        self.bundles.push((name.to_owned(), text));
    }
}

impl Document {
    fn new(name: String, publisher: bool, json: &Json, text: Vec<u8>) -> Self {
        let said = |key| json.text(key).unwrap_or_default().to_owned();
        let text = String::from_utf8(text).unwrap();
        Self { name, publisher, kind: said("resourceType"), id: said("id"), text }
    }

    fn served(&self) -> bool {
        self.kind.parse::<ResourceType>().is_ok()
    }
}

/// What became of a folder.
#[derive(Default)]
struct Imported {
    tally: Tally,
    sent: Sent,
    /// Name -> the reason, of what was refused.
    refused: BTreeMap<String, String>,
}

/// Imports, in an order in which what is referred to comes first.
struct Import<'a> {
    importer: &'a Http,
    folder: &'a Folder,
    /// Publisher and `Type/id` -> which document.
    names: HashMap<(bool, String), usize>,
    /// Which documents were sent, and where they went.
    done: HashMap<usize, Option<String>>,
}

impl<'a> Import<'a> {
    fn new(importer: &'a Http, folder: &'a Folder) -> Self {
        let name = |(at, one): (usize, &Document)| ((one.publisher, format!("{}/{}", one.kind, one.id)), at);
        // Of two with one name the first one counts.
        let names = folder.documents.iter().enumerate().rev().map(name).collect();
        Self { importer, folder, names, done: HashMap::new() }
    }

    /// The document that a word in another one names: of the same publisher, or else of the other one.
    fn named(&self, publisher: bool, word: &str) -> Option<usize> {
        let of = |publisher| self.names.get(&(publisher, word.to_owned())).copied();
        of(publisher).or_else(|| of(!publisher))
    }

    /// What the document refers to in this folder.
    fn targets(&self, at: usize) -> HashMap<&'a str, usize> {
        let document = &self.folder.documents[at];
        let words = document.text.split('"').filter(|word| word.contains('/'));
        let found = words.filter_map(|word| Some((word, self.named(document.publisher, word)?)));
        found.filter(|(_, target)| *target != at).collect()
    }

    async fn run(mut self, imported: &mut Imported) {
        let mut waiting: Vec<usize> = (0..self.folder.documents.len()).collect();
        while !waiting.is_empty() {
            let is_ready =
                |at: &usize| self.targets(*at).values().all(|target| self.done.contains_key(target));
            let (mut ready, mut later): (Vec<usize>, Vec<usize>) = waiting.into_iter().partition(is_ready);
            if ready.is_empty() {
                // They refer to each other: the references between them stay as they are.
                std::mem::swap(&mut ready, &mut later);
            }
            for at in ready {
                let place = self.send(at, imported).await;
                self.done.insert(at, place);
            }
            waiting = later;
        }
    }

    async fn send(&self, at: usize, imported: &mut Imported) -> Option<String> {
        let document = &self.folder.documents[at];
        let place = |target: &usize| self.done.get(target).cloned().flatten();
        let targets = self.targets(at);
        let places: HashMap<String, String> =
            targets.iter().filter_map(|(word, target)| Some(((*word).to_owned(), place(target)?))).collect();
        let text = moved(&document.text, &places);
        let answer = self.importer.post_fhir(&format!("/fhir/R4/{}", document.kind), text.as_bytes()).await;
        let count = imported.tally.entry(document.kind.clone()).or_default();
        match answer.created() {
            Some(place) => {
                assert!(document.served(), "{}", document.name);
                count.0 += 1;
                assert!(imported.sent.resources.insert(place.clone(), text).is_none());
                Some(place)
            }
            None => {
                count.1 += 1;
                imported.refused.insert(document.name.clone(), reason(document, &answer));
                None
            }
        }
    }
}

/// Why something was refused; refusing without a reason, or without naming what is wrong, fails the test.
fn reason(document: &Document, answer: &Answer) -> String {
    let reason = answer.advice();
    assert!(matches!(answer.status, 400..=499), "{}: {}", document.name, answer.text());
    assert!(!reason.is_empty(), "{}: {}", document.name, answer.text());
    if document.served() {
        let element =
            answer.json().pointer("/issue/0/expression/0").and_then(Value::as_str).map(str::to_owned);
        let element = element.unwrap_or_else(|| panic!("{} is refused without a place", document.name));
        return format!("{element}: {reason}");
    }
    assert!(reason.starts_with(&format!("{} is not served", document.kind)), "{}: {reason}", document.name);
    reason
}

async fn import(staff: &Staff, importer: &Http, folder: &Folder) -> Imported {
    let mut imported = Imported::default();
    for (name, bytes) in &folder.bundles {
        if serde_json::from_slice::<Value>(bytes).unwrap()["type"] == "transaction" {
            let sent = send(&staff.importer, bytes.clone(), &mut imported.tally).await;
            staff.compare(&sent).await;
            imported.tally.entry("Bundle".to_owned()).or_default().0 += 1;
            continue;
        }
        let refused = importer.post_fhir("/fhir/R4", bytes).await;
        assert_eq!((refused.status, refused.created()), (400, None), "{name}: {}", refused.text());
        let reason = refused.advice();
        assert!(reason.contains("only bundles of type transaction and batch"), "{name}: {reason}");
        imported.tally.entry("Bundle".to_owned()).or_default().1 += 1;
        imported.refused.insert(name.clone(), reason);
    }
    Import::new(importer, folder).run(&mut imported).await;
    staff.compare(&imported.sent).await;
    imported
}

/// What was refused although its type is served: file and reason.
fn refused_of_served(imported: &Imported) -> Vec<(&str, &str)> {
    let by_type =
        |reason: &str| reason.contains("is not served here") || reason.contains("only bundles of type");
    let refused = imported.refused.iter().filter(|(_, reason)| !by_type(reason));
    refused.map(|(name, reason)| (name.as_str(), reason.as_str())).collect()
}

#[tokio::test]
async fn x1_single_resources_are_stored_or_refused_by_name_and_read_back_equal() {
    let installation = Installation::start_unlimited(None);
    let staff = Staff::of(&installation).await;
    let importer = installation.http("harbour").with_token(staff.importer.token());
    our_own(&staff, &importer).await;
    match shared("fhir-r4-examples") {
        Some(path) => published(&staff, &importer, &path).await,
        None => println!("no published examples beside this checkout"),
    }
}

async fn our_own(staff: &Staff, importer: &Http) {
    let folder = Folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/product/sample"));
    let imported = import(staff, importer, &folder).await;
    let (stored, refused) = sums(&imported.tally);
    // 24 files, of which one is a transaction of three and one a collection of two.
    assert_eq!((folder.files, stored, refused), (24, 20, 9));
    let unserved = ["bundle-collection.json", "bundle-collection.json[1]", "refused-careplan.json"];
    let served = refused_of_served(&imported);
    assert_eq!(imported.refused.len(), served.len() + unserved.len());
    assert!(unserved.iter().all(|name| imported.refused.contains_key(*name)));
    let expected = [
        ("refused-a-group.json", "subject: the subject is no patient"),
        ("refused-a-stranger.json", "subject: the patient is not on this server"),
        ("refused-no-subject.json", "subject: no patient is named"),
        ("refused-two-values.json", "Observation: value[x] is there more than once"),
        ("refused-unknown-element.json", "Patient.name[0]: member 2 is no element of R4"),
    ];
    assert_eq!(served.len(), expected.len());
    for (found, expected) in served.iter().zip(expected) {
        assert!(found.0 == expected.0 && found.1.starts_with(expected.1), "{found:?}");
    }
    // The references went where their targets went.
    let sent = &imported.sent.resources;
    let report = sent.iter().find(|(place, _)| place.starts_with("DiagnosticReport/")).unwrap().1;
    let report: Value = serde_json::from_str(report).unwrap();
    for pointer in ["/subject/reference", "/result/0/reference", "/result/1/reference"] {
        let place = report.pointer(pointer).and_then(Value::as_str).unwrap();
        assert!(sent.contains_key(place), "{pointer}: {place}");
    }
}

async fn published(staff: &Staff, importer: &Http, path: &Path) {
    let folder = Folder::read(path);
    let imported = import(staff, importer, &folder).await;
    let (stored, refused) = sums(&imported.tally);
    assert_eq!(folder.files, 255);
    assert_eq!(stored + refused, folder.documents.len() + folder.bundles.len(), "nothing dropped silently");
    // All of the served types is stored, but for these: no patient is named or among the examples, and one is invalid.
    let mut expected: BTreeMap<String, &str> = [
        ("documentreference-example.json", "subject: the patient is not on this server"),
        ("medicationrequest0301.json", "MedicationRequest.dispenseRequest.performer: "),
        ("observation-decimal.json", "subject: no patient is named"),
    ]
    .map(|(name, reason)| (name.to_owned(), reason))
    .into();
    for entry in 0..18 {
        let name = format!("diagnosticreport-example.json[{entry}]");
        expected.insert(name, "subject: the patient is not on this server");
    }
    let served = refused_of_served(&imported);
    assert_eq!(served.len(), expected.len(), "{served:?}");
    for (found, expected) in served.iter().zip(expected) {
        assert!(found.0 == expected.0 && found.1.starts_with(expected.1), "{found:?}");
    }
}
