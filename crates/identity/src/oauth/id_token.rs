//! Id tokens: they tell an app who signed in (OpenID Connect Core 1.0 section 2), and open nothing.
//!
//! Signed by RS256, which every client understands, with a key of the tenant's own of 2048 bits. The private half leaves
//! the vault only to sign.

use aws_lc_rs::{
    encoding::AsDer,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use carekeep_kernel::Timestamp;
use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::ID_TOKEN_LIFE;

/// A key that cannot be made or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a signing key cannot be used")]
pub struct KeyError;

/// A key that signs.
pub struct SigningKey {
    kid: String,
    pair: KeyPair,
}

/// What an id token says.
#[derive(Serialize)]
pub struct Claims<'a> {
    /// The tenant's origin.
    pub iss: &'a str,
    /// The person.
    pub sub: &'a str,
    /// The app.
    pub aud: &'a str,
    /// Now, in seconds.
    pub iat: i64,
    /// When it is over.
    pub exp: i64,
    /// When the person signed in.
    pub auth_time: i64,
    /// The app's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nonce: Option<&'a str>,
    /// The FHIR resource that stands for the person.
    #[serde(rename = "fhirUser", skip_serializing_if = "Option::is_none")]
    pub fhir_user: Option<&'a str>,
    /// The name that colleagues see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

impl Claims<'_> {
    /// Seconds since the Unix epoch.
    #[must_use]
    pub const fn seconds(at: Timestamp) -> i64 {
        at.as_micros() / 1_000_000
    }

    /// When a token that is made now is over.
    #[must_use]
    pub fn expiry(now: Timestamp) -> i64 {
        Self::seconds(now + ID_TOKEN_LIFE)
    }
}

impl SigningKey {
    /// Makes a key: its private half (PKCS #8) to seal.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError)?;
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| KeyError)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    /// The key of a private half.
    ///
    /// # Errors
    /// When it is none.
    pub fn open(kid: String, pkcs8: &[u8]) -> Result<Self, KeyError> {
        Ok(Self { kid, pair: KeyPair::from_pkcs8(pkcs8).map_err(|_| KeyError)? })
    }

    /// The public half, to publish (RFC 7517).
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn public_jwk(&self) -> Result<Value, KeyError> {
        let (n, e) = components(self.pair.public_key().as_ref()).ok_or(KeyError)?;
        Ok(json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid,
            "n": BASE64URL_NOPAD.encode(n), "e": BASE64URL_NOPAD.encode(e),
        }))
    }

    /// Signs claims.
    ///
    /// # Errors
    /// When the key cannot sign.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, KeyError> {
        let head = json!({"alg": "RS256", "kid": self.kid, "typ": "JWT"}).to_string();
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError)?;
        let message =
            format!("{}.{}", BASE64URL_NOPAD.encode(head.as_bytes()), BASE64URL_NOPAD.encode(&claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // PKCS #1 v1.5 draws nothing; the parameter is for blinding.
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| KeyError)?;
        Ok(format!("{message}.{}", BASE64URL_NOPAD.encode(&signature)))
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1): a sequence of two integers.
fn components(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, rest) = element(der, 0x30)?;
    let (n, after) = element(sequence, 0x02)?;
    let (e, end) = element(after, 0x02)?;
    let unsigned = |bytes: &'_ [u8]| bytes.iter().position(|byte| *byte != 0);
    let (n_at, e_at) = (unsigned(n)?, unsigned(e)?);
    (rest.is_empty() && end.is_empty()).then_some((&n[n_at..], &e[e_at..]))
}

/// The content of the first element, if it has this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, der) = der.split_first()?;
    let (&length, der) = der.split_first()?;
    let (length, der) = if length < 0x80 {
        (usize::from(length), der)
    } else {
        let (bytes, der) =
            der.split_at_checked(usize::from(length & 0x7f)).filter(|(bytes, _)| bytes.len() <= 4)?;
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), der)
    };
    if first == tag { der.split_at_checked(length) } else { None }
}
