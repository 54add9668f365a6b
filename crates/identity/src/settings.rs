//! What a tenant decides about the ways in, beyond what the platform demands.

use std::{collections::BTreeMap, time::Duration};

use carekeep_kernel::{TenantKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::passkey::{Demand, MakersError, PasskeyPolicy, TrustedMaker};

/// Roles that reach beyond one tenant: whatever is configured, their passkeys are bound to a device, even if a clinic had such people.
const BEYOND_ONE_TENANT: [&str; 2] = ["platform_operator", "partner_admin"];

/// What a tenant decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignInSettings {
    /// Which passkeys a role may use, by the role's name; any where nothing is said.
    pub passkeys: BTreeMap<String, PasskeyPolicy>,
    /// Whom `attested` goes by.
    pub makers: Vec<TrustedMaker>,
    /// Whether health data is for devices that the person has confirmed.
    pub confirmed_devices: bool,
    /// Whether people may sign in by password and a second factor. Without, only a passkey (or what the tenant's provider proves) lets
    /// anybody in.
    pub passwords: bool,
    /// How long an approved recovery is held before it can be used, in hours, 1 to 720: time for the person to object.
    pub recovery_hold_hours: u16,
    /// The longer hold that still counts, after it was shortened.
    pub longer_hold: Option<LongerHold>,
    /// Whether these are the people of the platform or of a partner: nobody decides that.
    #[serde(skip)]
    pub beyond_clinics: bool,
}

/// A hold that was shortened: it counts until as much time has passed since as it is long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LongerHold {
    /// Hours.
    pub hours: u16,
    /// Until when.
    pub until: Timestamp,
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self {
            passkeys: BTreeMap::new(),
            makers: Vec::new(),
            confirmed_devices: false,
            passwords: true,
            recovery_hold_hours: 24,
            longer_hold: None,
            beyond_clinics: false,
        }
    }
}

impl SignInSettings {
    /// What is demanded of the passkeys of somebody with these roles: of several policies the strictest.
    ///
    /// # Errors
    /// When a stored maker cannot be read.
    pub fn demand<'a>(&self, roles: impl IntoIterator<Item = &'a str>) -> Result<Demand, MakersError> {
        let strictest =
            roles.into_iter().map(|role| self.policy(role)).max().unwrap_or_default().max(self.floor());
        Demand::new(strictest, &self.makers)
    }

    /// How long a recovery is held that is approved now, in hours.
    #[must_use]
    pub fn hold_at(&self, now: Timestamp) -> u16 {
        let longer = self.longer_hold.filter(|longer| now < longer.until).map(|longer| longer.hours);
        longer.unwrap_or_default().max(self.recovery_hold_hours)
    }

    /// These settings in the place of `before`: whoever shortens the hold waits as long as those are held whom it was to protect.
    #[must_use]
    pub fn after(mut self, before: &Self, now: Timestamp) -> Self {
        let held = before.hold_at(now);
        self.longer_hold = if self.recovery_hold_hours >= held {
            None
        } else if self.recovery_hold_hours == before.recovery_hold_hours {
            before.longer_hold
        } else {
            let until = now + Duration::from_secs(u64::from(held) * 60 * 60);
            Some(LongerHold { hours: held, until })
        };
        self
    }

    /// The policy of one role.
    #[must_use]
    pub fn policy(&self, role: &str) -> PasskeyPolicy {
        let bound = BEYOND_ONE_TENANT.contains(&role);
        let least = if bound { PasskeyPolicy::DeviceBound } else { self.floor() };
        self.passkeys.get(role).copied().unwrap_or_default().max(least)
    }

    /// What is demanded of everybody.
    const fn floor(&self) -> PasskeyPolicy {
        if self.beyond_clinics { PasskeyPolicy::DeviceBound } else { PasskeyPolicy::Any }
    }

    /// These settings at a tenant of this kind. Who looks after clinics has one way in, whatever was decided: a passkey that is
    /// bound to a device (CAPABILITIES I3).
    #[must_use]
    pub const fn at(mut self, kind: TenantKind) -> Self {
        self.beyond_clinics = !matches!(kind, TenantKind::Clinic);
        self.passwords = self.passwords && !self.beyond_clinics;
        self
    }

    /// Whether less counts for who holds this role than for anybody.
    #[must_use]
    pub fn restricts(&self, role: &str) -> bool {
        self.policy(role) > self.floor()
    }

    /// Whether a passkey that was good for this role before may be good no more.
    #[must_use]
    pub fn tightens(&self, before: &Self, role: &str) -> bool {
        let (old, new) = (before.policy(role), self.policy(role));
        new > old || (new == PasskeyPolicy::Attested && self.makers != before.makers)
    }

    /// Checks what somebody wants to set.
    ///
    /// # Errors
    /// When a maker cannot be read, or `attested` is demanded and nobody is trusted.
    pub fn check(&self) -> Result<(), MakersError> {
        Demand::new(PasskeyPolicy::Attested, &self.makers)?;
        let attested = self.passkeys.values().any(|policy| *policy == PasskeyPolicy::Attested);
        if attested && self.makers.is_empty() { Err(MakersError) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, PasskeyPolicy)]) -> SignInSettings {
        let passkeys = pairs.iter().map(|(role, policy)| ((*role).to_owned(), *policy)).collect();
        SignInSettings { passkeys, ..SignInSettings::default() }
    }

    #[test]
    fn i1_of_several_roles_the_strictest_policy_counts() {
        let settings =
            settings(&[("clinician", PasskeyPolicy::DeviceBound), ("tenant_admin", PasskeyPolicy::Attested)]);
        let of = |roles: &[&str]| settings.demand(roles.iter().copied()).unwrap().policy();
        assert_eq!(of(&[]), PasskeyPolicy::Any);
        assert_eq!(of(&["reception"]), PasskeyPolicy::Any);
        assert_eq!(of(&["reception", "clinician"]), PasskeyPolicy::DeviceBound);
        assert_eq!(of(&["clinician", "tenant_admin", "reception"]), PasskeyPolicy::Attested);
    }

    #[test]
    fn i3_whatever_is_decided_outside_of_clinics_a_device_bound_passkey_is_the_way_in() {
        let decided = settings(&[("tenant_admin", PasskeyPolicy::Any), ("auditor", PasskeyPolicy::Attested)]);
        let of = |settings: &SignInSettings, role: &[&str]| {
            settings.demand(role.iter().copied()).unwrap().policy()
        };
        for kind in [TenantKind::Partner, TenantKind::Platform] {
            let there = decided.clone().at(kind);
            assert!(!there.passwords);
            assert_eq!(of(&there, &[]), PasskeyPolicy::DeviceBound);
            assert_eq!(of(&there, &["tenant_admin"]), PasskeyPolicy::DeviceBound);
            assert_eq!(
                of(&there, &["tenant_admin", "auditor"]),
                PasskeyPolicy::Attested,
                "more may be asked"
            );
        }
        let there = decided.clone().at(TenantKind::Platform);
        assert!(there.restricts("auditor") && !there.restricts("platform_operator"));
        let clinic = decided.at(TenantKind::Clinic);
        assert!(
            clinic.passwords && clinic.restricts("platform_operator") && !clinic.restricts("tenant_admin")
        );
        assert_eq!(of(&clinic, &["tenant_admin"]), PasskeyPolicy::Any);
    }

    #[test]
    fn i1_who_reaches_beyond_one_tenant_has_a_device_bound_passkey_whatever_is_configured() {
        for role in BEYOND_ONE_TENANT {
            assert_eq!(settings(&[]).policy(role), PasskeyPolicy::DeviceBound);
            assert_eq!(settings(&[(role, PasskeyPolicy::Any)]).policy(role), PasskeyPolicy::DeviceBound);
            assert_eq!(settings(&[(role, PasskeyPolicy::Attested)]).policy(role), PasskeyPolicy::Attested);
        }
    }

    #[test]
    fn i6_a_shorter_hold_counts_when_the_longer_one_has_passed() {
        let hours =
            |hours: u64| Timestamp::from_micros(1_700_000_000_000_000) + Duration::from_secs(3_600 * hours);
        let of = |recovery_hold_hours| SignInSettings { recovery_hold_hours, ..SignInSettings::default() };
        let short = of(2).after(&of(24), hours(0));
        assert_eq!(
            (short.hold_at(hours(0)), short.hold_at(hours(23)), short.hold_at(hours(24))),
            (24, 24, 2)
        );
        // Saying it again neither hastens nor delays it; a longer one counts at once; still less waits anew.
        assert_eq!(of(2).after(&short, hours(23)).hold_at(hours(24)), 2);
        assert_eq!(of(48).after(&short, hours(1)).hold_at(hours(1)), 48);
        let less = of(1).after(&short, hours(23));
        assert_eq!((less.hold_at(hours(46)), less.hold_at(hours(47))), (24, 1));
    }

    #[test]
    fn what_nobody_could_meet_is_not_set() {
        assert!(settings(&[("nurse", PasskeyPolicy::DeviceBound)]).check().is_ok());
        assert_eq!(settings(&[("nurse", PasskeyPolicy::Attested)]).check(), Err(MakersError));
        let makers =
            vec![TrustedMaker { root: "no certificate".to_owned(), models: vec![uuid::Uuid::nil()] }];
        assert_eq!(SignInSettings { makers, ..SignInSettings::default() }.check(), Err(MakersError));
    }

    #[test]
    fn a_role_is_tightened_by_more_or_by_other_makers() {
        let (any, bound) = (settings(&[]), settings(&[("nurse", PasskeyPolicy::DeviceBound)]));
        let attested = settings(&[("nurse", PasskeyPolicy::Attested)]);
        let mut other = attested.clone();
        other.makers.push(TrustedMaker { root: String::new(), models: Vec::new() });
        assert!(bound.tightens(&any, "nurse") && attested.tightens(&bound, "nurse"));
        assert!(other.tightens(&attested, "nurse"));
        assert!(!any.tightens(&bound, "nurse") && !bound.tightens(&any, "clinician"));
        assert!(!attested.tightens(&attested.clone(), "nurse"));
    }
}
