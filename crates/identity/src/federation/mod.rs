//! Signing in by a tenant's own identity provider: OpenID Connect Core 1.0, the authorization code flow with PKCE (RFC 7636).
//!
//! Everything here is pure: whoever calls fetches what the provider publishes. Invariants:
//! - A provider is believed about nothing but who a subject of its own is, and whether it asked them for two factors where the
//!   tenant said which words of it mean that. Names and addresses in its tokens are not looked at.
//! - What it said is believed once: for the round that this browser began, which is used up before the answer is looked at.

mod address;
mod id_token;
mod metadata;
mod provider;
mod round;

pub use address::is_public;
pub use id_token::{Asserted, Expected, KeySet, NotBelieved, verify};
pub use metadata::{Metadata, NotUsable, discovery_url};
pub use provider::{Provider, ProviderError, SUBJECT_CLAIMS, SecretText};
pub use round::{Answer, Round, assertion_claims};
