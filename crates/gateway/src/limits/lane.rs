//! What is counted, by which key, and what an answer says.

use std::{net::IpAddr, time::Duration};

use carekeep_kernel::{PersonId, TenantId};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::problem::{Problem, catalogue};

/// One kind of limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// All requests of an address.
    Address,
    /// All requests to a tenant.
    Tenant,
    /// All requests of a signed-in person or service account, and the entries of a person's bundles.
    Principal,
    /// Attempts to sign in, reset or enrol from an address.
    SignInAddress,
    /// Attempts to sign in, reset or enrol for an account.
    SignInAccount,
    /// Entries of the bundles of a service account.
    Bulk,
    /// Codes that a tenant's identity provider is asked about.
    Provider,
}

impl Lane {
    /// How many there are.
    pub const COUNT: usize = 7;
    /// All of them, in the order of [`Lane::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Address,
        Self::Tenant,
        Self::Principal,
        Self::SignInAddress,
        Self::SignInAccount,
        Self::Bulk,
        Self::Provider,
    ];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Its name in headers, metrics and keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Tenant => "tenant",
            Self::Principal => "principal",
            Self::SignInAddress => "sign-in-address",
            Self::SignInAccount => "sign-in-account",
            Self::Bulk => "bulk",
            Self::Provider => "identity-provider",
        }
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// A client, see [`crate::edge::client::counted_block`].
    Address(IpAddr),
    /// A tenant.
    Tenant(TenantId),
    /// A person or service account.
    Principal(PersonId),
    /// A keyed hash of an account, see [`super::Limiter::account_key`].
    Account([u8; 16]),
    /// Shared by whoever hashes there: used when a lane holds too many keys.
    Crowd(u16),
}

impl LimitKey {
    pub(super) fn feed(self, mut update: impl FnMut(&[u8])) {
        match self {
            Self::Address(IpAddr::V4(address)) => update(&address.octets()),
            Self::Address(IpAddr::V6(address)) => update(&address.octets()),
            Self::Tenant(tenant) => update(tenant.as_bytes()),
            Self::Principal(person) => update(person.as_bytes()),
            Self::Account(hash) => update(&hash),
            Self::Crowd(number) => update(&number.to_be_bytes()),
        }
    }
}

/// There was one left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// The lane.
    pub lane: Lane,
    /// How many are left in this process's bucket.
    pub remaining: u32,
    /// Until the bucket is full again.
    pub reset: Duration,
}

/// There was none left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {} limit is used up: wait {} s", lane.name(), wait.as_secs() + 1)]
pub struct Denied {
    /// The lane.
    pub lane: Lane,
    /// How long to wait.
    pub wait: Duration,
    /// The size of the bucket.
    pub limit: u32,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Allowed {
    /// Writes `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10).
    pub fn write(&self, headers: &mut HeaderMap, policy: HeaderValue) {
        write(headers, self.lane, self.remaining, self.reset);
        headers.insert(RATE_LIMIT_POLICY, policy);
    }
}

impl Denied {
    /// Writes the headers of a refusal.
    pub fn write(&self, headers: &mut HeaderMap, policy: HeaderValue) {
        write(headers, self.lane, 0, self.wait);
        headers.insert(RATE_LIMIT_POLICY, policy);
    }

    /// Whole seconds to wait, rounded up, 1 to 86,400.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        whole_seconds(self.wait).clamp(1, 86_400)
    }
}

fn whole_seconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn write(headers: &mut HeaderMap, lane: Lane, remaining: u32, reset: Duration) {
    let text = format!("\"{}\";r={remaining};t={}", lane.name(), whole_seconds(reset));
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(RATE_LIMIT, value);
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        catalogue::TOO_MANY_REQUESTS.retry_after(denied.seconds()).member("lane", denied.lane.name())
    }
}
