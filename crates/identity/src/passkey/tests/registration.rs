//! Registrations that must not succeed.

use serde_json::json;

use super::{
    authenticator::{BE, BS},
    *,
};

/// Registers with a ceremony that `change` has changed.
fn attempt(change: impl FnOnce(&mut Ceremony)) -> Result<PasskeyRecord, PasskeyError> {
    attempt_with(PasskeyPolicy::Any, change)
}

fn attempt_with(
    policy: PasskeyPolicy,
    change: impl FnOnce(&mut Ceremony),
) -> Result<PasskeyRecord, PasskeyError> {
    let world = World::new();
    let holder = world.holder(Some(world.person));
    let (challenge, record) = world.start_registration(holder, &[]);
    let mut ceremony = Ceremony::registration(&challenge, ORIGIN);
    change(&mut ceremony);
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    let response = ceremony.register(&key);
    world.party.finish_registration(
        record,
        (holder, &demand(policy)),
        (&response, " My\nkey "),
        world.source(),
    )
}

#[test]
fn i1_a_proper_registration_succeeds_and_remembers_what_matters() {
    let world = World::new();
    let (key, record) = world.registered(world.person, UP | UV | BE | BS, 7);
    assert_eq!(record.credential_id, key.id);
    assert_eq!((record.tenant, record.person), (world.tenant, world.person));
    assert_eq!((record.backup_eligible, record.backup_state, record.counter), (true, true, 7));
    assert_eq!((record.last_used, record.created), (None, world.clock.now()));
    assert_eq!(attempt(|_| ()).unwrap().name, "Mykey");
}

#[test]
fn bar_i4_malformed_and_foreign_registrations_are_refused() {
    type Change = fn(&mut Ceremony);
    let vectors: [(&str, &str, Change); 22] = [
        ("foreign origin", "InvalidRPOrigin", |c| c.origin = "https://evil.example".into()),
        ("origin of a sibling tenant", "InvalidRPOrigin", |c| {
            c.origin = "https://dark.clinic.example:8443".into()
        }),
        ("parent domain", "InvalidRPOrigin", |c| c.origin = "https://clinic.example:8443".into()),
        ("subdomain", "InvalidRPOrigin", |c| c.origin = "https://x.bright.clinic.example:8443".into()),
        ("other port", "InvalidRPOrigin", |c| c.origin = "https://bright.clinic.example:9443".into()),
        ("no TLS", "InvalidRPOrigin", |c| c.origin = "http://bright.clinic.example:8443".into()),
        ("suffix trick", "InvalidRPOrigin", |c| {
            c.origin = "https://bright.clinic.example.evil.example:8443".into()
        }),
        ("relying party of a sibling", "InvalidRPIDHash", |c| c.rp_id = "dark.clinic.example".into()),
        ("relying party of the parent", "InvalidRPIDHash", |c| c.rp_id = "clinic.example".into()),
        ("another challenge", "MismatchedChallenge", |c| c.challenge = vec![7; 32]),
        ("no challenge", "MismatchedChallenge", |c| c.challenge.clear()),
        ("half the challenge", "MismatchedChallenge", |c| c.challenge.truncate(16)),
        ("user not verified", "UserNotVerified", |c| c.flags = UP),
        ("user not present", "UserNotPresent", |c| c.flags = UV),
        ("backed up but not eligible", "CredentialMayNotBeHardwareBound", |c| c.flags = UP | UV | BS),
        ("the other ceremony", "InvalidClientDataType", |c| c.kind = "webauthn.get"),
        ("in a foreign frame", "Framed", |c| c.extra.push(("crossOrigin", json!(true)))),
        ("under a foreign top", "Framed", |c| c.extra.push(("topOrigin", json!("https://evil.example")))),
        ("algorithm RS1", "COSEKeyInvalidType", |c| c.algorithm = vec![0x39, 0xff, 0xfe]),
        ("algorithm none", "COSEKeyInvalidAlgorithm", |c| c.algorithm = vec![0x00]),
        ("truncated CBOR", "ParseCBORFailure", |c| c.cut = 5),
        ("not discoverable", "NotDiscoverable", |c| c.rk = Some(false)),
    ];
    assert!(attempt(|_| ()).is_ok(), "the control");
    for (what, why, change) in vectors {
        match attempt(change) {
            Err(PasskeyError::Rejected(reason)) => assert_reason(what, why, &reason),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn truncation_anywhere_is_refused_and_never_panics() {
    for cut in 1..200 {
        assert!(attempt(|ceremony| ceremony.cut = cut).is_err(), "{cut}");
    }
}

#[test]
fn an_unknown_attestation_format_is_refused() {
    assert!(attempt(|ceremony| ceremony.format = "evil").is_err());
}

#[test]
fn bar_i5_a_synchronised_passkey_is_refused_where_device_bound_is_asked_for() {
    let refused = attempt_with(PasskeyPolicy::DeviceBound, |ceremony| ceremony.flags = UP | UV | BE);
    assert!(matches!(refused, Err(PasskeyError::DeviceBoundNeeded)), "{refused:?}");
    assert!(attempt_with(PasskeyPolicy::DeviceBound, |_| ()).is_ok());
    assert!(attempt(|ceremony| ceremony.flags = UP | UV | BE).is_ok());
}

#[test]
fn bar_i4_a_challenge_is_good_for_five_minutes_and_one_session_person_and_tenant() {
    let world = World::new();
    let mine = world.holder(Some(world.person));
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    let finish = |party: &RelyingParty, holder: Holder, minutes_left: i64| {
        let (challenge, record) = world.start_registration(mine, &[]);
        let record = CeremonyRecord {
            expires: Timestamp::from_micros(world.clock.now().as_micros() + minutes_left * 60_000_000),
            ..record
        };
        let response = Ceremony::registration(&challenge, ORIGIN).register(&key);
        party.finish_registration(record, (holder, &Demand::default()), (&response, "x"), world.source())
    };
    assert!(finish(&world.party, mine, 1).is_ok(), "the control");
    let stale = [
        ("expired", finish(&world.party, mine, 0)),
        ("another session of the same person", finish(&world.party, world.holder(Some(world.person)), 1)),
        ("another person", finish(&world.party, Holder { person: Some(world.other), ..mine }, 1)),
        ("nobody", finish(&world.party, Holder { person: None, ..mine }, 1)),
        ("another tenant", finish(&world.sibling, Holder { tenant: world.sibling_tenant, ..mine }, 1)),
        ("a host of another tenant", finish(&world.sibling, mine, 1)),
    ];
    for (what, outcome) in stale {
        assert!(matches!(outcome, Err(PasskeyError::Stale)), "{what}: {outcome:?}");
    }
}

#[test]
fn the_clock_decides_when_a_challenge_is_old() {
    let world = World::new();
    let holder = world.holder(Some(world.person));
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    for (seconds, good) in [(299, true), (300, false), (301, false)] {
        let (challenge, record) = world.start_registration(holder, &[]);
        let response = Ceremony::registration(&challenge, ORIGIN).register(&key);
        world.clock.advance(Duration::from_secs(seconds));
        let outcome = world.party.finish_registration(
            record,
            (holder, &Demand::default()),
            (&response, "x"),
            world.source(),
        );
        assert_eq!(outcome.is_ok(), good, "{seconds}");
    }
}

#[test]
fn a_response_answers_its_own_challenge_only() {
    let world = World::new();
    let holder = world.holder(Some(world.person));
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    let (first, record) = world.start_registration(holder, &[]);
    let response = Ceremony::registration(&first, ORIGIN).register(&key);
    let demand = Demand::default();
    world.party.finish_registration(record, (holder, &demand), (&response, "x"), world.source()).unwrap();
    let (_, second) = world.start_registration(holder, &[]);
    let replay = world.party.finish_registration(second, (holder, &demand), (&response, "x"), world.source());
    assert!(matches!(
        replay,
        Err(PasskeyError::Rejected(Reason::Ceremony(WebauthnError::MismatchedChallenge)))
    ));
}

#[test]
fn a_passkey_that_the_person_has_already_is_refused() {
    let world = World::new();
    let (key, known) = world.registered(world.person, UP | UV, 0);
    let holder = world.holder(Some(world.person));
    let (challenge, record) = world.start_registration(holder, &[known]);
    let finish = |record, key: &SoftKey| {
        let response = Ceremony::registration(&challenge, ORIGIN).register(key);
        world.party.finish_registration(
            record,
            (holder, &Demand::default()),
            (&response, "x"),
            world.source(),
        )
    };
    assert!(matches!(finish(record, &key), Err(PasskeyError::Rejected(_))));
}

#[test]
fn nobody_registers_a_passkey_for_somebody_else() {
    let world = World::new();
    let newcomer = Newcomer { person: world.other, login: "x", display_name: "x" };
    let outcome = world.party.start_registration(
        world.holder(Some(world.person)),
        (newcomer, &Demand::default()),
        &[],
        world.source(),
    );
    assert!(matches!(outcome, Err(PasskeyError::Stale)));
}
