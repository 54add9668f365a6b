//! PATCH (RFC 7644 section 3.5.2), and as Entra ID and Okta write it: operations in any case, without a path, with names that are
//! paths, and truth values as texts.

use serde_json::Value;

use super::{
    PATCH_SCHEMA,
    filter::{Filter, Operator, parse, plain_name},
    user::User,
};
use crate::problem::{Problem, catalogue};

/// Most operations in one request.
const MOST: usize = 200;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation.
#[derive(Debug, PartialEq)]
pub(super) struct Operation<'a> {
    pub(super) verb: Verb,
    pub(super) path: Option<&'a str>,
    pub(super) value: Option<&'a Value>,
}

/// The member of an object whose name is `name` in any case.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.as_object()?.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// The operations of a body.
///
/// # Errors
/// 400 `invalidSyntax` for what is no such message.
pub(super) fn operations(body: &Value) -> Result<Vec<Operation<'_>>, Problem> {
    let schemas = member(body, "schemas").and_then(Value::as_array).ok_or(catalogue::SCIM_SYNTAX)?;
    let operations = member(body, "Operations").and_then(Value::as_array).ok_or(catalogue::SCIM_SYNTAX)?;
    if !schemas.iter().any(|schema| schema == PATCH_SCHEMA) || operations.len() > MOST {
        return Err(catalogue::SCIM_SYNTAX);
    }
    operations.iter().map(operation).collect()
}

fn operation(one: &Value) -> Result<Operation<'_>, Problem> {
    let verb = member(one, "op").and_then(Value::as_str).ok_or(catalogue::SCIM_SYNTAX)?;
    let verb = match verb.to_ascii_lowercase().as_str() {
        "add" => Verb::Add,
        "replace" => Verb::Replace,
        "remove" => Verb::Remove,
        _ => return Err(catalogue::SCIM_SYNTAX),
    };
    let path = match member(one, "path") {
        None | Some(Value::Null) => None,
        Some(Value::String(path)) if !path.trim().is_empty() => Some(path.trim()),
        Some(_) => return Err(catalogue::SCIM_PATH),
    };
    Ok(Operation { verb, path, value: member(one, "value").filter(|value| !value.is_null()) })
}

/// Changes a user.
///
/// # Errors
/// 400 `noTarget`, `invalidPath`, `invalidValue`, `mutability`.
pub(super) fn change_user(user: &mut User, operation: &Operation<'_>) -> Result<(), Problem> {
    match (operation.verb, operation.path) {
        (Verb::Remove, None) => Err(catalogue::SCIM_NO_TARGET),
        (Verb::Remove, Some(path)) => user.set(&attribute(path)?, None),
        (_, Some(path)) => user.set(&attribute(path)?, Some(operation.value.ok_or(catalogue::SCIM_VALUE)?)),
        (_, None) => {
            let said = operation.value.and_then(Value::as_object).ok_or(catalogue::SCIM_VALUE)?;
            for (path, value) in said {
                // Okta repeats the id of whom it changes.
                if plain_name(path) != "id" && plain_name(path) != "schemas" {
                    user.set(&attribute(path)?, (!value.is_null()).then_some(value))?;
                }
            }
            Ok(())
        }
    }
}

/// The name in a path, in lower case. A filter in it is for attributes that are not kept here.
fn attribute(path: &str) -> Result<String, Problem> {
    let (name, rest) = path.split_once('[').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let known = |c: char| c.is_ascii_alphanumeric() || "_-$.:".contains(c);
    let closed = rest.is_none_or(|rest| rest.contains(']'));
    if name.is_empty() || !name.chars().all(known) || !closed {
        return Err(catalogue::SCIM_PATH);
    }
    let plain = plain_name(name);
    Ok(if rest.is_some() { format!("{plain}[") } else { plain })
}

/// Ids of users to add to a group or to remove from it, or of all that it is to have.
#[derive(Debug, PartialEq)]
pub(super) enum MemberChange {
    Add(Vec<String>),
    Remove(Vec<String>),
    /// These and no others.
    Only(Vec<String>),
    /// Another attribute, which is ignored.
    Nothing,
}

/// What an operation does to the members of the group that is called `name`.
///
/// # Errors
/// 400 `noTarget`, `invalidPath`, `invalidValue`, `mutability` for another name.
pub(super) fn change_members(name: &str, operation: &Operation<'_>) -> Result<MemberChange, Problem> {
    let Some(path) = operation.path else {
        if operation.verb == Verb::Remove {
            return Err(catalogue::SCIM_NO_TARGET);
        }
        let said = operation.value.filter(|value| value.is_object()).ok_or(catalogue::SCIM_VALUE)?;
        if member(said, "displayName").is_some_and(|other| other != name) {
            return Err(catalogue::SCIM_READ_ONLY);
        }
        return Ok(match member(said, "members") {
            None => MemberChange::Nothing,
            Some(members) if operation.verb == Verb::Add => MemberChange::Add(ids(members)?),
            Some(members) => MemberChange::Only(ids(members)?),
        });
    };
    let plain = plain_name(path);
    if let Some(filter) = plain.strip_prefix("members[").and_then(|rest| rest.strip_suffix(']')) {
        // The value in its own case.
        let start = path.len() - filter.len() - 1;
        let filter = parse(&path[start..path.len() - 1]).map_err(|_| catalogue::SCIM_PATH)?;
        return match (operation.verb, filter) {
            (Verb::Remove, Filter::Compare(name, Operator::Equal, Value::String(id))) if name == "value" => {
                Ok(MemberChange::Remove(vec![id]))
            }
            _ => Err(catalogue::SCIM_PATH),
        };
    }
    match (plain.as_str(), operation.verb, operation.value) {
        ("members", Verb::Remove, None) => Ok(MemberChange::Only(Vec::new())),
        ("members", Verb::Remove, Some(members)) => Ok(MemberChange::Remove(ids(members)?)),
        ("members", Verb::Add, Some(members)) => Ok(MemberChange::Add(ids(members)?)),
        ("members", Verb::Replace, Some(members)) => Ok(MemberChange::Only(ids(members)?)),
        ("members", _, None) => Err(catalogue::SCIM_VALUE),
        ("displayname", Verb::Add | Verb::Replace, Some(other)) if other == name => Ok(MemberChange::Nothing),
        ("displayname" | "id" | "meta", ..) => Err(catalogue::SCIM_READ_ONLY),
        _ => Ok(MemberChange::Nothing),
    }
}

/// Ids in a list of members, or in one.
pub(super) fn ids(members: &Value) -> Result<Vec<String>, Problem> {
    let one = |member: &Value| {
        let id = self::member(member, "value").and_then(Value::as_str);
        id.map(str::to_owned).ok_or(catalogue::SCIM_VALUE)
    };
    match members {
        Value::Array(members) => members.iter().map(one).collect(),
        other => Ok(vec![one(other)?]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(operations: &Value) -> Value {
        json!({"schemas": [PATCH_SCHEMA], "Operations": operations})
    }

    fn changed(body: &Value) -> Result<User, Problem> {
        let mut user = User::from_body(&json!({"userName": "ada", "displayName": "Ada"}), true)?;
        for operation in operations(body)? {
            change_user(&mut user, &operation)?;
        }
        Ok(user)
    }

    #[test]
    fn users_change_as_entra_and_as_okta_write_it() {
        let entra = changed(&patch(&json!([
            {"op": "Replace", "path": "displayName", "value": "Ada L"},
            {"op": "Add", "path": "name.familyName", "value": "Lovelace"},
            {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "ada@acme.example"},
            {"op": "Replace", "path": "active", "value": "False"},
        ])))
        .unwrap();
        assert_eq!(entra.attributes.display_name.as_deref(), Some("Ada L"));
        assert_eq!((entra.attributes.family_name.as_deref(), entra.active), (Some("Lovelace"), false));
        let pathless =
            changed(&patch(&json!([{"op": "replace", "value": {"active": false, "name.givenName": "Ada"}}])));
        let pathless = pathless.unwrap();
        assert_eq!((pathless.attributes.given_name.as_deref(), pathless.active), (Some("Ada"), false));
        let removed = changed(&patch(&json!([{"op": "remove", "path": "displayName"}]))).unwrap();
        assert_eq!(removed.attributes.display_name, None);
    }

    #[test]
    fn what_is_wrong_with_an_operation_is_told_apart() {
        let refusal = |body: &Value| changed(body).err().unwrap();
        let of = |operation: Value| refusal(&patch(&json!([operation])));
        assert_eq!(of(json!({"op": "remove"})), catalogue::SCIM_NO_TARGET);
        assert_eq!(of(json!({"op": "replace", "path": "name.[", "value": "x"})), catalogue::SCIM_PATH);
        assert_eq!(of(json!({"op": "replace", "path": "active", "value": "maybe"})), catalogue::SCIM_VALUE);
        assert_eq!(of(json!({"op": "replace", "path": "active"})), catalogue::SCIM_VALUE);
        assert_eq!(of(json!({"op": "remove", "path": "userName"})), catalogue::SCIM_VALUE);
        assert_eq!(of(json!({"op": "add", "path": "groups", "value": []})), catalogue::SCIM_READ_ONLY);
        assert_eq!(of(json!({"op": "move", "path": "active"})), catalogue::SCIM_SYNTAX);
        assert_eq!(refusal(&json!({"Operations": []})), catalogue::SCIM_SYNTAX);
        assert_eq!(refusal(&patch(&json!({}))), catalogue::SCIM_SYNTAX);
    }

    fn members(operation: &Value) -> Result<MemberChange, Problem> {
        let body = patch(&json!([operation]));
        change_members("nurse", &operations(&body)?[0])
    }

    #[test]
    fn members_change_as_entra_and_as_okta_write_it() {
        let some = || vec!["A1".to_owned()];
        for (operation, meant) in [
            (
                json!({"op": "Add", "path": "members", "value": [{"$ref": null, "value": "A1"}]}),
                MemberChange::Add(some()),
            ),
            (
                json!({"op": "Remove", "path": "members", "value": [{"value": "A1"}]}),
                MemberChange::Remove(some()),
            ),
            (json!({"op": "remove", "path": "members[value eq \"A1\"]"}), MemberChange::Remove(some())),
            (
                json!({"op": "replace", "path": "members", "value": [{"value": "A1"}]}),
                MemberChange::Only(some()),
            ),
            (json!({"op": "remove", "path": "members"}), MemberChange::Only(Vec::new())),
            (
                json!({"op": "replace", "value": {"id": "nurse", "displayName": "nurse"}}),
                MemberChange::Nothing,
            ),
            (json!({"op": "add", "value": {"members": [{"value": "A1"}]}}), MemberChange::Add(some())),
            (json!({"op": "add", "path": "externalId", "value": "7"}), MemberChange::Nothing),
        ] {
            assert_eq!(members(&operation).unwrap(), meant, "{operation}");
        }
        for (operation, refusal) in [
            (json!({"op": "replace", "path": "displayName", "value": "boss"}), catalogue::SCIM_READ_ONLY),
            (json!({"op": "replace", "value": {"displayName": "boss"}}), catalogue::SCIM_READ_ONLY),
            (json!({"op": "add", "path": "members", "value": ["A1"]}), catalogue::SCIM_VALUE),
            (json!({"op": "remove", "path": "members[value co \"A\"]"}), catalogue::SCIM_PATH),
        ] {
            assert_eq!(members(&operation).unwrap_err(), refusal, "{operation}");
        }
    }
}
