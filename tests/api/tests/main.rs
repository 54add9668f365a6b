//! What the HTTP API promises, over TLS on loopback, with the real vault on a real Postgres. People are invited, enrol and
//! sign in as people do; only the clock is the test's.

mod browser_run;
mod browsers;
mod joining;
mod sessions;
mod signing_in;
mod support;
