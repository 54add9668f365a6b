//! Apps that are opened from a chart: "EHR launch" (SMART App Launch 2.2).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    oauth::redirect,
    storage::{Chart, Client},
};
use carekeep_kernel::ResourceId;
use carekeep_policy::ResourceKind;
use carekeep_vault::{AccountEvent, Caller, Sealed, catalogue::Read};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    oauth::Addresses,
    page::{Page, next},
    visit::Visit,
};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, Query, catalogue},
};

/// The apps that can be opened from a chart.
#[derive(Serialize, ToSchema)]
pub(super) struct LaunchableApps {
    /// The oldest first.
    #[schema(inline)]
    apps: Vec<LaunchableApp>,
    /// Where the next page starts: give it as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// An app that can be opened from a chart.
#[derive(Serialize, ToSchema)]
struct LaunchableApp {
    /// Its id.
    #[schema(format = "uuid")]
    client_id: String,
    /// Its name.
    client_name: String,
}

/// The chart that an app is opened from.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenChart {
    /// Whose chart it is: one that the person may read.
    #[schema(format = "uuid")]
    patient: String,
    /// The visit that is open in it.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "uuid")]
    encounter: Option<String>,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
pub(super) struct Opened {
    /// The app's address with `iss` and `launch`, good for five minutes and once, in this session.
    launch_url: String,
}

/// `GET /api/v1/launchable-apps`
pub(super) async fn list(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let (after, limit) = page.read()?;
    let apps = visit.identity.repository().launchable_apps(&caller, after, limit).await?;
    let next = next(&apps, limit, |app| app.id.to_string());
    let view = |app: Client| LaunchableApp { client_id: app.id.to_string(), client_name: app.name };
    Ok(Json(LaunchableApps { apps: apps.into_iter().map(view).collect(), next }).into_response())
}

/// `POST /api/v1/apps/{id}/launch`
pub(super) async fn open(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(chart): problem::Json<OpenChart>,
) -> Result<Response, Problem> {
    let encounter = chart.encounter.as_deref().map(known).transpose()?;
    let chart = Chart { patient: known(&chart.patient)?, encounter };
    check(&caller, &visit, chart).await?;
    let people = visit.identity.repository();
    let app = people.approved_app(&id).await?.ok_or(catalogue::NOT_FOUND)?;
    let address = app.launch_uri.as_deref().ok_or(catalogue::NOT_FOUND)?;
    let encounter = chart.encounter.map_or_else(|| "none".to_owned(), |encounter| encounter.to_string());
    let said = format!("app {}, patient {}, encounter {encounter}", app.id, chart.patient);
    // On record first: an entry without the launch may be, the other way round not.
    visit.record_about_app(AccountEvent::LaunchApp, &said).await?;
    let launch = people.launch_app(&caller, &app, chart).await?;
    let iss = Addresses(&visit.origin).fhir();
    let launch_url = redirect::with(address, &[("iss", &iss), ("launch", launch.reveal())]);
    let launch_url = launch_url.ok_or(catalogue::INTERNAL)?;
    Ok(Json(Opened { launch_url }).into_response())
}

fn known(id: &str) -> Result<ResourceId, Problem> {
    id.parse().map_err(|_| catalogue::NOT_FOUND)
}

/// Asks policy whether the person may read a chart, and the visit in it. What they may not is answered like what is not there.
pub(super) async fn check(caller: &Caller, visit: &Visit, chart: Chart) -> Result<(), Problem> {
    readable(caller, visit, (ResourceKind::Patient, chart.patient)).await?;
    let Some(encounter) = chart.encounter else { return Ok(()) };
    let encounter = readable(caller, visit, (ResourceKind::Encounter, encounter)).await?;
    if encounter.is_about(chart.patient) { Ok(()) } else { Err(catalogue::NOT_FOUND) }
}

async fn readable(
    caller: &Caller,
    visit: &Visit,
    (kind, id): (ResourceKind, ResourceId),
) -> Result<Sealed, Problem> {
    let vault = &visit.api.vault;
    let row = vault.fetch::<Read>(caller, kind, id).await?;
    vault.may::<Read>(caller, &row).await?;
    if row.is_deleted() { Err(catalogue::NOT_FOUND) } else { Ok(row) }
}
