//! Pushing traces and metrics to a collector: OTLP over HTTP with protobuf, plain, meant for a collector beside the process.
//!
//! The SDK exports from threads of its own; the HTTP client needs tokio. [`OnRuntime`] carries each request over.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError, hyper::HyperClient};
use opentelemetry_otlp::{
    ExporterBuildError, MetricExporter, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;

const TIMEOUT: Duration = Duration::from_secs(5);

type Client = HyperClient<hyper_util::client::legacy::connect::HttpConnector>;

struct OnRuntime {
    runtime: Handle,
    client: Client,
}

impl OnRuntime {
    fn new() -> Self {
        let connector = hyper_util::client::legacy::connect::HttpConnector::new();
        Self { runtime: Handle::current(), client: HyperClient::new(connector, TIMEOUT, None) }
    }
}

impl fmt::Debug for OnRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRuntime")
    }
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

pub(super) fn traces(endpoint: &str, service: &'static str) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(OnRuntime::new())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIMEOUT)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .build()?;
    let resource = Resource::builder_empty().with_service_name(service).build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}

pub(super) fn metrics(endpoint: &str) -> Result<MetricExporter, ExporterBuildError> {
    MetricExporter::builder()
        .with_http()
        .with_http_client(OnRuntime::new())
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(TIMEOUT)
        .with_endpoint(format!("{}/v1/metrics", endpoint.trim_end_matches('/')))
        .build()
}
