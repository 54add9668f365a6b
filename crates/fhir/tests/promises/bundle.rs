//! Transactions and batches, and the bundles that are answered with.

use carekeep_fhir::{
    bundle::{
        BundleError, BundleKind, BundleOptions, BundleProblem, Draft, Method, Plan, Unsupported,
        write::{EntryResponse, Head, HistoryEntry, ListKind, ListWriter, responses},
    },
    json::{Json, Limits},
    outcome::{IssueType, Outcome},
    types::ResourceType,
};
use carekeep_kernel::Timestamp;

use super::{ANN, BEN, doc, ids, text};

const BASE: &str = "https://acme.example/fhir/R4";

fn bundle(entries: &[String]) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{}]}}"#, entries.join(","))
}

fn entry(full_url: &str, resource: &str, method: &str, url: &str) -> String {
    format!(
        r#"{{"fullUrl":"{full_url}","resource":{resource},"request":{{"method":"{method}","url":"{url}"}}}}"#
    )
}

fn read(body: &str, unsupported: Unsupported) -> Result<Plan, BundleError> {
    let options = BundleOptions { base: BASE, unsupported, ..BundleOptions::default() };
    Draft::read(doc(body), &options, &mut ids()).and_then(Draft::plan)
}

fn refused(body: &str) -> BundleProblem {
    read(body, Unsupported::Refuse).err().unwrap_or_else(|| panic!("accepted: {body}")).problem
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"old"}"#;

fn observation(reference: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","subject":{{"reference":"{reference}"}},"contained":[{{"resourceType":"Location","partOf":{{"reference":"{reference}"}}}}]}}"#
    )
}

#[test]
fn references_inside_a_transaction_point_at_the_new_ids_wherever_the_entry_stands() {
    let by_urn = bundle(&[
        entry("urn:uuid:o", &observation("urn:uuid:p"), "POST", "Observation"),
        entry("urn:uuid:p", PATIENT, "POST", "Patient"),
    ]);
    let by_old_id = bundle(&[
        entry("urn:uuid:o", &observation("Patient/old"), "POST", "Observation"),
        entry("urn:uuid:p", PATIENT, "POST", "Patient"),
    ]);
    let by_address = bundle(&[
        entry("https://other.example/fhir/Observation/1", &observation("Patient/7"), "POST", "Observation"),
        entry("https://other.example/fhir/Patient/7", r#"{"resourceType":"Patient"}"#, "POST", "Patient"),
    ]);
    for body in [by_urn, by_old_id, by_address] {
        let plan = read(&body, Unsupported::Refuse).unwrap_or_else(|error| panic!("{error}"));
        let [observation, patient] = plan.operations.as_slice() else { panic!("two operations") };
        let expected = format!("Patient/{}", patient.id);
        let written = text(observation.resource.as_ref().expect("a resource"));
        assert_eq!(written.matches(&expected).count(), 2, "{written}");
        assert_ne!(observation.id, patient.id);
        assert_eq!((plan.kind, plan.dangling, observation.index), (BundleKind::Transaction, 0, 0));
    }
}

#[test]
fn references_to_stored_resources_stay_and_dangling_ones_are_refused_or_reported() {
    let stored =
        bundle(&[entry("urn:uuid:o", &observation(&format!("Patient/{ANN}")), "POST", "Observation")]);
    let plan = read(&stored, Unsupported::Refuse).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        text(plan.operations[0].resource.as_ref().expect("a resource")).contains(&format!("Patient/{ANN}"))
    );
    let dangling = bundle(&[entry("urn:uuid:o", &observation("urn:uuid:missing"), "POST", "Observation")]);
    assert_eq!(refused(&dangling), BundleProblem::Dangling);
    let plan = read(&dangling, Unsupported::Report).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.dangling, 2);
    assert!(text(plan.operations[0].resource.as_ref().expect("a resource")).contains("urn:uuid:missing"));
}

#[test]
fn types_that_are_not_served_are_refused_or_reported_by_name() {
    let body = bundle(&[
        entry("urn:uuid:p", PATIENT, "POST", "Patient"),
        entry("urn:uuid:c", r#"{"resourceType":"Claim"}"#, "POST", "Claim"),
    ]);
    assert_eq!(refused(&body), BundleProblem::UnsupportedType);
    let plan = read(&body, Unsupported::Report).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(plan.operations.len(), 1);
    assert_eq!((plan.refused[0].index, plan.refused[0].kind.as_str()), (1, "Claim"));
}

#[test]
fn updates_and_deletions_name_their_resource_and_come_in_the_order_of_r4() {
    let update = format!(
        r#"{{"resource":{{"resourceType":"Patient","id":"{ANN}"}},"request":{{"method":"PUT","url":"Patient/{ANN}","ifMatch":"W/\"3\""}}}}"#
    );
    let delete = format!(r#"{{"request":{{"method":"DELETE","url":"Observation/{BEN}"}}}}"#);
    let create = entry("urn:uuid:p", PATIENT, "POST", "Patient");
    let plan = read(&bundle(&[update, create, delete]), Unsupported::Refuse)
        .unwrap_or_else(|error| panic!("{error}"));
    let order: Vec<_> = plan.operations.iter().map(|operation| (operation.method, operation.index)).collect();
    assert_eq!(order, [(Method::Delete, 2), (Method::Create, 1), (Method::Update, 0)]);
    assert_eq!(plan.operations[2].if_match, Some(3));
    assert_eq!(plan.operations[2].id.to_string(), ANN);
}

#[test]
fn conditions_are_the_callers_to_answer() {
    let create = r#"{"fullUrl":"urn:uuid:p","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=1"}}"#;
    let body = bundle(&[
        create.to_owned(),
        entry("urn:uuid:o", &observation("urn:uuid:p"), "POST", "Observation"),
        entry("urn:uuid:q", &observation("Patient?identifier=2"), "POST", "Observation"),
    ]);
    let draft = || {
        Draft::read(doc(&body), &BundleOptions::default(), &mut ids())
            .unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(draft().conditions().collect::<Vec<_>>(), [(0, ResourceType::Patient, "identifier=1")]);
    assert_eq!(draft().conditional_references().collect::<Vec<_>>(), ["Patient?identifier=2"]);
    let open = draft().plan().err().expect("an open reference");
    assert_eq!((open.problem, open.entry), (BundleProblem::ConditionalReference, Some(2)));

    let mut answered = draft();
    answered.set_reference("Patient?identifier=2", ResourceType::Patient, BEN.parse().expect("an id"));
    answered.set_existing(0, ANN.parse().expect("an id"));
    let plan = answered.plan().unwrap_or_else(|error| panic!("{error}"));
    let left: Vec<usize> = plan.operations.iter().map(|operation| operation.index).collect();
    assert_eq!(left, [1, 2], "what is there already needs nothing");
    assert!(
        text(plan.operations[0].resource.as_ref().expect("a resource")).contains(&format!("Patient/{ANN}"))
    );
    assert!(
        text(plan.operations[1].resource.as_ref().expect("a resource")).contains(&format!("Patient/{BEN}"))
    );
}

#[test]
fn malformed_bundles_are_refused_by_name() {
    let one = |entry: &str| bundle(&[entry.to_owned()]);
    let request = |method: &str, url: &str| {
        format!(r#"{{"resource":{PATIENT},"request":{{"method":"{method}","url":"{url}"}}}}"#)
    };
    let cases = [
        ("[]".to_owned(), BundleProblem::NotABundle),
        (r#"{"resourceType":"Patient"}"#.to_owned(), BundleProblem::NotABundle),
        (r#"{"resourceType":"Bundle","type":"searchset"}"#.to_owned(), BundleProblem::WrongKind),
        (r#"{"resourceType":"Bundle","type":"batch","entry":{}}"#.to_owned(), BundleProblem::BadEntries),
        (one("1"), BundleProblem::BadEntries),
        (one("{}"), BundleProblem::NoRequest),
        (one(&request("GET", "Patient")), BundleProblem::Method),
        (one(&request("PATCH", &format!("Patient/{ANN}"))), BundleProblem::Method),
        (one(&request("POST", "Patient/1")), BundleProblem::Url),
        (one(&request("POST", "Patients")), BundleProblem::UnsupportedType),
        (one(&request("PUT", "Patient/old")), BundleProblem::Url),
        (one(&request("PUT", "Patient?identifier=1")), BundleProblem::ConditionalWrite),
        (one(&request("PUT", &format!("Patient/{ANN}"))), BundleProblem::Mismatch),
        (one(&request("POST", "Observation")), BundleProblem::Mismatch),
        (one(&request("DELETE", &format!("Patient/{ANN}"))), BundleProblem::Resource),
        (one(r#"{"request":{"method":"POST","url":"Patient"}}"#), BundleProblem::Resource),
        (
            one(&format!(r#"{{"request":{{"method":"DELETE","url":"Patient/{ANN}","ifMatch":"3"}}}}"#)),
            BundleProblem::IfMatch,
        ),
        (
            bundle(&[
                entry("urn:uuid:p", PATIENT, "POST", "Patient"),
                entry("urn:uuid:p", PATIENT, "POST", "Patient"),
            ]),
            BundleProblem::DuplicateFullUrl,
        ),
        (
            bundle(&vec![format!(r#"{{"request":{{"method":"DELETE","url":"Patient/{ANN}"}}}}"#); 2]),
            BundleProblem::DuplicateTarget,
        ),
        (bundle(&vec!["1".to_owned(); 501]), BundleProblem::TooManyEntries(500)),
        (conditions(101), BundleProblem::TooManyConditions(100)),
    ];
    for (body, problem) in &cases {
        assert_eq!(refused(body), *problem, "{}", &body[..body.len().min(200)]);
    }
    assert!(read(&bundle(&[]), Unsupported::Refuse).is_ok_and(|plan| plan.operations.is_empty()));
}

#[test]
fn a_searchset_is_written_around_bytes_that_nobody_reads_again() {
    let mut out = Vec::new();
    let head =
        Head { total: Some(2), self_url: "https://x/Patient?name=\"a\"", next_url: Some("https://x/next") };
    let mut writer = ListWriter::begin(ListKind::Searchset, &head, &mut out);
    writer.push_match("https://x/Patient/1", br#"{"resourceType":"Patient","v":1.00}"#, &mut out);
    writer.push_outcome(&Outcome::error(IssueType::TooCostly, "cut"), &mut out);
    writer.finish(&mut out);
    let written = String::from_utf8(out).expect("UTF-8");
    let read = doc(&written);
    assert!(
        written.contains(r#""resource":{"resourceType":"Patient","v":1.00},"search":{"mode":"match"}"#),
        "{written}"
    );
    assert_eq!(read.items("entry").len(), 2);
    assert_eq!(read.items("link")[0].text("url"), Some("https://x/Patient?name=\"a\""));
    assert_eq!(read.items("link")[1].text("relation"), Some("next"));

    let mut empty = Vec::new();
    ListWriter::begin(ListKind::Searchset, &Head::default(), &mut empty).finish(&mut empty);
    assert_eq!(
        String::from_utf8(empty).expect("UTF-8"),
        r#"{"resourceType":"Bundle","type":"searchset","link":[{"relation":"self","url":""}]}"#
    );
}

#[test]
fn a_history_says_what_wrote_each_version() {
    let mut out = Vec::new();
    let mut writer = ListWriter::begin(ListKind::History, &Head::default(), &mut out);
    let at = Timestamp::from_micros(0);
    let version = |version, method| HistoryEntry {
        kind: ResourceType::Patient,
        id: ANN.parse().expect("an id"),
        version,
        at,
        method,
    };
    writer.push_version(BASE, &version(3, Method::Delete), None, &mut out);
    writer.push_version(BASE, &version(2, Method::Update), Some(b"{}"), &mut out);
    writer.push_version(BASE, &version(1, Method::Create), Some(b"{}"), &mut out);
    writer.finish(&mut out);
    let read = doc(std::str::from_utf8(&out).expect("UTF-8"));
    let requests: Vec<_> = read
        .items("entry")
        .iter()
        .map(|entry| {
            let request = entry.get("request").expect("a request");
            (
                request.text("method").expect("a method").to_owned(),
                request.text("url").expect("a url").to_owned(),
                entry.get("resource").is_some(),
            )
        })
        .collect();
    let one = format!("Patient/{ANN}");
    assert_eq!(
        requests,
        [
            ("DELETE".into(), one.clone(), false),
            ("PUT".into(), one, true),
            ("POST".into(), "Patient".into(), true)
        ]
    );
    assert_eq!(
        read.items("entry")[1].get("response").and_then(|response| response.text("etag")),
        Some("W/\"2\"")
    );
}

#[test]
fn responses_keep_the_order_of_the_request() {
    let done = EntryResponse::Done {
        status: "201 Created",
        kind: ResourceType::Patient,
        id: ANN.parse().expect("an id"),
        version: 1,
        at: Timestamp::from_micros(0),
    };
    let no = EntryResponse::Refused {
        status: "422 Unprocessable Entity",
        outcome: Outcome::error(IssueType::BusinessRule, "no"),
    };
    let written = text(&responses(BundleKind::Batch, BASE, &[done, no]));
    assert_eq!(
        written,
        format!(
            r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{{"response":{{"status":"201 Created","location":"{BASE}/Patient/{ANN}/_history/1","etag":"W/\"1\"","lastModified":"1970-01-01T00:00:00Z"}}}},{{"response":{{"status":"422 Unprocessable Entity","outcome":{{"resourceType":"OperationOutcome","issue":[{{"severity":"error","code":"business-rule","diagnostics":"no"}}]}}}}}}]}}"#
        )
    );
}

/// Half of them creations on a condition, half of them references by one.
fn conditions(count: usize) -> String {
    let entries: Vec<String> = (0..count)
        .map(|at| match at % 2 {
            0 => format!(
                r#"{{"resource":{PATIENT},"request":{{"method":"POST","url":"Patient","ifNoneExist":"identifier=x|{at}"}}}}"#
            ),
            _ => format!(
                r#"{{"resource":{{"resourceType":"Condition","subject":{{"reference":"Patient?identifier=x|{at}"}}}},"request":{{"method":"POST","url":"Condition"}}}}"#
            ),
        })
        .collect();
    bundle(&entries)
}

#[test]
fn a_transaction_may_be_larger_than_a_batch_and_every_entry_and_condition_counts() {
    let read = |text: &str, options: &BundleOptions<'_>| {
        let bundle = Json::parse(text.as_bytes(), &Limits::import()).expect("JSON");
        Draft::read(bundle, options, &mut ids()).map_err(|error| error.problem)
    };
    let entries = vec![entry("", PATIENT, "POST", "Patient").replace(r#""fullUrl":"","#, ""); 12];
    let transaction = bundle(&entries);
    let batch = transaction.replace(r#""transaction""#, r#""batch""#);
    assert!(batch != transaction);
    let options = BundleOptions { max_batch: 11, max_transaction: 12, ..BundleOptions::default() };
    assert_eq!(read(&transaction, &options).map(|draft| draft.size()), Ok(12));
    assert_eq!(read(&batch, &options).err(), Some(BundleProblem::TooManyEntries(11)));
    let options = BundleOptions { max_batch: 12, max_transaction: 11, ..options };
    assert_eq!(read(&batch, &options).map(|draft| draft.size()), Ok(12));
    assert_eq!(read(&transaction, &options).err(), Some(BundleProblem::TooManyEntries(11)));
    // Those that are left out were read, too.
    let left_out =
        bundle(&[entry("urn:uuid:c", r#"{"resourceType":"Claim"}"#, "POST", "Claim"), entries[0].clone()]);
    let options = BundleOptions { unsupported: Unsupported::Report, ..BundleOptions::default() };
    assert_eq!(read(&left_out, &options).map(|draft| draft.size()), Ok(2));
    assert_eq!(read(&conditions(100), &options).map(|draft| draft.size()), Ok(100));
}
