//! What can go wrong, in words that tell a stranger nothing.

use super::RepositoryError;
use crate::{
    flow::FlowError,
    invite::InviteError,
    passkey::PasskeyError,
    password::{ChooseError, PasswordError, PolicyError},
    softlock::RetryAfter,
    totp::TotpError,
};

/// Why a step of identity did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The proof is not right, or there is nobody with that name. 401, one answer for all causes.
    #[error("the login name, password or code is not right: check them and try again")]
    Refused,
    /// Too many wrong attempts. 429 with `Retry-After`.
    #[error(transparent)]
    TooMany(#[from] RetryAfter),
    /// Too many people are signing in. 429.
    #[error("too many people are signing in at this moment: try again in a few seconds")]
    Busy,
    /// There is no such session, or it has ended. 401.
    #[error("the session has ended: sign in again")]
    NoSession,
    /// A factor of the last five minutes is needed. 403, the portal asks for it and goes on.
    #[error("this needs a fresh confirmation: confirm with a code or a passkey")]
    FreshFactorNeeded,
    /// The step does not fit the state of the session. 409.
    #[error(transparent)]
    OutOfOrder(FlowError),
    /// The invitation cannot be used. 410.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// No recovery is open that these could redeem. 410.
    #[error(
        "this recovery is not open, or the code is not right: ask the administrators who gave you link and code"
    )]
    Recovery,
    /// The new password is not allowed. 422.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The tenant does without passwords. 403.
    #[error("this organisation signs in without passwords: use a passkey")]
    NoPasswords,
    /// The passkey ceremony failed. 401.
    #[error(transparent)]
    Passkey(#[from] PasskeyError),
    /// The passkey is registered already. 409.
    #[error("this passkey is registered already: use another one")]
    PasskeyKnown,
    /// There is no such factor. 404.
    #[error("you have no such passkey: look at the list again")]
    NoFactor,
    /// There is no such device. 404.
    #[error("you have no such device: look at the list again")]
    NoDevice,
    /// A device was confirmed before; this is asked from another one. 403.
    #[error("confirm this device from one that you have confirmed before")]
    ConfirmElsewhere,
    /// What remains would not let the person in. 409.
    #[error("this is what you sign in with: register another passkey first")]
    LastFactors,
    /// The QR code cannot be made. 422.
    #[error(transparent)]
    Totp(TotpError),
    /// The storage does not answer. 503.
    #[error(transparent)]
    Unavailable(#[from] RepositoryError),
    /// A stored credential cannot be read. 500.
    #[error("a stored credential cannot be read: ask the administrator to let it be set anew")]
    Corrupt,
}

impl From<PasswordError> for IdentityError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Invalid => Self::Corrupt,
        }
    }
}

impl From<ChooseError> for IdentityError {
    fn from(error: ChooseError) -> Self {
        match error {
            ChooseError::Policy(error) => Self::Policy(error),
            ChooseError::Hash(error) => error.into(),
        }
    }
}

impl From<FlowError> for IdentityError {
    fn from(error: FlowError) -> Self {
        match error {
            FlowError::SessionEnded => Self::NoSession,
            FlowError::OutOfOrder | FlowError::SignInInstead => Self::OutOfOrder(error),
        }
    }
}
