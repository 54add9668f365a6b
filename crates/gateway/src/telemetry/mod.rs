//! Logs, traces, metrics and health (CAPABILITIES O2).
//!
//! Invariant: free of PHI by type. A request's span and metrics are made from a [`RequestFacts`], which can hold a method
//! from a fixed list, a route *template*, a status, ids and a duration, and nothing that a client wrote.

mod facts;
mod health;
mod metrics;
mod otlp;
mod panics;

pub use facts::{RequestFacts, RouteLabel, SafeField};
pub use health::{HEALTH_PATHS, Readiness, health_router};
pub use metrics::{Metrics, MetricsError};
pub use panics::install_panic_hook;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For a person at a terminal.
    Pretty,
}

/// What to write where.
#[derive(Debug, Clone, Default)]
pub struct TelemetryConfig {
    /// The form of log lines on standard error.
    pub format: LogFormat,
    /// A `tracing` filter such as `info,carekeep_gateway=debug`; empty means `info`. Levels below `info` of other
    /// libraries may show what a client sent: production refuses them (see [`init`]).
    pub filter: String,
    /// `http://host:port` of an OpenTelemetry collector (OTLP over HTTP, protobuf); `None` exports nothing.
    pub otlp_endpoint: Option<String>,
    /// The process's role, as `service.name`: for example `carekeep-serve`.
    pub service: &'static str,
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("the log filter is not understood: {0}; write it like info,carekeep_gateway=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A subscriber was set before.
    #[error("telemetry was started before in this process: start it once")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The exporter cannot be made.
    #[error("the OTLP exporter cannot be made: {0}; check otlp_endpoint")]
    Otlp(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics cannot be made.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Running telemetry; flushes when shut down.
#[derive(Debug)]
pub struct Telemetry {
    /// The metrics, for the edge and for `/metrics`.
    pub metrics: Metrics,
    traces: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Sends what is left to the collector. Blocks up to 5 s.
    pub fn shutdown(&self) {
        if let Some(traces) = &self.traces {
            let _ = traces.shutdown();
        }
        self.metrics.shutdown();
    }
}

/// Starts logs, traces and metrics and installs the panic hook; once per process, inside a tokio runtime.
///
/// Libraries that log bodies or headers below `info` (hyper, h2, rustls, sqlx, redis) are held at `warn` whatever the filter
/// says.
///
/// # Errors
/// [`TelemetryError`].
pub fn init(config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    install_panic_hook();
    let traces =
        config.otlp_endpoint.as_deref().map(|endpoint| otlp::traces(endpoint, config.service)).transpose()?;
    let metrics = Metrics::new(config.service, config.otlp_endpoint.as_deref())?;
    let export = traces
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("carekeep")));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.compact().boxed(),
    };
    tracing_subscriber::registry().with(filter(&config.filter)?).with(lines).with(export).try_init()?;
    Ok(Telemetry { metrics, traces })
}

const QUIET: [&str; 8] = [
    "hyper=warn",
    "hyper_util=warn",
    "h2=warn",
    "rustls=warn",
    "sqlx=warn",
    "sea_orm=warn",
    "redis=warn",
    "tower=warn",
];

fn filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    let mut filter = EnvFilter::try_new(if text.is_empty() { "info" } else { text })?;
    for directive in QUIET {
        filter = filter.add_directive(directive.parse()?);
    }
    Ok(filter)
}
