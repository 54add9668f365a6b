//! Bearer tokens: 256 random bits, shown once, stored only as a hash.
//!
//! Invariant: nothing that is stored or logged can be presented as a token. A plain SHA-256 is enough, because there
//! is nothing to guess: the input has 256 bits of entropy (NIST SP 800-63B-4 section 3.1.2.2 asks for a slow hash only
//! below 112). The prefix is hashed too, so a token of one kind is never a token of another.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use carekeep_kernel::{PersonId, Random, random};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a token is for. Each kind has a prefix, which secret scanners can look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A session.
    Session,
    /// An invitation.
    Invite,
    /// The holder of a WebAuthn ceremony that begins before there is a session.
    Ceremony,
    /// What an app reads with.
    Access,
    /// What an app gets its next access token with.
    Refresh,
    /// A browser or program that people sign in from.
    Device,
    /// The link of an account's recovery.
    Recovery,
    /// An authorization code.
    Code,
    /// The context in which an app is opened from a chart.
    Launch,
    /// The secret of a confidential app.
    ClientSecret,
    /// What a tenant's identity provider keeps accounts with.
    Provisioning,
}

impl TokenKind {
    /// The four characters that every token of this kind begins with.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "cks_",
            Self::Invite => "cki_",
            Self::Ceremony => "ckc_",
            // The vault tells apps' tokens from sessions by this prefix.
            Self::Access => "cka_",
            Self::Refresh => "ckr_",
            Self::Device => "ckd_",
            Self::Recovery => "ckv_",
            Self::Code => "cko_",
            Self::Launch => "ckl_",
            Self::ClientSecret => "ckx_",
            // The vault knows it by this prefix, too.
            Self::Provisioning => "ckp_",
        }
    }
}

/// A text that is no token of the kind that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid token: sign in again or ask for a new link")]
pub struct TokenError;

/// A token as its holder has it: a prefix and 43 characters of base64url. Shown once, wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct PlainToken(String);

impl PlainToken {
    /// The text to hand to the holder, and to nobody else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a token: what is stored and looked up.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash that these stored bytes are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash of a token that somebody presents.
    ///
    /// # Errors
    /// When the text does not have the shape of a token of this kind; nothing needs to be looked up then.
    pub fn of_presented(kind: TokenKind, text: &str) -> Result<Self, TokenError> {
        let body = text.strip_prefix(kind.prefix()).ok_or(TokenError)?;
        // Strict decoding also refuses non-zero trailing bits, so that one token has one spelling.
        match BASE64URL_NOPAD.decode(body.as_bytes()) {
            Ok(bytes) if bytes.len() == 32 => Ok(Self::of_text(text)),
            _ => Err(TokenError),
        }
    }

    /// The hash of this token in the hands of one person: of two people at one browser nothing that is stored tells that
    /// they share it.
    #[must_use]
    pub fn of_person(&self, person: PersonId) -> Self {
        let mut hash = [0_u8; 32];
        hash.copy_from_slice(digest(&SHA256, &[&self.0[..], &person.as_bytes()[..]].concat()).as_ref());
        Self(hash)
    }

    fn of_text(text: &str) -> Self {
        let mut hash = [0_u8; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        Self(hash)
    }
}

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// A fresh token and the hash to store.
#[must_use]
pub fn issue(kind: TokenKind, source: &dyn Random) -> (PlainToken, TokenHash) {
    let mut raw = random::bytes::<32>(source);
    let mut text = String::with_capacity(47);
    text.push_str(kind.prefix());
    BASE64URL_NOPAD.encode_append(&raw, &mut text);
    raw.zeroize();
    let hash = TokenHash::of_text(&text);
    (PlainToken(text), hash)
}

#[cfg(test)]
mod tests {
    use carekeep_kernel::SeededRandom;

    use super::*;

    #[test]
    fn bar_i2_asvs_7_2_3_a_token_has_256_bits_and_is_found_by_its_hash() {
        let (token, hash) = issue(TokenKind::Session, &SeededRandom::new(1));
        assert_eq!(token.reveal().len(), 4 + 43);
        assert_eq!(TokenHash::of_presented(TokenKind::Session, token.reveal()), Ok(hash));
        assert!(!format!("{hash:?}").contains(&token.reveal()[4..12]));
    }

    #[test]
    fn a_token_has_one_spelling_and_one_kind() {
        let (token, hash) = issue(TokenKind::Session, &SeededRandom::new(2));
        let good = token.reveal();
        assert_eq!(TokenHash::of_presented(TokenKind::Session, good), Ok(hash));
        let body = &good[4..];
        for bad in [
            String::new(),
            "cks_".to_owned(),
            body.to_owned(),
            format!("cki_{body}"),
            format!("CKS_{body}"),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}="),
            format!("{good}A"),
            good[..46].to_owned(),
            // The last character carries two bits that must be zero.
            format!("{}{}", &good[..46], if good.ends_with('A') { 'B' } else { '_' }),
            format!("cks_{}", "é".repeat(21)),
        ] {
            assert_eq!(TokenHash::of_presented(TokenKind::Session, &bad), Err(TokenError), "{bad:?}");
        }
    }

    #[test]
    fn the_same_bits_as_another_kind_hash_differently() {
        let (token, session) = issue(TokenKind::Session, &SeededRandom::new(3));
        let as_invite = format!("cki_{}", &token.reveal()[4..]);
        let invite = TokenHash::of_presented(TokenKind::Invite, &as_invite);
        assert!(invite.is_ok_and(|hash| hash != session));
    }
}
