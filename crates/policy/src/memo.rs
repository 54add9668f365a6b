//! Decisions remembered by what they can depend on.
//!
//! A Cedar policy can do only three things with an entity id: compare it with another id, follow it to an entity, and
//! compare it with an id that is written in the policy. So as long as no policy of a slice names a person, patient,
//! tenant or row, renaming these in a request changes nothing: the decision depends on roles, booleans, and *which ids
//! are equal*. That is what a [`Shape`] holds, and two requests of one shape get one decision, determining policies
//! included. Evaluating costs tens of microseconds, looking up a fraction of one.
//!
//! Invariant: everything that a policy can see is in the shape, or the slice is not remembered at all. The structs are
//! taken apart without `..`, so that a new field does not compile until it has its place here; a test compares
//! remembered decisions with evaluated ones.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use carekeep_kernel::{PersonId, ResourceId};
use cedar_policy::Policy;

use crate::{
    AccessRequest, AccountFacts, Class, Context, Decision, Principal, Relation, Resource, Role, RoleSet,
};

/// Decisions to remember at most. A tenant's people and work need some hundreds; the bound is against the unforeseen.
const CAPACITY: usize = 32_768;

/// The one fact that is no boolean or small number: seconds.
const FACTOR_AGE: &str = "factorAge";

/// Whether a policy looks at nothing but what a [`Shape`] holds.
pub(crate) fn is_generic(policy: &Policy) -> bool {
    let named = ["Role", "TenantKind", "Purpose", "RecordKind", "EntryKind", "Action"];
    let names_nobody = policy.entity_literals().iter().all(|uid| named.contains(&uid.type_name().basename()));
    // In the parsed form, where an escape cannot hide the word; a string that reads so errs on the safe side.
    let ageless = policy.to_json().is_ok_and(|json| !json.to_string().contains(FACTOR_AGE));
    names_nobody && ageless
}

/// All that a decision of a generic slice can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    roles: RoleSet,
    /// Action, kind, assurance level, purpose, and kind of the tenant.
    what: [u8; 5],
    /// That is given or taken.
    role: Option<Role>,
    /// Booleans of principal, resource and context, and the equalities between ids.
    facts: u32,
}

impl Shape {
    fn of(request: &AccessRequest<'_>) -> Self {
        let AccessRequest { principal, action, resource, context } = *request;
        let Principal { tenant, tenant_kind, person, roles, suspended, patient: own } = *principal;
        let Resource { tenant: owner, kind, id, patient, relation, account } = *resource;
        let AccountFacts { role, outside, program, last_in_role, token_maker } = account;
        let Relation { care_team, assigned, appointment, proxy } = relation;
        let Context { aal, factor_age_seconds: _, purpose, tenant_active, known_device, device_required } =
            *context;
        // The id of a resource can meet another id only where both are of one entity type.
        let as_patient = id.filter(|_| kind.class() == Class::Patient);
        let as_person = id.filter(|_| kind.class() == Class::Account);
        let facts = [
            tenant == owner,
            suspended,
            own.is_some(),
            patient.is_some(),
            both(own, patient),
            id.is_some(),
            both(own, as_patient),
            both(patient, as_patient),
            as_person.is_some_and(|id| PersonId::from_uuid(id.as_uuid()) == person),
            care_team,
            assigned,
            appointment,
            proxy,
            tenant_active,
            known_device,
            device_required,
            outside,
            program,
            last_in_role,
            token_maker,
        ];
        Self {
            roles,
            role,
            what: [action as u8, kind as u8, aal as u8, purpose as u8, tenant_kind as u8],
            facts: facts.into_iter().fold(0, |bits, fact| bits << 1 | u32::from(fact)),
        }
    }
}

fn both(one: Option<ResourceId>, other: Option<ResourceId>) -> bool {
    one.is_some() && one == other
}

/// The remembered decisions of one engine; another engine starts anew.
#[derive(Debug, Default)]
pub(crate) struct Memo(RwLock<HashMap<Shape, Decision>>);

impl Memo {
    /// What was decided for this shape, or else what `decide` says now.
    pub(crate) fn get_or(&self, request: &AccessRequest<'_>, decide: impl FnOnce() -> Decision) -> Decision {
        let shape = Shape::of(request);
        // A panic elsewhere cannot leave a half-written decision behind: insertion is one call.
        if let Some(decision) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&shape) {
            return decision.clone();
        }
        let decision = decide();
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < CAPACITY {
            known.insert(shape, decision.clone());
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use carekeep_kernel::{ManualClock, SeededRandom, TenantId, TenantKind, Timestamp};

    use super::*;
    use crate::{
        Aal, Action, Purpose, ResourceKind, Role,
        sample::{Cast, Situation},
    };

    fn situation(cast: &Cast, kind: ResourceKind) -> Situation {
        let mut situation = cast.plain(RoleSet::of(Role::Nurse), Action::Read, kind);
        situation.principal.patient = Some(cast.patient);
        situation
    }

    fn shape(situation: &Situation) -> Shape {
        Shape::of(&situation.request())
    }

    #[test]
    fn whatever_a_policy_can_see_changes_the_shape() {
        let cast = Cast::new();
        let changes: &[fn(&mut Situation)] = &[
            |s| s.principal.roles = RoleSet::of(Role::Clinician),
            |s| s.principal.tenant_kind = TenantKind::Partner,
            |s| s.principal.tenant_kind = TenantKind::Platform,
            |s| s.principal.suspended = true,
            |s| s.principal.patient = None,
            |s| s.principal.patient = Some(Cast::new().row),
            |s| s.action = Action::History,
            |s| s.resource.kind = ResourceKind::Encounter,
            |s| s.resource.tenant = Cast::new().other_tenant,
            |s| s.resource.id = None,
            |s| s.resource.id = Some(Cast::new().row),
            |s| s.resource.patient = None,
            |s| s.resource.patient = Some(Cast::new().row),
            |s| s.resource.relation.care_team = true,
            |s| s.resource.relation.assigned = true,
            |s| s.resource.relation.appointment = true,
            |s| s.resource.relation.proxy = true,
            |s| s.resource.account.role = Some(Role::Billing),
            |s| s.resource.account.outside = true,
            |s| s.resource.account.program = true,
            |s| s.resource.account.last_in_role = true,
            |s| s.resource.account.token_maker = true,
            |s| s.context.aal = Aal::Three,
            |s| s.context.purpose = Purpose::Operations,
            |s| s.context.tenant_active = false,
            |s| s.context.known_device = false,
            |s| s.context.device_required = true,
        ];
        let before = situation(&cast, ResourceKind::Patient);
        let mut seen = vec![shape(&before)];
        for (at, change) in changes.iter().enumerate() {
            let mut after = before.clone();
            change(&mut after);
            assert!(!seen.contains(&shape(&after)), "change {at} makes no difference");
            seen.push(shape(&after));
        }
        let account = situation(&cast, ResourceKind::Account);
        let mut own = account.clone();
        own.resource.id = Some(ResourceId::from_uuid(cast.person.as_uuid()));
        assert_ne!(shape(&account), shape(&own));
    }

    #[test]
    fn other_people_in_the_same_situation_have_the_same_shape() {
        let (clock, random) = (ManualClock::at(Timestamp::from_micros(7)), SeededRandom::new(7));
        let others = Cast {
            tenant: TenantId::generate(&clock, &random),
            other_tenant: TenantId::generate(&clock, &random),
            person: PersonId::generate(&clock, &random),
            patient: ResourceId::generate(&clock, &random),
            row: ResourceId::generate(&clock, &random),
        };
        for &kind in ResourceKind::ALL {
            assert_eq!(shape(&situation(&Cast::new(), kind)), shape(&situation(&others, kind)), "{kind}");
        }
    }

    #[test]
    fn a_policy_that_names_somebody_or_looks_at_the_clock_is_not_generic() {
        let generic = |text: &str| is_generic(&Policy::parse(None, text).unwrap());
        assert!(generic("permit (principal in Role::\"nurse\", action == Action::\"read\", resource);"));
        assert!(!generic("permit (principal == Person::\"a\", action, resource);"));
        assert!(!generic("permit (principal, action, resource in Patient::\"a\");"));
        assert!(!generic(
            "permit (principal, action, resource) when { [Tenant::\"a\"].contains(resource.tenant) };"
        ));
        assert!(!generic("permit (principal, action, resource) when { context.factorAge < 5 };"));
        assert!(!generic("permit (principal, action, resource) when { context[\"factor\\u{41}ge\"] < 5 };"));
        assert!(!generic("permit (principal, action, resource) unless { context has factorAge };"));
    }
}
