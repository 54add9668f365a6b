//! The roles that a person of a tenant may hold.
//!
//! Invariant: a role's name here, in `schema.cedarschema` and in the database is the same text; names never change,
//! because they are stored.

use std::{fmt, str::FromStr};

use carekeep_kernel::TenantKind;

/// A name that is not one of ours. The message lists what is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} {name:?}: use one of {known}")]
pub struct UnknownName {
    /// What was looked for, for example `role`.
    pub kind: &'static str,
    /// What was given.
    pub name: String,
    /// What would have been accepted, separated by commas.
    pub known: String,
}

/// Gives an enum its names: `ALL`, `as_str`, `FromStr`, `Display`.
macro_rules! named {
    ($what:literal, $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name, as stored and as used in policies.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $type {
            type Err = $crate::UnknownName;

            fn from_str(name: &str) -> Result<Self, $crate::UnknownName> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownName {
                        kind: $what,
                        name: name.to_owned(),
                        known: [$($name),+].join(", "),
                    }),
                }
            }
        }
    };
}
pub(crate) use named;

/// What a person does in the clinic group. Policies grant to roles, and then only to people who stand in a
/// relation to the patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Role {
    /// Reads their own chart.
    Patient,
    /// Acts for a patient: parent, guardian, carer.
    Proxy,
    /// Treats patients: physician, psychologist, dentist.
    Clinician,
    /// Nurses patients of their care team.
    Nurse,
    /// Front desk: contact and schedule, never clinical.
    Reception,
    /// Claims: contact and the fact of an encounter, never clinical.
    Billing,
    /// Runs a clinic: schedules, directory, care teams; never clinical.
    ClinicManager,
    /// Runs the tenant: people, roles, settings; never clinical.
    TenantAdmin,
    /// Watches over privacy: audit, deletion of a Patient; never clinical.
    PrivacyOfficer,
    /// Reads the audit ledger, nothing else.
    Auditor,
    /// Helps users of the product: metadata, nothing else.
    Support,
    /// A program, for example the importer.
    ServiceAccount,
    /// A program that reads charts, on top of [`Role::ServiceAccount`]; no person's role.
    RecordsReader,
    /// The tenant's own identity provider, by SCIM: accounts and ordinary roles of staff, nothing else.
    Provisioner,
    /// Looks after the clinics of the platform; nothing inside of them.
    PlatformOperator,
    /// Looks after the clinics of one partner; nothing inside of them.
    PartnerAdmin,
}

named!("role", Role {
    Patient = "patient",
    Proxy = "proxy",
    Clinician = "clinician",
    Nurse = "nurse",
    Reception = "reception",
    Billing = "billing",
    ClinicManager = "clinic_manager",
    TenantAdmin = "tenant_admin",
    PrivacyOfficer = "privacy_officer",
    Auditor = "auditor",
    Support = "support",
    ServiceAccount = "service_account",
    RecordsReader = "records_reader",
    Provisioner = "provisioner",
    PlatformOperator = "platform_operator",
    PartnerAdmin = "partner_admin",
});

impl Role {
    /// Whether one person alone must not give it: whoever has it decides who may do what, watches over that, or reads
    /// every chart.
    #[must_use]
    pub const fn needs_approval(self) -> bool {
        matches!(
            self,
            Self::TenantAdmin
                | Self::PrivacyOfficer
                | Self::RecordsReader
                | Self::PlatformOperator
                | Self::PartnerAdmin
        )
    }

    /// Whether people of a tenant of this kind may hold it. Nobody belongs to two tenants: who looks after clinics belongs to
    /// none of them. Policy says the same of what the role may do.
    #[must_use]
    pub const fn belongs_in(self, kind: TenantKind) -> bool {
        match self {
            Self::TenantAdmin | Self::PrivacyOfficer | Self::Auditor => true,
            Self::PlatformOperator => matches!(kind, TenantKind::Platform),
            Self::PartnerAdmin => matches!(kind, TenantKind::Partner),
            Self::Patient
            | Self::Proxy
            | Self::Clinician
            | Self::Nurse
            | Self::Reception
            | Self::Billing
            | Self::ClinicManager
            | Self::Support
            | Self::ServiceAccount
            | Self::RecordsReader
            | Self::Provisioner => matches!(kind, TenantKind::Clinic),
        }
    }

    /// Whether an identity provider may give and take it. Policy decides; this says which groups there are to ask for, and
    /// a test holds the two against each other.
    #[must_use]
    pub const fn is_provisionable(self) -> bool {
        match self {
            Self::Clinician
            | Self::Nurse
            | Self::Reception
            | Self::Billing
            | Self::ClinicManager
            | Self::Auditor
            | Self::Support => true,
            Self::Patient
            | Self::Proxy
            | Self::TenantAdmin
            | Self::PrivacyOfficer
            | Self::ServiceAccount
            | Self::RecordsReader
            | Self::Provisioner
            | Self::PlatformOperator
            | Self::PartnerAdmin => false,
        }
    }
}

/// A set of [`Role`]s: one bit per role, so that it is copied, compared and looked up at no cost.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RoleSet(u32);

impl RoleSet {
    /// No role.
    pub const EMPTY: Self = Self(0);
    /// Every role.
    pub const ALL: Self = Self((1 << Role::ALL.len()) - 1);

    /// The set of one role.
    #[must_use]
    pub const fn of(role: Role) -> Self {
        Self(1 << role as u8)
    }

    /// This set and `role`.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | Self::of(role).0)
    }

    /// Whether `role` is in the set.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & Self::of(role).0 != 0
    }

    /// Whether there is no role in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The roles in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The roles, in the order of [`Role::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.contains(*role))
    }

    /// One bit per role, bit 0 being the first of [`Role::ALL`]. Not for storage: store names.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set that [`RoleSet::bits`] gave; bits that stand for no role are dropped.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        roles.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl From<Role> for RoleSet {
    fn from(role: Role) -> Self {
        Self::of(role)
    }
}

impl fmt::Display for RoleSet {
    /// Names separated by `+`; `none` for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        for role in self.iter() {
            write!(f, "{separator}{role}")?;
            separator = "+";
        }
        Ok(())
    }
}

impl fmt::Debug for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RoleSet {
    type Err = UnknownName;

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, UnknownName> {
        if text == "none" {
            return Ok(Self::EMPTY);
        }
        text.split('+').map(Role::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_set_reads_back_what_it_prints() {
        for bits in 0..=RoleSet::ALL.bits() {
            let set = RoleSet::from_bits(bits);
            assert_eq!(set.to_string().parse::<RoleSet>(), Ok(set));
            assert_eq!(set.iter().collect::<RoleSet>(), set);
        }
        assert!("clinician+docter".parse::<RoleSet>().is_err());
    }
}
