//! Random requests in which tenants, people and patients often meet.

use carekeep_kernel::TenantKind;
use carekeep_policy::{
    Aal, AccountFacts, Action, Context, Principal, Purpose, Relation, Resource, ResourceKind, Role, RoleSet,
};
use proptest::{
    bool::weighted,
    prelude::{Just, Strategy, any},
    prop_oneof,
    sample::select,
};

use crate::common::{Ask, person, resource_id, tenant};

fn roles() -> impl Strategy<Value = RoleSet> {
    // These may do so little that they would make most requests ones that are refused.
    const FEW: [Role; 3] = [Role::Provisioner, Role::PlatformOperator, Role::PartnerAdmin];
    let most: Vec<Role> = Role::ALL.iter().copied().filter(|role| !FEW.contains(role)).collect();
    let one = || prop_oneof![24 => select(most.clone()), 1 => select(&FEW[..])].prop_map(RoleSet::of);
    let common: RoleSet = most.iter().copied().collect();
    prop_oneof![
        2 => Just(RoleSet::EMPTY),
        24 => one(),
        12 => (one(), one()).prop_map(|(a, b)| a.union(b)),
        2 => Just(RoleSet::of(Role::ServiceAccount).with(Role::RecordsReader)),
        2 => any::<u32>().prop_map(move |bits| RoleSet::from_bits(bits).intersection(common)),
        1 => any::<u32>().prop_map(RoleSet::from_bits),
    ]
}

fn relation() -> impl Strategy<Value = Relation> {
    let some = || weighted(0.4);
    (some(), some(), some(), some()).prop_map(|(care_team, assigned, appointment, proxy)| Relation {
        care_team,
        assigned,
        appointment,
        proxy,
    })
}

fn principal() -> impl Strategy<Value = Principal> {
    let patient = proptest::option::weighted(0.6, (1_u8..4).prop_map(resource_id));
    let roles = roles().prop_flat_map(|roles| (Just(roles), tenant_kind(roles)));
    (1_u8..3, 1_u8..4, roles, weighted(0.05), patient).prop_map(
        |(t, p, (roles, tenant_kind), suspended, patient)| Principal {
            tenant: tenant(if t == 2 { 2 } else { 1 }),
            tenant_kind,
            person: person(p),
            roles,
            suspended,
            patient,
        },
    )
}

/// Mostly where one of the roles belongs.
fn tenant_kind(roles: RoleSet) -> impl Strategy<Value = TenantKind> {
    let fitting = roles.iter().next().map_or(TenantKind::Clinic, crate::common::home);
    prop_oneof![24 => Just(fitting), 1 => select(&TenantKind::ALL[..])]
}

fn resource(
    tenant_of_principal: carekeep_kernel::TenantId,
    kind: ResourceKind,
) -> impl Strategy<Value = Resource> {
    let id = proptest::option::weighted(
        0.8,
        prop_oneof![
            4 => (1_u8..4).prop_map(resource_id),
            1 => (1_u8..4).prop_map(|n| carekeep_kernel::ResourceId::from_uuid(person(n).as_uuid())),
        ],
    );
    let patient = proptest::option::weighted(0.8, (1_u8..4).prop_map(resource_id));
    (weighted(0.08), id, patient, relation(), account()).prop_map(
        move |(foreign, id, patient, relation, account)| Resource {
            tenant: if foreign { tenant(3) } else { tenant_of_principal },
            kind,
            id,
            patient: patient.filter(|_| kind.is_phi()),
            relation,
            account,
        },
    )
}

fn account() -> impl Strategy<Value = AccountFacts> {
    (
        proptest::option::weighted(0.8, select(Role::ALL)),
        weighted(0.1),
        weighted(0.5),
        weighted(0.2),
        weighted(0.2),
    )
        .prop_map(|(role, outside, program, last_in_role, token_maker)| AccountFacts {
            role,
            outside,
            program,
            last_in_role,
            token_maker,
        })
}

fn context() -> impl Strategy<Value = Context> {
    let aal = prop_oneof![1 => Just(Aal::One), 6 => Just(Aal::Two), 1 => Just(Aal::Three)];
    let age = prop_oneof![3 => Just(60_u32), 1 => Just(299), 1 => Just(300), 1 => any::<u32>()];
    (aal, age, weighted(0.95), any::<bool>(), weighted(0.2)).prop_map(
        |(aal, factor_age_seconds, tenant_active, known_device, device_required)| Context {
            aal,
            factor_age_seconds,
            purpose: Purpose::Treatment,
            tenant_active,
            known_device,
            device_required,
        },
    )
}

/// An action on a kind: mostly one that there is.
fn target() -> impl Strategy<Value = (Action, ResourceKind)> {
    let administration = vec![
        (Action::InvitePerson, ResourceKind::Account),
        (Action::ListPeople, ResourceKind::Account),
        (Action::GrantRole, ResourceKind::Account),
        (Action::ApproveRole, ResourceKind::Account),
        (Action::SuspendPerson, ResourceKind::Account),
        (Action::RemovePerson, ResourceKind::Account),
        (Action::RecoverAccount, ResourceKind::Account),
        (Action::ApproveRecovery, ResourceKind::Account),
        (Action::RecoverPatient, ResourceKind::Patient),
        (Action::InvitePatient, ResourceKind::Patient),
        (Action::AssignCareTeam, ResourceKind::Patient),
        (Action::ReadAudit, ResourceKind::AuditLog),
        (Action::ExportAudit, ResourceKind::AuditLog),
        (Action::ManagePolicy, ResourceKind::PolicySet),
        (Action::ManageTenant, ResourceKind::Tenant),
        (Action::ApproveSettings, ResourceKind::Tenant),
        (Action::Read, ResourceKind::Tenant),
        (Action::ListClinics, ResourceKind::Clinic),
    ];
    let provisioning = vec![
        Action::ProvisionList,
        Action::ProvisionPerson,
        Action::ProvisionSuspend,
        Action::ProvisionRole,
        Action::ProvisionEnd,
    ];
    prop_oneof![
        28 => (select(&Action::ALL[..7]), select(&ResourceKind::ALL[..13])),
        10 => select(administration),
        1 => (select(provisioning), Just(ResourceKind::Account)),
        2 => (select(Action::ALL), select(ResourceKind::ALL)),
    ]
}

/// Mostly the purpose of one of the roles, so that enough is allowed.
fn purpose_of(roles: RoleSet) -> impl Strategy<Value = Purpose> {
    let fitting = roles.iter().next().map_or(Purpose::Treatment, crate::common::purpose);
    prop_oneof![2 => Just(fitting), 1 => select(Purpose::ALL)]
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let parts = (principal(), target()).prop_flat_map(|(principal, (action, kind))| {
        let purpose = purpose_of(principal.roles);
        (Just((principal, action)), resource(principal.tenant, kind), context(), purpose)
    });
    parts.prop_map(|((principal, action), resource, context, purpose)| Ask {
        principal,
        action,
        resource,
        context: Context { purpose, ..context },
    })
}
