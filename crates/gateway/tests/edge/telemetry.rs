//! CAPABILITIES O2: what is told about requests, and what is not.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use carekeep_gateway::{
    edge::{self, EdgeLimits, Listener, shutdown},
    telemetry::{Readiness, health_router, install_panic_hook},
};
use tokio::net::TcpListener;
use tracing::instrument::WithSubscriber as _;

use crate::support::TestEdge;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const CANARY: &str = "Kowalski";

#[test]
fn o2_neither_logs_nor_metrics_hold_what_a_client_sent_and_a_panic_keeps_its_text() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Global, because the server's tasks run on other threads; nextest gives each test its own process.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    install_panic_hook();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let metrics = runtime.block_on(run());
    // So that this test can say why it fails.
    drop(std::panic::take_hook());
    let logs = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<&str> = logs.lines().filter(|line| line.contains("\"target\":\"carekeep")).collect();
    assert!(ours.iter().any(|line| line.contains("/number/{n}") && line.contains("\"tenant\"")), "{ours:?}");
    assert!(ours.iter().any(|line| line.contains("its text is withheld") && line.contains("support.rs")));
    for line in &ours {
        assert!(!line.contains(CANARY), "{line}");
    }
    assert!(metrics.contains("/number/{n}") && metrics.contains("unmatched"), "{metrics}");
    let one_panic = |line: &str| line.starts_with("carekeep_http_panics_total") && line.ends_with(" 1");
    assert!(metrics.lines().any(one_panic), "{metrics}");
    assert!(!metrics.contains(CANARY), "{metrics}");
}

async fn run() -> String {
    let edge = TestEdge::start().await;
    let client = edge.client();
    for path in [
        "/number/7?name=Kowalski",
        "/number/Kowalski",
        "/Kowalski",
        "/panic/Kowalski",
        "/query?count=Kowalski",
    ] {
        client.get(edge.url(path)).header("x-name", CANARY).header("cookie", CANARY).send().await.unwrap();
    }
    let body = format!("{{\"name\": \"{CANARY}\", }}");
    let json = client.post(edge.url("/echo")).header("content-type", "application/json").body(body);
    json.send().with_current_subscriber().await.unwrap();
    edge.assert_serves().await;
    String::from_utf8(edge.metrics.render().unwrap()).unwrap()
}

#[tokio::test]
async fn o2_health_and_metrics_are_served_inside() {
    let edge = TestEdge::start().await;
    edge.assert_serves().await;
    let readiness = Readiness::new(Duration::from_millis(100));
    let healthy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let seen = Arc::clone(&healthy);
    readiness.register("database", move || {
        let seen = Arc::clone(&seen);
        async move { seen.load(std::sync::atomic::Ordering::Relaxed) }
    });
    let (stop, signal) = shutdown::channel();
    let listener = Listener::internal(TcpListener::bind("127.0.0.1:0").await.unwrap()).unwrap();
    let router = health_router(readiness.clone()).merge(edge.metrics.router());
    let handle = edge::serve(listener, router, EdgeLimits::default(), signal);
    let base = format!("http://{}", handle.local_addr);
    let client = edge.client();
    let get = async |path: &str| {
        let response = client.get(format!("{base}{path}")).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert_eq!(get("/health/live").await.0, 200);
    assert_eq!(get("/health/ready").await.0, 200);
    healthy.store(false, std::sync::atomic::Ordering::Relaxed);
    let (status, body) = get("/health/ready").await;
    assert!(status == 503 && body.contains("\"database\":false"), "{body}");
    healthy.store(true, std::sync::atomic::Ordering::Relaxed);
    readiness.register("stuck", std::future::pending);
    let (status, body) = get("/health/ready").await;
    assert!(
        status == 503 && body.contains("\"stuck\":false") && body.contains("\"database\":true"),
        "{body}"
    );
    assert_eq!(get("/health/live").await.0, 200, "alive all the same");
    let (status, metrics) = get("/metrics").await;
    assert_eq!(status, 200);
    for name in [
        "carekeep_http_requests_total",
        "carekeep_http_request_duration_seconds_bucket",
        "carekeep_http_in_flight",
        "carekeep_connections",
        "carekeep_limit_denials_total",
        "carekeep_limit_degraded",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    stop.fire();
    handle.finished().await;
}
