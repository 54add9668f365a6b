//! The control API: making and listing tenants, on the internal listener, with a token of its own. It reads no health
//! data; the process that serves it holds the provisioner's credential.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use carekeep_gateway::{
    api::identity::{FirstAdmin, FirstAdminError, RoleRequestView, check_first_admin, ensure_first_admin},
    problem::{Json, Problem, catalogue},
};
use carekeep_identity::storage::{PeopleError, PgRepository};
use carekeep_kernel::TenantKind;
use carekeep_tenancy::{ControlPlane, NewTenant, TenancyError, TenantRecord};
use carekeep_vault::{AccessError, Vault};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

struct Control {
    plane: ControlPlane,
    vault: Arc<Vault>,
    token: String,
    /// The port of links to tenants' pages, unless it is 443.
    port: Option<u16>,
}

type Shared = State<Arc<Control>>;

/// One route of the control API, as data. All of them want the token.
pub struct ControlRoute {
    /// A stable name, such as `control.create`.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// The path as axum writes it, such as `/control/tenants/{slug}`.
    pub path: &'static str,
    /// The status of success.
    pub success: StatusCode,
    handler: MethodRouter<Arc<Control>>,
}

/// Every route below `/control`; [`router`] is made from it.
#[must_use]
pub fn routes() -> Vec<ControlRoute> {
    const ALL: &str = "/control/tenants";
    const REQUESTS: &str = "/control/tenants/{slug}/role-requests";
    const APPROVE: &str = "/control/tenants/{slug}/role-requests/{id}/approve";
    const REJECT: &str = "/control/tenants/{slug}/role-requests/{id}/reject";
    let route =
        |name, method, path, (success, handler)| ControlRoute { name, method, path, success, handler };
    let (ok, done) = (StatusCode::OK, StatusCode::NO_CONTENT);
    vec![
        route("control.list", Method::GET, ALL, (ok, get(list))),
        route("control.create", Method::POST, ALL, (StatusCode::CREATED, post(create))),
        route("control.show", Method::GET, "/control/tenants/{slug}", (ok, get(show))),
        route("control.suspend", Method::POST, "/control/tenants/{slug}/suspend", (done, post(suspend))),
        route("control.resume", Method::POST, "/control/tenants/{slug}/resume", (done, post(resume))),
        route("control.role_requests", Method::GET, REQUESTS, (ok, get(role_requests))),
        route("control.approve_role", Method::POST, APPROVE, (done, post(approve_role))),
        route("control.reject_role", Method::POST, REJECT, (done, post(reject_role))),
    ]
}

/// The routes below `/control`. `port` is the public one, unless that is 443.
pub fn router(plane: ControlPlane, vault: Arc<Vault>, token: String, port: Option<u16>) -> Router {
    let control = Arc::new(Control { plane, vault, token, port });
    routes()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&control), check_token))
        .with_state(control)
}

async fn check_token(State(control): Shared, request: Request, next: Next) -> Response {
    let presented = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default();
    if bool::from(presented.as_bytes().ct_eq(control.token.as_bytes())) {
        next.run(request).await
    } else {
        catalogue::UNAUTHENTICATED.into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantBody {
    /// Whose people it has: those of a clinic if nothing is said.
    #[serde(default)]
    kind: TenantKind,
    /// The platform's own tenant has none.
    partner: Option<PartnerBody>,
    slug: String,
    name: String,
    region: String,
    hosts: Vec<String>,
    /// The colour of its brand, `#rrggbb`.
    accent: Option<String>,
    /// Who is to be the first administrator.
    admin: Option<AdminBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartnerBody {
    slug: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminBody {
    login: String,
    name: String,
}

/// The tenant as it is now, and its administrator if the request named one.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    tenant: TenantRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<AdminAnswer>,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
enum AdminAnswer {
    /// The link is here and nowhere else; asking again makes a new one and ends this one.
    Invited { person: String, link: String, expires: String },
    /// The person has joined; nothing was changed.
    Joined,
}

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Tenancy(#[from] TenancyError),
    #[error(transparent)]
    Admin(#[from] FirstAdminError),
    #[error("an administrator is invited to a host: give the tenant one")]
    NoHost,
    #[error("the tenant is suspended: resume it first")]
    Suspended,
    #[error("no such open request: look at the list again")]
    NoRequest,
    #[error("the person has not joined yet: approve when they have")]
    NotJoined,
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl Refusal {
    fn problem(&self) -> Problem {
        let refused = |status, code, title| Problem::new(status, code, title, "The request was not done.");
        match self {
            Self::Tenancy(TenancyError::Name { .. }) => {
                refused(StatusCode::UNPROCESSABLE_ENTITY, "name", "A name cannot be used")
            }
            Self::Tenancy(TenancyError::Taken { .. }) => {
                refused(StatusCode::CONFLICT, "taken", "Belongs to another tenant")
            }
            Self::Tenancy(TenancyError::Unknown(_)) => {
                refused(StatusCode::NOT_FOUND, "unknown", "No such tenant or partner")
            }
            Self::Admin(FirstAdminError::Login(_)) => catalogue::LOGIN_NOT_ALLOWED,
            Self::Admin(FirstAdminError::People(PeopleError::Name)) => catalogue::NAME_NOT_ALLOWED,
            Self::Admin(FirstAdminError::People(PeopleError::NotEmpty)) => {
                refused(StatusCode::CONFLICT, "has-people", "The tenant has an administrator already")
                    .advice("Let that person invite others, or name that person.")
            }
            Self::NoHost => refused(StatusCode::UNPROCESSABLE_ENTITY, "no-host", "No host to invite to"),
            Self::Suspended => refused(StatusCode::CONFLICT, "suspended", "The tenant is suspended"),
            Self::NotJoined => refused(StatusCode::CONFLICT, "not-joined", "The person has not joined yet"),
            Self::NoRequest => refused(StatusCode::NOT_FOUND, "no-request", "No such open request"),
            Self::Tenancy(_) | Self::Admin(_) | Self::Access(_) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Temporarily unavailable",
                "The database or the key service does not answer. A tenant that is not ready is served to nobody.",
            )
            .advice("Send the same request again in a few seconds: it goes on where this one stopped.")
            .retry_after(5),
        }
    }
}

impl IntoResponse for Refusal {
    /// The control API is for operators: `reason` names the slug or host that they sent.
    fn into_response(self) -> Response {
        tracing::warn!(error = %self, "a control request was not done");
        self.problem().member("reason", self.to_string()).into_response()
    }
}

async fn create(State(control): Shared, Json(body): Json<TenantBody>) -> Result<Response, Refusal> {
    if let Some(admin) = &body.admin {
        // Before anything is made: a request that cannot be done whole is refused whole.
        check_first_admin(&admin.login, &admin.name)?;
        body.hosts.first().ok_or(Refusal::NoHost)?;
    }
    let new = NewTenant {
        kind: body.kind,
        partner: body.partner.as_ref().map(|partner| partner.slug.clone()),
        slug: body.slug,
        name: body.name,
        region: body.region,
        hosts: body.hosts,
        accent: body.accent,
    };
    new.check()?;
    if let Some(partner) = &body.partner {
        control.plane.ensure_partner(&partner.slug, &partner.name).await?;
    }
    let tenant = control.plane.create(&new).await?;
    // Served at once here; other processes see it within a second.
    let _ = control.vault.directory().refresh().await;
    let admin = match &body.admin {
        Some(admin) => Some(control.invite(&tenant, &new.hosts, admin).await?),
        None => None,
    };
    Ok((StatusCode::CREATED, axum::Json(Made { tenant, admin })).into_response())
}

impl Control {
    /// The people of a tenant that is served.
    async fn people(&self, slug: &str) -> Result<PgRepository, Refusal> {
        let tenant = self.plane.show(slug).await?;
        Ok(PgRepository::open(&self.vault, tenant.id).await?)
    }

    async fn invite(
        &self,
        tenant: &TenantRecord,
        hosts: &[String],
        admin: &AdminBody,
    ) -> Result<AdminAnswer, Refusal> {
        if tenant.status == "suspended" {
            return Err(Refusal::Suspended);
        }
        let host = hosts.first().ok_or(Refusal::NoHost)?;
        match ensure_first_admin(&self.vault, tenant.id, &admin.login, &admin.name).await? {
            FirstAdmin::Joined => Ok(AdminAnswer::Joined),
            FirstAdmin::Invited(invited) => Ok(AdminAnswer::Invited {
                person: invited.person.to_string(),
                link: invited.link(host, self.port),
                expires: invited.expires.to_string(),
            }),
        }
    }
}

async fn list(State(control): Shared) -> Result<Response, Refusal> {
    Ok(axum::Json(control.plane.list().await?).into_response())
}

async fn show(State(control): Shared, Path(slug): Path<String>) -> Result<Response, Refusal> {
    Ok(axum::Json(control.plane.show(&slug).await?).into_response())
}

async fn suspend(State(control): Shared, Path(slug): Path<String>) -> Result<Response, Refusal> {
    set(&control, &slug, true).await
}

async fn resume(State(control): Shared, Path(slug): Path<String>) -> Result<Response, Refusal> {
    set(&control, &slug, false).await
}

/// For a tenant in which nobody else could decide: with one administrator, or when the others are away.
async fn role_requests(State(control): Shared, Path(slug): Path<String>) -> Result<Response, Refusal> {
    let waiting = control.people(&slug).await?.waiting().await.map_err(FirstAdminError::People)?;
    let answers = waiting.into_iter().map(RoleRequestView::from);
    Ok(axum::Json(answers.collect::<Vec<_>>()).into_response())
}

async fn approve_role(
    State(control): Shared,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    decide(&control, &slug, &id, true).await
}

async fn reject_role(
    State(control): Shared,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    decide(&control, &slug, &id, false).await
}

async fn decide(control: &Control, slug: &str, id: &str, approved: bool) -> Result<Response, Refusal> {
    let id = id.parse().map_err(|_| Refusal::NoRequest)?;
    let people = control.people(slug).await?;
    match people.decide_as_operator(id, approved).await {
        Ok(request) => {
            tracing::warn!(
                tenant = slug,
                request = %request.id,
                role = request.role,
                approved,
                "the operator decided on a role"
            );
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(PeopleError::NotYours) => Err(Refusal::NoRequest),
        Err(PeopleError::NotJoined) => Err(Refusal::NotJoined),
        Err(error) => Err(FirstAdminError::People(error).into()),
    }
}

async fn set(control: &Control, slug: &str, suspended: bool) -> Result<Response, Refusal> {
    control.plane.set_suspended(slug, suspended).await?;
    let _ = control.vault.directory().refresh().await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
