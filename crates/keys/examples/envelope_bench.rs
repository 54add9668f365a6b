//! What an envelope and its neighbours cost on this machine: `cargo run --release -p carekeep-keys --example envelope_bench`.
//!
//! Each figure is the median of 21 rounds; the budget is B7 of the performance goals (5 us per 4 KiB read).
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program for a terminal")]

use std::{hint::black_box, sync::Arc, time::Instant};

use carekeep_kernel::{OsRandom, SystemClock, TenantId, random::bytes};
use carekeep_keys::{
    Aad, BlindIndexKey, CacheLimits, DataKey, KeyCache, KeyContext, KeyPurpose, KeyService, PseudonymKey,
    WrappedKey, fake::StrictFake, open, open_in_place, seal,
};
use zeroize::Zeroizing;

const ROUNDS: usize = 21;
const TIMES: u32 = 5_000;

fn report(what: &str, mut work: impl FnMut()) {
    let mut rounds: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            (0..TIMES).for_each(|_| work());
            started.elapsed().as_nanos() / u128::from(TIMES)
        })
        .collect();
    rounds.sort_unstable();
    println!(
        "{what:<32} {:>6} ns   (fastest {}, slowest {})",
        rounds[ROUNDS / 2],
        rounds[0],
        rounds[ROUNDS - 1]
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let tenant = TenantId::generate(&SystemClock, &OsRandom);
    let key = DataKey::new(Zeroizing::new(bytes(&OsRandom)));
    let aad = Aad {
        tenant,
        table: "resources",
        column: "body",
        row: [7; 16],
        row_version: 3,
        kind: "Observation",
        patient: Some([9; 16]),
    };
    for size in [1_024, 4_096] {
        let plaintext = vec![b'x'; size];
        let envelope = seal(&key, 1, &aad, &plaintext, &OsRandom).unwrap();
        report(&format!("open {size} bytes"), || {
            drop(black_box(open(&key, &aad, black_box(&envelope)).unwrap()))
        });
        let mut buffer = envelope.clone();
        report(&format!("open in place {size} (with copy)"), || {
            buffer.copy_from_slice(&envelope);
            black_box(open_in_place(&key, &aad, &mut buffer).unwrap());
        });
        report(&format!("seal {size} bytes"), || {
            drop(black_box(seal(&key, 1, &aad, black_box(&plaintext), &OsRandom).unwrap()));
        });
    }
    let index = BlindIndexKey::derive(&key, tenant);
    report("blind token", || {
        black_box(index.token(7, Some([1; 16]), black_box("http://loinc.org|85354-9")));
    });
    let pseudonyms = PseudonymKey::derive(&key, tenant);
    report("pseudonym", || {
        black_box(pseudonyms.pseudonym(black_box(&[1; 16])));
    });
    cache_hit(tenant).await;
}

async fn cache_hit(tenant: TenantId) {
    let service = Arc::new(StrictFake::new(Arc::new(SystemClock), Arc::new(OsRandom)));
    let master = service.create_key(tenant).await.unwrap();
    let context = KeyContext { tenant, purpose: KeyPurpose::Data, generation: 1 };
    let (_, wrapped) = service.generate_data_key(&master, &context).await.unwrap();
    let stored = WrappedKey { key: master, purpose: KeyPurpose::Data, generation: 1, wrapped };
    let cache = KeyCache::new(service, Arc::new(SystemClock), CacheLimits::default());
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..TIMES {
            black_box(cache.get(tenant, &stored).await.unwrap());
        }
        rounds.push(started.elapsed().as_nanos() / u128::from(TIMES));
    }
    rounds.sort_unstable();
    println!("{:<32} {:>6} ns   {:?}", "key from the cache", rounds[ROUNDS / 2], cache.stats());
}
