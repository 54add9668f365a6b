use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use carekeep_kernel::SeededRandom;

use super::*;

fn typed(text: &str) -> PlainPassword {
    PlainPassword::typed(text).unwrap()
}

fn pool(settings: HashSettings) -> PasswordHashes {
    PasswordHashes::new(settings, &SeededRandom::new(1)).unwrap()
}

#[tokio::test]
async fn i5_the_right_password_verifies_and_a_wrong_one_does_not() {
    let pool = pool(HashSettings::default());
    let stored = pool.hash(typed("pelican tangerine ledger"), &SeededRandom::new(2)).await.unwrap();
    assert!(stored.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", stored.as_phc());
    let right = pool.verify(typed("pelican tangerine ledger"), Some(&stored)).await;
    assert_eq!(right, Ok(Verdict::Right { rehash: false }));
    assert_eq!(pool.verify(typed("pelican tangerine Ledger"), Some(&stored)).await, Ok(Verdict::Wrong));
    assert_eq!(pool.verify(typed(""), Some(&stored)).await, Ok(Verdict::Wrong));
    assert_eq!(pool.verify_absent(typed("pelican tangerine ledger")).await, Ok(Verdict::Wrong));
}

#[tokio::test]
async fn the_same_password_is_stored_differently_each_time() {
    let pool = pool(HashSettings::default());
    let random = SeededRandom::new(3);
    let one = pool.hash(typed("pelican tangerine ledger"), &random).await.unwrap();
    let two = pool.hash(typed("pelican tangerine ledger"), &random).await.unwrap();
    assert!(one != two);
}

#[tokio::test]
async fn a_password_hashed_with_weaker_settings_is_marked_for_rehashing() {
    let stored = pool(HashSettings::default()).hash(typed("a b c d"), &SeededRandom::new(4)).await.unwrap();
    let stronger = pool(HashSettings { passes: 3, ..HashSettings::default() });
    assert_eq!(stronger.verify(typed("a b c d"), Some(&stored)).await, Ok(Verdict::Right { rehash: true }));
}

#[tokio::test]
async fn settings_below_the_floor_and_other_algorithms_are_refused() {
    for weak in [
        HashSettings { memory_kib: 19 * 1024 - 1, ..HashSettings::default() },
        HashSettings { passes: 1, ..HashSettings::default() },
        HashSettings { parallel: 0, ..HashSettings::default() },
    ] {
        assert_eq!(PasswordHashes::new(weak, &SeededRandom::new(1)).err(), Some(PasswordError::Invalid));
    }
    let pool = pool(HashSettings::default());
    let argon2i = "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21l$dGhpcyBpcyBub3QgYSBoYXNoIGF0IGFsbCEhISE";
    for text in ["", "secret", argon2i] {
        let stored = StoredPassword::from_phc(text.to_owned());
        assert_eq!(pool.verify(typed("x"), Some(&stored)).await, Err(PasswordError::Invalid), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_storm_is_refused_beyond_the_pool_and_never_runs_wider() {
    let pool = pool(HashSettings { parallel: 2, waiting: 3, ..HashSettings::default() });
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // All of the storm asks before the first one may finish.
    let gate = Arc::new(std::sync::Barrier::new(3));
    let storm: Vec<_> = (0..50)
        .map(|_| {
            let (pool, running, most, gate) =
                (pool.clone(), Arc::clone(&running), Arc::clone(&most), Arc::clone(&gate));
            tokio::spawn(async move {
                pool.run(move || {
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    if most.load(Ordering::SeqCst) == 2 && now <= 2 && Arc::strong_count(&gate) > 0 {
                        std::thread::yield_now();
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                })
                .await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for one in storm {
        answers.push(one.await.unwrap());
    }
    assert!(answers.iter().filter(|answer| answer.is_ok()).count() >= 5);
    assert!(most.load(Ordering::SeqCst) <= 2);
}
