//! What a decision is made on.
//!
//! Invariant: everything here was *loaded* (from the row, the session, the directory), nothing was asserted by the
//! caller. This crate cannot check that; the vault, which builds these, must.

use carekeep_kernel::{PersonId, ResourceId, TenantId, TenantKind};

use crate::{Action, ResourceKind, Role, RoleSet, role::named};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    /// The tenant that the person belongs to.
    pub tenant: TenantId,
    /// What that tenant is for.
    pub tenant_kind: TenantKind,
    /// The person.
    pub person: PersonId,
    /// The roles that the person holds now.
    pub roles: RoleSet,
    /// Whether the person is suspended: then nothing is allowed.
    pub suspended: bool,
    /// The person's own chart, if they are a patient.
    pub patient: Option<ResourceId>,
}

/// How the principal stands to the patient of the resource, loaded by SQL at the moment of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Relation {
    /// On the patient's care team.
    pub care_team: bool,
    /// The patient is assigned to them.
    pub assigned: bool,
    /// Has an appointment with the patient now or close to now.
    pub appointment: bool,
    /// Acts for the patient by a registered, unexpired proxy.
    pub proxy: bool,
}

/// What is known about an account that is acted on; nothing of this for any other kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AccountFacts {
    /// The role that is to be given or decided on, or that an identity provider asks to take.
    pub role: Option<Role>,
    /// A patient's or proxy's account, or a program's: not that of somebody who works here.
    pub outside: bool,
    /// The account of an app that acts for itself.
    pub program: bool,
    /// Nobody else could run the tenant, or watch over that.
    pub last_in_role: bool,
    /// The person made the provisioning token with which it is asked.
    pub token_maker: bool,
}

/// What is acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// The tenant whose row it is; of a clinic in the list of those who look after it, the tenant whose list that is.
    pub tenant: TenantId,
    /// Its kind.
    pub kind: ResourceKind,
    /// Its id; absent when the action is on the kind: a search, a create. For an account, the id of the person.
    pub id: Option<ResourceId>,
    /// The patient that it is about; for a patient, itself. Absent when it is about none, or about many (a search
    /// over patients).
    pub patient: Option<ResourceId>,
    /// How the principal stands to [`Resource::patient`].
    pub relation: Relation,
    /// What is known about an account.
    pub account: AccountFacts,
}

/// Authenticator assurance level (NIST SP 800-63B): how sure we are that the principal is at the keyboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Aal {
    /// One factor.
    One = 1,
    /// Two factors.
    Two = 2,
    /// Two factors, one of them a hardware authenticator that resists phishing.
    Three = 3,
}

named!("assurance level", Aal { One = "aal1", Two = "aal2", Three = "aal3" });

/// Why (HL7 v3 PurposeOfUse).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Purpose {
    /// Treatment.
    Treatment,
    /// Payment.
    Payment,
    /// Running the clinic.
    Operations,
    /// The patient asks for their own data.
    PatientRequest,
    /// An emergency. No policy permits it yet: it is refused like every purpose that a policy does not name.
    BreakTheGlass,
}

named!("purpose", Purpose {
    Treatment = "TREAT",
    Payment = "HPAYMT",
    Operations = "HOPERAT",
    PatientRequest = "PATRQT",
    BreakTheGlass = "BTG",
});

/// The circumstances of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The assurance level of the session.
    pub aal: Aal,
    /// Seconds since a factor was last presented in this session.
    pub factor_age_seconds: u32,
    /// The purpose of use.
    pub purpose: Purpose,
    /// Whether the tenant is active (not suspended, not being closed).
    pub tenant_active: bool,
    /// Whether the person has confirmed the device of the session.
    pub known_device: bool,
    /// Whether the tenant asks for that where health data is concerned.
    pub device_required: bool,
}

/// One question to the policy engine.
#[derive(Debug, Clone, Copy)]
pub struct AccessRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// To do what.
    pub action: Action,
    /// To what.
    pub resource: &'a Resource,
    /// Under which circumstances.
    pub context: &'a Context,
}
