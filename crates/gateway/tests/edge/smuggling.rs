//! BARS F9: requests whose end two parsers could see in different places. Never two answers, always closed.

use crate::support::{TestEdge, statuses};

#[tokio::test]
async fn bar_f9_ambiguous_framing_gets_one_refusal_and_a_closed_connection() {
    let edge = TestEdge::start().await;
    let host = edge.host();
    let second = format!("GET /who HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let start = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    let heads = [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 3",
        "Content-Length: +2",
        "Content-Length: 0x2",
        "Content-Length: -1",
        "Content-Length: 2a",
        "Content-Length : 2",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:\r\n chunked",
        "Content-Length: 2\r\n folded",
        "X: a\0b\r\nContent-Length: 2",
    ];
    for head in heads {
        let answer = edge.raw(format!("{start}{head}\r\n\r\n{{}}{second}").as_bytes()).await;
        assert_eq!(statuses(&answer), [400], "{head:?}: {answer}");
    }
    let bodies = ["2\r\n{}\r\nx\r\n", "-1\r\n", "fffffffffffffffff\r\n", "2\r\n{}X0\r\n\r\n"];
    for body in bodies {
        let request = format!("{start}Transfer-Encoding: chunked\r\n\r\n{body}{second}");
        let answer = edge.raw(request.as_bytes()).await;
        assert_eq!(statuses(&answer), [400], "{body:?}: {answer}");
    }
    let old =
        format!("POST /echo HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}");
    assert_eq!(statuses(&edge.raw(old.as_bytes()).await), [400]);
}

#[tokio::test]
async fn bar_f9_length_and_chunks_together_never_yield_two_answers() {
    let edge = TestEdge::start().await;
    let host = edge.host();
    let second = format!("GET /who HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let start = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    let both = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 6",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nContent-Length: 6",
    ];
    for head in both {
        // RFC 9112 section 6.1: either refuse, or take the chunks and close.
        let answer =
            edge.raw(format!("{start}{head}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{second}").as_bytes()).await;
        assert_eq!(statuses(&answer).len(), 1, "{head:?}: {answer}");
        assert!(!answer.contains("tenant"), "the smuggled request was not answered: {answer}");
    }
}

#[tokio::test]
async fn bar_f9_positive_control_honest_pipelining_and_chunks_work() {
    let edge = TestEdge::start().await;
    let host = edge.host();
    let last = format!("GET /ok HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let start = format!("POST /echo HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    let length = format!("{start}Content-Length: 2\r\n\r\n{{}}{last}");
    assert_eq!(statuses(&edge.raw(length.as_bytes()).await), [200, 200]);
    let chunks = format!("{start}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{last}");
    assert_eq!(statuses(&edge.raw(chunks.as_bytes()).await), [200, 200]);
}

#[tokio::test]
async fn bar_f9_oversized_heads_are_refused() {
    let edge = TestEdge::start().await;
    let host = edge.host();
    let ask = |extra: String| format!("GET /ok HTTP/1.1\r\nHost: {host}\r\n{extra}Connection: close\r\n\r\n");
    let many = |n: usize| (0..n).map(|i| format!("x-{i}: a\r\n")).collect::<String>();
    assert_eq!(statuses(&edge.raw(ask(many(50)).as_bytes()).await), [200]);
    assert_eq!(statuses(&edge.raw(ask(many(100)).as_bytes()).await), [431]);
    let wide = format!("x: {}\r\n", "a".repeat(40_000));
    assert_eq!(statuses(&edge.raw(ask(wide).as_bytes()).await), [431]);
    let long = format!("GET /{} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n", "a".repeat(9_000));
    assert_eq!(statuses(&edge.raw(long.as_bytes()).await), [414]);
}
