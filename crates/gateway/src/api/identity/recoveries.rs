//! Recovery of accounts whose people lost all factors: begun and approved by two of staff, redeemed after the hold, ended
//! by the person from any session.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::{BegunRecovery, Identified, RecoveryView};
use carekeep_kernel::{PersonId, ResourceId};
use carekeep_policy::{Role, RoleSet};
use carekeep_vault::{
    AccountEvent, Authorized, Caller,
    catalogue::{ApproveRecovery, ListPeople},
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
    /// How the patient was identified whose account it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    identified_by: Option<IdentifiedBy>,
    /// The chart that the account reads, where you decide on patients' accounts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    patient: Option<String>,
}

/// How a patient was identified, in person.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum IdentifiedBy {
    /// By a document with a photograph that you saw: passport, identity card, driving licence.
    PhotoId,
    /// You know the patient.
    PersonallyKnown,
}

impl From<IdentifiedBy> for Identified {
    fn from(by: IdentifiedBy) -> Self {
        match by {
            IdentifiedBy::PhotoId => Self::PhotoId,
            IdentifiedBy::PersonallyKnown => Self::PersonallyKnown,
        }
    }
}

impl From<Identified> for IdentifiedBy {
    fn from(identified: Identified) -> Self {
        match identified {
            Identified::PhotoId => Self::PhotoId,
            Identified::PersonallyKnown => Self::PersonallyKnown,
        }
    }
}

/// That a patient stands before you.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatientIdentified {
    /// How you identified them.
    #[schema(inline)]
    identified_by: IdentifiedBy,
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
            identified_by: recovery.identified.map(IdentifiedBy::from),
            patient: None,
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

/// What two of staff handed over.
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
    Ok(is_begun(begun))
}

fn is_begun(begun: BegunRecovery) -> Response {
    let body = Begun { recovery: begun.recovery.into(), code: begun.code.reveal().to_owned() };
    (StatusCode::CREATED, Json(body)).into_response()
}

/// `POST /api/v1/patients/{id}/account/recovery`
pub(super) async fn begin_for_patient(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(body): problem::Json<PatientIdentified>,
) -> Result<Response, Problem> {
    let patient: ResourceId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let identified = Identified::from(body.identified_by);
    let deed = format!("begin, identified by {}", identified.as_str());
    let leave = visit.api.vault.authorize_deed_on_chart(&caller, patient, Some(&deed)).await?;
    let begun = visit.identity.repository().begin_patients_recovery(leave, identified).await?;
    Ok(is_begun(begun))
}

/// `GET /api/v1/recoveries`
pub(super) async fn list(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    if decides_on_patients_only(caller.roles()) {
        let leave = visit.api.vault.authorize::<ApproveRecovery>(&caller, None).await?;
        let recoveries = visit.identity.repository().patients_recoveries(leave).await?;
        let with_chart = |(recovery, chart): (RecoveryView, Option<ResourceId>)| Recovery {
            patient: chart.map(|chart| chart.to_string()),
            ..recovery.into()
        };
        let recoveries = recoveries.into_iter().map(with_chart).collect();
        return Ok(Json(Recoveries { recoveries }).into_response());
    }
    let leave = visit.api.vault.authorize::<ListPeople>(&caller, None).await?;
    if !leave.shows_names() {
        return Err(catalogue::FORBIDDEN);
    }
    let recoveries = visit.identity.repository().account_recoveries(leave).await?;
    Ok(Json(Recoveries { recoveries: recoveries.into_iter().map(Recovery::from).collect() }).into_response())
}

/// Which list somebody asks for; policy decides whether they see it.
fn decides_on_patients_only(roles: RoleSet) -> bool {
    roles.contains(Role::PrivacyOfficer) && !roles.contains(Role::TenantAdmin)
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
) -> Result<(Authorized<ApproveRecovery>, RecoveryView), Problem> {
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
