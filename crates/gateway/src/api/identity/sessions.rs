//! Who is signed in, and their sessions.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    FactorKind,
    flow::SessionState,
    service::{Live, Repository},
};
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

/// Who is signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// The person's id.
    #[schema(format = "uuid")]
    person: String,
    /// The login name.
    login: String,
    /// The name that colleagues see.
    name: String,
    /// The tenant's name.
    tenant: String,
    /// The roles.
    roles: Vec<&'static str>,
    /// The person's own chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    patient: Option<String>,
    /// The assurance level of the session (NIST SP 800-63B-4): 1 to 3.
    aal: u8,
    /// The session's id.
    #[schema(format = "uuid")]
    session: String,
    /// Seconds until the session ends if nothing more is done. A request with `Carekeep-Activity: background` does not put
    /// that off.
    signed_out_in: u64,
    /// Whether a new second factor has to be enrolled, because a recovery code was used.
    must_reenrol: bool,
}

/// The person's live sessions.
#[derive(Serialize, ToSchema)]
pub(super) struct Sessions {
    /// The newest first.
    #[schema(inline)]
    sessions: Vec<SessionView>,
}

/// A session.
#[derive(Serialize, ToSchema)]
struct SessionView {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// When it began.
    #[schema(format = "date-time")]
    created: String,
    /// Its last use, give or take 30 seconds.
    #[schema(format = "date-time")]
    last_seen: String,
    /// What was proven in it: `password`, `totp`, `passkey`, `recovery_code`.
    factors: Vec<&'static str>,
    /// Whether it is the one that asks.
    current: bool,
}

/// How many sessions ended.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// How many.
    revoked: u64,
}

/// `GET /api/v1/me`
pub(super) async fn me(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let profile = visit.identity.repository().profile_of_caller(&caller).await?;
    let body = Me {
        person: caller.person().to_string(),
        login: profile.login.to_string(),
        name: profile.name.to_string(),
        tenant: visit.brand,
        roles: caller.roles().iter().map(|role| role.as_str()).collect(),
        patient: caller.patient().map(|patient| patient.to_string()),
        aal: match caller.aal() {
            carekeep_policy::Aal::One => 1,
            carekeep_policy::Aal::Two => 2,
            carekeep_policy::Aal::Three => 3,
        },
        session: caller.session().to_string(),
        signed_out_in: caller.signed_out_at().since(caller.now()).as_secs(),
        must_reenrol: live.session.state == SessionState::Active { must_reenrol: true },
    };
    Ok(Json(body).into_response())
}

/// `GET /api/v1/sessions`
pub(super) async fn list(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let sessions = visit.identity.list_sessions(visit.token()?).await?;
    let sessions = sessions
        .iter()
        .map(|session| SessionView {
            id: session.id.to_string(),
            created: session.created.to_string(),
            last_seen: session.last_seen.to_string(),
            factors: session.factors.iter().map(|factor| name(factor.kind)).collect(),
            current: session.id == caller.session(),
        })
        .collect();
    Ok(Json(Sessions { sessions }).into_response())
}

const fn name(kind: FactorKind) -> &'static str {
    match kind {
        FactorKind::Password => "password",
        FactorKind::Totp => "totp",
        FactorKind::Passkey => "passkey",
        FactorKind::RecoveryCode => "recovery_code",
        FactorKind::Federated => "provider",
    }
}

/// `DELETE /api/v1/sessions/{id}`
pub(super) async fn revoke(_: SignedIn, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let id = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let live = visit.live().await?;
    // What has ended is ended no more.
    if own(&visit, &live).await?.contains(&id) {
        visit.record_about(AccountEvent::EndSessions, &live.session, &format!("session {id}")).await?;
    }
    if visit.identity.revoke_session(visit.token()?, id).await? {
        Ok(StatusCode::NO_CONTENT.into_response())
    } else {
        Err(catalogue::NOT_FOUND)
    }
}

/// `POST /api/v1/sessions/revoke-others`
pub(super) async fn revoke_others(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let others: Vec<String> = own(&visit, &live)
        .await?
        .into_iter()
        .filter(|id| *id != live.session.id)
        .map(|id| id.to_string())
        .collect();
    let said = format!("sessions {}", others.join(" "));
    visit.record_about(AccountEvent::EndSessions, &live.session, &said).await?;
    let revoked = visit.identity.revoke_other_sessions(visit.token()?).await?;
    Ok(Json(Revoked { revoked }).into_response())
}

/// The person's sessions that were not ended.
async fn own(visit: &Visit, live: &Live) -> Result<Vec<SessionId>, Problem> {
    let sessions = visit.identity.repository().sessions(live.person.id).await?;
    Ok(sessions.into_iter().map(|session| session.id).collect())
}
