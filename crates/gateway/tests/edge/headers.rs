//! BARS S2, S3: what every answer says.

use std::time::Duration;

use carekeep_gateway::{
    edge::EdgeLimits,
    limits::{LaneLimit, LimiterConfig},
};
use reqwest::{Client, RequestBuilder, Response};

use crate::support::{TestEdge, generous};

const REQUIRED: [(&str, &str); 9] = [
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("origin-agent-cluster", "?1"),
    ("cache-control", "no-store"),
];

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn assert_strict(response: &Response, csp_part: &str) {
    for (name, value) in REQUIRED {
        assert_eq!(header(response, name), value, "{name} of {}", response.status());
    }
    let csp = header(response, "content-security-policy");
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "object-src 'none'", csp_part]
    {
        assert!(csp.contains(part), "{csp}");
    }
    assert!(!csp.contains("unsafe-inline"), "{csp}");
    assert!(header(response, "permissions-policy").contains("camera=()"));
    assert_eq!(header(response, "server"), "");
    let id = header(response, "x-request-id");
    assert_eq!((id.len(), id.as_bytes().get(14)), (36, Some(&b'7')), "{id}");
}

async fn status_of(request: RequestBuilder) -> (u16, Response) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response)
}

fn json(client: &Client, edge: &TestEdge, path: &str) -> RequestBuilder {
    client.post(edge.url(path)).header("content-type", "application/json")
}

#[tokio::test]
async fn bar_s2_every_kind_of_answer_has_the_strict_headers_and_a_problem_body() {
    let limits = EdgeLimits { body_timeout: Duration::from_millis(200), ..EdgeLimits::default() };
    let edge = TestEdge::with(limits, generous(), None).await;
    let client = edge.client();
    let stalled = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let cases = [
        (200, client.get(edge.url("/ok"))),
        (404, client.get(edge.url("/absent"))),
        (404, client.get(edge.url("/number/x"))),
        (405, client.put(edge.url("/ok"))),
        (405, client.request(reqwest::Method::TRACE, edge.url("/ok"))),
        (501, client.request(reqwest::Method::from_bytes(b"BREW").unwrap(), edge.url("/ok"))),
        (400, json(&client, &edge, "/echo").body("{")),
        (400, client.get(edge.url("/query?count=Kowalski"))),
        (400, client.get(edge.url("/raw-axum/Kowalski"))),
        (422, json(&client, &edge, "/typed").body("\"Kowalski\"")),
        (403, json(&client, &edge, "/echo").header("sec-fetch-site", "same-site").body("{}")),
        (408, json(&client, &edge, "/echo").body(reqwest::Body::wrap_stream(stalled))),
        (413, json(&client, &edge, "/echo").body(vec![b' '; (1 << 20) + 1])),
        (414, client.get(edge.url(&format!("/ok?{}", "a".repeat(9_000))))),
        (415, client.post(edge.url("/echo")).header("content-type", "text/plain").body("{}")),
        (421, client.get(format!("https://nobody.localhost:{}/ok", edge.addr.port()))),
        (500, client.get(edge.url("/panic/Kowalski"))),
    ];
    for (expected, request) in cases {
        let (status, response) = status_of(request).await;
        assert_eq!(status, expected);
        assert_strict(&response, "sandbox");
        let id = header(&response, "x-request-id").to_owned();
        let media = header(&response, "content-type").to_owned();
        let body = response.text().await.unwrap();
        assert!(!body.contains("Kowalski"), "{body}");
        if status >= 400 {
            assert_eq!(media, "application/problem+json", "{status}");
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["status"], status);
            assert_eq!(problem["instance"], format!("urn:uuid:{id}"));
            assert!(problem["type"].as_str().unwrap().starts_with("urn:carekeep:problem:"));
            assert!(!problem["advice"].as_str().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn bar_s2_a_429_has_them_too_and_says_when_to_come_back() {
    let rates = LimiterConfig { address: LaneLimit::per_seconds(2, 100), ..generous() };
    let edge = TestEdge::with(EdgeLimits::default(), rates, None).await;
    let client = edge.client();
    let (first, response) = status_of(client.get(edge.url("/ok"))).await;
    assert_eq!((first, header(&response, "ratelimit")), (200, "\"address\";r=1;t=50"));
    assert_eq!(header(&response, "ratelimit-policy"), "\"address\";q=2;w=100");
    assert_eq!(status_of(client.get(edge.url("/ok"))).await.0, 200);
    let (third, response) = status_of(client.get(edge.url("/ok"))).await;
    assert_eq!(third, 429);
    assert_strict(&response, "sandbox");
    assert_eq!(header(&response, "retry-after"), "50");
    assert!(header(&response, "ratelimit").starts_with("\"address\";r=0;t="));
    assert_eq!(header(&response, "content-type"), "application/problem+json");
}

#[tokio::test]
async fn bar_s2_a_page_allows_its_own_files_and_nothing_inline() {
    let edge = TestEdge::start().await;
    let response = edge.client().get(edge.url("/page")).send().await.unwrap();
    assert_strict(&response, "script-src 'self'");
    assert!(header(&response, "permissions-policy").contains("publickey-credentials-get=(self)"));
}

#[tokio::test]
async fn an_incoming_request_id_is_not_trusted_and_ids_differ() {
    let edge = TestEdge::start().await;
    let forged = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e";
    let ask = || edge.client().get(edge.url("/ok")).header("x-request-id", forged).send();
    let (a, b) = (ask().await.unwrap(), ask().await.unwrap());
    let ids = [header(&a, "x-request-id"), header(&b, "x-request-id"), forged];
    assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
}

#[tokio::test]
async fn errors_below_the_fhir_prefix_are_operation_outcomes() {
    let edge = TestEdge::start().await;
    let client = edge.client();
    for (path, status) in [("/fhir/R4/Patient/1", 404), ("/fhir/R4/Nothing", 404)] {
        let response = client.get(edge.url(path)).send().await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(header(&response, "content-type"), "application/fhir+json");
        let outcome: serde_json::Value = response.json().await.unwrap();
        assert_eq!(
            (&outcome["resourceType"], &outcome["issue"][0]["code"]),
            (&"OperationOutcome".into(), &"not-found".into())
        );
    }
    let plain = client.get(edge.url("/nothing")).send().await.unwrap();
    assert_eq!(header(&plain, "content-type"), "application/problem+json");
}

#[tokio::test]
async fn bar_s3_a_sibling_tenant_cannot_make_a_browser_write_and_the_own_page_can() {
    let edge = TestEdge::start().await;
    let client = edge.client();
    let sibling = edge.origin().replace("acme", "beta");
    let post = |site: &'static str, origin: &str| {
        json(&client, &edge, "/echo")
            .header("cookie", "__Host-session=x")
            .header("sec-fetch-site", site)
            .header("origin", origin)
            .body("{}")
    };
    assert_eq!(status_of(post("same-origin", &edge.origin())).await.0, 200);
    let (status, response) = status_of(post("same-site", &sibling)).await;
    assert_eq!(status, 403);
    assert_eq!(header(&response, "access-control-allow-origin"), "", "CORS never reflects");
    assert_eq!(status_of(post("cross-site", "https://evil.test")).await.0, 403);
}
