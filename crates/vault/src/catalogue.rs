//! The catalogue of actions: each is a type, so that a permit for one cannot be spent on another.
//!
//! The trait is sealed: no other crate can declare an action of its own, and with it a generous one.

use carekeep_policy::{Action, ResourceKind};

mod private {
    pub trait Closed {}
}

/// An action on health data.
pub trait Act: private::Closed + Send + Sync + 'static {
    /// The Cedar action that says whether it may be asked for at all, and its name in the ledger.
    const ACTION: Action;
    /// The Cedar action that decides each row: what a search finds is decided as if it were read by id.
    const ROW_ACTION: Action;
}

/// An action whose permit opens what it was granted for.
pub trait Opens: Act {}

/// An action whose permit lets a change be written.
pub trait Writes: Act {}

/// An action on the tenant itself: its people, its settings, its ledger. Decided and recorded by
/// [`Vault::authorize`](crate::Vault::authorize); opens no health data.
pub trait Administers: Act {
    /// What it is about.
    const KIND: ResourceKind;
}

/// An action on one patient's chart that neither opens it nor writes it. Decided and recorded by
/// [`Vault::authorize_on_chart`](crate::Vault::authorize_on_chart).
pub trait ConcernsChart: Act {}

macro_rules! administers {
    ($($name:ident: $kind:ident,)+) => {$(
        impl Administers for $name {
            const KIND: ResourceKind = ResourceKind::$kind;
        }
    )+};
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $action:ident, rows $row:ident $(, $power:ident)?;)+) => {$(
        $(#[$doc])*
        pub struct $name(());
        impl private::Closed for $name {}
        impl Act for $name {
            const ACTION: Action = Action::$action;
            const ROW_ACTION: Action = Action::$row;
        }
        $(impl $power for $name {})?
    )+};
}

actions! {
    /// Read the present version of one resource.
    Read => Read, rows Read, Opens;
    /// Read an earlier version.
    VersionRead => VersionRead, rows VersionRead, Opens;
    /// Read all versions.
    History => History, rows History, Opens;
    /// Find resources.
    Search => Search, rows Read, Opens;
    /// Find out whether a resource is there already, before writing it: decided as a search, which for a program that may
    /// write and not read shows no more than id and version.
    Match => Search, rows Search, Opens;
    /// Write a new resource.
    Create => Create, rows Create, Writes;
    /// Write a new version of a resource.
    Update => Update, rows Update, Writes;
    /// Mark a resource deleted; its versions stay.
    Delete => Delete, rows Delete, Writes;
    /// See the people of the tenant.
    ListPeople => ListPeople, rows ListPeople;
    /// Invite somebody, with roles.
    InvitePerson => InvitePerson, rows InvitePerson;
    /// Give or take a role.
    GrantRole => GrantRole, rows GrantRole;
    /// Decide on a role that somebody else asked for.
    ApproveRole => ApproveRole, rows ApproveRole;
    /// Suspend a person, or end the suspension.
    SuspendPerson => SuspendPerson, rows SuspendPerson;
    /// Let a person leave for good.
    RemovePerson => RemovePerson, rows RemovePerson;
    /// Begin to let somebody in who lost all factors; another one approves.
    RecoverAccount => RecoverAccount, rows RecoverAccount;
    /// Decide on a recovery that somebody else began.
    ApproveRecovery => ApproveRecovery, rows ApproveRecovery;
    /// Look into the audit ledger.
    ReadAudit => ReadAudit, rows ReadAudit;
    /// Take a copy of the audit ledger away.
    ExportAudit => ExportAudit, rows ExportAudit;
    /// Change the tenant's own policies.
    ManagePolicy => ManagePolicy, rows ManagePolicy;
    /// See the tenant's settings.
    ReadSettings => Read, rows Read;
    /// Change the tenant's settings.
    ManageTenant => ManageTenant, rows ManageTenant;
    /// Agree to what an administrator set.
    ApproveSettings => ApproveSettings, rows ApproveSettings;
    /// See the accounts of staff, as an identity provider.
    ProvisionList => ProvisionList, rows ProvisionList;
    /// Add somebody, or change names, as an identity provider.
    ProvisionPerson => ProvisionPerson, rows ProvisionPerson;
    /// Suspend somebody, or lift that, as an identity provider.
    ProvisionSuspend => ProvisionSuspend, rows ProvisionSuspend;
    /// Give or take a role, as an identity provider.
    ProvisionRole => ProvisionRole, rows ProvisionRole;
    /// Let somebody leave for good, as an identity provider.
    ProvisionEnd => ProvisionEnd, rows ProvisionEnd;
    /// See which clinics the tenant's people look after.
    ListClinics => ListClinics, rows ListClinics;
    /// Give the patient of a chart an account that reads it.
    InvitePatient => InvitePatient, rows InvitePatient, ConcernsChart;
    /// Begin to let the patient of a chart into their account, who lost all factors; another one approves.
    RecoverPatient => RecoverPatient, rows RecoverPatient, ConcernsChart;
    /// Say who cares for a patient.
    AssignCareTeam => AssignCareTeam, rows AssignCareTeam, Writes;
}

administers! {
    ListPeople: Account,
    InvitePerson: Account,
    GrantRole: Account,
    ApproveRole: Account,
    SuspendPerson: Account,
    RemovePerson: Account,
    RecoverAccount: Account,
    ApproveRecovery: Account,
    ReadAudit: AuditLog,
    ExportAudit: AuditLog,
    ManagePolicy: PolicySet,
    ReadSettings: Tenant,
    ManageTenant: Tenant,
    ApproveSettings: Tenant,
    ProvisionList: Account,
    ProvisionPerson: Account,
    ProvisionSuspend: Account,
    ProvisionRole: Account,
    ProvisionEnd: Account,
    ListClinics: Clinic,
}
