//! Which clinics there are, for the people of the platform and of partners, who look after them. Nothing of what is inside.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use carekeep_kernel::{Offered, TenantId};
use carekeep_vault::{TenantState, catalogue::ListClinics};
use http::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Api, Endpoint, SignedIn};
use crate::problem::{Problem, Query, catalogue};

/// The routes about clinics, where the people are who look after them.
pub(super) fn endpoints() -> Vec<Endpoint> {
    let list = Endpoint::new(Method::GET, "/api/v1/tenants", "tenants.list", get(list))
        .offered(Offered::BeyondClinics)
        .says(
            "The clinics that you look after, the oldest first: as a platform operator all, as a partner administrator those of your \
             partner. `after` and `limit` page through them. Only at the host of the platform's or of a partner's own people.",
        )
        .asks(&["after", "limit"])
        .gives::<Tenants>();
    vec![list]
}

/// Clinics.
#[derive(Serialize, ToSchema)]
struct Tenants {
    /// The oldest first.
    #[schema(inline)]
    tenants: Vec<Clinic>,
    /// Which one to go on after, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    next: Option<String>,
}

/// A clinic, as the directory has it.
#[derive(Serialize, ToSchema)]
struct Clinic {
    /// The id.
    #[schema(format = "uuid")]
    id: String,
    /// The short name.
    slug: String,
    /// The name for people.
    name: String,
    /// The host names.
    hosts: Vec<String>,
    /// The short name of the partner.
    #[serde(skip_serializing_if = "Option::is_none")]
    partner: Option<String>,
    /// The region that holds its data.
    region: String,
    /// `provisioning`, `active` or `suspended`.
    state: String,
    /// When it was made.
    #[schema(format = "date-time")]
    created: String,
}

impl From<&TenantState> for Clinic {
    fn from(state: &TenantState) -> Self {
        Self {
            id: state.id.to_string(),
            slug: state.slug.clone(),
            name: state.name.clone(),
            hosts: state.hosts.clone(),
            partner: state.partner.as_ref().map(|(_, slug)| slug.clone()),
            region: state.region.clone(),
            state: state.status.clone(),
            created: state.created.to_string(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    after: Option<String>,
    limit: Option<usize>,
}

/// How many clinics an answer has if nothing is said, and at most.
const PAGE: usize = 50;
const MOST: usize = 200;

/// `GET /api/v1/tenants`
async fn list(
    SignedIn(caller): SignedIn,
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let after = page.after.map(|id| id.parse::<TenantId>()).transpose();
    let after = after.map_err(|_| catalogue::MALFORMED_QUERY)?;
    let limit = page.limit.unwrap_or(PAGE).clamp(1, MOST);
    let leave = api.vault.authorize::<ListClinics>(&caller, None).await?;
    let clinics = api.vault.clinics(leave)?;
    let later = clinics.iter().filter(|clinic| after.is_none_or(|after| clinic.id > after));
    let tenants: Vec<Clinic> = later.take(limit).map(|clinic| Clinic::from(&**clinic)).collect();
    let next = tenants.last().filter(|_| tenants.len() == limit).map(|clinic| clinic.id.clone());
    Ok(Json(Tenants { tenants, next }).into_response())
}
