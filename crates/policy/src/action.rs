//! What can be done, and to which kinds of thing.
//!
//! Invariant: an [`Action`]'s name is the id of the Cedar action; a [`Class`]'s name is the Cedar entity type.

use crate::role::named;

/// What a person asks to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Action {
    /// Read the present version of one thing.
    Read,
    /// Read one earlier version (FHIR `vread`).
    VersionRead,
    /// List the versions of one thing.
    History,
    /// Ask which things match. Permission to ask only: every hit is then decided as a [`Action::Read`].
    Search,
    /// Make a new one.
    Create,
    /// Change one.
    Update,
    /// Remove one from use; its versions stay.
    Delete,
    /// Invite somebody to the tenant.
    InvitePerson,
    /// List the people of the tenant and their roles.
    ListPeople,
    /// Give or take a role.
    GrantRole,
    /// Decide on a role that somebody else asked for.
    ApproveRole,
    /// Suspend somebody, or lift that.
    SuspendPerson,
    /// Let somebody leave for good.
    RemovePerson,
    /// Begin to let somebody in who lost all factors; somebody else decides.
    RecoverAccount,
    /// Decide on a recovery that somebody else began.
    ApproveRecovery,
    /// Give the patient of a chart an account that reads it.
    InvitePatient,
    /// Begin to let the patient of a chart into their account, who lost all factors; somebody else decides.
    RecoverPatient,
    /// Say who cares for a patient.
    AssignCareTeam,
    /// Read the audit ledger.
    ReadAudit,
    /// Take a copy of the audit ledger away.
    ExportAudit,
    /// Change the tenant's own policies.
    ManagePolicy,
    /// Change the tenant's settings.
    ManageTenant,
    /// Agree to what an administrator set, where one alone does not decide.
    ApproveSettings,
    /// See the accounts of staff, as an identity provider.
    ProvisionList,
    /// Add somebody, or change names, as an identity provider.
    ProvisionPerson,
    /// Suspend somebody, or lift a suspension of its own, as an identity provider.
    ProvisionSuspend,
    /// Give or take a role, as an identity provider.
    ProvisionRole,
    /// Let somebody leave for good, as an identity provider.
    ProvisionEnd,
    /// List the clinics that the platform or a partner looks after.
    ListClinics,
}

named!("action", Action {
    Read = "read",
    VersionRead = "version_read",
    History = "history",
    Search = "search",
    Create = "create",
    Update = "update",
    Delete = "delete",
    InvitePerson = "invite_person",
    ListPeople = "list_people",
    GrantRole = "grant_role",
    ApproveRole = "approve_role",
    SuspendPerson = "suspend_person",
    RemovePerson = "remove_person",
    RecoverAccount = "recover_account",
    ApproveRecovery = "approve_recovery",
    InvitePatient = "invite_patient",
    RecoverPatient = "recover_patient",
    AssignCareTeam = "assign_care_team",
    ReadAudit = "read_audit",
    ExportAudit = "export_audit",
    ManagePolicy = "manage_policy",
    ManageTenant = "manage_tenant",
    ApproveSettings = "approve_settings",
    ProvisionList = "provision_list",
    ProvisionPerson = "provision_person",
    ProvisionSuspend = "provision_suspend",
    ProvisionRole = "provision_role",
    ProvisionEnd = "provision_end",
    ListClinics = "list_clinics",
});

/// The kind of thing that is acted on. Clinical and directory kinds bear their FHIR R4 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ResourceKind {
    /// A patient's demographics.
    Patient,
    /// A health professional.
    Practitioner,
    /// A clinic, ward or company.
    Organization,
    /// A visit.
    Encounter,
    /// A diagnosis or problem.
    Condition,
    /// An allergy or intolerance.
    AllergyIntolerance,
    /// A prescription.
    MedicationRequest,
    /// A measurement or finding.
    Observation,
    /// A report of findings.
    DiagnosticReport,
    /// A vaccination.
    Immunization,
    /// A procedure done.
    Procedure,
    /// A document about a patient.
    DocumentReference,
    /// A booked slot.
    Appointment,
    /// A person of the tenant, as an account.
    Account,
    /// The tenant's audit ledger.
    AuditLog,
    /// The tenant's policies.
    PolicySet,
    /// The tenant and its settings.
    Tenant,
    /// A clinic as the directory has it, for whoever looks after it: name, host, region, state. Nothing that is inside.
    Clinic,
}

named!("kind", ResourceKind {
    Patient = "Patient",
    Practitioner = "Practitioner",
    Organization = "Organization",
    Encounter = "Encounter",
    Condition = "Condition",
    AllergyIntolerance = "AllergyIntolerance",
    MedicationRequest = "MedicationRequest",
    Observation = "Observation",
    DiagnosticReport = "DiagnosticReport",
    Immunization = "Immunization",
    Procedure = "Procedure",
    DocumentReference = "DocumentReference",
    Appointment = "Appointment",
    Account = "Account",
    AuditLog = "AuditLog",
    PolicySet = "PolicySet",
    Tenant = "Tenant",
    Clinic = "Clinic",
});

impl ResourceKind {
    /// The class of data, on which policies are scoped.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Patient => Class::Patient,
            Self::Practitioner | Self::Organization => Class::DirectoryEntry,
            Self::Encounter => Class::Encounter,
            Self::Condition
            | Self::AllergyIntolerance
            | Self::MedicationRequest
            | Self::Observation
            | Self::DiagnosticReport
            | Self::Immunization
            | Self::Procedure
            | Self::DocumentReference => Class::ClinicalRecord,
            Self::Appointment => Class::Appointment,
            Self::Account => Class::Account,
            Self::AuditLog => Class::AuditLog,
            Self::PolicySet => Class::PolicySet,
            Self::Tenant => Class::Tenant,
            Self::Clinic => Class::Clinic,
        }
    }

    /// Whether it tells something about a patient, so that seeing it needs two factors and leaves an audit entry.
    #[must_use]
    pub const fn is_phi(self) -> bool {
        matches!(self.class(), Class::Patient | Class::Encounter | Class::ClinicalRecord | Class::Appointment)
    }
}

/// A class of data: the Cedar entity type. Kinds of one class differ by their `kind` attribute only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Demographics.
    Patient,
    /// A visit; its reason is clinical.
    Encounter,
    /// Everything clinical.
    ClinicalRecord,
    /// A booked slot.
    Appointment,
    /// Professionals and organisations: no PHI.
    DirectoryEntry,
    /// People of the tenant.
    Account,
    /// The audit ledger.
    AuditLog,
    /// The policies.
    PolicySet,
    /// The tenant.
    Tenant,
    /// A clinic as the directory has it.
    Clinic,
}

named!("class", Class {
    Patient = "Patient",
    Encounter = "Encounter",
    ClinicalRecord = "ClinicalRecord",
    Appointment = "Appointment",
    DirectoryEntry = "DirectoryEntry",
    Account = "Account",
    AuditLog = "AuditLog",
    PolicySet = "PolicySet",
    Tenant = "Tenant",
    Clinic = "Clinic",
});
