//! Validation: one good resource per type, and what is wrong with it when one thing is changed.

use carekeep_fhir::{outcome::IssueType, types::ResourceType, validate::validate};

use super::{ANN, doc, text};

/// A small valid resource of every type.
const GOOD: &[(ResourceType, &str)] = &[
    (
        ResourceType::Patient,
        r##"{"resourceType":"Patient","id":"p","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">x</div>"},"active":true,"name":[{"use":"official","family":"Muster","given":["Ann",null],"_given":[null,{"extension":[{"url":"http://x","valueCode":"a"}]}]}],"telecom":[{"system":"phone","value":"1"}],"gender":"female","birthDate":"1980-05-02","_birthDate":{"id":"b","extension":[{"url":"http://x","extension":[{"url":"y","valueDecimal":1.00}]}]},"contact":[{"name":{"text":"x"}}],"contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}}"##,
    ),
    (ResourceType::Practitioner, r#"{"resourceType":"Practitioner","name":[{"text":"x"}]}"#),
    (ResourceType::Organization, r#"{"resourceType":"Organization","name":"x"}"#),
    (
        ResourceType::Encounter,
        r#"{"resourceType":"Encounter","status":"finished","class":{"code":"AMB"},"period":{"start":"2026-01-01","end":"2026-01-01"},"subject":{"reference":"Patient/p"}}"#,
    ),
    (
        ResourceType::Condition,
        r#"{"resourceType":"Condition","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"code":{"text":"x"},"subject":{"reference":"Patient/p"},"onsetAge":{"value":1,"code":"a","system":"http://unitsofmeasure.org"}}"#,
    ),
    (
        ResourceType::AllergyIntolerance,
        r#"{"resourceType":"AllergyIntolerance","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"category":["food"],"patient":{"reference":"Patient/p"}}"#,
    ),
    (
        ResourceType::MedicationRequest,
        r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{"text":"x"},"subject":{"reference":"Patient/p"},"dosageInstruction":[{"timing":{"repeat":{"frequency":2,"period":1,"periodUnit":"d"}}}]}"#,
    ),
    (
        ResourceType::Observation,
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/p"},"effectiveDateTime":"2026-01-01T10:00:00Z","valueQuantity":{"value":1.0},"component":[{"code":{"text":"y"},"valueString":"z","referenceRange":[{"text":"r"}]}]}"#,
    ),
    (
        ResourceType::DiagnosticReport,
        r#"{"resourceType":"DiagnosticReport","status":"final","code":{"text":"x"},"result":[{"reference":"Observation/o"}]}"#,
    ),
    (
        ResourceType::Immunization,
        r#"{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"reference":"Patient/p"},"occurrenceDateTime":"2026"}"#,
    ),
    (
        ResourceType::Procedure,
        r#"{"resourceType":"Procedure","status":"completed","subject":{"reference":"Patient/p"},"performedPeriod":{"start":"2026-01"}}"#,
    ),
    (
        ResourceType::DocumentReference,
        r#"{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"text/plain","data":"QUJD"}}]}"#,
    ),
];

fn good(kind: ResourceType) -> &'static str {
    GOOD.iter().find(|(other, _)| *other == kind).map(|(_, text)| *text).expect("a sample")
}

/// The issues and elements that are found after a text is replaced in the good sample.
fn after(kind: ResourceType, from: &str, to: &str) -> Vec<(IssueType, String)> {
    let changed = good(kind).replacen(from, to, 1);
    assert_ne!(changed, good(kind), "{from} is not in the sample");
    let findings = validate(kind, &doc(&changed)).err().unwrap_or_default();
    assert!(findings.iter().all(|finding| finding.advice.contains(' ')));
    findings.into_iter().map(|finding| (finding.kind, finding.expression)).collect()
}

#[test]
fn a_good_resource_of_every_type_is_accepted() {
    assert_eq!(GOOD.len(), ResourceType::ALL.len());
    for (kind, body) in GOOD {
        assert_eq!(validate(*kind, &doc(body)), Ok(()), "{kind}");
    }
}

#[test]
fn one_wrong_thing_is_found_where_it_is() {
    use IssueType::{CodeInvalid, Invariant, NotSupported, Required, Structure, Value};
    use ResourceType::*;
    let cases = [
        (Patient, r#""active":true"#, r#""active":"true""#, Value, "Patient.active"),
        (Patient, r#""active":true"#, r#""active":[true]"#, Structure, "Patient.active"),
        (Patient, r#""active":true"#, r#""nickname":"x""#, Structure, "Patient"),
        (Patient, r#""active":true"#, r#""active":null"#, Value, "Patient.active"),
        (Patient, r#""active":true"#, r#""photo":[]"#, Structure, "Patient.photo"),
        (Patient, r#""active":true"#, r#""maritalStatus":{}"#, Structure, "Patient.maritalStatus"),
        (Patient, r#""active":true"#, r#""maritalStatus":"x""#, Structure, "Patient.maritalStatus"),
        (Patient, r#""active":true"#, r#""_maritalStatus":{"id":"x"}"#, Structure, "Patient.maritalStatus"),
        (
            Patient,
            r#""active":true"#,
            r#""deceasedBoolean":true,"deceasedDateTime":"2026""#,
            Structure,
            "Patient",
        ),
        (Patient, r#""active":true"#, r#""deceasedString":"x""#, Structure, "Patient"),
        (
            Patient,
            r#""active":true"#,
            r#""generalPractitioner":[{"reference":"Observation/1"}]"#,
            Value,
            "Patient.generalPractitioner[0]",
        ),
        (Patient, r#""id":"p""#, r#""id":"p_1""#, Value, "Patient.id"),
        (Patient, r#""1980-05-02""#, r#""02.05.1980""#, Value, "Patient.birthDate"),
        (Patient, r#"{"id":"b","ex"#, r#"{"id":"b","value":1,"ex"#, Structure, "Patient.birthDate"),
        (Patient, r#""female""#, r#""F""#, CodeInvalid, "Patient.gender"),
        (Patient, r#"["Ann",null]"#, r#"["Ann"]"#, Structure, "Patient.name[0].given"),
        (Patient, r#"[null,{"extension""#, r#"[{"id":"x"},{"extension""#, Structure, ""),
        (
            Patient,
            r#""valueCode":"a""#,
            r#""valueCode":"a","valueString":"b""#,
            Structure,
            "Patient.name[0].given[1].extension[0]",
        ),
        (
            Patient,
            r#""url":"http://x","valueCode":"a""#,
            r#""valueCode":"a""#,
            Required,
            "Patient.name[0].given[1].extension[0].url",
        ),
        (Patient, r#","valueCode":"a""#, "", Invariant, "Patient.name[0].given[1].extension[0]"),
        (Patient, r#"{"name":{"text":"x"}}"#, r#"{"gender":"male"}"#, Invariant, "Patient.contact[0]"),
        (Patient, r##""#o""##, r##""#q""##, Invariant, "Patient.managingOrganization"),
        (
            Patient,
            r#""resourceType":"Organization""#,
            r#""resourceType":"Nonsense""#,
            NotSupported,
            "Patient.contained[0]",
        ),
        (
            Patient,
            r#""id":"o","name":"x""#,
            r#""id":"o","nome":"x","name":"x""#,
            Structure,
            "Patient.contained[0]",
        ),
        (Patient, r#""id":"o","#, r#""id":"o","meta":{"versionId":"1"},"#, Invariant, "Patient.contained[0]"),
        (Patient, "xhtml\\\">x", "xhtml\\\"><script>x</script>", Value, "Patient.text.div"),
        (Patient, r#"{"system":"phone","value":"1"}"#, r#"{"value":"1"}"#, Invariant, "Patient.telecom[0]"),
        (Encounter, r#""class":{"code":"AMB"},"#, "", Required, "Encounter.class"),
        (Encounter, r#""end":"2026-01-01""#, r#""end":"2025-12-31""#, Invariant, "Encounter.period"),
        (Condition, r#""code":"active""#, r#""code":"sleeping""#, CodeInvalid, "Condition.clinicalStatus"),
        (Condition, r#""code":{"text":"x"}"#, r#""abatementString":"x""#, Invariant, "Condition"),
        (Condition, r#","system":"http://unitsofmeasure.org""#, "", Invariant, "Condition.onsetAge"),
        (
            AllergyIntolerance,
            r#"["food"]"#,
            r#"["food","tree"]"#,
            CodeInvalid,
            "AllergyIntolerance.category[1]",
        ),
        (
            MedicationRequest,
            r#""medicationCodeableConcept":{"text":"x"},"#,
            "",
            Required,
            "MedicationRequest",
        ),
        (
            MedicationRequest,
            r#","periodUnit":"d""#,
            "",
            Invariant,
            "MedicationRequest.dosageInstruction[0].timing.repeat",
        ),
        (Observation, r#""status":"final","#, "", Required, "Observation.status"),
        (Observation, r#""value":1.0"#, r#""value":"1.0""#, Value, "Observation.valueQuantity.value"),
        (
            Observation,
            r#""effectiveDateTime":"2026-01-01T10:00:00Z""#,
            r#""dataAbsentReason":{"text":"x"}"#,
            Invariant,
            "Observation",
        ),
        (
            Observation,
            r#"[{"text":"r"}]"#,
            r#"[{"age":{"low":{"value":1}}}]"#,
            Invariant,
            "Observation.component[0].referenceRange[0]",
        ),
        (Immunization, r#","occurrenceDateTime":"2026""#, "", Required, "Immunization"),
        (
            DocumentReference,
            r#""contentType":"text/plain","#,
            "",
            Invariant,
            "DocumentReference.content[0].attachment",
        ),
        (DocumentReference, r#""QUJD""#, r#""QUJ""#, Value, "DocumentReference.content[0].attachment.data"),
        (
            Procedure,
            r#""subject":{"reference":"Patient/p"}"#,
            r#""subject":{"reference":"Practitioner/p"}"#,
            Value,
            "Procedure.subject",
        ),
    ];
    for (kind, from, to, issue, expression) in cases {
        let found = after(kind, from, to);
        if expression.is_empty() {
            assert!(found.is_empty(), "{kind} {to}: {found:?}");
        } else {
            assert_eq!(found, [(issue, expression.to_owned())], "{kind} {to}");
        }
    }
}

#[test]
fn what_is_no_resource_of_the_type_is_refused() {
    for body in ["1", "[]", "{}", r#"{"resourceType":"Observation"}"#, r#"{"resourceType":null}"#] {
        let findings = validate(ResourceType::Patient, &doc(body)).expect_err("refused");
        assert_eq!(findings.len(), 1, "{body}");
        assert_eq!(findings[0].kind, IssueType::Structure);
    }
}

#[test]
fn findings_are_bounded_and_repeat_nothing_that_was_sent() {
    let canary = "Canary1980";
    let body = format!(
        r##"{{"resourceType":"Patient","{canary}":"{canary}","birthDate":"{canary}","gender":"{canary}","name":[{}{{"use":"{canary}"}}],"managingOrganization":{{"reference":"#{canary}"}},"contained":[{{"resourceType":"{canary}"}}],"extension":[{{"url":"{canary} x","valueBoolean":"{canary}"}}]}}"##,
        format!(r#"{{"family":["{canary}"]}},"#).repeat(100)
    );
    let findings = validate(ResourceType::Patient, &doc(&body)).expect_err("refused");
    assert_eq!(findings.len(), 20);
    assert!(!format!("{findings:?}").contains(canary));
}

/// Any member of any good sample replaced by something of another shape: an answer, no panic.
#[test]
fn no_shape_in_no_place_makes_the_validator_fall_over() {
    let junk =
        ["null", "true", "0", "\"\"", "[]", "{}", "[null]", "[[]]", "{\"reference\":1}", "[{\"coding\":{}}]"];
    let mut tried = 0;
    for (kind, body) in GOOD {
        let keys: Vec<String> =
            doc(body).as_object().expect("an object").iter().map(|(key, _)| key.to_owned()).collect();
        for key in keys {
            for junk in junk {
                let mut changed = doc(body);
                changed.as_object_mut().expect("an object").set(&key, doc(junk));
                let _ = validate(*kind, &changed);
                let _ = carekeep_fhir::search::extract(*kind, &changed);
                let _ = carekeep_fhir::types::compartment_patient(*kind, &changed, "");
                assert!(text(&changed).contains(&key));
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn an_id_of_this_server_is_a_valid_id() {
    assert_eq!(after(ResourceType::Patient, r#""id":"p""#, &format!(r#""id":"{ANN}""#)), []);
}
