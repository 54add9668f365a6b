//! What of a resource can be found, by the table of parameters.

use std::collections::HashSet;

use carekeep_kernel::index::{ClearColumns, IndexValue, ParamId, Scope};

use super::{
    Extracted, dates, normal,
    params::{self, Lookup, Param, TelecomKind},
};
use crate::{json::Json, types::ResourceType};

/// The most values one resource may have. More is no record of a person but an attempt to fill the index.
pub(super) const MOST_VALUES: usize = 2_000;

/// What can be searched for in `document`, which is expected to be valid; what cannot be read is left out. Beyond 2,000
/// values the rest is left out and [`Extracted::truncated`] is set.
#[must_use]
pub fn extract(kind: ResourceType, document: &Json) -> Extracted {
    extract_by(kind, params::of(kind), document)
}

/// What the given parameters find.
pub(super) fn extract_by(kind: ResourceType, params: &[Param], document: &Json) -> Extracted {
    let mut out =
        Collector { clear: ClearColumns::default(), values: Vec::new(), seen: HashSet::new(), over: false };
    for param in params {
        out.param(kind, param, document);
    }
    Extracted { clear: out.clear, values: out.values, truncated: out.over }
}

/// Calls `visit` with everything at a path; arrays are walked.
pub(super) fn walk<'a>(value: &'a Json, path: &str, visit: &mut dyn FnMut(&'a Json)) {
    if let Json::Array(items) = value {
        return items.iter().for_each(|item| walk(item, path, visit));
    }
    let (head, rest) = path.split_once('.').unwrap_or((path, ""));
    if head.is_empty() {
        visit(value);
    } else if let Some(inner) = value.get(head) {
        walk(inner, rest, visit);
    }
}

/// The code system of an element that is a bare code.
pub(super) fn implied_system(kind: ResourceType, param: &str) -> Option<&'static str> {
    match (kind, param) {
        (ResourceType::AllergyIntolerance, "category") => {
            Some("http://hl7.org/fhir/allergy-intolerance-category")
        }
        (ResourceType::MedicationRequest, "intent") => {
            Some("http://hl7.org/fhir/CodeSystem/medicationrequest-intent")
        }
        _ => None,
    }
}

struct Collector {
    clear: ClearColumns,
    values: Vec<IndexValue>,
    seen: HashSet<(ParamId, String)>,
    over: bool,
}

impl Collector {
    fn add(&mut self, param: ParamId, scope: Scope, text: String) {
        let value = (param, text);
        if self.seen.contains(&value) {
            return;
        }
        if self.values.len() >= MOST_VALUES {
            self.over = true;
            return;
        }
        self.values.push(IndexValue { param, scope, text: value.1.clone() });
        self.seen.insert(value);
    }

    fn param(&mut self, kind: ResourceType, param: &Param, document: &Json) {
        for path in param.paths {
            walk(document, path, &mut |value| match param.lookup {
                Lookup::Status(_) => self.status(value),
                Lookup::Category => codes(value, implied_system(kind, param.name), &mut |system, code| {
                    self.category(system, code);
                }),
                Lookup::Event => self.event(value),
                Lookup::Code(id, scope) => {
                    codes(value, implied_system(kind, param.name), &mut |system, code| {
                        self.token(id, scope, system, code);
                    })
                }
                Lookup::Identifier(id) => {
                    if let Some(number) = value.text("value") {
                        self.token(id, Scope::Tenant, value.text("system"), number);
                    }
                }
                Lookup::Name(id) => self.name(id, value),
                Lookup::Telecom(telecom) => self.telecom(telecom, value),
                Lookup::Birthdate => self.birthdate(value),
                Lookup::Link(id, targets) => self.link(id, targets, value),
                Lookup::Id | Lookup::Chart | Lookup::LastUpdated => {}
            });
        }
    }

    fn token(&mut self, param: ParamId, scope: Scope, system: Option<&str>, code: &str) {
        let text = system.map_or_else(|| normal::bare_code(code), |system| normal::system_code(system, code));
        self.add(param, scope, text);
        self.add(param, scope, normal::any_code(code));
    }

    fn status(&mut self, value: &Json) {
        let code = value.as_str().filter(|code| normal::clear_code(code));
        self.clear.status = code.map(str::to_owned);
    }

    fn category(&mut self, system: Option<&str>, code: &str) {
        let clear = system.filter(|system| normal::clear_category_system(system) && normal::clear_code(code));
        let Some(system) = clear else {
            return self.token(params::CATEGORY_CODE, Scope::Patient, system, code);
        };
        let text = normal::category(system, code);
        if self.clear.categories.len() >= 32 {
            self.over = true;
        } else if !self.clear.categories.contains(&text) {
            self.clear.categories.push(text);
        }
    }

    fn event(&mut self, value: &Json) {
        let (start, end) = match value.as_str() {
            Some(text) => (dates::range(text), dates::range(text)),
            None => (value.text("start").and_then(dates::range), value.text("end").and_then(dates::range)),
        };
        self.clear.event_start = start.map(|range| range.0);
        self.clear.event_end = end.map(|range| range.1);
    }

    fn name(&mut self, param: ParamId, value: &Json) {
        let Some(text) = value.as_str() else { return };
        self.add(param, Scope::Tenant, normal::exact(text));
        for word in normal::words(text) {
            for prefix in normal::word_prefixes(&word) {
                self.add(param, Scope::Tenant, prefix);
            }
        }
    }

    fn telecom(&mut self, kind: TelecomKind, value: &Json) {
        let Some(text) = value.text("value") else { return };
        match (kind, value.text("system")) {
            (TelecomKind::Phone, Some("phone" | "fax" | "sms" | "pager")) => {
                if let Some(number) = normal::phone(text) {
                    self.add(params::PHONE, Scope::Tenant, number);
                }
            }
            (TelecomKind::Email, Some("email")) => {
                self.add(params::EMAIL, Scope::Tenant, normal::email(text));
            }
            // What is no phone and no e-mail; those two are found under their own parameters.
            (TelecomKind::Any, None | Some("url" | "other")) => {
                self.add(params::TELECOM, Scope::Tenant, normal::other_contact(text));
            }
            _ => {}
        }
    }

    fn birthdate(&mut self, value: &Json) {
        let Some(date) = value.as_str().filter(|date| dates::day_range(date).is_some()) else { return };
        for length in [4, 7, 10] {
            if let Some(part) = date.get(..length) {
                self.add(params::BIRTHDATE, Scope::Tenant, normal::birthdate(part));
            }
        }
    }

    fn link(&mut self, param: ParamId, targets: &[ResourceType], value: &Json) {
        let Some(reference) = value.text("reference") else { return };
        if let Some((kind, id)) = local_tail(reference, targets) {
            self.add(param, Scope::Patient, normal::link(kind.as_str(), id));
        }
    }
}

/// `Type/id` at the end of a reference, relative or absolute: ids are UUIDs, so that no other server's `Type/id` is ours by
/// chance, and only authorisation needs to tell base addresses apart.
pub(super) fn local_tail<'a>(text: &'a str, targets: &[ResourceType]) -> Option<(ResourceType, &'a str)> {
    let text = text.split_once("/_history/").map_or(text, |(before, _)| before);
    let mut parts = text.rsplit('/');
    let (id, kind) = (parts.next()?, parts.next()?.parse().ok()?);
    let known = targets.contains(&kind) && id.parse::<carekeep_kernel::ResourceId>().is_ok();
    known.then_some((kind, id))
}

/// The codes of a CodeableConcept, a Coding or a bare code.
fn codes<'a>(value: &'a Json, implied: Option<&'a str>, visit: &mut dyn FnMut(Option<&'a str>, &'a str)) {
    if let Some(code) = value.as_str() {
        return visit(implied, code);
    }
    if let Some(code) = value.text("code") {
        visit(value.text("system"), code);
    }
    for coding in value.items("coding") {
        if let Some(code) = coding.text("code") {
            visit(coding.text("system"), code);
        }
    }
}
