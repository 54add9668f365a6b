//! BARS T6: which tenant a request is for.

use crate::support::{TestEdge, statuses};

async fn ask(edge: &TestEdge, head: &str) -> Vec<u16> {
    statuses(&edge.raw(format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await)
}

#[tokio::test]
async fn bar_t6_the_host_decides_and_forwarding_headers_do_not() {
    let edge = TestEdge::start().await;
    let request = edge.client().get(edge.url("/who"));
    let request = request
        .header("x-forwarded-host", "beta.localhost")
        .header("forwarded", "host=beta.localhost;for=203.0.113.9")
        .header("x-forwarded-for", "203.0.113.9");
    let who: serde_json::Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(who["tenant"], edge.acme.to_string());
    assert_eq!(who["client"], "127.0.0.1");
    let beta = format!("https://beta.localhost:{}/who", edge.addr.port());
    let who: serde_json::Value = edge.client().get(beta).send().await.unwrap().json().await.unwrap();
    assert_ne!(who["tenant"], edge.acme.to_string());
}

#[tokio::test]
async fn bar_t6_wrong_hosts_are_refused_on_the_wire() {
    let edge = TestEdge::start().await;
    let port = edge.addr.port();
    let host = edge.host();
    let good = [
        format!("GET /ok HTTP/1.1\r\nHost: {host}"),
        format!("GET /ok HTTP/1.1\r\nHost: ACME.localhost:{port}"),
        "GET /ok HTTP/1.1\r\nHost: acme.localhost".to_owned(),
        format!("GET https://{host}/ok HTTP/1.1\r\nHost: {host}"),
        format!("GET /ok HTTP/1.1\r\nHost:\t{host}  "),
    ];
    for head in good {
        assert_eq!(ask(&edge, &head).await, [200], "{head}");
    }
    let bad = [
        (400, "GET /ok HTTP/1.1\r\nAccept: */*".to_owned()),
        (400, "GET /ok HTTP/1.1\r\nHost:".to_owned()),
        (400, format!("GET /ok HTTP/1.1\r\nHost: {host}\r\nHost: {host}")),
        (400, format!("GET /ok HTTP/1.1\r\nHost: {host}\r\nhOsT: beta.localhost")),
        (400, format!("GET /ok HTTP/1.1\r\nHost : {host}")),
        (400, format!("GET /ok HTTP/1.1\r\n Host: {host}")),
        (400, "GET /ok HTTP/1.1\r\nHost: acme.localhost.".to_owned()),
        (400, format!("GET /ok HTTP/1.1\r\nHost: x@{host}")),
        (400, format!("GET /ok HTTP/1.1\r\nHost: {host}, beta.localhost")),
        (400, format!("GET https://{host}/ok HTTP/1.1\r\nAccept: */*")),
        (421, "GET /ok HTTP/1.1\r\nHost: nobody.localhost".to_owned()),
        (421, format!("GET /ok HTTP/1.1\r\nHost: beta.localhost:{port}")),
        (421, "GET /ok HTTP/1.1\r\nHost: a.acme.localhost".to_owned()),
        (421, "GET /ok HTTP/1.1\r\nHost: acme.localhost:1".to_owned()),
        (421, "GET /ok HTTP/1.1\r\nHost: 127.0.0.1".to_owned()),
        (421, format!("GET /ok HTTP/1.1\r\nHost: [::1]:{port}")),
        (421, format!("GET https://beta.localhost:{port}/ok HTTP/1.1\r\nHost: {host}")),
        (421, format!("GET http://{host}/ok HTTP/1.1\r\nHost: {host}")),
    ];
    for (status, head) in bad {
        assert_eq!(ask(&edge, &head).await, [status], "{head}");
    }
}

#[tokio::test]
async fn bar_t6_http2_authority_must_agree_with_the_server_name() {
    let edge = TestEdge::start().await;
    let stream = edge.tls("acme.localhost", &[b"h2"]).await;
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driver = tokio::spawn(connection);
    let cases = [
        (200, edge.url("/ok"), None),
        (200, edge.url("/ok"), Some(edge.host())),
        (421, edge.url("/ok"), Some("beta.localhost".to_owned())),
        (421, edge.url("/ok").replace("acme", "beta"), None),
        (421, edge.url("/ok").replace("acme", "nobody"), None),
        (400, edge.url("/ok").replace("acme.localhost", "acme.localhost."), None),
    ];
    for (status, uri, host) in cases {
        let mut request = http::Request::get(&uri);
        if let Some(host) = &host {
            request = request.header("host", host);
        }
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
        assert_eq!(answer.await.unwrap().status(), status, "{uri} {host:?}");
    }
    drop(client);
    driver.abort();
}
