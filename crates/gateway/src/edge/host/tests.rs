use std::net::SocketAddr;

use carekeep_kernel::{SeededRandom, SystemClock};
use http::HeaderValue;

use super::*;
use crate::edge::client::Protocol;

struct OneHost(TenantId);

impl HostDirectory for OneHost {
    fn lookup(&self, host: &NormalisedHost) -> HostEntry {
        match host.as_str() {
            "acme.example" => HostEntry::Tenant(self.0, TenantKind::Clinic),
            "asleep.example" => HostEntry::Unavailable { retry_after: 7 },
            _ => HostEntry::Unknown,
        }
    }
}

fn conn(sni: Option<&str>) -> ConnInfo {
    let address: SocketAddr = "127.0.0.1:8443".parse().unwrap();
    ConnInfo { peer: address, local: address, sni: sni.map(Into::into), protocol: Protocol::Http1, tls: true }
}

fn answer(version: Version, target: &str, hosts: &[&[u8]], sni: Option<&str>) -> Result<TenantRoute, u16> {
    let directory = OneHost(TenantId::generate(&SystemClock, &SeededRandom::new(1)));
    let mut headers = HeaderMap::new();
    for host in hosts {
        headers.append(header::HOST, HeaderValue::from_bytes(host).unwrap());
    }
    headers.insert("x-forwarded-host", HeaderValue::from_static("other.example"));
    headers.insert("forwarded", HeaderValue::from_static("host=other.example"));
    let uri: Uri = target.parse().unwrap();
    let head = RequestHead { version, uri: &uri, headers: &headers };
    resolve(&head, &conn(sni), &directory, &[9443]).map_err(|problem| problem.status().as_u16())
}

fn status(hosts: &[&[u8]]) -> u16 {
    answer(Version::HTTP_11, "/", hosts, Some("acme.example")).map_or_else(|status| status, |_| 200)
}

#[test]
fn bar_t6_the_known_host_is_found_in_any_case_and_with_our_ports() {
    for good in [
        &b"acme.example"[..],
        b"ACME.Example",
        b"acme.example:443",
        b"acme.example:8443",
        b"acme.example:9443",
    ] {
        assert_eq!(status(&[good]), 200, "{:?}", String::from_utf8_lossy(good));
    }
    let route = answer(Version::HTTP_11, "/", &[b"ACME.example:8443"], None).unwrap();
    assert_eq!((&*route.origin, route.host.as_str()), ("https://acme.example:8443", "acme.example"));
}

#[test]
fn bar_t6_a_malformed_host_is_400() {
    let bad: [&[u8]; 23] = [
        b"",
        b".",
        b"acme.example.",
        b".acme.example",
        b"acme..example",
        b"user@acme.example",
        b"user:secret@acme.example",
        b"acme.example:",
        b"acme.example:0",
        b"acme.example:65536",
        b"acme.example:+443",
        b"acme.example:443:443",
        b"acme.example 443",
        b"acme\t.example",
        b"acme.example,other.example",
        b"acme.example/",
        b"acme.example#x",
        b"acme%2eexample",
        b"acme_1.example",
        b"-acme.example",
        b"[::1",
        b"[zz]:443",
        "ac\u{6d}\u{e9}.example".as_bytes(),
    ];
    for host in bad {
        assert_eq!(status(&[host]), 400, "{:?}", String::from_utf8_lossy(host));
    }
    assert_eq!(status(&[]), 400, "missing");
    assert_eq!(status(&[b"acme.example", b"acme.example"]), 400, "duplicate, even if equal");
    assert_eq!(status(&[b"acme.example", b"other.example"]), 400, "duplicate");
    let long = format!("{}.example", "a".repeat(64));
    assert_eq!(status(&[long.as_bytes()]), 400, "label over 63 bytes");
}

#[test]
fn bar_t6_a_host_that_is_not_ours_is_421() {
    for host in [
        "other.example",
        "a.acme.example",
        "acme.example.evil.test",
        "xn--cme-5cd.example",
        "acme.example:444",
        "127.0.0.1",
        "127.1",
        "[::1]",
        "[::1]:8443",
        "localhost",
    ] {
        assert_eq!(answer(Version::HTTP_11, "/", &[host.as_bytes()], None), Err(421), "{host}");
    }
}

#[test]
fn bar_t6_host_authority_target_and_server_name_must_agree() {
    let acme: &[&[u8]] = &[b"acme.example"];
    let v2 = Version::HTTP_2;
    let v1 = Version::HTTP_11;
    let ok = |result: Result<TenantRoute, u16>| result.map_or_else(|status| status, |_| 200);
    assert_eq!(ok(answer(v1, "https://acme.example/x", acme, None)), 200);
    assert_eq!(ok(answer(v1, "https://ACME.example:443/x", acme, None)), 200);
    assert_eq!(ok(answer(v1, "https://other.example/x", acme, None)), 421);
    assert_eq!(ok(answer(v1, "https://acme.example:9443/x", acme, None)), 421);
    assert_eq!(ok(answer(v1, "http://acme.example/x", acme, None)), 421);
    assert_eq!(ok(answer(v1, "https://acme.example/x", &[], None)), 400);
    assert_eq!(ok(answer(v1, "https://me@acme.example/x", acme, None)), 400);
    assert_eq!(ok(answer(v2, "https://acme.example/x", &[], None)), 200);
    assert_eq!(ok(answer(v2, "https://acme.example/x", acme, None)), 200);
    assert_eq!(ok(answer(v2, "https://acme.example/x", &[b"other.example"], None)), 421);
    assert_eq!(ok(answer(v2, "https://other.example/x", acme, None)), 421);
    assert_eq!(ok(answer(v2, "/x", &[], None)), 400);
    assert_eq!(ok(answer(v1, "/x", acme, Some("ACME.EXAMPLE"))), 200);
    assert_eq!(ok(answer(v1, "/x", acme, Some("other.example"))), 421);
    assert_eq!(ok(answer(Version::HTTP_10, "/x", &[], None)), 400);
}

#[test]
fn a_tenant_that_sleeps_is_503_and_not_unknown() {
    assert_eq!(answer(Version::HTTP_11, "/", &[b"asleep.example"], None), Err(503));
}
