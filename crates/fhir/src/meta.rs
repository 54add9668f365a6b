//! What the server writes into a document: `id`, `meta.versionId`, `meta.lastUpdated`. All else keeps its bytes' meaning
//! and its order.

use carekeep_kernel::{ResourceId, Timestamp};

use crate::json::{Json, Object};

/// Sets id, version and moment of the last change. `id` goes behind `resourceType`, a new `meta` behind `id`; inside `meta`
/// other members (profile, tag, security, source) stay. A document that is no object is left alone.
pub fn set_server_meta(document: &mut Json, id: ResourceId, version: u64, last_updated: Timestamp) {
    let Some(object) = document.as_object_mut() else { return };
    let after_type = usize::from(object.get("resourceType").is_some());
    object.set_at(after_type, "id", Json::string(&id.to_string()));
    let after_id = object.iter().position(|(key, _)| key == "id").map_or(after_type, |at| at + 1);
    if object.get("meta").is_none_or(|meta| meta.as_object().is_none()) {
        object.set_at(after_id, "meta", Json::Object(Object::default()));
    }
    if let Some(meta) = object.get_mut("meta").and_then(Json::as_object_mut) {
        meta.set_at(0, "versionId", Json::string(&version.to_string()));
        meta.set_at(1, "lastUpdated", Json::string(&last_updated.to_string()));
    }
}

/// Takes out what [`set_server_meta`] sets in `meta`; an empty `meta` goes too. The id stays.
pub fn strip_server_meta(document: &mut Json) {
    let Some(object) = document.as_object_mut() else { return };
    if let Some(meta) = object.get_mut("meta").and_then(Json::as_object_mut) {
        meta.remove("versionId");
        meta.remove("lastUpdated");
        if !meta.is_empty() {
            return;
        }
        object.remove("meta");
    }
}

/// Whether what was read back says what was sent in: all but `id`, `meta.versionId` and `meta.lastUpdated`, numbers digit by
/// digit, whatever the order of keys.
#[must_use]
pub fn reads_back_equal(sent: &Json, read: &Json) -> bool {
    let bare = |document: &Json| {
        let mut copy = document.duplicate();
        strip_server_meta(&mut copy);
        if let Some(object) = copy.as_object_mut() {
            object.remove("id");
        }
        copy
    };
    bare(sent).same(&bare(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Limits;

    const ID: &str = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";

    fn parse(text: &str) -> Json {
        Json::parse(text.as_bytes(), &Limits::default()).expect("a sample document")
    }

    fn written(text: &str) -> String {
        let mut document = parse(text);
        set_server_meta(&mut document, ID.parse().expect("an id"), 7, Timestamp::from_micros(1_500_000));
        String::from_utf8(document.to_vec()).expect("UTF-8")
    }

    #[test]
    fn server_meta_is_set_and_all_else_keeps_its_place() {
        assert_eq!(
            written(
                r#"{"resourceType":"Observation","meta":{"tag":[{"code":"a"}]},"value":1.00,"status":"final"}"#
            ),
            format!(
                r#"{{"resourceType":"Observation","id":"{ID}","meta":{{"versionId":"7","lastUpdated":"1970-01-01T00:00:01.5Z","tag":[{{"code":"a"}}]}},"value":1.00,"status":"final"}}"#
            )
        );
    }

    #[test]
    fn a_client_cannot_set_version_or_moment() {
        let forged = r#"{"resourceType":"Patient","id":"x","meta":{"versionId":"99","lastUpdated":"2030-01-01T00:00:00Z"}}"#;
        let document = parse(&written(forged));
        assert_eq!(document.text("id"), Some(ID));
        assert_eq!(document.get("meta").and_then(|meta| meta.text("versionId")), Some("7"));
        assert_eq!(
            document.get("meta").and_then(|meta| meta.text("lastUpdated")),
            Some("1970-01-01T00:00:01.5Z")
        );
    }

    #[test]
    fn reading_back_forgives_server_meta_and_key_order_but_no_digit() {
        let sent = parse(r#"{"resourceType":"Observation","status":"final","value":1.0}"#);
        let mut read = parse(r#"{"resourceType":"Observation","value":1.0,"status":"final"}"#);
        set_server_meta(&mut read, ID.parse().expect("an id"), 1, Timestamp::from_micros(0));
        assert!(reads_back_equal(&sent, &read));
        assert!(!reads_back_equal(
            &parse(r#"{"resourceType":"Observation","status":"final","value":1.00}"#),
            &read
        ));
        assert!(!reads_back_equal(&parse(r#"{"resourceType":"Observation","status":"final"}"#), &read));
    }
}
