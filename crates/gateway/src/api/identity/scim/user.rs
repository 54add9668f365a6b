//! A user as JSON (RFC 7643 section 4.1): read from a body, changed by operations, shown.
//!
//! What is not kept here is ignored wherever it comes (RFC 7644 section 3.3): e-mail addresses, titles, extensions.

use carekeep_identity::{
    service::LoginName,
    storage::{Attributes, NewStaff, StaffView},
};
use serde_json::{Map, Value, json};

use super::{USER_SCHEMA, filter::plain_name};
use crate::problem::{Problem, catalogue};

/// Longest text of an attribute, in characters; `externalId` may be an e-mail address or an X.500 name.
const LONGEST: usize = 200;
const LONGEST_EXTERNAL: usize = 255;

/// A user as a client writes it. Personal data: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct User {
    pub(super) login: String,
    pub(super) attributes: Attributes,
    pub(super) active: bool,
}

impl User {
    /// What a body says. A user is active unless the body says otherwise; a body that says nothing of it leaves `was`.
    ///
    /// # Errors
    /// 400 `invalidSyntax` for what is no user, `invalidValue` for a value that cannot be.
    pub(super) fn from_body(body: &Value, was: bool) -> Result<Self, Problem> {
        let body = body.as_object().ok_or(catalogue::SCIM_SYNTAX)?;
        let mut user = Self { login: String::new(), attributes: Attributes::default(), active: was };
        for (name, value) in body {
            // What is read-only is ignored in a whole resource (RFC 7644 section 3.5.1).
            if !is_read_only(&plain_name(name)) && !value.is_null() {
                user.set(&plain_name(name), Some(value))?;
            }
        }
        if user.login.is_empty() { Err(catalogue::SCIM_VALUE) } else { Ok(user) }
    }

    /// As somebody is now.
    pub(super) fn of(view: &StaffView) -> Self {
        let login = view.profile.login.to_string();
        Self { login, attributes: view.attributes.clone(), active: view.active }
    }

    /// What is to be stored.
    ///
    /// # Errors
    /// 400 `invalidValue` for a login name that cannot be one.
    pub(super) fn staff(&self) -> Result<NewStaff, Problem> {
        let login = LoginName::parse(&self.login).map_err(|_| catalogue::SCIM_VALUE)?;
        Ok(NewStaff { login, attributes: self.attributes.clone() })
    }

    /// Sets an attribute, or removes it for `None`. `name` is in lower case.
    ///
    /// # Errors
    /// 400 `invalidValue`, `mutability`.
    pub(super) fn set(&mut self, name: &str, value: Option<&Value>) -> Result<(), Problem> {
        if is_read_only(name) {
            return Err(catalogue::SCIM_READ_ONLY);
        }
        match name {
            "username" => self.login = text(value, LONGEST_EXTERNAL)?.ok_or(catalogue::SCIM_VALUE)?,
            "active" => self.active = truth(value.ok_or(catalogue::SCIM_VALUE)?)?,
            "externalid" => self.attributes.external_id = text(value, LONGEST_EXTERNAL)?,
            "displayname" => self.attributes.display_name = text(value, LONGEST)?,
            "name" => self.set_name(value)?,
            "name.formatted" => self.attributes.formatted = text(value, LONGEST)?,
            "name.givenname" => self.attributes.given_name = text(value, LONGEST)?,
            "name.familyname" => self.attributes.family_name = text(value, LONGEST)?,
            _ => {}
        }
        Ok(())
    }

    fn set_name(&mut self, value: Option<&Value>) -> Result<(), Problem> {
        let Some(value) = value else {
            let Attributes { external_id, display_name, .. } = self.attributes.clone();
            self.attributes = Attributes { external_id, display_name, ..Attributes::default() };
            return Ok(());
        };
        for (name, value) in value.as_object().ok_or(catalogue::SCIM_VALUE)? {
            let name = format!("name.{}", name.to_ascii_lowercase());
            self.set(&name, (!value.is_null()).then_some(value))?;
        }
        Ok(())
    }

    /// The names of what differs, for the ledger; no values.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (one, two) = (&self.attributes, &other.attributes);
        [
            ("userName", self.login != other.login),
            ("externalId", one.external_id != two.external_id),
            ("displayName", one.display_name != two.display_name),
            (
                "name",
                (&one.formatted, &one.given_name, &one.family_name)
                    != (&two.formatted, &two.given_name, &two.family_name),
            ),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }
}

/// What clients are told and do not say.
fn is_read_only(name: &str) -> bool {
    ["id", "meta", "groups"].iter().any(|root| {
        name.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

/// A text; an empty one is none.
fn text(value: Option<&Value>, longest: usize) -> Result<Option<String>, Problem> {
    let Some(value) = value else { return Ok(None) };
    let text = value.as_str().ok_or(catalogue::SCIM_VALUE)?.trim();
    if text.chars().count() > longest || text.chars().any(char::is_control) {
        return Err(catalogue::SCIM_VALUE);
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Entra ID says "True" and "False" where it means the truth values.
fn truth(value: &Value) -> Result<bool, Problem> {
    match value {
        Value::Bool(truth) => Ok(*truth),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(catalogue::SCIM_VALUE),
    }
}

/// A user as it is shown, without `meta`.
pub(super) fn shown(view: &StaffView, origin: &str) -> Map<String, Value> {
    let mut body = Map::new();
    let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
    say("schemas", json!([USER_SCHEMA]));
    say("id", view.id.to_string().into());
    say("userName", view.profile.login.as_str().into());
    say("active", view.active.into());
    let said = &view.attributes;
    for (name, value) in [("externalId", &said.external_id), ("displayName", &said.display_name)] {
        if let Some(value) = value {
            say(name, value.as_str().into());
        }
    }
    let parts =
        [("formatted", &said.formatted), ("givenName", &said.given_name), ("familyName", &said.family_name)];
    let name: Map<String, Value> = parts
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?.into())))
        .collect();
    if !name.is_empty() {
        say("name", name.into());
    }
    let groups: Vec<Value> = super::groups::provisionable(&view.roles)
        .map(|role| json!({"value": role, "display": role, "$ref": format!("{origin}/scim/v2/Groups/{role}"), "type": "direct"}))
        .collect();
    if !groups.is_empty() {
        say("groups", groups.into());
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(body: &Value) -> User {
        User::from_body(body, true).unwrap()
    }

    #[test]
    fn a_user_is_read_whatever_the_case_of_names_and_what_is_not_kept_is_ignored() {
        let read = user(&json!({
            "schemas": [USER_SCHEMA], "USERNAME": "ada@acme.example", "externalId": "7", "id": "of the client",
            "name": {"familyName": "Lovelace", "givenName": "Ada"}, "emails": [{"value": "ada@acme.example"}],
            "displayName": null, "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "x"},
        }));
        assert_eq!((read.login.as_str(), read.active), ("ada@acme.example", true));
        assert_eq!(read.attributes.shown().as_deref(), Some("Ada Lovelace"));
        assert_eq!(read.attributes.external_id.as_deref(), Some("7"));
    }

    #[test]
    fn active_is_a_truth_value_or_what_entra_sends_for_one() {
        for (said, meant) in
            [(json!(true), true), (json!(false), false), (json!("False"), false), (json!("True"), true)]
        {
            assert_eq!(user(&json!({"userName": "a", "active": said})).active, meant);
        }
        for bad in [json!("no"), json!(0), json!([])] {
            assert!(User::from_body(&json!({"userName": "a", "active": bad}), true).is_err());
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let long = "x".repeat(201);
        for bad in [
            json!([]),
            json!({}),
            json!({"userName": ""}),
            json!({"userName": 7}),
            json!({"userName": "a", "displayName": long}),
            json!({"userName": "a", "displayName": "a\u{0}b"}),
            json!({"userName": "a", "name": "Ada"}),
        ] {
            assert!(User::from_body(&bad, true).is_err(), "{bad}");
        }
        assert!(
            user(&json!({"userName": "a b"})).staff().is_err()
                && user(&json!({"userName": "ab"})).staff().is_ok()
        );
    }

    #[test]
    fn what_is_read_only_is_refused_by_name_and_nothing_that_only_begins_so() {
        let mut one = user(&json!({"userName": "a"}));
        for name in ["id", "meta", "meta.version", "groups", "groups[value eq \"x\"]"] {
            assert_eq!(one.set(name, None).unwrap_err(), catalogue::SCIM_READ_ONLY, "{name}");
        }
        assert!(one.set("identity", None).is_ok());
    }
}
