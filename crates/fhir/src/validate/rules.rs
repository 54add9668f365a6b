//! The invariants of R4 that need more than one element, as far as they are about structure. The rest (dom-6, units and the like) is
//! not checked.

use super::definitions::Type;
use crate::{
    json::{Json, Object},
    search::dates,
};

enum Rule {
    /// One of these at least.
    OneOf(&'static [&'static str]),
    /// The first only together with the second.
    Needs(&'static str, &'static str),
    /// Not both. A name that ends with `[x]` is a choice.
    NotBoth(&'static str, &'static str),
    /// Anything else.
    Test(fn(&Object) -> bool),
}
use Rule::{Needs, NotBoth, OneOf, Test};

/// Type, R4's key, rule, advice.
const RULES: &[(&str, &str, Rule, &str)] = &[
    (
        "Patient.contact",
        "pat-1",
        OneOf(&["name", "telecom", "address", "organization"]),
        "give the contact a name, telecom, address or organization",
    ),
    (
        "Organization",
        "org-1",
        OneOf(&["identifier", "name"]),
        "give the organization a name or an identifier",
    ),
    ("Condition.stage", "con-1", OneOf(&["summary", "assessment"]), "give summary or assessment"),
    ("Condition.evidence", "con-2", OneOf(&["code", "detail"]), "give code or detail"),
    (
        "Immunization.education",
        "imm-1",
        OneOf(&["documentType", "reference"]),
        "give documentType or reference",
    ),
    ("Observation.referenceRange", "obs-3", OneOf(&["low", "high", "text"]), "give low, high or text"),
    ("Quantity", "qty-3", Needs("code", "system"), "give the system of the unit's code"),
    ("Age", "qty-3", Needs("code", "system"), "give the system of the unit's code"),
    ("Duration", "qty-3", Needs("code", "system"), "give the system of the unit's code"),
    ("Attachment", "att-1", Needs("data", "contentType"), "give the contentType of the data"),
    ("ContactPoint", "cpt-2", Needs("value", "system"), "give the system of the value"),
    ("Timing.repeat", "tim-1", Needs("duration", "durationUnit"), "give durationUnit"),
    ("Timing.repeat", "tim-2", Needs("period", "periodUnit"), "give periodUnit"),
    ("Timing.repeat", "tim-6", Needs("periodMax", "period"), "give period"),
    ("Timing.repeat", "tim-7", Needs("durationMax", "duration"), "give duration"),
    ("Timing.repeat", "tim-8", Needs("countMax", "count"), "give count"),
    ("Timing.repeat", "tim-10", NotBoth("timeOfDay", "when"), "give timeOfDay or when, not both"),
    (
        "Observation",
        "obs-6",
        NotBoth("dataAbsentReason", "value[x]"),
        "give a value or a dataAbsentReason, not both",
    ),
    ("Ratio", "rat-1", Test(ratio), "give numerator and denominator"),
    ("Period", "per-1", Test(period), "let start not be after end"),
    (
        "Condition",
        "con-4",
        Test(abated),
        "set clinicalStatus to inactive, resolved or remission, or remove abatement",
    ),
    (
        "Condition",
        "con-5",
        Test(|it| !(in_error(it) && it.get("clinicalStatus").is_some())),
        "remove clinicalStatus from what was entered in error",
    ),
    (
        "AllergyIntolerance",
        "ait-1",
        Test(|it| in_error(it) || it.get("clinicalStatus").is_some()),
        "set clinicalStatus",
    ),
    (
        "AllergyIntolerance",
        "ait-2",
        Test(|it| !(in_error(it) && it.get("clinicalStatus").is_some())),
        "remove clinicalStatus from what was entered in error",
    ),
];

/// Calls `broken` with R4's key and the advice of every rule of the type that the object breaks.
pub(super) fn check(kind: &Type, object: &Object, broken: &mut dyn FnMut(&'static str, &'static str)) {
    for (name, key, rule, advice) in RULES {
        if *name == kind.name && !rule.holds(object) {
            broken(key, advice);
        }
    }
}

impl Rule {
    fn holds(&self, object: &Object) -> bool {
        match self {
            OneOf(keys) => keys.iter().any(|key| has(object, key)),
            Needs(first, second) => !has(object, first) || has(object, second),
            NotBoth(first, second) => !(has(object, first) && has(object, second)),
            Test(test) => test(object),
        }
    }
}

/// Whether an element is there: its value, its extensions, or any alternative of a choice.
fn has(object: &Object, key: &str) -> bool {
    let choice = key.strip_suffix("[x]");
    object.iter().any(|(name, _)| {
        let name = name.strip_prefix('_').unwrap_or(name);
        match choice {
            None => name == key,
            Some(stem) => name
                .strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_uppercase())),
        }
    })
}

fn ratio(ratio: &Object) -> bool {
    let numerator = has(ratio, "numerator");
    numerator == has(ratio, "denominator") && (numerator || has(ratio, "extension"))
}

/// Only a start that is surely after the end breaks the rule: dates of different precision may overlap.
fn period(period: &Object) -> bool {
    let range = |key| period.get(key).and_then(Json::as_str).and_then(dates::range);
    match (range("start"), range("end")) {
        (Some((start, _)), Some((begin, after))) => start < after || start == begin,
        _ => true,
    }
}

fn any_code(object: &Object, element: &str, codes: &[&str]) -> bool {
    object.get(element).is_some_and(|concept| {
        concept
            .items("coding")
            .iter()
            .any(|coding| coding.text("code").is_some_and(|code| codes.contains(&code)))
    })
}

fn in_error(object: &Object) -> bool {
    any_code(object, "verificationStatus", &["entered-in-error"])
}

fn abated(condition: &Object) -> bool {
    !has(condition, "abatement[x]")
        || any_code(condition, "clinicalStatus", &["inactive", "resolved", "remission"])
}
