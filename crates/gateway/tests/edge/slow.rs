//! BARS F8: peers that take their time. Limits are short here; the defaults are in `EdgeLimits`.

use std::time::{Duration, Instant};

use carekeep_gateway::edge::EdgeLimits;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{TestEdge, generous, read_all, statuses};

fn short() -> EdgeLimits {
    EdgeLimits {
        handshake_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(400),
        idle_timeout: Duration::from_millis(700),
        drain: Duration::from_millis(500),
        rate_window: Duration::from_millis(300),
        min_bytes_per_second: 10_000,
        ..EdgeLimits::default()
    }
}

async fn edge() -> TestEdge {
    TestEdge::with(short(), generous(), None).await
}

#[tokio::test]
async fn bar_f8_a_stalled_tls_handshake_is_closed() {
    let edge = edge().await;
    for first in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let started = Instant::now();
        let mut socket = TcpStream::connect(edge.addr).await.unwrap();
        socket.write_all(first).await.unwrap();
        read_all(&mut socket, Duration::from_secs(5)).await;
        assert!(
            started.elapsed() >= Duration::from_millis(250) && started.elapsed() < Duration::from_secs(3)
        );
    }
    assert_eq!(edge.handle.as_ref().unwrap().stats.handshake_failed(), 2);
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f8_a_dribbled_header_is_closed_however_often_a_byte_comes() {
    let edge = edge().await;
    let mut stream = edge.tls("acme.localhost", &[b"http/1.1"]).await;
    let started = Instant::now();
    let head = format!("GET /ok HTTP/1.1\r\nHost: {}\r\nX-Pad: ", edge.host());
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let dribble = tokio::spawn(async move {
        while write.write_all(b"a").await.is_ok() && write.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let answer = read_all(&mut read, Duration::from_secs(6)).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    dribble.abort();
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f8_a_silent_connection_is_closed_in_both_protocols() {
    let edge = edge().await;
    for alpn in [&b"http/1.1"[..], b"h2"] {
        let started = Instant::now();
        let mut stream = edge.tls("acme.localhost", &[alpn]).await;
        read_all(&mut stream, Duration::from_secs(6)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f8_a_peer_that_does_not_read_its_answers_is_closed() {
    let edge = edge().await;
    let mut stream = edge.tls("acme.localhost", &[b"http/1.1"]).await;
    let request = format!("GET /ok HTTP/1.1\r\nHost: {}\r\n\r\n", edge.host()).repeat(50);
    let started = Instant::now();
    let write_until_refused = async {
        loop {
            if stream.write_all(request.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    timeout(Duration::from_secs(20), write_until_refused).await.unwrap_or_else(|_| panic!("never closed"));
    assert!(started.elapsed() < Duration::from_secs(20));
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f8_a_connection_is_kept_while_it_is_used_and_retired_when_it_is_old() {
    let limits = EdgeLimits { max_age: Duration::from_millis(900), ..short() };
    let edge = TestEdge::with(limits, generous(), None).await;
    let mut stream = edge.tls("acme.localhost", &[b"http/1.1"]).await;
    let request = format!("GET /ok HTTP/1.1\r\nHost: {}\r\n\r\n", edge.host());
    let started = Instant::now();
    let mut answers = 0;
    let mut buffer = vec![0; 8192];
    while stream.write_all(request.as_bytes()).await.is_ok() {
        match timeout(Duration::from_secs(5), stream.read(&mut buffer)).await.unwrap() {
            Ok(0) | Err(_) => break,
            Ok(read) => answers += statuses(&String::from_utf8_lossy(&buffer[..read])).len(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(answers >= 4, "{answers}");
    assert!(started.elapsed() >= Duration::from_millis(700) && started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn bar_f8_one_peer_gets_only_its_share_of_connections_and_dribblers_do_not_slow_others() {
    // Long enough that none of those who are let in is closed by it before all are counted.
    let handshake_timeout = Duration::from_secs(3);
    let limits = EdgeLimits { connections_per_peer: 40, handshake_timeout, ..short() };
    let edge = TestEdge::with(limits, generous(), None).await;
    let started = Instant::now();
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(TcpStream::connect(edge.addr).await.unwrap());
    }
    // They are accepted in order: the last twenty are refused at once, the others are closed by the handshake limit.
    for socket in &mut held[40..] {
        let mut byte = [0];
        let closed = timeout(Duration::from_secs(2), socket.read(&mut byte)).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "a refused connection stays open");
    }
    assert_eq!(edge.handle.as_ref().unwrap().stats.refused(), 20);
    for socket in &mut held[..40] {
        read_all(socket, Duration::from_secs(10)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    edge.assert_serves().await;
}
