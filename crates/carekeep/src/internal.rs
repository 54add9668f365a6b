//! The internal listener: health, metrics, and the control API where the process may make tenants.

use std::sync::Arc;

use axum::Router;
use carekeep_gateway::{
    edge,
    telemetry::{HEALTH_PATHS, Metrics, Readiness, health_router},
};
use carekeep_kernel::{Clock, Random};

/// The paths that answer `GET` to whoever reaches the listener. All others belong to [`crate::control`].
pub const OPEN_PATHS: [&str; 3] = [HEALTH_PATHS[0], HEALTH_PATHS[1], Metrics::PATH];

/// All routes of the internal listener; `control` is those of [`crate::control`], where they are served.
pub fn router(
    readiness: Readiness,
    metrics: &Metrics,
    control: Option<Router>,
    (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
) -> Router {
    let open = health_router(readiness).merge(metrics.router());
    edge::internal(open.merge(control.unwrap_or_default()), clock, random)
}
