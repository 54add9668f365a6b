//! Passkeys: signing in without a login name, second factor and confirmation, registration.
//!
//! Options and answers are the JSON that `PublicKeyCredential.parseRequestOptionsFromJSON()`,
//! `parseCreationOptionsFromJSON()` and `toJSON()` take and give (WebAuthn level 3, section 5.1).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::passkey::{CeremonyId, Mediation, PublicKeyCredential, RegisterPublicKeyCredential};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    answer::{hold, release, stepped},
    visit::{Delivery, Visit},
};
use crate::problem::{self, Problem, catalogue};

/// A ceremony that has begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// To be sent back with the answer.
    #[schema(value_type = String, format = "uuid")]
    ceremony: CeremonyId,
    /// The options for the browser, within five minutes.
    #[schema(value_type = Object)]
    options: Value,
    /// For programs: to be sent back with the answer; browsers get it in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    holder: Option<String>,
}

/// What a passkey answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    /// The ceremony.
    #[schema(value_type = String, format = "uuid")]
    ceremony: CeremonyId,
    /// `toJSON()` of what `navigator.credentials.get()` gave.
    #[schema(value_type = Object)]
    credential: PublicKeyCredential,
    /// For programs: what the beginning gave.
    #[serde(default)]
    holder: Option<String>,
}

/// A passkey that was made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    /// The ceremony.
    #[schema(value_type = String, format = "uuid")]
    ceremony: CeremonyId,
    /// `toJSON()` of what `navigator.credentials.create()` gave.
    #[schema(value_type = Object)]
    credential: RegisterPublicKeyCredential,
    /// What its owner calls it; at most 60 characters are kept.
    #[serde(default)]
    name: String,
}

fn options(challenge: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(challenge).map_err(|_| catalogue::INTERNAL)
}

/// `POST /api/v1/sign-in/passkey/begin`
pub(super) async fn begin_sign_in(visit: Visit) -> Result<Response, Problem> {
    // Each adds a row, and whoever asks has shown nothing yet.
    visit.count_address().await?;
    let begun = visit.identity.begin_passkey_sign_in(Mediation::Modal).await?;
    let told = (visit.delivery == Delivery::Body).then(|| begun.holder.reveal().to_owned());
    let body =
        Begun { ceremony: begun.ceremony, options: options(&begun.challenge.public_key)?, holder: told };
    let mut response = Json(body).into_response();
    if visit.delivery == Delivery::Cookie {
        hold(&mut response, &begun.holder)?;
    }
    Ok(response)
}

/// `POST /api/v1/sign-in/passkey/finish`
pub(super) async fn finish_sign_in(
    visit: Visit,
    problem::Json(body): problem::Json<Finish>,
) -> Result<Response, Problem> {
    visit.count_address().await?;
    let holder = match visit.delivery {
        Delivery::Cookie => visit.holder.as_deref(),
        Delivery::Body => body.holder.as_deref(),
    };
    let holder = holder.ok_or(catalogue::PASSKEY_ATTEMPT_EXPIRED)?;
    let signed_in =
        visit.identity.finish_passkey_sign_in(body.ceremony, holder, &body.credential, None).await?;
    visit.end_previous().await?;
    let mut response = stepped(visit.delivery, &signed_in)?;
    if visit.delivery == Delivery::Cookie {
        release(&mut response);
    }
    Ok(response)
}

/// `POST /api/v1/step-up/passkey/begin`
pub(super) async fn begin_step(visit: Visit) -> Result<Response, Problem> {
    let (challenge, ceremony) = visit.identity.begin_passkey_step(visit.token()?).await?;
    Ok(Json(Begun { ceremony, options: options(&challenge.public_key)?, holder: None }).into_response())
}

/// `POST /api/v1/step-up/passkey/finish`
pub(super) async fn finish_step(
    visit: Visit,
    problem::Json(body): problem::Json<Finish>,
) -> Result<Response, Problem> {
    let signed_in =
        visit.identity.finish_passkey_step(visit.token()?, body.ceremony, &body.credential).await?;
    stepped(visit.delivery, &signed_in)
}

/// `POST /api/v1/enrol/passkey/begin`
pub(super) async fn begin_enrolment(visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let profile = visit.identity.repository().profile(&live).await?;
    let (challenge, ceremony) =
        visit.identity.begin_passkey_enrolment(visit.token()?, &profile.login, &profile.name).await?;
    Ok(Json(Begun { ceremony, options: options(&challenge.public_key)?, holder: None }).into_response())
}

/// `POST /api/v1/enrol/passkey/finish`
pub(super) async fn finish_enrolment(
    visit: Visit,
    problem::Json(body): problem::Json<Registration>,
) -> Result<Response, Problem> {
    let made = (&body.credential, body.name.as_str());
    let signed_in = visit.identity.finish_passkey_enrolment(visit.token()?, body.ceremony, made).await?;
    stepped(visit.delivery, &signed_in)
}
