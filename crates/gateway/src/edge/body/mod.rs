//! The request body: bounded in size, time and expansion while it streams (BARS F8, F9).
//!
//! Invariant: a handler never holds more bytes than its route allows, and learns of a cut body only as an error; the
//! edge then answers with the reason, whatever the handler made of it.

mod guard;
pub mod gzip;
pub mod strict_json;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, Request, header};

pub use guard::Guarded;

use super::{config::EdgeLimits, media, routes::RoutePolicy};
use crate::problem::{Problem, catalogue};

/// Why a body was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// More bytes than the route takes.
    #[error("the body is larger than this route takes: send less")]
    TooLarge,
    /// It expands more than 100-fold.
    #[error("the body expands out of all proportion: send it uncompressed")]
    Bomb,
    /// Too slow, or too long in coming.
    #[error("the body came too slowly: send it again")]
    TooSlow,
    /// It broke off, or is not gzip.
    #[error("the body broke off or its compression is broken: send it again")]
    Unreadable,
}

impl BodyFault {
    /// The problem to answer with.
    #[must_use]
    pub const fn problem(self) -> Problem {
        match self {
            Self::TooLarge => catalogue::BODY_TOO_LARGE,
            Self::Bomb => catalogue::BODY_BOMB,
            Self::TooSlow => catalogue::BODY_TOO_SLOW,
            Self::Unreadable => catalogue::BODY_UNREADABLE,
        }
    }
}

/// Where the guard leaves the reason for a cut.
#[derive(Debug, Clone, Default)]
pub struct Verdict(Arc<OnceLock<BodyFault>>);

impl Verdict {
    /// The reason, if the body was cut.
    #[must_use]
    pub fn get(&self) -> Option<BodyFault> {
        self.0.get().copied()
    }

    fn set(&self, fault: BodyFault) {
        let _ = self.0.set(fault);
    }
}

/// Time limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes that must arrive in each window.
    pub window_bytes: u64,
    /// The window.
    pub window: Duration,
    /// Longest time for the whole body.
    pub total: Duration,
}

impl From<&EdgeLimits> for Pace {
    fn from(limits: &EdgeLimits) -> Self {
        Self { window_bytes: limits.window_bytes(), window: limits.rate_window, total: limits.body_timeout }
    }
}

/// Checks the headers that describe the body and puts a guard around it. `None` if the request has no body.
///
/// # Errors
/// 413 if the announced length is too much, 415 for a media type or coding that the route does not take.
pub fn admit(
    request: &mut Request<Body>,
    policy: RoutePolicy,
    pace: Pace,
) -> Result<Option<Verdict>, Problem> {
    use http_body::Body as _;
    if request.body().is_end_stream() {
        return Ok(None);
    }
    let hint = request.body().size_hint();
    if hint.lower() > policy.body_bytes as u64 {
        return Err(catalogue::BODY_TOO_LARGE.member("limitBytes", policy.body_bytes));
    }
    media::check(request.headers(), policy.kinds)?;
    let gzip = is_gzip(request.headers())?;
    let verdict = Verdict::default();
    let body = std::mem::take(request.body_mut());
    *request.body_mut() = Body::new(Guarded::new(body, policy.body_bytes, pace, gzip, verdict.clone()));
    if gzip {
        // What the handler reads is the plain body: these two describe the wire.
        request.headers_mut().remove(header::CONTENT_ENCODING);
        request.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(Some(verdict))
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"gzip") => Ok(true),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(false),
        _ => Err(catalogue::UNSUPPORTED_ENCODING),
    }
}
