//! Starting, stopping, and who may listen where.

use std::{
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, atomic::Ordering},
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

async fn until(what: &str, is: impl Fn() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(5), "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A request to `/held` whose client hangs up once it has begun.
async fn hang_up(edge: &TestEdge, client: reqwest::Client, method: reqwest::Method) {
    let before = edge.held.begun.load(Ordering::SeqCst);
    let running = tokio::spawn(client.request(method, edge.url("/held")).send());
    until("it never began", || edge.held.begun.load(Ordering::SeqCst) > before).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_request_that_may_change_something_ends_also_when_its_client_hangs_up() {
    let edge = TestEdge::start().await;
    for http1 in [true, false] {
        let builder = if http1 { edge.client_builder().http1_only() } else { edge.client_builder() };
        let client = builder.build().unwrap();
        let ended = edge.held.ended.load(Ordering::SeqCst);
        // The control: what changes nothing is given up at once, and is in flight no longer.
        hang_up(&edge, client.clone(), reqwest::Method::GET).await;
        let idle = |line: &str| line.starts_with("carekeep_http_in_flight") && line.ends_with(" 0");
        let rendered = || String::from_utf8(edge.metrics.render().unwrap()).unwrap();
        until("it is not given up", || rendered().lines().any(idle)).await;
        hang_up(&edge, client, reqwest::Method::POST).await;
        edge.held.gate.add_permits(2);
        until("it was given up", || edge.held.ended.load(Ordering::SeqCst) > ended).await;
        // Its end is counted as that of any other request.
        until("it is not counted", || rendered().lines().any(idle)).await;
        assert_eq!(edge.held.ended.load(Ordering::SeqCst), ended + 1, "the other one was given up");
        edge.held.gate.forget_permits(1);
    }
}

#[tokio::test]
async fn a_stop_lets_a_request_end_whose_client_hung_up_but_only_for_the_drain_time() {
    let mut edge = TestEdge::start().await;
    hang_up(&edge, edge.client(), reqwest::Method::POST).await;
    let (trigger, handle) = (edge.trigger.take().unwrap(), edge.handle.take().unwrap());
    let mut stopping = tokio::spawn(handle.finished());
    trigger.fire();
    let early = tokio::time::timeout(Duration::from_millis(100), &mut stopping).await;
    assert!(early.is_err(), "it did not wait");
    edge.held.gate.add_permits(1);
    stopping.await.unwrap();
    assert_eq!(edge.held.ended.load(Ordering::SeqCst), 1);

    let limits = EdgeLimits { drain: Duration::from_millis(100), ..EdgeLimits::default() };
    let mut edge = TestEdge::with(limits, generous(), None).await;
    hang_up(&edge, edge.client(), reqwest::Method::POST).await;
    edge.trigger.take().unwrap().fire();
    let started = Instant::now();
    edge.handle.take().unwrap().finished().await;
    assert!(started.elapsed() < Duration::from_millis(390), "{:?}", started.elapsed());
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
