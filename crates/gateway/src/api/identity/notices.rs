//! What happened to one's account, and whose ways in are weak.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::{NoticeKind, NoticeView, WeakFactors};
use carekeep_vault::{AccountEvent, Factor, catalogue::ListPeople};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    page::{Page, next},
    people::status_name,
    visit::Visit,
};
use crate::{
    api::SignedIn,
    problem::{self, Problem, Query, catalogue},
};

/// What a person is told of what is recorded as done, and which factor it is about. What is recorded before it is done (that a
/// factor is written or removed) is told where it is done.
pub(super) const fn of(event: AccountEvent) -> Option<(NoticeKind, Option<&'static str>)> {
    Some(match event {
        AccountEvent::SignIn(Factor::RecoveryCode) => (NoticeKind::RecoveryCodeUsed, None),
        AccountEvent::LinkProvider => (NoticeKind::ProviderLinked, None),
        AccountEvent::UnlinkProvider => (NoticeKind::FactorRemoved, Some("provider")),
        AccountEvent::AllowApp => (NoticeKind::AppAllowed, None),
        _ => return None,
    })
}

/// Notices in a page of which nobody said how long it is to be.
const PAGE: u32 = 100;

/// One's own notices.
#[derive(Serialize, ToSchema)]
pub(super) struct Notices {
    /// The newest first.
    #[schema(inline)]
    notices: Vec<Notice>,
    /// Where the next page starts, of older ones: give it as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Something that happened.
#[derive(Serialize, ToSchema)]
struct Notice {
    /// Its id; later ones have greater ids.
    #[schema(format = "uuid")]
    id: String,
    /// `new_device`, `factor_added`, `factor_removed`, `recovery_codes_made`, `recovery_code_used`, `app_allowed`,
    /// `role_given`, `role_taken`, `recovery_begun`, `recovery_approved`, `recovery_ended`, `devices_cleared`,
    /// `settings_changed`, `provider_linked`, `provider_changed`, `provider_agreed`, `provisioning_token_made` or
    /// `provisioning_token_stopped`.
    kind: String,
    /// Which factor, role, app or device.
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
    /// When.
    #[schema(format = "date-time")]
    at: String,
    /// Whether it was marked as seen.
    seen: bool,
}

/// Up to which notice they were seen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// The id of the newest notice that was shown.
    #[schema(value_type = String, format = "uuid")]
    until: Uuid,
}

/// `GET /api/v1/notices`
pub(super) async fn list(_: SignedIn, visit: Visit, Query(page): Query<Page>) -> Result<Response, Problem> {
    let (after, limit) = page.or::<Uuid>(PAGE)?;
    let notices = visit.identity.repository().notices(&visit.live().await?, after, limit).await?;
    let next = next(&notices, limit, |notice| notice.id.to_string());
    let view = |notice: NoticeView| Notice {
        id: notice.id.to_string(),
        kind: notice.kind,
        about: notice.about,
        at: notice.at.to_string(),
        seen: notice.seen.is_some(),
    };
    Ok(Json(Notices { notices: notices.into_iter().map(view).collect(), next }).into_response())
}

/// `POST /api/v1/notices/seen`
pub(super) async fn seen(
    _: SignedIn,
    visit: Visit,
    problem::Json(body): problem::Json<Seen>,
) -> Result<Response, Problem> {
    let live = visit.live().await?;
    // Whoever came in by a recovery code must not have the person overlook it.
    if !visit.two_factors(&live.session) {
        return Err(catalogue::SIGN_IN_UNFINISHED);
    }
    visit.identity.repository().saw_notices(&live, body.until).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whose ways in are weak.
#[derive(Serialize, ToSchema)]
pub(super) struct Weak {
    /// The oldest first.
    #[schema(inline)]
    people: Vec<WeakPerson>,
    /// Whom to go on after, if there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    next: Option<String>,
}

/// Somebody whose ways in are weak.
#[derive(Serialize, ToSchema)]
struct WeakPerson {
    /// The id.
    #[schema(format = "uuid")]
    person: String,
    /// The login name.
    login: String,
    /// The name that colleagues see.
    name: String,
    /// Where the person stands.
    status: &'static str,
    /// `no_passkey` (what they have can be phished), `few_recovery_codes` (fewer than three), `never_joined`,
    /// `devices_cleared` (by an administrator, and none was confirmed since).
    why: Vec<&'static str>,
}

/// `GET /api/v1/people/weak-factors`
pub(super) async fn weak(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Query(page): Query<Page>,
) -> Result<Response, Problem> {
    let (after, limit) = page.read()?;
    let leave = visit.api.vault.authorize::<ListPeople>(&caller, None).await?;
    let (people, next) = visit.identity.repository().weak_factors(leave, after, limit).await?;
    let view = |weak: WeakFactors| WeakPerson {
        person: weak.person.to_string(),
        login: weak.profile.login.to_string(),
        name: weak.profile.name.to_string(),
        status: status_name(weak.status),
        why: [
            (weak.no_passkey, "no_passkey"),
            (weak.few_codes, "few_recovery_codes"),
            (weak.never_joined, "never_joined"),
            (weak.devices_cleared, "devices_cleared"),
        ]
        .into_iter()
        .filter_map(|(is, why)| is.then_some(why))
        .collect(),
    };
    let people = people.into_iter().map(view).collect();
    Ok(Json(Weak { people, next: next.map(|person| person.to_string()) }).into_response())
}
