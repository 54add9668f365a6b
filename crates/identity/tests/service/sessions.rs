//! Seeing and ending one's sessions.

use std::time::Duration;

use carekeep_identity::{
    service::IdentityError,
    session::{Activity, SessionLimits},
};
use carekeep_kernel::{Clock, SessionId, TenantId};

use crate::world::World;

#[tokio::test]
async fn i7_one_sees_and_ends_ones_own_sessions_and_nobody_elses() {
    let world = World::new();
    let (ada, first) = world.person("ada").await;
    let second = world.sign_in(&ada).await;
    let (_, bobs) = world.person("bob").await;
    let mine = world.identity.list_sessions(&second).await.unwrap();
    assert_eq!(mine.len(), 2);
    let bob = world.identity.list_sessions(&bobs).await.unwrap();
    assert_eq!(bob.len(), 1);

    assert!(!world.identity.revoke_session(&second, bob[0].id).await.unwrap(), "not bob's");
    assert!(
        !world
            .identity
            .revoke_session(&second, SessionId::generate(&*world.clock, &*world.random))
            .await
            .unwrap()
    );
    assert!(world.identity.authenticate(&bobs, Activity::Use).await.is_ok());

    let current = world.identity.authenticate(&second, Activity::Use).await.unwrap().session.id;
    let other = mine.iter().find(|session| session.id != current).unwrap().id;
    assert!(world.identity.revoke_session(&second, other).await.unwrap());
    assert!(matches!(
        world.identity.authenticate(&first, Activity::Use).await,
        Err(IdentityError::NoSession)
    ));
    assert!(world.identity.authenticate(&second, Activity::Use).await.is_ok());
}

#[tokio::test]
async fn i7_signing_out_suspending_and_revoking_end_a_session_at_once() {
    let world = World::new();
    let (ada, first) = world.person("ada").await;
    let (second, third) = (world.sign_in(&ada).await, world.sign_in(&ada).await);
    let is_good = async |token: &str| world.identity.authenticate(token, Activity::Use).await.is_ok();

    world.identity.sign_out(&first).await.unwrap();
    assert!(!is_good(&first).await && is_good(&second).await);
    assert_eq!(world.identity.revoke_other_sessions(&second).await.unwrap(), 1);
    assert!(!is_good(&third).await && is_good(&second).await);

    for (_, person) in &mut world.identity.repository().state().people {
        person.barred = Some(world.clock.now());
    }
    assert!(!is_good(&second).await);
    for (_, person) in &mut world.identity.repository().state().people {
        person.barred = None;
    }
    assert!(is_good(&second).await);
    assert_eq!(world.identity.revoke_all_sessions(ada.id).await.unwrap(), 1);
    assert!(!is_good(&second).await);
}

#[tokio::test]
async fn i7_the_limits_are_kept_at_the_second_with_the_writes_saved() {
    let world = World::new();
    let (ada, _) = world.person("ada").await;
    let token = world.sign_in(&ada).await;
    let idle = SessionLimits::STAFF.idle;
    assert!(world.identity.authenticate(&token, Activity::Use).await.is_ok());
    for _ in 0..10 {
        world.clock.advance(idle - Duration::from_secs(1));
        assert!(world.identity.authenticate(&token, Activity::Use).await.is_ok());
    }
    world.clock.advance(idle - Duration::from_secs(1));
    assert!(world.identity.authenticate(&token, Activity::Background).await.is_ok());
    world.clock.advance(Duration::from_secs(1));
    assert!(world.identity.authenticate(&token, Activity::Use).await.is_err());
}

#[tokio::test]
async fn a_session_of_another_tenant_is_no_session() {
    let world = World::new();
    let (_, token) = world.person("ada").await;
    assert!(world.identity.authenticate(&token, Activity::Use).await.is_ok());
    let elsewhere = TenantId::generate(&*world.clock, &*world.random);
    for (_, person) in &mut world.identity.repository().state().people {
        person.tenant = elsewhere;
    }
    assert!(matches!(
        world.identity.authenticate(&token, Activity::Use).await,
        Err(IdentityError::NoSession)
    ));
}

#[tokio::test]
async fn what_is_no_token_is_no_session() {
    let world = World::new();
    for text in
        ["", "cks_", "cki_AAAA", &"x".repeat(100_000), "cks_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let outcome = world.identity.authenticate(text, Activity::Use).await;
        assert!(matches!(outcome, Err(IdentityError::NoSession)), "{text:.50}");
    }
}
