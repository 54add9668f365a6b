//! Checking a session in memory, in the steady state: no trip to any server.

use std::time::Instant;

use carekeep_testkit::{PersonSpec, Platform};

use crate::print;

const TIMES: usize = 200_000;

/// Measures and prints.
pub(crate) async fn run() {
    let platform = Platform::start().await;
    let tenant = platform.tenant("acme").await.id;
    let vault = platform.vault().await;
    let person = platform.person(tenant, PersonSpec::default()).await;
    let mut took = Vec::with_capacity(TIMES);
    for turn in 0..TIMES + TIMES / 10 {
        let started = Instant::now();
        let caller = person.caller(&vault).await;
        let elapsed = started.elapsed();
        assert_eq!(caller.unwrap().person(), person.id);
        if turn >= TIMES / 10 {
            took.push(elapsed);
        }
    }
    print("session", took, 1_000);
}
