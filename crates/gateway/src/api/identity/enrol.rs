//! Using an invitation, and setting up password, code generator and recovery codes.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_vault::AccountEvent;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use super::{
    answer::{Step, effected, effected_with},
    sign_in::Code,
    visit::Visit,
};
use crate::problem::{self, Problem};

/// An invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Accept {
    /// The token of the link.
    token: String,
}

/// A password to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// The password: 8 to 256 characters, not an easily guessed one.
    password: String,
}

/// What is needed to set up a code generator.
#[derive(Serialize, ToSchema)]
pub(super) struct TotpSetup {
    /// The secret for typing it in, Base32.
    secret: String,
    /// The address in the QR code.
    otpauth_uri: String,
    /// The QR code.
    qr_svg: String,
}

/// `POST /api/v1/invites/accept`
///
/// The token has 256 random bits, so there is nothing to guess and no lane of its own: a clinic that joins enrols many
/// people from one address.
pub(super) async fn accept(
    visit: Visit,
    problem::Json(body): problem::Json<Accept>,
) -> Result<Response, Problem> {
    let token = Zeroizing::new(body.token);
    let ready = visit.identity.accept_invite(&token, None).await?;
    effected(&visit, AccountEvent::AcceptInvite, ready).await
}

/// `POST /api/v1/enrol/password`
pub(super) async fn password(
    visit: Visit,
    problem::Json(body): problem::Json<NewPassword>,
) -> Result<Response, Problem> {
    let password = Zeroizing::new(body.password);
    let live = visit.live().await?;
    let profile = visit.identity.repository().profile(&live).await?;
    // Copies: the judge keeps them for milliseconds.
    let context = vec![profile.login.to_string(), profile.name.to_string(), visit.brand.clone()];
    let ready = visit.identity.set_password(visit.token()?, password, context).await?;
    effected(&visit, AccountEvent::EnrolPassword, ready).await
}

/// `POST /api/v1/enrol/totp/begin`
pub(super) async fn totp_begin(visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let profile = visit.identity.repository().profile(&live).await?;
    let shown = visit.identity.begin_totp(visit.token()?, &visit.brand, &profile.login).await?;
    let body = TotpSetup {
        secret: shown.secret.to_string(),
        otpauth_uri: shown.url.to_string(),
        qr_svg: shown.svg.to_string(),
    };
    Ok(Json(body).into_response())
}

/// `POST /api/v1/enrol/totp/confirm`
pub(super) async fn totp_confirm(
    visit: Visit,
    problem::Json(body): problem::Json<Code>,
) -> Result<Response, Problem> {
    let code = Zeroizing::new(body.code);
    let live = visit.live().await?;
    visit.count_guess(&live, "totp")?;
    let tried = visit.identity.confirm_totp(visit.token()?, &code).await;
    let ready = visit.tried(&live, AccountEvent::EnrolTotp, tried).await?;
    effected(&visit, AccountEvent::EnrolTotp, ready).await
}

/// `POST /api/v1/enrol/recovery-codes`
pub(super) async fn recovery_codes(visit: Visit) -> Result<Response, Problem> {
    let (ready, codes) = visit.identity.new_recovery_codes(visit.token()?).await?;
    let mut step = Step::of(ready.session().state);
    step.codes = Some(codes.iter().map(|code| code.reveal().to_owned()).collect());
    effected_with(&visit, AccountEvent::NewRecoveryCodes, ready, step).await
}
