//! `private_key_jwt`: how a program proves that it is a registered client (SMART "Client Authentication: Asymmetric",
//! RFC 7523). Its tests are the table of mutations in the tests of this crate.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use carekeep_kernel::Timestamp;
use serde_json::{Map, Value};

use super::jws::{self, NotSigned, PublicKey};

/// The type of such an assertion in a token request.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The longest life of an assertion (SMART: five minutes).
const LONGEST_LIFE: Duration = Duration::from_secs(5 * 60);
/// How far ahead the client's clock may be.
const SKEW: Duration = Duration::from_secs(30);

/// What must happen once: the store keeps it until it has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssertionId {
    /// The SHA-256 of the `jti`.
    pub jti: [u8; 32],
    /// When the assertion is over.
    pub expires: Timestamp,
}

/// Whom an assertion must name.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The client, as issuer and subject.
    pub client: &'a str,
    /// The token endpoint, as audience.
    pub audience: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// The client that an assertion says it is from, before anything is verified: to look its keys up, and for nothing else.
#[must_use]
pub fn claimed_client(text: &str) -> Option<String> {
    let claims = text.split('.').nth(1)?;
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

/// Checks an assertion. The caller must then use its id up.
///
/// # Errors
/// [`NotSigned`], whatever is wrong with it.
pub fn check(text: &str, keys: &[PublicKey], expected: Expected<'_>) -> Result<AssertionId, NotSigned> {
    let claims = jws::verified(text, keys)?;
    let is = |name: &str, value: &str| claims.get(name).and_then(Value::as_str) == Some(value);
    if !(is("iss", expected.client) && is("sub", expected.client) && is_for(&claims, expected.audience)) {
        return Err(NotSigned);
    }
    let now = expected.now;
    let expires = moment(&claims, "exp")?.ok_or(NotSigned)?;
    if expires <= now || expires > now + LONGEST_LIFE {
        return Err(NotSigned);
    }
    for not_before in ["iat", "nbf"] {
        if moment(&claims, not_before)?.is_some_and(|at| at > now + SKEW) {
            return Err(NotSigned);
        }
    }
    let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| (1..=256).contains(&jti.len()));
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, jti.ok_or(NotSigned)?.as_bytes()).as_ref());
    Ok(AssertionId { jti: hash, expires })
}

fn is_for(claims: &Map<String, Value>, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        // Several audiences are a token that somebody else may present here.
        Some(Value::Array(several)) => several.len() == 1 && several[0] == audience,
        _ => false,
    }
}

/// A moment in whole seconds; what is there and is none is a fault.
fn moment(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, NotSigned> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds =
        value.as_i64().filter(|seconds| (0..=253_402_300_799).contains(seconds)).ok_or(NotSigned)?;
    Ok(Some(Timestamp::from_micros(seconds * 1_000_000)))
}
