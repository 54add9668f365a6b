//! The cache of unwrapped keys (BARS K2): short lives, one unwrap at a time, no memory of errors, kill switch.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use carekeep_kernel::ManualClock;
use carekeep_keys::{
    CacheLimits, DataKey, KeyCache, KeyError, KeyPurpose, KeyRef, KeyService, WrappedKey, fake::StrictFake,
};
use futures_util::future::join_all;
use support::{START, context, fake, tenant};

struct Bench {
    service: Arc<StrictFake>,
    clock: Arc<ManualClock>,
    cache: Arc<KeyCache>,
}

impl Bench {
    fn new(limits: CacheLimits) -> Self {
        let (service, clock) = fake();
        let cache = Arc::new(KeyCache::new(Arc::clone(&service) as _, Arc::clone(&clock) as _, limits));
        Self { service, clock, cache }
    }

    async fn key(&self, seed: u64, purpose: KeyPurpose) -> WrappedKey {
        let key = self.service.create_key(tenant(seed)).await.unwrap();
        let context = context(tenant(seed), purpose, 1);
        let (_, wrapped) = self.service.generate_data_key(&key, &context).await.unwrap();
        WrappedKey { key, purpose, generation: 1, wrapped }
    }

    async fn get(&self, seed: u64, wrapped: &WrappedKey) -> Result<Arc<DataKey>, KeyError> {
        self.cache.get(tenant(seed), wrapped).await
    }
}

fn usual() -> Bench {
    Bench::new(CacheLimits::default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k2_a_hundred_who_ask_at_once_cause_one_unwrap() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    bench.service.set_latency(Duration::from_millis(30));
    for round in 1..=3 {
        let crowd = (0..100).map(|_| {
            let (cache, wrapped) = (Arc::clone(&bench.cache), wrapped.clone());
            tokio::spawn(async move { cache.get(tenant(1), &wrapped).await.is_ok() })
        });
        assert!(join_all(crowd).await.into_iter().all(Result::unwrap));
        assert_eq!(bench.service.calls().unwrap, round);
        // The next round meets an expired entry, all at the same moment.
        bench.clock.advance(Duration::from_secs(300));
    }
    let stats = bench.cache.stats();
    assert_eq!((stats.hits + stats.misses, stats.unwraps, stats.failures), (300, 3, 0));
}

#[tokio::test]
async fn k2_a_key_is_served_until_its_time_is_over_and_not_a_moment_longer() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    bench.get(1, &wrapped).await.unwrap();
    bench.service.disable(&wrapped.key).await.unwrap();
    bench.clock.advance(Duration::from_micros(299_999_999));
    assert!(bench.get(1, &wrapped).await.is_ok());
    bench.clock.advance(Duration::from_micros(1));
    let disabled = KeyError::Disabled(wrapped.key.clone());
    assert_eq!(bench.get(1, &wrapped).await.err(), Some(disabled));
    bench.service.enable(&wrapped.key).await.unwrap();
    assert!(bench.get(1, &wrapped).await.is_ok(), "the refusal was not remembered");
}

#[tokio::test]
async fn a_clock_set_back_does_not_lengthen_a_life() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    bench.get(1, &wrapped).await.unwrap();
    bench.clock.set(START - Duration::from_secs(3_600));
    bench.get(1, &wrapped).await.unwrap();
    assert_eq!(bench.service.calls().unwrap, 2);
}

#[tokio::test]
async fn k2_a_key_is_served_so_many_times_and_then_unwrapped_again() {
    let bench = Bench::new(CacheLimits::new(Duration::from_secs(300), 10, 100).unwrap());
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    for _ in 0..10 {
        bench.get(1, &wrapped).await.unwrap();
    }
    assert_eq!(bench.service.calls().unwrap, 1);
    bench.get(1, &wrapped).await.unwrap();
    assert_eq!(bench.service.calls().unwrap, 2);
    // A crowd beyond the limit gets through, by as many unwraps as the limit demands.
    bench.service.set_latency(Duration::from_millis(5));
    let crowd = join_all((0..100).map(|_| bench.get(1, &wrapped))).await;
    assert!(crowd.iter().all(Result::is_ok));
    assert!((11..=13).contains(&bench.service.calls().unwrap), "{:?}", bench.service.calls());
}

#[tokio::test]
async fn limits_beyond_five_minutes_or_of_nothing_are_refused() {
    let limits = |seconds, uses, keys| CacheLimits::new(Duration::from_secs(seconds), uses, keys);
    assert!(limits(300, 1, 1).is_ok());
    for refused in [limits(301, 1, 1), limits(0, 1, 1), limits(1, 0, 1), limits(1, 1, 0)] {
        assert!(matches!(refused, Err(KeyError::Refused(_))));
    }
}

#[tokio::test]
async fn f5_during_an_outage_cached_keys_work_and_others_fail_at_once_and_recover() {
    let bench = usual();
    let (cached, other) = (bench.key(1, KeyPurpose::Data).await, bench.key(2, KeyPurpose::Data).await);
    bench.get(1, &cached).await.unwrap();
    bench.service.set_outage(true);
    assert!(bench.get(1, &cached).await.is_ok());
    let before = bench.service.calls().unwrap;
    let crowd = join_all((0..100).map(|_| bench.get(2, &other))).await;
    assert!(crowd.iter().all(|result| matches!(result, Err(KeyError::Unavailable(_)))));
    assert_eq!(
        bench.service.calls().unwrap,
        before + 100,
        "without latency nobody shares: each asks once, no retries"
    );
    bench.service.set_latency(Duration::from_millis(5));
    let crowd = join_all((0..100).map(|_| bench.get(2, &other))).await;
    assert!(crowd.iter().all(Result::is_err));
    assert_eq!(bench.service.calls().unwrap, before + 101, "those who wait share one failure");
    bench.service.set_outage(false);
    assert!(bench.get(2, &other).await.is_ok());
}

#[tokio::test]
async fn k2_the_kill_switch_drops_the_tenants_keys_now_and_nobody_elses() {
    let bench = usual();
    let (data, index) = (bench.key(1, KeyPurpose::Data).await, bench.key(1, KeyPurpose::Index).await);
    let neighbour = bench.key(2, KeyPurpose::Data).await;
    let held: Vec<Weak<DataKey>> = vec![
        Arc::downgrade(&bench.get(1, &data).await.unwrap()),
        Arc::downgrade(&bench.get(1, &index).await.unwrap()),
    ];
    let other = Arc::downgrade(&bench.get(2, &neighbour).await.unwrap());
    bench.service.disable(&data.key).await.unwrap();
    assert!(bench.get(1, &data).await.is_ok(), "control: still cached");

    bench.cache.forget(tenant(1)).await;
    assert!(held.iter().all(|key| key.upgrade().is_none()), "wiped, not only hidden");
    assert!(other.upgrade().is_some());
    for wrapped in [&data, &index] {
        assert_eq!(bench.get(1, wrapped).await.err(), Some(KeyError::Disabled(data.key.clone())));
    }
    let before = bench.service.calls().unwrap;
    assert!(bench.get(2, &neighbour).await.is_ok());
    assert_eq!(bench.service.calls().unwrap, before);
}

#[tokio::test(start_paused = true)]
async fn a_key_on_its_way_when_the_kill_switch_is_thrown_is_not_served() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    bench.service.set_latency(Duration::from_secs(1));
    let (cache, service) = (&bench.cache, &bench.service);
    let reader = cache.get(tenant(1), &wrapped);
    let killer = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cache.forget(tenant(1)).await;
    };
    let (read, ()) = tokio::join!(reader, killer);
    assert!(read.is_ok(), "the key itself is enabled");
    assert_eq!(service.calls().unwrap, 2, "asked again after the switch");
}

#[tokio::test]
async fn a_blocked_tenant_is_refused_without_asking_until_unblocked() {
    let bench = usual();
    let (wrapped, neighbour) = (bench.key(1, KeyPurpose::Data).await, bench.key(2, KeyPurpose::Data).await);
    bench.get(1, &wrapped).await.unwrap();
    bench.cache.block(tenant(1)).await;
    let before = bench.service.calls().unwrap;
    assert_eq!(bench.get(1, &wrapped).await.err(), Some(KeyError::Blocked));
    let cached = bench.cache.cached(tenant(1), KeyPurpose::Data, 1).await;
    assert_eq!(cached.err(), Some(KeyError::Blocked));
    bench.cache.forget(tenant(1)).await;
    assert_eq!(bench.get(1, &wrapped).await.err(), Some(KeyError::Blocked), "forgetting does not unblock");
    assert_eq!(bench.service.calls().unwrap, before);
    assert!(bench.get(2, &neighbour).await.is_ok());
    bench.cache.unblock(tenant(1));
    assert!(bench.get(1, &wrapped).await.is_ok());
}

#[tokio::test]
async fn a_wrapped_key_of_one_tenant_does_not_serve_another() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    bench.get(1, &wrapped).await.unwrap();
    assert_eq!(bench.get(2, &wrapped).await.err(), Some(KeyError::WrongContext));
    assert_eq!(
        bench.get(1, &WrappedKey { generation: 2, ..wrapped.clone() }).await.err(),
        Some(KeyError::WrongContext)
    );
    let missing = WrappedKey { key: KeyRef("fake:none".to_owned()), generation: 3, ..wrapped };
    assert!(matches!(bench.get(1, &missing).await.err(), Some(KeyError::NotFound(_))));
}

#[tokio::test]
async fn k2_sweeping_wipes_idle_keys_whose_time_is_over() {
    let bench = usual();
    let wrapped = bench.key(1, KeyPurpose::Data).await;
    let held = Arc::downgrade(&bench.get(1, &wrapped).await.unwrap());
    bench.cache.sweep().await;
    assert!(held.upgrade().is_some());
    assert!(bench.cache.cached(tenant(1), KeyPurpose::Data, 1).await.unwrap().is_some());
    bench.clock.advance(Duration::from_secs(300));
    bench.cache.sweep().await;
    assert!(held.upgrade().is_none());
    assert!(bench.cache.cached(tenant(1), KeyPurpose::Data, 1).await.unwrap().is_none());
}
