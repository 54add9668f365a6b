use carekeep_kernel::{ManualClock, SeededRandom, Timestamp};

use super::*;

fn set(text: &str) -> ScopeSet {
    text.parse().unwrap_or_else(|error: UnknownScope| unreachable!("{}", error.scope))
}

fn patients() -> (ResourceId, ResourceId) {
    let (clock, random) = (ManualClock::at(Timestamp::from_micros(7)), SeededRandom::new(7));
    (ResourceId::generate(&clock, &random), ResourceId::generate(&clock, &random))
}

const VITALS: &str =
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs";

#[test]
fn i11_both_versions_of_scopes_are_read_and_printed_as_they_came() {
    for text in [
        "patient/Observation.read",
        "user/*.write",
        "patient/*.*",
        "patient/Observation.rs",
        "system/*.rs",
        "user/Patient.cruds",
        "launch launch/patient openid fhirUser profile offline_access online_access",
        VITALS,
        "",
    ] {
        assert_eq!(set(text).to_string(), text);
    }
    assert_eq!(set("  openid   openid ").to_string(), "openid");
}

#[test]
fn i11_a_scope_that_cannot_be_enforced_is_refused_by_name() {
    for bad in [
        "patient/Observation.sr",
        "patient/Observation.rr",
        "patient/Observation.",
        "patient/Observation",
        "patient/Observation.x",
        "patient/Observation.READ",
        "patient/Device.read",
        "patient/Account.read",
        "user/AuditLog.read",
        "user/Tenant.rs",
        "patients/Observation.rs",
        "/Observation.rs",
        "patient/Observation.rs?",
        "patient/Observation.rs?code=1",
        "patient/Observation.rs?category=vital-signs",
        "patient/Observation.rs?category=|vital-signs",
        "patient/Observation.rs?category=a|b&code=c",
        "patient/Observation.rs?category=a|b,c|d",
        "patient/Observation.cruds?category=a|b",
        "patient/Patient.rs?category=a|b",
        "patient/*.rs?category=a|b",
        "launch/encounter",
        "email",
        "*",
    ] {
        let refused = format!("openid {bad}").parse::<ScopeSet>();
        assert_eq!(refused.map_err(|error| error.scope), Err(bad.to_owned()));
    }
}

#[test]
fn i11_patient_scopes_leave_rows_of_the_one_patient() {
    let (own, other) = patients();
    let scopes = set("patient/*.rs");
    let within = |kind, patient, context| scopes.within(Action::Read, kind, patient, context);
    assert_eq!(within(ResourceKind::Condition, Some(own), Some(own)), Within::All);
    assert_eq!(within(ResourceKind::Condition, Some(other), Some(own)), Within::Nothing);
    assert_eq!(within(ResourceKind::Condition, None, Some(own)), Within::Nothing);
    assert_eq!(
        within(ResourceKind::Condition, None, None),
        Within::Nothing,
        "two absent patients are not equal"
    );
    assert_eq!(within(ResourceKind::Patient, Some(own), None), Within::Nothing);
    assert_eq!(within(ResourceKind::Practitioner, None, Some(own)), Within::All);
    assert!(!set("patient/*.cruds").may_ever(Action::Create, ResourceKind::Practitioner));
    assert!(scopes.one_patient_only(Action::Search, ResourceKind::Condition));
    assert!(!set("patient/*.rs user/Condition.s").one_patient_only(Action::Search, ResourceKind::Condition));
}

#[test]
fn i11_each_interaction_needs_its_letter() {
    let all = [
        (Action::Create, "c"),
        (Action::Read, "r"),
        (Action::VersionRead, "r"),
        (Action::History, "r"),
        (Action::Update, "u"),
        (Action::Delete, "d"),
        (Action::Search, "s"),
    ];
    for letter in ["c", "r", "u", "d", "s"] {
        let scopes = set(&format!("user/Condition.{letter}"));
        for (action, needed) in all {
            assert_eq!(
                scopes.may_ever(action, ResourceKind::Condition),
                letter == needed,
                "{action} by {letter}"
            );
            assert!(!scopes.may_ever(action, ResourceKind::Encounter));
        }
    }
    for action in Action::ALL {
        let fhir = all.iter().any(|(known, _)| known == action);
        assert_eq!(set("user/*.cruds system/*.*").may_ever(*action, ResourceKind::Patient), fhir, "{action}");
        assert!(!set("user/*.cruds").may_ever(*action, ResourceKind::Account), "{action}");
    }
}

#[test]
fn i11_a_granular_scope_leaves_rows_of_its_category() {
    let (own, _) = patients();
    let within =
        |text: &str| set(text).within(Action::Search, ResourceKind::Observation, Some(own), Some(own));
    let vitals = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs".to_owned();
    assert_eq!(within(VITALS), Within::Categories(vec![vitals]));
    assert_eq!(within(&format!("{VITALS} patient/*.s")), Within::All);
}

#[test]
fn i11_an_app_asks_for_no_more_than_it_is_registered_for() {
    let beyond = |own: &str, asked: &str| set(own).first_beyond(&set(asked)).map(str::to_owned);
    assert_eq!(beyond("patient/*.rs openid", "patient/Observation.r openid"), None);
    assert_eq!(beyond("patient/*.rs", VITALS), None);
    assert_eq!(beyond("patient/*.read", "patient/Observation.rs"), None);
    for (own, asked) in [
        ("patient/*.rs", "patient/Observation.cruds"),
        ("patient/*.rs", "user/Observation.r"),
        ("patient/Observation.rs", "patient/*.rs"),
        ("patient/Observation.rs", "patient/Condition.r"),
        (VITALS, "patient/Observation.rs"),
        ("patient/*.rs", "offline_access"),
    ] {
        assert_eq!(beyond(own, asked), Some(asked.to_owned()), "{own}");
    }
    let asked = set("openid patient/*.rs");
    assert_eq!(asked.only(&BTreeSet::from(["openid"])), Some(set("openid")));
    assert_eq!(asked.only(&BTreeSet::from(["openid", "user/*.rs"])), None);
}
