//! The roles that administrators give, in words. What a role may do is the policy's business.

use carekeep_kernel::TenantKind;

/// A role, for people.
#[derive(Debug)]
pub struct RoleWords {
    /// Its name in the policy vocabulary.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What whoever has it does.
    pub does: &'static str,
    /// Whether somebody else has to agree before it is given.
    pub two: bool,
    /// At which tenants it is given.
    pub kinds: &'static [TenantKind],
}

const fn role(name: &'static str, title: &'static str, does: &'static str) -> RoleWords {
    RoleWords { name, title, does, two: false, kinds: &[TenantKind::Clinic] }
}

const EVERYWHERE: &[TenantKind] = &TenantKind::ALL;

/// Every role that is given on the page for people; a patient's comes with the account that is made from the chart.
pub const ROLES: &[RoleWords] = &[
    role("clinician", "Clinician", "treats patients"),
    role("nurse", "Nurse", "nurses the patients of their care teams"),
    role("reception", "Reception", "contacts and appointments, nothing clinical"),
    role("billing", "Billing", "contacts and claims, nothing clinical"),
    role("clinic_manager", "Clinic manager", "runs a clinic, nothing clinical"),
    RoleWords { kinds: EVERYWHERE, ..role("auditor", "Auditor", "reads the audit record") },
    role("support", "Support", "helps users, sees neither names nor charts"),
    role("proxy", "Proxy", "acts for a patient: parent, guardian, carer"),
    role("service_account", "Service account", "a program, such as the importer"),
    RoleWords {
        two: true,
        kinds: &[TenantKind::Platform],
        ..role("platform_operator", "Platform operator", "looks after all clinics, sees nothing inside")
    },
    RoleWords {
        two: true,
        kinds: &[TenantKind::Partner],
        ..role(
            "partner_admin",
            "Partner administrator",
            "looks after the partner's clinics, sees nothing inside",
        )
    },
    RoleWords {
        two: true,
        kinds: EVERYWHERE,
        ..role("tenant_admin", "Administrator", "people, roles, settings; nothing clinical")
    },
    RoleWords {
        two: true,
        kinds: EVERYWHERE,
        ..role("privacy_officer", "Privacy officer", "watches over who reads what")
    },
];

/// The roles that are given at tenants of a kind.
pub(crate) fn roles_at(kind: TenantKind) -> Vec<&'static RoleWords> {
    ROLES.iter().filter(|role| role.kinds.contains(&kind)).collect()
}
