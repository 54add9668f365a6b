//! How a step answers: where the sign-in stands, and the next token.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    PlainToken,
    flow::SessionState,
    service::SignedIn,
    storage::{Bound, DEVICE_LIFETIME, NoticeKind},
};
use carekeep_vault::AccountEvent;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    federation,
    visit::{DEVICE_COOKIE, Delivery, HOLDER_COOKIE, Visit},
};
use crate::{
    api::session::COOKIE,
    problem::{Problem, catalogue},
};

/// Where a sign-in or an enrolment stands after a step.
#[derive(Serialize, ToSchema)]
pub(super) struct Step {
    /// What comes next: `second_factor`, `enrol`, or `done`.
    next: &'static str,
    /// With `second_factor`: which factors the person has: `totp`, `passkey`, `recovery_code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) factors: Option<Vec<&'static str>>,
    /// With `enrol`: what is enrolled so far. A passkey, or a password and a code generator, complete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    enrolled: Option<Enrolled>,
    /// With `done`: a recovery code was used, so a new second factor has to be enrolled.
    #[serde(skip_serializing_if = "Option::is_none")]
    must_reenrol: Option<bool>,
    /// New recovery codes, shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) codes: Option<Vec<String>>,
    /// The next session token, for programs; browsers get it in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// For programs that sent `Carekeep-Device`: what to send there the next time; browsers get it in a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

/// What a newcomer has enrolled.
#[derive(Serialize, ToSchema)]
struct Enrolled {
    password: bool,
    totp: bool,
    passkey: bool,
}

impl Step {
    /// Where a session stands.
    pub(super) const fn of(state: SessionState) -> Self {
        let mut step = Self {
            next: "done",
            factors: None,
            enrolled: None,
            must_reenrol: None,
            codes: None,
            token: None,
            device: None,
        };
        match state {
            SessionState::PendingSecondFactor => step.next = "second_factor",
            SessionState::Enrolling(done) => {
                step.next = "enrol";
                step.enrolled =
                    Some(Enrolled { password: done.password, totp: done.totp, passkey: done.passkey });
            }
            SessionState::Active { must_reenrol } => step.must_reenrol = Some(must_reenrol),
        }
        step
    }
}

/// The answer of a step that gave a new token, once the step is on record.
pub(super) async fn stepped(
    visit: &Visit,
    event: AccountEvent,
    signed_in: &SignedIn,
) -> Result<Response, Problem> {
    stepped_with(visit, event, signed_in, Step::of(signed_in.session.state)).await
}

/// As [`stepped`], with more to say.
pub(super) async fn stepped_with(
    visit: &Visit,
    event: AccountEvent,
    signed_in: &SignedIn,
    step: Step,
) -> Result<Response, Problem> {
    let device = settled(visit, event, signed_in).await?;
    deliver(visit.delivery, &signed_in.token, device, step)
}

/// As [`stepped`], for a browser that was sent here from elsewhere and goes on to a page.
pub(super) async fn arrived(
    visit: &Visit,
    event: AccountEvent,
    signed_in: &SignedIn,
    mut page: Response,
) -> Result<Response, Problem> {
    let device = settled(visit, event, signed_in).await?;
    keep(&mut page, &signed_in.token, device)?;
    Ok(page)
}

/// Recognises the device and records the step; what the browser is to keep of the device.
async fn settled(
    visit: &Visit,
    event: AccountEvent,
    signed_in: &SignedIn,
) -> Result<Option<String>, Problem> {
    use AccountEvent::{EnrolPasskey, EnrolPassword, EnrolTotp};
    let enrolled = matches!(event, EnrolPassword | EnrolTotp | EnrolPasskey);
    let bound = visit.bind_device(&signed_in.session, enrolled).await?;
    let mut session = signed_in.session.clone();
    session.device = session.device.or(bound.as_ref().map(|bound| bound.device));
    visit.record(event, &session).await?;
    federation::confirmed(visit, &session).await?;
    if bound.as_ref().is_some_and(|bound| bound.new) {
        let people = visit.identity.repository();
        people.notify(session.person, NoticeKind::NewDevice, Some(visit.device_name())).await?;
    }
    // Told anew each time, so that a browser that is in use does not forget it.
    let told =
        |bound: &Bound| bound.token.as_ref().map(PlainToken::reveal).or(visit.device()).map(str::to_owned);
    Ok(bound.as_ref().and_then(told))
}

fn deliver(
    delivery: Delivery,
    token: &PlainToken,
    device: Option<String>,
    mut step: Step,
) -> Result<Response, Problem> {
    if delivery == Delivery::Body {
        step.token = Some(token.reveal().to_owned());
        step.device = device;
        return Ok(Json(step).into_response());
    }
    let mut response = Json(step).into_response();
    keep(&mut response, token, device)?;
    Ok(response)
}

/// Has the browser keep the session's token and what its device is recognised by.
fn keep(response: &mut Response, token: &PlainToken, device: Option<String>) -> Result<(), Problem> {
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, secret_cookie(&session_cookie(token.reveal()))?);
    if let Some(device) = device {
        headers.append(header::SET_COOKIE, secret_cookie(&device_cookie(&device))?);
    }
    Ok(())
}

fn device_cookie(token: &str) -> String {
    let seconds = DEVICE_LIFETIME.as_secs();
    format!("{DEVICE_COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}")
}

fn session_cookie(token: &str) -> String {
    format!("{COOKIE}={token}; Path=/; Secure; HttpOnly; SameSite=Lax")
}

/// Sets the cookie that binds a passkey ceremony to this browser.
pub(super) fn hold(response: &mut Response, holder: &PlainToken) -> Result<(), Problem> {
    let text = format!(
        "{HOLDER_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=300",
        holder.reveal()
    );
    response.headers_mut().append(header::SET_COOKIE, secret_cookie(&text)?);
    Ok(())
}

/// Has the browser forget the ceremony.
pub(super) fn release(response: &mut Response) {
    let gone = HeaderValue::from_static(
        "__Host-carekeep-ceremony=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0",
    );
    response.headers_mut().append(header::SET_COOKIE, gone);
}

fn secret_cookie(text: &str) -> Result<HeaderValue, Problem> {
    let mut value = HeaderValue::from_str(text).map_err(|_| catalogue::INTERNAL)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The session is over; a browser forgets everything of this tenant (ASVS 5.0 section 14.3.1), but that it was here: the
/// session's cookie ends by itself, so that the one of the device stays.
pub(super) fn signed_out(delivery: Delivery) -> Response {
    if delivery == Delivery::Body {
        return StatusCode::NO_CONTENT.into_response();
    }
    let headers = [
        (header::SET_COOKIE.as_str(), "__Host-carekeep=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"),
        ("clear-site-data", "\"cache\", \"storage\""),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_cookie_is_for_this_host_for_tls_and_for_no_script() {
        let cookie = session_cookie("cks_x");
        assert_eq!(cookie, "__Host-carekeep=cks_x; Path=/; Secure; HttpOnly; SameSite=Lax");
        let out = signed_out(Delivery::Cookie);
        let gone = out.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(gone.starts_with("__Host-carekeep=;") && gone.ends_with("Max-Age=0"), "{gone}");
        assert!(out.headers().contains_key("clear-site-data"));
        let device = device_cookie("ckd_x");
        let kept = "__Host-carekeep-device=ckd_x; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=15552000";
        assert_eq!(device, kept);
    }
}
