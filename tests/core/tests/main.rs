//! What the vault and tenancy promise, on a real Postgres with the production roles and grants.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::large_futures,
    reason = "helpers of tests fail the test and print what they measured; a test's future may be large"
)]

mod app_tokens;
mod apps;
mod audit_faults;
mod canaries;
mod classification;
mod identity;
mod injection;
mod lanes;
mod lifecycle;
mod misuse;
mod opened_is_recorded;
mod operations;
mod pools;
mod reads_together;
mod records;
mod session_limits;
mod support;
mod swaps;
mod tenants;
