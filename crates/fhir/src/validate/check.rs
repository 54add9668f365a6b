//! The walk over a document along the definitions.

use std::fmt::Write as _;

use super::{
    Finding,
    definitions::{Element, Extra, Kind, R4, Type},
    primitive, rules,
};
use crate::{
    json::{Json, Object},
    outcome::IssueType,
    types::{ResourceType, Target},
};

const MOST_FINDINGS: usize = 20;

pub(super) fn check(kind: ResourceType, document: &Json) -> Result<(), Vec<Finding>> {
    let mut checker = Checker { findings: Vec::new(), path: Vec::new(), contained: contained_ids(document) };
    match (document.as_object(), R4.find(kind.as_str())) {
        (Some(object), Some(definition))
            if object.get("resourceType").and_then(Json::as_str) == Some(kind.as_str()) =>
        {
            checker.path.push((kind.as_str(), None));
            checker.object(definition, object);
        }
        _ => checker
            .find(IssueType::Structure, "send a JSON object whose resourceType is the type of the address"),
    }
    if checker.findings.is_empty() { Ok(()) } else { Err(checker.findings) }
}

fn contained_ids(document: &Json) -> Vec<&str> {
    document.items("contained").iter().filter_map(|resource| resource.text("id")).collect()
}

struct Checker<'a> {
    findings: Vec<Finding>,
    path: Vec<(&'static str, Option<usize>)>,
    contained: Vec<&'a str>,
}

impl Checker<'_> {
    fn find(&mut self, kind: IssueType, advice: impl Into<String>) {
        if self.findings.len() >= MOST_FINDINGS {
            return;
        }
        let mut expression = String::new();
        for (name, index) in &self.path {
            let dot = if expression.is_empty() { "" } else { "." };
            let _ = match index {
                Some(index) => write!(expression, "{dot}{name}[{index}]"),
                None => write!(expression, "{dot}{name}"),
            };
        }
        self.findings.push(Finding { kind, expression, advice: advice.into() });
    }

    fn find_in(&mut self, name: &'static str, kind: IssueType, advice: impl Into<String>) {
        self.path.push((name, None));
        self.find(kind, advice);
        self.path.pop();
    }

    fn object(&mut self, definition: &'static Type, object: &Object) {
        if object.is_empty() {
            return self
                .find(IssueType::Structure, "the element is empty; give it content or leave it out (ele-1)");
        }
        let mut seen = 0_u128;
        for (position, (key, value)) in object.iter().enumerate() {
            if definition.resource && key == "resourceType" {
                continue;
            }
            let (bare, extension) = key.strip_prefix('_').map_or((key, false), |bare| (bare, true));
            let Some((at, element)) = definition.element(bare) else {
                // The key itself is not repeated: what nobody defined may be anything.
                let advice = format!(
                    "member {} is no element of R4 here; remove it or use an extension",
                    position + 1
                );
                self.find(IssueType::Structure, advice);
                continue;
            };
            seen |= 1 << at;
            if extension {
                self.primitive_extension(element, value, object);
            } else {
                self.element(element, value, object);
            }
        }
        self.presence(definition, seen);
        rules::check(definition, object, &mut |key, advice| {
            self.find(IssueType::Invariant, format!("{advice} ({key})"));
        });
    }

    fn presence(&mut self, definition: &'static Type, seen: u128) {
        let mut choices = [0_u8; 16];
        for (at, element) in definition.elements.iter().enumerate() {
            let there = seen & (1 << at) != 0;
            if let Some(count) = element.choice.and_then(|choice| choices.get_mut(choice)) {
                *count += u8::from(there);
            }
            if element.required && !there {
                self.find_in(element.key, IssueType::Required, "the element is missing; it is required");
            }
        }
        for (choice, count) in definition.choices.iter().zip(choices) {
            let name = choice.name;
            if count > 1 {
                self.find(IssueType::Structure, format!("{name} is there more than once; keep one of them"));
            } else if count == 0 && choice.required {
                self.find(
                    IssueType::Required,
                    format!("{name} is missing; it is required in one of its types"),
                );
            }
        }
        if definition.name == "Extension" {
            let nested = definition.element("extension").is_some_and(|(at, _)| seen & (1 << at) != 0);
            if nested == choices.iter().any(|count| *count > 0) {
                self.find(
                    IssueType::Invariant,
                    "an extension has a value or extensions, not both and not none (ext-1)",
                );
            }
        }
    }

    fn element(&mut self, element: &'static Element, value: &Json, parent: &Object) {
        match (element.many, value) {
            (true, Json::Array(items)) => {
                if items.is_empty() {
                    self.find_in(
                        element.key,
                        IssueType::Structure,
                        "the list is empty; leave it out (ele-1)",
                    );
                }
                for (index, item) in items.iter().enumerate() {
                    self.path.push((element.key, Some(index)));
                    match item {
                        Json::Null if matches!(element.kind, Kind::Primitive(_)) => {
                            self.null(element.key, index, parent);
                        }
                        _ => self.value(element, item),
                    }
                    self.path.pop();
                }
            }
            (true, _) => self.find_in(element.key, IssueType::Structure, "the element repeats; send a list"),
            (false, Json::Array(_)) => {
                self.find_in(
                    element.key,
                    IssueType::Structure,
                    "the element does not repeat; send one value, no list",
                );
            }
            (false, _) => {
                self.path.push((element.key, None));
                self.value(element, value);
                self.path.pop();
            }
        }
    }

    /// A hole in a list of primitives is there for its extension.
    fn null(&mut self, key: &str, index: usize, parent: &Object) {
        let extensions = parent.get(&format!("_{key}")).and_then(Json::as_array);
        if extensions.and_then(|items| items.get(index)).is_none_or(|item| item.as_object().is_none()) {
            self.find(
                IssueType::Structure,
                "null is allowed only where an extension stands in its place; remove it",
            );
        }
    }

    fn value(&mut self, element: &'static Element, value: &Json) {
        match element.kind {
            Kind::Primitive(primitive) => {
                if primitive.fits(value) {
                    self.code(element, value);
                } else {
                    self.find(
                        IssueType::Value,
                        format!("the value cannot be read; send {}", primitive.expected()),
                    );
                }
            }
            Kind::Complex(at) => match (value.as_object(), R4.types.get(at)) {
                (Some(object), Some(definition)) => {
                    self.object(definition, object);
                    match definition.name {
                        "Reference" => self.reference(element, object),
                        "CodeableConcept" => self.concept(element, value.items("coding")),
                        "Coding" => self.concept(element, std::slice::from_ref(value)),
                        _ => {}
                    }
                }
                _ => self.find(IssueType::Structure, "the element has members; send an object"),
            },
            Kind::Contained => self.contained(value),
            Kind::Unknown => {
                self.find(IssueType::NotSupported, "this element is not supported here; remove it")
            }
        }
    }

    fn code(&mut self, element: &'static Element, value: &Json) {
        if let (Extra::Codes(codes), Some(code)) = (&element.extra, value.as_str())
            && codes.binary_search(&code).is_err()
        {
            let advice = if codes.len() <= 16 {
                format!("the code is not in the required value set; send one of: {}", codes.join(", "))
            } else {
                "the code is not in the required value set; see the R4 definition of the element".to_owned()
            };
            self.find(IssueType::CodeInvalid, advice);
        }
    }

    fn concept(&mut self, element: &'static Element, codings: &[Json]) {
        let Extra::Codes(codes) = &element.extra else { return };
        let known = |coding: &Json| {
            let (Some(system), Some(code)) = (coding.text("system"), coding.text("code")) else {
                return false;
            };
            codes.binary_search(&format!("{system}|{code}").as_str()).is_ok()
        };
        if !codings.iter().any(known) {
            let advice = format!("no coding is in the required value set; send one of: {}", codes.join(", "));
            self.find(IssueType::CodeInvalid, advice);
        }
    }

    fn reference(&mut self, element: &'static Element, object: &Object) {
        let Some(text) = object.get("reference").and_then(Json::as_str) else { return };
        let kind = match Target::read(text, "") {
            Target::Contained(id) if !id.is_empty() && !self.contained.contains(&id) => {
                return self.find(
                    IssueType::Invariant,
                    "no contained resource has this id; contain it or reference another (ref-1)",
                );
            }
            Target::Local(kind, _) => kind.as_str(),
            Target::Relative { kind, .. } => kind,
            _ => return,
        };
        if let Extra::Targets(targets) = &element.extra
            && !targets.contains(&kind)
        {
            let advice = format!("the reference points at a wrong type; send one of: {}", targets.join(", "));
            self.find(IssueType::Value, advice);
        }
    }

    fn contained(&mut self, value: &Json) {
        let Some(object) = value.as_object() else {
            return self.find(IssueType::Structure, "a contained resource is an object; send one");
        };
        let definition = object.get("resourceType").and_then(Json::as_str).and_then(|name| R4.find(name));
        let Some(definition) =
            definition.filter(|definition| definition.resource && definition.name != "Resource")
        else {
            return self.find(
                IssueType::NotSupported,
                "a contained resource of this type is not supported; send it by itself",
            );
        };
        let meta = |key| object.get("meta").and_then(|meta| meta.get(key)).is_some();
        if object.get("contained").is_some() {
            self.find(IssueType::Invariant, "a contained resource contains none; put it beside (dom-2)");
        }
        if meta("versionId") || meta("lastUpdated") || meta("security") {
            self.find(
                IssueType::Invariant,
                "a contained resource has no version and no security label; remove them (dom-4, dom-5)",
            );
        }
        if !object.get("id").and_then(Json::as_str).is_some_and(primitive::id) {
            self.find(IssueType::Required, "a contained resource needs an id that references can name");
        }
        self.object(definition, object);
    }

    /// `_birthDate`: id and extensions of a primitive; for a list, one place per value.
    fn primitive_extension(&mut self, element: &'static Element, value: &Json, parent: &Object) {
        if !matches!(element.kind, Kind::Primitive(_)) {
            return self.find_in(
                element.key,
                IssueType::Structure,
                "only primitive elements have a _ companion; use extension",
            );
        }
        match (element.many, value) {
            (false, Json::Object(object)) => {
                self.path.push((element.key, None));
                self.companion(object);
                self.path.pop();
            }
            (true, Json::Array(items)) => {
                let values = parent.get(element.key).and_then(Json::as_array);
                if values.is_some_and(|values| values.len() != items.len()) {
                    self.find_in(
                        element.key,
                        IssueType::Structure,
                        "the list and its _ companion differ in length; fill with null",
                    );
                }
                for (index, item) in items.iter().enumerate() {
                    self.path.push((element.key, Some(index)));
                    match item {
                        Json::Object(object) => self.companion(object),
                        Json::Null if values.is_some() => {}
                        _ => self.find(
                            IssueType::Structure,
                            "a _ companion is an object with id or extension; send one",
                        ),
                    }
                    self.path.pop();
                }
            }
            _ => self.find_in(
                element.key,
                IssueType::Structure,
                "a _ companion has the shape of its element; send an object, or a list of them",
            ),
        }
    }

    fn companion(&mut self, object: &Object) {
        if object.is_empty() {
            self.find(IssueType::Structure, "the _ companion is empty; leave it out (ele-1)");
        }
        let extension = R4.find("Extension").and_then(|definition| definition.element("extension"));
        for (key, value) in object.iter() {
            match (key, extension) {
                ("id", _) if value.as_str().is_some_and(|id| !id.is_empty()) => {}
                ("extension", Some((_, element))) => self.element(element, value, object),
                _ => self
                    .find(IssueType::Structure, "a _ companion has id and extension only; remove the rest"),
            }
        }
    }
}
