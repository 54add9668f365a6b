//! The same with an authenticator that is not ours: `SoftPasskey` of webauthn-authenticator-rs.

use webauthn_authenticator_rs::{WebauthnAuthenticator, softpasskey::SoftPasskey};
use webauthn_rs::prelude::Url;

use super::*;

#[test]
fn i1_an_independent_authenticator_registers_and_signs_in() {
    let world = World::new();
    let origin = Url::parse(ORIGIN).unwrap();
    let mut authenticator = SoftPasskey::new(true);
    let holder = world.holder(Some(world.person));

    let (mut challenge, ceremony) = world.start_registration(holder, &[]);
    // It has no store for discoverable keys.
    if let Some(selection) = &mut challenge.public_key.authenticator_selection {
        selection.require_resident_key = false;
    }
    let response = authenticator.do_registration(origin.clone(), challenge).unwrap();
    let demand = demand(PasskeyPolicy::DeviceBound);
    let mut passkey = world
        .party
        .finish_registration(ceremony, (holder, &demand), (&response, "soft"), world.source())
        .unwrap();

    for _ in 0..2 {
        let before = passkey.counter;
        let (challenge, ceremony) =
            world.party.start_authentication(holder, std::slice::from_ref(&passkey), world.source()).unwrap();
        let response = authenticator.do_authentication(origin.clone(), challenge).unwrap();
        let by = (holder, &demand);
        passkey =
            world.party.finish_authentication(ceremony, by, (&response, passkey), world.clock.now()).unwrap();
        assert!(passkey.counter > before);
    }
}
