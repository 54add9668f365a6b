//! Passkeys (WebAuthn level 3) by webauthn-rs, bound to one tenant.
//!
//! Invariants: the relying party id is the tenant's host and the only origin is the tenant's own, so a passkey of one
//! tenant is nothing at another; user verification is required at registration and at every use, so one passkey is two
//! factors; a ceremony is used once, within five minutes, by whoever began it ([`CeremonyRecord`]).

mod ceremony;
mod checks;
mod demand;
mod record;
mod relying_party;

pub use ceremony::{CEREMONY_LIFETIME, CeremonyId, CeremonyKind, CeremonyRecord, Holder};
pub use demand::{Demand, MakersError, PasskeyPolicy, TrustedMaker};
pub use record::PasskeyRecord;
pub use relying_party::{Mediation, Newcomer, RelyingParty};
pub use webauthn_rs::prelude::{
    CreationChallengeResponse, PublicKeyCredential, RegisterPublicKeyCredential, RequestChallengeResponse,
    WebauthnError,
};

/// A ceremony that did not succeed. The texts do not tell a stranger what exists.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// The tenant's host cannot have passkeys: it is an address and no name, or not a host at all.
    #[error("passkeys need a host name: set the tenant's host to a domain name")]
    Configuration,
    /// The ceremony is too old, of another kind, or was begun by somebody else or at another tenant.
    #[error("this attempt has expired: start again")]
    Stale,
    /// The response does not fit: signature, challenge, origin, flags, credential or counter.
    #[error("the passkey was not accepted: try again, or use another one")]
    Rejected(#[source] Reason),
    /// The tenant allows only passkeys that cannot leave their device.
    #[error("a passkey that is bound to its device is needed here: use a security key or this device's own")]
    DeviceBoundNeeded,
    /// The tenant allows only authenticators that it has listed.
    #[error("this authenticator is not one that the organisation has listed: register a listed one")]
    AttestedNeeded,
    /// The stored state or passkey cannot be read.
    #[error("the stored passkey cannot be read: register it anew")]
    Corrupt,
}

/// Why a response was rejected; for logs and tests, not for people.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// webauthn-rs says so.
    #[error(transparent)]
    Ceremony(#[from] WebauthnError),
    /// The credential is not one that this ceremony may use, or the user handle names somebody else.
    #[error("credential or user handle of somebody else")]
    NotTheirs,
    /// Backed up without being eligible, or the eligibility changed (WebAuthn section 6.1.3).
    #[error("impossible backup flags")]
    BackupFlags,
    /// The signature counter did not grow: the authenticator may have been copied.
    #[error("the signature counter went backwards")]
    Counter,
    /// The page was embedded in another one.
    #[error("the ceremony ran in a foreign frame")]
    Framed,
    /// User presence or verification is missing.
    #[error("the user was not verified")]
    NotVerified,
    /// The authenticator data is too short.
    #[error("the authenticator data is malformed")]
    Malformed,
    /// The credential was not stored in the authenticator, so it cannot be found without a login name.
    #[error("the credential is not discoverable")]
    NotDiscoverable,
}

impl From<WebauthnError> for PasskeyError {
    fn from(error: WebauthnError) -> Self {
        Self::Rejected(Reason::Ceremony(error))
    }
}

impl From<Reason> for PasskeyError {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason)
    }
}

#[cfg(test)]
mod tests;
