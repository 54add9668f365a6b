//! Identity as people and attackers meet it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; clippy exempts only the test functions themselves"
)]

mod enrolling;
mod memory;
mod sessions;
mod signing_in;
mod world;
