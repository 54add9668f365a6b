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
use carekeep_gateway::problem::{Json, Problem, catalogue};
use carekeep_tenancy::{ControlPlane, NewTenant, TenancyError};
use carekeep_vault::Vault;
use serde::Deserialize;
use subtle::ConstantTimeEq;

struct Control {
    plane: ControlPlane,
    vault: Arc<Vault>,
    token: String,
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
    let route =
        |name, method, path, (success, handler)| ControlRoute { name, method, path, success, handler };
    let (ok, done) = (StatusCode::OK, StatusCode::NO_CONTENT);
    vec![
        route("control.list", Method::GET, ALL, (ok, get(list))),
        route("control.create", Method::POST, ALL, (StatusCode::CREATED, post(create))),
        route("control.show", Method::GET, "/control/tenants/{slug}", (ok, get(show))),
        route("control.suspend", Method::POST, "/control/tenants/{slug}/suspend", (done, post(suspend))),
        route("control.resume", Method::POST, "/control/tenants/{slug}/resume", (done, post(resume))),
    ]
}

/// The routes below `/control`.
pub fn router(plane: ControlPlane, vault: Arc<Vault>, token: String) -> Router {
    let control = Arc::new(Control { plane, vault, token });
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
    partner: PartnerBody,
    slug: String,
    name: String,
    region: String,
    hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartnerBody {
    slug: String,
    name: String,
}

fn refused(error: &TenancyError) -> Response {
    tracing::warn!(error = %error, "a control request was not done");
    let (status, code, title) = match error {
        TenancyError::Name { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "name", "A name cannot be used"),
        TenancyError::Taken { .. } => (StatusCode::CONFLICT, "taken", "Belongs to another tenant"),
        TenancyError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown", "No such tenant or partner"),
        _ => return catalogue::UNAVAILABLE.retry_after(5).into_response(),
    };
    // The control API is for operators: the message names the slug or host that they sent.
    Problem::new(status, code, title, "The request was not done.")
        .member("reason", error.to_string())
        .into_response()
}

async fn create(State(control): Shared, Json(body): Json<TenantBody>) -> Response {
    let new = NewTenant {
        partner: body.partner.slug.clone(),
        slug: body.slug,
        name: body.name,
        region: body.region,
        hosts: body.hosts,
    };
    let made = async {
        control.plane.ensure_partner(&body.partner.slug, &body.partner.name).await?;
        control.plane.create(&new).await
    };
    match made.await {
        Ok(tenant) => {
            // Served at once here; other processes see it within a second.
            let _ = control.vault.directory().refresh().await;
            (StatusCode::CREATED, axum::Json(tenant)).into_response()
        }
        Err(error) => refused(&error),
    }
}

async fn list(State(control): Shared) -> Response {
    control
        .plane
        .list()
        .await
        .map_or_else(|error| refused(&error), |tenants| axum::Json(tenants).into_response())
}

async fn show(State(control): Shared, Path(slug): Path<String>) -> Response {
    control
        .plane
        .show(&slug)
        .await
        .map_or_else(|error| refused(&error), |tenant| axum::Json(tenant).into_response())
}

async fn suspend(State(control): Shared, Path(slug): Path<String>) -> Response {
    set(&control, &slug, true).await
}

async fn resume(State(control): Shared, Path(slug): Path<String>) -> Response {
    set(&control, &slug, false).await
}

async fn set(control: &Control, slug: &str, suspended: bool) -> Response {
    match control.plane.set_suspended(slug, suspended).await {
        Ok(()) => {
            let _ = control.vault.directory().refresh().await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => refused(&error),
    }
}
