//! What the HTTP API promises, over TLS on loopback, with the real vault on a real Postgres. People are invited, enrol and
//! sign in as people do; only the clock is the test's.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail the test"
)]

mod audit_faults;
mod bad_input;
mod beyond_clinics;
mod browser_run;
mod browsers;
mod bundles;
mod conditions;
mod cors;
mod devices;
mod federation;
mod hanging_up;
mod importing;
mod joining;
mod launching;
mod leaving;
mod matrix;
mod notices;
mod passkey_rules;
mod provider;
mod races;
mod reading_programs;
mod recovering;
mod recovering_patients;
mod scim;
mod searching;
mod sessions;
mod signing_in;
mod smart;
mod soft_keys;
mod support;
mod versions;
mod ward;
mod wire;
