//! CAPABILITIES O2: the OTLP exporter reaches a collector, with what it may say and nothing else. A binary of its own, because
//! telemetry starts once per process.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::Uri};
use carekeep_gateway::telemetry::{self, RequestFacts, RouteLabel, TelemetryConfig};
use carekeep_kernel::{OsRandom, SystemClock};
use http::{Extensions, Method, StatusCode};
use tokio::net::TcpListener;

type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

async fn collect(State(seen): State<Seen>, uri: Uri, body: Bytes) {
    seen.lock().unwrap().push((uri.path().to_owned(), body.to_vec()));
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o2_traces_and_metrics_reach_a_collector_when_configured() {
    let seen = Seen::default();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    let collector = Router::new().fallback(collect).with_state(Arc::clone(&seen));
    let server = tokio::spawn(async move { axum::serve(socket, collector).await });
    let config = TelemetryConfig {
        otlp_endpoint: Some(endpoint),
        service: "carekeep-test",
        ..TelemetryConfig::default()
    };
    let telemetry = telemetry::init(&config).unwrap();
    let id = carekeep_gateway::edge::RequestId::generate(&SystemClock, &OsRandom);
    let facts = RequestFacts::new(&Method::GET, RouteLabel::of(&Extensions::new()), id);
    {
        let span = facts.span();
        facts.finish(&span, StatusCode::OK, Duration::from_millis(3));
        telemetry.metrics.finish(&facts, StatusCode::OK, Duration::from_millis(3));
    }
    tokio::task::spawn_blocking(move || telemetry.shutdown()).await.unwrap();
    let seen = seen.lock().unwrap();
    let traces = seen.iter().find(|(path, _)| path == "/v1/traces").unwrap();
    for part in ["carekeep-test", "unmatched", "request", &id.to_string()] {
        assert!(contains(&traces.1, part), "{part}");
    }
    let metrics = seen.iter().find(|(path, _)| path == "/v1/metrics").unwrap();
    assert!(contains(&metrics.1, "carekeep_http_requests") && contains(&metrics.1, "carekeep-test"));
    server.abort();
}
