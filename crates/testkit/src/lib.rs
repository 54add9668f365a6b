//! Test harness: a real, private platform per test. Only tests depend on it.
//!
//! Setting up may panic: a test that cannot set up has failed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot set up has failed"
)]

mod apps;
mod login;
mod onlooker;
mod people;
mod platform;

pub use apps::{AppSpec, AppToken};
pub use onlooker::{Fingerprint, Onlooker};
pub use people::{Person, PersonSpec};
pub use platform::Platform;
