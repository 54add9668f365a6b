//! Coming in by invitation, and changing factors later.

use std::time::Duration;

use carekeep_identity::{
    Aal,
    flow::SessionState,
    invite::INVITE_LIFETIME,
    service::IdentityError,
    session::{Activity, FRESH_FACTOR},
};
use carekeep_kernel::Clock;

use crate::{
    memory::Read,
    world::{Device, PASSWORD, World},
};

#[tokio::test]
async fn i10_an_invitation_leads_to_level_2_only_over_two_enrolled_factors() {
    let world = World::new();
    let id = world.newcomer("ada");
    let enrolling = world.accept(&world.link(id).await).await.unwrap();
    assert_eq!(enrolling.session.state.aal(), Aal::None);
    let half = world
        .done(
            world
                .identity
                .set_password(enrolling.token.reveal(), PASSWORD.to_owned().into(), Vec::new())
                .await,
        )
        .await
        .unwrap();
    assert_eq!(half.session.state.aal(), Aal::None);
    assert!(matches!(world.password("ada", PASSWORD).await, Err(IdentityError::Refused)), "not yet");
    let (token, _) = world.set_up_codes(half.token.reveal()).await;
    let live = world.identity.authenticate(&token, Activity::Use).await.unwrap();
    assert_eq!(live.session.state, SessionState::Active { must_reenrol: false });
    assert_eq!(live.person.activated, Some(world.clock.now()));
    assert!(world.password("ada", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn i1_a_passkey_alone_completes_an_enrolment() {
    let world = World::new();
    let id = world.newcomer("ada");
    let enrolling = world.accept(&world.link(id).await).await.unwrap();
    let token = world.set_up_passkey(enrolling.token.reveal(), &mut Device::new()).await;
    let live = world.identity.authenticate(&token, Activity::Use).await.unwrap();
    assert_eq!(live.session.state.aal(), Aal::Two);
}

#[tokio::test]
async fn an_invitation_works_once_and_for_72_hours() {
    let world = World::new();
    let id = world.newcomer("ada");
    let (used, late) = (world.link(id).await, world.link(id).await);
    assert!(world.accept(&used).await.is_ok());
    let again = world.identity.accept_invite(&used, None).await.err().map(|error| error.to_string());
    world.clock.advance(INVITE_LIFETIME);
    let expired = world.identity.accept_invite(&late, None).await.err().map(|error| error.to_string());
    let unknown =
        world.identity.accept_invite("cki_nonsense", None).await.err().map(|error| error.to_string());
    assert!(again.is_some());
    assert_eq!((&again, &again), (&expired, &unknown));
}

#[tokio::test]
async fn an_invitation_works_once_also_for_two_at_the_same_moment() {
    let world = World::new();
    let id = world.newcomer("ada");
    let link = world.link(id).await;
    world.identity.repository().let_them_meet(Read::Invite, 2);
    let (one, two) = tokio::join!(world.accept(&link), world.accept(&link));
    assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1);
}

#[tokio::test]
async fn of_two_steps_of_a_session_at_the_same_moment_one_counts_and_its_codes_work() {
    let world = World::new();
    let (_, token) = world.person("ada").await;
    world.identity.repository().let_them_meet(Read::Session, 2);
    let (one, two) = tokio::join!(world.new_codes(&token), world.new_codes(&token));
    world.identity.repository().part();
    let mut winners: Vec<_> = [one, two].into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    let (_, codes) = winners.remove(0);
    let pending = world.password("ada", PASSWORD).await.unwrap();
    assert!(world.identity.prove_recovery_code(pending.token.reveal(), codes[9].reveal()).await.is_ok());
}

#[tokio::test]
async fn bar_i6_somebody_who_was_set_up_once_never_comes_in_by_a_link_again() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let link = world.link(person.id).await;
    let refused = world.accept(&link).await;
    assert!(matches!(refused, Err(IdentityError::OutOfOrder(_))));
    assert!(world.password("ada", PASSWORD).await.is_ok(), "and nothing of theirs was touched");
}

#[tokio::test]
async fn a_second_link_forgets_what_an_unfinished_enrolment_left_behind() {
    let world = World::new();
    let id = world.newcomer("ada");
    let first = world.accept(&world.link(id).await).await.unwrap();
    let stranger = world
        .done(
            world
                .identity
                .set_password(first.token.reveal(), "chosen by a stranger".to_owned().into(), Vec::new())
                .await,
        )
        .await
        .unwrap();
    let second = world.accept(&world.link(id).await).await.unwrap();
    let dead = world.identity.authenticate(stranger.token.reveal(), Activity::Use).await;
    assert!(matches!(dead, Err(IdentityError::NoSession)));
    world.set_up_passkey(second.token.reveal(), &mut Device::new()).await;
    assert!(matches!(world.password("ada", "chosen by a stranger").await, Err(IdentityError::Refused)));
}

#[tokio::test]
async fn an_enrolling_and_a_pending_session_can_do_nothing_else() {
    let world = World::new();
    let id = world.newcomer("new");
    let enrolling = world.accept(&world.link(id).await).await.unwrap();
    world.person("ada").await;
    let pending = world.password("ada", PASSWORD).await.unwrap();
    for token in [enrolling.token.reveal(), pending.token.reveal()] {
        assert!(world.identity.list_sessions(token).await.is_err());
        assert!(world.identity.revoke_other_sessions(token).await.is_err());
        assert!(world.identity.new_recovery_codes(token).await.is_err());
        assert!(
            world.identity.authenticate(token, Activity::Use).await.is_ok(),
            "the control: the token is good"
        );
    }
    let token = pending.token.reveal();
    assert!(world.identity.begin_totp(token, "x", "x").await.is_err());
    assert!(world.identity.begin_passkey_enrolment(token, "x", "x").await.is_err());
    assert!(
        world
            .done(world.identity.set_password(token, PASSWORD.to_owned().into(), Vec::new()).await)
            .await
            .is_err()
    );
    assert!(world.identity.prove_code(enrolling.token.reveal(), "000000").await.is_err());
}

#[tokio::test]
async fn bar_i2_asvs_7_5_1_changing_factors_later_needs_a_fresh_one() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let token = world.sign_in(&person).await;
    world.clock.advance(FRESH_FACTOR);
    let stale = [
        world.identity.set_password(&token, PASSWORD.to_owned().into(), Vec::new()).await.err(),
        world.identity.begin_totp(&token, "x", "x").await.err(),
        world.identity.begin_passkey_enrolment(&token, "x", "x").await.err(),
        world.identity.new_recovery_codes(&token).await.err(),
    ];
    for error in stale {
        assert!(matches!(error, Some(IdentityError::FreshFactorNeeded)), "{error:?}");
    }
    let fresh = world.identity.prove_code(&token, &world.code(&person)).await.unwrap();
    assert!(world.new_codes(fresh.token.reveal()).await.is_ok());
}

#[tokio::test]
async fn a_new_password_replaces_the_old_and_signs_the_others_out() {
    let world = World::new();
    let (person, other) = world.person("ada").await;
    let token = world.sign_in(&person).await;
    let new = "a quite different saying";
    let weak =
        world.done(world.identity.set_password(&token, "password".to_owned().into(), Vec::new()).await).await;
    assert!(matches!(weak, Err(IdentityError::Policy(_))));
    assert!(world.identity.authenticate(&other, Activity::Background).await.is_ok());
    let after = world
        .done(world.identity.set_password(&token, new.to_owned().into(), Vec::new()).await)
        .await
        .unwrap();
    assert!(world.identity.authenticate(&other, Activity::Background).await.is_err());
    assert!(world.identity.authenticate(after.token.reveal(), Activity::Use).await.is_ok());
    assert!(matches!(world.password("ada", PASSWORD).await, Err(IdentityError::Refused)));
    assert!(world.password("ada", new).await.is_ok());
}

#[tokio::test]
async fn a_wrong_first_code_sets_nothing_up() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let token = world.sign_in(&person).await;
    world.identity.begin_totp(&token, "Bright Clinic", "ada").await.unwrap();
    assert!(matches!(
        world.done(world.identity.confirm_totp(&token, "000000").await).await,
        Err(IdentityError::Refused)
    ));
    world.clock.advance(Duration::from_secs(60));
    let old = world.sign_in(&person).await;
    assert!(world.identity.authenticate(&old, Activity::Use).await.is_ok(), "the old generator still works");
}
