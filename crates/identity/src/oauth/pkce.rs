//! Proof key for code exchange, RFC 7636: S256 and nothing else, for every client.

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use subtle::ConstantTimeEq;

use super::OAuthError;

/// The challenge of an authorization request: a SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`.
    ///
    /// # Errors
    /// When either is missing, the method is another one, or the challenge is no SHA-256.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, OAuthError> {
        const NEEDED: OAuthError =
            OAuthError::new("invalid_request", "send a code_challenge with code_challenge_method=S256");
        let (Some(challenge), Some("S256")) = (challenge, method) else { return Err(NEEDED) };
        let bytes = BASE64URL_NOPAD.decode(challenge.as_bytes()).map_err(|_| NEEDED)?;
        <[u8; 32]>::try_from(bytes).map(Self).map_err(|_| NEEDED)
    }

    /// The stored challenge.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What is stored.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this verifier is what the challenge was made from (RFC 7636 section 4.6).
    #[must_use]
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let shaped = (43..=128).contains(&verifier.len()) && verifier.bytes().all(unreserved);
        shaped && bool::from(digest(&SHA256, verifier.as_bytes()).as_ref().ct_eq(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn i11_the_vector_of_rfc_7636_is_met_and_nothing_else_is() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert!(challenge.is_met_by(VERIFIER));
        for bad in
            ["", &VERIFIER[..42], &format!("{VERIFIER}x"), CHALLENGE, &"a".repeat(129), &"é".repeat(30)]
        {
            assert!(!challenge.is_met_by(bad), "{bad}");
        }
    }

    #[test]
    fn i11_pkce_cannot_be_left_out_or_made_plain() {
        for (challenge, method) in [
            (None, None),
            (None, Some("S256")),
            (Some(CHALLENGE), None),
            (Some(VERIFIER), Some("plain")),
            (Some(CHALLENGE), Some("s256")),
            (Some(""), Some("S256")),
            (Some(&CHALLENGE[..42]), Some("S256")),
        ] {
            let refused = Challenge::parse(challenge, method).map_err(|error| error.code);
            assert_eq!(refused.map(|_| ()), Err("invalid_request"), "{challenge:?} {method:?}");
        }
    }
}
