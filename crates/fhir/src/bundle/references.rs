//! References inside a bundle: finding them and pointing them at what the bundle becomes.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    json::Json,
    types::{ResourceType, Target},
};

/// Calls `visit` with the text of every `Reference.reference` in a document (contained resources included), to change it.
pub(super) fn each_reference(value: &mut Json, visit: &mut dyn FnMut(&mut Json)) {
    match value {
        Json::Array(items) => items.iter_mut().for_each(|item| each_reference(item, visit)),
        Json::Object(object) => {
            for (key, member) in object.iter_mut() {
                match member {
                    Json::String(_) if key == "reference" => visit(member),
                    // R4, transaction: links in `url` elements (Attachment.url) are replaced as well, when they are exactly
                    // an entry's address.
                    Json::String(text) if key == "url" && text.as_str().starts_with("urn:") => visit(member),
                    Json::Array(_) | Json::Object(_) => each_reference(member, visit),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// Whether a document refers by a search to something that is served (`Practitioner?identifier=...`), which R4 knows in
/// transactions only. References to types that are not served stay what they were when they were imported.
#[must_use]
pub fn has_conditional(document: &mut Json, base: &str) -> bool {
    let mut found = false;
    each_reference(document, &mut |reference| {
        let target = reference.as_str().map(|text| Target::read(text, base));
        found |= matches!(target, Some(Target::Conditional(query)) if is_served(query));
    });
    found
}

fn is_served(query: &str) -> bool {
    query.split('?').next().is_some_and(|name| name.parse::<ResourceType>().is_ok())
}

/// Addresses inside the bundle and what they become (`Type/id`).
#[derive(Default)]
pub(super) struct Addresses {
    by_full_url: HashMap<String, String>,
    by_relative: HashMap<String, String>,
}

impl Addresses {
    /// `false` if the address is taken.
    pub(super) fn add_full_url(&mut self, address: &str, target: String) -> bool {
        match self.by_full_url.entry(address.to_owned()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(target);
                true
            }
        }
    }

    /// `Type/id` of a resource that gets another id here. The first one wins.
    pub(super) fn add_relative(&mut self, relative: String, target: String) {
        self.by_relative.entry(relative).or_insert(target);
    }

    /// What a reference becomes, said by an entry with this `fullUrl` (R4, bundle, "Resolving references in Bundles").
    pub(super) fn resolve(&self, reference: &str, full_url: Option<&str>) -> Option<&str> {
        let (plain, _) = reference.split_once("/_history/").unwrap_or((reference, ""));
        if let Some(target) = self.by_full_url.get(plain) {
            return Some(target);
        }
        if plain.contains(':') || plain.starts_with('#') {
            return None;
        }
        let base = full_url.filter(|address| address.contains("://")).and_then(|address| {
            let (before_id, _) = address.rsplit_once('/')?;
            Some(before_id.rsplit_once('/')?.0)
        });
        let absolute = base.and_then(|base| self.by_full_url.get(&format!("{base}/{plain}")));
        absolute.or_else(|| self.by_relative.get(plain)).map(String::as_str)
    }
}
