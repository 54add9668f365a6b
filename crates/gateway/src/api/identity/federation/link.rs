//! Who one is at the organisation's identity provider.

use axum::{
    Json,
    response::{IntoResponse, Redirect, Response},
};
use carekeep_identity::{
    federation::Asserted,
    service::{IdentityError, Live},
    storage::SetProvider,
};
use carekeep_kernel::SessionId;
use carekeep_vault::AccountEvent;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Stopped, depart, hold};
use crate::{
    api::{SignedIn, identity::visit::Visit},
    problem::{Problem, catalogue},
};

/// Whether one is linked.
#[derive(Serialize, ToSchema)]
pub(super) struct Federation {
    /// What the provider is called here, if there is one that you may link yourself to.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// Since when you are linked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    linked: Option<String>,
}

/// Where to go.
#[derive(Serialize, ToSchema)]
pub(super) struct Link {
    /// The provider's address.
    redirect_to: String,
}

/// `GET /api/v1/federation`
pub(super) async fn read(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let (people, live) = (visit.identity.repository(), visit.live().await?);
    let may = people.may_federate(&live.person).await?;
    let provider = if may { people.provider().await?.map(|provider| provider.label) } else { None };
    let linked = people.linked(&live).await?;
    Ok(Json(Federation { provider, linked: linked.map(|at| at.to_string()) }).into_response())
}

/// `POST /api/v1/federation`
pub(super) async fn begin(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = changing(&visit).await?;
    if !visit.identity.repository().may_federate(&live.person).await? {
        return Err(catalogue::FORBIDDEN);
    }
    match depart(&visit, Some(&live)).await {
        Ok((redirect_to, holder)) => {
            let mut response = Json(Link { redirect_to }).into_response();
            hold(&mut response, Some(&holder))?;
            Ok(response)
        }
        Err(Stopped::Page("none")) => Err(catalogue::NOT_FOUND),
        Err(Stopped::Page(_)) => Err(catalogue::PROVIDER_AWAY),
        Err(Stopped::Here(problem)) => Err(problem),
    }
}

/// Links whoever began it, in the session in which it was begun.
pub(super) async fn finish(
    visit: &Visit,
    session: SessionId,
    (set, asserted): (&SetProvider, &Asserted),
) -> Result<Response, Stopped> {
    let token = visit.token().map_err(|_| Stopped::Page("stale"))?;
    let live = visit.identity.linking(token, session).await?;
    let people = visit.identity.repository();
    // On record first: an entry without the link may be, the other way round not.
    visit.record(AccountEvent::LinkProvider, &live.session).await?;
    people.link_subject(&live, (set, &asserted.subject)).await?;
    Ok(Redirect::to("/#linked").into_response())
}

/// `DELETE /api/v1/federation`
pub(super) async fn end(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = changing(&visit).await?;
    let people = visit.identity.repository();
    if people.linked(&live).await?.is_none() {
        return Err(catalogue::NOT_FOUND);
    }
    visit.record(AccountEvent::UnlinkProvider, &live.session).await?;
    people.unlink_subject(&live).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session, if factors may be changed in it now.
async fn changing(visit: &Visit) -> Result<Live, Problem> {
    let live = visit.live().await?;
    let fresh = live.session.may_change_factors(visit.api.vault.clock().now());
    if fresh { Ok(live) } else { Err(IdentityError::FreshFactorNeeded.into()) }
}
