//! Signing in, and not.

use std::sync::Arc;

use carekeep_identity::{
    Aal,
    flow::SessionState,
    password::HashSettings,
    service::{IdentityError, LoginName, Repository, TenantSettings, repository::LockKey},
    session::Activity,
};

use crate::{
    memory::Read,
    world::{Device, PASSWORD, World},
};

#[tokio::test]
async fn i3_password_and_code_give_level_2_and_the_password_alone_does_not() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let pending = world.password(" ADA ", PASSWORD).await.unwrap();
    assert_eq!(pending.session.state.aal(), Aal::One);
    let active = world.identity.prove_code(pending.token.reveal(), &world.code(&person)).await.unwrap();
    assert_eq!(active.session.state, SessionState::Active { must_reenrol: false });
    let old = world.identity.authenticate(pending.token.reveal(), Activity::Use).await;
    assert!(matches!(old, Err(IdentityError::NoSession)), "the first token is dead");
    assert!(world.identity.authenticate(active.token.reveal(), Activity::Use).await.is_ok());
}

#[tokio::test]
async fn bar_i2_asvs_6_3_8_nobody_learns_who_exists() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let barred = world.newcomer("gone");
    world.newcomer("half");
    for (_, one) in &mut world.identity.repository().state().people {
        if one.id == barred {
            one.activated = Some(one.activated.unwrap_or(carekeep_kernel::Timestamp::from_micros(1)));
            one.barred = one.activated;
        }
    }
    assert!(world.password(&person.login, PASSWORD).await.is_ok(), "the control");
    let mut answers = Vec::new();
    for login in ["ada", "nobody", "gone", "half"] {
        let mut answer = Vec::new();
        // Beyond the guess limit too.
        for _ in 0..12 {
            answer
                .push(world.password(login, "wrong wrong wrong").await.err().map(|error| error.to_string()));
        }
        answers.push(answer);
    }
    assert!(answers[0][0].is_some() && answers[0][0] != answers[0][11], "{:?}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn i2_a_code_is_used_once_even_by_fifty_at_once() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let mut tokens = Vec::new();
    for _ in 0..50 {
        let pending = world.password("ada", PASSWORD).await.unwrap();
        tokens.push(pending.token.reveal().to_owned());
    }
    let code = world.code(&person);
    // Of the fifty three are let through to guess at all, and those three read the generator at the same moment.
    world.identity.repository().let_them_meet(Read::Totp, 3);
    let race: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let (identity, code) = (Arc::clone(&world.identity), code.clone());
            tokio::spawn(async move { identity.prove_code(&token, &code).await.is_ok() })
        })
        .collect();
    let mut winners = 0;
    for one in race {
        winners += usize::from(one.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn bar_i6_a_recovery_code_is_used_once_even_by_fifty_at_once() {
    let world = World::new();
    let (_, token) = world.person("ada").await;
    let (_, codes) = world.new_codes(&token).await.unwrap();
    let code = codes[0].reveal().to_owned();
    let mut tokens = Vec::new();
    for _ in 0..50 {
        tokens.push(world.password("ada", PASSWORD).await.unwrap().token.reveal().to_owned());
    }
    // Of the fifty five are let through to guess at all, and those five read the codes at the same moment.
    world.identity.repository().let_them_meet(Read::Codes, 5);
    let race: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let (identity, code) = (Arc::clone(&world.identity), code.clone());
            tokio::spawn(async move { identity.prove_recovery_code(&token, &code).await.is_ok() })
        })
        .collect();
    let mut winners = 0;
    for one in race {
        winners += usize::from(one.await.unwrap());
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn i6_a_recovery_code_lets_in_flagged_and_a_new_set_kills_the_old() {
    let world = World::new();
    let (_, token) = world.person("ada").await;
    let (after, old) = world.new_codes(&token).await.unwrap();
    let (_, new) = world.new_codes(after.token.reveal()).await.unwrap();
    let pending = world.password("ada", PASSWORD).await.unwrap();
    let token = pending.token.reveal();
    let refused = world.identity.prove_recovery_code(token, old[0].reveal()).await;
    assert!(matches!(refused, Err(IdentityError::Refused)));
    let inside = world.identity.prove_recovery_code(token, new[0].reveal()).await.unwrap();
    assert_eq!(inside.session.state, SessionState::Active { must_reenrol: true });
    let (token, _) = world.set_up_codes(inside.token.reveal()).await;
    let live = world.identity.authenticate(&token, Activity::Use).await.unwrap();
    assert_eq!(live.session.state, SessionState::Active { must_reenrol: false });
}

#[tokio::test]
async fn a_recovery_code_without_the_password_is_nothing() {
    let world = World::new();
    let (_, token) = world.person("ada").await;
    let (signed_in, codes) = world.new_codes(&token).await.unwrap();
    for token in ["", "cks_", signed_in.token.reveal()] {
        assert!(world.identity.prove_recovery_code(token, codes[0].reveal()).await.is_err(), "{token}");
    }
}

#[tokio::test]
async fn i1_i9_a_passkey_signs_in_without_a_login_name_also_during_an_attack_on_the_password() {
    let world = World::new();
    let (person, token) = world.person("ada").await;
    let mut device = Device::new();
    world.set_up_passkey(&token, &mut device).await;
    for _ in 0..20 {
        let _ = world.password("ada", "guess guess guess").await;
    }
    assert!(matches!(world.password("ada", PASSWORD).await, Err(IdentityError::TooMany(_))));
    let (ceremony, holder, response) = world.passkey_answer(person.id, &mut device).await;
    let inside = world.identity.finish_passkey_sign_in(ceremony, &holder, &response, None).await.unwrap();
    assert_eq!(inside.session.state.aal(), Aal::Two);
    assert_eq!(inside.session.person, person.id);

    let replay = world.identity.finish_passkey_sign_in(ceremony, &holder, &response, None).await;
    assert!(matches!(replay, Err(IdentityError::Passkey(_))), "a ceremony is finished once");
}

#[tokio::test]
async fn bar_i4_a_stolen_ceremony_a_removed_passkey_and_a_barred_owner_are_refused_alike() {
    let world = World::new();
    let (person, token) = world.person("ada").await;
    let mut device = Device::new();
    world.set_up_passkey(&token, &mut device).await;
    let finish = async |ceremony, holder: &str, response: &_| {
        world.identity.finish_passkey_sign_in(ceremony, holder, response, None).await.map(|_| ())
    };
    let (ceremony, _, response) = world.passkey_answer(person.id, &mut device).await;
    let (other, other_holder, _) = world.passkey_answer(person.id, &mut device).await;
    assert!(matches!(finish(ceremony, &other_holder, &response).await, Err(IdentityError::Passkey(_))));
    assert!(matches!(finish(other, &other_holder, &response).await, Err(IdentityError::Passkey(_))));

    let (ceremony, holder, mut response) = world.passkey_answer(person.id, &mut device).await;
    response.raw_id = vec![9; 16];
    let unknown = finish(ceremony, &holder, &response).await.unwrap_err().to_string();

    let (ceremony, holder, response) = world.passkey_answer(person.id, &mut device).await;
    for (_, one) in &mut world.identity.repository().state().people {
        one.barred = Some(carekeep_kernel::Timestamp::from_micros(1));
    }
    assert_eq!(finish(ceremony, &holder, &response).await.unwrap_err().to_string(), unknown);
    for (_, one) in &mut world.identity.repository().state().people {
        one.barred = None;
    }
    let (ceremony, holder, response) = world.passkey_answer(person.id, &mut device).await;
    assert!(finish(ceremony, &holder, &response).await.is_ok(), "the control");
}

#[tokio::test]
async fn of_two_copies_of_an_authenticator_at_the_same_moment_one_gets_in() {
    let world = World::new();
    let (person, token) = world.person("ada").await;
    let mut device = Device::new();
    world.set_up_passkey(&token, &mut device).await;
    let (one, one_holder, first) = world.passkey_answer(person.id, &mut device).await;
    let (two, two_holder, second) = world.passkey_answer(person.id, &mut device).await;
    world.identity.repository().let_them_meet(Read::Passkey, 2);
    let (first, second) = tokio::join!(
        world.identity.finish_passkey_sign_in(one, &one_holder, &first, None),
        world.identity.finish_passkey_sign_in(two, &two_holder, &second, None),
    );
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
}

#[tokio::test]
async fn a_passkey_is_a_second_factor_after_the_password() {
    use webauthn_authenticator_rs::WebauthnAuthenticator;
    let world = World::new();
    let (_, token) = world.person("ada").await;
    let mut device = Device::new();
    world.set_up_passkey(&token, &mut device).await;
    let pending = world.password("ada", PASSWORD).await.unwrap();
    let token = pending.token.reveal();
    let (challenge, ceremony) = world.identity.begin_passkey_step(token).await.unwrap();
    let response = device.soft.do_authentication(crate::world::origin(), challenge).unwrap();
    let active = world.identity.finish_passkey_step(token, ceremony, &response).await.unwrap();
    assert_eq!(active.session.state.aal(), Aal::Two);
    assert!(world.identity.finish_passkey_step(active.token.reveal(), ceremony, &response).await.is_err());
}

#[tokio::test]
async fn wrong_codes_are_limited_across_sessions() {
    let world = World::new();
    let (person, _) = world.person("ada").await;
    let mut outcomes = Vec::new();
    for _ in 0..4 {
        let pending = world.password("ada", PASSWORD).await.unwrap();
        outcomes.push(world.identity.prove_code(pending.token.reveal(), "000000").await.err());
    }
    assert!(outcomes[..3].iter().all(|error| matches!(error, Some(IdentityError::Refused))), "{outcomes:?}");
    assert!(matches!(outcomes[3], Some(IdentityError::TooMany(_))), "{outcomes:?}");
    world.next_step();
    let pending = world.password("ada", PASSWORD).await.unwrap();
    assert!(world.identity.prove_code(pending.token.reveal(), &world.code(&person)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_answers_busy_and_costs_nobody_a_guess() {
    let hashes = HashSettings { parallel: 1, waiting: 0, ..HashSettings::default() };
    let world = World::with(hashes, TenantSettings::default());
    let (person, _) = world.person("ada").await;
    let storm: Vec<_> = (0..10)
        .map(|_| {
            let identity = Arc::clone(&world.identity);
            tokio::spawn(async move { identity.sign_in_with_password("ada", PASSWORD, None).await.err() })
        })
        .collect();
    let mut busy = 0;
    for one in storm {
        busy += usize::from(matches!(one.await.unwrap(), Some(IdentityError::Busy)));
    }
    assert!(busy > 0, "the pool was never full");
    let login = LoginName::parse(&person.login).unwrap();
    let (mut state, _) = world.identity.repository().lock(LockKey::Login(&login)).await.unwrap();
    let left =
        (0..100).take_while(|_| state.attempt(carekeep_kernel::Clock::now(&*world.clock)).is_ok()).count();
    assert_eq!(left, 6, "as many free guesses as on the first day");
}

#[tokio::test]
async fn a_tenant_without_passwords_takes_none() {
    let world = World::new();
    world.identity.repository().state().without_passwords = true;
    let id = world.newcomer("ada");
    assert!(matches!(world.password("ada", PASSWORD).await, Err(IdentityError::NoPasswords)));
    let enrolling = world.accept(&world.link(id).await).await.unwrap();
    let token = enrolling.token.reveal();
    let refused =
        world.done(world.identity.set_password(token, PASSWORD.to_owned().into(), Vec::new()).await).await;
    assert!(matches!(refused, Err(IdentityError::NoPasswords)));
    let mut device = Device::new();
    let token = world.set_up_passkey(token, &mut device).await;
    assert!(world.identity.authenticate(&token, Activity::Use).await.is_ok(), "the control: a passkey");
}

#[tokio::test]
async fn i5_a_right_password_is_half_of_nothing_once_the_tenant_takes_none() {
    for without in [false, true] {
        let world = World::new();
        let (person, _) = world.person("ada").await;
        world.next_step();
        let pending = world.password("ada", PASSWORD).await.unwrap();
        world.identity.repository().state().without_passwords = without;
        let proven = world.identity.prove_code(pending.token.reveal(), &world.code(&person)).await;
        assert_eq!(matches!(proven, Err(IdentityError::NoPasswords)), without);
        assert_eq!(proven.is_ok(), !without);
    }
}
