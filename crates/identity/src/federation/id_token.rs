//! Id tokens of a provider (OpenID Connect Core 1.0 section 3.1.3.7).
//!
//! Invariant: the published key decides the algorithm, never the header alone, and only asymmetric ones are there to choose from:
//! what is public can be no secret of an HMAC. A header that brings a key of its own, or wants something understood, is refused.

use std::{str::FromStr, time::Duration};

use carekeep_kernel::Timestamp;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// The longest token that is looked at.
const LONGEST: usize = 32 * 1024;
/// The most keys of a provider that are looked at.
const MOST_KEYS: usize = 50;
/// How far the provider's clock may be off.
const SKEW: Duration = Duration::from_secs(60);
/// How old a token may be that was made for this round.
const OLDEST: Duration = Duration::from_secs(10 * 60);

/// The keys that a provider publishes (RFC 7517), as far as they can be used.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotBelieved {
    /// None of the keys is the one that it names: there may be newer ones.
    #[error("signed by a key that is not published")]
    UnknownKey,
    /// It is not for this round, here and now, or not signed.
    #[error("not a token of the provider for this sign-in")]
    Invalid,
}

/// What a token must say.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// Whom it is for.
    pub client_id: &'a str,
    /// What the round drew.
    pub nonce: &'a str,
    /// The claim that SCIM's `externalId` is compared with.
    pub claim: &'a str,
    /// Now.
    pub now: Timestamp,
}

/// What a provider says about somebody. Personal data: not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Asserted {
    /// Who it is, at this issuer.
    pub subject: String,
    /// The claim that was asked for, if it is there.
    pub claim: Option<String>,
    /// How they signed in there (RFC 8176).
    pub amr: Vec<String>,
    /// What that is worth there.
    pub acr: Option<String>,
}

impl KeySet {
    /// Reads a published set. Keys that cannot verify here (symmetric ones, other curves, keys for encryption) are left out, as RFC
    /// 7517 section 5 has it.
    #[must_use]
    pub fn read(set: &Value) -> Self {
        let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self(keys.iter().take(MOST_KEYS).filter_map(key).collect())
    }

    /// The key that a header names; without a name, the only one there is for its algorithm (Core section 10.1).
    fn named(&self, kid: Option<&str>, algorithm: Algorithm) -> Result<&Key, NotBelieved> {
        let mut fitting = self.0.iter().filter(|key| key.algorithms.contains(&algorithm));
        let found = match kid {
            Some(kid) => self.0.iter().find(|key| key.kid.as_deref() == Some(kid)),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        };
        found.ok_or(NotBelieved::UnknownKey)
    }
}

fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    use Algorithm::{ES256, ES384, PS256, PS384, PS512, RS256, RS384, RS512};
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => vec![ES256],
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P384 => vec![ES384],
        _ => return None,
    };
    if let Some(only) = jwk.common.key_algorithm {
        let only = Algorithm::from_str(&only.to_string()).ok()?;
        algorithms.retain(|algorithm| *algorithm == only);
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key { kid: jwk.common.key_id, algorithms, key })
}

/// What a token says, if it is the provider's, for this round, here and now.
///
/// # Errors
/// [`NotBelieved`].
pub fn verify(token: &str, keys: &KeySet, expected: Expected<'_>) -> Result<Asserted, NotBelieved> {
    let claims = signed(token, keys)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let same = |name: &str, value: &str| {
        text(name).is_some_and(|said| said.as_bytes().ct_eq(value.as_bytes()).into())
    };
    // A token for several is one that another of them may present here: none of them is trusted (section 3.1.3.7, step 3).
    let audience = match claims.get("aud") {
        Some(Value::Array(all)) => all.len() == 1 && all[0] == expected.client_id,
        _ => same("aud", expected.client_id),
    };
    let party = claims.get("azp").is_none_or(|azp| azp == expected.client_id);
    let said = same("iss", expected.issuer) && same("nonce", expected.nonce);
    if !(audience && party && said && is_now(&claims, expected.now)) {
        return Err(NotBelieved::Invalid);
    }
    let subject = text("sub").filter(|sub| (1..=255).contains(&sub.len())).ok_or(NotBelieved::Invalid)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let amr = claims.get("amr").map(list).unwrap_or_default();
    Ok(Asserted {
        subject: subject.to_owned(),
        claim: text(expected.claim).filter(|value| !value.is_empty()).map(str::to_owned),
        amr: amr.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        acr: text("acr").map(str::to_owned),
    })
}

fn is_now(claims: &Map<String, Value>, now: Timestamp) -> bool {
    let moment = |name: &str| {
        let seconds =
            claims.get(name)?.as_f64().filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds))?;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole seconds in the range of years with four digits"
        )]
        Some(Timestamp::from_micros(seconds as i64 * 1_000_000))
    };
    let (Some(expires), Some(made)) = (moment("exp"), moment("iat")) else { return false };
    let begun = claims.get("nbf").is_none() || moment("nbf").is_some_and(|at| at <= now + SKEW);
    now < expires + SKEW && made <= now + SKEW && now < made + OLDEST && begun
}

fn signed(token: &str, keys: &KeySet) -> Result<Map<String, Value>, NotBelieved> {
    if token.len() > LONGEST {
        return Err(NotBelieved::Invalid);
    }
    // An algorithm that is not known to the library, `none` among them, ends here.
    let header = decode_header(token).map_err(|_| NotBelieved::Invalid)?;
    let brings =
        header.jwk.is_some() || header.jku.is_some() || header.x5u.is_some() || header.crit.is_some();
    // Other kinds of signed statements say what they are (RFC 8725 section 3.11).
    let other = header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT"));
    if brings || other {
        return Err(NotBelieved::Invalid);
    }
    let key = keys.named(header.kid.as_deref(), header.alg)?;
    if !key.algorithms.contains(&header.alg) {
        return Err(NotBelieved::Invalid);
    }
    let mut rules = Validation::new(header.alg);
    // What the token says is checked above, by the clock that everything here goes by.
    rules.required_spec_claims.clear();
    (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
    decode::<Map<String, Value>>(token, &key.key, &rules)
        .map(|data| data.claims)
        .map_err(|_| NotBelieved::Invalid)
}

#[cfg(test)]
mod tests;
