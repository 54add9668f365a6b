//! Metrics by OpenTelemetry, read by Prometheus from `/metrics` and, if configured, pushed by OTLP.
//!
//! Labels are bounded: route templates, methods of a fixed list, status codes, lanes. No tenant: a thousand tenants times a
//! hundred routes would be a hundred thousand series.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider as _, UpDownCounter},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider};
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::{RequestFacts, otlp};
use crate::{
    edge::server::ConnStats,
    limits::{Lane, Limiter},
    problem::{Problem, catalogue},
};

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The Prometheus reader cannot be made.
    #[error("the metrics reader cannot be made: {0}; this is a defect, report it")]
    Reader(String),
    /// The exporter cannot be made.
    #[error("the OTLP exporter cannot be made: {0}; check otlp_endpoint")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// The process's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    provider: SdkMeterProvider,
    meter: Meter,
    requests: Counter<u64>,
    duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    panics: Counter<u64>,
}

/// Seconds; fine around the goals of a read (a few ms), coarse above.
const BOUNDARIES: [f64; 14] =
    [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1.0, 2.5, 10.0];

impl Metrics {
    /// The metrics of a process; `endpoint` as in [`super::TelemetryConfig::otlp_endpoint`].
    ///
    /// # Errors
    /// [`MetricsError`].
    pub fn new(service: &'static str, endpoint: Option<&str>) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .build()
            .map_err(|error| MetricsError::Reader(error.to_string()))?;
        let resource = Resource::builder_empty().with_service_name(service).build();
        let mut builder = SdkMeterProvider::builder().with_reader(reader).with_resource(resource);
        if let Some(endpoint) = endpoint {
            builder = builder.with_periodic_exporter(otlp::metrics(endpoint)?);
        }
        let provider = builder.build();
        let meter = provider.meter("carekeep");
        Ok(Self(Arc::new(Inner {
            requests: meter.u64_counter("carekeep_http_requests").build(),
            duration: meter
                .f64_histogram("carekeep_http_request_duration")
                .with_unit("s")
                .with_boundaries(BOUNDARIES.to_vec())
                .build(),
            in_flight: meter.i64_up_down_counter("carekeep_http_in_flight").build(),
            panics: meter.u64_counter("carekeep_http_panics").build(),
            registry,
            provider,
            meter,
        })))
    }

    /// The meter, for other modules' instruments. Labels must be bounded and free of PHI.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// A request begins; it ends when the guard is dropped.
    #[must_use]
    pub fn begin(&self) -> InFlightGuard {
        self.0.in_flight.add(1, &[]);
        InFlightGuard(self.clone())
    }

    /// Counts a finished request.
    pub fn finish(&self, facts: &RequestFacts, status: StatusCode, took: Duration) {
        let labels = [
            KeyValue::new("method", facts.method),
            KeyValue::new("route", facts.route.shared()),
            KeyValue::new("status", i64::from(status.as_u16())),
        ];
        self.0.requests.add(1, &labels);
        self.0.duration.record(took.as_secs_f64(), &labels[..2]);
    }

    /// Counts a handler that panicked.
    pub fn panicked(&self) {
        self.0.panics.add(1, &[]);
    }

    /// Shows a listener's connections; `listener` is its name, for example `public`.
    pub fn watch_connections(&self, listener: &'static str, stats: Arc<ConnStats>) {
        self.0
            .meter
            .u64_observable_gauge("carekeep_connections")
            .with_callback(move |observer| {
                let states = [
                    ("accepted", stats.accepted()),
                    ("open", stats.open()),
                    ("refused", stats.refused()),
                    ("handshake_failed", stats.handshake_failed()),
                    ("cut", stats.cut()),
                ];
                for (state, count) in states {
                    let labels = [KeyValue::new("listener", listener), KeyValue::new("state", state)];
                    observer.observe(count, &labels);
                }
            })
            .build();
    }

    /// Shows the limiter's refusals, keys and whether it is degraded.
    pub fn watch_limiter(&self, limiter: &Arc<Limiter>) {
        let meter = &self.0.meter;
        let denials = Arc::clone(limiter);
        meter
            .u64_observable_counter("carekeep_limit_denials")
            .with_callback(move |observer| {
                for lane in Lane::ALL {
                    observer.observe(denials.denials(lane), &[KeyValue::new("lane", lane.name())]);
                }
            })
            .build();
        let keys = Arc::clone(limiter);
        meter
            .u64_observable_gauge("carekeep_limit_keys")
            .with_callback(move |observer| {
                for lane in Lane::ALL {
                    observer.observe(keys.keys(lane) as u64, &[KeyValue::new("lane", lane.name())]);
                }
            })
            .build();
        let degraded = Arc::clone(limiter);
        meter
            .u64_observable_gauge("carekeep_limit_degraded")
            .with_callback(move |observer| observer.observe(u64::from(degraded.is_degraded()), &[]))
            .build();
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// A text for the log, if they cannot be encoded.
    pub fn render(&self) -> Result<Vec<u8>, String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.registry.gather(), &mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    /// The path of [`Metrics::router`].
    pub const PATH: &'static str = "/metrics";

    /// `GET /metrics`, for the internal listener.
    pub fn router(&self) -> Router {
        Router::new().route(Self::PATH, get(show)).with_state(self.clone())
    }

    pub(super) fn shutdown(&self) {
        let _ = self.0.provider.shutdown();
    }
}

async fn show(State(metrics): State<Metrics>) -> Result<impl IntoResponse, Problem> {
    let text = metrics.render().map_err(|_| catalogue::INTERNAL)?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlightGuard(Metrics);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.in_flight.add(-1, &[]);
    }
}
