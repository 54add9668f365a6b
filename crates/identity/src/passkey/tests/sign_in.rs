//! Uses of a passkey that must not succeed.

use serde_json::json;

use super::{
    authenticator::{BE, BS},
    *,
};

/// A registered passkey and a begun use of it.
struct Attempt {
    world: World,
    key: SoftKey,
    passkey: PasskeyRecord,
    ceremony: Ceremony,
    record: CeremonyRecord,
    holder: Holder,
    demand: Demand,
}

impl Attempt {
    /// The person is known: the password was right, or it is step-up.
    fn known(flags: u8, counter: u32) -> Self {
        let world = World::new();
        let (key, passkey) = world.registered(world.person, flags, counter);
        let holder = world.holder(Some(world.person));
        let (challenge, record) =
            world.party.start_authentication(holder, std::slice::from_ref(&passkey), world.source()).unwrap();
        Self::new(
            world,
            (key, passkey),
            (Ceremony::authentication(&challenge, ORIGIN), record),
            (holder, flags, counter),
        )
    }

    /// Nobody has said who they are.
    fn discoverable(flags: u8, counter: u32) -> Self {
        let world = World::new();
        let (key, passkey) = world.registered(world.person, flags, counter);
        let holder = world.holder(None);
        let (challenge, record) =
            world.party.start_discoverable(holder, Mediation::Modal, world.source()).unwrap();
        Self::new(
            world,
            (key, passkey),
            (Ceremony::authentication(&challenge, ORIGIN), record),
            (holder, flags, counter),
        )
    }

    fn new(
        world: World,
        (key, passkey): (SoftKey, PasskeyRecord),
        (mut ceremony, record): (Ceremony, CeremonyRecord),
        (holder, flags, counter): (Holder, u8, u32),
    ) -> Self {
        ceremony.flags = flags;
        ceremony.counter = if counter == 0 { 0 } else { counter + 1 };
        Self { world, key, passkey, ceremony, record, holder, demand: Demand::default() }
    }

    fn finish(self) -> Result<PasskeyRecord, PasskeyError> {
        let response = self.ceremony.sign(&self.key);
        let now = self.world.clock.now();
        let by = (self.holder, &self.demand);
        self.world.party.finish_authentication(self.record, by, (&response, self.passkey), now)
    }
}

const KINDS: [fn(u8, u32) -> Attempt; 2] = [Attempt::known, Attempt::discoverable];

#[test]
fn i1_a_passkey_signs_in_with_and_without_a_login_name_and_is_updated() {
    for begin in KINDS {
        let mut attempt = begin(UP | UV | BE, 7);
        attempt.ceremony.flags |= BS;
        let now = attempt.world.clock.now();
        let updated = attempt.finish().unwrap();
        assert_eq!((updated.counter, updated.backup_state, updated.last_used), (8, true, Some(now)));
        assert!(updated.data.contains("\"counter\":8"), "{}", updated.data);
    }
}

#[test]
fn a_passkey_without_a_counter_signs_in_again_and_again() {
    for begin in KINDS {
        assert_eq!(begin(UP | UV, 0).finish().unwrap().counter, 0);
    }
}

#[test]
fn bar_i4_malformed_and_foreign_uses_are_refused() {
    type Change = fn(&mut Attempt);
    let vectors: [(&str, &str, Change); 26] = [
        ("foreign origin", "InvalidRPOrigin", |a| a.ceremony.origin = "https://evil.example".into()),
        ("origin of a sibling tenant", "InvalidRPOrigin", |a| {
            a.ceremony.origin = "https://dark.clinic.example:8443".into()
        }),
        ("subdomain", "InvalidRPOrigin", |a| {
            a.ceremony.origin = "https://x.bright.clinic.example:8443".into()
        }),
        ("other port", "InvalidRPOrigin", |a| a.ceremony.origin = "https://bright.clinic.example".into()),
        ("no TLS", "InvalidRPOrigin", |a| a.ceremony.origin = "http://bright.clinic.example:8443".into()),
        ("relying party of a sibling", "InvalidRPIDHash", |a| {
            a.ceremony.rp_id = "dark.clinic.example".into()
        }),
        ("another challenge", "MismatchedChallenge", |a| a.ceremony.challenge = vec![7; 32]),
        ("no challenge", "MismatchedChallenge", |a| a.ceremony.challenge.clear()),
        ("user not verified", "UserNotVerified", |a| a.ceremony.flags = UP),
        ("user not present", "UserNotPresent", |a| a.ceremony.flags = UV),
        ("became eligible for backup", "Backup", |a| a.ceremony.flags |= BE),
        (
            "became eligible and backed up",
            "CredentialMayNotBeHardwareBound CredentialBackupEligibilityInconsistent",
            |a| a.ceremony.flags |= BE | BS,
        ),
        ("backed up but not eligible", "CredentialMayNotBeHardwareBound", |a| a.ceremony.flags |= BS),
        ("counter stands still", "CredentialPossibleCompromise", |a| a.ceremony.counter = 7),
        ("counter goes back", "CredentialPossibleCompromise", |a| a.ceremony.counter = 6),
        ("counter is gone", "CredentialPossibleCompromise", |a| a.ceremony.counter = 0),
        ("the other ceremony", "InvalidClientDataType", |a| a.ceremony.kind = "webauthn.create"),
        ("in a foreign frame", "Framed", |a| a.ceremony.extra.push(("crossOrigin", json!(true)))),
        ("under a foreign top", "Framed", |a| {
            a.ceremony.extra.push(("topOrigin", json!("https://evil.example")))
        }),
        ("changed signature", "AuthenticationFailure", |a| a.ceremony.flip_signature = true),
        ("truncated authenticator data", "Malformed", |a| a.ceremony.cut = 1),
        ("unknown credential", "NotTheirs", |a| a.key.id = b"somebody-else's".to_vec()),
        ("key of another credential", "AuthenticationFailure", |a| {
            a.key = SoftKey::new(&a.key.id, a.world.person.as_bytes())
        }),
        ("user handle of another person", "NotTheirs", |a| {
            a.key.handle = Some(a.world.other.as_bytes().to_vec())
        }),
        ("user handle of nobody", "NotTheirs", |a| a.key.handle = Some(Vec::new())),
        ("credential of another tenant", "NotTheirs", |a| a.passkey.tenant = a.world.sibling_tenant),
    ];
    for begin in KINDS {
        assert!(begin(UP | UV, 7).finish().is_ok(), "the control");
        for (what, why, change) in vectors {
            let mut attempt = begin(UP | UV, 7);
            change(&mut attempt);
            match attempt.finish() {
                Err(PasskeyError::Rejected(reason)) => assert_reason(what, why, &reason),
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

#[test]
fn bar_i4_a_passkey_that_stops_being_eligible_for_backup_is_refused() {
    for begin in KINDS {
        assert!(begin(UP | UV | BE, 0).finish().is_ok(), "the control");
        let mut attempt = begin(UP | UV | BE, 0);
        attempt.ceremony.flags = UP | UV;
        assert!(matches!(attempt.finish(), Err(PasskeyError::Rejected(_))));
    }
}

#[test]
fn a_sign_in_without_a_login_name_needs_a_user_handle() {
    let mut attempt = Attempt::discoverable(UP | UV, 0);
    attempt.key.handle = None;
    assert!(matches!(attempt.finish(), Err(PasskeyError::Rejected(Reason::NotTheirs))));
    let mut attempt = Attempt::known(UP | UV, 0);
    attempt.key.handle = None;
    assert!(attempt.finish().is_ok(), "a security key without one is fine when the person is known");
}

#[test]
fn truncation_anywhere_is_refused_and_never_panics() {
    for begin in KINDS {
        for cut in 1..=37 {
            let mut attempt = begin(UP | UV, 0);
            attempt.ceremony.cut = cut;
            assert!(matches!(attempt.finish(), Err(PasskeyError::Rejected(_))), "{cut}");
        }
    }
}

#[test]
fn bar_i4_a_challenge_is_good_for_one_session_person_and_tenant() {
    type Change = fn(&mut Attempt);
    let vectors: [(&str, Change); 5] = [
        ("expired", |a| a.world.clock.advance(Duration::from_secs(300))),
        ("before it began", |a| a.record.created = a.world.clock.now() + Duration::from_secs(1)),
        ("another session", |a| a.holder.token = a.world.holder(None).token),
        ("another tenant", |a| a.holder.tenant = a.world.sibling_tenant),
        ("a challenge for registering", |a| a.record.kind = CeremonyKind::Registration),
    ];
    for begin in KINDS {
        for (what, change) in vectors {
            let mut attempt = begin(UP | UV, 0);
            change(&mut attempt);
            let outcome = attempt.finish();
            assert!(matches!(outcome, Err(PasskeyError::Stale)), "{what}: {outcome:?}");
        }
        let mut late = begin(UP | UV, 0);
        late.world.clock.advance(Duration::from_secs(299));
        late.holder.person = late.record.person;
        assert!(late.finish().is_ok(), "the control");
    }
}

#[test]
fn bar_i4_somebody_elses_passkey_does_not_step_up_my_session() {
    for begin in KINDS {
        let mut attempt = begin(UP | UV, 0);
        let other = attempt.world.other;
        let (key, passkey) = attempt.world.registered(other, UP | UV, 0);
        (attempt.key, attempt.passkey) = (key, passkey);
        attempt.holder.person = Some(attempt.world.person);
        assert!(matches!(attempt.finish(), Err(PasskeyError::Rejected(Reason::NotTheirs))));
    }
}

#[test]
fn a_copied_authenticator_is_found_even_when_both_copies_began_at_once() {
    for begin in KINDS {
        let mut attempt = begin(UP | UV, 7);
        // The other copy finished first, and the stored record has moved on since the challenge was made.
        attempt.passkey.counter = 8;
        assert!(matches!(attempt.finish(), Err(PasskeyError::Rejected(Reason::Counter))));
    }
}

#[test]
fn bar_i5_device_bound_is_checked_at_use_too() {
    for begin in KINDS {
        let mut synced = begin(UP | UV | BE, 0);
        synced.demand = demand(PasskeyPolicy::DeviceBound);
        assert!(matches!(synced.finish(), Err(PasskeyError::DeviceBoundNeeded)));
        let mut bound = begin(UP | UV, 0);
        bound.demand = demand(PasskeyPolicy::DeviceBound);
        assert!(bound.finish().is_ok());
    }
}

#[test]
fn a_damaged_stored_passkey_or_state_is_refused() {
    type Change = fn(&mut Attempt);
    let vectors: [Change; 2] = [|a| a.record.state = "{}".into(), |a| a.record.state.clear()];
    for begin in KINDS {
        for change in vectors {
            let mut attempt = begin(UP | UV, 0);
            change(&mut attempt);
            assert!(matches!(attempt.finish(), Err(PasskeyError::Corrupt)));
        }
        let mut attempt = begin(UP | UV, 0);
        attempt.passkey.data.truncate(20);
        assert!(matches!(attempt.finish(), Err(PasskeyError::Corrupt)));
    }
}

#[test]
fn nobody_begins_the_use_of_somebody_elses_passkey() {
    let world = World::new();
    let (_, theirs) = world.registered(world.other, UP | UV, 0);
    let (_, mine) = world.registered(world.person, UP | UV, 0);
    let start = |holder, passkeys: &[PasskeyRecord]| {
        world.party.start_authentication(holder, passkeys, world.source()).is_ok()
    };
    let me = world.holder(Some(world.person));
    assert!(start(me, std::slice::from_ref(&mine)));
    assert!(!start(me, std::slice::from_ref(&theirs)));
    assert!(!start(me, &[mine.clone(), theirs]));
    assert!(!start(me, &[]));
    assert!(!start(world.holder(None), std::slice::from_ref(&mine)));
    assert!(!start(Holder { tenant: world.sibling_tenant, ..me }, &[mine]));
}
