//! What a person allowed apps, for the person to see and to withdraw.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::AppGrant;
use carekeep_kernel::SessionId;
use carekeep_vault::AccountEvent;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::visit::Visit;
use crate::{
    api::SignedIn,
    problem::{Path, Problem, catalogue},
};

/// What the person allowed.
#[derive(Serialize, ToSchema)]
pub(super) struct Grants {
    /// The newest first.
    #[schema(inline)]
    grants: Vec<Grant>,
}

/// What one app may do.
#[derive(Serialize, ToSchema)]
struct Grant {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// The app's name.
    app: String,
    /// The scopes, separated by blanks.
    scope: String,
    /// The patient that it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    patient: Option<String>,
    /// Whether it goes on after signing out.
    offline: bool,
    /// When it was given.
    #[schema(format = "date-time")]
    created: String,
    /// When the app last got a token.
    #[schema(format = "date-time")]
    last_used: String,
}

impl From<AppGrant> for Grant {
    fn from(grant: AppGrant) -> Self {
        Self {
            id: grant.id.to_string(),
            app: grant.app,
            scope: grant.scopes,
            patient: grant.patient.map(|patient| patient.to_string()),
            offline: grant.offline,
            created: grant.created.to_string(),
            last_used: grant.last_used.to_string(),
        }
    }
}

/// `GET /api/v1/app-grants`
pub(super) async fn list(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let grants = visit.identity.repository().app_grants(&caller).await?;
    Ok(Json(Grants { grants: grants.into_iter().map(Grant::from).collect() }).into_response())
}

/// `DELETE /api/v1/app-grants/{id}`
pub(super) async fn withdraw(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: SessionId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let people = visit.identity.repository();
    let grants = people.app_grants(&caller).await?;
    let grant = grants.iter().find(|grant| grant.id == id.as_uuid()).ok_or(catalogue::NOT_FOUND)?;
    // On record first: an entry without the withdrawal may be, the other way round not.
    let said = format!("grant {}, app {}", grant.id, grant.client);
    visit.record_about_app(AccountEvent::WithdrawApp, &said).await?;
    people.withdraw_app_grant(&caller, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
