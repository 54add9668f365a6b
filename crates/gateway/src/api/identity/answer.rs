//! How a step answers: where the sign-in stands, and the next token.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    PlainToken,
    flow::SessionState,
    service::{Ready, SignedIn},
    session::SessionRecord,
    storage::{DEVICE_LIFETIME, Recognised, Shown},
};
use carekeep_vault::{AccountEvent, Factor};
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
    /// Whether a password can be set at all; without, a passkey is the way in.
    passwords: bool,
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
                step.enrolled = Some(Enrolled {
                    password: done.password,
                    totp: done.totp,
                    passkey: done.passkey,
                    passwords: true,
                });
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
    let device = record(visit, event, &signed_in.session, (shown(event), None)).await?;
    federation::confirmed(visit, &signed_in.session).await?;
    answer(visit, signed_in, device, step).await
}

/// As [`stepped`], for a browser that was sent here from elsewhere and goes on to a page.
pub(super) async fn arrived(
    visit: &Visit,
    event: AccountEvent,
    signed_in: &SignedIn,
    mut page: Response,
) -> Result<Response, Problem> {
    let device = record(visit, event, &signed_in.session, (shown(event), None)).await?;
    let device = remembered(visit, signed_in, device).await?;
    keep(&mut page, &signed_in.token, device)?;
    Ok(page)
}

/// Puts a step on record, lets it take effect, and answers.
pub(super) async fn effected(visit: &Visit, event: AccountEvent, ready: Ready) -> Result<Response, Problem> {
    let step = Step::of(ready.session().state);
    effected_with(visit, event, ready, step).await
}

/// As [`effected`], with more to say.
pub(super) async fn effected_with(
    visit: &Visit,
    event: AccountEvent,
    ready: Ready,
    step: Step,
) -> Result<Response, Problem> {
    let credential = ready.credential().map(|id| format!("credential {id}"));
    let shown = if ready.completes() { Shown::Enrolment } else { Shown::Other };
    let device = record(visit, event, ready.session(), (shown, credential.as_deref())).await?;
    let signed_in = visit.identity.take_effect(ready).await?;
    // Another session has begun in the place of the one that the request came with.
    if matches!(event, AccountEvent::AcceptInvite | AccountEvent::RedeemRecovery) {
        visit.end_previous().await?;
    }
    answer(visit, &signed_in, device, step).await
}

const fn shown(event: AccountEvent) -> Shown {
    if matches!(event, AccountEvent::SignIn(Factor::Passkey)) { Shown::Passkey } else { Shown::Other }
}

/// Records a step with the device that it is done from; that the first device is confirmed by it has an entry of its own.
async fn record(
    visit: &Visit,
    event: AccountEvent,
    session: &SessionRecord,
    (shown, said): (Shown, Option<&str>),
) -> Result<Option<Recognised>, Problem> {
    let device = visit.recognise_device(session, shown).await?;
    let mut session = session.clone();
    session.device = device.as_ref().map(|known| known.device);
    match said {
        Some(said) => visit.record_about(event, &session, said).await?,
        None => visit.record(event, &session).await?,
    }
    if let Some(first) = device.as_ref().filter(|device| device.confirms) {
        visit
            .record_about(AccountEvent::ConfirmDevice, &session, &format!("device {}", first.device))
            .await?;
    }
    Ok(device)
}

async fn answer(
    visit: &Visit,
    signed_in: &SignedIn,
    device: Option<Recognised>,
    mut step: Step,
) -> Result<Response, Problem> {
    let device = remembered(visit, signed_in, device).await?;
    if let Some(enrolled) = &mut step.enrolled {
        enrolled.passwords = visit.identity.takes_passwords().await?;
    }
    deliver(visit.delivery, &signed_in.token, device, step)
}

/// Stores which device a session is from now; what the browser is to keep of it.
async fn remembered(
    visit: &Visit,
    signed_in: &SignedIn,
    device: Option<Recognised>,
) -> Result<Option<String>, Problem> {
    let (people, session) = (visit.identity.repository(), &signed_in.session);
    match &device {
        Some(device) => people.keep_device(session, device).await?,
        None if session.device.is_some() => people.leave_device(session).await?,
        None => {}
    }
    // Told anew each time, so that a browser that is in use does not forget it.
    let told = |known: &Recognised| {
        known.token.as_ref().map(PlainToken::reveal).or(visit.device()).map(str::to_owned)
    };
    Ok(device.as_ref().and_then(told))
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
