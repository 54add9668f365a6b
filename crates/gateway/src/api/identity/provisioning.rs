//! Provisioning tokens, for whoever runs the tenant: with one of them its identity provider keeps accounts by SCIM.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::ProvisioningToken;
use carekeep_vault::{
    Authorized, Caller,
    catalogue::{ManageTenant, ReadSettings},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::visit::Visit;
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, catalogue},
};

/// How long a token is good if nothing is said, in days.
const USUAL_DAYS: u32 = 180;
/// How long it is good at most.
const MOST_DAYS: u32 = 365;

/// A token to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What you call it, 1 to 200 characters.
    name: String,
    /// For how many days it is good: 1 to 365, 180 if nothing is said.
    #[serde(default)]
    days: Option<u32>,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Its text, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// What it is called.
    name: String,
    /// The account that acts with it: the actor in the audit ledger.
    #[schema(format = "uuid")]
    person: String,
    /// Who made it.
    #[schema(format = "uuid")]
    created_by: String,
    /// When.
    #[schema(format = "date-time")]
    created: String,
    /// Until when it is good.
    #[schema(format = "date-time")]
    expires: String,
    /// When it was last used, to half a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    last_used: Option<String>,
    /// Whether it works: whoever made it must still run the tenant.
    works: bool,
}

impl From<ProvisioningToken> for Token {
    fn from(token: ProvisioningToken) -> Self {
        Self {
            id: token.id.to_string(),
            token: None,
            name: token.name,
            person: token.person.to_string(),
            created_by: token.created_by.to_string(),
            created: token.created.to_string(),
            expires: token.expires.to_string(),
            last_used: token.last_used.map(|at| at.to_string()),
            works: token.works,
        }
    }
}

/// The tenant's tokens.
#[derive(Serialize, ToSchema)]
pub(super) struct Tokens {
    /// Those that were not revoked, the oldest first.
    #[schema(inline)]
    tokens: Vec<Token>,
}

async fn leave(caller: &Caller, visit: &Visit, deed: &str) -> Result<Authorized<ManageTenant>, Problem> {
    Ok(visit.api.vault.authorize_deed::<ManageTenant>(caller, None, Some(deed)).await?)
}

/// `GET /api/v1/provisioning-tokens`
pub(super) async fn list(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<ReadSettings>(&caller, None).await?;
    let tokens = visit.identity.repository().provisioning_tokens(leave).await?;
    Ok(Json(Tokens { tokens: tokens.into_iter().map(Token::from).collect() }).into_response())
}

/// `POST /api/v1/provisioning-tokens`
pub(super) async fn create(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(new): problem::Json<NewToken>,
) -> Result<Response, Problem> {
    let days = new.days.unwrap_or(USUAL_DAYS);
    let named: String = new.name.chars().take(200).collect();
    let deed = format!("make provisioning token {named:?} for {days} days");
    let leave = leave(&caller, &visit, &deed).await?;
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(catalogue::TOKEN_LIFE_NOT_ALLOWED);
    }
    let life = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let (token, plain) = visit.identity.repository().add_provisioning_token(leave, &new.name, life).await?;
    let token = Token { token: Some(plain.reveal().to_owned()), ..token.into() };
    Ok((StatusCode::CREATED, Json(token)).into_response())
}

/// `DELETE /api/v1/provisioning-tokens/{id}`
pub(super) async fn revoke(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id = id.parse::<carekeep_kernel::CredentialId>().ok().map(|id| id.as_uuid());
    let deed = id.map_or_else(
        || "revoke a provisioning token".to_owned(),
        |id| format!("revoke provisioning token {id}"),
    );
    let leave = leave(&caller, &visit, &deed).await?;
    visit.identity.repository().revoke_provisioning_token(leave, id.ok_or(catalogue::NOT_FOUND)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
