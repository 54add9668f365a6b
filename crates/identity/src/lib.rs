//! Who somebody is: passwords, one-time codes, passkeys, recovery codes, invitations, sessions.
//!
//! Invariants:
//! - The rules are pure: they take records, a moment and randomness, and answer with a verdict or a new record. What
//!   must happen once (a code, a step, a token) is returned as a compare-and-set that the store performs atomically.
//! - There is one way to assurance level 2: the transitions of [`flow`]. No path leads there from an e-mail, an
//!   invitation link or a password alone.
//! - Secrets are shown once, stored as hashes or sealed, wiped on drop, and have neither `Debug` nor `Display`.

pub mod factor;
pub mod federation;
pub mod flow;
pub mod invite;
pub mod oauth;
pub mod passkey;
pub mod password;
pub mod recovery;
pub mod service;
pub mod session;
pub mod settings;
pub mod softlock;
pub mod storage;
pub mod token;
pub mod totp;

pub use factor::{Aal, FactorKind, FactorTime};
pub use token::{PlainToken, TokenError, TokenHash, TokenKind};
