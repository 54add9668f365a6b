//! I7, BARS I1: sessions end at the second, and nothing but use puts that off.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use carekeep_kernel::{Clock, ManualClock, Timestamp};
use carekeep_policy::Role;
use carekeep_testkit::{Person, PersonSpec, Platform};
use carekeep_vault::{Activity, Caller, Origin, SessionError, Vault};

const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
const STAFF_IDLE: u64 = 15 * 60;
const PATIENT_IDLE: u64 = 30 * 60;
const ABSOLUTE: u64 = 12 * 60 * 60;

struct Desk {
    platform: Platform,
    clock: Arc<ManualClock>,
    vault: Arc<Vault>,
    nurse: Person,
    patient: Person,
}

impl Desk {
    async fn open() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let platform = Platform::start_at(Arc::clone(&clock) as Arc<dyn Clock>).await;
        let tenant = platform.tenant("acme").await.id;
        let spec = |roles: &'static [Role]| PersonSpec { roles, ..PersonSpec::default() };
        let nurse = platform.person(tenant, spec(&[Role::Nurse])).await;
        let patient = platform.person(tenant, spec(&[Role::Patient])).await;
        let vault = platform.vault().await;
        Self { platform, clock, vault, nurse, patient }
    }

    /// Sets the clock so many seconds after the sessions began.
    fn at(&self, seconds: u64) {
        self.clock.set(START + Duration::from_secs(seconds));
    }

    async fn ask(&self, person: &Person, activity: Activity) -> Result<Caller, SessionError> {
        self.ask_at(&self.vault, person, activity).await
    }

    async fn ask_at(&self, at: &Vault, person: &Person, activity: Activity) -> Result<Caller, SessionError> {
        let origin = Origin { address: IpAddr::V4(Ipv4Addr::LOCALHOST), request: [7; 16], activity };
        at.authenticate(person.tenant, &person.token, origin).await
    }

    async fn is_live(&self, person: &Person) -> bool {
        match self.ask(person, Activity::Background).await {
            Ok(_) => true,
            Err(SessionError::Unknown) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn i7_an_idle_session_ends_at_the_second_and_looking_on_does_not_put_it_off() {
    let desk = Desk::open().await;
    for (person, idle) in [(&desk.nurse, STAFF_IDLE), (&desk.patient, PATIENT_IDLE)] {
        for second in (0..idle).step_by(100) {
            desk.at(second);
            assert!(desk.is_live(person).await, "{second}");
        }
        desk.at(idle - 1);
        let caller = desk.ask(person, Activity::Background).await.unwrap();
        assert_eq!(caller.signed_out_at(), START + Duration::from_secs(idle));
        desk.at(idle);
        assert!(!desk.is_live(person).await);
        desk.at(idle + 1);
        assert!(desk.ask(person, Activity::Use).await.is_err(), "use does not revive it");
    }
}

#[tokio::test]
async fn i7_use_is_remembered_to_the_second_though_the_row_learns_of_it_later() {
    let desk = Desk::open().await;
    // 20 s: too soon to be written down.
    for second in [0, 20] {
        desk.at(second);
        desk.ask(&desk.nurse, Activity::Use).await.unwrap();
    }
    desk.at(20 + STAFF_IDLE - 1);
    assert!(desk.is_live(&desk.nurse).await);
    desk.at(20 + STAFF_IDLE);
    assert!(!desk.is_live(&desk.nurse).await);
}

#[tokio::test]
async fn i7_another_process_that_did_not_see_the_last_use_ends_the_session_at_the_second_too() {
    let desk = Desk::open().await;
    let mut config = desk.platform.vault_config();
    config.sessions.settled = Duration::from_millis(50);
    let [one, other] = [desk.platform.vault_with(config).await, desk.platform.vault().await];
    for (person, idle) in [(&desk.nurse, STAFF_IDLE), (&desk.patient, PATIENT_IDLE)] {
        // 20 s: too soon to be written down at once.
        for second in [0, 20] {
            desk.at(second);
            desk.ask_at(&one, person, Activity::Use).await.unwrap();
        }
        desk.written(person, 20).await;
        for at in [&one, &other] {
            desk.at(20 + idle - 1);
            desk.ask_at(at, person, Activity::Background).await.unwrap();
            desk.at(20 + idle);
            assert!(desk.ask_at(at, person, Activity::Background).await.is_err(), "and no later");
        }
    }
}

#[tokio::test]
async fn i7_a_use_that_is_lost_with_its_process_ends_a_session_half_a_minute_early_at_most() {
    let desk = Desk::open().await;
    let mut used = 0;
    while used < ABSOLUTE / 4 {
        used += 29;
        desk.at(used);
        // What a page does by itself in between must not hide the use from the row.
        desk.ask(&desk.nurse, Activity::Background).await.unwrap();
        desk.ask(&desk.nurse, Activity::Use).await.unwrap();
        if used % (29 * 50) == 0 {
            desk.written(&desk.nurse, used - 30).await;
            desk.at(used + STAFF_IDLE - 31);
            let other = desk.platform.vault().await;
            assert!(desk.ask_at(&other, &desk.nurse, Activity::Background).await.is_ok(), "{used}");
            desk.at(used);
        }
    }
}

impl Desk {
    /// Waits until the row knows of a use at this second or later: it is written beside the request.
    async fn written(&self, person: &Person, second: u64) {
        let wanted = START + Duration::from_secs(second);
        let began = std::time::Instant::now();
        while self.platform.last_seen(person).await < wanted {
            assert!(began.elapsed() < Duration::from_secs(5), "the use was not written down");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn i7_a_session_in_use_ends_after_twelve_hours_at_the_second() {
    let desk = Desk::open().await;
    for second in (0..ABSOLUTE).step_by(600) {
        desk.at(second);
        for person in [&desk.nurse, &desk.patient] {
            desk.ask(person, Activity::Use).await.unwrap();
        }
    }
    for person in [&desk.nurse, &desk.patient] {
        desk.at(ABSOLUTE - 1);
        let caller = desk.ask(person, Activity::Use).await.unwrap();
        assert_eq!(caller.signed_out_at(), START + Duration::from_secs(ABSOLUTE));
        desk.at(ABSOLUTE);
        assert!(desk.ask(person, Activity::Use).await.is_err());
    }
}
