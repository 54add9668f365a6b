//! T6, F8 at the real routes: wrong hosts, and peers that begin and do not go on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::StatusCode;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    bad_input::{Scene, observation},
    support::Clinic,
};

impl Clinic {
    /// A connection with TLS to a tenant's name, on which anything can be said.
    async fn wire(&self, name: &str) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let socket = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }
}

/// Everything that comes until the server closes, and how long that took.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> (String, Duration) {
    let (mut bytes, began) = (Vec::new(), Instant::now());
    let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut bytes)).await;
    // A reset is an end, too.
    assert!(ended.is_ok(), "the server never closes: {}", String::from_utf8_lossy(&bytes));
    (String::from_utf8_lossy(&bytes).into_owned(), began.elapsed())
}

fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn bar_t6_a_wrong_host_is_refused_at_the_fhir_routes_and_leaves_nothing() {
    let scene = Scene::set().await;
    let (clinic, token) = (&scene.clinic, scene.doctor.program.token.as_ref().unwrap());
    let before = clinic.written().await;
    let (port, body) = (clinic.address.port(), observation(&scene.patient).to_string());
    let ask = async |host: &str| {
        let mut wire = clinic.wire("acme.localhost").await;
        let head = format!(
            "POST /fhir/R4/Observation HTTP/1.1\r\n{host}authorization: Bearer {token}\r\n\
             content-type: application/fhir+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        wire.write_all(head.as_bytes()).await.unwrap();
        until_closed(&mut wire).await.0
    };
    for (expected, host) in [
        (421, format!("host: bolt.localhost:{port}\r\n")),
        (421, "host: nobody.localhost\r\n".to_owned()),
        (421, "host: 127.0.0.1\r\n".to_owned()),
        (421, format!("host: acme.localhost:{}\r\n", port ^ 1)),
        (400, String::new()),
        (400, "host:\r\n".to_owned()),
        (400, format!("host: acme.localhost:{port}\r\nhost: bolt.localhost:{port}\r\n")),
        (400, "host: acme.localhost@evil.test\r\n".to_owned()),
        (400, "host: acme.localhost.\r\n".to_owned()),
    ] {
        let answer = ask(&host).await;
        assert_eq!(status(&answer), expected, "{host}: {answer}");
        assert!(
            answer.contains("OperationOutcome") || answer.contains("content-length: 0"),
            "{host}: {answer}"
        );
        assert!(!answer.contains("Zyxw"), "{host}: {answer}");
    }
    assert_eq!(clinic.written().await, before, "something was stored");
    let taken = ask(&format!("host: acme.localhost:{port}\r\nx-forwarded-host: bolt.localhost\r\n")).await;
    assert_eq!(status(&taken), 201, "the control: {taken}");
    scene.clinic.close().await;
}

#[tokio::test]
async fn bar_f9_a_length_past_the_limit_is_refused_before_a_byte_of_the_body_comes() {
    let scene = Scene::set().await;
    let (port, token) = (scene.clinic.address.port(), scene.doctor.program.token.as_ref().unwrap());
    for (path, limit) in [("/fhir/R4/Observation", 1_u64 << 20), ("/fhir/R4", 64 << 20)] {
        // The last is more than HTTP libraries count: they refuse it by themselves.
        for (length, expected) in [(limit + 1, 413), (1 << 40, 413), (u64::MAX, 431)] {
            let mut wire = scene.clinic.wire("acme.localhost").await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: acme.localhost:{port}\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/fhir+json\r\ncontent-length: {length}\r\n\r\n"
            );
            wire.write_all(head.as_bytes()).await.unwrap();
            let (answer, took) = until_closed(&mut wire).await;
            assert_eq!(status(&answer), expected, "{path} {length}: {answer}");
            assert!(took < Duration::from_secs(2), "{path} {length}: {took:?}");
        }
    }
    scene.clinic.close().await;
}

/// What somebody says before they say no more, and how long they may be silent.
fn beginnings(scene: &Scene) -> Vec<(&'static str, String)> {
    let host = format!("host: acme.localhost:{}", scene.clinic.address.port());
    let token = format!("authorization: Bearer {}", scene.doctor.program.token.as_ref().unwrap());
    let body = observation(&scene.patient).to_string();
    let head = format!(
        "POST /fhir/R4/Observation HTTP/1.1\r\n{host}\r\n{token}\r\ncontent-type: application/fhir+json\r\n"
    );
    let announced = format!("{head}content-length: {}\r\n\r\n", body.len());
    vec![
        ("nothing", String::new()),
        ("half a line", "POST /fhir/R4/Obs".to_owned()),
        ("half a head", head.clone()),
        ("a head without the body", announced.clone()),
        ("half of the body", format!("{announced}{}", &body[..body.len() / 2])),
        ("all of the body but a byte", format!("{announced}{}", &body[..body.len() - 1])),
        (
            "a chunk without an end",
            format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
        ),
        (
            "half a bundle",
            format!(
                "{}content-length: 1000000\r\n\r\n{{\"resourceType\":\"Bundle\",",
                head.replacen("/Observation", "", 1)
            ),
        ),
    ]
}

#[tokio::test]
async fn bar_f8_half_open_connections_are_closed_and_nobody_waits_for_them() {
    let scene = Scene::set().await;
    let clinic = &scene.clinic;
    let before = clinic.written().await;
    let mut open = Vec::new();
    for (what, said) in beginnings(&scene) {
        let mut wire = clinic.wire("acme.localhost").await;
        wire.write_all(said.as_bytes()).await.unwrap();
        wire.flush().await.unwrap();
        open.push((what, wire));
    }
    let mut silent = TcpStream::connect(clinic.address).await.unwrap();
    let mut hello = TcpStream::connect(clinic.address).await.unwrap();
    hello.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
    // Who breaks off in the middle: half a body, then the end.
    for (_, said) in beginnings(&scene) {
        let mut wire = clinic.wire("acme.localhost").await;
        wire.write_all(said.as_bytes()).await.unwrap();
        drop(wire);
    }
    // Meanwhile others are served.
    let mut program = scene.doctor.program.clone();
    for _ in 0..5 {
        let began = Instant::now();
        program.get(&format!("/fhir/R4/Patient/{}", scene.patient)).await.expect(StatusCode::OK);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
    let closing =
        open.into_iter().map(|(what, mut wire)| async move { (what, until_closed(&mut wire).await) });
    let (closed, silent, hello) = tokio::join!(
        futures_util::future::join_all(closing),
        until_closed(&mut silent),
        until_closed(&mut hello)
    );
    for (what, (answer, took)) in closed {
        println!("{what}: closed after {took:.1?}, {}", answer.lines().next().unwrap_or("without a word"));
        let body = what.contains("body") || what.contains("chunk") || what.contains("bundle");
        assert!(!body || status(&answer) == 408, "{what}: {answer}");
        assert!(status(&answer) == 0 || status(&answer) == 408, "{what}: {answer}");
    }
    assert!(silent.1 < Duration::from_secs(7) && hello.1 < Duration::from_secs(7), "{silent:?} {hello:?}");
    assert_eq!(clinic.written().await, before, "something was stored");
    scene.clinic.close().await;
}
