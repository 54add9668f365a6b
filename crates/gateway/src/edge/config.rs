//! How much time and memory one peer may take.

use std::time::Duration;

/// Limits of a listener. Defaults follow BARS F8 and F9.
#[derive(Debug, Clone)]
pub struct EdgeLimits {
    /// Longest TLS handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// Longest time from the first wait for a request head to its end (HTTP/1); also how long an idle HTTP/1
    /// connection lives, because hyper starts the same timer. Default 10 s.
    pub header_timeout: Duration,
    /// Largest request head in bytes (request line and headers; HTTP/2: header list). At least 8 KiB. Default 32 KiB.
    pub header_bytes: usize,
    /// Most headers in a request (HTTP/1; HTTP/2 is bounded by `header_bytes`). Default 64.
    pub header_count: usize,
    /// How long a connection without a request in flight stays open. Default 30 s.
    pub idle_timeout: Duration,
    /// After this age a connection takes no new requests. Default 10 min.
    pub max_age: Duration,
    /// How long requests in flight may go on after the order to stop, or past `max_age`. Default 15 s.
    pub drain: Duration,
    /// Most connections of this listener at once. Default 10,000.
    pub connections: usize,
    /// Most connections of one peer (IPv4 address or IPv6 /64) at once. Default 256.
    pub connections_per_peer: usize,
    /// HTTP/2: streams at once on one connection. Default 100.
    pub h2_streams: u32,
    /// HTTP/2: streams reset by the peer before we took them, until the connection is closed (rapid reset,
    /// CVE-2023-44487). Default 20.
    pub h2_pending_resets: usize,
    /// HTTP/2: ping interval; an unanswered ping closes the connection after 10 s. Default 20 s.
    pub h2_ping: Duration,
    /// A writing peer must take, and a sending peer must send, that many bytes per second on average over
    /// `rate_window`. Default 500.
    pub min_bytes_per_second: u64,
    /// Window of the minimum rate. Default 5 s.
    pub rate_window: Duration,
    /// Longest time a request body may take. Default 60 s.
    pub body_timeout: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            header_bytes: 32 * 1024,
            header_count: 64,
            idle_timeout: Duration::from_secs(30),
            max_age: Duration::from_secs(600),
            drain: Duration::from_secs(15),
            connections: 10_000,
            connections_per_peer: 256,
            h2_streams: 100,
            h2_pending_resets: 20,
            h2_ping: Duration::from_secs(20),
            min_bytes_per_second: 500,
            rate_window: Duration::from_secs(5),
            body_timeout: Duration::from_secs(60),
        }
    }
}

impl EdgeLimits {
    /// The bytes that must have moved within one `rate_window`.
    #[must_use]
    pub fn window_bytes(&self) -> u64 {
        let bytes = u128::from(self.min_bytes_per_second) * self.rate_window.as_millis() / 1_000;
        u64::try_from(bytes).unwrap_or(u64::MAX).max(1)
    }
}
