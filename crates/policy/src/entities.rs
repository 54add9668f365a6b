//! From loaded facts to a Cedar request.
//!
//! Invariant: what is built here conforms to the schema. That is not checked per decision (it would cost more than
//! the decision); a test validates the requests that every combination of inputs gives.

use carekeep_kernel::PersonId;
use cedar_policy::{
    Context as CedarContext, Entities, Entity, EntityUid, Request, RestrictedExpression as Expr,
};

use crate::{AccessRequest, Resource, ResourceKind, request::Principal, vocabulary::Vocabulary};

/// A request that could not be put to Cedar; the decision is then a refusal.
#[derive(Debug, thiserror::Error)]
#[error("the request cannot be put to the policy engine: {0}")]
pub(crate) struct Unaskable(String);

fn unaskable(error: impl std::fmt::Display) -> Unaskable {
    Unaskable(error.to_string())
}

pub(crate) fn ask(words: &Vocabulary, request: &AccessRequest<'_>) -> Result<(Request, Entities), Unaskable> {
    let person = person(words, request.principal)?;
    let resource = resource(words, request.resource)?;
    let cedar = Request::new(
        person.uid(),
        words.action(request.action).clone(),
        resource.uid(),
        context(words, request)?,
        None,
    )
    .map_err(unaskable)?;
    Ok((cedar, Entities::from_entities([person, resource], None).map_err(unaskable)?))
}

fn entity(uid: EntityUid) -> Expr {
    Expr::new_entity_uid(uid)
}

fn person(words: &Vocabulary, principal: &Principal) -> Result<Entity, Unaskable> {
    let roles = principal.roles.iter().map(|role| words.role(role).clone());
    let attributes = [
        Some(("tenant", entity(words.tenant(principal.tenant)))),
        Some(("tenantKind", words.tenant_kind(principal.tenant_kind).clone())),
        Some(("suspended", Expr::new_bool(principal.suspended))),
        principal.patient.map(|patient| ("patient", entity(words.patient(patient)))),
    ];
    build(words.person(principal.person), attributes, roles)
}

fn resource(words: &Vocabulary, resource: &Resource) -> Result<Entity, Unaskable> {
    let class = resource.kind.class();
    let uid = match (resource.kind, resource.id) {
        (ResourceKind::Tenant, _) => words.tenant(resource.tenant),
        (_, Some(id)) => words.resource(class, id),
        (_, None) => words.any(class),
    };
    let account = (resource.kind == ResourceKind::Account).then_some(resource.account);
    let attributes = [
        Some(("tenant", entity(words.tenant(resource.tenant)))),
        resource
            .patient
            .filter(|_| resource.kind.is_phi())
            .map(|patient| ("patient", entity(words.patient(patient)))),
        words.kind(resource.kind).map(|kind| ("kind", kind.clone())),
        resource
            .id
            .filter(|_| account.is_some())
            .map(|id| ("person", entity(words.person(PersonId::from_uuid(id.as_uuid()))))),
        account.and_then(|account| account.role).map(|role| ("role", entity(words.role(role).clone()))),
        account.map(|account| ("outside", Expr::new_bool(account.outside))),
        account.map(|account| ("program", Expr::new_bool(account.program))),
        account.map(|account| ("lastInRole", Expr::new_bool(account.last_in_role))),
        account.map(|account| ("tokenMaker", Expr::new_bool(account.token_maker))),
    ];
    build(uid, attributes, std::iter::empty())
}

fn build<const N: usize>(
    uid: EntityUid,
    attributes: [Option<(&str, Expr)>; N],
    parents: impl Iterator<Item = EntityUid>,
) -> Result<Entity, Unaskable> {
    let attributes = attributes.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
    Entity::new_with_tags(uid, attributes, parents, []).map_err(unaskable)
}

fn context(words: &Vocabulary, request: &AccessRequest<'_>) -> Result<CedarContext, Unaskable> {
    let (context, relation) = (request.context, request.resource.relation);
    CedarContext::from_pairs([
        ("aal".to_owned(), Expr::new_long(context.aal as i64)),
        ("factorAge".to_owned(), Expr::new_long(i64::from(context.factor_age_seconds))),
        ("purpose".to_owned(), words.purpose(context.purpose).clone()),
        ("tenantActive".to_owned(), Expr::new_bool(context.tenant_active)),
        ("knownDevice".to_owned(), Expr::new_bool(context.known_device)),
        ("deviceRequired".to_owned(), Expr::new_bool(context.device_required)),
        ("careTeam".to_owned(), Expr::new_bool(relation.care_team)),
        ("assigned".to_owned(), Expr::new_bool(relation.assigned)),
        ("appointment".to_owned(), Expr::new_bool(relation.appointment)),
        ("proxy".to_owned(), Expr::new_bool(relation.proxy)),
    ])
    .map_err(unaskable)
}
