//! Types, references, and whose chart a resource belongs to.

use carekeep_fhir::types::{Compartment, CompartmentError, ResourceType, Target, compartment_patient};

use super::{ANN, doc};

const BASE: &str = "https://acme.example/fhir/R4";

#[test]
fn the_twelve_types_are_read_as_they_are_written_and_nothing_else_is_a_type() {
    assert_eq!(ResourceType::ALL.len(), 12);
    for kind in ResourceType::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
    }
    for name in ["patient", "PATIENT", "Claim", "", " Patient", "Patient/"] {
        assert!(name.parse::<ResourceType>().is_err(), "{name}");
    }
}

#[test]
fn references_are_ours_only_behind_our_own_address() {
    let id = ANN.parse().expect("an id");
    let ours = Target::Local(ResourceType::Patient, id);
    let other = Target::Relative { kind: "Patient", id: "example" };
    let cases = [
        (format!("Patient/{ANN}"), ours),
        (format!("Patient/{ANN}/_history/3"), ours),
        (format!("{BASE}/Patient/{ANN}"), ours),
        ("Patient/example".to_owned(), other),
        (format!("Claim/{ANN}"), Target::Relative { kind: "Claim", id: ANN }),
        ("#p".to_owned(), Target::Contained("p")),
        (format!("urn:uuid:{ANN}"), Target::Urn("")),
        ("Patient?identifier=a|b/c".to_owned(), Target::Conditional("Patient?identifier=a|b/c")),
        (
            "Patient?identifier=http://h.example/mrn|5".to_owned(),
            Target::Conditional("Patient?identifier=http://h.example/mrn|5"),
        ),
        (
            "Patient?identifier=http%3A%2F%2Fh.example%2Fmrn%7C5".to_owned(),
            Target::Conditional("Patient?identifier=http%3A%2F%2Fh.example%2Fmrn%7C5"),
        ),
        (
            format!("{BASE}/Patient?identifier=http://h.example/mrn|5"),
            Target::Conditional("Patient?identifier=http://h.example/mrn|5"),
        ),
        ("https://h.example/Patient?identifier=http://h.example/mrn|5".to_owned(), Target::Elsewhere("")),
        (format!("https://evil.example/fhir/R4/Patient/{ANN}"), Target::Elsewhere("")),
        (format!("{BASE}.evil.example/Patient/{ANN}"), Target::Elsewhere("")),
        (format!("https://acme.example/fhir/R4evil/Patient/{ANN}"), Target::Elsewhere("")),
        (format!("Patient/{ANN}/x"), Target::Elsewhere("")),
        (format!("patient/{ANN}"), Target::Elsewhere("")),
        (format!("../Patient/{ANN}"), Target::Elsewhere("")),
        (format!("Patient/{}", ANN.to_uppercase()), Target::Relative { kind: "Patient", id: "" }),
    ];
    for (reference, expected) in &cases {
        let read = Target::read(reference, BASE);
        let same = match (read, *expected) {
            (Target::Urn(_), Target::Urn(_)) | (Target::Elsewhere(_), Target::Elsewhere(_)) => true,
            (Target::Relative { .. }, Target::Relative { id: "", .. }) => true,
            (read, expected) => read == expected,
        };
        assert!(same, "{reference}: {read:?}");
    }
    assert!(
        matches!(Target::read(&format!("{BASE}/Patient/{ANN}"), ""), Target::Elsewhere(_)),
        "no base, nothing absolute is ours"
    );
}

fn chart(kind: ResourceType, body: &str) -> Result<Compartment, CompartmentError> {
    compartment_patient(kind, &doc(body), BASE)
}

#[test]
fn every_clinical_type_belongs_to_the_chart_of_one_patient_of_this_server() {
    let ann = Ok(Compartment::Patient(ANN.parse().expect("an id")));
    for kind in ResourceType::ALL.iter().copied() {
        let Some(element) = kind.patient_element() else { continue };
        let with =
            |reference: &str| chart(kind, &format!(r#"{{"{element}":{{"reference":"{reference}"}}}}"#));
        assert_eq!(with(&format!("Patient/{ANN}")), ann, "{kind}");
        assert_eq!(with(&format!("{BASE}/Patient/{ANN}")), ann, "{kind}");
        assert_eq!(chart(kind, "{}"), Err(CompartmentError::Missing(element)), "{kind}");
        assert_eq!(with(&format!("Group/{ANN}")), Err(CompartmentError::NotAPatient(element)), "{kind}");
        assert_eq!(
            with(&format!("Practitioner/{ANN}")),
            Err(CompartmentError::NotAPatient(element)),
            "{kind}"
        );
        for elsewhere in
            ["Patient/example", "#p", "https://other.example/Patient/1", "urn:uuid:x", "Patient?name=x"]
        {
            assert_eq!(with(elsewhere), Err(CompartmentError::NotHere(element)), "{kind} {elsewhere}");
        }
        let logical = chart(kind, &format!(r#"{{"{element}":{{"identifier":{{"value":"1"}}}}}}"#));
        assert_eq!(logical, Err(CompartmentError::NotHere(element)), "{kind}");
    }
}

#[test]
fn a_patient_is_its_own_chart_and_staff_have_none() {
    assert_eq!(chart(ResourceType::Patient, "{}"), Ok(Compartment::Itself));
    assert_eq!(chart(ResourceType::Practitioner, "{}"), Ok(Compartment::NoPatient));
    assert_eq!(chart(ResourceType::Organization, "{}"), Ok(Compartment::NoPatient));
}
