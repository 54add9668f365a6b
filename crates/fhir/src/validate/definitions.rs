//! The tables of `definitions/r4.txt`, read once into a form that is quick to look up.
//!
//! Invariant (tested): every line is understood, every type that an element names exists, no type has more than 128 elements.

use std::{collections::HashMap, sync::LazyLock};

use super::primitive::Primitive;

const SOURCE: &str = include_str!("../../definitions/r4.txt");

/// What an element holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A primitive value.
    Primitive(Primitive),
    /// A complex type: its place in [`Definitions::types`].
    Complex(usize),
    /// A contained resource.
    Contained,
    /// A type without definition: refuses everything.
    Unknown,
}

/// What else is asked of an element.
pub(super) enum Extra {
    Nothing,
    /// A code (or a coding) out of these, sorted.
    Codes(&'static [&'static str]),
    /// A reference to one of these types.
    Targets(Vec<&'static str>),
}

pub(super) struct Element {
    pub(super) key: &'static str,
    pub(super) required: bool,
    pub(super) many: bool,
    pub(super) kind: Kind,
    pub(super) extra: Extra,
    /// Which choice (`value[x]`) of the type it is one alternative of.
    pub(super) choice: Option<usize>,
}

/// A choice element.
pub(super) struct Choice {
    pub(super) name: &'static str,
    pub(super) required: bool,
}

pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) resource: bool,
    /// Sorted by key.
    pub(super) elements: Vec<Element>,
    pub(super) choices: Vec<Choice>,
}

impl Type {
    /// The element of a key, and its place.
    pub(super) fn element(&self, key: &str) -> Option<(usize, &Element)> {
        let at = self.elements.binary_search_by(|element| element.key.cmp(key)).ok()?;
        self.elements.get(at).map(|element| (at, element))
    }
}

pub(super) struct Definitions {
    pub(super) types: Vec<Type>,
    by_name: HashMap<&'static str, usize>,
    /// Lines that were not understood; none, as a test shows.
    pub(super) bad_lines: usize,
}

impl Definitions {
    /// A type by name.
    pub(super) fn find(&self, name: &str) -> Option<&Type> {
        self.by_name.get(name).and_then(|at| self.types.get(*at))
    }
}

pub(super) static R4: LazyLock<Definitions> = LazyLock::new(read);

fn read() -> Definitions {
    let lines = || SOURCE.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names = lines().filter_map(|line| line.strip_prefix('=')).map(|name| name.trim_end_matches('*'));
    let by_name: HashMap<_, _> = names.enumerate().map(|(at, name)| (name, at)).collect();
    let mut sets: HashMap<&str, &'static [&'static str]> = HashMap::new();
    let mut out = Definitions { types: Vec::new(), by_name, bad_lines: 0 };
    for line in lines() {
        if let Some(set) = line.strip_prefix('!') {
            let mut codes = set.split('\t');
            let name = codes.next().unwrap_or_default();
            // Lives as long as the program, like the text it points into.
            sets.insert(name, Vec::leak(codes.collect()));
        } else if let Some(name) = line.strip_prefix('=') {
            let resource = name.ends_with('*');
            let name = name.trim_end_matches('*');
            out.types.push(Type { name, resource, elements: Vec::new(), choices: Vec::new() });
        } else if let Some(current) = out.types.last_mut() {
            let understood = match line.strip_prefix('?') {
                Some(choice) => {
                    current.choices.push(Choice { name: choice, required: true });
                    Some(())
                }
                None => element(line, &out.by_name, &sets, current),
            };
            out.bad_lines += usize::from(understood.is_none());
        }
    }
    for kind in &mut out.types {
        kind.elements.sort_by_key(|element| element.key);
    }
    out
}

fn element(
    line: &'static str,
    by_name: &HashMap<&'static str, usize>,
    sets: &HashMap<&str, &'static [&'static str]>,
    current: &mut Type,
) -> Option<()> {
    let mut columns = line.split('\t');
    let key = columns.next()?;
    let required = columns.next()?.parse::<u32>().ok()? > 0;
    let many = columns.next()? != "1";
    let name = columns.next()?;
    let kind = match (Primitive::named(name), by_name.get(name)) {
        (Some(primitive), _) => Kind::Primitive(primitive),
        (None, _) if name == "Resource" => Kind::Contained,
        (None, Some(at)) => Kind::Complex(*at),
        (None, None) => Kind::Unknown,
    };
    let extra = match columns.next() {
        None | Some("") => Extra::Nothing,
        Some(list) if name == "Reference" => Extra::Targets(list.split(',').collect()),
        Some(set) => Extra::Codes(sets.get(set).copied()?),
    };
    let choice = columns.next().map(|choice| {
        let known = current.choices.iter().position(|other| other.name == choice);
        known.unwrap_or_else(|| {
            current.choices.push(Choice { name: choice, required: false });
            current.choices.len() - 1
        })
    });
    current.elements.push(Element { key, required, many, kind, extra, choice });
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ResourceType;

    #[test]
    fn every_line_of_the_definitions_is_understood_and_every_type_is_there() {
        assert_eq!(R4.bad_lines, 0);
        assert!(R4.types.len() > 100);
        for kind in &R4.types {
            assert!(
                kind.elements.len() <= 128,
                "{} has too many elements for the set of seen ones",
                kind.name
            );
            for element in &kind.elements {
                assert!(element.kind != Kind::Unknown, "{}.{} has no type", kind.name, element.key);
                if let Extra::Codes(codes) = element.extra {
                    assert!(codes.is_sorted() && !codes.is_empty(), "{}.{}", kind.name, element.key);
                }
            }
        }
        for kind in ResourceType::ALL {
            assert!(R4.find(kind.as_str()).is_some_and(|found| found.resource), "{kind}");
        }
    }

    #[test]
    fn the_definitions_file_stays_small() {
        assert!(SOURCE.len() < 600 * 1024);
    }

    #[test]
    fn well_known_facts_of_r4_are_in_the_tables() {
        let observation = R4.find("Observation").expect("Observation");
        let fact = |key| {
            observation.element(key).map(|(_, element)| (element.required, element.many)).expect("an element")
        };
        assert_eq!(fact("status"), (true, false));
        assert_eq!(fact("category"), (false, true));
        assert!(observation.element("valueQuantity").is_some_and(|(_, element)| element.choice.is_some()));
        assert!(observation.element("value").is_none());
        let occurrence =
            R4.find("Immunization").expect("Immunization").choices.iter().find(|c| c.name == "occurrence[x]");
        assert!(occurrence.is_some_and(|choice| choice.required));
    }
}
