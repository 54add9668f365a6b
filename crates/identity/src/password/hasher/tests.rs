use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
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

/// Blocks a thread of the pool until the sender of the gate is dropped.
fn wait_for(gate: &Mutex<mpsc::Receiver<()>>) {
    assert!(gate.lock().unwrap().recv().is_err());
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

#[tokio::test]
async fn i5_a_login_storm_is_refused_beyond_the_pool_and_never_runs_wider() {
    let pool = pool(HashSettings { parallel: 2, waiting: 3, ..HashSettings::default() });
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (closed, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let storm: Vec<_> = (0..50)
        .map(|_| {
            let (pool, running, most, gate) =
                (pool.clone(), Arc::clone(&running), Arc::clone(&most), Arc::clone(&gate));
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    wait_for(&gate);
                    running.fetch_sub(1, Ordering::SeqCst);
                };
                pool.run(work).await
            })
        })
        .collect();
    // Nobody who got in can leave while the gate is closed; so those who have finished were refused.
    while storm.iter().filter(|one| one.is_finished()).count() < 45 {
        tokio::task::yield_now().await;
    }
    drop(closed);
    let mut refused = 0;
    for one in storm {
        refused += usize::from(one.await.unwrap() == Err(PasswordError::Busy));
    }
    assert_eq!(refused, 45, "two run, three wait, the rest is told to come back");
    assert!(most.load(Ordering::SeqCst) <= 2);
    assert_eq!(pool.verify_absent(typed("x")).await, Ok(Verdict::Wrong), "and afterwards all is well");
}

#[tokio::test]
async fn clients_that_hang_up_do_not_make_the_pool_larger() {
    let pool = pool(HashSettings { parallel: 1, waiting: 0, ..HashSettings::default() });
    let (closed, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (inside, pool2) = (Arc::clone(&gate), pool.clone());
    let client = tokio::spawn(async move { pool2.run(move || wait_for(&inside)).await });
    while pool.running.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    client.abort();
    assert!(client.await.is_err(), "the client is gone");
    assert_eq!(pool.verify_absent(typed("x")).await, Err(PasswordError::Busy), "its work is not");
    drop(closed);
    while pool.places.available_permits() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.verify_absent(typed("x")).await, Ok(Verdict::Wrong));
}

/// BARS S11. The work is the same by construction; this measures that nothing in it gives a person away. The medians of
/// interleaved runs are compared, with a tolerance for a busy machine.
#[tokio::test]
async fn bar_s11_an_unknown_person_costs_as_much_time_as_a_wrong_password() {
    let pool = pool(HashSettings::default());
    let stored = pool.hash(typed("pelican tangerine ledger"), &SeededRandom::new(2)).await.unwrap();
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for _ in 0..40 {
        for (times, stored) in [(&mut known, Some(&stored)), (&mut unknown, None)] {
            let begin = Instant::now();
            assert_eq!(pool.verify(typed("something else altogether"), stored).await, Ok(Verdict::Wrong));
            times.push(begin.elapsed());
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64()
    };
    let ratio = median(&mut unknown) / median(&mut known);
    assert!((0.8..1.25).contains(&ratio), "{ratio}");
}

#[test]
fn hashing_leaves_half_of_the_processors_to_others() {
    let places = |processors| {
        let settings = HashSettings::for_processors(processors);
        (settings.parallel, settings.waiting)
    };
    assert_eq!([0, 1, 2, 3, 8].map(places), [(1, 16), (1, 16), (1, 16), (1, 16), (4, 64)]);
    assert_eq!(HashSettings::for_processors(8).memory_kib, HashSettings::default().memory_kib);
}
