//! Who is asking. Everything in a [`Caller`] was read from the session and person rows or measured at the edge; nothing
//! is taken from the request's own claims (blueprint, invariant 3).

use std::{net::IpAddr, sync::Arc};

use carekeep_kernel::{DeviceId, PersonId, ResourceId, SessionId, TenantId, TenantKind, Timestamp};
use carekeep_policy::{Aal, Context, Principal, Purpose, Role, RoleSet};

use crate::app::App;

/// Whether a request is somebody using the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A person did something: the idle time starts anew.
    Use,
    /// A page polled or kept a connection: the idle time runs on.
    Background,
}

/// Where a request came from, as the edge measured it.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The peer's address.
    pub address: IpAddr,
    /// The request id that the edge gave, 16 bytes of a UUIDv7.
    pub request: [u8; 16],
    /// What it says of itself; it can only make its session end sooner.
    pub activity: Activity,
}

/// A signed-in person, for the length of one request. Made only by
/// [`Vault::authenticate`](crate::Vault::authenticate).
pub struct Caller {
    pub(crate) principal: Principal,
    pub(crate) session: SessionId,
    pub(crate) aal: Aal,
    pub(crate) factor_at: Timestamp,
    pub(crate) device: Option<DeviceId>,
    /// The person has confirmed the device.
    pub(crate) device_confirmed: bool,
    /// The tenant asks for that where health data is concerned.
    pub(crate) device_required: bool,
    pub(crate) tenant_active: bool,
    pub(crate) origin: Origin,
    pub(crate) now: Timestamp,
    pub(crate) signed_out_at: Timestamp,
    /// The app that asks in the person's name.
    pub(crate) app: Option<Arc<App>>,
    /// It is the tenant's identity provider.
    pub(crate) provisioner: bool,
}

impl Caller {
    /// The tenant that the person belongs to.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.principal.tenant
    }

    /// What that tenant is for.
    #[must_use]
    pub const fn tenant_kind(&self) -> TenantKind {
        self.principal.tenant_kind
    }

    /// The person.
    #[must_use]
    pub const fn person(&self) -> PersonId {
        self.principal.person
    }

    /// Whether an app asks, by a token that was given to it, and not the person by a session: then there is nothing but FHIR.
    #[must_use]
    pub const fn is_app(&self) -> bool {
        self.app.is_some()
    }

    /// Whether it is the tenant's identity provider, by its token: then there is nothing but SCIM.
    #[must_use]
    pub const fn is_provisioner(&self) -> bool {
        self.provisioner
    }

    /// The session; of an app, the id of what the person allowed it; of an identity provider, that of its token.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// The person's roles.
    #[must_use]
    pub const fn roles(&self) -> RoleSet {
        self.principal.roles
    }

    /// The person's own Patient resource, if the person is a patient.
    #[must_use]
    pub const fn patient(&self) -> Option<ResourceId> {
        self.principal.patient
    }

    /// The assurance level of the session (NIST SP 800-63B-4).
    #[must_use]
    pub const fn aal(&self) -> Aal {
        self.aal
    }

    /// When the person last presented a factor that is worth something on its own.
    #[must_use]
    pub const fn factor_at(&self) -> Timestamp {
        self.factor_at
    }

    /// When the session ends if nothing more is done in it; of a token, when the token does.
    #[must_use]
    pub const fn signed_out_at(&self) -> Timestamp {
        self.signed_out_at
    }

    /// When this request was authenticated.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The edge's id of this request.
    #[must_use]
    pub const fn request(&self) -> [u8; 16] {
        self.origin.request
    }

    /// The same, for whoever decides in the caller's place. Not [`Clone`]: nobody outside keeps a caller beyond its request.
    pub(crate) fn copy(&self) -> Self {
        Self { app: self.app.clone(), ..*self }
    }

    /// For what the person may ask, in the order in which it is tried.
    pub(crate) fn purposes(&self) -> impl Iterator<Item = Purpose> {
        purposes_of(self.principal.roles)
    }

    /// Whether a device is missing for whatever health data is asked for: nobody need look at a row, and a search need not
    /// find nothing. Policy says the same row by row.
    pub(crate) fn lacks_device(&self) -> bool {
        let needs = self.device_required && !self.device_confirmed;
        needs && self.purposes().all(|purpose| purpose != Purpose::PatientRequest)
    }

    /// What stands in the ledger where no decision was made for a purpose.
    pub(crate) fn purpose(&self) -> Purpose {
        self.purposes().next().unwrap_or(Purpose::Operations)
    }

    pub(crate) fn context(&self, purpose: Purpose) -> Context {
        let age = self.now.since(self.factor_at).as_secs();
        Context {
            aal: self.aal,
            factor_age_seconds: u32::try_from(age).unwrap_or(u32::MAX),
            purpose,
            tenant_active: self.tenant_active,
            known_device: self.device_confirmed,
            device_required: self.device_required,
        }
    }
}

/// The purposes of use that follow from a person's roles (HL7 v3 PurposeOfUse), in the order in which they are tried: care
/// comes first, so that a clinician who also manages the clinic reads charts to treat.
fn purposes_of(roles: RoleSet) -> impl Iterator<Item = Purpose> {
    const CARE: RoleSet = RoleSet::EMPTY.with(Role::Clinician).with(Role::Nurse);
    const OWN: RoleSet = RoleSet::EMPTY.with(Role::Patient).with(Role::Proxy);
    const PAYMENT: RoleSet = RoleSet::EMPTY.with(Role::Billing);
    let some = move |among: RoleSet| !roles.intersection(among).is_empty();
    let others = roles.iter().any(|role| !CARE.union(OWN).union(PAYMENT).contains(role));
    [
        (Purpose::Treatment, some(CARE)),
        (Purpose::PatientRequest, some(OWN)),
        (Purpose::Payment, some(PAYMENT)),
        // Somebody without a role may look into the directory.
        (Purpose::Operations, others || roles.is_empty()),
    ]
    .into_iter()
    .filter_map(|(purpose, applies)| applies.then_some(purpose))
}
