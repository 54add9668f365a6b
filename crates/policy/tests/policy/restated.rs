//! The base policies once more, in plain Rust, written from what they are meant to say. Does not call the engine.

use carekeep_kernel::TenantKind;
use carekeep_policy::{
    Aal, AccountFacts, Action, Class, Context, DenyReason, Projection, Purpose, ResourceKind, Role,
};

use crate::common::Ask;

/// What the engine should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Allow(Projection),
    Deny(DenyReason),
}

pub(crate) fn decide(ask: &Ask) -> Expected {
    if !exists(ask.action, ask.resource.kind.class()) {
        return Expected::Deny(DenyReason::NoPermit);
    }
    if ask.principal.suspended {
        return Expected::Deny(DenyReason::Suspended);
    }
    if forbidden(ask) {
        return Expected::Deny(DenyReason::Forbidden);
    }
    let granted = Role::ALL.iter().filter(|role| ask.principal.roles.contains(**role));
    let granted = granted.filter_map(|role| grant(*role, ask)).chain(directory(ask)).max();
    match granted {
        None => Expected::Deny(DenyReason::NoPermit),
        Some(_) if ask.context.aal == Aal::One && directory(ask).is_none() => {
            Expected::Deny(DenyReason::NeedsSecondFactor)
        }
        Some(_) if is_sensitive(ask.action) && ask.context.factor_age_seconds >= 5 * 60 => {
            Expected::Deny(DenyReason::NeedsFreshFactor)
        }
        Some(_) if lacks_device(ask) => Expected::Deny(DenyReason::NeedsKnownDevice),
        Some(projection) => Expected::Allow(projection),
    }
}

/// Where the tenant asks for confirmed devices, charts are read from those, one's own excepted.
fn lacks_device(ask: &Ask) -> bool {
    let Context { device_required, known_device, purpose, .. } = ask.context;
    device_required
        && !known_device
        && purpose != Purpose::PatientRequest
        && is_chart(ask.resource.kind.class())
}

/// Which actions there are on which class of data.
fn exists(action: Action, class: Class) -> bool {
    match action {
        Action::Read => is_chart(class) || matches!(class, Class::DirectoryEntry | Class::Tenant),
        Action::VersionRead
        | Action::History
        | Action::Search
        | Action::Create
        | Action::Update
        | Action::Delete => is_chart(class) || class == Class::DirectoryEntry,
        Action::InvitePerson
        | Action::ListPeople
        | Action::GrantRole
        | Action::ApproveRole
        | Action::SuspendPerson
        | Action::RemovePerson
        | Action::RecoverAccount
        | Action::ApproveRecovery
        | Action::ProvisionList
        | Action::ProvisionPerson
        | Action::ProvisionSuspend
        | Action::ProvisionRole
        | Action::ProvisionEnd => class == Class::Account,
        Action::InvitePatient | Action::RecoverPatient | Action::AssignCareTeam => class == Class::Patient,
        Action::ReadAudit | Action::ExportAudit => class == Class::AuditLog,
        Action::ManagePolicy => class == Class::PolicySet,
        Action::ManageTenant | Action::ApproveSettings => class == Class::Tenant,
        Action::ListClinics => class == Class::Clinic,
    }
}

fn is_chart(class: Class) -> bool {
    matches!(class, Class::Patient | Class::Encounter | Class::ClinicalRecord | Class::Appointment)
}

fn is_sensitive(action: Action) -> bool {
    matches!(
        action,
        Action::InvitePerson
            | Action::InvitePatient
            | Action::GrantRole
            | Action::ApproveRole
            | Action::SuspendPerson
            | Action::RemovePerson
            | Action::RecoverAccount
            | Action::RecoverPatient
            | Action::ApproveRecovery
            | Action::ExportAudit
            | Action::ManagePolicy
            | Action::ManageTenant
            | Action::ApproveSettings
    )
}

fn provisions(action: Action) -> bool {
    matches!(
        action,
        Action::ProvisionList
            | Action::ProvisionPerson
            | Action::ProvisionSuspend
            | Action::ProvisionRole
            | Action::ProvisionEnd
    )
}

/// What an identity provider may not do, and what nobody else may do in its place.
fn out_of_reach(ask: &Ask) -> bool {
    let AccountFacts { role, outside, last_in_role, token_maker, .. } = ask.resource.account;
    let ends = matches!(ask.action, Action::ProvisionSuspend | Action::ProvisionEnd);
    (ask.principal.roles.contains(Role::Provisioner) && !provisions(ask.action))
        || (ask.action == Action::ProvisionRole && (token_maker || !role.is_some_and(Role::is_provisionable)))
        || (provisions(ask.action) && outside)
        || (ends && last_in_role)
}

/// Who does not become a records reader: nobody but a program, and that not without a privacy officer.
fn no_reader(ask: &Ask) -> bool {
    let AccountFacts { role, program, .. } = ask.resource.account;
    let decides = ask.action == Action::ApproveRole;
    (decides || ask.action == Action::GrantRole)
        && role == Some(Role::RecordsReader)
        && (!program || (decides && !ask.principal.roles.contains(Role::PrivacyOfficer)))
}

/// The people of the platform and of partners deal with themselves and with the list of clinics; a role counts where it belongs,
/// and elsewhere spoils everything.
fn out_of_place(ask: &Ask) -> bool {
    let kind = ask.principal.tenant_kind;
    let theirs =
        matches!(ask.resource.kind.class(), Class::Account | Class::AuditLog | Class::Tenant | Class::Clinic);
    let home = |role: Role| match role {
        Role::PlatformOperator => kind == TenantKind::Platform,
        Role::PartnerAdmin => kind == TenantKind::Partner,
        Role::TenantAdmin | Role::PrivacyOfficer | Role::Auditor => true,
        _ => kind == TenantKind::Clinic,
    };
    (kind != TenantKind::Clinic && !theirs) || !ask.principal.roles.iter().all(home)
}

fn forbidden(ask: &Ask) -> bool {
    let own_account = ask.resource.kind == ResourceKind::Account
        && ask.resource.id.is_some_and(|id| id.as_uuid() == ask.principal.person.as_uuid());
    ask.principal.tenant != ask.resource.tenant
        || !ask.context.tenant_active
        || out_of_reach(ask)
        || no_reader(ask)
        || out_of_place(ask)
        || (own_account
            && matches!(
                ask.action,
                Action::GrantRole
                    | Action::ApproveRole
                    | Action::SuspendPerson
                    | Action::RemovePerson
                    | Action::RecoverAccount
                    | Action::ApproveRecovery
            ))
}

fn directory(ask: &Ask) -> Option<Projection> {
    let reads = matches!(ask.action, Action::Read | Action::VersionRead | Action::History | Action::Search);
    (reads && ask.resource.kind.class() == Class::DirectoryEntry).then_some(Projection::Full)
}

fn own(ask: &Ask) -> bool {
    ask.resource.patient.is_some() && ask.principal.patient == ask.resource.patient
}

/// What `role` alone would get, before the platform's forbids.
fn grant(role: Role, ask: &Ask) -> Option<Projection> {
    let (action, kind) = (ask.action, ask.resource.kind);
    let class = kind.class();
    let full = |yes: bool| yes.then_some(Projection::Full);
    let looks = matches!(action, Action::Read | Action::VersionRead | Action::History | Action::Search);
    let finds = matches!(action, Action::Read | Action::Search);
    let writes = matches!(action, Action::Create | Action::Update);
    let operations = ask.context.purpose == Purpose::Operations;
    let relation = ask.resource.relation;
    // A search that names no patient is permission to ask; whoever treats or is treated may.
    let open_search = action == Action::Search && ask.resource.patient.is_none();
    match role {
        Role::Patient => full(
            is_chart(class)
                && ask.context.purpose == Purpose::PatientRequest
                && ((looks && own(ask)) || open_search),
        ),
        Role::Proxy => full(
            is_chart(class)
                && ask.context.purpose == Purpose::PatientRequest
                && ((looks && relation.proxy && ask.resource.patient.is_some()) || open_search),
        ),
        Role::Clinician => {
            let in_care = ask.resource.patient.is_some()
                && (relation.care_team || relation.assigned || relation.appointment);
            let may = (looks || writes || (action == Action::Delete && class != Class::Patient)) && in_care;
            let registers = action == Action::Create && class == Class::Patient;
            if ask.context.purpose != Purpose::Treatment {
                None
            } else if matches!(action, Action::InvitePatient | Action::RecoverPatient) {
                in_care.then_some(Projection::Metadata)
            } else {
                full(is_chart(class) && (may || registers || open_search))
            }
        }
        Role::Nurse => {
            let in_care = ask.resource.patient.is_some() && relation.care_team;
            let records =
                writes && matches!(kind, ResourceKind::Observation | ResourceKind::Immunization) && in_care;
            if ask.context.purpose != Purpose::Treatment {
                None
            } else if matches!(action, Action::InvitePatient | Action::RecoverPatient) {
                in_care.then_some(Projection::Metadata)
            } else {
                full(is_chart(class) && ((looks && in_care) || records || open_search))
            }
        }
        Role::Reception => match class {
            Class::Patient => (operations && (finds || writes)).then_some(Projection::Contact),
            Class::Appointment => {
                (operations && (finds || writes || action == Action::Delete)).then_some(Projection::Schedule)
            }
            _ => None,
        },
        Role::Billing => {
            let may = finds && ask.context.purpose == Purpose::Payment;
            match class {
                Class::Patient => may.then_some(Projection::Contact),
                Class::Encounter | Class::Appointment => may.then_some(Projection::Schedule),
                _ => None,
            }
        }
        Role::ClinicManager => match class {
            Class::Patient => {
                (operations && (finds || action == Action::AssignCareTeam)).then_some(Projection::Contact)
            }
            Class::Encounter | Class::Appointment => (operations && finds).then_some(Projection::Schedule),
            Class::DirectoryEntry => full(operations && (writes || action == Action::Delete)),
            _ => None,
        },
        Role::TenantAdmin => match class {
            // Everything there is to do with accounts, settings and policies.
            Class::Account => full(operations && !provisions(action)),
            Class::PolicySet | Class::Tenant => full(operations),
            Class::DirectoryEntry => full(operations && (writes || action == Action::Delete)),
            _ => None,
        },
        Role::PrivacyOfficer => match class {
            Class::AuditLog => full(operations),
            Class::Account => {
                // Recoveries of whoever is looked after here, and which there are.
                let AccountFacts { outside, program, .. } = ask.resource.account;
                let theirs = ask.resource.id.is_none() || (outside && !program);
                let recovers = action == Action::ApproveRecovery && theirs;
                full(operations && (recovers || matches!(action, Action::ListPeople | Action::ApproveRole)))
            }
            Class::Tenant => full(operations && action != Action::ManageTenant),
            Class::Patient => (operations && action == Action::Delete).then_some(Projection::Metadata),
            _ => None,
        },
        Role::Auditor => full(operations && action == Action::ReadAudit),
        Role::Support => {
            let sees = action == Action::ListPeople || (action == Action::Read && class == Class::Tenant);
            (operations && sees).then_some(Projection::Metadata)
        }
        Role::ServiceAccount => {
            let stores = writes || action == Action::Search;
            (operations && stores && (is_chart(class) || class == Class::DirectoryEntry))
                .then_some(Projection::Metadata)
        }
        // Nothing by itself: it adds to a program.
        Role::RecordsReader => full(
            operations
                && ask.principal.roles.contains(Role::ServiceAccount)
                && is_chart(class)
                && ((looks && ask.resource.patient.is_some()) || open_search),
        ),
        Role::Provisioner => full(operations && provisions(action)),
        Role::PlatformOperator | Role::PartnerAdmin => {
            (operations && action == Action::ListClinics).then_some(Projection::Metadata)
        }
    }
}
