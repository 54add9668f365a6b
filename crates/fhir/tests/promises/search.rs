//! Searches by example: what a query finds, what is refused, what is never in the clear.

use carekeep_fhir::{
    json::Json,
    search::{
        Extracted, Facts, Handling, SearchError, SearchPlan, Sort, SortKey, extract, params, parse_query,
    },
    types::ResourceType,
};
use carekeep_kernel::{ResourceId, Timestamp, index::Scope};

use super::{ANN, BEN, doc};

fn plan_of(kind: ResourceType, query: &str, handling: Handling) -> Result<SearchPlan, SearchError> {
    let pairs: Vec<_> = query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| part.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("name=value"))
        .collect();
    parse_query(kind, &pairs, handling)
}

fn plan(kind: ResourceType, query: &str) -> SearchPlan {
    plan_of(kind, query, Handling::Strict).unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn refused(kind: ResourceType, query: &str) -> SearchError {
    plan_of(kind, query, Handling::Strict).err().unwrap_or_else(|| panic!("{query} is accepted"))
}

fn facts(kind: ResourceType) -> Facts {
    let patient: ResourceId = ANN.parse().expect("an id");
    // 2026-01-01T00:00:00Z
    Facts {
        kind,
        id: patient,
        patient: Some(patient),
        last_updated: Timestamp::from_micros(1_767_225_600_000_000),
    }
}

fn finds(kind: ResourceType, document: &Json, query: &str) -> bool {
    plan(kind, query).matches(&facts(kind), &extract(kind, document))
}

/// Queries that find the document, and queries that do not.
fn check(kind: ResourceType, body: &str, found: &[&str], not_found: &[&str]) {
    let document = doc(body);
    found.iter().for_each(|query| assert!(finds(kind, &document, query), "{kind}?{query} should find it"));
    not_found
        .iter()
        .for_each(|query| assert!(!finds(kind, &document, query), "{kind}?{query} should not find it"));
}

const PATIENT: &str = r#"{"resourceType":"Patient","identifier":[{"system":"http://mrn","value":"12,3|4"},{"value":"bare"}],
    "name":[{"family":"O'Brien-Łukasz","given":["José María","X"],"text":"Dr. José"}],"birthDate":"1980-05-02","gender":"female",
    "telecom":[{"system":"phone","value":"+49 (30) 12-34"},{"system":"email","value":"Ann@Example.ORG"},{"system":"url","value":"http://a"}]}"#;

#[test]
fn patients_are_found_by_what_identifies_them() {
    check(
        ResourceType::Patient,
        PATIENT,
        &[
            "identifier=http://mrn|12\\,3\\|4",
            "identifier=12\\,3\\|4",
            "identifier=http://mrn|12\\,3|4",
            "identifier=bare",
            "identifier=|bare",
            "identifier=nope,bare",
            "family=obr",
            "family=O'BRIEN",
            "family=o’brien",
            "family=luk",
            "family=lukasz obrien",
            "family=ŁUKASZ",
            "given=jose",
            "given=José",
            "given=maria",
            "given=jo ma",
            "given=x",
            "name=jose,zzz",
            "name=dr jose",
            "name=zzz,jo brien,obri",
            "family:exact=O'Brien-Łukasz",
            "given:exact=José María",
            "birthdate=1980",
            "birthdate=1980-05",
            "birthdate=1980-05-02",
            "birthdate=1979,1980",
            "birthdate=ge1980-05-02&birthdate=le1980-05-02",
            "birthdate=gt1979&birthdate=lt1981",
            "birthdate=sa1980-04&birthdate=eb1980-06",
            "phone=+493012 34",
            "phone=0049301234",
            "telecom=49301234",
            "email=ann@example.org",
            "telecom=email|ANN@example.org",
            "telecom=phone|+49301234",
            "telecom=http://a",
            "",
            "name=jose&birthdate=1980&identifier=bare",
        ],
        &[
            "identifier=http://mrn|bare",
            "identifier=http://other|12\\,3\\|4",
            "identifier=|12\\,3\\|4",
            "identifier=12",
            "family=brien",
            "family=jose",
            "given=o",
            "given=jos zzz",
            "name=z,zz",
            "family:exact=o'brien-łukasz",
            "given:exact=José",
            "birthdate=1981",
            "birthdate=1980-06",
            "birthdate=1980-05-03",
            "birthdate=gt1980-05-02&birthdate=le1980-12",
            "birthdate=ge1979&birthdate=lt1980-05-02",
            "phone=49301",
            "phone=1",
            "email=ann",
            "telecom=email|+49301234",
            "telecom=phone|http://a",
            "name=jose&birthdate=1981",
        ],
    );
}

#[test]
fn a_word_is_compared_by_its_first_twelve_letters() {
    let body = r#"{"resourceType":"Patient","name":[{"family":"Wolfeschlegelstein"}]}"#;
    check(
        ResourceType::Patient,
        body,
        &["family=wo", "family=wolfeschlege", "family=wolfeschlegelstein"],
        &["family=w", "family=wolfeschlxg"],
    );
}

#[test]
fn a_birth_date_of_less_precision_is_inside_its_own_range_only() {
    let year = r#"{"resourceType":"Patient","birthDate":"1980"}"#;
    check(
        ResourceType::Patient,
        year,
        &["birthdate=1980", "birthdate=ge1980&birthdate=le1989"],
        &["birthdate=1980-05", "birthdate=ge1980-02&birthdate=le1981"],
    );
}

#[test]
fn short_ranges_of_birth_dates_are_few_terms_and_wide_ragged_ones_are_too_costly() {
    let terms = |query: &str| plan(ResourceType::Patient, query).terms[0].len();
    assert_eq!(terms("birthdate=ge1980&birthdate=le1989"), 10);
    assert_eq!(terms("birthdate=ge1980-05-30&birthdate=le1982-02-01"), 2 + 7 + 1 + 1 + 1);
    assert_eq!(terms("birthdate=ge1900&birthdate=lt2028"), 128);
    let costly = |query| matches!(refused(ResourceType::Patient, query), SearchError::TooCostly(_));
    assert!(costly("birthdate=ge1900&birthdate=lt2029"));
    assert!(costly("birthdate=ge1980"), "one open end has no end of terms");
    assert!(costly("birthdate=ne1980") && costly("birthdate=ge1980,le1970"));
    assert!(
        plan(ResourceType::Patient, "birthdate=ge1981&birthdate=le1980").terms[0].is_empty(),
        "an empty range finds nothing"
    );
}

const OBSERVATION: &str = r#"{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"85354-9"},{"code":"bp"}]},
    "category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}]},{"coding":[{"system":"http://local","code":"ward"}]}],
    "effectiveDateTime":"2026-01-31T10:00:00+01:00","subject":{"reference":"Patient/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e"},
    "encounter":{"reference":"Encounter/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f"},"performer":[{"reference":"Practitioner/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f"}]}"#;

#[test]
fn observations_are_found_by_what_they_are_about() {
    check(
        ResourceType::Observation,
        OBSERVATION,
        &[
            "code=http://loinc.org|85354-9",
            "code=85354-9",
            "code=|bp",
            "code=bp",
            "code=x,bp",
            "status=final",
            "status=amended,final",
            "status=http://hl7.org/fhir/observation-status|final",
            "category=vital-signs",
            "category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
            "category=http://local|ward",
            "date=2026-01-31",
            "date=2026-01-31T09:00:00Z",
            "date=2026",
            "date=ge2026-01-31",
            "date=le2026-01",
            "date=lt2026-01-31T09:00:01Z",
            "date=gt2026-01-30",
            "date=sa2026-01-30",
            "date=eb2026-02",
            "date=ne2026-02",
            "date=ge2026-01&date=lt2026-02",
            "date=2020,2026",
            "date=2026-01-31T10:00 01:00",
            "encounter=018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "encounter=Encounter/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "encounter=https://x/fhir/Encounter/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "performer:Practitioner=018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "_lastUpdated=2026-01-01",
            "_lastUpdated=ge2026&_lastUpdated=lt2027",
        ],
        &[
            "code=http://snomed.info/sct|85354-9",
            "code=|85354-9",
            "code=http://loinc.org|bp",
            "code=85354",
            "status=amended",
            "status=http://other|final",
            "category=laboratory",
            "category=http://other|vital-signs",
            "category=|vital-signs",
            "category=ward",
            "date=2026-02",
            "date=2026-01-31T09:00:01Z",
            "date=gt2026-01-31",
            "date=lt2026-01-31",
            "date=sa2026-01-31",
            "date=eb2026-01-31T09:00:00Z",
            "date=ne2026-01",
            "date=ge2026-02",
            "encounter=018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e",
            "encounter=Patient/018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "performer:Organization=018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4f",
            "_lastUpdated=2026-01-02",
            "_lastUpdated=gt2026-01-01",
        ],
    );
}

#[test]
fn charts_and_ids_are_narrowed_and_a_foreign_spelling_finds_nothing() {
    let both = format!("{ANN},{BEN}");
    check(
        ResourceType::Observation,
        OBSERVATION,
        &[
            &format!("patient={ANN}"),
            &format!("patient=Patient/{ANN}"),
            &format!("subject=Patient/{both}"),
            &format!("subject:Patient={ANN}"),
            &format!("patient={both}&subject={ANN}"),
            &format!("_id={both}"),
            &format!("patient=https://x/fhir/Patient/{ANN}"),
        ],
        &[
            &format!("patient={BEN}"),
            "patient=example",
            &format!("patient=Group/{ANN}"),
            &format!("patient={ANN}&patient={BEN}"),
            &format!("_id={BEN}"),
            "_id=1",
            &format!("_id={ANN}&_id={BEN}"),
        ],
    );
    assert_eq!(
        plan(ResourceType::Observation, "patient=example").patient,
        Some(vec![]),
        "nothing, and not everything"
    );
    assert_eq!(plan(ResourceType::Observation, "").patient, None);
}

#[test]
fn other_types_are_found_by_their_own_parameters() {
    let period = r#"{"resourceType":"Encounter","status":"in-progress","class":{"system":"s","code":"AMB"},"period":{"start":"2026-01-10"}}"#;
    check(
        ResourceType::Encounter,
        period,
        &["class=s|AMB", "date=ge2030", "date=lt2026-02", "status=in-progress"],
        &["date=2026", "date=eb2030", "class=IMP"],
    );
    let condition = r#"{"resourceType":"Condition","clinicalStatus":{"coding":[{"system":"s","code":"active"}]},"code":{"coding":[{"code":"c"}]}}"#;
    check(
        ResourceType::Condition,
        condition,
        &["clinical-status=active", "code=c"],
        &["clinical-status=resolved", "recorded-date=ne2026"],
    );
    let allergy = r#"{"resourceType":"AllergyIntolerance","category":["food"],"recordedDate":"2026","reaction":[{"substance":{"coding":[{"code":"nut"}]}}]}"#;
    check(
        ResourceType::AllergyIntolerance,
        allergy,
        &[
            "category=food",
            "category=http://hl7.org/fhir/allergy-intolerance-category|food",
            "code=nut",
            "date=2026",
        ],
        &["category=medication"],
    );
    let order = r#"{"resourceType":"MedicationRequest","status":"active","intent":"order","authoredOn":"2026-01-31"}"#;
    check(
        ResourceType::MedicationRequest,
        order,
        &["intent=order", "authoredon=2026-01", "status=active"],
        &["intent=plan"],
    );
    let shot = r#"{"resourceType":"Immunization","status":"completed","vaccineCode":{"coding":[{"system":"cvx","code":"1"}]},"occurrenceDateTime":"2026-01-31"}"#;
    check(
        ResourceType::Immunization,
        shot,
        &["vaccine-code=cvx|1", "date=2026-01-31"],
        &["vaccine-code=cvx|2"],
    );
    let clinic = r#"{"resourceType":"Organization","name":"Acme Clinic","alias":["North"]}"#;
    check(ResourceType::Organization, clinic, &["name=acme", "name=north", "name=cli ac"], &["name=south"]);
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_left_out_only_on_request() {
    let patient = ResourceType::Patient;
    assert_eq!(refused(patient, "color=red"), SearchError::UnknownParameter("color".into()));
    assert_eq!(refused(patient, "a b=red"), SearchError::UnknownParameter("(unreadable)".into()));
    assert_eq!(refused(patient, "gender=female"), SearchError::LowCardinality("gender"));
    assert_eq!(refused(ResourceType::Observation, "patient.name=x"), SearchError::Chained);
    assert_eq!(refused(patient, "_has:Observation:patient:code=x"), SearchError::Chained);
    assert_eq!(refused(patient, "_include=Patient:organization"), SearchError::ResultParameter("_include"));
    assert_eq!(refused(patient, "_summary=count"), SearchError::ResultParameter("_summary"));
    let lenient =
        plan_of(patient, "color=red&gender=female&name=ann&_elements=id&_sort=name", Handling::Lenient)
            .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(lenient.used, [("name".to_owned(), "ann".to_owned())], "the self link shows what was used");
    assert!(
        plan_of(patient, "name:contains=x", Handling::Lenient).err() == Some(SearchError::Modifier("name")),
        "even then"
    );
    assert_eq!(Handling::from_prefer("respond-async, handling=lenient"), Handling::Lenient);
    assert_eq!(Handling::from_prefer("return=minimal"), Handling::Strict);
}

#[test]
fn values_that_cannot_be_read_are_refused_without_being_repeated() {
    for query in [
        "birthdate=Canary",
        "_lastUpdated=Canary",
        "_count=Canary",
        "_count=-1",
        "_total=Canary",
        "_total=accurate",
        "_total=estimate",
        "_format=xml",
        "_cursor=",
        "name=",
        "name=a,",
        "identifier=|",
        "name=...",
        "birthdate=1980-05-02T00:00:00Z",
        "birthdate=ap1980",
        "name=Ca\u{1f}nary",
    ] {
        let error = refused(ResourceType::Patient, query);
        assert!(!error.to_string().contains("Canary"), "{query}: {error}");
    }
    for query in ["date=Canary", "date=2026-13", "code=http://loinc.org|", "date=xx2026"] {
        assert!(!refused(ResourceType::Observation, query).to_string().contains("Canary"), "{query}");
    }
    let many = |count: usize| format!("code={}", vec!["a"; count].join(","));
    assert_eq!(plan(ResourceType::Observation, &many(128)).terms[0].len(), 128);
    assert!(matches!(refused(ResourceType::Observation, &many(129)), SearchError::TooCostly(_)));
    assert!(matches!(
        refused(ResourceType::Patient, "name=a b c,d e f,g h i,k l m"),
        SearchError::TooCostly(_)
    ));
    assert!(matches!(refused(ResourceType::Patient, &["name=a"; 33].join("&")), SearchError::TooCostly(_)));
}

#[test]
fn paging_and_order_are_read() {
    let defaults = plan(ResourceType::Observation, "");
    assert_eq!((defaults.count, defaults.sort), (20, Sort { key: SortKey::LastUpdated, descending: true }));
    let asked = plan(
        ResourceType::Observation,
        "_count=500&_sort=-date&_cursor=abc&_total=none&_format=json&_pretty=true",
    );
    assert_eq!((asked.count, asked.sort), (200, Sort { key: SortKey::Event, descending: true }));
    assert_eq!(asked.cursor.as_deref(), Some("abc"));
    assert!(asked.used.iter().all(|(name, _)| name != "_cursor"));
    assert_eq!(
        plan(ResourceType::MedicationRequest, "_sort=authoredon").sort,
        Sort { key: SortKey::Event, descending: false }
    );
    assert_eq!(refused(ResourceType::Patient, "_sort=date"), SearchError::Sort);
    assert_eq!(refused(ResourceType::Observation, "_sort=code"), SearchError::Sort);
}

fn texts(extracted: &Extracted) -> Vec<&str> {
    extracted.values.iter().map(|value| value.text.as_str()).collect()
}

#[test]
fn k7_nothing_of_low_cardinality_becomes_a_token_and_no_clinical_code_has_a_tenant_wide_one() {
    let patient = extract(ResourceType::Patient, &doc(PATIENT));
    assert!(!texts(&patient).iter().any(|text| text.contains("female")));
    assert!(patient.values.iter().all(|value| value.scope == Scope::Tenant));
    assert!(
        patient.clear.status.is_none()
            && patient.clear.categories.is_empty()
            && patient.clear.event_start.is_none()
    );
    for kind in ResourceType::ALL {
        for param in params::of(*kind) {
            if let params::Lookup::Code(_, scope) = param.lookup {
                assert_eq!(scope, Scope::Patient, "{kind}.{}", param.name);
            }
        }
    }
}

#[test]
fn only_categories_of_hl7_stand_in_the_clear_and_never_text() {
    let category = |system: &str, code: &str| {
        let body = format!(
            r#"{{"category":[{{"coding":[{{"system":"{system}","code":"{code}"}}],"text":"Canary"}}]}}"#
        );
        extract(ResourceType::Observation, &doc(&body))
    };
    let known = category("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory");
    assert_eq!(
        known.clear.categories,
        ["http://terminology.hl7.org/CodeSystem/observation-category|laboratory"]
    );
    assert!(known.values.is_empty());
    for (system, code) in [
        ("http://snomed.info/sct", "363346000"),
        ("http://terminology.hl7.org/CodeSystem/x", "has hiv"),
        ("http://terminology.hl7.org/CodeSystem/a b", "x"),
    ] {
        let sealed = category(system, code);
        assert!(sealed.clear.categories.is_empty(), "{system}|{code}");
        assert_eq!(sealed.values.len(), 2);
        assert!(sealed.values.iter().all(|value| value.scope == Scope::Patient));
    }
}

#[test]
fn texts_of_values_are_injective_whatever_codes_and_systems_hold() {
    let coded = |system: &str, code: &str| {
        let body = format!(r#"{{"code":{{"coding":[{{"system":"{system}","code":"{code}"}}]}}}}"#);
        extract(ResourceType::Observation, &doc(&body)).values[0].text.clone()
    };
    assert_ne!(coded("a|b", "c"), coded("a", "b|c"));
    let bare = extract(ResourceType::Observation, &doc(r#"{"code":{"coding":[{"code":"a|c"}]}}"#)).values[0]
        .text
        .clone();
    assert!(![coded("a", "c"), coded("", "a|c")].contains(&bare));
}

#[test]
fn a_resource_with_too_many_values_says_so() {
    let words: Vec<_> = (1_000_000..1_001_000_u64).map(|at| format!("{}x", at * 7_919 % 9_999_991)).collect();
    let body = format!(r#"{{"name":[{{"text":"{}"}}]}}"#, words.join(" "));
    let extracted = extract(ResourceType::Patient, &doc(&body));
    assert!(extracted.truncated && extracted.values.len() == 2_000);
    assert!(!extract(ResourceType::Patient, &doc(PATIENT)).truncated);
}

/// The numbers are stored beside every token: this list only grows.
#[test]
fn parameter_numbers_never_change() {
    use params::*;
    let numbers = [
        IDENTIFIER,
        NAME,
        FAMILY,
        GIVEN,
        BIRTHDATE,
        PHONE,
        EMAIL,
        TELECOM,
        CODE,
        TYPE,
        CLINICAL_STATUS,
        VERIFICATION_STATUS,
        ENCOUNTER,
        CLASS,
        PERFORMER,
        REQUESTER,
        PARTICIPANT,
        AUTHOR,
        INTENT,
        RESULT,
        VALUE_CONCEPT,
        REASON_CODE,
        RECORDER,
        CATEGORY_CODE,
    ];
    for (at, param) in numbers.iter().enumerate() {
        assert_eq!(usize::try_from(param.0), Ok(at + 1));
    }
}
