//! The HTTP edge: accept loop, limits, routes, views, telemetry.
//!
//! A request travels `edge::server` (sockets, TLS, time limits) -> `edge::stack` (one function that admits or refuses:
//! method, URI, host, address and tenant limits, Fetch Metadata, media type, body) -> the route's handler -> the same
//! function, which finishes every answer alike (problem body, security headers, request id, metrics).
//!
//! Invariant: nothing that a client sent (path, query, header, body) reaches a log, a span, a metric or an error text;
//! only route templates, ids, numbers and texts of our own do.

pub mod api;
pub mod edge;
pub mod limits;
pub mod outward;
pub mod problem;
pub mod telemetry;
