//! Time-based one-time codes (RFC 6238): six digits, SHA-1, steps of 30 seconds, the parameters that every app supports.
//!
//! Invariant: a step is used once. [`verify`] answers with the step that the caller must store by a compare-and-set
//! (`last_used < step`) before it believes the code; of racing attempts on any node one wins.

mod qr;

use carekeep_kernel::{Random, Timestamp, random};
use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq, ConstantTimeGreater};
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use qr::{qr_svg, qr_terminal};

/// Length of a step in seconds.
pub const STEP_SECONDS: u64 = 30;
/// Steps of clock drift that are accepted in either direction.
const DRIFT: u64 = 1;

/// A secret of 160 bits (RFC 4226 section 4), shared with the owner's app. Wiped on drop; stored sealed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct TotpSecret([u8; 20]);

impl TotpSecret {
    /// A fresh secret.
    #[must_use]
    pub fn generate(source: &dyn Random) -> Self {
        Self(random::bytes(source))
    }

    /// The secret that these opened bytes are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The bytes to seal.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// The text for an app that has no camera: 32 characters of base32.
    #[must_use]
    pub fn to_base32(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE32_NOPAD.encode(&self.0))
    }
}

/// The number of a step: whole steps since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Step(pub i64);

/// A code that is not accepted, or an enrolment that cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TotpError {
    /// It is not six digits.
    #[error("enter the six digits that the app shows")]
    Malformed,
    /// It is not the code of now, of the step before or of the step after.
    #[error("this code is not valid: wait for the next one and check the clock of the device")]
    Wrong,
    /// It was the code, but a code of this or a later step was used already. Answered to people like [`Self::Wrong`].
    #[error("this code is not valid: wait for the next one and check the clock of the device")]
    AlreadyUsed,
    /// The issuer or the account is empty or too long for a QR code.
    #[error("the name of the organisation or of the account cannot be shown in a QR code: shorten it")]
    Unshowable,
}

/// The `otpauth://` address that an app reads from the QR code. It contains the secret.
///
/// `issuer` is the name of the tenant's brand, `account` the login name; a colon, which the format reserves, becomes
/// a space.
///
/// # Errors
/// When one of the names is empty.
pub fn provisioning_url(
    secret: &TotpSecret,
    issuer: &str,
    account: &str,
) -> Result<Zeroizing<String>, TotpError> {
    let clean = |name: &str| name.replace(':', " ").trim().to_owned();
    let (issuer, account) = (clean(issuer), clean(account));
    if issuer.is_empty() || issuer.len() > 200 || account.len() > 200 {
        return Err(TotpError::Unshowable);
    }
    builder(secret)
        .with_issuer(Some(issuer))
        .with_account_name(account)
        .build()
        .and_then(|totp| totp.to_url())
        .map(Zeroizing::new)
        .map_err(|_| TotpError::Unshowable)
}

/// Checks a code. Spaces in it are ignored.
///
/// # Errors
/// When it is no code, the wrong code, or the code of a step not later than `last_used`.
pub fn verify(
    secret: &TotpSecret,
    code: &str,
    now: Timestamp,
    last_used: Option<Step>,
) -> Result<Step, TotpError> {
    let code = digits(code)?;
    let totp = builder(secret).build_noncompliant();
    let current = u64::try_from(now.as_seconds()).unwrap_or(0) / STEP_SECONDS;
    let first_free = last_used.map_or(0, |step| u64::try_from(step.0).unwrap_or(0).saturating_add(1));
    let (mut seen, mut accepted) = (Choice::from(0), 0_u64);
    // All steps are computed and compared, so that the time does not tell which one matched.
    for step in current.saturating_sub(DRIFT)..=current + DRIFT {
        let right = expected(&totp, step).ct_eq(&code);
        seen |= right;
        let fresh = !first_free.ct_gt(&step);
        // A step is never 0 in this century, so 0 can stand for "none".
        accepted.conditional_assign(&step, right & fresh);
    }
    match (accepted, bool::from(seen)) {
        (0, false) => Err(TotpError::Wrong),
        (0, true) => Err(TotpError::AlreadyUsed),
        (step, _) => i64::try_from(step).map(Step).map_err(|_| TotpError::Wrong),
    }
}

/// The code of `now`, as the owner's app shows it: for demo logins on a developer's terminal and for tests.
#[must_use]
pub fn code_at(secret: &TotpSecret, now: Timestamp) -> String {
    let totp = builder(secret).build_noncompliant();
    totp.generate(u64::try_from(now.as_seconds()).unwrap_or(0)).to_string()
}

fn builder(secret: &TotpSecret) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(STEP_SECONDS)
        .with_secret(totp_rs::Secret::new_stack(secret.0))
}

fn expected(totp: &Totp, step: u64) -> [u8; 6] {
    let text = Zeroizing::new(totp.generate(step * STEP_SECONDS).to_string());
    let mut code = [0_u8; 6];
    for (slot, byte) in code.iter_mut().zip(text.bytes()) {
        *slot = byte;
    }
    code
}

fn digits(typed: &str) -> Result<[u8; 6], TotpError> {
    if typed.len() > 32 {
        return Err(TotpError::Malformed);
    }
    let mut code = [0_u8; 6];
    let mut length = 0;
    for byte in typed.bytes().filter(|byte| *byte != b' ') {
        *code.get_mut(length).ok_or(TotpError::Malformed)? = byte;
        length += 1;
    }
    if length == 6 && code.iter().all(u8::is_ascii_digit) { Ok(code) } else { Err(TotpError::Malformed) }
}

#[cfg(test)]
mod tests;
