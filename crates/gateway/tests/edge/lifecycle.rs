//! Starting, stopping, and who may listen where.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_gateway::edge::{BindError, DevAuthority, EdgeLimits, Listener};
use carekeep_kernel::{Clock, ManualClock, SystemClock};
use tokio::net::TcpListener;

use crate::support::{TestEdge, generous};

async fn until_one_is_in_flight(edge: &TestEdge) {
    let started = Instant::now();
    let one = |line: &str| line.starts_with("carekeep_http_in_flight") && line.ends_with(" 1");
    while !String::from_utf8(edge.metrics.render().unwrap()).unwrap().lines().any(one) {
        assert!(started.elapsed() < Duration::from_secs(5), "the request never began");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_takes_no_new_ones() {
    let mut edge = TestEdge::start().await;
    for client in [edge.client(), edge.client_builder().http1_only().build().unwrap()] {
        client.get(edge.url("/ok")).send().await.unwrap();
    }
    let client = edge.client();
    let url = edge.url("/slow");
    let running = tokio::spawn(async move { client.get(url).send().await.unwrap().text().await.unwrap() });
    until_one_is_in_flight(&edge).await;
    let started = Instant::now();
    edge.trigger.take().unwrap().fire();
    edge.handle.take().unwrap().finished().await;
    assert_eq!(running.await.unwrap(), "done");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(edge.client().get(edge.url("/ok")).send().await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_stop_does_not_wait_longer_than_the_drain_time() {
    let limits = EdgeLimits { drain: Duration::from_millis(100), ..EdgeLimits::default() };
    let mut edge = TestEdge::with(limits, generous(), None).await;
    let (client, url) = (edge.client(), edge.url("/slow"));
    let running = tokio::spawn(async move { client.get(url).send().await });
    until_one_is_in_flight(&edge).await;
    edge.trigger.take().unwrap().fire();
    let started = Instant::now();
    let handle = edge.handle.take().unwrap();
    let stats = Arc::clone(&handle.stats);
    handle.finished().await;
    assert!(started.elapsed() < Duration::from_millis(390), "{:?}", started.elapsed());
    assert!(running.await.unwrap().is_err());
    assert_eq!((stats.cut(), stats.open()), (1, 0));
}

#[tokio::test]
async fn the_internal_listener_is_refused_outside_loopback() {
    let open = TcpListener::bind("0.0.0.0:0").await.unwrap();
    assert!(matches!(Listener::internal(open), Err(BindError::NotLoopback(_))));
    assert!(Listener::internal(TcpListener::bind("127.0.0.1:0").await.unwrap()).is_ok());
}

#[test]
fn the_development_authority_is_kept_private_and_renewed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let load = || {
        let authority =
            DevAuthority::load_or_create(dir.path(), Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        authority.tls().unwrap();
        std::fs::read_to_string(authority.certificate_path()).unwrap()
    };
    let first = load();
    let mode = std::fs::metadata(dir.path().join("dev-ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(load(), first, "a second start keeps it");
    clock.advance(Duration::from_secs(800 * 86_400));
    assert_ne!(load(), first, "it is made anew before it expires");
}
