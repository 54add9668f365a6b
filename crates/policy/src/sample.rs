//! Made-up people and patients to ask about, for tables of cases and the matrix. Always the same ones.

use carekeep_kernel::{ManualClock, PersonId, ResourceId, SeededRandom, TenantId, TenantKind, Timestamp};

use crate::{
    Aal, AccessRequest, AccountFacts, Action, Context, Principal, Purpose, Relation, Resource, ResourceKind,
    RoleSet,
};

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    pub(crate) principal: Principal,
    pub(crate) action: Action,
    pub(crate) resource: Resource,
    pub(crate) context: Context,
}

impl Situation {
    pub(crate) fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            principal: &self.principal,
            action: self.action,
            resource: &self.resource,
            context: &self.context,
        }
    }
}

/// The people and things of the samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast {
    pub(crate) tenant: TenantId,
    pub(crate) other_tenant: TenantId,
    pub(crate) person: PersonId,
    pub(crate) patient: ResourceId,
    pub(crate) row: ResourceId,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let (clock, random) = (ManualClock::at(Timestamp::from_micros(0)), SeededRandom::new(1));
        Self {
            tenant: TenantId::generate(&clock, &random),
            other_tenant: TenantId::generate(&clock, &random),
            person: PersonId::generate(&clock, &random),
            patient: ResourceId::generate(&clock, &random),
            row: ResourceId::generate(&clock, &random),
        }
    }

    /// Somebody with `roles` and two fresh factors does `action` to a thing of `kind` in their own tenant, a clinic; about a
    /// patient to whom they have no relation.
    pub(crate) fn plain(&self, roles: RoleSet, action: Action, kind: ResourceKind) -> Situation {
        Situation {
            principal: Principal {
                tenant: self.tenant,
                tenant_kind: TenantKind::Clinic,
                person: self.person,
                roles,
                suspended: false,
                patient: None,
            },
            action,
            resource: Resource {
                tenant: self.tenant,
                kind,
                id: Some(if kind == ResourceKind::Patient { self.patient } else { self.row }),
                patient: kind.is_phi().then_some(self.patient),
                relation: Relation::default(),
                account: AccountFacts::default(),
            },
            context: Context {
                aal: Aal::Two,
                factor_age_seconds: 60,
                purpose: Purpose::Treatment,
                tenant_active: true,
                known_device: true,
                device_required: false,
            },
        }
    }
}
