//! The product as a whole: the real binary with its private servers, demo tenants and people who sign in like anybody.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up has failed"
)]

mod canaries;
mod cell;
mod clients;
mod crash;
mod data;
mod examples;
mod fault;
mod gateway;
mod http;
mod installation;
mod onboarding;
mod outages;
mod remains;
mod two_gateways;

/// The same server that the keys crate is tried on.
#[expect(dead_code, unreachable_pub, reason = "the keys crate's tests use other parts of it")]
#[path = "../../../keys/tests/support/moto.rs"]
mod moto;
