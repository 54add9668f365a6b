//! Authenticators whose makers vouch for them, and those that only say so (BARS I5).

use uuid::Uuid;

use super::{
    authenticator::{BE, Batch, Maker},
    *,
};

const MODEL: [u8; 16] = [0x5a; 16];
const OTHER_MODEL: [u8; 16] = [0x33; 16];

fn listed(maker: &Maker, models: &[[u8; 16]]) -> Demand {
    let models = models.iter().map(|model| Uuid::from_bytes(*model)).collect();
    let maker = TrustedMaker { root: maker.root.clone(), models };
    Demand::new(PasskeyPolicy::Attested, &[maker]).unwrap()
}

/// Registers under `begun` and finishes under `demand` with an authenticator of this model and batch.
fn register(
    world: &World,
    (begun, demand): (&Demand, &Demand),
    batch: Option<Batch>,
    change: impl FnOnce(&mut Ceremony),
) -> Result<(SoftKey, PasskeyRecord), PasskeyError> {
    let holder = world.holder(Some(world.person));
    let newcomer = Newcomer { person: world.person, login: "ada", display_name: "Dr. Ada" };
    let (challenge, record) =
        world.party.start_registration(holder, (newcomer, begun), &[], world.source())?;
    let mut ceremony = Ceremony::registration(&challenge, ORIGIN);
    ceremony.format = if batch.is_some() { "packed" } else { "none" };
    (ceremony.model, ceremony.batch) = (MODEL, batch);
    change(&mut ceremony);
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    let response = ceremony.register(&key);
    let made =
        world.party.finish_registration(record, (holder, demand), (&response, "key"), world.source())?;
    Ok((key, made))
}

/// Uses a passkey under `demand`.
fn sign_in(
    world: &World,
    (key, passkey): (&SoftKey, &PasskeyRecord),
    demand: &Demand,
) -> Result<PasskeyRecord, PasskeyError> {
    let holder = world.holder(None);
    let (challenge, record) = world.party.start_discoverable(holder, Mediation::Modal, world.source())?;
    let response = Ceremony::authentication(&challenge, ORIGIN).sign(key);
    let used = (&response, passkey.clone());
    world.party.finish_authentication(record, (holder, demand), used, world.clock.now())
}

fn is_refused<T>(outcome: &Result<T, PasskeyError>) -> bool {
    matches!(outcome, Err(PasskeyError::AttestedNeeded))
}

#[test]
fn bar_i5_a_listed_model_of_a_listed_maker_is_registered_and_signs_in() {
    let (world, maker) = (World::new(), Maker::new("Soft Keys Root"));
    let demand = listed(&maker, &[OTHER_MODEL, MODEL]);
    let (key, passkey) = register(&world, (&demand, &demand), Some(maker.batch(MODEL)), |_| {}).unwrap();
    assert!(!passkey.backup_eligible);
    let used = sign_in(&world, (&key, &passkey), &demand).unwrap();
    // What is written back still has the attestation in it.
    assert!(sign_in(&world, (&key, &used), &demand).is_ok());
}

#[test]
fn bar_i5_an_attestation_is_asked_for_where_it_is_demanded_and_nowhere_else() {
    let (world, maker) = (World::new(), Maker::new("Soft Keys Root"));
    let asks = |demand: &Demand| {
        let holder = world.holder(Some(world.person));
        let newcomer = Newcomer { person: world.person, login: "ada", display_name: "Dr. Ada" };
        let (challenge, _) =
            world.party.start_registration(holder, (newcomer, demand), &[], world.source()).unwrap();
        let sent = serde_json::to_value(&challenge).unwrap();
        assert_eq!(sent["publicKey"]["authenticatorSelection"]["residentKey"], "required");
        sent["publicKey"]["attestation"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!(asks(&listed(&maker, &[MODEL])), "direct");
    assert_eq!(asks(&demand(PasskeyPolicy::DeviceBound)), "none");
    assert_eq!(asks(&Demand::default()), "none");
}

#[test]
fn bar_i5_whoever_is_not_listed_is_refused_at_registration() {
    let (world, maker, stranger) = (World::new(), Maker::new("Soft Keys Root"), Maker::new("Other Root"));
    let demand = listed(&maker, &[MODEL]);
    let attempt = |batch, change: fn(&mut Ceremony)| register(&world, (&demand, &demand), batch, change);
    assert!(attempt(Some(maker.batch(MODEL)), |_| {}).is_ok(), "the control");
    let refused = [
        ("no attestation", attempt(None, |_| {})),
        ("an unknown maker", attempt(Some(stranger.batch(MODEL)), |_| {})),
        ("a root of the same name", attempt(Some(Maker::new("Soft Keys Root").batch(MODEL)), |_| {})),
        ("another model", attempt(Some(maker.batch(OTHER_MODEL)), |c| c.model = OTHER_MODEL)),
    ];
    for (what, outcome) in refused {
        assert!(is_refused(&outcome), "{what}: {:?}", outcome.err());
    }
    // A batch of one model that says it is another one is no attestation at all.
    let lied = attempt(Some(maker.batch(OTHER_MODEL)), |_| {});
    assert!(matches!(lied, Err(PasskeyError::Rejected(_))), "{:?}", lied.err());
    let synced = attempt(Some(maker.batch(MODEL)), |c| c.flags |= BE);
    assert!(
        matches!(synced, Err(PasskeyError::DeviceBoundNeeded | PasskeyError::Rejected(_))),
        "{:?}",
        synced.err()
    );
}

#[test]
fn bar_i5_a_passkey_of_a_laxer_time_is_refused_at_use() {
    let (world, maker) = (World::new(), Maker::new("Soft Keys Root"));
    let (any, attested) = (Demand::default(), listed(&maker, &[MODEL]));
    let (key, plain) = register(&world, (&any, &any), None, |_| {}).unwrap();
    assert!(sign_in(&world, (&key, &plain), &any).is_ok(), "the control");
    assert!(is_refused(&sign_in(&world, (&key, &plain), &attested)));
    assert!(sign_in(&world, (&key, &plain), &demand(PasskeyPolicy::DeviceBound)).is_ok());
}

#[test]
fn bar_i5_what_is_struck_off_the_list_counts_no_more() {
    let (world, maker, other) = (World::new(), Maker::new("Soft Keys Root"), Maker::new("Other Root"));
    let demand = listed(&maker, &[MODEL]);
    let (key, passkey) = register(&world, (&demand, &demand), Some(maker.batch(MODEL)), |_| {}).unwrap();
    assert!(sign_in(&world, (&key, &passkey), &demand).is_ok(), "the control");
    assert!(is_refused(&sign_in(&world, (&key, &passkey), &listed(&maker, &[OTHER_MODEL]))));
    assert!(is_refused(&sign_in(&world, (&key, &passkey), &listed(&other, &[MODEL]))));
}

#[test]
fn bar_i5_a_registration_that_began_under_a_laxer_rule_ends_under_the_new_one() {
    let (world, maker) = (World::new(), Maker::new("Soft Keys Root"));
    let (any, attested) = (Demand::default(), listed(&maker, &[MODEL]));
    assert!(is_refused(&register(&world, (&any, &attested), None, |_| {})));
    let bound = demand(PasskeyPolicy::DeviceBound);
    let synced = register(&world, (&any, &bound), None, |ceremony| ceremony.flags |= BE);
    assert!(matches!(synced, Err(PasskeyError::DeviceBoundNeeded)));
    assert!(register(&world, (&any, &bound), None, |_| {}).is_ok(), "the control");
}

#[test]
fn attested_without_anybody_to_trust_refuses_everybody() {
    let world = World::new();
    let nobody = demand(PasskeyPolicy::Attested);
    assert!(is_refused(&register(&world, (&nobody, &nobody), None, |_| {})));
}
