//! What the tests of this crate share: people, patients and requests to ask with.

use carekeep_kernel::{PersonId, ResourceId, TenantId, TenantKind};
use carekeep_policy::{
    Aal, AccessRequest, AccountFacts, Action, Context, Decision, Engine, PolicySource, Principal, Purpose,
    Relation, Resource, ResourceKind, Role, RoleSet,
};

/// The shipped policies, compiled.
pub(crate) fn engine() -> Engine {
    Engine::compile(&PolicySource::shipped(), None).unwrap()
}

pub(crate) fn tenant(n: u8) -> TenantId {
    format!("018f3c1e-0000-7000-8000-0000000001{n:02x}").parse().unwrap()
}

pub(crate) fn person(n: u8) -> PersonId {
    format!("018f3c1e-0000-7000-8000-0000000002{n:02x}").parse().unwrap()
}

pub(crate) fn resource_id(n: u8) -> ResourceId {
    format!("018f3c1e-0000-7000-8000-0000000003{n:02x}").parse().unwrap()
}

/// A request that owns its parts; starts as a plain one in tenant 1 with two fresh factors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) principal: Principal,
    pub(crate) action: Action,
    pub(crate) resource: Resource,
    pub(crate) context: Context,
}

impl Ask {
    pub(crate) fn new(role: Role, action: Action, kind: ResourceKind) -> Self {
        let about_patient = kind.is_phi();
        Self {
            principal: Principal {
                tenant: tenant(1),
                tenant_kind: home(role),
                person: person(1),
                roles: RoleSet::of(role),
                suspended: false,
                patient: None,
            },
            action,
            resource: Resource {
                tenant: tenant(1),
                kind,
                id: Some(resource_id(if kind == ResourceKind::Patient { 1 } else { 9 })),
                patient: about_patient.then(|| resource_id(1)),
                relation: Relation::default(),
                account: AccountFacts::default(),
            },
            context: Context {
                aal: Aal::Two,
                factor_age_seconds: 60,
                purpose: purpose(role),
                tenant_active: true,
                known_device: true,
                device_required: false,
            },
        }
    }

    pub(crate) fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            principal: &self.principal,
            action: self.action,
            resource: &self.resource,
            context: &self.context,
        }
    }

    pub(crate) fn decide(&self, engine: &Engine) -> Decision {
        engine.decide(&self.request())
    }

    /// The same, with the person on the patient's care team.
    pub(crate) fn related(mut self) -> Self {
        self.resource.relation.care_team = true;
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Where somebody of this role works.
pub(crate) const fn home(role: Role) -> TenantKind {
    match role {
        Role::PlatformOperator => TenantKind::Platform,
        Role::PartnerAdmin => TenantKind::Partner,
        _ => TenantKind::Clinic,
    }
}

/// The purpose that somebody of this role works for.
pub(crate) const fn purpose(role: Role) -> Purpose {
    match role {
        Role::Patient | Role::Proxy => Purpose::PatientRequest,
        Role::Clinician | Role::Nurse => Purpose::Treatment,
        Role::Billing => Purpose::Payment,
        _ => Purpose::Operations,
    }
}
