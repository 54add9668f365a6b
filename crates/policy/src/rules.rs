//! From text to checked policies: parsed, annotated, strictly validated.
//!
//! Invariant: a [`Rule`] that exists has an id of its own, annotations that mean something, and fits the schema
//! without a warning.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::{
    DenyReason, PolicyError, PolicySource, Projection,
    error::Place,
    memo::is_generic,
    source::{Part, Statement, split},
};

/// What kind of file a policy comes from; each knows its own annotations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `base/`.
    Base,
    /// A tenant's own.
    Overlay,
    /// `invariants/`.
    Invariant,
}

/// Whether policies are to be used or only to be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// For use: the first fault refuses everything.
    ForUse,
    /// For a proof: a policy without id or projection gets a made-up id and the widest projection, so that the proof
    /// can show what it would let happen.
    ForProof,
}

/// A checked policy.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) id: Arc<str>,
    pub(crate) place: Place,
    pub(crate) origin: Origin,
    pub(crate) policy: Policy,
    pub(crate) description: Box<str>,
    /// Whether it names nobody and looks at no clock (see `memo`).
    pub(crate) generic: bool,
    /// What a permit shows; for a forbid meaningless.
    pub(crate) projection: Projection,
    /// What a forbid tells; for a permit meaningless.
    pub(crate) deny: DenyReason,
    /// For an invariant: it is violated only by answers that show more than this.
    pub(crate) beyond: Option<Projection>,
}

impl Rule {
    pub(crate) fn permits(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }
}

/// Rules, and the faults that a [`Strictness::ForProof`] reading went on after.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) faults: Vec<PolicyError>,
}

pub(crate) fn schema(source: &PolicySource) -> Result<Schema, PolicyError> {
    let (schema, warnings) =
        Schema::from_cedarschema_str(source.schema()).map_err(|error| PolicyError::Schema(chain(&error)))?;
    match warnings.into_iter().next() {
        Some(warning) => Err(PolicyError::Schema(warning.to_string())),
        None => Ok(schema),
    }
}

/// The base and the overlay.
pub(crate) fn access_rules(
    source: &PolicySource,
    overlay: Option<&str>,
    strictness: Strictness,
) -> Result<Rules, PolicyError> {
    let mut reader = Reader::new(strictness);
    for statement in source.statements(Part::Base) {
        reader.read(Origin::Base, &statement)?;
    }
    for statement in split("overlay", overlay.unwrap_or_default()) {
        reader.read(Origin::Overlay, &statement)?;
    }
    Ok(reader.rules)
}

/// The invariants.
pub(crate) fn invariants(source: &PolicySource) -> Result<Rules, PolicyError> {
    let mut reader = Reader::new(Strictness::ForUse);
    for statement in source.statements(Part::Invariants) {
        reader.read(Origin::Invariant, &statement)?;
    }
    Ok(reader.rules)
}

/// Strict validation of all at once; a warning counts as an error, because it means that a policy does not do what
/// it seems to.
pub(crate) fn validate(rules: &[Rule], schema: &Schema) -> Result<(), PolicyError> {
    let set = policy_set(rules.iter())?;
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let errors = result.validation_errors().map(|e| (e.policy_id(), chain(e)));
    let warnings = result.validation_warnings().map(|w| (w.policy_id(), chain(w)));
    let mut found: Vec<_> = errors.chain(warnings).collect();
    found.sort_by_key(|(id, _)| rules.iter().position(|rule| rule.policy.id() == *id));
    match found.into_iter().next() {
        None => Ok(()),
        Some((id, message)) => Err(PolicyError::Validation {
            place: rules
                .iter()
                .find(|rule| rule.policy.id() == id)
                .map_or(Place { file: "?".to_owned(), line: 0 }, |rule| rule.place.clone()),
            id: id.to_string(),
            message,
        }),
    }
}

pub(crate) fn policy_set<'a>(rules: impl Iterator<Item = &'a Rule>) -> Result<PolicySet, PolicyError> {
    PolicySet::from_policies(rules.map(|rule| rule.policy.clone()))
        .map_err(|error| PolicyError::Vocabulary(chain(&error)))
}

/// An error and its causes, on one line.
pub(crate) fn chain(error: &(dyn std::error::Error + '_)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = next.source();
    }
    text.replace('\n', " ")
}

struct Reader {
    strictness: Strictness,
    rules: Rules,
    seen: HashMap<Arc<str>, Place>,
}

impl Reader {
    fn new(strictness: Strictness) -> Self {
        Self { strictness, rules: Rules::default(), seen: HashMap::new() }
    }

    /// Goes on after a fault that a proof can live with; otherwise ends the reading.
    fn fault(&mut self, fault: PolicyError) -> Result<(), PolicyError> {
        match self.strictness {
            Strictness::ForUse => Err(fault),
            Strictness::ForProof => {
                self.rules.faults.push(fault);
                Ok(())
            }
        }
    }

    fn read(&mut self, origin: Origin, statement: &Statement<'_>) -> Result<(), PolicyError> {
        let place = &statement.place;
        let policy = Policy::parse(None, statement.text)
            .map_err(|error| PolicyError::Syntax { place: place.clone(), message: chain(&error) })?;
        known_annotations(origin, place, &policy)?;
        let id = self.id(place, &policy)?;
        let permits = policy.effect() == Effect::Permit;
        if origin == Origin::Invariant && !permits {
            let message = "an invariant describes violations: write it as `permit`".to_owned();
            return Err(PolicyError::Annotation { place: place.clone(), message });
        }
        let projection = match annotation(place, &policy, "projection")? {
            Some(projection) => projection,
            None if permits && origin != Origin::Invariant => {
                let message =
                    "a permit says how much it shows: add @projection(\"metadata\"), \"schedule\", \
                     \"contact\" or \"full\""
                        .to_owned();
                self.fault(PolicyError::Annotation { place: place.clone(), message })?;
                Projection::Full
            }
            None => Projection::Full,
        };
        let description = policy.annotation("description").unwrap_or_default();
        if description.is_empty() {
            let message = "say in one sentence what it is for: @description(\"…\")".to_owned();
            self.fault(PolicyError::Annotation { place: place.clone(), message })?;
        }
        self.rules.rules.push(Rule {
            description: description.into(),
            generic: is_generic(&policy),
            projection,
            deny: annotation(place, &policy, "deny")?.unwrap_or(DenyReason::Forbidden),
            beyond: annotation(place, &policy, "beyond")?,
            policy: policy.new_id(PolicyId::new(&id)),
            place: place.clone(),
            origin,
            id,
        });
        Ok(())
    }

    fn id(&mut self, place: &Place, policy: &Policy) -> Result<Arc<str>, PolicyError> {
        let id: Arc<str> = match policy.annotation("id").filter(|id| !id.is_empty()) {
            Some(id) => id.into(),
            None => {
                let message = "a policy needs a name for the audit ledger: add @id(\"…\")".to_owned();
                self.fault(PolicyError::Annotation { place: place.clone(), message })?;
                place.to_string().into()
            }
        };
        match self.seen.insert(id.clone(), place.clone()) {
            None => Ok(id),
            Some(first) => {
                let place = place.clone();
                Err(PolicyError::DuplicateId { place, id: id.to_string(), first })
            }
        }
    }
}

/// A misspelt annotation would silently mean nothing.
fn known_annotations(origin: Origin, place: &Place, policy: &Policy) -> Result<(), PolicyError> {
    let special = match (origin, policy.effect()) {
        (Origin::Invariant, _) => "beyond",
        (_, Effect::Permit) => "projection",
        (_, Effect::Forbid) => "deny",
    };
    let known = HashSet::from(["id", "description", special]);
    match policy.annotations().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, _)) => Err(PolicyError::Annotation {
            place: place.clone(),
            message: format!("@{key} means nothing here: use @id, @description or @{special}"),
        }),
    }
}

fn annotation<T: std::str::FromStr>(
    place: &Place,
    policy: &Policy,
    key: &str,
) -> Result<Option<T>, PolicyError>
where
    T::Err: std::fmt::Display,
{
    policy.annotation(key).map(str::parse).transpose().map_err(|error: T::Err| PolicyError::Annotation {
        place: place.clone(),
        message: format!("@{key}: {error}"),
    })
}
