//! The product as a whole: the real binary with its private servers, demo tenants and people who sign in like anybody.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot set up has failed"
)]

mod cell;
mod clients;
mod crash;
mod data;
mod examples;
mod gateway;
mod http;
mod installation;
mod onboarding;
mod remains;
