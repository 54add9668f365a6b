//! The Cedar names of our words, made once: parsing a name costs more than a decision.
//!
//! Invariant: every word of the Rust types is a word of the schema and the other way round; [`Vocabulary::check`]
//! refuses a schema that says otherwise.

use std::{collections::BTreeSet, str::FromStr};

use carekeep_kernel::{PersonId, ResourceId, TenantId, TenantKind};
use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema};

use crate::{Action, PolicyError, ResourceKind, Role, action::Class, request::Purpose};

/// The entity type of people.
pub(crate) const PERSON: &str = "Person";

#[derive(Debug)]
pub(crate) struct Vocabulary {
    person: EntityTypeName,
    classes: Vec<EntityTypeName>,
    actions: Vec<EntityUid>,
    roles: Vec<EntityUid>,
    purposes: Vec<RestrictedExpression>,
    kinds: Vec<Option<RestrictedExpression>>,
    tenant_kinds: Vec<RestrictedExpression>,
}

fn type_name(name: &str) -> Result<EntityTypeName, PolicyError> {
    EntityTypeName::from_str(name).map_err(|error| PolicyError::Vocabulary(error.to_string()))
}

fn uids<'a>(ty: &str, names: impl Iterator<Item = &'a str>) -> Result<Vec<EntityUid>, PolicyError> {
    let ty = type_name(ty)?;
    Ok(names.map(|name| EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(name))).collect())
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let purposes = uids("Purpose", Purpose::ALL.iter().map(|purpose| purpose.as_str()))?;
        let tenant_kinds = uids("TenantKind", TenantKind::ALL.into_iter().map(TenantKind::as_str))?;
        let record = type_name("RecordKind")?;
        let entry = type_name("EntryKind")?;
        let kind = |kind: &ResourceKind| {
            let ty = match kind.class() {
                Class::ClinicalRecord => &record,
                Class::DirectoryEntry => &entry,
                _ => return None,
            };
            let uid = EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(kind.as_str()));
            Some(RestrictedExpression::new_entity_uid(uid))
        };
        Ok(Self {
            person: type_name(PERSON)?,
            classes: Class::ALL.iter().map(|class| type_name(class.as_str())).collect::<Result<_, _>>()?,
            actions: uids("Action", Action::ALL.iter().map(|action| action.as_str()))?,
            roles: uids("Role", Role::ALL.iter().map(|role| role.as_str()))?,
            purposes: purposes.into_iter().map(RestrictedExpression::new_entity_uid).collect(),
            kinds: ResourceKind::ALL.iter().map(kind).collect(),
            tenant_kinds: tenant_kinds.into_iter().map(RestrictedExpression::new_entity_uid).collect(),
        })
    }

    pub(crate) fn action(&self, action: Action) -> &EntityUid {
        &self.actions[action as usize]
    }

    pub(crate) fn role(&self, role: Role) -> &EntityUid {
        &self.roles[role as usize]
    }

    pub(crate) fn purpose(&self, purpose: Purpose) -> &RestrictedExpression {
        &self.purposes[purpose as usize]
    }

    pub(crate) fn kind(&self, kind: ResourceKind) -> Option<&RestrictedExpression> {
        self.kinds[kind as usize].as_ref()
    }

    pub(crate) fn tenant_kind(&self, kind: TenantKind) -> &RestrictedExpression {
        &self.tenant_kinds[kind as usize]
    }

    pub(crate) fn class(&self, class: Class) -> &EntityTypeName {
        &self.classes[class as usize]
    }

    pub(crate) fn person(&self, id: PersonId) -> EntityUid {
        uid(&self.person, id.as_uuid().hyphenated().encode_lower(&mut buffer()))
    }

    pub(crate) fn tenant(&self, id: TenantId) -> EntityUid {
        uid(self.class(Class::Tenant), id.as_uuid().hyphenated().encode_lower(&mut buffer()))
    }

    pub(crate) fn patient(&self, id: ResourceId) -> EntityUid {
        self.resource(Class::Patient, id)
    }

    pub(crate) fn resource(&self, class: Class, id: ResourceId) -> EntityUid {
        uid(self.class(class), id.as_uuid().hyphenated().encode_lower(&mut buffer()))
    }

    /// What stands for "the kind as such" when there is no id.
    pub(crate) fn any(&self, class: Class) -> EntityUid {
        uid(self.class(class), "any")
    }

    /// Refuses a schema that knows other words than the program.
    pub(crate) fn check(&self, schema: &Schema) -> Result<(), PolicyError> {
        let ours: BTreeSet<String> = self.actions.iter().map(ToString::to_string).collect();
        let theirs: BTreeSet<String> = schema.actions().map(ToString::to_string).collect();
        if let Some(word) = ours.symmetric_difference(&theirs).next() {
            return Err(PolicyError::Vocabulary(format!("the action {word}")));
        }
        if schema.action_groups().next().is_some() {
            return Err(PolicyError::Vocabulary("action groups (there must be none)".to_owned()));
        }
        let ours: BTreeSet<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
        let theirs: BTreeSet<&str> = schema.resources().map(EntityTypeName::basename).collect();
        if let Some(word) = ours.symmetric_difference(&theirs).next() {
            return Err(PolicyError::Vocabulary(format!("the class of data {word}")));
        }
        Ok(())
    }
}

fn buffer() -> [u8; 45] {
    [0; 45]
}

fn uid(ty: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(ty.clone(), EntityId::new(id))
}
