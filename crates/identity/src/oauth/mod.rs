//! OAuth 2.1 and SMART App Launch: the rules by which an app gets a token in somebody's name.
//!
//! Invariants:
//! - Access tokens, refresh tokens and codes are opaque and stored as hashes. Nothing that an app presents is believed for
//!   what it says about itself; the only signed texts are an app's own proof of who it is ([`assertion`]) and the id token
//!   that tells the app who signed in ([`id_token`]).
//! - What works once (a code, a refresh token, an assertion's `jti`) is used up by one statement of the store that says
//!   whether it was first. A second use of a code or refresh token ends the grant, and with it every token of the family.

pub mod assertion;
pub mod client;
pub mod id_token;
pub mod jws;
pub mod pkce;
pub mod redirect;

use std::time::Duration;

pub use client::{Authentication, ClientError, ClientState, Registration};
pub use pkce::Challenge;

/// How long an authorization code is good (ASVS 5.0 section 10.4.3, level 3: one minute).
pub const CODE_LIFE: Duration = Duration::from_secs(60);
/// How long an access token is good.
pub const ACCESS_LIFE: Duration = Duration::from_secs(5 * 60);
/// How long a refresh token is good without being used.
pub const REFRESH_IDLE: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a grant is good, however often it is refreshed: then the person is asked again.
pub const GRANT_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a chart may have been open before the app asks for its context.
pub const LAUNCH_LIFE: Duration = Duration::from_secs(5 * 60);
/// How long an id token is good.
pub const ID_TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);

/// How long what has ended is kept: longer than a session lasts, so that what is bound to one is over by then.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A refusal as RFC 6749 section 5.2 and 4.1.2.1 name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct OAuthError {
    /// `invalid_request`, `invalid_grant`, ...
    pub code: &'static str,
    /// What to do about it; nothing that the client sent.
    pub description: &'static str,
}

impl OAuthError {
    /// A refusal.
    #[must_use]
    pub const fn new(code: &'static str, description: &'static str) -> Self {
        Self { code, description }
    }

    /// The client is not who it says; one text for all causes.
    pub const INVALID_CLIENT: Self =
        Self::new("invalid_client", "the client could not be authenticated: check its registration");
    /// The code, refresh token or assertion is no good; one text for all causes.
    pub const INVALID_GRANT: Self =
        Self::new("invalid_grant", "the code or refresh token is not valid: ask for authorization again");
}
