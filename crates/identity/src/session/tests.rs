use carekeep_kernel::{ManualClock, SeededRandom};

use super::*;
use crate::flow::Enrolment;

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const LIMITS: [SessionLimits; 2] = [SessionLimits::STAFF, SessionLimits::PATIENT];

struct World {
    clock: ManualClock,
    random: SeededRandom,
    who: Who,
}

fn world() -> World {
    let (clock, random) = (ManualClock::at(START), SeededRandom::new(1));
    let who = Who {
        tenant: TenantId::generate(&clock, &random),
        person: PersonId::generate(&clock, &random),
        device: None,
    };
    World { clock, random, who }
}

impl World {
    fn begin(&self, event: Event) -> (SessionRecord, PlainToken) {
        SessionRecord::begin(self.who, event, &self.clock, &self.random).unwrap()
    }

    fn active(&self) -> SessionRecord {
        self.begin(Event::Proven(FactorKind::Passkey)).0
    }
}

fn is_live(verdict: SessionVerdict) -> bool {
    matches!(verdict, SessionVerdict::Live { .. })
}

#[test]
fn i7_an_idle_session_ends_at_the_second() {
    let record = world().active();
    for limits in LIMITS {
        let second_before = START + (limits.idle - Duration::from_secs(1));
        let second_after = START + (limits.idle + Duration::from_secs(1));
        assert!(is_live(record.assess(second_before, limits, Activity::Use)));
        assert_eq!(record.assess(START + limits.idle, limits, Activity::Use), SessionVerdict::Idle);
        assert_eq!(record.assess(second_after, limits, Activity::Use), SessionVerdict::Idle);
    }
}

#[test]
fn i7_a_session_in_use_ends_after_twelve_hours_at_the_second() {
    for limits in LIMITS {
        let mut record = world().active();
        let mut now = START;
        while now < START + (limits.absolute - Duration::from_secs(1)) {
            let SessionVerdict::Live { last_seen, .. } = record.assess(now, limits, Activity::Use) else {
                panic!("ended at {now}");
            };
            record.last_seen = last_seen;
            now = now + Duration::from_secs(60);
        }
        now = START + (limits.absolute - Duration::from_secs(1));
        assert!(is_live(record.assess(now, limits, Activity::Use)));
        let after = now + Duration::from_secs(2);
        assert_eq!(record.assess(after, limits, Activity::Use), SessionVerdict::TooOld);
    }
}

#[test]
fn bar_i1_polling_in_the_background_does_not_keep_a_session_alive() {
    let limits = SessionLimits::STAFF;
    let outcome = |activity| {
        let mut record = world().active();
        let mut verdict = record.assess(START, limits, activity);
        for second in (0..20 * 60).step_by(10) {
            verdict = record.assess(START + Duration::from_secs(second), limits, activity);
            let SessionVerdict::Live { last_seen, .. } = verdict else { break };
            record.last_seen = last_seen;
        }
        verdict
    };
    assert!(is_live(outcome(Activity::Use)));
    assert_eq!(outcome(Activity::Background), SessionVerdict::Idle);
}

#[test]
fn i7_the_last_use_is_written_to_the_second_and_no_more_often() {
    let limits = SessionLimits::STAFF;
    let mut record = world().active();
    let mut writes = 0;
    for tenth in 0..100 {
        let now = START + Duration::from_millis(100 * tenth);
        let SessionVerdict::Live { last_seen, save, .. } = record.assess(now, limits, Activity::Use) else {
            panic!("ended");
        };
        assert_eq!(last_seen, now);
        assert!(save || now.since(record.last_saved) < Duration::from_secs(1), "the store lags by a second");
        record.last_seen = last_seen;
        if save {
            record.last_saved = now;
            writes += 1;
        }
    }
    assert_eq!(writes, 9);
}

#[test]
fn bar_i2_asvs_7_2_4_every_authentication_step_gives_a_new_token() {
    let world = world();
    let (pending, first) = world.begin(Event::Proven(FactorKind::Password));
    assert_eq!(pending.state.aal(), Aal::One);
    let old = pending.token_hash;
    let (active, second) =
        pending.advance(Event::Proven(FactorKind::Totp), world.clock.now(), &world.random).unwrap();
    assert_ne!(first.reveal(), second.reveal());
    assert_ne!(active.token_hash, old);
    assert_eq!(TokenHash::of_presented(TokenKind::Session, second.reveal()), Ok(active.token_hash));
    assert_eq!(active.state.aal(), Aal::Two);
    let before = active.token_hash;
    let (stepped_up, _) =
        active.advance(Event::Proven(FactorKind::Totp), world.clock.now(), &world.random).unwrap();
    assert_ne!(stepped_up.token_hash, before);
}

#[test]
fn step_up_does_not_prolong_the_absolute_limit() {
    let world = world();
    let record = world.active();
    world.clock.advance(Duration::from_secs(11 * 3600));
    let (record, _) =
        record.advance(Event::Proven(FactorKind::Passkey), world.clock.now(), &world.random).unwrap();
    assert_eq!(record.created, START);
    assert!(is_live(record.assess(world.clock.now(), SessionLimits::STAFF, Activity::Use)));
    let end = START + SessionLimits::STAFF.absolute;
    assert_eq!(record.assess(end, SessionLimits::STAFF, Activity::Use), SessionVerdict::TooOld);
}

#[test]
fn a_half_done_sign_in_waits_five_minutes_only() {
    let world = world();
    let (pending, _) = world.begin(Event::Proven(FactorKind::Password));
    let limit = SessionLimits::PENDING.absolute;
    let before = START + (limit - Duration::from_secs(1));
    assert!(is_live(pending.assess(before, SessionLimits::PATIENT, Activity::Use)));
    assert_eq!(pending.assess(START + limit, SessionLimits::PATIENT, Activity::Use), SessionVerdict::TooOld);
    let (enrolling, _) = world.begin(Event::InviteAccepted { has_factors: false });
    assert_eq!(enrolling.state, SessionState::Enrolling(Enrolment::default()));
    assert!(is_live(enrolling.assess(START + limit, SessionLimits::STAFF.at_most(LIMITS[1]), Activity::Use)));
}

#[test]
fn a_revoked_session_is_over_at_once_and_leads_nowhere() {
    let world = world();
    let record = world.active();
    assert!(is_live(record.assess(START, SessionLimits::STAFF, Activity::Use)));
    let revoked = SessionRecord { revoked: Some(START), ..record };
    assert_eq!(revoked.assess(START, SessionLimits::STAFF, Activity::Use), SessionVerdict::Revoked);
    let step = revoked.advance(Event::Proven(FactorKind::Passkey), START, &world.random);
    assert_eq!(step.err(), Some(FlowError::SessionEnded));
}

#[test]
fn bar_i2_asvs_7_5_1_changing_factors_needs_a_factor_of_the_last_five_minutes() {
    let world = world();
    let record = world.active();
    assert!(record.may_change_factors(START));
    assert!(record.may_change_factors(START + (FRESH_FACTOR - Duration::from_secs(1))));
    assert!(!record.may_change_factors(START + FRESH_FACTOR));

    let later = START + Duration::from_secs(3600);
    let (record, _) = record.advance(Event::Proven(FactorKind::Password), later, &world.random).unwrap();
    assert!(!record.may_change_factors(later), "the password alone is not enough");
    let (record, _) = record.advance(Event::Proven(FactorKind::Totp), later, &world.random).unwrap();
    assert!(record.may_change_factors(later));

    let (pending, _) = world.begin(Event::Proven(FactorKind::Password));
    assert!(!pending.may_change_factors(START), "one factor changes nothing");
    let (enrolling, _) = world.begin(Event::InviteAccepted { has_factors: false });
    assert!(enrolling.may_change_factors(START));
}

#[test]
fn fresh_recovery_codes_are_no_proof_of_anything() {
    let world = world();
    let later = START + Duration::from_secs(3600);
    let (record, _) =
        world.active().advance(Event::Enrolled(FactorKind::RecoveryCode), later, &world.random).unwrap();
    assert!(!record.may_change_factors(later));
}

#[test]
fn a_tenant_can_shorten_the_limits_and_not_lengthen_them() {
    let shorter = SessionLimits { idle: Duration::from_secs(60), absolute: Duration::from_secs(3600) };
    let longer = SessionLimits { idle: Duration::from_secs(86_400), absolute: Duration::from_secs(864_000) };
    assert_eq!(SessionLimits::STAFF.at_most(shorter), shorter);
    assert_eq!(SessionLimits::STAFF.at_most(longer), SessionLimits::STAFF);
}
