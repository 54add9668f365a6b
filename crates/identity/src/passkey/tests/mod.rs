//! Ceremonies that succeed, and the many that must not (BARS I4). Every negative vector is one change of a ceremony that
//! succeeds in the same test.

mod attestation;
mod authenticator;
mod registration;
mod sign_in;
mod soft_passkey;

use std::time::Duration;

use authenticator::{Ceremony, SoftKey, UP, UV};
use carekeep_kernel::{Clock, ManualClock, PersonId, SeededRandom, TenantId, Timestamp};

use super::*;
use crate::{TokenKind, token};

const ORIGIN: &str = "https://bright.clinic.example:8443";

/// Two tenants next to each other, and people in them.
struct World {
    clock: ManualClock,
    random: SeededRandom,
    party: RelyingParty,
    sibling: RelyingParty,
    tenant: TenantId,
    sibling_tenant: TenantId,
    person: PersonId,
    other: PersonId,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
        let random = SeededRandom::new(1);
        let (tenant, sibling_tenant) =
            (TenantId::generate(&clock, &random), TenantId::generate(&clock, &random));
        let party = RelyingParty::new(tenant, "bright.clinic.example", 8443, "Bright Clinic").unwrap();
        let sibling = RelyingParty::new(sibling_tenant, "dark.clinic.example", 8443, "Dark Clinic").unwrap();
        let (person, other) = (PersonId::generate(&clock, &random), PersonId::generate(&clock, &random));
        Self { clock, random, party, sibling, tenant, sibling_tenant, person, other }
    }

    fn source(&self) -> (&dyn carekeep_kernel::Clock, &dyn carekeep_kernel::Random) {
        (&self.clock, &self.random)
    }

    /// A session of `person`, or a visitor.
    fn holder(&self, person: Option<PersonId>) -> Holder {
        let (_, token) = token::issue(TokenKind::Session, &self.random);
        Holder { tenant: self.tenant, token, person }
    }

    fn start_registration(
        &self,
        holder: Holder,
        existing: &[PasskeyRecord],
    ) -> (CreationChallengeResponse, CeremonyRecord) {
        let newcomer = Newcomer { person: holder.person.unwrap(), login: "ada", display_name: "Dr. Ada" };
        self.party
            .start_registration(holder, (newcomer, &Demand::default()), existing, self.source())
            .unwrap()
    }

    /// A passkey of `person`, registered with these flags and this counter.
    fn registered(&self, person: PersonId, flags: u8, counter: u32) -> (SoftKey, PasskeyRecord) {
        let holder = self.holder(Some(person));
        let (challenge, ceremony) = self.start_registration(holder, &[]);
        let id = token::issue(TokenKind::Session, &self.random).1;
        let key = SoftKey::new(id.as_bytes(), person.as_bytes());
        let response =
            Ceremony { flags, counter, ..Ceremony::registration(&challenge, ORIGIN) }.register(&key);
        let record = self
            .party
            .finish_registration(ceremony, (holder, &Demand::default()), (&response, "key"), self.source())
            .unwrap();
        (key, record)
    }
}

fn demand(policy: PasskeyPolicy) -> Demand {
    Demand::new(policy, &[]).unwrap()
}

/// A refusal must be for the reason that the vector is about, and not for a mistake in the test. `why` is what the reason
/// is called, or several words one of which it is.
fn assert_reason(what: &str, why: &str, reason: &Reason) {
    let said = format!("{reason:?}");
    assert!(why.split(' ').any(|word| said.contains(word)), "{what}: expected {why}, was {said}");
}

#[test]
fn only_a_canonical_host_name_can_have_passkeys() {
    let world = World::new();
    let make = |host: &str| RelyingParty::new(world.tenant, host, 443, "Clinic").is_ok();
    assert!(make("bright.clinic.example"));
    assert!(make("acme.localhost"));
    for bad in
        ["", "127.0.0.1", "[::1]", "Bright.clinic.example", "bright.clinic.example/", "a b", "x@evil.example"]
    {
        assert!(!make(bad), "{bad}");
    }
}

#[test]
fn a_registration_asks_for_a_verified_discoverable_credential_of_this_host() {
    let world = World::new();
    let (_, known) = world.registered(world.person, UP | UV, 0);
    let (challenge, ceremony) = world.start_registration(world.holder(Some(world.person)), &[known]);
    let sent = serde_json::to_value(&challenge).unwrap();
    let options = &sent["publicKey"];
    assert_eq!(options["rp"]["id"], "bright.clinic.example");
    assert_eq!(options["rp"]["name"], "Bright Clinic");
    assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
    assert_eq!(options["authenticatorSelection"]["requireResidentKey"], true);
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["excludeCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(options["timeout"], 300_000);
    assert_eq!(ceremony.expires.since(ceremony.created), Duration::from_secs(300));
}

#[test]
fn a_sign_in_without_a_login_name_can_be_a_dialogue_or_a_suggestion() {
    let world = World::new();
    let start = |mediation| {
        let (challenge, _) =
            world.party.start_discoverable(world.holder(None), mediation, world.source()).unwrap();
        serde_json::to_value(&challenge).unwrap()
    };
    assert_eq!(start(Mediation::Conditional)["mediation"], "conditional");
    let modal = start(Mediation::Modal);
    assert!(modal.get("mediation").is_none());
    assert_eq!(modal["publicKey"]["userVerification"], "required");
    assert_eq!(
        modal["publicKey"]["allowCredentials"].as_array().unwrap().len(),
        0,
        "names nobody's credential"
    );
}

#[test]
fn a_begun_ceremony_survives_being_stored() {
    let world = World::new();
    let holder = world.holder(Some(world.person));
    let (challenge, ceremony) = world.start_registration(holder, &[]);
    let stored = serde_json::to_string(&ceremony).unwrap();
    let read: CeremonyRecord = serde_json::from_str(&stored).unwrap();
    let key = SoftKey::new(b"credential-0001", world.person.as_bytes());
    let response = Ceremony::registration(&challenge, ORIGIN).register(&key);
    let demand = demand(PasskeyPolicy::DeviceBound);
    world.party.finish_registration(read, (holder, &demand), (&response, "key"), world.source()).unwrap();
}
