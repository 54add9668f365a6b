//! Compact JSON web signatures (RFC 7515) by two algorithms, RS384 and ES384, which SMART asks servers to take.
//!
//! Invariant: the registered key decides the algorithm, never the header alone: the header must name the key by `kid` and
//! the algorithm of that key. Headers that bring a key of their own or want something understood (`jku`, `jwk`, `x5u`,
//! `x5c`, `crit`, `b64`) are refused. There is no other algorithm here that could be confused with these.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::Value;

/// The longest text that is looked at.
const LONGEST: usize = 8 * 1024;
/// The most keys of one client.
const MOST_KEYS: usize = 10;

/// A public key as registered (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kid: String,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The point of P-384, uncompressed.
    P384(Vec<u8>),
}

/// A key set that cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not `{"keys": [...]}` with one to ten keys.
    #[error("give the key set itself, {{\"keys\": [...]}}, with one to ten public keys")]
    Shape,
    /// A key with a private half.
    #[error("a key in the set has its private half: make a new one, and register the public half only")]
    Private,
    /// A key that cannot be used.
    #[error("each key needs a kid of its own, and is EC P-384 (ES384) or RSA of 2048 to 8192 bits (RS384)")]
    Key,
}

/// A text that is not signed by any of the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not signed by a registered key")]
pub struct NotSigned;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    typ: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// Reads a key set.
///
/// # Errors
/// [`KeySetError`], which says what to do.
pub fn key_set(set: &Value) -> Result<Vec<PublicKey>, KeySetError> {
    let keys = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Shape)?;
    if keys.is_empty() || keys.len() > MOST_KEYS {
        return Err(KeySetError::Shape);
    }
    let mut read: Vec<PublicKey> = Vec::new();
    for key in keys {
        let key = public_key(key)?;
        if read.iter().any(|known| known.kid == key.kid) {
            return Err(KeySetError::Key);
        }
        read.push(key);
    }
    Ok(read)
}

fn public_key(key: &Value) -> Result<PublicKey, KeySetError> {
    if ["d", "p", "q", "dp", "dq", "qi", "k", "oth"].iter().any(|private| key.get(private).is_some()) {
        return Err(KeySetError::Private);
    }
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        text(name).and_then(|value| BASE64URL_NOPAD.decode(value.as_bytes()).ok()).ok_or(KeySetError::Key)
    };
    let kid = text("kid").filter(|kid| (1..=200).contains(&kid.len())).ok_or(KeySetError::Key)?;
    let alg = text("alg");
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err(KeySetError::Key);
    }
    let material = match (text("kty"), text("crv")) {
        (Some("EC"), Some("P-384")) if alg.is_none_or(|alg| alg == "ES384") => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if (x.len(), y.len()) != (48, 48) {
                return Err(KeySetError::Key);
            }
            Material::P384([&[4][..], &x, &y].concat())
        }
        (Some("RSA"), None) if alg.is_none_or(|alg| alg == "RS384") => {
            let (n, e) = (bytes("n")?, bytes("e")?);
            if !(256..=1024).contains(&n.len()) || n[0] == 0 || !matches!(e.as_slice(), [1, 0, 1] | [3]) {
                return Err(KeySetError::Key);
            }
            Material::Rsa { n, e }
        }
        _ => return Err(KeySetError::Key),
    };
    Ok(PublicKey { kid: kid.to_owned(), material })
}

impl PublicKey {
    const fn algorithm(&self) -> &'static str {
        match self.material {
            Material::Rsa { .. } => "RS384",
            Material::P384(_) => "ES384",
        }
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA384, message, signature)
                .is_ok(),
            Material::P384(point) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

/// The claims of a text that one of the keys signed.
///
/// # Errors
/// [`NotSigned`], whatever is wrong with it.
pub fn verified(text: &str, keys: &[PublicKey]) -> Result<serde_json::Map<String, Value>, NotSigned> {
    if text.len() > LONGEST {
        return Err(NotSigned);
    }
    let (message, signature) = text.rsplit_once('.').ok_or(NotSigned)?;
    let (head, claims) = message.split_once('.').ok_or(NotSigned)?;
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| NotSigned);
    let header: Header = serde_json::from_slice(&decode(head)?).map_err(|_| NotSigned)?;
    if !header.others.is_empty() || header.typ.is_some_and(|typ| typ != "JWT") {
        return Err(NotSigned);
    }
    let key = keys.iter().find(|key| key.kid == header.kid).ok_or(NotSigned)?;
    if header.alg != key.algorithm() || !key.verifies(message.as_bytes(), &decode(signature)?) {
        return Err(NotSigned);
    }
    serde_json::from_slice(&decode(claims)?).map_err(|_| NotSigned)
}
