//! CAPABILITIES O1, BARS F4: limits across processes, with a real Redis.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_devservers::{Redis, RedisOptions, Scratch};
use carekeep_gateway::{
    edge::{EdgeLimits, shutdown},
    limits::{Lane, LaneLimit, Limiter, LimiterConfig, MonotonicTicks},
};
use carekeep_kernel::{OsRandom, SystemClock, TenantId};

use crate::support::{TestEdge, generous};

struct Cell {
    redis: Redis,
    processes: Vec<Arc<Limiter>>,
    _stop: shutdown::ShutdownTrigger,
    _scratch: Scratch,
}

/// 100 per 100 s and 5 sign-ins; settles every 10 ms.
fn config() -> LimiterConfig {
    LimiterConfig {
        address: LaneLimit::per_seconds(100, 100),
        sign_in_account: LaneLimit::per_seconds(5, 500),
        settle_every: Duration::from_millis(10),
        ..LimiterConfig::new([3; 32])
    }
}

async fn cell(config: &LimiterConfig) -> Cell {
    let scratch = Scratch::new().unwrap();
    let redis = Redis::start(RedisOptions::for_tests(scratch.path().join("redis"))).await.unwrap();
    let (stop, signal) = shutdown::channel();
    let process = || {
        let client = redis::Client::open(redis.url()).unwrap();
        Limiter::start(config, Some(client), Arc::new(MonotonicTicks::default()), signal.clone())
    };
    let processes = vec![process(), process()];
    for process in &processes {
        wait(|| !process.is_degraded()).await;
    }
    Cell { redis, processes, _stop: stop, _scratch: scratch }
}

async fn wait(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(5), "did not happen within 5 s");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn ip(n: u8) -> IpAddr {
    [192, 0, 2, n].into()
}

async fn settled() {
    tokio::time::sleep(Duration::from_millis(80)).await;
}

#[tokio::test]
async fn o1_two_processes_share_one_limit() {
    let cell = cell(&config()).await;
    let [a, b] = &cell.processes[..] else { panic!("two") };
    for _ in 0..60 {
        a.check_address(ip(1)).unwrap();
    }
    settled().await;
    assert!(b.check_address(ip(1)).is_ok(), "40 are left");
    settled().await;
    let mut more = 0;
    while b.check_address(ip(1)).is_ok() {
        more += 1;
        if more % 5 == 0 {
            settled().await;
        }
    }
    assert!((35..=50).contains(&more), "the second process got {more} of the 39 that were left");
    settled().await;
    let denied = a.check_address(ip(1));
    assert!(denied.is_err() || a.check_address(ip(1)).is_ok());
    wait(|| a.check_address(ip(1)).is_err()).await;
    assert!(a.check_address(ip(2)).is_ok() && b.check_address(ip(2)).is_ok(), "others are not touched");
}

#[tokio::test]
async fn o1_sign_in_attempts_count_over_all_processes_at_once() {
    let cell = cell(&config()).await;
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    let mut allowed = 0;
    for n in 0..10 {
        let process = &cell.processes[n % 2];
        allowed += u32::from(process.check_sign_in(ip(3), tenant, "ada").await.is_ok());
    }
    assert_eq!(allowed, 5);
    assert!(cell.processes[0].check_sign_in(ip(3), tenant, "bob").await.is_ok());
}

#[tokio::test]
async fn bar_f4_without_redis_limits_are_stricter_never_open_and_they_recover() {
    let mut cell = cell(&config()).await;
    let process = Arc::clone(&cell.processes[0]);
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    cell.redis.kill().await;
    wait(|| process.is_degraded()).await;
    let mut slowest = Duration::ZERO;
    let mut allowed = 0;
    for _ in 0..200 {
        let started = Instant::now();
        allowed += u32::from(process.check_address(ip(4)).is_ok());
        slowest = slowest.max(started.elapsed());
    }
    assert!((40..=51).contains(&allowed), "half of 100, got {allowed}");
    assert!(slowest < Duration::from_millis(20), "no waiting for Redis: {slowest:?}");
    let started = Instant::now();
    let mut attempts = 0;
    for _ in 0..10 {
        attempts += u32::from(process.check_sign_in(ip(5), tenant, "ada").await.is_ok());
    }
    assert!((1..=2).contains(&attempts), "half of 5, got {attempts}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    cell.redis.start_again().await.unwrap();
    wait(|| !process.is_degraded()).await;
    let after = (0..200).filter(|_| process.check_address(ip(6)).is_ok()).count();
    assert!(after >= 95, "the whole limit again: {after}");
}

#[tokio::test]
async fn bar_f4_a_sign_in_while_redis_dies_falls_back_at_once() {
    let slow_to_notice = LimiterConfig { settle_every: Duration::from_secs(3_600), ..config() };
    let mut cell = cell(&slow_to_notice).await;
    let process = Arc::clone(&cell.processes[0]);
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    assert!(process.check_sign_in(ip(7), tenant, "ada").await.is_ok());
    cell.redis.kill().await;
    let started = Instant::now();
    let allowed = {
        let mut allowed = 0;
        for _ in 0..10 {
            allowed += u32::from(process.check_sign_in(ip(7), tenant, "ada").await.is_ok());
        }
        allowed
    };
    assert!(allowed <= 2, "stricter: {allowed}");
    assert!(process.is_degraded() && started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn bar_f4_requests_are_served_as_fast_without_redis_as_with_it() {
    let scratch = Scratch::new().unwrap();
    let mut redis = Redis::start(RedisOptions::for_tests(scratch.path().join("redis"))).await.unwrap();
    let link = redis::Client::open(redis.url()).unwrap();
    let edge = TestEdge::with(EdgeLimits::default(), generous(), Some(link)).await;
    wait(|| !edge.limiter.is_degraded()).await;
    let client = edge.client();
    let p99 = async || {
        let mut times = Vec::new();
        for _ in 0..200 {
            let started = Instant::now();
            assert_eq!(client.get(edge.url("/ok")).send().await.unwrap().status(), 200);
            times.push(started.elapsed());
        }
        times.sort();
        times[197]
    };
    let with = p99().await;
    redis.kill().await;
    wait(|| edge.limiter.is_degraded()).await;
    let without = p99().await;
    println!("p99 with Redis {with:?}, without {without:?}");
    assert!(without <= with * 2 + Duration::from_millis(20), "{with:?} {without:?}");
}

#[tokio::test]
async fn o1_redis_holds_hashes_that_expire() {
    let cell = cell(&config()).await;
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    cell.processes[0].check_address(ip(8)).unwrap();
    cell.processes[0].check_sign_in(ip(8), tenant, "kowalski").await.unwrap();
    settled().await;
    let client = redis::Client::open(cell.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("ck:rl:") && !key.contains("kowalski") && !key.contains("192.0"), "{key}");
        let ttl: i64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
        assert!((1..=600).contains(&ttl), "{key} {ttl}");
    }
    assert_eq!(cell.processes[0].denials(Lane::Address), 0);
}
