//! Passkeys: signing in without a login name, second factor and confirmation, registration.
//!
//! Options and answers are the JSON that `PublicKeyCredential.parseRequestOptionsFromJSON()`,
//! `parseCreationOptionsFromJSON()` and `toJSON()` take and give (WebAuthn level 3, section 5.1).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::passkey::{
    CeremonyId, Mediation, PasskeyRecord, PublicKeyCredential, RegisterPublicKeyCredential,
};
use carekeep_identity::storage::NoticeKind;
use carekeep_kernel::CredentialId;
use carekeep_vault::{AccountEvent, Factor};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    answer::{effected, hold, release, stepped},
    sign_in::proven,
    visit::{Delivery, Visit},
};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, catalogue},
};

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
    let mut response = stepped(&visit, AccountEvent::SignIn(Factor::Passkey), &signed_in).await?;
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
    let live = visit.live().await?;
    visit.count_guess(&live, "passkey")?;
    let event = proven(&live, Factor::Passkey);
    let tried = visit.identity.finish_passkey_step(visit.token()?, body.ceremony, &body.credential).await;
    stepped(&visit, event, &visit.tried(&live, event, tried).await?).await
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
    let ready = visit.identity.finish_passkey_enrolment(visit.token()?, body.ceremony, made).await?;
    effected(&visit, AccountEvent::EnrolPasskey, ready).await
}

/// One's own passkeys.
#[derive(Serialize, ToSchema)]
pub(super) struct Passkeys {
    /// The oldest first.
    #[schema(inline)]
    passkeys: Vec<PasskeyView>,
}

/// A passkey.
#[derive(Serialize, ToSchema)]
struct PasskeyView {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// What its owner calls it.
    name: String,
    /// When it was registered.
    #[schema(format = "date-time")]
    created: String,
    /// When it was last used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    last_used: Option<String>,
    /// Whether it can be copied to other devices by its keeper; otherwise it is bound to one.
    can_be_copied: bool,
    /// Whether it has been copied.
    copied: bool,
}

/// Another name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Renamed {
    /// At most 60 characters are kept.
    name: String,
}

/// `GET /api/v1/passkeys`
pub(super) async fn list(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let passkeys = visit.identity.list_passkeys(visit.token()?).await?;
    let view = |passkey: PasskeyRecord| PasskeyView {
        id: passkey.id.to_string(),
        name: passkey.name,
        created: passkey.created.to_string(),
        last_used: passkey.last_used.map(|used| used.to_string()),
        can_be_copied: passkey.backup_eligible,
        copied: passkey.backup_state,
    };
    Ok(Json(Passkeys { passkeys: passkeys.into_iter().map(view).collect() }).into_response())
}

/// `PUT /api/v1/passkeys/{id}`
pub(super) async fn rename(
    _: SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(body): problem::Json<Renamed>,
) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    visit.identity.rename_passkey(visit.token()?, id, &body.name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/passkeys/{id}`
pub(super) async fn remove(_: SignedIn, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: CredentialId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let live = visit.identity.may_remove_passkey(visit.token()?, id).await?;
    // On record before it is done: an entry without the removal may be, the other way round not.
    visit.record_about(AccountEvent::RemovePasskey, &live.session, &format!("passkey {id}")).await?;
    let live = visit.identity.remove_passkey(visit.token()?, id).await?;
    let people = visit.identity.repository();
    people.notify(live.person.id, NoticeKind::FactorRemoved, Some("passkey")).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
