//! Which projections answer which search parameter: a search that finds by an element tells that element, so it is
//! answered only where the projection would show it (45 CFR 164.502(b); "does P have X?" is a disclosure of X).
//!
//! Invariant: a parameter that is not listed here is answered under [`Projection::Full`] only. The tests hold the table
//! against what `project` leaves of a sample of each type, so that neither can be changed alone.

use super::params::{Lookup, Param};
use crate::{
    project::Projection,
    types::ResourceType::{self, Encounter, Organization, Patient, Practitioner},
};

const EVERYWHERE: &[Projection] = Projection::ALL;
const FULL: &[Projection] = &[Projection::Full];
/// Contact data of a patient.
const REACHED: &[Projection] = &[Projection::Full, Projection::Contact];
/// What there is of the directory in all but [`Projection::Metadata`].
const LISTED: &[Projection] = &[Projection::Full, Projection::Contact, Projection::Schedule];
/// What a plan of visits holds.
const PLANNED: &[Projection] = &[Projection::Full, Projection::Schedule];

/// The projections under which a search by `param` of `kind` may find something.
///
/// An identifier is answered under [`Projection::Metadata`] although that does not show it: who writes a record without
/// reading it holds its identifier already, and has nothing else to find what was written before. Which chart something is in
/// is decided by relation for each row and is no matter of projections.
#[must_use]
pub fn shown_by(kind: ResourceType, param: &Param) -> &'static [Projection] {
    match (kind, param.lookup) {
        (_, Lookup::Id | Lookup::LastUpdated | Lookup::Chart) => EVERYWHERE,
        (Patient, Lookup::Identifier(_)) => &[Projection::Full, Projection::Contact, Projection::Metadata],
        (Practitioner | Organization, Lookup::Identifier(_)) => EVERYWHERE,
        (_, Lookup::Identifier(_)) => &[Projection::Full, Projection::Metadata],
        _ => match (kind, param.name) {
            (Patient, "name" | "family" | "given" | "birthdate" | "phone" | "email" | "telecom") => REACHED,
            (Practitioner, "name" | "family" | "given" | "phone" | "email" | "telecom") => LISTED,
            (Organization, "name") => LISTED,
            (Encounter, "status" | "date" | "class" | "participant") => PLANNED,
            _ => FULL,
        },
    }
}

#[cfg(test)]
mod tests {
    use carekeep_kernel::index::{ParamId, Scope};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        json::{Json, Limits},
        project::project,
        search::{
            Handling, SearchPlan,
            extract::extract_by,
            params::{self, COMMON},
            parse_query,
        },
    };

    const ID: &str = "018f4e1c-7f7a-7000-8000-000000000001";

    fn all(kind: ResourceType) -> impl Iterator<Item = &'static Param> {
        COMMON.iter().chain(params::of(kind))
    }

    /// Something that the parameter finds.
    fn value(param: &Param, path: &str) -> Value {
        match param.lookup {
            Lookup::Id => json!(ID),
            Lookup::LastUpdated => json!("2026-02-03T04:05:06Z"),
            Lookup::Chart => json!({"reference": format!("Patient/{ID}"), "display": "Ann"}),
            Lookup::Status(_) => json!("finished"),
            Lookup::Event if path.to_lowercase().ends_with("period") => {
                json!({"start": "2026-02-03T04:05:06Z", "end": "2026-02-03T05:05:06Z"})
            }
            Lookup::Event => json!("2026-02-03T04:05:06Z"),
            Lookup::Birthdate => json!("1980-05-02"),
            Lookup::Name(_) => json!("Okonkwo"),
            Lookup::Identifier(_) => json!([{"system": "urn:mrn", "value": "A-1"}]),
            Lookup::Telecom(_) => {
                json!([{"system": "phone", "value": "555"}, {"system": "email", "value": "a@b.c"},
                {"system": "url", "value": "x:y"}])
            }
            Lookup::Link(_, targets) => {
                json!({"reference": format!("{}/{ID}", targets[0]), "display": "Ben"})
            }
            Lookup::Category => {
                json!([{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/x", "code": "lab"},
                    {"system": "urn:own", "code": "hiv"}]}])
            }
            Lookup::Code(..) if path == "class" => json!({"system": "urn:s", "code": "AMB", "display": "x"}),
            Lookup::Code(..) => json!({"coding": [{"system": "urn:s", "code": "86406008"}], "text": "HIV"}),
        }
    }

    fn put(document: &mut Value, path: &str, value: Value) {
        match path.split_once('.') {
            Some((head, rest)) => put(&mut document[head], rest, value),
            None => document[path] = value,
        }
    }

    /// A resource in which every parameter of the type finds something.
    fn sample(kind: ResourceType) -> Json {
        let mut document = json!({"resourceType": kind.as_str()});
        for param in all(kind) {
            for path in param.paths {
                put(&mut document, path, value(param, path));
            }
        }
        Json::parse(document.to_string().as_bytes(), &Limits::default()).unwrap()
    }

    /// What of the document the parameter looks at, as text.
    fn seen(kind: ResourceType, param: &Param, document: &Json) -> String {
        let here = match param.lookup {
            Lookup::Id => document.text("id").map(str::to_owned),
            Lookup::LastUpdated => {
                document.get("meta").and_then(|meta| meta.text("lastUpdated")).map(str::to_owned)
            }
            _ => None,
        };
        let found = extract_by(kind, std::slice::from_ref(param), document);
        let clear = found.clear;
        let mut seen: Vec<String> = found.values.into_iter().map(|value| value.text).collect();
        seen.extend(here.into_iter().chain(clear.status).chain(clear.categories));
        seen.extend([clear.event_start, clear.event_end].iter().flatten().map(i64::to_string));
        seen.join(" ")
    }

    /// What the table must say, by what a projection leaves of the sample.
    fn expected(kind: ResourceType, param: &Param, document: &Json, projection: Projection) -> bool {
        let whole = seen(kind, param, document);
        match param.lookup {
            Lookup::Chart => return true,
            Lookup::Identifier(_) if projection == Projection::Metadata => return true,
            _ => assert!(!whole.is_empty(), "the sample of {kind} has nothing for {}", param.name),
        }
        seen(kind, param, &project(kind, projection, document)) == whole
    }

    #[test]
    fn a_parameter_is_answered_exactly_where_the_projection_shows_what_it_looks_at() {
        let mut hidden = 0;
        for kind in ResourceType::ALL.iter().copied() {
            let document = sample(kind);
            for param in all(kind) {
                for projection in Projection::ALL.iter().copied() {
                    let says = shown_by(kind, param).contains(&projection);
                    let must = expected(kind, param, &document, projection);
                    assert_eq!(says, must, "{kind} {} {projection:?}", param.name);
                    hidden += usize::from(!says);
                }
            }
        }
        assert!(hidden > 200, "{hidden}");
    }

    #[test]
    fn metadata_answers_identifier_id_and_last_change_and_whose_chart_it_is() {
        let names = ["_id", "_lastUpdated", "identifier", "patient", "subject"];
        for kind in ResourceType::ALL.iter().copied() {
            for param in all(kind) {
                let answered = shown_by(kind, param).contains(&Projection::Metadata);
                assert_eq!(answered, names.contains(&param.name), "{kind} {}", param.name);
            }
        }
    }

    #[test]
    fn a_parameter_that_nobody_decided_about_is_for_who_sees_all() {
        let param = Param {
            name: "new",
            kind: params::ParamType::Token,
            lookup: Lookup::Code(ParamId(999), Scope::Patient),
            paths: &["new"],
        };
        for kind in ResourceType::ALL.iter().copied() {
            assert_eq!(shown_by(kind, &param), [Projection::Full]);
        }
    }

    fn plan(kind: ResourceType, query: &[(&str, &str)]) -> SearchPlan {
        let query: Vec<_> =
            query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        parse_query(kind, &query, Handling::Strict).unwrap()
    }

    #[test]
    fn a_plan_is_answered_where_all_that_it_asks_and_sorts_by_is_shown() {
        use Projection::{Contact, Full, Metadata, Schedule};
        let chart = format!("Patient/{ID}");
        let patient = ("patient", chart.as_str());
        let of = |query: &[(&str, &str)]| plan(Encounter, query).shown_by;
        assert_eq!(of(&[patient, ("_sort", "-_lastUpdated")]), [Full, Contact, Schedule, Metadata]);
        assert_eq!(of(&[patient, ("status", "finished"), ("date", "ge2026")]), [Full, Schedule]);
        assert_eq!(of(&[patient, ("_sort", "-date")]), [Full, Schedule]);
        assert_eq!(of(&[patient, ("status", "finished"), ("reason-code", "86406008")]), [Full]);
        assert_eq!(of(&[patient, ("date", "2026"), ("identifier", "A-1")]), [Full]);
        assert_eq!(plan(Patient, &[("name", "Ann"), ("birthdate", "1980")]).shown_by, [Full, Contact]);
        assert_eq!(plan(ResourceType::Condition, &[patient, ("_sort", "date")]).shown_by, [Full]);
    }
}
