//! Is the process alive, and can it serve?

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State, routing::get};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The checks that must all pass before the process gets traffic. Cheap to clone.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    checks: Mutex<Vec<(&'static str, Check)>>,
    draining: AtomicBool,
    patience: Duration,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("draining", &self.0.draining).finish_non_exhaustive()
    }
}

impl Readiness {
    /// No checks yet; each gets that much time.
    #[must_use]
    pub fn new(patience: Duration) -> Self {
        Self(Arc::new(Inner { checks: Mutex::default(), draining: AtomicBool::new(false), patience }))
    }

    /// Adds a check: `true` means that the part can be used now.
    pub fn register<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        let check: Check = Arc::new(move || Box::pin(check()));
        self.0.checks.lock().unwrap_or_else(PoisonError::into_inner).push((name, check));
    }

    /// Not ready from now on: the process is about to stop.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Runs all checks at once; a check that takes too long has failed.
    pub async fn check(&self) -> (bool, Vec<(&'static str, bool)>) {
        let checks = self.0.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let patience = self.0.patience;
        let run = |(name, check): (&'static str, Check)| async move {
            (name, timeout(patience, check()).await.unwrap_or(false))
        };
        let results = join_all(checks.into_iter().map(run)).await;
        let ready = !self.0.draining.load(Ordering::Relaxed) && results.iter().all(|(_, passed)| *passed);
        (ready, results)
    }
}

/// The paths of [`health_router`]: is the process alive, is it ready?
pub const HEALTH_PATHS: [&str; 2] = ["/health/live", "/health/ready"];

/// `GET /health/live` (200 while the process can answer) and `GET /health/ready` (200 or 503, with each check's result).
pub fn health_router(readiness: Readiness) -> Router {
    Router::new()
        .route(HEALTH_PATHS[0], get(|| async { Json(json!({"status": "live"})) }))
        .route(HEALTH_PATHS[1], get(ready))
        .with_state(readiness)
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, Json<Value>) {
    let (ready, results) = readiness.check().await;
    let checks: Map<String, Value> =
        results.into_iter().map(|(name, passed)| (name.to_owned(), passed.into())).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"status": if ready { "ready" } else { "not-ready" }, "checks": checks})))
}
