//! Which identity provider it is, for the tenant's administrators.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{federation::Provider, storage::SetProvider};
use carekeep_vault::catalogue::{ApproveSettings, ManageTenant, ReadSettings};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    api::{SignedIn, identity::visit::Visit},
    problem::{self, Problem, catalogue},
};

/// The longest secret that a provider shares.
const LONGEST_SECRET: usize = 1_000;

/// A provider to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProvider {
    /// The issuer identifier, to the letter: an https address.
    issuer: String,
    /// What the provider calls this organisation.
    client_id: String,
    /// The secret that it shares. Without one the organisation signs with its own key (`private_key_jwt`): give the provider
    /// the address of `/oauth/jwks`. It is shown to nobody, and given anew with each change.
    #[serde(default)]
    client_secret: Option<String>,
    /// What the button of the sign-in page says.
    label: String,
    /// The claim that SCIM's `externalId` is compared with: `sub`, `oid` or `uid`.
    #[serde(default = "sub")]
    subject_claim: String,
    /// `amr` values of which any one means that the provider asked for two factors.
    #[serde(default)]
    amr: Vec<String>,
    /// `acr` values that mean the same.
    #[serde(default)]
    acr: Vec<String>,
}

fn sub() -> String {
    "sub".to_owned()
}

/// The provider, and what to tell it.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderView {
    /// The provider, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    provider: Option<Shown>,
    /// Where the provider is to send browsers back to.
    redirect_uri: String,
    /// Where the keys of `private_key_jwt` are.
    jwks_uri: String,
}

/// A provider as it is set.
#[derive(Serialize, ToSchema)]
struct Shown {
    /// Another one each time that it is set.
    #[schema(format = "uuid")]
    id: String,
    /// The issuer identifier.
    issuer: String,
    /// What the provider calls this organisation.
    client_id: String,
    /// `client_secret_post` or `private_key_jwt`.
    authentication: &'static str,
    /// What the button of the sign-in page says.
    label: String,
    /// The claim that SCIM's `externalId` is compared with.
    subject_claim: String,
    /// `amr` values that mean two factors.
    amr: Vec<String>,
    /// `acr` values that mean two factors.
    acr: Vec<String>,
    /// Who set it.
    #[schema(format = "uuid")]
    set_by: String,
    /// When.
    #[schema(format = "date-time")]
    set: String,
    /// Who agreed that these words mean two factors; absent until somebody did, and until then everybody gives a second factor here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    agreed_by: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    agreed: Option<String>,
}

/// What somebody agrees to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Agreed {
    /// The id of the provider as it was shown.
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
}

impl From<SetProvider> for Shown {
    fn from(SetProvider { id, provider, secret, set_by, set, agreed }: SetProvider) -> Self {
        Self {
            id: id.to_string(),
            set_by: set_by.to_string(),
            set: set.to_string(),
            agreed_by: agreed.map(|(by, _)| by.to_string()),
            agreed: agreed.map(|(_, at)| at.to_string()),
            issuer: provider.issuer,
            client_id: provider.client_id,
            authentication: method(secret),
            label: provider.label,
            subject_claim: provider.subject_claim,
            amr: provider.amr,
            acr: provider.acr,
        }
    }
}

const fn method(secret: bool) -> &'static str {
    if secret { "client_secret_post" } else { "private_key_jwt" }
}

/// `GET /api/v1/settings/identity-provider`
pub(super) async fn read(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<ReadSettings>(&caller, None).await?;
    let provider = visit.identity.repository().read_provider(leave).await?;
    let view = ProviderView {
        provider: provider.map(Shown::from),
        redirect_uri: format!("{}{}", visit.origin, super::CALLBACK),
        jwks_uri: format!("{}/oauth/jwks", visit.origin),
    };
    Ok(Json(view).into_response())
}

/// `PUT /api/v1/settings/identity-provider`
pub(super) async fn put(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(body): problem::Json<NewProvider>,
) -> Result<Response, Problem> {
    let secret = body.client_secret.map(Zeroizing::new);
    let provider = Provider {
        issuer: body.issuer,
        client_id: body.client_id,
        label: body.label,
        subject_claim: body.subject_claim,
        amr: body.amr,
        acr: body.acr,
    };
    let fits = |secret: &Zeroizing<String>| (1..=LONGEST_SECRET).contains(&secret.len());
    if !secret.as_ref().is_none_or(fits) {
        return Err(catalogue::PROVIDER_NOT_VALID.detail("client_secret has 1 to 1000 characters."));
    }
    provider.check().map_err(carekeep_identity::storage::FederationError::from)?;
    let said = serde_json::to_string(&provider).map_err(|_| catalogue::INTERNAL)?;
    let deed = format!("identity provider {said} by {}", method(secret.is_some()));
    let leave = visit.api.vault.authorize_deed::<ManageTenant>(&caller, None, Some(&deed)).await?;
    let people = visit.identity.repository();
    if secret.is_none() {
        // So that the provider finds a key when it looks.
        people.signing_key().await?;
    }
    people.put_provider(leave, &caller, (&provider, secret.as_ref())).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/settings/identity-provider/agree`
pub(super) async fn agree(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(body): problem::Json<Agreed>,
) -> Result<Response, Problem> {
    let deed = format!("agree to identity provider {}", body.id);
    let leave = visit.api.vault.authorize_deed::<ApproveSettings>(&caller, None, Some(&deed)).await?;
    visit.identity.repository().agree_to_provider(leave, body.id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/settings/identity-provider`
pub(super) async fn remove(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let deed = Some("no identity provider");
    let leave = visit.api.vault.authorize_deed::<ManageTenant>(&caller, None, deed).await?;
    visit.identity.repository().remove_provider(leave, &caller).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
