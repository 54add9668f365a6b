//! Who changes a resource of which they see a part changes that part, and loses nothing of the rest.

use std::{fs, path::Path};

use carekeep_fhir::{
    json::{Json, Object},
    project::{HiddenLoss, Projection, merge, project},
    types::ResourceType,
    validate::validate,
};
use proptest::{prelude::*, sample::subsequence};

use super::{doc, text};

/// Something hidden in every place that has a visible neighbour.
const PATIENT: &str = r#"{"resourceType":"Patient","id":"p","meta":{"versionId":"3","profile":["urn:p"],"tag":[{"code":"t"}],
    "security":[{"system":"urn:s","code":"R"}]},"language":"en","extension":[{"url":"urn:e","valueString":"H1"}],
    "identifier":[{"use":"official","type":{"text":"H2"},"system":"urn:mrn","value":"1","assigner":{"display":"H3"}},
        {"system":"urn:ssn","value":"2","_value":{"extension":[{"url":"urn:e","valueString":"H4"}]}},
        {"assigner":{"display":"H5"}}],
    "active":true,
    "name":[{"extension":[{"url":"urn:e","valueString":"H6"}],"use":"official","family":"B","given":["Ann","Zoe"],
        "_given":[null,{"extension":[{"url":"urn:e","valueString":"H7"}]}],"period":{"start":"2001","extension":[{"url":"urn:e","valueString":"H8"}]}},
        {"family":"C"}],
    "telecom":[{"system":"phone","value":"5","extension":[{"url":"urn:e","valueString":"H9"}]},{"system":"email","value":"a@b.example"}],
    "gender":"female","birthDate":"1980-05-02","_birthDate":{"extension":[{"url":"urn:e","valueString":"H10"}]},
    "address":[{"line":["1 Road"],"city":"X","period":{"extension":[{"url":"urn:e","valueString":"H11"}]}}],
    "contact":[{"relationship":[{"text":"H12"}],"name":{"family":"D","extension":[{"url":"urn:e","valueString":"H13"}]},
        "telecom":[{"system":"phone","value":"6"}],"gender":"male"},{"relationship":[{"text":"H14"}],"organization":{"display":"H15"}}]}"#;

const ENCOUNTER: &str = r#"{"resourceType":"Encounter","id":"e","status":"finished","class":{"system":"urn:c","code":"AMB","display":"ambulatory"},
    "type":[{"text":"H1"}],"subject":{"reference":"Patient/p","display":"Ann"},"period":{"start":"2026-01-01","end":"2026-01-02"},
    "participant":[{"type":[{"text":"H2"}],"period":{"start":"2026-01-01"},"individual":{"reference":"Practitioner/d","display":"Dr. D"}},
        {"individual":{"reference":"Practitioner/e","display":"Dr. E"}},{"type":[{"text":"H3"}]}],"reasonCode":[{"text":"H4"}]}"#;

const PROJECTIONS: [Projection; 3] = [Projection::Contact, Projection::Schedule, Projection::Metadata];

/// The samples of the product's tests, and documents with something hidden everywhere.
fn samples() -> Vec<(ResourceType, Json)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../carekeep/tests/product/sample");
    let files = fs::read_dir(folder).expect("the samples").map(|entry| entry.expect("an entry").path());
    let texts = files.map(|path| fs::read_to_string(path).expect("a sample"));
    let organization = r#"{"resourceType":"Organization","id":"o","name":"Q","_name":{"extension":[{"url":"urn:e","valueString":"H1"}]},
        "alias":["A","B"],"_alias":[{"extension":[{"url":"urn:e","valueString":"H2"}]},null],"type":[{"text":"H3"}],
        "identifier":[{"system":"urn:lab","value":"1","type":{"text":"H4"}}]}"#;
    let practitioner = r#"{"resourceType":"Practitioner","id":"d","name":[{"family":"D","prefix":["Dr."],"period":{"start":"2001"}}],
        "telecom":[{"value":"1","extension":[{"url":"urn:e","valueString":"H1"}]}],"qualification":[{"code":{"text":"H2"}}]}"#;
    let own = [PATIENT, ENCOUNTER, organization, practitioner].map(str::to_owned);
    let documents = texts.chain(own).map(|text| doc(&text));
    let known = |document: Json| Some((document.text("resourceType")?.parse().ok()?, document));
    let samples: Vec<_> = documents.filter_map(known).collect();
    assert!(samples.len() > 15, "{}", samples.len());
    samples
}

/// Paths of all values of a document, with them.
fn leaves(document: &Json) -> Vec<(String, String)> {
    fn walk(value: &Json, path: &str, out: &mut Vec<(String, String)>) {
        match value {
            Json::Object(object) => {
                object.iter().for_each(|(key, member)| walk(member, &format!("{path}/{key}"), out))
            }
            Json::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{path}/{at}"), out));
            }
            _ => out.push((path.to_owned(), text(value))),
        }
    }
    let mut out = Vec::new();
    walk(document, "", &mut out);
    out
}

/// The document with its n-th text changed, metadata aside; `None` when there are not so many.
fn changed(document: &Json, n: usize) -> Option<Json> {
    fn walk(value: &mut Json, left: &mut usize) -> bool {
        match value {
            Json::Object(object) => object
                .iter_mut()
                .any(|(key, member)| !["resourceType", "id", "meta"].contains(&key) && walk(member, left)),
            Json::Array(items) => items.iter_mut().any(|item| walk(item, left)),
            Json::String(_) if *left == 0 => {
                *value = Json::string("changed");
                true
            }
            Json::String(_) => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }
    let mut copy = document.duplicate();
    let mut left = n;
    walk(&mut copy, &mut left).then_some(copy)
}

#[test]
fn a_projection_sent_back_as_it_was_read_leaves_every_resource_as_it_is() {
    for (kind, stored) in samples() {
        for projection in PROJECTIONS {
            let seen = project(kind, projection, &stored);
            let merged = merge(kind, projection, &stored, &seen).expect("nothing changed");
            assert_eq!(text(&merged), text(&stored), "{kind} {projection:?}");
            let mut bare = seen;
            bare.as_object_mut().expect("an object").remove("meta");
            let merged = merge(kind, projection, &stored, &bare).expect("nothing changed");
            assert_eq!(text(&merged), text(&stored), "{kind} {projection:?} without meta");
        }
    }
    for (kind, stored) in [(ResourceType::Patient, PATIENT), (ResourceType::Encounter, ENCOUNTER)] {
        for projection in PROJECTIONS {
            let seen = project(kind, projection, &doc(stored));
            if !matches!(
                (kind, projection),
                (ResourceType::Encounter, Projection::Contact | Projection::Metadata)
            ) {
                assert!(validate(kind, &seen).is_ok(), "what is shown may be sent: {}", text(&seen));
            }
        }
    }
}

#[test]
fn one_visible_value_that_changes_is_all_that_changes() {
    let mut tried = 0;
    for (kind, stored) in samples() {
        for projection in PROJECTIONS {
            let seen = project(kind, projection, &stored);
            for sent in (0..).map_while(|n| changed(&seen, n)) {
                let merged = merge(kind, projection, &stored, &sent)
                    .unwrap_or_else(|loss| panic!("{loss}: {}", text(&sent)));
                let (before, after) = (leaves(&stored), leaves(&merged));
                let new: Vec<_> = after.iter().filter(|leaf| !before.contains(leaf)).collect();
                let [(path, value)] = new.as_slice() else { panic!("{kind} {projection:?}: {new:?}") };
                assert_eq!(value, "\"changed\"");
                // What describes a link or a code goes when that is another one.
                let parent = path.rsplit_once('/').expect("a path").0;
                let gone = before.iter().filter(|leaf| !after.contains(leaf));
                let gone: Vec<_> =
                    gone.map(|(path, _)| path).filter(|gone| **gone != format!("{parent}/display")).collect();
                assert_eq!(gone, [path], "{kind} {projection:?}");
                assert!(project(kind, projection, &merged).same(&sent), "{kind} {projection:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

/// What becomes of [`PATIENT`] when reception sends it with one element replaced, or without it.
fn with(element: &str, value: Option<&str>) -> Result<Json, HiddenLoss> {
    let mut sent = project(ResourceType::Patient, Projection::Contact, &doc(PATIENT));
    let object = sent.as_object_mut().expect("an object");
    match value {
        Some(value) => object.set(element, doc(value)),
        None => drop(object.remove(element)),
    }
    merge(ResourceType::Patient, Projection::Contact, &doc(PATIENT), &sent)
}

#[test]
fn items_come_and_go_and_change_places_with_all_that_is_hidden_in_them() {
    let telecom = with(
        "telecom",
        Some(
            r#"[{"system":"email","value":"a@b.example"},{"system":"sms","value":"7"},{"system":"phone","value":"5"}]"#,
        ),
    );
    let telecom = telecom.expect("nothing is lost");
    let expected = r#"[{"system":"email","value":"a@b.example"},{"system":"sms","value":"7"},{"system":"phone","value":"5","extension":[{"url":"urn:e","valueString":"H9"}]}]"#;
    assert_eq!(telecom.get("telecom").map(text).as_deref(), Some(expected));
    let plain =
        with("telecom", Some(r#"[{"system":"phone","value":"5"}]"#)).expect("the other hides nothing");
    assert_eq!(plain.items("telecom").len(), 1);
    let given = r#"[{"use":"official","family":"B","given":["Zoe","New","Ann"],"period":{"start":"2001"}},{"family":"C"}]"#;
    let given = with("name", Some(given)).expect("nothing is lost");
    let name = given.items("name").first().expect("a name");
    assert_eq!(name.get("given").map(text).as_deref(), Some(r#"["Zoe","New","Ann"]"#));
    assert!(matches!(name.items("_given"), [Json::Object(_), Json::Null, Json::Null]));
    let born = with("birthDate", None).expect("the extension stands by itself");
    assert!(born.get("birthDate").is_none() && born.get("_birthDate").is_some());
}

#[test]
fn labels_are_not_for_somebody_who_sees_a_part() {
    let labelled =
        with("meta", Some(r#"{"security":[{"system":"urn:s","code":"N"}],"tag":[{"code":"mine"}]}"#));
    assert_eq!(labelled.map(|merged| text(&merged)).expect("nothing is lost"), text(&doc(PATIENT)));
}

#[test]
fn a_change_that_would_lose_something_hidden_is_refused_by_name() {
    for (element, value, named) in [
        ("contact", None, "Patient.contact"),
        ("identifier", Some(r#"[{"system":"urn:ssn","value":"2"}]"#), "Patient.identifier"),
        // Another person, not the same one changed.
        (
            "contact",
            Some(r#"[{"name":{"family":"E"},"telecom":[{"system":"phone","value":"7"}]}]"#),
            "Patient.contact",
        ),
        // Both have the same in common with what was there.
        (
            "telecom",
            Some(r#"[{"system":"phone","value":"7"},{"system":"phone","value":"8"}]"#),
            "Patient.telecom",
        ),
        (
            "name",
            Some(r#"[{"use":"official","family":"B","given":["Ann"],"period":{"start":"2001"}}]"#),
            "Patient.name.given",
        ),
        ("name", Some(r#"[{"use":"official","family":"B","given":["Ann","Zoe"]}]"#), "Patient.name.period"),
    ] {
        let loss = with(element, value).err().unwrap_or_else(|| panic!("{element} {value:?} was taken"));
        assert_eq!(loss.0, named, "{value:?}");
        assert!(loss.to_string().contains("one at a time"), "{loss}");
    }
}

#[test]
fn two_that_look_alike_stay_themselves_and_another_link_has_another_description() {
    let twins =
        doc(r#"{"resourceType":"Patient","name":[{"family":"A","id":"one"},{"family":"A","id":"two"}]}"#);
    let sent = doc(r#"{"resourceType":"Patient","name":[{"family":"B"},{"family":"A"}]}"#);
    let merged = merge(ResourceType::Patient, Projection::Contact, &twins, &sent).expect("nothing is lost");
    assert_eq!(
        text(&merged),
        r#"{"resourceType":"Patient","name":[{"family":"B","id":"one"},{"family":"A","id":"two"}]}"#
    );

    let visit = doc(
        r#"{"resourceType":"Encounter","participant":[{"type":[{"text":"t"}],"individual":{"reference":"Practitioner/d","display":"D"}}]}"#,
    );
    let sent =
        doc(r#"{"resourceType":"Encounter","participant":[{"individual":{"reference":"Practitioner/e"}}]}"#);
    let merged =
        merge(ResourceType::Encounter, Projection::Schedule, &visit, &sent).expect("nothing is lost");
    let expected = r#"{"resourceType":"Encounter","participant":[{"type":[{"text":"t"}],"individual":{"reference":"Practitioner/e"}}]}"#;
    assert_eq!(text(&merged), expected);
}

fn member(object: &mut Object, key: &str, value: Option<Json>) {
    if let Some(value) = value {
        object.set(key, value);
    }
}

/// A person of few names, so that many look alike, each with or without something hidden that is there once.
fn patient() -> impl Strategy<Value = String> {
    let item = (
        0..3_u8,
        prop::option::of(0..3_u8),
        any::<bool>(),
        subsequence(vec!["a", "b", "c"], 0..=3),
        any::<bool>(),
    );
    prop::collection::vec(item, 0..4).prop_map(|items| {
        let mut serial = 0;
        let mut hidden = || {
            serial += 1;
            Json::string(&format!("H{serial}"))
        };
        let mut names = Vec::new();
        for (family, usage, hides, given, companion) in items {
            let mut name = Object::default();
            name.set("family", Json::integer(family.into()));
            member(&mut name, "use", usage.map(|usage| Json::integer(usage.into())));
            member(&mut name, "hidden", hides.then(&mut hidden));
            if !given.is_empty() {
                let companions: Vec<Json> = given.iter().map(|_| Json::object([("id", hidden())])).collect();
                name.set("given", Json::Array(given.into_iter().map(Json::string).collect()));
                member(&mut name, "_given", companion.then_some(Json::Array(companions)));
            }
            names.push(Json::Object(name));
        }
        let mut patient = Json::object([("resourceType", Json::string("Patient"))]);
        member(
            patient.as_object_mut().expect("an object"),
            "name",
            (!names.is_empty()).then_some(Json::Array(names)),
        );
        text(&patient)
    })
}

fn hidden(document: &Json) -> Vec<String> {
    let mut hidden: Vec<String> = leaves(document)
        .into_iter()
        .map(|(_, value)| value)
        .filter(|value| value.starts_with("\"H"))
        .collect();
    hidden.sort();
    hidden
}

proptest! {
    #[test]
    fn whatever_is_sent_is_what_is_seen_afterwards_and_nothing_hidden_is_lost_or_made(stored in patient(), sent in patient()) {
        let (kind, projection) = (ResourceType::Patient, Projection::Contact);
        let (stored, sent) = (doc(&stored), doc(&sent));
        if let Ok(merged) = merge(kind, projection, &stored, &sent) {
            prop_assert!(project(kind, projection, &merged).same(&project(kind, projection, &sent)), "{}", text(&merged));
            prop_assert_eq!(hidden(&merged), hidden(&stored));
        }
    }

    #[test]
    fn a_name_more_or_in_another_place_is_never_refused(stored in patient(), extra in patient(), turn in 0_usize..4) {
        let (kind, projection) = (ResourceType::Patient, Projection::Contact);
        let stored = doc(&stored);
        let (seen, extra) = (project(kind, projection, &stored), project(kind, projection, &doc(&extra)));
        let mut names: Vec<Json> = seen.items("name").iter().chain(extra.items("name")).map(Json::duplicate).collect();
        if !names.is_empty() {
            let turn = turn % names.len();
            names.rotate_left(turn);
            let sent = Json::object([("resourceType", Json::string("Patient")), ("name", Json::Array(names))]);
            let merged = merge(kind, projection, &stored, &sent).map_err(|loss| TestCaseError::fail(loss.to_string()))?;
            prop_assert_eq!(hidden(&merged), hidden(&stored));
        }
    }
}
