//! The devices that a person signs in from: recognised, listed, named, confirmed, forgotten.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{service::Live, storage::DeviceView};
use carekeep_kernel::{DeviceId, PersonId};
use carekeep_vault::{AccountEvent, catalogue::ManageTenant};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::visit::Visit;
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, catalogue},
};

/// One's own devices.
#[derive(Serialize, ToSchema)]
pub(super) struct Devices {
    /// The last used first.
    #[schema(inline)]
    devices: Vec<Device>,
}

/// A device.
#[derive(Serialize, ToSchema)]
struct Device {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// What its person calls it.
    name: String,
    /// When it was first seen.
    #[schema(format = "date-time")]
    first_seen: String,
    /// When somebody last signed in from it.
    #[schema(format = "date-time")]
    last_seen: String,
    /// When its person confirmed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "date-time")]
    confirmed: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

/// Another name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DeviceName {
    /// What its person calls it; at most 60 characters are kept.
    name: String,
}

/// What a device is called at first, from what its browser says of itself.
pub(super) fn first_name(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| agent.contains(sign)).map(|(_, name)| *name)
    };
    // Each browser names those it descends from too, so the youngest comes first.
    let browser =
        first(&[("Edg", "Edge"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari")]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "Mac"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Program".to_owned(),
    }
}

/// `GET /api/v1/devices`
pub(super) async fn list(_: SignedIn, visit: Visit) -> Result<Response, Problem> {
    let live = visit.live().await?;
    let devices = visit.identity.repository().devices(&live).await?;
    let view = |device: DeviceView| Device {
        id: device.id.to_string(),
        name: device.name,
        first_seen: device.first_seen.to_string(),
        last_seen: device.last_seen.to_string(),
        confirmed: device.confirmed.map(|at| at.to_string()),
        current: Some(device.id) == live.session.device,
    };
    Ok(Json(Devices { devices: devices.into_iter().map(view).collect() }).into_response())
}

/// `PUT /api/v1/devices/{id}`
pub(super) async fn rename(
    _: SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(body): problem::Json<DeviceName>,
) -> Result<Response, Problem> {
    visit.identity.repository().rename_device(&visit.live().await?, device(&id)?, &body.name).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/devices/{id}/confirm`
pub(super) async fn confirm(_: SignedIn, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let mut live = own(&visit).await?;
    let id = device(&id)?;
    let people = visit.identity.repository();
    // Whoever has the session alone confirms nothing with it.
    if !visit.is_on_device(&live.session).await? {
        live.session.device = None;
    }
    people.may_confirm_device(&live, id).await?;
    // On record before it is done: an entry without the confirmation may be, the other way round not.
    visit.record_about(AccountEvent::ConfirmDevice, &live.session, &format!("device {id}")).await?;
    people.confirm_device(&live, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/devices/{id}`
pub(super) async fn forget(_: SignedIn, visit: Visit, Path(id): Path<String>) -> Result<Response, Problem> {
    let live = own(&visit).await?;
    let id = device(&id)?;
    let people = visit.identity.repository();
    people.may_forget_device(&live, id).await?;
    visit.record_about(AccountEvent::ForgetDevice, &live.session, &format!("device {id}")).await?;
    people.forget_device(&live, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/people/{id}/devices`
pub(super) async fn clear(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let person: PersonId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    // Whoever could do it for themselves would need no device at all.
    if person == caller.person() {
        return Err(catalogue::FORBIDDEN);
    }
    let deed = format!("clear the devices of {person}");
    let leave = visit.api.vault.authorize_deed::<ManageTenant>(&caller, None, Some(&deed)).await?;
    visit.identity.repository().clear_devices(leave, person).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A session with two factors: whoever came in by a recovery code says nothing about devices before there is a second factor
/// again.
async fn own(visit: &Visit) -> Result<Live, Problem> {
    let live = visit.live().await?;
    if visit.two_factors(&live.session) { Ok(live) } else { Err(catalogue::SIGN_IN_UNFINISHED) }
}

fn device(id: &str) -> Result<DeviceId, Problem> {
    id.parse().map_err(|_| catalogue::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_called_by_browser_and_system() {
        let of = |agent: &'static str| {
            first_name(&HeaderMap::from_iter([(header::USER_AGENT, http::HeaderValue::from_static(agent))]))
        };
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36";
        assert_eq!(of(chrome), "Chrome on Linux");
        assert_eq!(
            of("Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0"),
            "Firefox on Windows"
        );
        assert_eq!(of("curl/8.1"), "Program");
        assert_eq!(first_name(&HeaderMap::new()), "Program");
    }
}
