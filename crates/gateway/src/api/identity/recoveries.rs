//! Recovery of accounts whose people lost all factors: begun and approved by two administrators, redeemed after the hold, ended
//! by the person from any session.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::RecoveryView;
use carekeep_kernel::PersonId;
use carekeep_vault::{
    AccountEvent, Caller,
    catalogue::{ListPeople, RecoverAccount},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{answer::effected, visit::Visit};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, catalogue},
};

/// A recovery under way.
#[derive(Serialize, ToSchema)]
struct Recovery {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Whose account.
    #[schema(format = "uuid")]
    person: String,
    /// Who began it.
    #[schema(format = "uuid")]
    begun_by: String,
    /// When.
    #[schema(format = "date-time")]
    begun: String,
    /// Who approved it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    approved_by: Option<String>,
    /// From when on link and code open it; absent until it is approved.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    opens: Option<String>,
    /// When it lapses.
    #[schema(format = "date-time")]
    lapses: String,
}

impl From<RecoveryView> for Recovery {
    fn from(recovery: RecoveryView) -> Self {
        Self {
            id: recovery.id.to_string(),
            person: recovery.person.to_string(),
            begun_by: recovery.begun_by.to_string(),
            begun: recovery.begun.to_string(),
            approved_by: recovery.approved_by.map(|person| person.to_string()),
            opens: recovery.opens.map(|at| at.to_string()),
            lapses: recovery.lapses.to_string(),
        }
    }
}

/// A recovery that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// The recovery.
    #[schema(inline)]
    recovery: Recovery,
    /// The half that you hand to the person, once you know that it is them. Shown once.
    code: String,
}

/// A recovery that was approved.
#[derive(Serialize, ToSchema)]
pub(super) struct Approved {
    /// The recovery.
    #[schema(inline)]
    recovery: Recovery,
    /// The half that you hand to the person. Shown once.
    token: String,
    /// The page where the person uses both halves; the token stands behind `#`, which browsers keep to themselves.
    link: String,
}

/// The recoveries that are under way.
#[derive(Serialize, ToSchema)]
pub(super) struct Recoveries {
    /// The oldest first.
    #[schema(inline)]
    recoveries: Vec<Recovery>,
}

/// The recovery of one's own account.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnRecovery {
    /// Absent when none is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    recovery: Option<Recovery>,
}

/// What two administrators handed over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redeem {
    /// From the one who approved.
    token: String,
    /// From the one who began.
    code: String,
}

/// `POST /api/v1/people/{id}/recovery`
pub(super) async fn begin(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let person: PersonId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let leave = visit.api.vault.authorize_deed(&caller, Some(person), Some("begin")).await?;
    let begun = visit.identity.repository().begin_recovery(leave).await?;
    let body = Begun { recovery: begun.recovery.into(), code: begun.code.reveal().to_owned() };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// `GET /api/v1/recoveries`
pub(super) async fn list(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<ListPeople>(&caller, None).await?;
    if !leave.shows_names() {
        return Err(catalogue::FORBIDDEN);
    }
    let recoveries = visit.identity.repository().account_recoveries(leave).await?;
    Ok(Json(Recoveries { recoveries: recoveries.into_iter().map(Recovery::from).collect() }).into_response())
}

/// `POST /api/v1/recoveries/{id}/approve`
pub(super) async fn approve(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (leave, recovery) = decide(&caller, &visit, &id, "approve").await?;
    let (recovery, token) = visit.identity.repository().approve_recovery(leave, &recovery).await?;
    let token = token.reveal();
    let link = format!("{}/recover#{token}", visit.origin);
    Ok(Json(Approved { recovery: recovery.into(), token: token.to_owned(), link }).into_response())
}

/// `POST /api/v1/recoveries/{id}/reject`
pub(super) async fn reject(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (leave, recovery) = decide(&caller, &visit, &id, "reject").await?;
    visit.identity.repository().reject_recovery(leave, &recovery).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whoever may decide on none learns nothing of which there are.
async fn decide(
    caller: &Caller,
    visit: &Visit,
    id: &str,
    what: &str,
) -> Result<(carekeep_vault::Authorized<RecoverAccount>, RecoveryView), Problem> {
    let recovery = match id.parse::<Uuid>() {
        Ok(id) => visit.identity.repository().account_recovery(id).await?,
        Err(_) => None,
    };
    let deed = recovery.as_ref().map(|recovery| format!("{what} {}", recovery.id));
    let about = recovery.as_ref().map(|recovery| recovery.person);
    let leave = visit.api.vault.authorize_deed(caller, about, deed.as_deref()).await?;
    Ok((leave, recovery.ok_or(catalogue::NOT_FOUND)?))
}

/// `GET /api/v1/recovery`
pub(super) async fn own(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let recovery = visit.identity.repository().own_recovery(&visit.live().await?).await?;
    Ok(Json(OwnRecovery { recovery: recovery.map(Recovery::from) }).into_response())
}

/// `DELETE /api/v1/recovery`
pub(super) async fn cancel(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let people = visit.identity.repository();
    let recovery = people.own_recovery(&live).await?.ok_or(catalogue::NOT_FOUND)?;
    visit
        .record_about(AccountEvent::CancelRecovery, &live.session, &format!("recovery {}", recovery.id))
        .await?;
    if people.cancel_recovery(&live).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(catalogue::NOT_FOUND)
    }
}

/// `POST /api/v1/recovery/redeem`
pub(super) async fn redeem(
    visit: Visit,
    problem::Json(body): problem::Json<Redeem>,
) -> Result<Response, Problem> {
    let (token, code) = (Zeroizing::new(body.token), Zeroizing::new(body.code));
    // Token and code have 256 and 120 random bits; each attempt looks one up.
    visit.count_address().await?;
    let ready = visit.identity.redeem_recovery(&token, &code, None).await?;
    effected(&visit, AccountEvent::RedeemRecovery, ready).await
}
