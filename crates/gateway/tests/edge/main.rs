//! The edge over real sockets and real TLS on loopback. Each refusal has its positive control beside it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod bodies;
mod headers;
mod hosts;
mod http2;
mod lifecycle;
mod limits;
mod slow;
mod smuggling;
mod support;
mod telemetry;
