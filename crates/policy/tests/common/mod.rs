//! What the tests of this crate share: people, patients and requests to ask with.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unreachable_pub, reason = "a shared module of test binaries")]

use carekeep_kernel::{PersonId, ResourceId, TenantId};
use carekeep_policy::{
    Aal, AccessRequest, Action, Context, Decision, Engine, PolicySource, Principal, Purpose, Relation,
    Resource, ResourceKind, Role, RoleSet,
};

/// The shipped policies, compiled.
pub fn engine() -> Engine {
    Engine::compile(&PolicySource::shipped(), None).unwrap()
}

pub fn tenant(n: u8) -> TenantId {
    format!("018f3c1e-0000-7000-8000-0000000001{n:02x}").parse().unwrap()
}

pub fn person(n: u8) -> PersonId {
    format!("018f3c1e-0000-7000-8000-0000000002{n:02x}").parse().unwrap()
}

pub fn resource_id(n: u8) -> ResourceId {
    format!("018f3c1e-0000-7000-8000-0000000003{n:02x}").parse().unwrap()
}

/// A request that owns its parts; starts as a plain one in tenant 1 with two fresh factors.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub principal: Principal,
    pub action: Action,
    pub resource: Resource,
    pub context: Context,
}

impl Ask {
    pub fn new(role: Role, action: Action, kind: ResourceKind) -> Self {
        let about_patient = kind.is_phi();
        Self {
            principal: Principal {
                tenant: tenant(1),
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
            },
            context: Context {
                aal: Aal::Two,
                factor_age_seconds: 60,
                purpose: purpose(role),
                tenant_active: true,
                known_device: true,
            },
        }
    }

    pub fn request(&self) -> AccessRequest<'_> {
        AccessRequest {
            principal: &self.principal,
            action: self.action,
            resource: &self.resource,
            context: &self.context,
        }
    }

    pub fn decide(&self, engine: &Engine) -> Decision {
        engine.decide(&self.request())
    }

    /// The same, with the person on the patient's care team.
    pub fn related(mut self) -> Self {
        self.resource.relation.care_team = true;
        self
    }

    pub fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The purpose that somebody of this role works for.
pub const fn purpose(role: Role) -> Purpose {
    match role {
        Role::Patient | Role::Proxy => Purpose::PatientRequest,
        Role::Clinician | Role::Nurse => Purpose::Treatment,
        Role::Billing => Purpose::Payment,
        _ => Purpose::Operations,
    }
}
