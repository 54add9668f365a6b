//! BARS F9: HTTP/2 floods. The attacker's connection ends, the server goes on.

use std::time::Duration;

use bytes::Bytes;
use carekeep_gateway::edge::EdgeLimits;
use tokio::io::AsyncWriteExt as _;

use crate::support::{TestEdge, generous, read_all};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// HPACK: indexed `:method GET`, `:scheme https`, `:path /`, and a literal `:authority`.
fn head_block(host: &str) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [&[0x82, 0x87, 0x84, 0x41, length], host.as_bytes()].concat()
}

#[tokio::test]
async fn bar_f9_rapid_reset_ends_the_connection_and_not_the_server() {
    let edge = TestEdge::start().await;
    let stream = edge.tls("acme.localhost", &[b"h2"]).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let block = head_block(&edge.host());
    let attack = tokio::spawn(async move {
        let mut bytes = [PREFACE, &SETTINGS].concat();
        for n in 0..20_000_u32 {
            bytes.extend(frame(1, 0x5, 2 * n + 1, &block));
            bytes.extend(frame(3, 0, 2 * n + 1, &[0, 0, 0, 8]));
            if bytes.len() > 32_000 {
                if write.write_all(&bytes).await.is_err() {
                    return true;
                }
                bytes.clear();
            }
        }
        write.flush().await.is_err()
    });
    read_all(&mut read, Duration::from_secs(20)).await;
    let _ = attack.await;
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f9_a_continuation_flood_ends_the_connection_and_not_the_server() {
    let edge = TestEdge::start().await;
    let stream = edge.tls("acme.localhost", &[b"h2"]).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let attack = tokio::spawn(async move {
        let mut bytes = [PREFACE, &SETTINGS].concat();
        bytes.extend(frame(1, 0x1, 1, &[0x82, 0x87, 0x84]));
        let junk: Vec<u8> = std::iter::repeat_n([0x40, 1, b'a', 1, b'b'], 3_000).flatten().collect();
        for _ in 0..2_000 {
            bytes.extend(frame(9, 0, 1, &junk));
            if write.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
        }
    });
    read_all(&mut read, Duration::from_secs(20)).await;
    attack.abort();
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f9_more_streams_than_allowed_at_once_are_refused_and_honest_ones_are_served() {
    let limits = EdgeLimits { h2_streams: 5, ..EdgeLimits::default() };
    let edge = TestEdge::with(limits, generous(), None).await;
    let stream = edge.tls("acme.localhost", &[b"h2"]).await;
    let (client, connection) = h2::client::Builder::new().handshake::<_, Bytes>(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    // The first answer comes behind the server's SETTINGS.
    let first = http::Request::get(edge.url("/ok")).body(()).unwrap();
    assert_eq!(client.send_request(first, true).unwrap().0.await.unwrap().status(), 200);
    let mut answers = Vec::new();
    for _ in 0..30 {
        client = client.ready().await.unwrap();
        let request = http::Request::get(edge.url("/ok")).body(()).unwrap();
        answers.push(client.send_request(request, true).unwrap().0);
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().status(), 200, "a client that waits its turn gets all answers");
    }
    assert_eq!(client.current_max_send_streams(), 5);
    driver.abort();
}
