//! Apps that the tenant registers, reviews and takes out again. Names are those of RFC 7591 section 2.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    oauth::{Authentication, ClientState, Registration},
    storage::Client,
};
use carekeep_policy::smart::{Level, ScopeSet};
use carekeep_vault::{
    Authorized, Caller,
    catalogue::{ManageTenant, ReadSettings},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    page::{Page, next},
    visit::Visit,
};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, Query, catalogue},
};

/// An app to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewApp {
    /// Its name, as people are asked for consent to it; 1 to 100 characters.
    client_name: String,
    /// How it proves who it is.
    token_endpoint_auth_method: Method,
    /// Its public keys (RFC 7517), RSA or P-384, for `private_key_jwt`.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    jwks: Option<Value>,
    /// Where people are sent back to: https, or http on loopback. None for a program without people.
    #[serde(default)]
    redirect_uris: Vec<String>,
    /// Where it is opened from a chart, with `iss` and `launch` (OpenID Connect Registration 1.0; SMART's launch URL). Such an
    /// app may ask for the scope `launch`, and has to.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    initiate_login_uri: Option<String>,
    /// The most that it may ask for: SMART scopes, separated by blanks. A program without people has `system/` scopes only,
    /// any other app none of them.
    scope: String,
}

/// How an app proves who it is.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Method {
    /// It cannot keep a secret.
    None,
    /// A secret in the `Authorization` header, or in the form.
    ClientSecretBasic,
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
}

impl From<Method> for Authentication {
    fn from(method: Method) -> Self {
        match method {
            Method::None => Self::Public,
            Method::ClientSecretBasic => Self::Secret,
            Method::PrivateKeyJwt => Self::Key,
        }
    }
}

impl From<Authentication> for Method {
    fn from(authentication: Authentication) -> Self {
        match authentication {
            Authentication::Public => Self::None,
            Authentication::Secret => Self::ClientSecretBasic,
            Authentication::Key => Self::PrivateKeyJwt,
        }
    }
}

/// A registered app.
#[derive(Serialize, ToSchema)]
pub(super) struct App {
    /// Its id.
    #[schema(format = "uuid")]
    client_id: String,
    /// Its secret, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Its name.
    client_name: String,
    /// How it proves who it is.
    #[schema(inline)]
    token_endpoint_auth_method: Method,
    /// Where people are sent back to.
    redirect_uris: Vec<String>,
    /// Where it is opened from a chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    initiate_login_uri: Option<String>,
    /// The most that it may ask for.
    scope: String,
    /// `pending` until it is approved, then `approved` or `disabled`.
    state: &'static str,
    /// The service account that a program without people acts as.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    person: Option<String>,
    /// In the list, of a program without people: whether its `system/` scopes read charts, to which a privacy officer agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reads_records: Option<bool>,
    /// When it was registered.
    #[schema(format = "date-time")]
    created: String,
}

impl From<Client> for App {
    fn from(client: Client) -> Self {
        Self {
            client_id: client.id.to_string(),
            client_secret: None,
            client_name: client.name,
            token_endpoint_auth_method: client.authentication.into(),
            redirect_uris: client.redirect_uris,
            initiate_login_uri: client.launch_uri,
            scope: client.scopes,
            state: client.state.as_str(),
            person: client.person.map(|person| person.to_string()),
            reads_records: None,
            created: client.created.to_string(),
        }
    }
}

/// The tenant's apps.
#[derive(Serialize, ToSchema)]
pub(super) struct Apps {
    /// The oldest first.
    #[schema(inline)]
    apps: Vec<App>,
    /// Where the next page starts: give it as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

async fn leave(caller: &Caller, visit: &Visit, deed: &str) -> Result<Authorized<ManageTenant>, Problem> {
    Ok(visit.api.vault.authorize_deed::<ManageTenant>(caller, None, Some(deed)).await?)
}

/// `GET /api/v1/apps`
pub(super) async fn list(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let (after, limit) = page.read()?;
    let leave = visit.api.vault.authorize::<ReadSettings>(&caller, None).await?;
    let apps = visit.identity.repository().apps(leave, after, limit).await?;
    let next = next(&apps, limit, |(app, _)| app.id.to_string());
    let listed = |(client, reads): (Client, bool)| {
        let reads_records = client.person.map(|_| reads);
        App { reads_records, ..client.into() }
    };
    Ok(Json(Apps { apps: apps.into_iter().map(listed).collect(), next }).into_response())
}

/// `POST /api/v1/apps`
pub(super) async fn register(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(new): problem::Json<NewApp>,
) -> Result<Response, Problem> {
    // Whoever may register none is told so, whatever is wrong with this one.
    let named: String = new.client_name.chars().take(100).collect();
    let scope: String = new.scope.chars().take(1_000).collect();
    let leave = leave(&caller, &visit, &format!("register app {named:?}, scopes {scope}")).await?;
    let (client, secret) = visit.identity.repository().register_app(leave, &registration(new)?).await?;
    let app = App { client_secret: secret.map(|secret| secret.reveal().to_owned()), ..client.into() };
    Ok((StatusCode::CREATED, Json(app)).into_response())
}

fn registration(new: NewApp) -> Result<Registration, Problem> {
    let scopes: ScopeSet = new.scope.parse().map_err(|_| catalogue::SCOPE_NOT_KNOWN)?;
    let own = scopes.has_level(Level::System);
    let others = scopes.has_level(Level::Patient) || scopes.has_level(Level::User);
    // A program without people has nobody who could be asked, and an app with people nothing of its own.
    if scopes.is_empty() || (own && (others || scopes.iter().any(|(text, _)| !text.starts_with("system/")))) {
        return Err(catalogue::SCOPE_NOT_KNOWN);
    }
    Ok(Registration {
        name: new.client_name,
        authentication: new.token_endpoint_auth_method.into(),
        keys: new.jwks,
        redirect_uris: new.redirect_uris,
        launch_uri: new.initiate_login_uri,
        scopes: scopes.to_string(),
        backend: own,
    })
}

/// `POST /api/v1/apps/{id}/approve`
pub(super) async fn approve(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    decide(&caller, &visit, &id, ("approve", ClientState::Approved)).await
}

/// `POST /api/v1/apps/{id}/disable`
pub(super) async fn disable(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    decide(&caller, &visit, &id, ("disable", ClientState::Disabled)).await
}

async fn decide(
    caller: &Caller,
    visit: &Visit,
    id: &str,
    (verb, state): (&str, ClientState),
) -> Result<Response, Problem> {
    let (id, leave) = about(caller, visit, id, verb).await?;
    let people = visit.identity.repository();
    people.decide_app(leave, id, state).await?;
    if state == ClientState::Approved {
        // Made by who decides, and published before it signs: making one is slow, and `/oauth/jwks` is for anybody.
        people.signing_key().await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/apps/{id}`
pub(super) async fn remove(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, leave) = about(&caller, &visit, &id, "remove").await?;
    visit.identity.repository().remove_app(leave, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Leave to do something to an app; whoever may do nothing to any learns nothing of which there are.
async fn about(
    caller: &Caller,
    visit: &Visit,
    id: &str,
    verb: &str,
) -> Result<(Uuid, Authorized<ManageTenant>), Problem> {
    let id = id.parse::<carekeep_kernel::CredentialId>().ok().map(|id| id.as_uuid());
    let deed = id.map_or_else(|| format!("{verb} an app"), |id| format!("{verb} app {id}"));
    let leave = leave(caller, visit, &deed).await?;
    Ok((id.ok_or(catalogue::NOT_FOUND)?, leave))
}
