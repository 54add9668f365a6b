//! Signing in with a password and a code, and signing out.

use axum::response::Response;
use carekeep_identity::{
    flow::SessionState,
    service::{IdentityError, Live, Repository},
};
use carekeep_vault::{AccountEvent, Factor};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    answer::{Step, signed_out, stepped, stepped_with},
    visit::Visit,
};
use crate::problem::{Json, Problem};

/// The first half of signing in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Password {
    /// The login name.
    login: String,
    /// The password.
    password: String,
}

/// A code of the app, or a recovery code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Code {
    /// The code; spaces do not matter.
    pub(super) code: String,
}

/// `POST /api/v1/sign-in/password`
pub(super) async fn password(visit: Visit, Json(body): Json<Password>) -> Result<Response, Problem> {
    let password = Zeroizing::new(body.password);
    visit.count_sign_in(&body.login).await?;
    let signed_in = visit.identity.sign_in_with_password(&body.login, &password, None).await?;
    let mut step = Step::of(signed_in.session.state);
    step.factors = Some(factors(&visit, signed_in.session.person).await?);
    visit.end_previous().await?;
    stepped_with(&visit, AccountEvent::SignIn(Factor::Password), &signed_in, step).await
}

/// What the person can give as second factor. Told only after the first one was right.
pub(super) async fn factors(
    visit: &Visit,
    person: carekeep_kernel::PersonId,
) -> Result<Vec<&'static str>, IdentityError> {
    let repository = visit.identity.repository();
    let mut factors = Vec::new();
    if repository.totp(person).await?.is_some() {
        factors.push("totp");
    }
    if !repository.passkeys(person).await?.is_empty() {
        factors.push("passkey");
    }
    if repository.recovery_codes(person).await?.iter().any(|code| code.used.is_none()) {
        factors.push("recovery_code");
    }
    Ok(factors)
}

/// `POST /api/v1/sign-in/totp`
pub(super) async fn totp(visit: Visit, Json(body): Json<Code>) -> Result<Response, Problem> {
    let code = Zeroizing::new(body.code);
    let live = visit.live().await?;
    visit.count_guess(&live, "totp")?;
    let event = proven(&live, Factor::Totp);
    let tried = visit.identity.prove_code(visit.token()?, &code).await;
    stepped(&visit, event, &visit.tried(&live, event, tried).await?).await
}

/// `POST /api/v1/sign-in/recovery-code`
pub(super) async fn recovery_code(visit: Visit, Json(body): Json<Code>) -> Result<Response, Problem> {
    let code = Zeroizing::new(body.code);
    let live = visit.live().await?;
    visit.count_guess(&live, "recovery")?;
    let event = proven(&live, Factor::RecoveryCode);
    let tried = visit.identity.prove_recovery_code(visit.token()?, &code).await;
    stepped(&visit, event, &visit.tried(&live, event, tried).await?).await
}

/// What it means that a factor is proven in this session.
pub(super) const fn proven(live: &Live, factor: Factor) -> AccountEvent {
    match live.session.state {
        SessionState::Active { .. } => AccountEvent::StepUp(factor),
        SessionState::PendingSecondFactor | SessionState::Enrolling(_) => AccountEvent::SignIn(factor),
    }
}

/// `POST /api/v1/sign-out`
pub(super) async fn sign_out(visit: Visit) -> Result<Response, Problem> {
    // Somebody whose session has ended already is signed out too.
    visit.end_previous().await?;
    Ok(signed_out(visit.delivery))
}
