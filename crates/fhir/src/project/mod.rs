//! Minimum-necessary projections: what of a resource a purpose may see, as white lists. What is not listed is not there, so
//! an element that a later edition adds is hidden until somebody decides.

mod merge;

pub use merge::{HiddenLoss, merge};

use crate::{
    json::{Json, Object},
    types::ResourceType,
};

/// How much of a resource is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Projection {
    /// All of it.
    Full,
    /// To reach and to tell apart a person or an organization; of clinical resources only [`Projection::Metadata`].
    Contact,
    /// To plan: who, when, which status, never why; of what is not planned only [`Projection::Metadata`].
    Schedule,
    /// Type, id, version, last change, security labels.
    Metadata,
}

impl Projection {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Full, Self::Contact, Self::Schedule, Self::Metadata];
}

/// A white list: the keys of an object, each shown whole or by a list of its own.
enum Show {
    All,
    Keys(&'static [(&'static str, Show)]),
    /// The same of what is one value, such as a link: a writer who changes a part has another value, and what described the
    /// old one ([`DESCRIPTIONS`]) goes with it.
    Value(&'static [(&'static str, Show)]),
}
use Show::{All, Keys, Value};

/// Members of a [`Value`] that repeat in words what its other members say.
const DESCRIPTIONS: &[&str] = &["display", "_display"];

/// `meta.security` stays so that a receiver knows how to handle what it got.
const META: (&str, Show) = ("meta", Keys(&[("versionId", All), ("lastUpdated", All), ("security", All)]));
const METADATA: Show = Keys(&[("resourceType", All), ("id", All), META]);
/// A link to another resource without the free text that `display` may hold.
const LINK: Show = Value(&[("reference", All), ("type", All)]);
const IDENTIFIER: Show =
    Keys(&[("use", All), ("system", All), ("value", All), ("period", Keys(&[("start", All), ("end", All)]))]);
const NAME: Show = Keys(&[
    ("use", All),
    ("text", All),
    ("family", All),
    ("given", All),
    ("prefix", All),
    ("suffix", All),
    ("period", Keys(&[("start", All), ("end", All)])),
]);
const TELECOM: Show = Keys(&[
    ("system", All),
    ("value", All),
    ("use", All),
    ("rank", All),
    ("period", Keys(&[("start", All), ("end", All)])),
]);
const ADDRESS: Show = Keys(&[
    ("use", All),
    ("type", All),
    ("text", All),
    ("line", All),
    ("city", All),
    ("district", All),
    ("state", All),
    ("postalCode", All),
    ("country", All),
    ("period", Keys(&[("start", All), ("end", All)])),
]);

const PATIENT_CONTACT: Show = Keys(&[
    ("resourceType", All),
    ("id", All),
    META,
    ("identifier", IDENTIFIER),
    ("active", All),
    ("name", NAME),
    ("telecom", TELECOM),
    ("birthDate", All),
    ("address", ADDRESS),
    ("contact", Keys(&[("name", NAME), ("telecom", TELECOM), ("address", ADDRESS)])),
]);
const STAFF_CONTACT: Show = Keys(&[
    ("resourceType", All),
    ("id", All),
    META,
    ("identifier", IDENTIFIER),
    ("active", All),
    (
        "name",
        Keys(&[
            ("use", All),
            ("text", All),
            ("family", All),
            ("given", All),
            ("prefix", All),
            ("suffix", All),
        ]),
    ),
    ("telecom", TELECOM),
    ("address", ADDRESS),
]);
/// `Organization.name` is a string, not a HumanName.
const ORGANIZATION_CONTACT: Show = Keys(&[
    ("resourceType", All),
    ("id", All),
    META,
    ("identifier", IDENTIFIER),
    ("active", All),
    ("name", All),
    ("alias", All),
    ("telecom", TELECOM),
    ("address", ADDRESS),
]);
const ENCOUNTER_SCHEDULE: Show = Keys(&[
    ("resourceType", All),
    ("id", All),
    META,
    ("status", All),
    ("class", Value(&[("system", All), ("code", All)])),
    ("period", Keys(&[("start", All), ("end", All)])),
    ("subject", LINK),
    ("participant", Keys(&[("period", Keys(&[("start", All), ("end", All)])), ("individual", LINK)])),
]);

const fn list(kind: ResourceType, projection: Projection) -> Show {
    match (projection, kind) {
        (Projection::Full, _) => All,
        (Projection::Contact, ResourceType::Patient) => PATIENT_CONTACT,
        (Projection::Contact | Projection::Schedule, ResourceType::Practitioner) => STAFF_CONTACT,
        (Projection::Contact | Projection::Schedule, ResourceType::Organization) => ORGANIZATION_CONTACT,
        (Projection::Schedule, ResourceType::Encounter) => ENCOUNTER_SCHEDULE,
        _ => METADATA,
    }
}

/// What of `document` the projection shows. [`Projection::Full`] copies: skip the call where the whole may be shown.
///
/// An element of which nothing is shown is left out, as FHIR has no empty objects, no empty lists, and nulls only beside a
/// companion: what is shown is again a resource that may be sent.
#[must_use]
pub fn project(kind: ResourceType, projection: Projection, document: &Json) -> Json {
    if projection == Projection::Full {
        return document.duplicate();
    }
    shown(document, &list(kind, projection)).unwrap_or_else(|| Json::Object(Object::default()))
}

/// `None` when nothing of it is shown.
fn shown(value: &Json, show: &Show) -> Option<Json> {
    match (value, show) {
        (Json::Null, _) => None,
        (Json::Array(items), _) => {
            let items: Vec<Json> = items.iter().filter_map(|item| shown(item, show)).collect();
            (!items.is_empty()).then_some(Json::Array(items))
        }
        (_, All) => Some(value.duplicate()),
        (Json::Object(object), Keys(keys) | Value(keys)) => {
            let mut out = Object::default();
            for (key, member) in object.iter() {
                let listed = keys.iter().find(|(name, _)| *name == key);
                if let Some(inner) = listed.and_then(|(_, inner)| shown(member, inner)) {
                    out.set(key, inner);
                }
            }
            (!out.is_empty()).then_some(Json::Object(out))
        }
        // A list stands where only objects are allowed: a bare value is not what the list's author looked at.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    fn projected(kind: ResourceType, projection: Projection, text: &str) -> String {
        let document = Json::parse(text.as_bytes(), &Limits::default()).expect("a sample document");
        String::from_utf8(project(kind, projection, &document).to_vec()).expect("UTF-8")
    }

    const ENCOUNTER: &str = r#"{"resourceType":"Encounter","id":"e","meta":{"versionId":"1","tag":[{"code":"hiv"}]},"text":{"status":"generated"},
        "status":"finished","class":{"system":"s","code":"AMB","display":"x"},"type":[{"text":"oncology"}],"period":{"start":"2026-01-01"},
        "subject":{"reference":"Patient/p","display":"Ann"},"participant":[{"type":[{"text":"t"}],"individual":{"reference":"Practitioner/d","display":"D"}}],
        "reasonCode":[{"text":"cancer"}],"diagnosis":[{"condition":{"reference":"Condition/c"}}],"serviceType":{"text":"oncology"}}"#;

    #[test]
    fn a_schedule_shows_who_and_when_and_never_why() {
        assert_eq!(
            projected(ResourceType::Encounter, Projection::Schedule, ENCOUNTER),
            concat!(
                r#"{"resourceType":"Encounter","id":"e","meta":{"versionId":"1"},"status":"finished","class":{"system":"s","code":"AMB"},"#,
                r#""period":{"start":"2026-01-01"},"subject":{"reference":"Patient/p"},"participant":[{"individual":{"reference":"Practitioner/d"}}]}"#
            )
        );
        assert!(projected(ResourceType::Encounter, Projection::Full, ENCOUNTER).contains("cancer"));
    }

    #[test]
    fn a_contact_shows_how_to_reach_a_patient_and_nothing_else() {
        let patient = r#"{"resourceType":"Patient","id":"p","text":{"div":"<div>x</div>"},"extension":[{"url":"race"}],"active":true,
            "identifier":[{"system":"s","value":"1","extension":[{"url":"u"}]}],"name":[{"family":"B","_family":{"extension":[]}}],
            "telecom":[{"system":"phone","value":"5"}],"gender":"female","birthDate":"1980-05-02","_birthDate":{"extension":[]},
            "deceasedBoolean":true,"maritalStatus":{"text":"m"},"contact":[{"relationship":[{"text":"wife"}],"telecom":[{"value":"6"}]}],
            "communication":[{}],"photo":[{}],"somethingNew":1}"#;
        assert_eq!(
            projected(ResourceType::Patient, Projection::Contact, patient),
            concat!(
                r#"{"resourceType":"Patient","id":"p","active":true,"identifier":[{"system":"s","value":"1"}],"name":[{"family":"B"}],"#,
                r#""telecom":[{"system":"phone","value":"5"}],"birthDate":"1980-05-02","contact":[{"telecom":[{"value":"6"}]}]}"#
            )
        );
    }

    #[test]
    fn all_that_is_neither_contact_nor_schedule_shows_metadata_only() {
        let text = r#"{"resourceType":"X","id":"i","meta":{"lastUpdated":"2026-01-01T00:00:00Z"},"status":"final","code":{"text":"secret"},"period":{}}"#;
        let bare = r#"{"resourceType":"X","id":"i","meta":{"lastUpdated":"2026-01-01T00:00:00Z"}}"#;
        for kind in ResourceType::ALL.iter().copied() {
            assert_eq!(projected(kind, Projection::Metadata, text), bare, "{kind}");
            let contact = matches!(kind, ResourceType::Practitioner | ResourceType::Organization);
            if !contact && kind != ResourceType::Encounter {
                assert_eq!(projected(kind, Projection::Schedule, text), bare, "{kind}");
            }
            if !contact && kind != ResourceType::Patient {
                assert_eq!(projected(kind, Projection::Contact, text), bare, "{kind}");
            }
        }
    }
}
