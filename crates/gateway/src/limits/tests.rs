use carekeep_kernel::{OsRandom, SystemClock};

use super::*;
use crate::edge::shutdown;

fn config() -> LimiterConfig {
    LimiterConfig {
        address: LaneLimit::per_seconds(10, 10),
        sign_in_account: LaneLimit::per_seconds(3, 60),
        ..LimiterConfig::new([7; 32])
    }
}

fn start(config: &LimiterConfig) -> (Arc<Limiter>, Arc<ManualTicks>, shutdown::ShutdownTrigger) {
    let ticks = Arc::new(ManualTicks::default());
    let (trigger, signal) = shutdown::channel();
    (Limiter::start(config, None, Arc::clone(&ticks) as Arc<dyn Ticks>, signal), ticks, trigger)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn o1_a_bucket_empties_refills_and_is_nobody_elses() {
    let (limiter, ticks, _stop) = start(&config());
    let one = ip("192.0.2.1");
    for left in (0..10).rev() {
        assert_eq!(limiter.check_address(one).map(|allowed| allowed.remaining), Ok(left));
    }
    let denied = limiter.check_address(one).unwrap_err();
    assert_eq!((denied.lane, denied.seconds()), (Lane::Address, 1));
    assert!(limiter.check_address(ip("192.0.2.2")).is_ok(), "another address has its own bucket");
    assert_eq!(limiter.denials(Lane::Address), 1);
    ticks.advance(Duration::from_millis(1_001));
    assert!(limiter.check_address(one).is_ok(), "one a second comes back");
    assert!(limiter.check_address(one).is_err());
}

#[tokio::test]
async fn o1_many_at_once_cost_as_much_as_one_by_one_and_what_is_denied_costs_nothing() {
    let (limiter, ticks, _stop) = start(&config());
    let take = |cost| limiter.check_many(Lane::Address, LimitKey::Address(ip("192.0.2.1")), cost);
    assert_eq!(take(6).map(|allowed| allowed.remaining), Ok(4));
    let denied = take(5).unwrap_err();
    assert_eq!((denied.lane, denied.seconds()), (Lane::Address, 1));
    assert_eq!(take(4).map(|allowed| allowed.remaining), Ok(0), "the denied ones were not taken");
    // More than the bucket: all of it but one, so that it goes through when nothing else was asked for.
    for cost in [10, 11, 1_000_000, u32::MAX] {
        ticks.advance(Duration::from_secs(11));
        assert!(take(1).is_ok(), "the request itself");
        assert_eq!(take(cost).map(|allowed| allowed.remaining), Ok(0), "{cost}");
        assert!(take(1).is_err());
    }
}

#[tokio::test]
async fn o1_what_fits_the_bucket_goes_through_without_redis_too() {
    let ticks = Arc::new(ManualTicks::default());
    let (_trigger, signal) = shutdown::channel();
    let nowhere = redis::Client::open("redis://127.0.0.1:1/").unwrap();
    let limiter = Limiter::start(&LimiterConfig::new([7; 32]), Some(nowhere), ticks, signal);
    assert!(limiter.is_degraded());
    let person = LimitKey::Principal(PersonId::generate(&SystemClock, &OsRandom));
    assert!(limiter.check_many(Lane::Bulk, person, 14_275).is_ok(), "the largest chart of the sample data");
    assert!(limiter.check_many(Lane::Bulk, person, 2).is_err(), "and then nothing");
}

#[tokio::test]
async fn o1_an_ipv6_client_cannot_walk_through_its_64() {
    let (limiter, _, _stop) = start(&config());
    for n in 0..10 {
        assert!(limiter.check_address(ip(&format!("2001:db8::{n}"))).is_ok());
    }
    assert!(limiter.check_address(ip("2001:db8::ffff")).is_err());
    assert!(limiter.check_address(ip("2001:db8:0:1::1")).is_ok(), "the next /64 is another client");
}

#[tokio::test]
async fn o1_sign_in_is_limited_per_account_whatever_the_address_and_spelling() {
    let (limiter, _, _stop) = start(&config());
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    for n in 1..=3 {
        let address = ip(&format!("192.0.2.{n}"));
        assert!(limiter.check_sign_in(address, tenant, "Ada@Clinic.example ").await.is_ok());
    }
    let denied = limiter.check_sign_in(ip("192.0.2.9"), tenant, "ada@clinic.example").await.unwrap_err();
    assert_eq!(denied.lane, Lane::SignInAccount);
    assert!(limiter.check_sign_in(ip("192.0.2.9"), tenant, "bob@clinic.example").await.is_ok());
    let other = TenantId::generate(&SystemClock, &OsRandom);
    assert!(limiter.check_sign_in(ip("192.0.2.9"), other, "ada@clinic.example").await.is_ok());
}

#[tokio::test]
async fn o1_memory_is_bounded_and_a_flood_of_strangers_shares_buckets() {
    let config = LimiterConfig { max_keys: 1_000, ..config() };
    let (limiter, ticks, _stop) = start(&config);
    let state = limiter.state(Lane::Address);
    let flood = |from: u32, to: u32| {
        for n in from..to {
            let _ = limiter.check_address(IpAddr::V4(n.into()));
        }
    };
    flood(0, 2_000);
    state.sweep(false);
    flood(2_000, 100_000);
    assert!(limiter.keys(Lane::Address) <= 2_000 + 4_096, "{}", limiter.keys(Lane::Address));
    assert!(limiter.denials(Lane::Address) > 0, "shared buckets are stricter, not open");
    ticks.advance(Duration::from_secs(11));
    state.sweep(false);
    assert_eq!(limiter.keys(Lane::Address), 0, "full buckets are forgotten");
    assert!(limiter.check_address(ip("192.0.2.1")).is_ok());
}

#[tokio::test]
async fn o1_redis_keys_hold_no_address_and_no_login() {
    let (limiter, _, _stop) = start(&config());
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    let keys = [
        limiter.redis_key(Lane::Address, LimitKey::Address(ip("192.0.2.77"))),
        limiter.redis_key(Lane::SignInAccount, limiter.account_key(tenant, "kowalski")),
    ];
    for key in &keys {
        let hash = key.rsplit(':').next().unwrap();
        assert!(hash.len() == 32 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{key}");
        assert!(!key.contains("192.0") && !key.contains("kowalski") && !key.contains("c000024d"), "{key}");
    }
    let (other, _, _stop) = start(&LimiterConfig { secret: [8; 32], ..config() });
    assert_ne!(keys[0], other.redis_key(Lane::Address, LimitKey::Address(ip("192.0.2.77"))), "keyed");
}

#[test]
fn a_share_is_stricter_in_size_and_pace() {
    let limit = LaneLimit::per_seconds(100, 10);
    for processes in [0, 1, 2, 5] {
        let share = limit.share(processes);
        assert!(share.count <= 50 && share.interval() >= limit.interval() * 2, "{processes}: {share:?}");
    }
    assert_eq!(LaneLimit::per_seconds(1, 10).share(4).count, 1);
}
