use carekeep_kernel::{Random, SeededRandom, random};
use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::from_micros(1_700_000_010_000_000);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A wrong attempt at the first moment that is allowed from `now` on; answers with that moment.
fn guess(state: &mut LockState, now: Timestamp) -> Timestamp {
    let at = match state.attempt(now) {
        Ok(()) => now,
        Err(retry) => {
            let later = now + retry.wait;
            assert_eq!(state.attempt(later), Ok(()), "an attempt is allowed when the wait is over");
            later
        }
    };
    state.failed(at);
    at
}

#[test]
fn i9_waits_grow_after_five_wrong_passwords_and_end_with_a_right_one() {
    let mut state = LockState::new(LockKind::Password);
    let mut now = START;
    let mut waits = Vec::new();
    for _ in 0..12 {
        let at = guess(&mut state, now);
        waits.push(at.since(now).as_secs());
        now = at;
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32]);
    now = now + secs(64);
    assert_eq!(state.attempt(now), Ok(()));
    state.succeeded(now);
    assert_eq!(state.attempt(now), Ok(()), "no wait after the right password");
}

#[test]
fn bar_i3_three_codes_per_step_and_no_more() {
    let mut state = LockState::new(LockKind::Totp);
    for _ in 0..3 {
        assert_eq!(state.attempt(START), Ok(()));
        state.failed(START);
    }
    assert_eq!(state.attempt(START), Err(RetryAfter { wait: secs(30) }));
    assert_eq!(state.attempt(START + secs(29)), Err(RetryAfter { wait: secs(1) }));
    assert_eq!(state.attempt(START + secs(30)), Ok(()));
}

#[test]
fn a_hundred_wrong_passwords_a_day_are_the_end_of_the_day_but_not_for_ever() {
    let mut state = LockState::new(LockKind::Password);
    let mut now = START;
    let day_end = START + secs(24 * 3600);
    let mut in_day = 0;
    while now < day_end {
        now = guess(&mut state, now);
        in_day += u32::from(now < day_end);
    }
    assert!(in_day <= 100, "{in_day}");
    assert_eq!(state.attempt(now + secs(3600)), Ok(()), "the next day begins");
}

#[test]
fn right_attempts_of_the_owner_do_not_give_an_attacker_a_new_day() {
    let mut state = LockState::new(LockKind::Password);
    let (mut now, mut wrong) = (START, 0);
    while now < START + secs(24 * 3600) {
        if state.attempt(now).is_ok() {
            state.failed(now);
            wrong += 1;
        }
        // The owner comes by every minute.
        now = now + secs(60);
        if state.attempt(now).is_ok() {
            state.succeeded(now);
        }
    }
    assert_eq!(wrong, 100);
}

#[test]
fn attempts_in_flight_at_once_are_charged_before_they_are_checked() {
    let mut state = LockState::new(LockKind::Totp);
    let started = (0..50).filter(|_| state.attempt(START).is_ok()).count();
    assert_eq!(started, 3);
}

#[test]
fn an_attempt_that_was_never_checked_costs_nothing_and_wins_nothing() {
    let mut state = LockState::new(LockKind::Password);
    for _ in 0..1_000 {
        assert_eq!(state.attempt(START), Ok(()));
        state.given_back(START);
    }
    for _ in 0..6 {
        let _ = state.attempt(START);
        state.failed(START);
    }
    assert!(state.attempt(START).is_err(), "six wrong ones still make the seventh wait");
}

#[test]
fn i9_a_passkey_gets_in_during_an_attack() {
    let (mut password, mut passkey) = (LockState::new(LockKind::Password), LockState::new(LockKind::Passkey));
    let mut now = START;
    for _ in 0..500 {
        let _ = password.attempt(now);
        assert_eq!(passkey.attempt(now), Ok(()));
        assert_eq!(passkey.failed(now), RetryAfter { wait: secs(1) });
        now = now + Duration::from_millis(10);
    }
    assert!(password.attempt(now).is_err(), "the password is under attack");
    assert_eq!(passkey.attempt(now), Ok(()), "and the passkey still works");
}

#[test]
fn the_counters_survive_being_stored() {
    let mut state = LockState::new(LockKind::Totp);
    for _ in 0..3 {
        let _ = state.attempt(START);
    }
    let stored = serde_json::to_string(&state).unwrap();
    let mut read: LockState = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, state);
    assert!(read.attempt(START).is_err());
}

/// One guess every second for eleven and a half days, codes that really change.
#[test]
fn bar_i3_of_a_million_guesses_at_a_code_almost_none_is_even_looked_at() {
    let (mut state, random) = (LockState::new(LockKind::Totp), SeededRandom::new(1));
    let (mut looked_at, mut accepted) = (0_u32, 0_u32);
    let mut in_step = (0_i64, 0_u32);
    for second in 0..1_000_000 {
        let now = START + secs(second);
        if state.attempt(now).is_err() {
            continue;
        }
        looked_at += 1;
        let step = now.as_seconds().div_euclid(30);
        in_step = if in_step.0 == step { (step, in_step.1 + 1) } else { (step, 1) };
        assert!(in_step.1 <= 3, "more than three tries in a step");
        let guess = code(&random);
        let valid = (-1..=1).map(|drift| code(&SeededRandom::new(u64::try_from(step + drift).unwrap())));
        if valid.into_iter().any(|right| right == guess) {
            accepted += 1;
        }
        state.failed(now);
    }
    let days = 1_000_000_u32.div_ceil(86_400);
    assert!(looked_at > 0 && looked_at <= 100 * days, "{looked_at}");
    // Expected: looked_at x 3 / 1,000,000 = 0.0036.
    assert_eq!(accepted, 0);
}

/// An attacker who always waits exactly as long as he must needs 27 years for a million guesses.
#[test]
fn bar_i3_a_million_guesses_at_a_password_take_27_years() {
    let mut state = LockState::new(LockKind::Password);
    let mut now = START;
    for _ in 0..1_000_000 {
        now = guess(&mut state, now);
    }
    let days = now.since(START).as_secs() / 86_400;
    assert!(days >= 9_999, "{days}");
}

fn code(random: &dyn Random) -> u32 {
    u32::from_le_bytes(random::bytes(random)) % 1_000_000
}

#[test]
fn i9_a_clock_set_back_by_a_year_makes_nobody_wait_for_longer_than_a_day() {
    let mut state = LockState::new(LockKind::Password);
    let mut now = START + secs(365 * 24 * 3600);
    for _ in 0..100 {
        now = guess(&mut state, now);
    }
    let refused = state.attempt(START).unwrap_err();
    assert_eq!(refused.wait, secs(24 * 3600));
    assert!(state.attempt(START + refused.wait - secs(1)).is_err());
    assert_eq!(state.attempt(START + refused.wait), Ok(()), "the wait that was promised is the wait");
}

proptest! {
    #[test]
    fn nobody_is_locked_out_for_ever(
        kind in prop_oneof![Just(LockKind::Password), Just(LockKind::Totp), Just(LockKind::Recovery), Just(LockKind::Passkey)],
        steps in prop::collection::vec((-100_000_i64..1_000_000, any::<bool>()), 1..400),
    ) {
        let mut state = LockState::new(kind);
        let mut now = START;
        for (millis, right) in steps {
            // The clock may be set back a little now and then.
            now = Timestamp::from_micros(now.as_micros() + millis * 1_000);
            match state.attempt(now) {
                Ok(()) if right => state.succeeded(now),
                Ok(()) => { state.failed(now); }
                Err(retry) => {
                    prop_assert!(retry.wait <= secs(24 * 3600) && retry.seconds() >= 1);
                    let mut later = state;
                    prop_assert_eq!(later.attempt(now).map_err(|again| again.wait), Err(retry.wait));
                    prop_assert_eq!(later.attempt(now + retry.wait), Ok(()));
                }
            }
        }
        state.attempt(now + secs(24 * 3600)).unwrap();
    }
}
