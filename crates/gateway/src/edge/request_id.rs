//! The id of a request: made here, told to the client, written into every log line about the request.

use std::fmt;

use carekeep_kernel::{Clock, Random, random};
use http::HeaderValue;
use uuid::Uuid;

/// A UUID version 7 made by this process. An incoming `X-Request-Id` is ignored: a client could put PHI or somebody
/// else's id into our logs with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(Uuid);

impl RequestId {
    /// A fresh id.
    #[must_use]
    pub fn generate(clock: &dyn Clock, source: &dyn Random) -> Self {
        let millis = u64::try_from(clock.now().as_micros() / 1_000).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random::bytes::<10>(source)).into_uuid())
    }

    /// The sixteen bytes, for the audit ledger.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        *self.0.as_bytes()
    }

    /// The id as a header value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let mut buffer = Uuid::encode_buffer();
        let text = self.0.hyphenated().encode_lower(&mut buffer);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
