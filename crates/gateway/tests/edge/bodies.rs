//! BARS F9: hostile bodies.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use carekeep_gateway::edge::EdgeLimits;
use flate2::{Compression, write::GzEncoder};
use reqwest::Response;

use crate::support::{TestEdge, generous, statuses};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A gigabyte of one byte: one megabyte, compressed up to a full flush, a thousand times behind one gzip header. The end is
/// missing, but nobody gets that far.
fn bomb() -> Vec<u8> {
    let mut raw = flate2::Compress::new(Compression::best(), false);
    let mut block = Vec::with_capacity(8 * 1024);
    raw.compress_vec(&vec![b' '; 1 << 20], &mut block, flate2::FlushCompress::Full).unwrap();
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&header[..], &block.repeat(1024)].concat()
}

async fn post(edge: &TestEdge, path: &str, encoding: Option<&str>, body: Vec<u8>) -> Response {
    let mut request =
        edge.client().post(edge.url(path)).header("content-type", "application/json").body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    request.send().await.unwrap()
}

async fn code(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem: serde_json::Value = response.json().await.unwrap();
    (status, problem["code"].as_str().unwrap_or("ok").to_owned())
}

#[tokio::test]
async fn bar_f9_the_limit_is_the_routes_and_counts_what_comes_not_what_is_announced() {
    let edge = TestEdge::start().await;
    let mib = 1 << 20;
    assert_eq!(post(&edge, "/length", None, vec![b'x'; mib]).await.text().await.unwrap(), mib.to_string());
    assert_eq!(code(post(&edge, "/length", None, vec![b'x'; mib + 1]).await).await.1, "body-too-large");
    assert_eq!(post(&edge, "/big", None, vec![b'x'; 2 * mib]).await.status(), 200);
    for path in ["/length", "/swallow"] {
        let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
        let request =
            edge.client().post(edge.url(path)).header("content-type", "application/json").body(body);
        assert_eq!(code(request.send().await.unwrap()).await, (413, "body-too-large".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn bar_f9_gzip_is_read_and_bombs_are_cut_quickly() {
    let edge = TestEdge::start().await;
    let plain = br#"{"name": "value"}"#.to_vec();
    let echoed = post(&edge, "/echo", Some("gzip"), gzip(&plain)).await;
    assert_eq!(echoed.text().await.unwrap(), r#"{"name":"value"}"#);
    let bomb = bomb();
    let started = Instant::now();
    for (path, body) in
        [("/length", bomb[..10 * 1024].to_vec()), ("/length", bomb[..900_000].to_vec()), ("/big", bomb)]
    {
        let (status, code) = code(post(&edge, path, Some("gzip"), body).await).await;
        assert!(
            status == 413 && (code == "body-too-large" || code == "body-ratio"),
            "{path} {status} {code}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    edge.assert_serves().await;
}

#[tokio::test]
async fn bar_f9_other_codings_and_broken_gzip_are_refused() {
    let edge = TestEdge::start().await;
    let packed = gzip(b"{}");
    assert_eq!(post(&edge, "/echo", Some("gzip"), packed.clone()).await.status(), 200);
    assert_eq!(post(&edge, "/echo", Some("identity"), b"{}".to_vec()).await.status(), 200);
    for coding in ["br", "deflate", "zstd", "gzip, gzip", "x-gzip", ""] {
        let (status, code) = code(post(&edge, "/echo", Some(coding), packed.clone()).await).await;
        assert_eq!((status, code.as_str()), (415, "unsupported-encoding"), "{coding}");
    }
    let truncated = packed[..packed.len() - 3].to_vec();
    assert_eq!(code(post(&edge, "/echo", Some("gzip"), truncated).await).await.1, "body-unreadable");
    assert_eq!(code(post(&edge, "/echo", Some("gzip"), b"{}".to_vec()).await).await.1, "body-unreadable");
}

#[tokio::test]
async fn bar_f9_ambiguous_deep_and_foreign_bodies_are_refused() {
    let edge = TestEdge::start().await;
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let cases: [(u16, &str, Vec<u8>); 6] = [
        (200, "ok", br#"{"a": [1, {"a": 2}]}"#.to_vec()),
        (400, "malformed-json", br#"{"a": 1, "a": 2}"#.to_vec()),
        (400, "malformed-json", br#"{"a": 1"#.to_vec()),
        (400, "malformed-json", b"\"\xff\xfe\"".to_vec()),
        (400, "malformed-json", b"".to_vec()),
        (400, "json-too-complex", deep),
    ];
    for (status, expected, body) in cases {
        assert_eq!(code(post(&edge, "/echo", None, body).await).await, (status, expected.to_owned()));
    }
    let client = edge.client();
    let form = "application/x-www-form-urlencoded";
    for (status, path, media) in [
        (415, "/echo", form),
        (200, "/form", form),
        (415, "/form", "application/json"),
        (415, "/echo", "text/plain"),
    ] {
        let request = client.post(edge.url(path)).header("content-type", media).body("{}");
        assert_eq!(request.send().await.unwrap().status(), status, "{path} {media}");
    }
}

#[tokio::test]
async fn bar_f8_a_body_that_dribbles_or_never_ends_is_408_and_closed() {
    let limits = EdgeLimits {
        rate_window: Duration::from_millis(200),
        min_bytes_per_second: 1_000,
        body_timeout: Duration::from_millis(900),
        ..EdgeLimits::default()
    };
    let edge = TestEdge::with(limits, generous(), None).await;
    let head = format!(
        "POST /echo HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{",
        edge.host()
    );
    let started = Instant::now();
    let answer = edge.raw(head.as_bytes()).await;
    assert_eq!(statuses(&answer), [408], "{answer}");
    assert!(answer.contains("connection: close") && started.elapsed() < Duration::from_secs(3));
    let paced = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        (n < 8).then(|| (Ok::<_, std::io::Error>(vec![b' '; 500]), n + 1))
    });
    let honest = edge.client().post(edge.url("/length")).header("content-type", "application/json");
    let answer = honest.body(reqwest::Body::wrap_stream(paced)).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "4000", "slow but above the rate is served");
}
