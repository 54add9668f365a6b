//! What the tests of this crate share.
#![expect(dead_code, unreachable_pub, reason = "every test file uses another part")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

pub mod contract;
pub mod moto;

use std::sync::Arc;

use carekeep_kernel::{ManualClock, SeededRandom, TenantId, Timestamp, random::bytes};
use carekeep_keys::{DataKey, KeyContext, KeyPurpose, fake::StrictFake};
use zeroize::Zeroizing;

pub const START: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);

pub fn tenant(seed: u64) -> TenantId {
    TenantId::generate(&ManualClock::at(START), &SeededRandom::new(seed))
}

pub fn data_key(seed: u64) -> DataKey {
    DataKey::new(Zeroizing::new(bytes(&SeededRandom::new(seed))))
}

pub const fn context(tenant: TenantId, purpose: KeyPurpose, generation: u32) -> KeyContext {
    KeyContext { tenant, purpose, generation }
}

pub fn fake() -> (Arc<StrictFake>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(START));
    (Arc::new(StrictFake::new(Arc::clone(&clock) as _, Arc::new(SeededRandom::new(99)))), clock)
}
